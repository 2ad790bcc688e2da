"""Compile the catalogues of `locale/` into ABOVO_HOME, where Django reads them: without gettext's tools, at every start."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import polib

from webapp.lib.environment import BASE_DIR

SOURCES = BASE_DIR / "locale"


def compile_catalogues(target: Path, *, sources: Path = SOURCES) -> list[Path]:
    """Compile every catalogue that changed into the same folders under `target`; returns the files written.

    Texts without translation, or with one that is marked fuzzy, stay English. Raises OSError, also where a catalogue is
    broken; what was compiled before is then still there.
    """
    written = []
    for source in sorted(sources.glob("*/LC_MESSAGES/*.po")):
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        compiled = (target / source.relative_to(sources)).with_suffix(".mo")
        stamp = compiled.with_suffix(".sha256")
        if compiled.exists() and stamp.exists() and stamp.read_text() == digest:
            continue
        compiled.parent.mkdir(parents=True, exist_ok=True)
        fresh = compiled.with_suffix(f".{os.getpid()}")
        polib.pofile(str(source)).save_as_mofile(str(fresh))
        os.replace(fresh, compiled)
        stamp.write_text(digest)
        written.append(compiled)
    return written
