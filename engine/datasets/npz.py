"""NumPy's .npz files: x_train and y_train, and x_test, y_test, class_names where given."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from engine.datasets import base
from engine.datasets.base import Dataset, DatasetError, classification

_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    SyntaxError,
    RuntimeError,
)  # RuntimeError: encrypted, or an unknown compression
_ARRAYS = ("x_train", "y_train", "x_test", "y_test", "class_names")


def load(name: str, path: Path) -> Dataset:
    """Read a file. Raises DatasetError."""
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = _read_arrays(name, archive)
    except DatasetError:
        raise
    except _UNREADABLE as error:
        raise DatasetError(f"dataset {name}: not a readable .npz file ({error})") from None
    for needed in ("x_train", "y_train"):
        if needed not in arrays:
            raise DatasetError(
                f"dataset {name}: no array {needed}; x_train and y_train are needed, "
                "x_test, y_test and class_names are used where given"
            )
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise DatasetError(f"dataset {name}: x_test and y_test belong together, only one is there")
    x = arrays["x_train"]
    names = tuple(str(one) for one in arrays["class_names"]) if "class_names" in arrays else None
    return classification(
        name, x, arrays["y_train"], names, arrays.get("x_test"), arrays.get("y_test"),
        image_shape=x.shape[1:] if x.ndim in (3, 4) else None,
    )  # fmt: skip


def _read_arrays(name: str, archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """Read the arrays we know, each only after its header has passed: memory stays within MAX_BYTES for each."""
    arrays = {}
    for member in archive.infolist():
        array_name = member.filename.removesuffix(".npy")
        if array_name not in _ARRAYS or array_name in arrays:
            continue
        with archive.open(member) as stream:
            version = np.lib.format.read_magic(stream)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }.get(version)
            if read_header is None:
                raise DatasetError(f"dataset {name}: {array_name} has array format {version}, known are 1.0 and 2.0")
            shape, _, dtype = read_header(stream)
        if dtype.hasobject:
            raise DatasetError(f"dataset {name}: {array_name} is an array of Python objects, which is never loaded")
        size = dtype.itemsize
        for length in shape:
            size *= length
        if max(size, member.file_size) > base.MAX_BYTES:
            raise DatasetError(
                f"dataset {name}: {array_name} takes {max(size, member.file_size):,} bytes, "
                f"allowed are up to {base.MAX_BYTES:,}"
            )
        if not size <= member.file_size <= size + 65_536:
            raise DatasetError(f"dataset {name}: {array_name} says it has shape {shape} but holds other data")
        with archive.open(member) as stream:
            arrays[array_name] = np.lib.format.read_array(stream, allow_pickle=False)
    return arrays
