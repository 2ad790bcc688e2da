"""Write a search as a section of a bundle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, BinaryIO

from engine.bundle.form import POINT, BundledFind, Event, Head, IslandState
from engine.bundle.read import Row

ROWS_A_LINE = 200

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def write_search(
    file: BinaryIO,
    head: Head,
    *,
    islands: Sequence[IslandState],
    finds: Iterable[BundledFind],
    ancestry: Iterable[Row],
    curves: Iterable[tuple[int, Iterable[Sequence]]],
    events: Iterable[Event] = (),
) -> None:
    """Write one search; several into the same file make a bundle of several.

    ancestry: parents before children, complete for every find. curves: (island, points as POINT names their columns). The
    same arguments give the same bytes.
    """
    section = _Section(file)
    section.line(head.to_json())
    for part in (islands, finds):
        for one in part:
            section.line(one.to_json())
    scores: dict[tuple[int, int], float | None] = {}
    for rows in _chunks(ancestry):
        section.line({"kind": "ancestry", "rows": [_row(row, scores) for row in rows]})
    for island, points in curves:
        for chunk in _chunks(points):
            section.line({"kind": "curve", "island": island, "points": [list(point) for point in chunk]})
    for event in events:
        section.line(event.to_json())
    section.end()


assert POINT[0] == "individuals"


class _Section:
    def __init__(self, file: BinaryIO):
        self.file, self.lines, self.hash = file, 0, hashlib.sha256()

    def line(self, data: dict[str, Any]) -> None:
        text = (_encode(data) + "\n").encode()
        self.hash.update(text)
        self.lines += 1
        self.file.write(text)

    def end(self) -> None:
        text = _encode({"kind": "end", "lines": self.lines, "sha256": self.hash.hexdigest()})
        self.file.write((text + "\n").encode())


def _row(row: Row, scores: dict[tuple[int, int], float | None]) -> list:
    """Return a row as short as it can be: without a score that is the parent's, and then without a change that is none."""
    place = (row.island, row.birth)
    scores[place] = row.score
    if row.parent is None:
        return [row.island, row.birth, None, row.mutation, row.change, row.score]
    parent: int | list[int] = row.parent if row.parent_island is None else [row.parent_island, row.parent]
    above = (row.island if row.parent_island is None else row.parent_island, row.parent)
    result: list[Any] = [row.island, row.birth, parent, row.mutation]
    if row.score != scores[above]:
        return [*result, row.change["edits"], row.score]
    return [*result, row.change["edits"]] if row.change["edits"] else result


def _chunks(rows: Iterable) -> Iterable[list]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, ROWS_A_LINE)):
        yield chunk
