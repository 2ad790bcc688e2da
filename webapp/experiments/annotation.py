"""What the engine's explanation says of a program's live lines, kept by canonical digest.

Roles and motifs follow from the data flow, which is the same for all programs of one canonical form; so the canonical form
is explained, once a process, and the result laid beside the live lines of any of them, in their own order.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import itemgetter
from typing import Generic, TypeVar

from engine.algorithm import COMPONENT_FUNCTIONS, Algorithm
from engine.canonical import CANONICAL_VERSION, canonical, canonical_digest, canonical_order
from webapp.experiments.models import Algorithm as Row

logger = logging.getLogger(__name__)

KEPT = 4096
MOST_LINES = 300
"""Live lines of the longest program that is explained; those that people look at have fewer than 50."""


@dataclass(frozen=True, slots=True)
class Role:
    """What one line is in the learner, in the engine's words. motifs: names of those it is part of."""

    name: str
    note: str
    motifs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Annotation:
    """model, learning: as engine.titles names them; learning is "" where labels change nothing. roles: of live lines."""

    model: str
    learning: str
    motifs: tuple[str, ...]
    roles: tuple[tuple[Role, ...], tuple[Role, ...], tuple[Role, ...]]


P = TypeVar("P")


@dataclass(frozen=True, slots=True, eq=False)
class Keyed(Generic[P]):
    """A program that counts as equal to any of the same digest, its own or the canonical one: for what is kept of the few that
    pages show over and over. program: read, or the row that stores it."""

    digest: bytes
    program: P

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keyed) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def annotate(row: Row, program: Algorithm, live: Sequence[Sequence[bool]]) -> Annotation | None:
    """Return what is known of a stored program; None where it is too long or cannot be explained.

    program: the row's, read. live: its mask of live lines.
    """
    if sum(map(sum, live)) > MOST_LINES:
        return None
    stored = row.canonical_digest is not None and row.canonical_version == CANONICAL_VERSION
    digest = bytes(row.canonical_digest) if stored else canonical_digest(program)
    found = _explained(Keyed(digest, program))
    if found is None or [len(part) for part in found.roles] != [sum(mask) for mask in live]:
        return None
    roles = tuple(
        tuple(role for _, role in sorted(zip(order, part, strict=True), key=itemgetter(0)))
        for order, part in zip(_canonical(program)[0], found.roles, strict=True)
    )
    return replace(found, roles=roles)  # type: ignore[arg-type]


def canonical_form(program: Algorithm) -> Algorithm:
    """Return the canonical form of a program that pages show, kept by its digest."""
    return _canonical(program)[1]


def _canonical(program: Algorithm) -> tuple[tuple[tuple[int, ...], ...], Algorithm]:
    return _ordered(Keyed(program.digest(), program))


@lru_cache(maxsize=KEPT)
def _ordered(key: Keyed[Algorithm]) -> tuple[tuple[tuple[int, ...], ...], Algorithm]:
    """Return the order of a program's live lines in its canonical form, and that form."""
    order = canonical_order(key.program)
    return order, canonical(key.program, order)


@lru_cache(maxsize=KEPT)
def _explained(key: Keyed[Algorithm]) -> Annotation | None:
    from engine.explain import explain

    try:
        explanation = explain(canonical_form(key.program))
    except Exception:  # a page lives without its remarks
        logger.exception("the program of canonical digest %s cannot be explained", key.digest.hex())
        return None
    roles = tuple(
        tuple(Role(line.role, line.note, line.motifs) for line in explanation.lines if line.function == name)
        for name in COMPONENT_FUNCTIONS
    )
    return Annotation(explanation.model, explanation.learning, explanation.motifs, roles)  # type: ignore[arg-type]
