"""The line of ancestors of an individual, replayed program by program.

A line may be millions of mutations long, nearly all of them neutral. So every STRETCH steps an individual has a waypoint
that keeps its program and a summary of the stretch before it: a page reads the summaries and replays only the last,
unfinished stretch. Programs are JSON here, {"setup": […], "predict": […], "learn": […]}: few of their lines are ever
printed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from engine.algorithm import COMPONENT_FUNCTIONS
from webapp.experiments.models import Individual, Waypoint

STRETCH = 256
NEUTRAL = 1e-9

_LINE = """
    WITH RECURSIVE line AS (
        SELECT island_id, birth, parent, parent_island_id, depth, mutation, change, score
        FROM experiments_individual WHERE island_id = %s AND birth = %s
      UNION ALL
        SELECT one.island_id, one.birth, one.parent, one.parent_island_id, one.depth, one.mutation, one.change, one.score
        FROM line JOIN experiments_individual one
          ON one.island_id = COALESCE(line.parent_island_id, line.island_id) AND one.birth = line.parent
        WHERE line.depth > %s
    )
    SELECT island_id, birth, depth, mutation, change, score FROM line ORDER BY depth
"""

_WAYPOINTS = """
    WITH RECURSIVE line AS (
        SELECT island_id, birth, depth, previous_island_id, previous_birth{stretch}
        FROM experiments_waypoint WHERE island_id = %s AND birth = %s
      UNION ALL
        SELECT one.island_id, one.birth, one.depth, one.previous_island_id, one.previous_birth{one_stretch}
        FROM line JOIN experiments_waypoint one
          ON one.island_id = line.previous_island_id AND one.birth = line.previous_birth
    )
    SELECT island_id, birth, depth{stretch} FROM line ORDER BY depth
"""


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One row of the line."""

    island_id: int
    birth: int
    depth: int
    mutation: str
    change: dict[str, Any]
    score: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """An ancestor, and what its mutation changed in the parent's program. number: 0 for the first ancestor.

    diff: [{"function": "predict", "line": 3, "removed": [instruction, …], "added": [instruction, …]}, …]
    """

    number: int
    island_id: int
    birth: int
    mutation: str
    score: float | None
    parent_score: float | None
    diff: list[dict[str, Any]]
    program: dict[str, list] | None = None

    @property
    def gain(self) -> float | None:
        """Score minus the parent's score; None where either is missing."""
        if self.score is None or self.parent_score is None:
            return None
        return self.score - self.parent_score

    @property
    def is_neutral(self) -> bool:
        """Whether the score stayed as it was; sums of the same task scores may differ in their last bit."""
        return self.number > 0 and (self.gain is None or abs(self.gain) < NEUTRAL)

    def to_json(self) -> list:
        """Return the step as waypoints keep it."""
        return [self.number, self.island_id, self.birth, self.mutation, self.score, self.parent_score, self.diff]


@dataclass(frozen=True, slots=True)
class Neutral:
    """A stretch of steps that left the score as it was. copies: how many of them left the program as it was, too."""

    first: int
    count: int
    copies: int

    @property
    def mutations(self) -> int:
        """How many steps changed the program without changing the score."""
        return self.count - self.copies


def line_to(island_id: int, birth: int, *, down_to: int = 0) -> list[Ancestor]:
    """Return the ancestors of depth `down_to` and more up to this individual, oldest first, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(_LINE, [island_id, birth, down_to])
        return [Ancestor(*row[:4], json.loads(row[4]), row[5]) for row in cursor.fetchall()]


def base_depth(depth: int) -> int:
    """Return the depth of the last waypoint (or first ancestor) before an individual of this depth."""
    return max(depth - 1, 0) // STRETCH * STRETCH


def last_stretch(island_id: int, birth: int) -> tuple[Ancestor | None, list[Step]]:
    """Return the nearest ancestor that has a waypoint or is the first, and the steps after it (and it, where it is the first)."""
    line = _last_line(island_id, birth)
    return (line[0], list(steps(line, program=_program_at(line[0])))) if line else (None, [])


def _last_line(island_id: int, birth: int) -> list[Ancestor]:
    """Return an individual's ancestors from the nearest that has a waypoint or is the first; [] for one that is not known."""
    depth = Individual.objects.filter(island_id=island_id, birth=birth).values_list("depth", flat=True).first()
    return [] if depth is None else line_to(island_id, birth, down_to=base_depth(depth))


def _program_at(one: Ancestor) -> dict[str, list] | None:
    """Return the program of an ancestor that has a waypoint; None for a first ancestor, whose change holds it."""
    if one.depth == 0:
        return None
    return Waypoint.objects.values_list("program", flat=True).get(island_id=one.island_id, birth=one.birth)


def story(island_id: int, birth: int) -> tuple[int, list[Step | Neutral]]:
    """Return how many steps a line has, and the steps that changed the score with the neutral stretches between them.

    Takes four queries however long the line is.
    """
    line = _last_line(island_id, birth)
    if not line:
        return 0, []
    events: list[Step | Neutral] = []
    if line[0].depth:
        for *_, stretch in _waypoints(line[0], stretches=True):
            _append(events, from_json(json.loads(stretch)))
    _append(events, summary(line, program=_program_at(line[0]))[0])
    return line[-1].depth, events


