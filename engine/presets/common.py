"""What several presets share."""

from __future__ import annotations

from engine.ops import Op

HELD_OUT_PAIRS = ((0, 5), (0, 9), (1, 8), (2, 9), (3, 5), (3, 6), (3, 8), (4, 6), (8, 9))
"""Class pairs that no search sees: the reference's nine."""


def op_names(*ids: int | range) -> tuple[str, ...]:
    """Return op names of ids and ranges of ids."""
    flat = [one for part in ids for one in (part if isinstance(part, range) else (part,))]
    return tuple(Op(one).name for one in flat)
