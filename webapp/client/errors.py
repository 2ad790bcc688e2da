"""What ends a command with one line."""


class ClientError(Exception):
    """Something that the user can mend; the message says what."""
