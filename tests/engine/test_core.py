"""Compiled parts against plain models: vector mathematics, liveness, caches, random streams, mutation."""

import math
import random
from collections import Counter, OrderedDict

import numpy as np
import pytest
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from engine.algorithm import Algorithm, Instruction, Registers
from engine.canonical import live_mask
from engine.core import choice, hurdle, programs, random_stream, variation, vector_math
from engine.core import fec as cache
from engine.core.jit import compiled, inner
from engine.core.kernel import POSITIVE_LOGIT
from engine.core.lanes import POINTER, WIDTH, Lanes
from engine.evaluator import Encoded
from engine.island import Island
from engine.kinds import FITNESS_COMBINATIONS, SELECTIONS
from engine.ops import OPS, Op
from engine.spec import MUTATIONS, FunctionSpec, SearchSpec, StopSpec, TaskSpec
from engine.task_building import build_tasks
from tests.engine.programs import from_python, random_algorithm


def vector_function(emit):
    """Return a function of a float64 array (a multiple of WIDTH long) that applies an emitter of vector_math."""

    @intrinsic
    def apply(typing_context, source, target):
        def generate(context, builder, signature, arguments):
            lanes = Lanes(builder, 1, WIDTH)
            pointers = [builder.inttoptr(one, POINTER) for one in arguments]
            lanes.builder.store(
                emit(lanes, builder.load(pointers[0], typ=ir.VectorType(ir.DoubleType(), WIDTH), align=8)),
                pointers[1],
                align=8,
            )
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    @njit
    def run(source, target, count):
        for k in range(0, count, WIDTH):
            apply(source + 8 * k, target + 8 * k)

    def call(values):
        values = np.ascontiguousarray(values, np.float64)
        padded = np.concatenate([values, np.ones(-len(values) % WIDTH)])
        result = np.empty_like(padded)
        run(padded.ctypes.data, result.ctypes.data, len(padded))
        return result[: len(values)]

    return call


def ulps(found, expected):
    """Return the largest distance in units of the last place; infinities and NaN must be the same."""
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    assert (np.isfinite(expected) | same).all() and (np.isfinite(found) | same).all()
    finite = np.isfinite(expected) & ~same
    return np.max(np.abs(found - expected)[finite] / np.spacing(np.abs(expected[finite])), initial=0)


SPECIAL = np.array(
    [
        0.0,
        -0.0,
        1.0,
        -1.0,
        math.inf,
        -math.inf,
        math.nan,
        5e-324,
        1e-310,
        1.7e308,
        -1.7e308,
        709.7,
        709.8,
        -745.2,
        -740.0,
    ]
)


def test_exp_and_log():
    source = np.random.Generator(np.random.PCG64(1))
    exp, log = vector_function(vector_math.exp), vector_function(vector_math.log)
    with np.errstate(all="ignore"):
        for values in (
            SPECIAL,
            source.uniform(-708, 709, 20_000),
            source.normal(size=20_000),
            source.uniform(-1e-8, 1e-8, 1000),
        ):
            assert ulps(exp(values), np.exp(values)) <= 2
        for values in (
            SPECIAL,
            np.exp(source.uniform(-708, 709, 20_000)),
            1 + source.uniform(-0.3, 0.4, 20_000),
            -source.random(100),
        ):
            assert ulps(log(values), np.log(values)) <= 2


def test_normal_quantile():
    quantile = vector_function(vector_math.normal_quantile)
    u = np.concatenate([np.linspace(1e-6, 1 - 1e-6, 20_001), [2.0**-53, 1e-12, 1 - 2.0**-53]])
    z = quantile(u)
    assert np.all(np.diff(z[:-3]) > 0)
    back = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in z])
    np.testing.assert_allclose(back, u, rtol=1e-12)


def test_positive_logit_is_the_largest_that_sigmoid_does_not_put_above_one_half():
    sigmoid = lambda x: 1.0 / (1.0 + math.exp(-x))  # noqa: E731
    assert sigmoid(POSITIVE_LOGIT) <= 0.5
    assert sigmoid(np.nextafter(POSITIVE_LOGIT, 1.0)) > 0.5