def waypoint_programs(island_id: int, birth: int) -> list[tuple[int, dict[str, list]]]:
    """Return (depth, program) of a line's waypoints, oldest first, and of its last individual."""
    base, tail = last_stretch(island_id, birth)
    if base is None:
        return []
    points: list[tuple[int, dict[str, list]]] = []
    if base.depth:
        with connection.cursor() as cursor:
            cursor.execute(
                _WAYPOINTS.format(stretch=", program", one_stretch=", one.program"), [base.island_id, base.birth]
            )
            points = [(depth, json.loads(program)) for _island, _birth, depth, program in cursor.fetchall()]
    if tail and tail[-1].program is not None:
        points.append((tail[-1].number, tail[-1].program))
    return points


def _waypoints(base: Ancestor, *, stretches: bool = False) -> list[tuple]:
    """Return (island, birth, depth[, stretch as text]) of the waypoints up to this one."""
    parts = (
        {"stretch": ", stretch", "one_stretch": ", one.stretch"} if stretches else {"stretch": "", "one_stretch": ""}
    )
    with connection.cursor() as cursor:
        cursor.execute(_WAYPOINTS.format(**parts), [base.island_id, base.birth])
        return cursor.fetchall()


def steps_between(island_id: int, birth: int, first: int, last: int) -> list[Step]:
    """Return the steps numbered first to last (not included) of a line, neutral ones too."""
    found = []
    for part in stretches(island_id, birth, first=first, last=last):
        found += [step for step in part if first <= step.number < last]
    return found


def stretches(island_id: int, birth: int, *, first: int = 0, last: int | None = None) -> Iterator[list[Step]]:
    """Yield a line's steps from the first ancestor on, stretch by stretch; those outside of [first, last) are left out."""
    base, tail = last_stretch(island_id, birth)
    if base is None:
        return
    if base.depth:
        for waypoint_island, waypoint_birth, depth in _waypoints(base):
            if depth >= first and (last is None or depth - STRETCH < last):
                line = line_to(waypoint_island, waypoint_birth, down_to=depth - STRETCH)
                yield list(steps(line, program=_program_at(line[0])))
    yield tail


def steps(line: Iterable[Ancestor], *, program: dict[str, list] | None = None) -> Iterator[Step]:
    """Replay a line. With `program`, the first entry only gives the score to start from, and is not itself a step."""
    score: float | None = None
    for index, one in enumerate(line):
        if index > 0 or program is None:
            step = _step(one, program, score)
            program = step.program
            yield step
        score = one.score


def _step(one: Ancestor, program: dict[str, list] | None, score: float | None) -> Step:
    """Return an ancestor as a step from its parent's program and score."""
    if "program" in one.change:
        program = {name: list(one.change["program"].get(name, [])) for name in COMPONENT_FUNCTIONS}
        diff = [
            {"function": name, "line": 0, "removed": [], "added": program[name]}
            for name in COMPONENT_FUNCTIONS
            if program[name]
        ]
    else:
        program, diff = apply_edits(program or {}, one.change.get("edits", []))
    return Step(one.depth, one.island_id, one.birth, one.mutation, one.score, score, diff, program)


def apply_edits(program: dict[str, list], edits: list) -> tuple[dict[str, list], list[dict[str, Any]]]:
    """Return the program with the edits applied one after the other, and what changed."""
    if not edits:
        return program, []
    changed = dict(program)
    diff = []
    for index, start, removed_count, added in edits:
        name = COMPONENT_FUNCTIONS[index]
        lines = changed[name]
        removed = lines[start : start + removed_count]
        changed[name] = lines[:start] + added + lines[start + removed_count :]
        if removed != added:
            diff.append({"function": name, "line": start, **_shortened(removed, added)})
    return changed, diff


def _shortened(removed: list, added: list) -> dict[str, list]:
    """Leave out what a replaced stretch has in common at its ends."""
    first = 0
    while first < min(len(removed), len(added)) and removed[first] == added[first]:
        first += 1
    last = 0
    while last < min(len(removed), len(added)) - first and removed[-1 - last] == added[-1 - last]:
        last += 1
    return {"removed": removed[first : len(removed) - last], "added": added[first : len(added) - last]}


def summary(
    line: Iterable[Ancestor], *, program: dict[str, list] | None = None
) -> tuple[list[Step | Neutral], dict[str, list] | None]:
    """Return the steps of a line that changed the score, neutral stretches between them counted, and the last program.

    As `steps` replays it, but that what is neutral, nearly everything, is only counted.
    """
    events: list[Step | Neutral] = []
    score: float | None = None
    first = count = copies = 0  # of the neutral stretch that goes on
    for index, one in enumerate(line):
        if index == 0 and program is not None:
            score = one.score
            continue
        if one.depth and (score is None or one.score is None or abs(one.score - score) < NEUTRAL):
            program, diff = apply_edits(program or {}, one.change["edits"])
            first = first if count else one.depth
            count += 1
            copies += not diff
        else:
            if count:
                events.append(Neutral(first, count, copies))
                count = copies = 0
            step = _step(one, program, score)
            program = step.program
            events.append(step)
        score = one.score
    if count:
        events.append(Neutral(first, count, copies))
    return events, program


def _append(events: list[Step | Neutral], more: Sequence[Step | Neutral]) -> None:
    """Append events, joining neutral stretches that meet."""
    for one in more:
        previous = events[-1] if events else None
        if isinstance(one, Neutral) and isinstance(previous, Neutral):
            events[-1] = Neutral(previous.first, previous.count + one.count, previous.copies + one.copies)
        else:
            events.append(one)


def to_json(events: Iterable[Step | Neutral]) -> list:
    """Return a summary as waypoints keep it."""
    return [[one.first, one.count, one.copies] if isinstance(one, Neutral) else one.to_json() for one in events]


def from_json(data: Iterable[list]) -> list[Step | Neutral]:
    """Read a summary."""
    return [Neutral(*one) if len(one) == 3 else Step(*one) for one in data]
