"""Islands: what travels keeps its ancestry, nobody is counted twice, and threads change nothing."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.algorithm import Algorithm, Instruction
from engine.archipelago import Archipelago
from engine.baselines import linear
from engine.island import draw
from engine.ops import Op
from engine.records import Migrant, apply_change
from engine.search import Search
from engine.spec import HurdleSpec, MigrationSpec, StopSpec

from .test_search import line_of, run_slice, tiny, whole, without_time

EVERY = 500


def spec_of(islands=3, **changes):
    changes = {"stop": StopSpec(max_individuals=4000, max_experiments=2, sufficient_fitness=1.0), **changes}
    return tiny(islands=islands, migration=MigrationSpec(every=EVERY, count=7), **changes)


class Log:
    """The islands of an archipelago, and all that they reported."""

    def __init__(self, spec, seed, workers, monkeypatch):
        self.records = [{} for _ in range(spec.islands)]
        self.points = [[] for _ in range(spec.islands)]
        self.finds = [[] for _ in range(spec.islands)]
        self.islands = {}
        start = Search.start.__func__

        def remember(cls, *args, index=0):
            self.islands[index] = start(cls, *args, index=index)
            return self.islands[index]

        with monkeypatch.context() as patch:
            patch.setattr(Search, "start", classmethod(remember))
            self.reports = Archipelago(spec, seed).run(workers=workers, on_report=self._take)

    def _take(self, index, report):
        for record in report.individuals:
            assert self.records[index].get(record.birth, record) == record
            self.records[index][record.birth] = record
        self.points[index] += report.points
        self.finds[index] += report.finds

    def line(self, index, birth):
        """The individual's line across islands, as (island, record)."""
        line = []
        while birth is not None:
            record = self.records[index][birth]
            line.append((index, record))
            index = index if record.parent_island is None else record.parent_island
            birth = record.parent
        return line[::-1]


def test_threads_change_nothing(monkeypatch):
    one, two = (Log(spec_of(), 5, workers, monkeypatch) for workers in (1, 2))
    assert [report.result for report in one.reports] == [report.result for report in two.reports]
    for index in range(3):
        assert without_time(one.points[index]) == without_time(two.points[index])
        assert one.records[index] == two.records[index]


def test_lines_cross_islands_and_are_complete(monkeypatch):
    log = Log(spec_of(), 5, 1, monkeypatch)
    crossings = 0
    for index, finds in enumerate(log.finds):
        for find in finds:
            program = None
            for _island, record in (line := log.line(index, find.birth)):
                program = apply_change(program, record.change)
            assert program == find.algorithm
            crossings += sum(record.parent_island is not None for _, record in line)
            assert all((record.mutation == "migrate") == (record.parent_island is not None) for _, record in line)
    assert crossings > 5


