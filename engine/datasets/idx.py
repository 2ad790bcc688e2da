"""The idx files of MNIST and Fashion-MNIST, compressed or not.

Format: two zero bytes, the element type (8: one byte), the number of dimensions, each dimension as a big-endian 32-bit number,
then the elements. Source: the MNIST page by LeCun, Cortes and Burges.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from engine.datasets import base
from engine.datasets.base import Dataset, DatasetError, classification
from engine.datasets.bounded import UNREADABLE, open_plain_or_gz

PARTS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
"""Standard names of the four files, without the .gz they may end in."""

_CLASS_NAMES = {
    "fashion_mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
}  # fmt: skip


def files(folder: Path) -> tuple[Path, ...]:
    """Return the four files of a folder, or () if it lacks one."""
    found = []
    for part in PARTS:
        names = (part, part.replace("-idx", ".idx"))
        there = [path for name in names for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
        found += there[:1]
    return tuple(found) if len(found) == len(PARTS) else ()


def load(name: str, *paths: Path) -> Dataset:
    """Read training and test split. Raises DatasetError."""
    x_train, y_train, x_test, y_test = (_read(name, path, 1 if "labels" in path.name else 3) for path in paths)
    names = _CLASS_NAMES.get(name)
    if names is not None and len(np.unique(y_train)) != len(names):
        names = None
    return classification(name, x_train, y_train, names, x_test, y_test, image_shape=x_train.shape[1:])


def _read(name: str, path: Path, dimensions: int) -> np.ndarray:
    where = f"dataset {name}: {path.name}"
    try:
        with open_plain_or_gz(path) as stream:
            header = stream.read(4 + 4 * dimensions)
            if header[:4] != bytes([0, 0, 8, dimensions]) or len(header) != 4 + 4 * dimensions:
                raise DatasetError(f"{where} is not an idx file of bytes in {dimensions} dimension(s)")
            shape = struct.unpack(f">{dimensions}I", header[4:])
            size = math.prod(shape)
            if size > base.MAX_BYTES:
                raise DatasetError(f"{where} has shape {shape}: {size:,} bytes, allowed are up to {base.MAX_BYTES:,}")
            # In parts: a header that promises much costs no more memory than there is data.
            data = bytearray()
            while len(data) <= size and (part := stream.read(min(1 << 20, size + 1 - len(data)))):
                data += part
    except UNREADABLE as error:
        raise DatasetError(f"{where} cannot be read ({error})") from None
    if len(data) != size:
        raise DatasetError(f"{where} says it has shape {shape} but holds {'more' if len(data) > size else 'less'}")
    return np.frombuffer(data, np.uint8).reshape(shape)
