"""The folder of compiled code on disk: nothing is compiled twice at a time, and folders of old versions are removed."""

from __future__ import annotations

import gc
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.core import CACHE_DIRECTORY

try:
    import fcntl
except ImportError:  # no such locks on this system: two processes may then compile the same code
    fcntl = None  # type: ignore[assignment]

YOUNG_OBJECTS = 200_000
"""Objects made between two rounds of Python's garbage collection while something compiles. numba makes millions that live on; looking
through them every 700, as is usual, took a sixth of the time."""

KEPT_DAYS = 30
"""How long the folder of a version that nobody starts any more is kept."""


@contextmanager
def compiling(what: str, *, timeout: float = 300.0) -> Iterator[None]:
    """Do what may compile while nobody else compiles the same, so that it finds in the cache what another has just compiled.

    what: a name for the compiled code, letters, digits and hyphens; no other may be waited for inside. timeout: seconds
    after which it goes on all the same: compiling twice costs time, nothing else.
    """
    lock = _take_lock(what, timeout)
    usual = gc.get_threshold()
    gc.set_threshold(max(usual[0], YOUNG_OBJECTS) if usual[0] else 0, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        if lock is not None:
            os.close(lock)


def _take_lock(what: str, timeout: float) -> int | None:
    """Return a descriptor that holds the lock until it is closed; None where there is no lock to be had."""
    if fcntl is None:
        return None
    try:
        CACHE_DIRECTORY.mkdir(parents=True, exist_ok=True)
        os.utime(CACHE_DIRECTORY)  # says that this version is in use
        lock = os.open(CACHE_DIRECTORY / f"{what}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:  # a cache that others filled and nobody may write to
        return None
    until = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except OSError:
            if time.monotonic() > until:
                os.close(lock)
                return None
            time.sleep(0.05)


def remove_old_versions(directory: Path = CACHE_DIRECTORY, *, days: float = KEPT_DAYS) -> list[Path]:
    """Remove the folders beside this version's that nobody has used for so many days; return which."""
    removed = []
    for other in directory.parent.glob("*"):
        if other == directory or not re.fullmatch(r"[0-9a-f]{16}", other.name) or other.is_symlink():
            continue
        try:
            unused = time.time() - other.stat().st_mtime
        except OSError:
            continue
        if other.is_dir() and unused > days * 86400:
            shutil.rmtree(other, ignore_errors=True)
            removed.append(other)
    return removed
