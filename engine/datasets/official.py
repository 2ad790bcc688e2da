"""Public data sets: where they come from, and fetching them, each file checked before it takes its place."""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.datasets.base import DatasetError

_TIMEOUT = 60.0
_PART = 1 << 18


@dataclass(frozen=True)
class OfficialFile:
    """One file: its name, size in bytes and SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class OfficialSet:
    """A data set: its title, the addresses of the folder its files are in (tried in turn), and its files."""

    title: str
    sources: tuple[str, ...]
    files: tuple[OfficialFile, ...]


SETS = {
    "mnist": OfficialSet(
        "MNIST, handwritten digits (LeCun, Cortes, Burges)",
        # The authors' own page often refuses; the second address is the mirror it has been copied to.
        ("https://yann.lecun.com/exdb/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        (
            OfficialFile(
                "train-images-idx3-ubyte.gz", 9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
            ),
            OfficialFile(
                "train-labels-idx1-ubyte.gz", 28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
            ),
            OfficialFile(
                "t10k-images-idx3-ubyte.gz", 1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
            ),
            OfficialFile(
                "t10k-labels-idx1-ubyte.gz", 4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
            ),
        ),
    ),
    "fashion_mnist": OfficialSet(
        "Fashion-MNIST, pictures of clothes (Zalando Research)",
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        (
            OfficialFile(
                "train-images-idx3-ubyte.gz", 26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
            ),
            OfficialFile(
                "train-labels-idx1-ubyte.gz", 29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
            ),
            OfficialFile(
                "t10k-images-idx3-ubyte.gz", 4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
            ),
            OfficialFile(
                "t10k-labels-idx1-ubyte.gz", 5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
            ),
        ),
    ),
    "cifar10": OfficialSet(
        "CIFAR-10, small photographs (Krizhevsky)",
        ("https://www.cs.toronto.edu/~kriz/",),
        (
            OfficialFile(
                "cifar-10-binary.tar.gz", 170_052_171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
            ),
        ),
    ),
}  # fmt: skip
"""What can be fetched, by the name that `load_dataset` knows it under."""


def fetch(
    name: str, folder: Path, *, source: str | None = None, progress: Callable[[str, int, int], None] | None = None
) -> list[Path]:
    """Fetch a data set's missing files into a folder of its own; return the paths of all of them.

    source: address of a folder to use in place of the official ones. progress: called with (file name, bytes, of bytes).
    A file that is there with the right content is kept. Raises DatasetError; nothing half fetched or wrong is left.
    """
    if name not in SETS:
        raise DatasetError(f'dataset: "{name}" cannot be fetched, allowed: {", ".join(SETS)}')
    chosen, target = SETS[name], folder / name
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"dataset {name}: cannot make the folder {target} ({error.strerror})") from None
    paths = []
    for file in chosen.files:
        path = target / file.name
        if not _is_good(path, file):
            _fetch_from_any((source,) if source else chosen.sources, name, file, path, progress)
        paths.append(path)
    return paths


def _is_good(path: Path, file: OfficialFile) -> bool:
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256


def _fetch_from_any(sources, name: str, file: OfficialFile, path: Path, progress) -> None:
    problems = []
    for source in sources:
        address = f"{source.rstrip('/')}/{file.name}"
        try:
            _fetch_file(address, file, path, progress)
            return
        except (urllib.error.URLError, http.client.HTTPException, OSError, DatasetError, ValueError) as error:
            problems.append(f"{address}: {' '.join(str(error).split()) or type(error).__name__}")
    raise DatasetError(f"dataset {name}: cannot fetch {file.name}: {'; '.join(problems)}")


def _fetch_file(address: str, file: OfficialFile, path: Path, progress) -> None:
    """Write to a file beside the target, check it, and only then move it there: readers see all of it or nothing."""
    if not address.startswith(("https://", "http://")):
        raise DatasetError("only http and https addresses are allowed")
    digest, received = hashlib.sha256(), 0
    handle, beside = tempfile.mkstemp(prefix=f".{file.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            for part in _parts(address):
                received += len(part)
                if received > file.size:
                    raise DatasetError(f"has more than the expected {file.size:,} bytes")
                digest.update(part)
                stream.write(part)
                if progress is not None:
                    progress(file.name, received, file.size)
            stream.flush()
            os.fsync(stream.fileno())
        if received != file.size:
            raise DatasetError(f"ended after {received:,} of the expected {file.size:,} bytes")
        if digest.hexdigest() != file.sha256:
            raise DatasetError(f"has SHA-256 {digest.hexdigest()}, expected {file.sha256}")
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def _parts(address: str) -> Iterator[bytes]:
    request = urllib.request.Request(address, headers={"User-Agent": "abovo"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        while part := response.read(_PART):
            yield part
