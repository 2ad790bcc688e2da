"""Arrays to make learning tasks of: scikit-learn's bundled sets, and .npz files in the data folder.

A file is believed nothing: its headers are checked against bounds before any of its data is read, objects are never
unpickled, and what is not a plain table of finite numbers with at least two classes is refused with the reason.
"""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

MAX_BYTES = 1 << 30
"""Largest dataset file, and largest array in one, uncompressed: 1 GiB."""
OFFICIAL = ("mnist", "fashion_mnist", "cifar10")
"""Public data sets that `manage.py fetch_dataset` gets."""
MAX_CLASSES = 1000
MAX_COLUMNS = 100_000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
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


class DatasetError(ValueError):
    """A dataset that is not there or cannot be used; the message names it and says why."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """A classification dataset.

    features: (N, D), whole numbers of 8 bits where that loses nothing, else the file's own number type. labels: (N,)
    int64, class numbers from 0. test_features, test_labels: the official test split, or None. image_shape: (height, width)
    or (height, width, channels) where a row is a picture, else None.
    """

    name: str
    features: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    image_shape: tuple[int, ...] | None = None
    test_features: np.ndarray | None = None
    test_labels: np.ndarray | None = None

    @property
    def columns(self) -> int:
        """Features a row (D)."""
        return self.features.shape[1]


def data_folder() -> Path:
    """Return the folder of dataset files: $ABOVO_DATA, by default var/data."""
    return Path(os.environ.get("ABOVO_DATA") or "var/data")


def dataset_names() -> tuple[str, ...]:
    """Return the names that `load_dataset` knows: the bundled sets, then the files of the data folder."""
    folder = data_folder()
    files = sorted(path.stem for path in folder.glob("*.npz")) if folder.is_dir() else []
    return (*_BUNDLED, *(name for name in files if name not in _BUNDLED and _NAME.fullmatch(name)))


def load_dataset(name: str) -> Dataset:
    """Load a dataset by name; the last few stay in memory. Raises DatasetError."""
    if name in _BUNDLED:
        return _load_bundled(name)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DatasetError(
            f"dataset: {name!r:.60} is not a name; letters, digits, dots, dashes and underscores are allowed"
        )
    path = data_folder() / f"{name}.npz"
    try:
        status = path.stat()
    except OSError:
        if name in OFFICIAL:
            raise DatasetError(
                f"dataset: {name} is not there; fetch it with `python manage.py fetch_dataset {name}`, "
                f"or put {name}.npz into the data folder {data_folder()} (ABOVO_DATA names another)"
            ) from None
        known = ", ".join(dataset_names())
        raise DatasetError(f"dataset: {name} is not known; bundled or in the data folder are {known}") from None
    return _load_file(name, path, status.st_mtime_ns, status.st_size)


# --- scikit-learn's bundled sets ----------------------------------------------------------------------------------------


def _bundled(loader: str, image_shape: tuple[int, ...] | None = None) -> Callable[[str], Dataset]:
    def load(name: str) -> Dataset:
        from sklearn import datasets  # slow to import: only when asked for

        data = getattr(datasets, loader)()
        names = tuple(str(one) for one in data.target_names)
        return _checked(name, data.data, data.target, names, image_shape=image_shape)

    return load


_BUNDLED: dict[str, Callable[[str], Dataset]] = {
    "digits": _bundled("load_digits", (8, 8)),
    "breast_cancer": _bundled("load_breast_cancer"),
    "wine": _bundled("load_wine"),
    "iris": _bundled("load_iris"),
}


@lru_cache(maxsize=4)
def _load_bundled(name: str) -> Dataset:
    return _BUNDLED[name](name)


# --- files --------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _load_file(name: str, path: Path, _modified: int, size: int) -> Dataset:
    if not path.is_file():
        raise DatasetError(f"dataset {name}: not a regular file")
    if size > MAX_BYTES:
        raise DatasetError(f"dataset {name}: the file has {size:,} bytes, allowed are up to {MAX_BYTES:,}")
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
    return _checked(
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
        if max(size, member.file_size) > MAX_BYTES:
            raise DatasetError(
                f"dataset {name}: {array_name} takes {max(size, member.file_size):,} bytes, "
                f"allowed are up to {MAX_BYTES:,}"
            )
        if not size <= member.file_size <= size + 65_536:
            raise DatasetError(f"dataset {name}: {array_name} says it has shape {shape} but holds other data")
        with archive.open(member) as stream:
            arrays[array_name] = np.lib.format.read_array(stream, allow_pickle=False)
    return arrays


# --- checks of any source -----------------------------------------------------------------------------------------------


def _checked(name, x, y, class_names=None, x_test=None, y_test=None, *, image_shape=None) -> Dataset:
    features, labels = _features(name, "x_train", x), _labels(name, "y_train", y)
    if len(features) != len(labels):
        raise DatasetError(f"dataset {name}: x_train has {len(features)} rows, y_train {len(labels)}")
    classes = np.unique(labels)
    if len(classes) < 2:
        raise DatasetError(f"dataset {name}: y_train has one class only ({classes[0]}), at least two are needed")
    if len(classes) > MAX_CLASSES:
        raise DatasetError(f"dataset {name}: {len(classes)} classes, allowed are up to {MAX_CLASSES}")
    if class_names is None:
        class_names = tuple(str(one) for one in classes)
    if len(class_names) != len(classes):
        raise DatasetError(f"dataset {name}: {len(class_names)} class_names, but y_train has {len(classes)} classes")
    test_features = test_labels = None
    if x_test is not None:
        test_features, test_labels = _features(name, "x_test", x_test), _labels(name, "y_test", y_test)
        if len(test_features) != len(test_labels):
            raise DatasetError(f"dataset {name}: x_test has {len(test_features)} rows, y_test {len(test_labels)}")
        if test_features.shape[1] != features.shape[1]:
            raise DatasetError(
                f"dataset {name}: x_test has {test_features.shape[1]} features a row, x_train {features.shape[1]}"
            )
        unknown = np.setdiff1d(test_labels, classes)
        if len(unknown):
            raise DatasetError(f"dataset {name}: y_test has a class that y_train has not: {unknown[0]}")
        test_labels = np.searchsorted(classes, test_labels)
    return Dataset(
        name, features, np.searchsorted(classes, labels), class_names, image_shape, test_features, test_labels
    )


def _features(name: str, array_name: str, values) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype.kind not in "biuf":
        raise DatasetError(
            f"dataset {name}: {array_name} holds {_kind(values)}, whole or floating-point numbers are allowed"
        )
    if values.ndim < 2 or 0 in values.shape:
        raise DatasetError(
            f"dataset {name}: {array_name} has shape {values.shape}, expected rows of at least one feature"
        )
    values = values.reshape(len(values), -1)
    if values.shape[1] > MAX_COLUMNS:
        raise DatasetError(f"dataset {name}: {values.shape[1]} features a row, allowed are up to {MAX_COLUMNS:,}")
    step = max(1, 10_000_000 // values.shape[1])
    whole = True
    for start in range(0, len(values), step):  # in parts: the checks need little memory
        part = values[start : start + step]
        if values.dtype.kind == "f":
            bad = np.argwhere(~np.isfinite(part))
            if len(bad):
                row, column = bad[0]
                raise DatasetError(
                    f"dataset {name}: {array_name}[{start + row}, {column}] is {part[row, column]}, "
                    "finite numbers are allowed"
                )
        whole = whole and bool(np.all((part >= 0) & (part <= 255) & (part == np.floor(part))))
    return np.ascontiguousarray(values, dtype=np.uint8 if whole else None)


def _labels(name: str, array_name: str, values) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype.kind not in "biuf":
        raise DatasetError(f"dataset {name}: {array_name} holds {_kind(values)}, class numbers are allowed")
    if values.ndim != 1 or not len(values):
        raise DatasetError(f"dataset {name}: {array_name} has shape {values.shape}, expected one class number a row")
    if values.dtype.kind == "f" and not np.all(np.isfinite(values) & (values == np.floor(values))):
        raise DatasetError(f"dataset {name}: {array_name} holds numbers that are not whole")
    return values.astype(np.int64)


def _kind(values: np.ndarray) -> str:
    kinds = {"U": "text", "S": "text", "O": "Python objects", "c": "complex numbers"}
    return kinds.get(values.dtype.kind, f"values of type {values.dtype}")
