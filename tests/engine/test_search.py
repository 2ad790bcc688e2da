"""Searches: determinism, cuts, ancestry, experiments, bounds of memory, bad checkpoints."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from engine.algorithm import Registers
from engine.baselines import linear
from engine.canonical import canonical
from engine.core import population
from engine.island import next_point
from engine.presets import preset
from engine.records import apply_change
from engine.search import CheckpointError, Search
from engine.spec import FecSpec, FunctionSpec, StopSpec, TaskSpec

TINY = TaskSpec(kind="linear", count=4, features=4, train_examples=40, valid_examples=20)


def tiny(**changes):
    """A search of a second or less: 12,000 individuals of the linear demo, over several small experiments."""
    spec = replace(
        preset("linear-demo"), search_tasks=TINY, select_tasks=replace(TINY, count=6), final_tasks=replace(TINY, count=6),
        population_size=100, fec=FecSpec(size=500, forget_every=20),
        stop=StopSpec(max_individuals=4000, max_experiments=3, sufficient_fitness=1.0),
    )  # fmt: skip
    return replace(spec, **changes).check()


def whole(spec, seed, *, restore_after=None, seconds=1e9):
    """Run a search to its end; restore_after: cut it there into slices of so many seconds, each continued from bytes."""
    search = Search.start(spec, seed)
    points, finds, records, slices = [], [], {}, 0
    while True:
        report = search.run(seconds=seconds)
        points += report.points
        finds += report.finds
        for record in report.individuals:
            assert record.birth not in records or records[record.birth] == record
            assert record.parent is None or record.parent in records
            records[record.birth] = record
        if report.finished:
            return search, report, points, finds, records, slices
        slices += 1
        search = Search.restore(spec, seed, search.checkpoint())


def without_time(rows):
    return [replace(row, seconds=0.0) for row in rows]


def line_of(records, birth):
    line = []
    while birth is not None:
        line.append(records[birth])
        birth = records[birth].parent
    return line[::-1]


def test_same_seed_same_search_and_another_seed_another():
    first, second, other = whole(tiny(), 3), whole(tiny(), 3), whole(tiny(), 4)
    assert without_time(first[2]) == without_time(second[2]) and first[1].result == second[1].result
    assert without_time(first[2]) != without_time(other[2])


@pytest.mark.parametrize("initial", ["random", "empty"])
def test_cut_anywhere_and_resumed_gives_the_same_search(initial):
    spec = tiny(
        initial=initial, mutations=dict.fromkeys(("alter_parameter", "insert", "remove", "randomize_instruction"), 1.0)
    )
    spec = replace(
        spec,
        setup=replace(spec.setup, min_size=1),
        predict=replace(spec.predict, min_size=1),
        learn=replace(spec.learn, min_size=1),
    )
    _, report, points, finds, records, _ = whole(spec, 3)
    _, cut_report, cut_points, cut_finds, cut_records, slices = whole(spec, 3, seconds=0.0)
    assert slices > 20
    assert without_time(points) == without_time(cut_points)
    assert without_time(finds) == without_time(cut_finds)
    assert report.result == cut_report.result
    assert report.counters.individuals == cut_report.counters.individuals
    assert report.counters.train_steps == cut_report.counters.train_steps
    assert report.counters.fec_hits == cut_report.counters.fec_hits
    # A cut may report branches that later died out; what both report is the same.
    assert all(cut_records[birth] == record for birth, record in records.items())


def test_ancestry_of_every_find_is_complete():
    _, report, _, finds, records, _ = whole(
        tiny(initial="empty", mutations={"alter_parameter": 1.0, "randomize_instruction": 1.0}), 5
    )
    assert finds
    for find in [*finds, report.result]:
        algorithm = None
        line = line_of(records, find.birth)
        assert line[0].mutation == "initial"
        for record in line:
            algorithm = apply_change(algorithm, record.change)
        assert algorithm == find.algorithm
        assert line[-1].birth == find.birth
        for parent, child in pairwise(line):
            assert parent.birth < child.birth and child.parent == parent.birth


def test_ancestry_against_a_run_that_keeps_everything():
    """Every birth is noted as it happens, one at a time; the pruned pool must tell the same ancestry."""
    spec = tiny(stop=StopSpec(max_individuals=6000, max_experiments=1))
    search = Search.start(spec, 9)
    island = search.island
    parents, programs, records = {}, {}, {}
    for _ in range(6000):
        island.breed(1)
        slot = int(island.population[(island.births - 1) % spec.population_size])
        birth = int(island.pool.births[slot])
        parents[birth] = int(island.pool.parent_births[slot])
        programs[birth] = island.algorithm(slot)
        if birth % 97 == 0:
            new = island.collect_finds(0.0, 0)[1] + island.settle()
            records |= {record.birth: record for record in new}
    best = island.best_slot()
    records |= {record.birth: record for record in island.line_records(best)}
    birth, steps = int(island.pool.births[best]), 0
    while birth >= 0:
        record = records[birth]
        parent = parents[birth]
        assert record.parent == (parent if parent >= 0 else None)
        assert apply_change(programs[parent] if parent >= 0 else None, record.change) == programs[birth]
        birth, steps = parent, steps + 1
    assert steps > 30


def test_pool_holds_living_individuals_and_their_ancestors_only():
    search = Search.start(tiny(stop=StopSpec(max_individuals=60_000, max_experiments=1)), 2)
    largest = 0
    while not search.finished:
        search.run(seconds=0.0)
        pool, island = search.island.pool, search.island
        held = set(np.flatnonzero(pool.holders > 0)) - {int(island._breeding[1])}
        reachable = set()
        for slot in island.population[island.population >= 0]:
            while slot >= 0 and slot not in reachable:
                reachable.add(int(slot))
                slot = pool.parents[slot]
        assert held == reachable
        largest = max(largest, len(held))
    assert largest < 1500


def test_pool_grows_when_it_must():
    search = Search.start(tiny(), 1)
    search.island.pool = population.new_pool(110, search.island.pool.code.shape[1])
    search.island._place_initial()
    small = search.run(seconds=1e9)
    assert len(search.island.pool.scores) > 110
    assert without_time(small.points) == without_time(whole(tiny(), 1)[2])


def test_scores_are_those_of_the_evaluator():
    search, _, _, finds, _, _ = whole(tiny(fec=None, stop=StopSpec(max_individuals=3000, max_experiments=1)), 8)
    for find in finds:
        assert search.island.evaluator.evaluate(find.algorithm).fitness.mean() == pytest.approx(find.score, rel=1e-12)
        # The canonical form scores bit for bit the same.
        assert (
            search.island.evaluator.evaluate(canonical(find.algorithm)).fitness
            == search.island.evaluator.evaluate(find.algorithm).fitness
        ).all()


def test_memo_changes_no_result():
    """A memo of a single entry forgets at once; scores, counters and ancestry stay the same."""
    plain = whole(tiny(), 6)
    search = Search.start(tiny(stop=StopSpec(max_individuals=4000, max_experiments=1)), 6)
    from engine.core.fec import new_memo

    search.island.memo = new_memo(1)
    report = search.run(seconds=1e9)
    count = len(report.points)
    assert without_time(report.points) == without_time(plain[2][:count])


def test_train_steps_without_memo_or_cache_are_those_executed():
    spec = tiny(fec=None, stop=StopSpec(max_individuals=500, max_experiments=1), mutation_probability=1.0)
    _, report, *_ = whole(spec, 1)
    assert report.counters.individuals == 500
    assert 0 < report.counters.train_steps <= 500 * 4 * 40


def test_train_step_limit_is_looked_at_once_a_generation():
    spec = tiny(stop=StopSpec(max_train_steps=100_000, max_experiments=1))
    _, report, *_ = whole(spec, 1)
    assert report.finish_reason == "max_train_steps"
    assert report.counters.individuals % 100 == 0
    assert report.counters.train_steps >= 100_000


def test_fresh_tasks_for_each_experiment():
    spec = tiny()
    search = Search.start(spec, 1)
    first = search.island.evaluator.tasks[0].train_features.copy()
    while search.experiment == 0:
        search.run(seconds=0.0)
    assert not np.array_equal(first, search.island.evaluator.tasks[0].train_features)
    assert search.island.first_birth == 4000


def test_train_budget_rejects_what_costs_more():
    spec = tiny(train_budget=0.05, stop=StopSpec(max_individuals=1000, max_experiments=1))
    _, report, *_ = whole(spec, 1)
    assert report.counters.rejected == 1000 and report.population_best.score == 0.0


def test_initial_program_given_and_a_part_kept():
    """Only Learn is searched: Setup and Predict stay what they were."""
    given = linear()
    spec = tiny(
        registers=Registers(4, 3, 1), initial="program", program=given.to_json(),
        setup=FunctionSpec((), 1, 1, searched=False), predict=FunctionSpec((), 1, 1, searched=False),
        stop=StopSpec(max_individuals=2000, max_experiments=1),
    )  # fmt: skip
    _, _, _, finds, _, _ = whole(spec, 1)
    for find in finds:
        assert find.algorithm.setup == given.setup and find.algorithm.predict == given.predict


def test_median_of_tasks():
    search, report, *_ = whole(
        tiny(fitness_combination="median", stop=StopSpec(max_individuals=500, max_experiments=1)), 1
    )
    scores = search.island.evaluator.evaluate(report.population_best.algorithm).fitness
    assert report.population_best.score == sorted(scores)[len(scores) // 2]


def test_stopping_in_the_middle_and_concluding():
    search = Search.start(tiny(), 1)
    calls = []
    report = search.run(seconds=1e9, should_stop=lambda: calls.append(1) or len(calls) >= 3)
    assert not report.finished and len(calls) == 3
    report = search.conclude("stopped")
    assert report.finished and report.finish_reason == "stopped" and report.result.final_fitness is not None
    assert search.run(seconds=1).finished


def test_checkpoints_that_are_refused():
    spec = tiny()
    search = Search.start(spec, 1)
    search.run(seconds=0.0)
    data = search.checkpoint()
    with pytest.raises(CheckpointError, match="damaged"):
        Search.restore(spec, 1, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="not one of"):
        Search.restore(spec, 1, b"PK" + data)
    with pytest.raises(CheckpointError, match="version 99"):
        Search.restore(spec, 1, data[:6] + b"\x63\0\0\0" + data[10:])
    with pytest.raises(CheckpointError, match="of another search"):
        Search.restore(tiny(population_size=101), 1, data)
    with pytest.raises(CheckpointError, match="of another search"):
        Search.restore(spec, 2, data)
    # More time may be granted to a search that was checkpointed.
    Search.restore(replace(spec, stop=replace(spec.stop, max_individuals=5000)), 1, data)


def test_curve_points_thin_out():
    generations, generation = [], 0
    while generation < 100_000:
        generation = next_point(generation)
        generations.append(generation)
    assert generations[:200] == list(range(1, 201))
    steps = np.diff(generations)
    assert (np.diff(steps) >= 0).all()
    assert (steps / np.array(generations[1:]) <= 1 / 64).sum() > len(steps) * 0.9


@pytest.mark.slow
def test_linear_demo_is_solved():
    """The published demonstration ends by itself with an algorithm that solves 100 new tasks."""
    search = Search.start(preset("linear-demo"), 1)
    report = search.run(seconds=600)
    assert report.finished and report.finish_reason == "solved"
    assert report.result.select_fitness > 0.9999 and report.result.final_fitness > 0.999


def test_points_tell_how_diverse_the_population_is():
    search, _report, points, *_ = whole(tiny(), 3)
    assert all(1 <= point.distinct <= search.spec.population_size for point in points)
    assert len({point.distinct for point in points}) > 1


def test_new_limits_hold_for_a_search_under_way():
    spec = tiny()
    search = Search.start(spec, 1)
    search.run(seconds=0.0)
    search.set_stop(replace(spec.stop, max_individuals=300, max_experiments=1))
    while not (report := search.run(seconds=1.0)).finished:
        pass
    assert report.counters.individuals <= 4000 and report.counters.experiments == 1
    search.set_stop(spec.stop)  # too late
    assert search.finished and search.spec.stop.max_experiments == 1
