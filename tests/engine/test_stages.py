"""Stages: what differs between the experiments of a search, and what they begin from."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from engine.presets import preset
from engine.records import apply_change
from engine.search import Search
from engine.spec import FunctionSpec, SearchSpec, SpecError, StopSpec
from engine.unseen import Selector

from .test_search import line_of, tiny, whole, without_time

OPS = preset("linear-demo").setup.ops
STAGES = (
    {"price": 0.01, "stop": {"stagnation": 300}},
    {"start": "recent", "newcomers": 0.5, "population_size": 30, "mutations": {"insert": 0.0}},
    {"start": "best"},
)


def staged(**changes):
    return tiny(**{
        "stages": STAGES, "initial": "empty", "select_candidates": 3,
        "mutations": dict.fromkeys(("alter_parameter", "insert", "remove", "randomize_instruction"), 1.0),
        "setup": FunctionSpec(OPS, 1, 10), "predict": FunctionSpec(OPS, 1, 4), "learn": FunctionSpec(OPS, 1, 8),
        "stop": StopSpec(max_individuals=1500, max_experiments=7, sufficient_fitness=1.0), **changes,
    })  # fmt: skip


@pytest.mark.parametrize("stages", [STAGES, (STAGES[0], {}, {"start": "fresh"}, {"start": "fresh", "newcomers": 1.0})])
def test_cut_anywhere_and_resumed_gives_the_same_search(stages):
    spec = staged(stages=stages)
    _, report, points, finds, records, _ = whole(spec, 3)
    _, cut_report, cut_points, cut_finds, cut_records, slices = whole(spec, 3, cuts=random.Random(1))
    assert slices > 20
    assert without_time(points) == without_time(cut_points)
    assert without_time(finds) == without_time(cut_finds)
    assert report.result == cut_report.result
    assert report.counters.individuals == cut_report.counters.individuals
    assert all(cut_records[birth] == record for birth, record in records.items())


def test_each_experiment_is_searched_as_its_stage_says_and_begins_where_it_says():
    search = Search.start(staged(), 4)
    seen = {}
    while not search.finished:
        search.run(seconds=0.0)
        island = search.island
        if search.experiment not in seen:
            chosen = {1: search._recent, 2: search._selected}
            seen[search.experiment] = (island.spec.price, len(island.population), island.start, chosen)
    for number, (price, size, start, _) in seen.items():
        assert (price, size) == ((0.01, 100), (0.0, 30), (0.0, 100))[number % 3]
        assert (start is None) == (number % 3 == 0)
    assert len(seen) == 7
    individuals = search._counters().individuals
    # The third stage's 1,500 twice; stagnation may end the others before.
    assert 2 * 1500 <= individuals <= 7 * 1500


def test_what_an_experiment_begins_from_is_the_best_of_those_before():
    spec = staged()
    search = Search.start(spec, 5)
    while not search.finished:
        before = search.experiment, search._selected, search._recent
        search.run(seconds=0.0)
        if search.experiment == before[0]:
            continue
        start = search.island.start
        if search.experiment % 3 == 1:
            # The scouts' best since the last time, which is forgotten with it.
            assert start.algorithm.digest() and search._recent is None
            assert before[2] is None or start.birth >= before[2].find.birth or before[2].find.birth == start.birth
        if search.experiment % 3 == 2:
            assert (start.birth, start.algorithm) == (search._selected.find.birth, search._selected.find.algorithm)


def test_a_fresh_find_is_the_best_of_the_experiments_that_began_with_nothing_since_the_last_one(monkeypatch):
    chosen = []
    usual = Selector.choose
    monkeypatch.setattr(Selector, "choose", lambda *arguments: chosen.append(usual(*arguments)) or chosen[-1])
    stages = ({}, {}, {"start": "fresh"}, {"start": "best"})
    search = Search.start(staged(stages=stages, stop=StopSpec(max_individuals=500, max_experiments=20)), 5)
    others = 0
    while not search.finished:
        before = search.experiment
        search.run(seconds=0.0)
        if search.experiment == before or search.experiment % 4 != 2:
            continue
        candidates = [one for one in chosen if one.find.experiment in (before - 1, before)]
        best = max(candidates, key=lambda one: (one.fitness, one.find.birth))
        assert (search.island.start.birth, search.island.start.algorithm) == (best.find.birth, best.find.algorithm)
        others += best != search._selected
    assert others > 0


def test_ancestry_goes_on_from_what_an_experiment_begins_from():
    _, report, _, finds, records, _ = whole(staged(), 6)
    copies = [one for one in records.values() if one.mutation == "copy" and one.change == {"edits": []}]
    assert copies and all(one.parent_island is None for one in records.values())
    across = 0
    for find in [*finds, report.result]:
        line, algorithm = line_of(records, find.birth), None
        assert line[0].mutation == "initial"
        for record in line:
            algorithm = apply_change(algorithm, record.change)
        assert algorithm == find.algorithm
        for parent, child in pairwise(line):
            assert parent.birth < child.birth
        across += len({one.birth for one in line} & {one.birth for one in copies}) > 0
    assert across > 0


def test_newcomers_of_such_an_experiment_are_its_children():
    stages = ({}, {"start": "best", "newcomers": 1.0, "mutations": {"insert": 1.0}})
    search = Search.start(staged(stages=stages, stop=StopSpec(max_individuals=600, max_experiments=2)), 7)
    while search.experiment == 0:
        search.run(seconds=0.0)
    search.run(seconds=1e9)
    island = search.island
    start = int(island._breeding[1])
    assert island.algorithm(start) == island.start.algorithm
    living = [int(slot) for slot in island.population]
    assert {int(island.pool.parents[slot]) for slot in living} == {start}
    kinds = {island.pool.kinds[slot] for slot in living}
    assert len(kinds) > 1


def test_what_does_not_fit_the_stage_is_not_begun_from():
    stages = ({}, {"start": "best", "learn": {"max_size": 1}, "predict": {"max_size": 1}, "setup": {"max_size": 1}})
    long = staged(stages=stages, mutations={"insert": 1.0}, stop=StopSpec(max_individuals=600, max_experiments=2))
    search = Search.start(long, 8)
    while not search.finished:
        search.run(seconds=0.0)
    assert search.experiment == 1 and search.island.start is None


def test_limits_of_the_search_hold_in_all_stages():
    spec = staged()
    search = Search.start(spec, 3)
    search.run(seconds=0.0)
    search.set_stop(StopSpec(max_individuals=1500, max_experiments=1))
    assert search.run(seconds=1e9).finished and search.experiment == 0


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([3], "stages: expected a list of tables"),
        ([{}, {"registers": [1, 2, 3]}], "stages[1].registers: cannot differ, allowed: start, setup"),
        ([{"search_tasks": {"count": 2}}], "stages[0].search_tasks: cannot differ"),
        ([{"start": "last"}], 'stages[0].start: "last" is not allowed, one of initial, fresh, recent, best is'),
        ([{"stop": {"max_seconds": 3.0}}], "stages[0].stop.max_seconds: cannot differ, allowed: stagnation"),
        ([{"stop": 3}], "stages[0].stop: expected a table"),
        ([{"population_size": 1}], "stages[0].population_size: 1 is not allowed"),
        ([{}, {}], "stages: the search has one experiment only: set stop.max_experiments"),
        ([{"mutations": {"fly": 1.0}}], 'stages[0].mutations: unknown kind "fly"'),
        ([{"validity_tries": 1}, {"validity_tries": True}], "stages[1].validity_tries: expected a number"),
        ([{"hurdle": None}], "stages[0].hurdle: must not be empty"),
        ([{}] * 101, "stages: 101 given, at most 100 are allowed"),
        ([{}, {"stop": {"stagnation": None}}], "stages[1].stop.stagnation: must not be empty"),
    ],
)
def test_stages_that_are_refused(stages, message):
    with pytest.raises(SpecError) as caught:
        SearchSpec.from_json(tiny().to_json() | {"stages": stages, "stop": {"max_seconds": 5.0}})
    assert str(caught.value).startswith(message)


def test_stages_are_written_and_read():
    spec = preset("cifar10-baseline")
    assert len(spec.stages) == 7 and SearchSpec.from_json(spec.to_json()) == spec
    assert "stages" not in tiny().to_json()
    scout, start = spec.for_experiment(7)
    assert (start, scout.learn.max_size, scout.stop.stagnation, scout.stages) == ("initial", 6, 5000, ())
    assert spec.for_experiment(4)[1] == "recent"
    assert spec.for_experiment(6)[1] == "best" and spec.for_experiment(6)[0].learn == spec.learn
