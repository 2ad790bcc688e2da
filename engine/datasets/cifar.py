"""CIFAR-10's official archives: cifar-10-python.tar.gz (pickles) and cifar-10-binary.tar.gz, read without unpacking to disk.

The python archive's files are pickles, and to unpickle is to run whatever the file says. So nothing but the plain data
types is let through: of the three names that these files refer to (NumPy's array, its dtype, and the function that rebuilds an
array) each is replaced by a class of our own that only keeps what it is given, any other name is refused, and not a line of NumPy
runs until what was kept has been checked. How much memory the data types can take is bounded by counting the instructions first,
and by making no copies of what they refer to. (Files that Python 3 has written anew at the same protocol name one function more,
_codecs.encode; the official ones do not.)
"""

from __future__ import annotations

import gzip
import io
import pickle
import pickletools
import re
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from engine.datasets.base import Dataset, DatasetError, classification
from engine.datasets.bounded import Bounded

ARCHIVES = ("cifar-10-python.tar.gz", "cifar-10-binary.tar.gz")
"""File names of the archives."""

_UNPACKED = 256 << 20  # the archives unpack to 186 MB
_MEMBER = 64 << 20  # the largest member has 31 MB
_PICKLE_STEPS = 200_000  # a real batch has about 35,000
_ROW = 32 * 32 * 3
_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_WANTED = re.compile(r"(?:.*/)?(data_batch_[1-5]|test_batch|batches\.meta)(?:\.bin|\.txt)?")


def files(folder: Path) -> tuple[Path, ...]:
    """Return the archive in a folder (one of them, if there are two), or ()."""
    return tuple(path for path in map(folder.joinpath, ARCHIVES[::-1]) if path.is_file())[:1]


def load(name: str, path: Path) -> Dataset:
    """Read an archive. Raises DatasetError."""
    is_python = path.name == ARCHIVES[0]
    members = _members(name, path)
    for needed in (*_BATCHES, "test_batch", "batches.meta"):
        if needed not in members:
            raise DatasetError(f"dataset {name}: {path.name} has no member {needed}")
    read = _python_batch if is_python else _binary_batch
    try:
        parts = [read(name, one, members.pop(one)) for one in _BATCHES]
        x_test, y_test = read(name, "test_batch", members.pop("test_batch"))
        meta = members["batches.meta"]
        names = _python_names(name, meta) if is_python else meta.decode("ascii").split()
    except UnicodeDecodeError:
        raise DatasetError(f"dataset {name}: batches.meta is not text") from None
    x_train, y_train = (np.concatenate(part) for part in zip(*parts))
    present = np.unique(y_train)
    chosen = tuple(names[one] if one < len(names) else str(one) for one in present)
    return classification(name, x_train, y_train, chosen, x_test, y_test, image_shape=(32, 32, 3))


def _members(name: str, path: Path) -> dict[str, bytes]:
    """Return the members we know. The archive is read as a stream, so that what it unpacks to is bounded."""
    members: dict[str, bytes] = {}
    try:
        with open(path, "rb") as file:
            stream = io.BufferedReader(Bounded(name, gzip.GzipFile(fileobj=file), _UNPACKED))
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    wanted = _WANTED.fullmatch(member.name)
                    if wanted is None or not member.isreg() or wanted[1] in members:
                        continue
                    if member.size > _MEMBER:
                        raise DatasetError(
                            f"dataset {name}: {wanted[1]} has {member.size:,} bytes, allowed are up to {_MEMBER:,}"
                        )
                    content = archive.extractfile(member)
                    assert content is not None, "a regular member has content"
                    members[wanted[1]] = content.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"dataset {name}: {path.name} is not a readable .tar.gz archive ({error})") from None
    return members