def test_liveness_agrees_with_the_readable_analysis():
    source = random.Random(7)
    registers = Registers(5, 4, 2)
    for size in [(2, 3, 4)] * 300 + [(7, 11, 23)] * 100:
        algorithm = random_algorithm(source, size, registers=registers)
        encoded = Encoded.of(algorithm)
        compact = programs.new_compact(len(algorithm), registers)
        first = np.array([0, registers.s, registers.s + registers.v, 0])
        programs.find_live(encoded.code, encoded.lengths, encoded.starts, first, compact)
        expected = [live for function in live_mask(algorithm) for live in function]
        assert compact.live[: len(algorithm)].astype(bool).tolist() == expected, algorithm.pseudocode()


def test_functional_equivalence_cache_against_a_model():
    """The model: an ordered dictionary by last hit, with counts."""
    fec_get, fec_put = from_python(cache.fec_get), from_python(cache.fec_put)
    for size, forget in ((1, 0), (7, 0), (7, 3), (50, 2)):
        fec, model = cache.new_fec(size, forget), OrderedDict()
        source = random.Random(size)
        for step in range(3000):
            key = source.randrange(3 * size)
            found = fec_get(fec, np.uint64(key))
            if key in model:
                score, count = model.pop(key)
                assert found == score
                if not forget or count + 1 < forget:
                    model[key] = (score, count + 1)
            else:
                assert found == -1.0
                fec_put(fec, np.uint64(key), step / 3000)
                if len(model) == size:
                    model.popitem(last=False)
                model[key] = (step / 3000, 1)
            if step % 500 == 0:
                entries = cache.fec_entries(fec)
                assert entries[:, 0].tolist() == list(model)
                again = cache.new_fec(size, forget)
                cache.fec_restore(again, entries)
                assert (cache.fec_entries(again) == entries).all()
                fec = again


def test_random_stream():
    state = np.zeros(4, np.uint64)
    random_stream.seed_state(state, np.uint64(1))
    unit, below, normal = map(from_python, (random_stream.unit, random_stream.below, random_stream.normal))
    values = np.array([unit(state) for _ in range(4000)])
    assert values.min() >= 0 and values.max() < 1 and abs(values.mean() - 0.5) < 0.03
    assert Counter(below(state, 3) for _ in range(3000)).keys() == {0, 1, 2}
    normals = np.array([normal(state) for _ in range(4000)])
    assert abs(normals.mean()) < 0.1 and abs(normals.std() - 1) < 0.06


# mutation ---------------------------------------------------------------------------------------------------------


def island(mutations, ops=tuple(op.name for op in Op), **changes):
    function = FunctionSpec(ops, 1, 4, initial_size=3)
    spec = SearchSpec(
        search_tasks=TaskSpec(kind="linear", count=1, features=4, train_examples=10, valid_examples=4),
        registers=Registers(4, 3, 2), setup=function, predict=function, learn=function, population_size=2, tournament_size=1,
        mutations=mutations, stop=StopSpec(max_individuals=10, max_experiments=1), **changes,
    ).check()  # fmt: skip
    return Island(spec, build_tasks(spec.search_tasks, seed=1, role="search"), seed=5)


mutate = from_python(variation.mutate)


def mutants(kind, algorithm, count=600, **changes):
    """Return programs that one mutation of a kind makes of an algorithm."""
    one = island({kind: 1.0}, **changes)
    result = []
    for _ in range(count):
        encoded = Encoded.of(algorithm, one._capacities)
        lengths = encoded.lengths.copy()
        made = mutate(one.random, one.space, encoded.code, encoded.constants, lengths)
        assert made == MUTATIONS.index(kind)
        one.pool.code[0], one.pool.constants[0], one.pool.lengths[0] = encoded.code, encoded.constants, lengths
        result.append(one.algorithm(0))
    return result


