"""Write settled ancestry, and the waypoints that it reaches.

A busy island settles a thousand individuals a second, and storing them must not cost the engine its time: so rows travel
as a few long texts that PostgreSQL takes apart, and waypoints are made from the rows at hand instead of reading them back.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from webapp.experiments import lineage
from webapp.experiments.lineage import Ancestor
from webapp.experiments.models import Individual, Island, Waypoint
from webapp.experiments.services.numbers import finite

_SEPARATOR = "\x1f"
"""Between the changes of one statement; JSON writes control characters only as escapes."""

_INSERT = """
    INSERT INTO experiments_individual (island_id, birth, parent, parent_island_id, depth, mutation, change, score)
    SELECT %s, * FROM unnest(
        %s::bigint[], %s::bigint[], %s::bigint[], %s::integer[], %s::text[], string_to_array(%s, E'\\x1f'), %s::float8[]
    )
    ON CONFLICT DO NOTHING
"""
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
_UNCHANGED = _encode({"edits": []})


@dataclass(frozen=True, slots=True)
class Row(Ancestor):
    """One individual on its way into the table. parent_island: its id, None where it is the same island."""

    parent: int | None
    parent_island: int | None


def record_individuals(island: Island, individuals: Sequence) -> dict[int, Row]:
    """Store settled ancestry, parents before children, and the waypoints that it reaches; returns the rows by birth.

    Raises ValueError where a parent is neither there nor stored.
    """
    if not individuals:
        return {}
    rows = _rows(island, individuals)
    store_rows(island.pk, rows.values())
    record_waypoints(island.pk, rows)
    return rows


def store_rows(island_id: int, rows: Collection[Row]) -> None:
    """Store rows of an island as they are; those that are there already stay."""
    with connection.cursor() as cursor:
        cursor.execute(
            _INSERT,
            [
                island_id,
                _array(row.birth for row in rows),
                _array(row.parent for row in rows),
                _array(row.parent_island for row in rows),
                _array(row.depth for row in rows),
                _array(f'"{row.mutation}"' for row in rows),
                _SEPARATOR.join(_text(row.change) for row in rows),
                _array(row.score for row in rows),
            ],
        )


def _rows(island: Island, individuals: Sequence) -> dict[int, Row]:
    islands = _islands(island, individuals)
    depths = _parents_depths(island, islands, individuals)
    rows: dict[int, Row] = {}
    for one in individuals:
        parent_island = None if one.parent_island is None else islands[one.parent_island]
        depth = 0
        if one.parent is not None:
            before = depths.get((parent_island or island.pk, one.parent))
            if before is None:
                raise ValueError(f"ancestry: birth {one.birth} came before its parent {one.parent}")
            depth = before + 1
        depths[island.pk, one.birth] = depth
        rows[one.birth] = Row(
            island.pk, one.birth, depth, one.mutation, one.change, finite(one.score), one.parent, parent_island
        )  # fmt: skip
    return rows


def _islands(island: Island, individuals: Iterable) -> dict[int, int]:
    """Return the ids of the islands that immigrants came from, by index."""
    indexes = {one.parent_island for one in individuals if one.parent_island is not None}
    if not indexes:
        return {}
    return dict(Island.objects.filter(search_id=island.search_id, index__in=indexes).values_list("index", "pk"))


def _parents_depths(island: Island, islands: dict[int, int], individuals: Iterable) -> dict[tuple[int, int], int]:
    """Return the depths of the parents that were stored before, by (island, birth)."""
    inside: set[int] = set()
    wanted: dict[int, set[int]] = {}
    for one in individuals:
        if one.parent_island is not None:
            wanted.setdefault(islands[one.parent_island], set()).add(one.parent)
        elif one.parent is not None and one.parent not in inside:
            wanted.setdefault(island.pk, set()).add(one.parent)
        inside.add(one.birth)
    depths = {}
    for island_id, births in wanted.items():
        stored = Individual.objects.filter(island_id=island_id, birth__in=births).values_list("birth", "depth")
        depths.update({(island_id, birth): depth for birth, depth in stored})
    return depths


def _array(values: Iterable) -> str:
    """Return a PostgreSQL array of numbers or plain words as text: far cheaper than adapting each element."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def _text(change: dict[str, Any]) -> str:
    return _UNCHANGED if change.get("edits") == [] else _encode(change)


def record_waypoints(island_id: int, rows: dict[int, Row]) -> None:
    """Store a waypoint for each row that is due for one; their lines must be stored or among them."""
    programs: dict[tuple[int, int], dict[str, list]] = {}
    waypoints = []
    for row in rows.values():
        if not row.depth or row.depth % lineage.STRETCH:
            continue
        line = _line(island_id, row, rows)
        base = line[0]
        if base.depth and (base.island_id, base.birth) not in programs:
            stored = Waypoint.objects.values_list("program", flat=True)
            programs[base.island_id, base.birth] = stored.get(island_id=base.island_id, birth=base.birth)
        events, program = lineage.summary(line, program=programs.get((base.island_id, base.birth)))
        assert program is not None
        programs[island_id, row.birth] = program
        waypoints.append(
            Waypoint(
                island_id=island_id, birth=row.birth, depth=row.depth, previous_island_id=base.island_id,
                previous_birth=base.birth, program=program, stretch=lineage.to_json(events),
            )
        )  # fmt: skip
    Waypoint.objects.bulk_create(waypoints, ignore_conflicts=True)


def _line(island_id: int, row: Row, rows: dict[int, Row]) -> list[Ancestor]:
    """Return the line from the last waypoint, or the first ancestor, to a row; from the database only what is not at hand."""
    down_to = lineage.base_depth(row.depth)
    line: list[Ancestor] = []
    one: Row | None = row
    while one is not None:
        line.append(one)
        if one.depth == down_to or one.parent is None:
            return line[::-1]
        above, one = one, None if one.parent_island is not None else rows.get(one.parent)
    assert above.parent is not None
    return lineage.line_to(above.parent_island or island_id, above.parent, down_to=down_to) + line[::-1]
