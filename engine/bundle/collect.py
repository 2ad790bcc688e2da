"""Collect what a search reports, to write it as a bundle."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import BinaryIO
from uuid import UUID

from engine.bundle.form import COUNTERS, BundledFind, Head, IslandState, Origin
from engine.bundle.read import Row
from engine.bundle.write import write_search
from engine.records import Counters, CurvePoint, Find, IndividualRecord, Result, SliceReport
from engine.spec import SearchSpec

_COUNTED = ("evaluations", "fec_hits", "cache_hits", "rejected", "cut")

Place = tuple[int, int]
"""An individual: index of its island, number of its birth."""


class Collector:
    """Takes the reports of a search's islands, and writes them as one section. Reports may come twice."""

    def __init__(self, spec: SearchSpec, seed: int):
        self.spec, self.seed = spec, seed
        self.began = datetime.now(UTC)
        self._individuals: dict[Place, IndividualRecord] = {}
        self._finds: dict[Place, Find] = {}
        self._points: dict[int, dict[int, tuple[CurvePoint, Counters | None]]] = {}
        self._last: dict[int, SliceReport] = {}

    def take(self, island: int, report: SliceReport) -> None:
        """Take over what a report of this island brings."""
        for one in report.individuals:
            self._individuals[island, one.birth] = one
        for find in report.finds:
            self._finds[island, find.birth] = find
        points = self._points.setdefault(island, {})
        for number, point in enumerate(report.points, start=1):
            points[point.individuals] = (point, report.counters if number == len(report.points) else None)
        self._last[island] = report

    def write(self, file: BinaryIO, *, origin: Origin | None = None) -> Head:
        """Write the search, which has ended, and return what its first line says."""
        finds, result = self._all_finds()
        best = self._last[result[0]]
        assert best.result is not None
        head = Head(
            uid=self._uid(finds),
            title=self.spec.title or self.spec.name,
            spec=self.spec,
            seed=self.seed,
            state="stopped" if best.finish_reason == "interrupted" else "finished",
            finish_reason=best.finish_reason,
            solved=best.result.solved,
            result=result,
            created_at=self.began,
            started_at=self.began,
            finished_at=datetime.now(UTC),
            origin=origin or Origin(),
        )
        write_search(
            file, head, islands=[self._island(index, head.state) for index in range(self.spec.islands)], finds=finds,
            ancestry=self._lines(finds), curves=[(island, self._curve(island)) for island in sorted(self._points)],
        )  # fmt: skip
        return head

    def _all_finds(self) -> tuple[list[BundledFind], Place]:
        """Return what was found, in order, with the islands' results, and where the best of these is."""
        results = {
            (island, report.result.birth): report for island, report in self._last.items() if report.result is not None
        }
        found = dict(self._finds)
        for place, report in results.items():
            assert report.result is not None
            found.setdefault(place, _found(report.result, report.counters))
        finds: list[BundledFind] = []
        best: float | None = None
        for place, find in sorted(found.items(), key=lambda one: (one[1].seconds, one[0])):
            score = _finite(find.score)
            report = results.get(place)
            finds.append(
                BundledFind(
                    *place, find.algorithm, score, find.individuals, find.train_steps, find.experiment, find.seconds,
                    previous_score=best, **_unseen(report.result if report else None),
                )
            )  # fmt: skip
            if score is not None and (best is None or score > best):
                best = score
        return finds, max(results, key=lambda place: _merit(results[place].result))

    def _lines(self, finds: Iterable[BundledFind]) -> list[Row]:
        """Return the lines of these finds down to their first ancestors, parents before children."""
        depths: dict[Place, int] = {}
        for find in finds:
            line: list[Place] = []
            place: Place | None = (find.island, find.birth)
            while place is not None and place not in depths:
                line.append(place)
                place = _above(place[0], self._individuals[place])
            depth = -1 if place is None else depths[place]
            for number, one in enumerate(reversed(line), start=1):
                depths[one] = depth + number
        rows = []
        for (island, birth), depth in sorted(depths.items(), key=lambda one: (one[1], one[0])):
            one = self._individuals[island, birth]
            rows.append(
                Row(island, birth, one.parent, one.parent_island, one.mutation, one.change, _finite(one.score), depth)
            )
        return rows

    def _curve(self, island: int) -> list[list]:
        rows = []
        for individuals, (point, counters) in sorted(self._points[island].items()):
            scores = map(_finite, (point.best, point.mean, point.median, point.deviation, point.best_so_far))
            counted = [None if counters is None else getattr(counters, name) for name in _COUNTED]
            rows.append(
                [individuals, point.experiment, point.train_steps, point.seconds, *scores, point.distinct, *counted]
            )
        return rows

    def _island(self, index: int, state: str) -> IslandState:
        counters = self._last[index].counters if index in self._last else Counters()
        return IslandState(index, state, {name: getattr(counters, name) for name in COUNTERS}, counters.seconds)

    def _uid(self, finds: list[BundledFind]) -> UUID:
        """Return the search's identity: the same specification and seed that found the same is the same search."""
        found = [[one.island, one.birth, one.algorithm.digest().hex()] for one in finds]
        text = json.dumps([self.spec.to_json(), self.seed, found]).encode()
        return UUID(bytes=hashlib.sha256(text).digest()[:16], version=5)


def _above(island: int, one: IndividualRecord) -> Place | None:
    if one.parent is None:
        return None
    return (island if one.parent_island is None else one.parent_island, one.parent)


def _found(result: Result, counters: Counters) -> Find:
    return Find(
        result.birth, result.search_fitness, result.algorithm, counters.individuals, counters.train_steps,
        counters.seconds, result.experiment,
    )  # fmt: skip


def _unseen(result: Result | None) -> dict:
    if result is None:
        return {}
    return {
        "select_score": _finite(result.select_fitness),
        "final_score": _finite(result.final_fitness),
        "select_scores": [_finite(one) for one in result.select_scores],
        "final_scores": [_finite(one) for one in result.final_scores],
    }


def _merit(result: Result | None) -> tuple[float, float]:
    assert result is not None
    unseen = result.search_fitness if result.select_fitness is None else result.select_fitness
    return unseen, result.search_fitness


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
