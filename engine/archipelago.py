"""Several islands in one process: populations that search side by side and exchange algorithms.

The result depends on the specification and the seed alone, not on how many threads run the islands nor on which is
faster: rounds are counted in programs tried, and an island takes in what the others sent out two rounds before, so that
none has to wait for another unless it is more than a round ahead. (Limits in seconds, and interruptions, are another
matter.) Compiled code releases the interpreter lock, so that threads keep as many cores busy.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace

from engine.island import draw
from engine.records import Departure, Migrant, SliceReport
from engine.search import Search, stable_seed
from engine.spec import MigrationSpec, SearchSpec, island_seed

LAG = 2
"""Rounds between an algorithm's departure and its arrival."""


class Archipelago:
    """The islands of a search, run in lockstep to their ends.

    When one solves the search, the others end with the round after that one's.
    """

    def __init__(self, spec: SearchSpec, seed: int):
        if spec.migration is None:
            # Rounds without an exchange: what is found does not depend on them.
            spec = replace(spec, migration=MigrationSpec(count=0))
        assert spec.migration is not None
        self.spec, self.seed = spec, seed
        self._departures: list[dict[int, Departure]] = [{} for _ in range(spec.islands)]
        self._rounds = [0] * spec.islands
        self._ended: list[int | None] = [None] * spec.islands
        """The round in which an island ended by itself."""
        self._solved: int | None = None
        """The first round in which one was solved."""
        self._reports: list[SliceReport | None] = [None] * spec.islands
        self._lock = threading.Lock()

    def run(
        self,
        *,
        workers: int,
        should_stop: Callable[[], bool] = lambda: False,
        on_report: Callable[[int, SliceReport], None] = lambda index, report: None,
    ) -> list[SliceReport]:
        """Run all islands to their ends on so many threads; return the last report of each that has a result.

        on_report: called with an island's index and its report after each of its rounds, and when others end it.
        """
        islands = [
            Search.start(self.spec.for_island(index), island_seed(self.seed, index), index=index)
            for index in range(self.spec.islands)
        ]
        for island in islands:
            island.exchange = self._exchange_of(island)
        with ThreadPoolExecutor(workers) as pool:
            running: dict[Future, int] = {}
            while True:
                if not should_stop():
                    for index in self._ready(running.values())[: workers - len(running)]:
                        running[pool.submit(self._run_round, islands[index], should_stop)] = index
                if not running:
                    break
                # Short waits let a signal reach Python.
                done, _ = wait(running, timeout=0.1, return_when=FIRST_COMPLETED)
                for future in done:
                    index = running.pop(future)
                    on_report(index, future.result())
        for index, island in enumerate(islands):
            if not island.finished:
                reason = "solved elsewhere" if self._solved is not None else "interrupted"
                self._reports[index] = report = island.conclude(reason)
                on_report(index, report)
        return [report for report in self._reports if report is not None and report.result is not None]

    def _ready(self, running: Collection[int]) -> list[int]:
        """Return the islands that may begin their next round, those that are furthest behind first."""
        ready = []
        for index, number in enumerate(self._rounds):
            if index in running or self._ended[index] is not None:
                continue
            if self._solved is not None and number > self._solved + 1:
                continue
            if all(
                other == index or end is not None or self._rounds[other] > number - LAG
                for other, end in enumerate(self._ended)
            ):
                ready.append(index)
        return sorted(ready, key=lambda index: (self._rounds[index], index))

    def _run_round(self, island: Search, should_stop: Callable[[], bool]) -> SliceReport:
        """Run an island up to its next exchange, or to its end."""
        number = island.exchanges
        report = island.run(seconds=float("inf"), should_stop=lambda: island.exchanges > number or should_stop())
        with self._lock:
            self._reports[island.index] = report
            self._rounds[island.index] = island.exchanges
            if island.finished:
                self._ended[island.index] = number
                if report.result is not None and report.result.solved:
                    self._solved = number if self._solved is None else min(self._solved, number)
        return report

    def _exchange_of(self, island: Search) -> Callable[[Departure], Sequence[Migrant]]:
        def exchange(departure: Departure) -> Sequence[Migrant]:
            assert self.spec.migration is not None
            with self._lock:
                sent = self._departures[island.index]
                sent[departure.number] = departure
                # Nobody can be further behind than that.
                sent.pop(departure.number - 2 * LAG, None)
                others = [
                    kept[departure.number - LAG]
                    for other, kept in enumerate(self._departures)
                    if other != island.index and departure.number - LAG in kept
                ]
            candidates = [
                migrant for one in others if one.experiment == departure.experiment for migrant in one.migrants
            ]
            seed = stable_seed(self.seed, "immigrants", island.index, departure.number)
            return [candidates[one] for one in draw(seed, len(candidates), self.spec.migration.count)]

        return exchange
