"""Where in a line of ancestors each motif of its last program appeared for good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.algorithm import Algorithm as Program
from webapp.experiments import lineage
from webapp.experiments.lineage import Step

Appearances = dict[str, list]
"""Motif: [number of the step, birth, score]."""


def appearances(island_id: int, birth: int) -> Appearances:
    """Return the step at which each motif appeared that the line has had ever since.

    Programs are compared at every waypoint, and step by step only where a motif comes in between two: one that was away for
    less than the steps between waypoints counts as there.
    """
    look = _Look()
    points = [(depth, look.motifs(program)) for depth, program in lineage.waypoint_programs(island_id, birth)]
    if not points:
        return {}
    comes_in: dict[tuple[int, int], set[str]] = {}
    for name in points[-1][1]:
        without = max((place for place, (_depth, motifs) in enumerate(points) if name not in motifs), default=-1)
        first = points[without][0] + 1 if without >= 0 else 0
        comes_in.setdefault((first, points[without + 1][0] + 1), set()).add(name)
    found: Appearances = {}
    for (first, last), names in comes_in.items():
        steps = lineage.steps_between(island_id, birth, first, last)
        found |= {name: place for name, place in look.since(steps).items() if name in names}
    return found


class _Look:
    """Recognises motifs, each canonical form once."""

    def __init__(self) -> None:
        self._known: dict[bytes, frozenset[str]] = {}

    def motifs(self, data: Mapping[str, list]) -> frozenset[str]:
        """Return the motifs of a program."""
        from engine.canonical import canonical, canonical_digest
        from engine.explain import explain

        program = Program.from_json(data)
        digest = canonical_digest(program)
        if digest not in self._known:
            self._known[digest] = frozenset(explain(canonical(program)).motifs)
        return self._known[digest]

    def since(self, steps: Iterable[Step]) -> Appearances:
        """Return the step since which each motif is there that the last step has; those there from the first count from it."""
        found: Appearances = {}
        motifs: frozenset[str] | None = None
        for step in steps:
            if (step.diff or motifs is None) and step.program is not None:
                motifs = self.motifs(step.program)
            found = {name: place for name, place in found.items() if name in (motifs or ())}
            for name in motifs or ():
                found.setdefault(name, [step.number, step.birth, step.score])
        return found
