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


SCOUTING: Mapping[str, float] = {
    "alter_parameter": 1.0, "randomize_function": 0.1, "insert": 0.4, "remove": 1.0,
    "grow": 0.5, "branch": 1.0, "train": 0.3, "graft": 0.2, "bypass": 0.5, "rewire": 0.3, "tune": 0.7,
}  # fmt: skip
"""Mutations of scouts: the published ones, and those that follow the data flow."""
BUILDING: Mapping[str, float] = {
    "alter_parameter": 0.5, "randomize_function": 0.0, "insert": 0.0, "remove": 0.5,
    "grow": 0.0, "branch": 4.0, "train": 1.0, "graft": 0.0, "bypass": 0.5, "rewire": 0.3, "tune": 1.0,
}  # fmt: skip
"""Mutations of what starts from a find: mostly those that add what belongs together."""
FAN: Mapping[str, Any] = {
    "newcomers": 1.0,
    "mutations": {**dict.fromkeys(BUILDING, 0.0), "branch": 1.0},
    "stop": {"stagnation": 20_000},
}
"""A stage that searches the neighbourhood of one program, by one way of adding to it."""


def ab_ovo(hurdle: HurdleSpec) -> dict[str, Any]:
    """Return what makes a search one of Ab Ovo's, as fields of SearchSpec; docs/search.md explains each and why.

    Four scouts begin with nothing, in short programs; then what can be added to the best of their finds is tried, and to the best
    of all finds; then that is improved; and over again.
    """
    scout = {
        **_lengths(2, 3, 6), "mutations": dict(SCOUTING), "hurdle": {"percentile": 90.0}, "price": 0.02, "newcomers": 0.2,
        "stop": {"stagnation": 5000},
    }  # fmt: skip
    recent = {"start": "recent", **_lengths(4, 6, 12), **FAN}
    best = {"start": "best", **_lengths(5, 8, 16), **FAN}
    return {**_staged(), "hurdle": hurdle, "stages": (*[scout] * 4, recent, best, {"start": "best"})}


def building_on_finds(*, scouts_learn: int) -> dict[str, Any]:
    """Return the same for a search of Learn alone, whose programs cost next to nothing: two scouts, then their best find is added to
    and improved three times by turns.

    scouts_learn: how many instructions scouts have.
    """
    scout = {
        "learn": {"max_size": scouts_learn}, "mutations": dict(SCOUTING), "price": 0.02, "newcomers": 0.2,
    }  # fmt: skip
    fan = {"start": "recent", **FAN, "mutations": {**FAN["mutations"], "train": 1.0}}
    return {**_staged(), "stages": (*[scout] * 2, *[fan, {"start": "recent"}] * 3)}


def _staged() -> dict[str, Any]:
    return {
        "selection": "regularized", "population_size": 100, "tournament_size": 10,
        "mutations": dict(BUILDING), "more_mutations": 0.3, "validity": "corrects", "price": 0.01, "newcomers": 0.4,
    }  # fmt: skip


def _lengths(setup: int, predict: int, learn: int) -> dict[str, Any]:
    return {"setup": {"max_size": setup}, "predict": {"max_size": predict}, "learn": {"max_size": learn}}
