"""Checkpoints: named arrays and plain values in a versioned, checksummed block of bytes. No pickle."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

MAGIC = b"AbOvo\0"
VERSION = 5
READABLE = (1, 2, 3, 4, 5)
"""Versions that can be continued from. Version 1 kept a single settled trunk outside the pool, version 2 had no hurdles,
version 3 nothing but the score for selection to compare; up to version 4 all arrays were compressed as one."""

_SAMPLE_BYTES = 1 << 14
_WORTH_IT = 0.6
"""Arrays that shrink to no less are kept as they are: the equivalence cache, mostly hashes, took most of the time and shrank by a third."""


class CheckpointError(ValueError):
    """Bytes that are not a checkpoint this version can continue from; the message says why."""


def pack(values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a checkpoint of JSON-able values and arrays."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, array in {"__values__": np.frombuffer(json.dumps(values).encode(), np.uint8), **arrays}.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            data = member.getvalue()
            # Without the time of day: the same state is the same bytes.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), data, _method(data), compresslevel=1)
    content = body.getvalue()
    return MAGIC + struct.pack("<I", VERSION) + hashlib.sha256(content).digest() + content


def _method(data: bytes) -> int:
    """Return how to store these bytes, judged by some from their middle."""
    start = max(len(data) - _SAMPLE_BYTES, 0) // 2
    sample = data[start : start + _SAMPLE_BYTES]
    return zipfile.ZIP_DEFLATED if len(zlib.compress(sample, 1)) < _WORTH_IT * len(sample) else zipfile.ZIP_STORED


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the values and arrays of a checkpoint. Raises CheckpointError."""
    head = len(MAGIC) + 4
    if data[: len(MAGIC)] != MAGIC:
        raise CheckpointError("checkpoint: not one of Ab Ovo's")
    (version,) = struct.unpack("<I", data[len(MAGIC) : head]) if len(data) >= head else (0,)
    if version not in READABLE:
        raise CheckpointError(f"checkpoint: version {version}, this program reads {' and '.join(map(str, READABLE))}")
    digest, content = data[head : head + 32], data[head + 32 :]
    if hashlib.sha256(content).digest() != digest:
        raise CheckpointError("checkpoint: damaged (its checksum does not match)")
    with np.load(io.BytesIO(content if version >= 5 else zlib.decompress(content)), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    values = json.loads(arrays.pop("__values__").tobytes())
    return values, arrays
