"""Where things stand in the block of memory that copied machine code (``engine/core/stencils.py``) works on: its frame.

It begins with a head of words; the rest are arrays over lanes, then scratch memory, the program's constants and its registers.
All are reached from one address by 32-bit displacements.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_ABS_ERROR, TRAIN_FEATURES, TRAIN_LABELS, LAST_FEATURES, CLASSES, TRAIN_COUNT = range(6)
"""Words of the head. LAST_FEATURES, out: address of the features of the last example. TRAIN_COUNT: examples of the loop that runs."""
_HEAD_WORDS = 16
AHEAD = 2
"""How many examples ahead of the one at hand are asked for from memory: so many entries the order of examples has behind its last."""


class Layout(NamedTuple):
    """Displacements in bytes; each array is aligned to 64 bytes.

    alive: (L,) int64, 0 or -1: which lanes go on. totals: (L,) float64: sums of errors in validation. steps: (L,) int64:
    training steps of lanes that failed. hashes: (L,) uint64. random: (4, L) uint64. zeros: a vector register of zeros.
    scratch: room for a matrix register. bank: where the registers begin; behind them 3 words of constants for each instruction.
    """

    alive: int
    totals: int
    steps: int
    hashes: int
    random: int
    zeros: int
    scratch: int
    bank: int


def layout(features: int, lanes: int) -> Layout:
    """Return the layout for a shape; lanes: a multiple of those of a vector."""
    place, places = 8 * _HEAD_WORDS, []
    for words in (lanes, lanes, lanes, lanes, 4 * lanes, features * lanes, features**2 * lanes):
        place += -place % 64
        places.append(place)
        place += 8 * words
    return Layout(*places, place + -place % 64)
