"""Searches: determinism, cuts, ancestry, experiments, bounds of memory, bad checkpoints."""

import hashlib
import io
import json
import random
import struct
import zlib
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from engine import checkpoint
from engine.algorithm import Instruction, Registers
from engine.baselines import linear
from engine.canonical import canonical
from engine.core import hurdle as at
from engine.core import population
from engine.evaluator import Encoded
from engine.island import next_point
from engine.ops import Op
from engine.presets import preset
from engine.records import Find, apply_change
from engine.search import CheckpointError, Search
from engine.spec import FecSpec, FunctionSpec, HurdleSpec, StopSpec, TaskSpec
from engine.unseen import Selector, final_scores, standard_error

TINY = TaskSpec(kind="linear", count=4, features=4, train_examples=40, valid_examples=20)


def tiny(**changes):
    """A search of a second or less: 12,000 individuals of the linear demo, over several small experiments."""
    spec = replace(
        preset("linear-demo"), search_tasks=TINY, select_tasks=replace(TINY, count=6), final_tasks=replace(TINY, count=6),
        population_size=100, fec=FecSpec(size=500, forget_every=20),
        stop=StopSpec(max_individuals=4000, max_experiments=3, sufficient_fitness=1.0),
    )  # fmt: skip
    return replace(spec, **changes).check()


def whole(spec, seed, *, cuts=None):
    """Run a search to its end; cuts: a source of random numbers to cut it at, each slice continued from bytes."""
    search = Search.start(spec, seed)
    points, finds, records, slices = [], [], {}, 0
    while True:
        report = run_slice(search, cuts)
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


def run_slice(search, cuts):
    """Run a search on: to its end, or, with a source of random numbers, for 1 to 400 individuals."""
    if cuts is None:
        return search.run(seconds=1e9)
    search._speed = cuts.uniform(10.0, 4000.0)
    return search.run(seconds=0.0)


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


NEW_OPTIONS = {
    "random": {"initial": "random"},
    "empty": {"initial": "empty"},
    "budget and mutations along the data flow": {
        "train_budget": 0.5,
        "mutations": dict.fromkeys(("graft", "bypass", "rewire", "insert", "remove"), 1.0),
    },
    "hurdle": {"hurdle": HurdleSpec(10, 10, percentile=60.0, window=300, period=37), "constant_rule": "paper"},
    "elitist": {"selection": "elitist", "fitness_combination": "minimum", "select_rounds": 2, "select_candidates": 5},
    "ring": {
        "selection": "ring",
        "validity": "corrects",
        "validity_tries": 7,
        "more_mutations": 0.5,
        "price": 0.1,
        "initial": "empty",
        "mutations": {"grow": 1.0, "branch": 1.0, "tune": 1.0, "insert": 1.0, "remove": 2.0},
    },
    "random search": {"selection": "random", "hurdle": HurdleSpec(20, 5, percentile=90.0, window=50, period=50)},
}


@pytest.mark.parametrize("changes", NEW_OPTIONS.values(), ids=NEW_OPTIONS)
def test_cut_anywhere_and_resumed_gives_the_same_search(changes):
    kinds = ("alter_parameter", "insert", "remove", "randomize_instruction")
    spec = tiny(**{"mutations": dict.fromkeys(kinds, 1.0), **changes})
    spec = replace(
        spec,
        setup=replace(spec.setup, min_size=1),
        predict=replace(spec.predict, min_size=1),
        learn=replace(spec.learn, min_size=1),
    )
    _, report, points, finds, records, _ = whole(spec, 3)
    _, cut_report, cut_points, cut_finds, cut_records, slices = whole(spec, 3, cuts=random.Random(1))
    assert slices > 20
    assert without_time(points) == without_time(cut_points)
    assert without_time(finds) == without_time(cut_finds)
    assert report.result == cut_report.result
    for name in ("individuals", "train_steps", "fec_hits", "rejected", "short_runs", "cut", "experiments"):
        assert getattr(report.counters, name) == getattr(cut_report.counters, name), name
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