def test_migrants_count_as_individuals_only_where_they_were_born(monkeypatch):
    log = Log(spec_of(), 5, 1, monkeypatch)
    for report in log.reports:
        assert report.counters.individuals == 8000
        assert 0 < report.counters.immigrants <= 7 * (8000 // EVERY)
    assert all(island.island.births == 4000 + island.island.immigrants for island in log.islands.values())


def test_who_leaves_changes_nothing_for_those_who_stay():
    spec = spec_of(islands=1)
    search = Search.start(spec, 3)
    left = []
    search.exchange = lambda departure: left.append(departure) or ()
    points = []
    while not search.finished:
        points += search.run(seconds=1e9).points
    assert without_time(points) == without_time(whole(spec, 3)[2])
    assert [departure.number for departure in left] == list(range(len(left)))
    assert {len(departure.migrants) for departure in left} == {7}


def test_cut_anywhere_and_given_the_same_arrivals_it_is_the_same_search():
    spec = spec_of(islands=2, hurdle=HurdleSpec(10, 10, percentile=60.0, window=300, period=37))
    donor = Search.start(spec.for_island(1), 9, index=1)
    arrivals = []
    donor.exchange = lambda departure: arrivals.append(departure.migrants) or ()
    while not donor.finished:
        donor.run(seconds=1e9)

    def run(cuts=None):
        search = Search.start(spec.for_island(0), 3)
        points, records = [], {}
        while True:
            search.exchange = lambda departure: arrivals[departure.number]
            report = run_slice(search, cuts)
            points += report.points
            records |= {record.birth: record for record in report.individuals}
            if report.finished:
                return without_time(points), records, report.result, report.counters.immigrants
            if cuts:
                search = Search.restore(spec.for_island(0), 3, search.checkpoint())

    points, records, result, immigrants = run()
    cut_points, cut_records, cut_result, cut_immigrants = run(random.Random(2))
    assert (points, result, immigrants) == (cut_points, cut_result, cut_immigrants)
    common = records.keys() & cut_records.keys()
    assert len(common) > 50 and {one: records[one] for one in common} == {one: cut_records[one] for one in common}
    assert immigrants > 50


def test_the_pool_stays_small_while_immigrants_keep_coming():
    spec = spec_of(islands=2, stop=StopSpec(max_individuals=40_000, max_experiments=1))
    search = Search.start(spec.for_island(0), 3)
    # A straggler's line would otherwise be kept from its root on.
    search.exchange = lambda departure: [Migrant(1, departure.number, linear(0.1))]
    largest = 0
    while not search.finished:
        search.run(seconds=0.0)
        largest = max(largest, int(np.count_nonzero(search.island.pool.holders)))
    assert largest < 2500


def test_who_does_not_fit_is_turned_away():
    search = Search.start(spec_of(islands=1), 3)
    search.exchange = lambda departure: ()
    search.run(seconds=0.0)
    while search.island.births < 100:
        search.run(seconds=0.0)
    before = search.island.births
    long = Algorithm(predict=(Instruction(Op.SCALAR_SUM, 1, 1, 1),) * 99)
    wide = Algorithm(setup=(Instruction(Op.SCALAR_CONST_SET, 0, 0, 19, (1.0,)),))
    assert not search.island.admit(Migrant(1, 0, long)) and not search.island.admit(Migrant(1, 0, wide))
    assert search.island.births == before
    assert search.island.admit(Migrant(1, 0, search.island.algorithm(search.island.best_slot())))
    assert search.island.births == before + 1


def test_when_one_is_solved_the_others_end(monkeypatch):
    spec = spec_of(islands=2, stop=StopSpec(max_individuals=2000, max_experiments=100, sufficient_fitness=0.3))
    one, two = (Log(spec, 1, workers, monkeypatch) for workers in (1, 2))
    assert any(report.result.solved for report in one.reports)
    assert max(report.counters.experiments for report in one.reports) < 100
    assert [report.result for report in one.reports] == [report.result for report in two.reports]


def test_islands_may_differ(monkeypatch):
    spec = replace(
        spec_of(islands=4), island_groups=({}, {"search_tasks": {"count": 2}, "population_size": 50})
    ).check()
    log = Log(spec, 5, 2, monkeypatch)
    assert [len(island.island.evaluator.tasks) for island in log.islands.values()] == [4, 2, 4, 2]
    assert all(report.counters.immigrants for report in log.reports)


@pytest.mark.parametrize(("size", "count"), [(10, 3), (10, 10), (3, 50), (1, 1), (0, 5)])
def test_draws_are_different_numbers(size, count):
    drawn = draw(7, size, count)
    assert len(set(drawn)) == len(drawn) == min(size, count)
    assert all(0 <= one < size for one in drawn)
    assert drawn == draw(7, size, count)


def test_a_checkpoint_of_version_1_goes_on():
    """Written by the version before islands, in the middle of the second experiment."""
    data = (Path(__file__).parent / "data" / "checkpoint-1.bin").read_bytes()
    search = Search.restore(tiny(), 3, data)
    begun = search.island.first_birth + search.island.births
    points, records = [], {}
    while not search.finished:
        report = search.run(seconds=0.0)
        points += report.points
        records |= {record.birth: record for record in report.individuals}
    _, whole_report, whole_points, _, whole_records, _ = whole(tiny(), 3)
    expected = [point for point in whole_points if point.individuals > begun]
    assert without_time(points) == without_time(expected)
    assert report.result == whole_report.result
    common = records.keys() & whole_records.keys()
    assert len(common) > 30 and all(records[one] == whole_records[one] for one in common)


def test_lines_end_at_initial_individuals(monkeypatch):
    log = Log(spec_of(islands=1), 5, 1, monkeypatch)
    for find in log.finds[0]:
        assert line_of(log.records[0], find.birth)[0].mutation == "initial"