START = random_algorithm(random.Random(2), (3, 3, 3), registers=Registers(4, 3, 2))


def differing_lines(a, b):
    return [
        (k, row) for k, (x, y) in enumerate(zip(a.functions, b.functions)) for row in range(len(x)) if x[row] != y[row]
    ]


def test_identity():
    assert set(mutants("identity", START, 20)) == {START}


def test_alter_parameter_changes_one_line_and_never_its_op():
    places = set()
    for child in mutants("alter_parameter", START):
        changed = differing_lines(START, child)
        assert len(changed) <= 1
        places |= set(changed)
        for k, row in changed:
            assert child.functions[k][row].op == START.functions[k][row].op
    changeable = {(k, row) for k, f in enumerate(START.functions) for row, one in enumerate(f) if one.op != Op.NO_OP}
    assert places == changeable


def test_randomize_instruction_reaches_every_op_and_address():
    seen, outs = Counter(), set()
    for child in mutants("randomize_instruction", START, 4000):
        changed = differing_lines(START, child)
        assert len(changed) <= 1
        for k, row in changed:
            one = child.functions[k][row]
            seen[one.op] += 1
            outs.add((one.info.output, one.out))
    assert set(seen) == set(Op)
    assert outs == {("", 0), *(("s", k) for k in (1, 2, 3)), *(("v", k) for k in (1, 2)), ("m", 0), ("m", 1)}


def test_randomize_function_and_algorithm():
    for child in mutants("randomize_function", START, 60):
        assert len({k for k, _ in differing_lines(START, child)}) <= 1
        assert [len(f) for f in child.functions] == [3, 3, 3]
    assert any(
        len({k for k, _ in differing_lines(START, child)}) == 3 for child in mutants("randomize_algorithm", START, 20)
    )


def test_insert_and_remove_keep_to_the_bounds():
    sizes = {tuple(map(len, child.functions)) for child in mutants("insert", START, 200)}
    assert sizes == {(4, 3, 3), (3, 4, 3), (3, 3, 4)}
    full = random_algorithm(random.Random(3), (4, 4, 4), registers=Registers(4, 3, 2))
    assert set(mutants("insert", full, 50)) == {full}
    sizes = {tuple(map(len, child.functions)) for child in mutants("remove", START, 200)}
    assert sizes == {(2, 3, 3), (3, 2, 3), (3, 3, 2)}
    least = random_algorithm(random.Random(3), (1, 1, 1), registers=Registers(4, 3, 2))
    assert set(mutants("remove", least, 50)) == {least}
    for child in mutants("remove", START, 100):
        for old, new in zip(START.functions, child.functions):
            assert new in {old, *(old[:k] + old[k + 1 :] for k in range(len(old)))}


def test_trade_keeps_lengths_even_of_full_functions():
    full = random_algorithm(random.Random(3), (4, 4, 4), registers=Registers(4, 3, 2))
    children = mutants("trade", full, 100)
    assert {tuple(map(len, child.functions)) for child in children} == {(4, 4, 4)}
    assert len(set(children)) > 50


