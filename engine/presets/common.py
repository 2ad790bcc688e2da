"""What several presets share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.ops import Op
from engine.spec import HurdleSpec

HELD_OUT_PAIRS = ((0, 5), (0, 9), (1, 8), (2, 9), (3, 5), (3, 6), (3, 8), (4, 6), (8, 9))
"""Class pairs that no search sees: the reference's nine."""


def op_names(*ids: int | range) -> tuple[str, ...]:
    """Return op names of ids and ranges of ids."""
    flat = [one for part in ids for one in (part if isinstance(part, range) else (part,))]
    return tuple(Op(one).name for one in flat)


BUILDING: Mapping[str, float] = {
    "alter_parameter": 1.0, "randomize_function": 1.0, "insert": 1.0, "remove": 1.0,
    "grow": 0.1, "branch": 0.2, "graft": 0.2, "bypass": 0.2, "rewire": 0.2, "tune": 0.3,
}  # fmt: skip
"""Mutations of Ab Ovo's search: the published ones, and fewer that follow the data flow."""


def ab_ovo(hurdle: HurdleSpec) -> dict[str, Any]:
    """Return what makes a search one of Ab Ovo's, as fields of SearchSpec; docs/search.md explains each and why."""
    return {
        "selection": "ring", "population_size": 400, "tournament_size": 5,
        "mutations": dict(BUILDING), "more_mutations": 0.3, "price": 0.005, "hurdle": hurdle,
    }  # fmt: skip
