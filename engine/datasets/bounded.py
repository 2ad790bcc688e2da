"""Reading compressed files without believing how large they claim, or turn out, to be."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import IO

from engine.datasets.base import DatasetError

UNREADABLE = (OSError, EOFError, zlib.error)
"""What a damaged file raises when read."""


class Bounded(io.RawIOBase):
    """A stream that refuses to yield more than `limit` bytes."""

    def __init__(self, name: str, stream: IO[bytes], limit: int):
        super().__init__()
        self._name, self._stream, self._limit, self._read = name, stream, limit, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer) -> int:
        """Fill the buffer as far as there is data. Raises DatasetError beyond the limit."""
        data = self._stream.read(len(buffer))
        self._read += len(data)
        if self._read > self._limit:
            raise DatasetError(f"dataset {self._name}: unpacks to more than the {self._limit:,} bytes that are allowed")
        buffer[: len(data)] = data
        return len(data)


def open_plain_or_gz(path: Path) -> IO[bytes]:
    """Open a file that may be compressed by gzip, by its first bytes, not its name."""
    stream = open(path, "rb")  # noqa: SIM115
    packed = stream.read(2) == b"\x1f\x8b"
    stream.seek(0)
    return gzip.GzipFile(fileobj=stream) if packed else stream