def test_constants_as_drawn_and_as_altered():
    fresh, altered = {}, {}
    for child in mutants("randomize_instruction", START, 6000):
        for k, row in differing_lines(START, child):
            fresh.setdefault(child.functions[k][row].op, []).append(child.functions[k][row].constants)
    bounds = {"c": (-1, 1), "i": (0, 1), "j": (0, 1), "lo": (-1, 1), "hi": (-1, 1), "mu": (-1, 1), "sd": (0, 1)}
    for info in OPS[56:]:
        drawn = np.array(fresh[info.op])
        for column, name in enumerate(info.constants):
            low, high = bounds[name]
            assert low <= drawn[:, column].min() and drawn[:, column].max() <= high
            assert np.ptp(drawn[:, column]) > 0.7 * (high - low)
        if info.op != Op.SCALAR_CONST_SET:
            assert (drawn == drawn.astype(np.float32)).all()
    # An altered constant: one in ten changes its sign only, the rest their magnitude only; intervals come out sorted.
    for info in OPS[56:]:
        start = Instruction(info.op, out=1, constants=(0.25, 0.5, 0.125)[: len(info.constants)])
        program = Algorithm((start,), (start,), (start,))
        for child in mutants("alter_parameter", program, 900):
            for k, row in differing_lines(program, child):
                one = child.functions[k][row]
                if one.constants != start.constants:
                    altered.setdefault(info.op, []).append(one.constants)
        flips = sum(
            1 for c in altered[info.op] if any(x == -y for x, y in zip(c, start.constants)) or c == (-0.5, 0.25)
        )
        share = flips / len(altered[info.op])
        assert 0.01 < share < 0.25
        if info.constants == ("lo", "hi"):
            assert all(low <= high for low, high in altered[info.op])
        if info.constants == ("mu", "sd"):
            assert all(sd > 0 for _, sd in altered[info.op])


def test_the_paper_s_rule_for_constants():
    """Every altered constant is multiplied by a number of [0.5, 2]; one in ten changes its sign too."""
    start = Instruction(Op.SCALAR_CONST_SET, out=1, constants=(0.25,))
    program = Algorithm((start,), (start,), (start,))
    factors = []
    for child in mutants("alter_parameter", program, 2000, constant_rule="paper"):
        for k, row in differing_lines(program, child):
            if child.functions[k][row].constants != start.constants:
                factors.append(child.functions[k][row].constants[0] / 0.25)
    factors = np.array(factors)
    assert len(factors) > 600
    assert (abs(factors) >= 0.5).all() and (abs(factors) <= 2.0).all()
    assert abs(abs(factors)).min() < 0.55 and abs(factors).max() > 1.95
    assert 0.06 < (factors < 0).mean() < 0.14 and abs(abs(factors).mean() - 1.25) < 0.05
    spread = Instruction(Op.VECTOR_GAUSSIAN_SET, out=1, constants=(0.25, 0.5))
    for child in mutants("alter_parameter", Algorithm((spread,), (spread,), (spread,)), 300, constant_rule="paper"):
        assert all(one.constants[1] > 0 for function in child.functions for one in function)


# choosing ---------------------------------------------------------------------------------------------------------


def test_what_is_only_an_ingredient_is_linked_by_our_own_functions_alone():
    call = choice.choice(["engine.core.combination:mean"])
    with pytest.raises(RuntimeError, match=r"only functions of engine\.core\.jit can call it"):
        njit(lambda number, *arguments: call(number, *arguments))(0, np.zeros(4), np.zeros(4))


def test_python_cannot_call_what_has_no_address():
    state = np.ones(4, np.uint64)
    assert 0 <= from_python(random_stream.below)(state, 3) < 3
    for _ in range(2):
        with pytest.raises(TypeError, match="below: only compiled code can call it"):
            random_stream.below(state, 3)


def test_numba_itself_may_call_what_our_functions_call_too():
    """What a function of ours has as its own is called in another way, and found by nobody else."""

    @compiled(cache=False)
    def total(values, place):
        if place > 0:
            return total(values, place - 1) + values[place]
        return values[0]

    ours = compiled(cache=False)(lambda values, place: total(values, place) * 2.0)
    values = np.arange(5.0)
    assert ours(values, 4) == 20.0
    assert njit(lambda values, place: total(values, place) * 3.0)(values, 4) == 30.0


def test_a_choice_calls_the_function_of_that_number():
    places = [f"engine.core.combination:{name}" for name in ("mean", "upper_median", "minimum", "mean", "minimum")]
    run = from_python(choice.choice(places))
    scores = np.array([0.5, 0.25, 1.0, 0.75])
    assert [run(k, scores, np.zeros(4)) for k in range(5)] == [0.625, 0.75, 0.25, 0.625, 0.25]


