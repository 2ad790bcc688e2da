"""Short names for programs: the first characters of the base58 form of their digest."""

from __future__ import annotations

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

PERMALINK_LENGTH = 10
"""Characters of a permalink; longer ones are given only where two programs would share it."""


def base58(data: bytes) -> str:
    """Return the base58 text of `data`; leading zero bytes become leading "1"s."""
    number = int.from_bytes(data, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def permalink_of(digest: bytes, *, length: int = PERMALINK_LENGTH) -> str:
    """Return the permalink of a program with this digest."""
    return base58(digest)[:length]