def _rows(planes: np.ndarray) -> np.ndarray:
    """Turn rows of a red, a green and a blue plane into pictures, channels last."""
    return planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _binary_batch(name: str, batch: str, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    if not data or len(data) % (_ROW + 1):
        raise DatasetError(f"dataset {name}: {batch} has {len(data):,} bytes, expected records of {_ROW + 1:,}")
    records = np.frombuffer(data, np.uint8).reshape(-1, _ROW + 1)
    return _rows(records[:, 1:]), _checked_labels(name, batch, records[:, 0])


def _checked_labels(name: str, batch: str, labels: np.ndarray) -> np.ndarray:
    if labels.max() > 9:
        raise DatasetError(f"dataset {name}: {batch} has the label {labels.max()}, allowed are 0 to 9")
    return labels


# --- pickles ------------------------------------------------------------------------------------------------------------


def _python_batch(name: str, batch: str, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    content = _unpickle(name, batch, data)
    array, labels = content.get(b"data"), content.get(b"labels")
    pixels = getattr(array, "content", None)
    if (
        not isinstance(pixels, bytes)
        or not pixels
        or len(pixels) % _ROW
        or getattr(array, "kind", "") not in (b"u1", "u1")
    ):
        raise DatasetError(f"dataset {name}: {batch} has no array data of rows of {_ROW:,} bytes")
    if not isinstance(labels, list) or not all(type(one) is int and 0 <= one <= 9 for one in labels):
        raise DatasetError(f"dataset {name}: {batch} has no list labels of whole numbers from 0 to 9")
    if len(labels) != len(pixels) // _ROW:
        raise DatasetError(f"dataset {name}: {batch} has {len(pixels) // _ROW} rows, {len(labels)} labels")
    return _rows(np.frombuffer(pixels, np.uint8)), np.array(labels, np.uint8)


def _python_names(name: str, data: bytes) -> list[str]:
    names = _unpickle(name, "batches.meta", data).get(b"label_names")
    if not isinstance(names, list) or not all(isinstance(one, (bytes, str)) for one in names):
        raise DatasetError(f"dataset {name}: batches.meta has no list label_names")
    return [one.decode("ascii") if isinstance(one, bytes) else one for one in names]


def _unpickle(name: str, member: str, data: bytes) -> dict[bytes, Any]:
    """Return the table in a pickle; arrays are objects with `kind` and `content`. Raises DatasetError."""
    try:
        for step, (instruction, argument, _) in enumerate(pickletools.genops(data)):
            # The loader keeps a list as long as the largest place that anything is put at.
            place = argument if "PUT" in instruction.name and isinstance(argument, int) else 0
            if max(step, place) > _PICKLE_STEPS:
                raise DatasetError(f"dataset {name}: {member} is no batch: more than {_PICKLE_STEPS:,} steps to load")
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except DatasetError:
        raise
    except Exception as error:  # whatever a damaged or hostile pickle makes the loader raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"dataset {name}: {member} cannot be read ({reason[:100]})") from None
    if not isinstance(content, dict):
        raise DatasetError(f"dataset {name}: {member} holds no table")
    return {key.encode() if isinstance(key, str) else key: value for key, value in content.items()}


class _Unpickler(pickle.Unpickler):
    """Loads plain data only; see the module's first lines."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)

        # Made anew for each file, since a pickle can set attributes of what it refers to.
        class Kind:
            """What is said of NumPy's dtype: its code, such as b"u1"."""

            def __init__(self, code: Any = b"", *_: Any):
                self.code = code

            def __setstate__(self, state: Any) -> None:
                pass

        class Array:
            """What is said of NumPy's array: its elements' kind, and its content in C order."""

            kind: Any = b""
            content: Any = b""

            def __init__(self, *_: Any):
                pass

            def __setstate__(self, state: Any) -> None:
                if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[2], Kind)):
                    raise pickle.UnpicklingError("an array without content")
                _, _, kind, column_order, content = state
                if not column_order:
                    self.kind, self.content = kind.code, content

        def rebuild(*_: Any) -> Array:
            return Array()

        self._known = {"ndarray": Array, "dtype": Kind, "_reconstruct": rebuild}

    def find_class(self, module: str, name: str) -> Any:
        """Return our stand-in. Raises UnpicklingError for every name that batches do not hold."""
        places = {"ndarray": ("numpy",), "dtype": ("numpy",)}
        allowed = places.get(name, ("numpy.core.multiarray", "numpy._core.multiarray"))
        if name in self._known and module in allowed:
            return self._known[name]
        raise pickle.UnpicklingError(f"refers to {module}.{name}, which is never loaded")
