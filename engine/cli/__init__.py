"""The command line: one module a command, imported only when the command is given, so that light ones start at once."""
