"""The compiled part of the engine: the only place for numba. Arrays and scalars in, arrays and scalars out.

Compiled code is cached on disk under a directory named by a digest of these sources: numba itself does not notice when a
function that a cached one calls was edited in another file.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numba


def _cache_directory() -> Path:
    """Return $ABOVO_NUMBA_CACHE (default: the user's cache directory) / digest of the sources in this folder and of the tables they read."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "abovo" / "numba"
    root = Path(os.environ.get("ABOVO_NUMBA_CACHE") or default)
    digest = hashlib.sha256(f"numba {numba.__version__}".encode())
    here = Path(__file__).parent
    for path in (*sorted(here.glob("*.py")), here.parent / "kinds.py", here.parent / "ops.py"):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return root / digest.hexdigest()[:16]


CACHE_DIRECTORY = _cache_directory()
numba.config.CACHE_DIR = str(CACHE_DIRECTORY)
