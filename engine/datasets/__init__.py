"""Arrays to make learning tasks of: scikit-learn's bundled sets, and files in the data folder.

A file is believed nothing: its size is checked against bounds before its data is read, objects are never unpickled, and
what is not a plain table of finite numbers with something to learn in it is refused with the reason.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from engine.datasets import base, bundled, cifar, csv_file, idx, npz
from engine.datasets.base import Dataset, DatasetError

__all__ = ["OFFICIAL", "Dataset", "DatasetError", "data_folder", "dataset_files", "dataset_names", "load_dataset"]

OFFICIAL = ("mnist", "fashion_mnist", "cifar10")
"""Public data sets that `manage.py fetch_dataset` gets."""

UPLOADS = "uploads"
"""Subfolder whose data sets are known by name but not listed: they may be somebody's own."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_TABLES: dict[str, Callable[..., Dataset]] = {".npz": npz.load, ".csv": csv_file.load}


def data_folder() -> Path:
    """Return the folder of dataset files: $ABOVO_DATA, by default data/ in $ABOVO_HOME, by default var/."""
    return Path(os.environ.get("ABOVO_DATA") or Path(os.environ.get("ABOVO_HOME") or "var") / "data")


def dataset_names() -> tuple[str, ...]:
    """Return the names that `load_dataset` knows: the bundled sets, then those of the data folder."""
    folder = data_folder()
    names = set()
    if folder.is_dir():
        for path in folder.iterdir():
            if path.suffix in _TABLES:
                names.add(path.stem)
            elif path.is_dir() and path.name != UPLOADS and _NAME.fullmatch(path.name) and _find(path.name):
                names.add(path.name)
        if cifar.files(folder):
            names.add("cifar10")
    known = bundled.BUNDLED
    return (*known, *sorted(name for name in names if name not in known and _NAME.fullmatch(name)))


def load_dataset(name: str) -> Dataset:
    """Load a dataset by name; the last few stay in memory. Raises DatasetError."""
    if name in bundled.BUNDLED:
        return bundled.load(name)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DatasetError(
            f"dataset: {name!r:.60} is not a name; letters, digits, dots, dashes and underscores are allowed"
        )
    found = _find(name)
    if found is None and name in OFFICIAL:
        raise DatasetError(
            f"dataset: {name} is not there; fetch it with `python manage.py fetch_dataset {name}`, "
            f"or put {name}.npz into the data folder {data_folder()} (ABOVO_DATA names another)"
        )
    if found is None:
        known = ", ".join(dataset_names())
        raise DatasetError(f"dataset: {name} is not known; bundled or in the data folder are {known}")
    load, paths = found
    for path in paths:
        if not path.is_file():
            raise DatasetError(f"dataset {name}: {path.name} is not a regular file")
        size = path.stat().st_size
        if size > base.MAX_BYTES:
            raise DatasetError(f"dataset {name}: the file has {size:,} bytes, allowed are up to {base.MAX_BYTES:,}")
    return _load(load, name, paths, tuple((path.stat().st_mtime_ns, path.stat().st_size) for path in paths))


def dataset_files(name: str) -> tuple[Path, ...]:
    """Return the files of a dataset of the data folder; () if there is none of that name, or it is bundled."""
    found = None if name in bundled.BUNDLED or not _NAME.fullmatch(name) else _find(name)
    return found[1] if found else ()


def _find(name: str) -> tuple[Callable[..., Dataset], tuple[Path, ...]] | None:
    """Return how to read a dataset of the data folder or of its subfolder `uploads`, and its files."""
    return _find_in(data_folder(), name) or _find_in(data_folder() / UPLOADS, name)


def _find_in(folder: Path, name: str) -> tuple[Callable[..., Dataset], tuple[Path, ...]] | None:
    for suffix, load in _TABLES.items():
        path = folder / f"{name}{suffix}"
        if path.exists():
            return load, (path,)
    if paths := idx.files(folder / name):
        return idx.load, paths
    if paths := cifar.files(folder / name) or (cifar.files(folder) if name == "cifar10" else ()):
        return cifar.load, paths
    return None


@lru_cache(maxsize=2)
def _load(load: Callable[..., Dataset], name: str, paths: tuple[Path, ...], _state: tuple) -> Dataset:
    return load(name, *paths)
