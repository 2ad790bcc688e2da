"""The command-line client of the API: `abovo`. Only the standard library, nothing of the server."""
