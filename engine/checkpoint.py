"""Checkpoints: named arrays and plain values in a versioned, checksummed, compressed block of bytes. No pickle."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

MAGIC = b"AbOvo\0"
VERSION = 4
READABLE = (1, 2, 3, 4)
"""Versions that can be continued from. Version 1 kept a single settled trunk outside the pool, version 2 had no hurdles,
version 3 nothing but the score for selection to compare."""


class CheckpointError(ValueError):
    """Bytes that are not a checkpoint this version can continue from; the message says why."""


def pack(values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a checkpoint of JSON-able values and arrays."""
    body = io.BytesIO()
    np.savez(body, __values__=np.frombuffer(json.dumps(values).encode(), np.uint8), **arrays)
    compressed = zlib.compress(body.getvalue(), 1)
    return MAGIC + struct.pack("<I", VERSION) + hashlib.sha256(compressed).digest() + compressed


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the values and arrays of a checkpoint. Raises CheckpointError."""
    head = len(MAGIC) + 4
    if data[: len(MAGIC)] != MAGIC:
        raise CheckpointError("checkpoint: not one of Ab Ovo's")
    (version,) = struct.unpack("<I", data[len(MAGIC) : head]) if len(data) >= head else (0,)
    if version not in READABLE:
        raise CheckpointError(f"checkpoint: version {version}, this program reads {' and '.join(map(str, READABLE))}")
    digest, compressed = data[head : head + 32], data[head + 32 :]
    if hashlib.sha256(compressed).digest() != digest:
        raise CheckpointError("checkpoint: damaged (its checksum does not match)")
    with np.load(io.BytesIO(zlib.decompress(compressed)), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    values = json.loads(arrays.pop("__values__").tobytes())
    return values, arrays