def test_combinations_of_the_tasks_scores():
    source = np.random.default_rng(1)
    run = from_python(choice.choice(FITNESS_COMBINATIONS.values()))
    for count in (1, 2, 5, 8):
        scores = source.random(count)
        expected = {"mean": scores.mean(), "median": sorted(scores)[count // 2], "minimum": scores.min()}
        for number, name in enumerate(FITNESS_COMBINATIONS):
            assert run(number, scores, np.zeros(count)) == pytest.approx(expected[name], rel=1e-15)


run_selection = from_python(choice.choice(SELECTIONS.values()))


def parents_and_places(scheme, scores, births, tournament_size, birth, draws=3000):
    state = np.zeros(4, np.uint64)
    random_stream.seed_state(state, np.uint64(7))
    number, population = list(SELECTIONS).index(scheme), np.arange(len(scores))
    return [run_selection(number, state, scores, births, population, tournament_size, birth) for _ in range(draws)]


def test_selection_schemes():
    scores, births = np.array([0.1, 0.4, 0.3, 0.1, 0.2]), np.array([10, 6, 7, 8, 9])
    single = parents_and_places("regularized", scores, births, 1, 11)
    assert {place for _, place in single} == {1} and {parent for parent, _ in single} == {0, 1, 2, 3, 4}
    winners = Counter(parent for parent, _ in parents_and_places("regularized", scores, births, 2, 11))
    assert winners[1] > winners[2] > winners[4] > winners[0] > 0
    # The paper's: the oldest is gone before the tournament.
    paper = parents_and_places("regularized_paper", scores, births, 1, 11)
    assert {place for _, place in paper} == {1} and {parent for parent, _ in paper} == {0, 2, 3, 4}
    # The worst dies, of equals the oldest.
    elitist = parents_and_places("elitist", scores, births, 20, 11)
    assert {place for _, place in elitist} == {3} and Counter(parent for parent, _ in elitist)[1] > 2900
    assert set(parents_and_places("random", scores, births, 2, 13)) == {(-1, 3)}
    # In a ring of 20, two to each side of the place of the oldest, 21 % 20, compete.
    ring = parents_and_places("ring", np.arange(20) / 20, np.arange(20), 1, 21)
    assert {place for _, place in ring} == {1} and {parent for parent, _ in ring} == {19, 0, 1, 2, 3}
    assert Counter(parent for parent, _ in parents_and_places("ring", np.ones(20), np.arange(20), 2, 5)).keys() == set(
        range(1, 10)
    )
    assert Counter(parent for parent, _ in parents_and_places("ring", scores, births, 30, 11))[1] > 2900


def test_hurdle_against_a_model():
    """The model: the percentile of the different scores among the last ones, by numpy's definition of it."""
    source, clears = random.Random(3), from_python(hurdle.clears)
    for percentile, window, period in ((75.0, 40, 10), (0.0, 5, 1), (100.0, 7, 3), (50.0, 1, 1)):
        barrier = hurdle.new_hurdle(10, 10, 1, 1, period, percentile, window)
        seen, threshold = [], 0.0
        for _ in range(300):
            score = round(source.random(), 1) if source.random() < 0.5 else source.random()
            assert clears(barrier, score) == (score >= threshold)
            seen.append(score)
            if len(seen) % period == 0:
                threshold = np.percentile(np.unique(seen[-window:]), percentile, method="inverted_cdf")
                assert barrier.levels[hurdle.THRESHOLD] == threshold


@inner()
def _doubled(x):
    return x + x


@inner()
def _quadrupled(x):
    return _doubled(_doubled(x))


def test_inner_functions_are_compiled_within_their_callers_alone():
    @compiled(cache=False)
    def outer(x):
        return _quadrupled(x) + _doubled(x)

    assert [outer(3), outer(0.25)] == [18, 1.5]
    for function, has_code in ((outer, True), (_quadrupled, False), (_doubled, False)):
        found = [
            one.library.codegen._engine.is_symbol_defined(one.fndesc.llvm_func_name)
            for one in function.overloads.values()
        ]
        assert found == [has_code] * 2