@pytest.mark.fuzz
def test_ancestry_of_two_million_individuals_against_a_run_that_keeps_everything():
    """A generation at a time, so every individual is seen alive: its parent and its program's checksum are kept."""
    spec = tiny(stop=StopSpec(max_individuals=2_000_000, max_experiments=1))
    search = Search.start(spec, 11)
    island, size = search.island, spec.population_size
    parents, checksums = np.zeros(2_000_000, np.int64), np.zeros(2_000_000, np.uint32)
    records, largest = {}, 0

    def checksum(code, constants, lengths):
        return zlib.crc32(lengths.tobytes(), zlib.crc32(constants.tobytes(), zlib.crc32(code.tobytes())))

    for first in range(0, 2_000_000, size):
        while island.births < first + size:  # comes back early when its list of finds is full
            island.breed(first + size - island.births)
            records |= {one.birth: one for one in island.collect_finds(0.0, 0)[1]}
        pool = island.pool
        parents[first : first + size] = pool.parent_births[island.population]
        for slot in island.population:
            checksums[pool.births[slot]] = checksum(pool.code[slot], pool.constants[slot], pool.lengths[slot])
        if first % (100 * size) == 0:
            records |= {one.birth: one for one in island.settle()}
            largest = max(largest, len(pool.scores))
    best = island.best_slot()
    records |= {one.birth: one for one in island.settle() + island.line_records(best)}
    line, birth = [], int(island.pool.births[best])
    while birth >= 0:
        line.append(birth)
        birth = int(parents[birth])
    program = None
    for birth in reversed(line):
        program = apply_change(program, records[birth].change)
        encoded = Encoded.of(program, island._capacities)
        assert checksum(encoded.code, encoded.constants, encoded.lengths) == checksums[birth]
        assert records[birth].parent == (parents[birth] if parents[birth] >= 0 else None)
    assert len(line) > 5000 and largest < 20_000


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


def test_random_search_draws_every_program_anew():
    functions = {name: replace(getattr(tiny(), name), min_size=1, max_size=4) for name in ("setup", "predict", "learn")}
    search, _, points, finds, records, _ = whole(
        tiny(selection="random", **functions, stop=StopSpec(max_individuals=2000, max_experiments=1)), 1
    )
    assert {record.mutation for record in records.values()} == {"initial"}
    assert all(record.parent is None for record in records.values())
    best = [point.best_so_far for point in points]
    assert best == sorted(best) and len(finds) > 2
    sizes = {tuple(map(len, search.island.algorithm(int(slot)).functions)) for slot in search.island.population}
    assert {size for one in sizes for size in one} == {1, 2, 3, 4}  # every length it may take
    assert len(search.island.pool.scores) == 4 * 100 + 64  # nobody is kept but the last 100


def test_random_search_is_the_start_of_a_random_evolution():
    """With fixed lengths, the first generation of both is drawn in the same way."""
    one, other = (Search.start(tiny(selection=name), 5).island for name in ("random", "regularized"))
    for island in (one, other):
        island.breed(100)
    assert all(one.algorithm(one.population[k]) == other.algorithm(other.population[k]) for k in range(100))


@pytest.mark.parametrize("selection", ["regularized_paper", "elitist"])
def test_other_selection_schemes_find_more_than_chance(selection):
    _, _, points, *_ = whole(tiny(selection=selection, stop=StopSpec(max_individuals=6000, max_experiments=1)), 3)
    assert points[-1].mean > points[0].mean + 0.05
    if selection == "elitist":  # the best never dies
        assert points[-1].best == points[-1].best_so_far


HURDLE = HurdleSpec(train_examples=10, valid_examples=10, percentile=75.0, window=200, period=50)


def test_hurdle_cuts_about_its_share():
    spec = tiny(hurdle=HURDLE, fec=None, stop=StopSpec(max_individuals=5000, max_experiments=1))
    _, report, points, finds, _, _ = whole(spec, 3)
    counters = report.counters
    assert counters.short_runs == 5000 and 0.5 < counters.cut / counters.short_runs < 0.8
    assert counters.evaluations <= 5000 - counters.cut
    full = whole(replace(spec, hurdle=None), 3)[1].counters
    assert counters.train_steps < 0.8 * full.train_steps and full.short_runs == full.cut == 0
    assert max(point.best for point in points) <= max(find.score for find in finds)


def test_finds_of_a_search_with_hurdles_were_evaluated_in_full():
    search, _, _, finds, _, _ = whole(
        tiny(hurdle=HURDLE, fec=None, stop=StopSpec(max_individuals=3000, max_experiments=1)), 8
    )
    for find in finds:
        assert search.island.evaluator.evaluate(find.algorithm).fitness.mean() == pytest.approx(find.score, rel=1e-12)


def test_hurdle_on_the_first_tasks_takes_whole_groups(monkeypatch):
    monkeypatch.setattr("engine.evaluator.MAX_LANES", 4)
    spec = tiny(
        search_tasks=replace(TINY, count=10), hurdle=replace(HURDLE, tasks=3), fec=None,
        stop=StopSpec(max_individuals=300, max_experiments=1),
    )  # fmt: skip
    search = Search.start(spec, 1)
    assert search.island.evaluator.lanes == 4
    assert search.island.scoring.hurdle.whole[at.GROUPS : at.TASKS + 1].tolist() == [1, 4]
    assert search.run(seconds=1e9).counters.cut > 50


