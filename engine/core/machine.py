"""Memory for machine code: the image of a shape's stencils, room for programs, and the frame that they work on."""

from __future__ import annotations

import ctypes
import mmap
from typing import NamedTuple

import numpy as np

from engine.core import assembly as code
from engine.core import linking, stencils
from engine.core.frame import CLASSES, MAX_ABS_ERROR, layout

ROOM = 1 << 17
"""Bytes for programs before the first are overwritten: more than the first-level instruction cache holds, so that those have left it, and
little of the second-level cache."""
_FIXED = 8
"""Stencils of a program besides its ops, each several times."""


class Place(NamedTuple):
    """A machine and the memory that it needs, which lives as long as this."""

    machine: np.ndarray
    """(assembly.WORDS,) int64."""
    frame: np.ndarray
    """(words,) int64, aligned to 64 bytes: engine/core/frame.py, then the registers, then constants."""
    kept: tuple[mmap.mmap, linking.Stencils]


def new_place(shape: stencils.Shape, bank_words: int, rows: int, max_abs_error: float, classes: int) -> Place | None:
    """Return a machine for programs of up to `rows` instructions and registers of `bank_words`.

    None where memory that can be written and run is refused.
    """
    made = stencils.stencils(shape)
    size = int(made.table[:, linking.SIZE].max()) * 2 * (rows + 4 * _FIXED) + 4096
    room = ROOM + size
    try:
        # Private: a process forked later gets memory of its own as soon as either writes.
        memory = mmap.mmap(
            -1,
            len(made.image) + room,
            flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,
            prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC,
        )
    except (OSError, ValueError, AttributeError):
        return None
    image = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    memory[: len(made.image)] = made.image.tobytes()
    library = ctypes.CDLL(None)
    for slot, name in zip(made.imports, linking.LIBRARY):
        function = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
        memory[int(slot) : int(slot) + 8] = int(function or 0).to_bytes(8, "little")
    places = layout(shape.features, shape.lanes)
    bank = places.bank // 8
    raw = np.zeros(bank + bank_words + 3 * rows + 16, np.int64)
    frame = raw[-raw.ctypes.data % 64 // 8 :]
    frame[MAX_ABS_ERROR] = np.float64(max_abs_error).view(np.int64)
    frame[CLASSES] = classes
    machine = np.zeros(code.WORDS, np.int64)
    begin = image + len(made.image)
    machine[code.IMAGE], machine[code.BEGIN], machine[code.END], machine[code.POSITION] = (
        image,
        begin,
        begin + room,
        begin,
    )
    machine[code.ROOM], machine[code.FRAME] = size, frame.ctypes.data
    machine[code.TABLE], machine[code.PATCHES] = made.table.ctypes.data, made.patches.ctypes.data
    machine[code.ZEROS], machine[code.BANK] = places.zeros, places.bank
    machine[code.CONSTANTS] = places.bank + 8 * bank_words
    machine[code.FEATURES], machine[code.LANES] = shape.features, shape.lanes
    return Place(machine, frame, (memory, made))