def test_funnel_keeps_the_better_half_each_round():
    spec = tiny(select_tasks=replace(TINY, count=8), select_rounds=3)
    search = Search.start(spec, 1)
    seen = []

    def find(birth, rate):
        return Find(birth, 0.5, linear(rate), birth + 1, 0, 0.0, 0)

    candidates = [find(k, rate) for k, rate in enumerate((1e-6, 0.02, 1e-5, 0.05, 1e-4, 0.03, 1e-3))]
    selector = Selector(spec, 1, 0)
    for half in (0.25, 0.5):
        kept = selector._better_half(candidates, half)
        seen.append([one.birth for one in kept])
    assert all(set(births) == {1, 3, 5, 6} for births in seen)
    chosen = selector.choose(candidates)
    scores = {one.birth: selector._score(one).fitness for one in candidates}
    assert scores[chosen.find.birth] == max(scores.values()) == chosen.fitness
    # One round: every candidate in full; of equals the last.
    assert Selector(replace(spec, select_rounds=1), 1, 0).choose([candidates[1], find(9, 0.02)]).find.birth == 9
    assert search.spec.select_rounds == 3


def test_final_score_with_errors_over_seeds_and_tasks():
    noisy = replace(linear(), learn=(*linear().learn, Instruction(Op.VECTOR_GAUSSIAN_SET, out=1, constants=(0.0, 0.5))))
    spec = tiny(final_seeds=3)
    one = final_scores(replace(spec, final_seeds=1), 1, noisy)
    three = final_scores(spec, 1, noisy)
    assert len(one) == len(three) == 6 and one != three
    assert final_scores(spec, 1, linear()) == final_scores(replace(spec, final_seeds=1), 1, linear())
    assert standard_error(three) == pytest.approx(np.std(three, ddof=1) / 6**0.5) and standard_error((0.5,)) is None
    _, report, *_ = whole(replace(spec, stop=StopSpec(max_individuals=500, max_experiments=1)), 1)
    result = report.result
    assert result.final_error == standard_error(result.final_scores) and result.select_error > 0
    assert result.final_fitness == pytest.approx(np.mean(result.final_scores))


def test_every_stop_rule_ends_the_search():
    reasons = {}
    for name, stop in {
        "max_individuals": StopSpec(max_individuals=700, max_experiments=1),
        "max_train_steps": StopSpec(max_train_steps=50_000, max_experiments=1),
        "max_seconds": StopSpec(max_seconds=0.05),
        "stagnation": StopSpec(max_individuals=10**9, stagnation=1500, max_experiments=1),
    }.items():
        _, report, *_ = whole(tiny(stop=stop), 2)
        reasons[name] = report
        assert report.finish_reason == name and report.result.final_fitness is not None
    assert reasons["max_individuals"].counters.individuals == 700


def test_stagnation_counts_from_the_last_better_one():
    _, report, _, finds, _, _ = whole(tiny(stop=StopSpec(max_individuals=10**9, stagnation=1500, max_experiments=1)), 2)
    assert report.counters.individuals == finds[-1].individuals + 1500


def test_sufficient_fitness_ends_a_search_at_once():
    """The first program that is good enough on unseen tasks ends it, not the end of its experiment."""
    spec = tiny(
        initial="linear", registers=Registers(4, 3, 1),
        stop=StopSpec(max_individuals=1_000_000, max_seconds=600.0, sufficient_fitness=0.3),
    )  # fmt: skip
    _, report, *_ = whole(spec, 2)
    assert report.finish_reason == "solved" and report.result.solved
    assert report.counters.individuals == report.result.birth + 1 < 1000
    cut = whole(spec, 2, cuts=random.Random(3))[1]
    assert cut.result == report.result and cut.counters.individuals == report.counters.individuals


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


def test_checkpoints_of_the_version_before_go_on():
    spec = tiny(fec=FecSpec())
    search = Search.start(spec, 1)
    search.run(seconds=0.0)
    data = search.checkpoint()
    values, arrays = checkpoint.unpack(data)
    body = io.BytesIO()
    np.savez(body, __values__=np.frombuffer(json.dumps(values).encode(), np.uint8), **arrays)
    compressed = zlib.compress(body.getvalue(), 1)
    before = checkpoint.MAGIC + struct.pack("<I", 4) + hashlib.sha256(compressed).digest() + compressed
    assert Search.restore(spec, 1, before).checkpoint() == data


@pytest.mark.parametrize(
    "array", [np.zeros(5000), np.random.default_rng(1).bytes(50_000), np.zeros(0), np.arange(6).reshape(2, 3)]
)
def test_a_checkpoint_holds_what_went_in(array):
    array = np.frombuffer(array, np.uint8) if isinstance(array, bytes) else array
    data = checkpoint.pack({"a": [1, None]}, {"array": array})
    values, arrays = checkpoint.unpack(data)
    assert values == {"a": [1, None]} and list(arrays) == ["array"]
    assert arrays["array"].dtype == array.dtype and arrays["array"].shape == array.shape
    assert arrays["array"].tobytes() == array.tobytes()
    assert checkpoint.pack({"a": [1, None]}, {"array": array}) == data


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
