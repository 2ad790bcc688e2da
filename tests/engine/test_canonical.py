"""Liveness and the canonical form: what they drop, and that they change nothing that is computed."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.algorithm import Algorithm, Instruction, Registers
from engine.baselines import BASELINES
from engine.canonical import canonical, canonical_digest, canonical_order, live_mask, without_dead_code
from engine.ops import Op
from tests.engine import golden, naive
from tests.engine.programs import (
    DETERMINISTIC,
    REGISTERS,
    algorithms,
    permuted,
    random_algorithm,
    reordered,
    with_dead_code,
)

SEEDS = st.integers(0, 2**32).map(random.Random)


def task(eval_type):
    source = random.Random(3)
    rows = [[source.gauss(0, 1) for _ in range(3)] for _ in range(16)]
    if eval_type == "ACCURACY":
        labels = [float(source.random() < 0.5) for _ in rows]
    else:
        labels = [sum(row) for row in rows]
    return SimpleNamespace(
        features_size=3, eval_type=eval_type, train_features=rows[:8], train_labels=labels[:8],
        valid_features=rows[8:], valid_labels=labels[8:],
    )  # fmt: skip


TASKS = [task("RMS_ERROR"), task("ACCURACY")]


def outcome(algorithm, registers=REGISTERS, tasks=TASKS, epochs=2):
    """Everything that is seen of a program: scores, counts, errors, predictions; NaN made comparable."""
    runs = [naive.run(algorithm, one, registers, epochs=epochs) for one in tasks]
    seen = [(r.fitness, r.train_steps, *r.train_errors, *r.valid_errors, *r.predictions) for r in runs]
    return [tuple("nan" if math.isnan(x) else x for x in row) for row in seen]


@settings(max_examples=400, deadline=None)
@given(algorithms(DETERMINISTIC))
def test_computes_the_same_bit_for_bit(algorithm):
    expected = outcome(algorithm)
    assert outcome(without_dead_code(algorithm)) == expected
    assert outcome(canonical(algorithm)) == expected


@settings(max_examples=400, deadline=None)
@given(algorithms())
def test_is_a_fixed_point_and_all_live(algorithm):
    form = canonical(algorithm)
    assert canonical(form) == form
    assert all(map(all, live_mask(form)))
    assert all(a <= b for a, b in zip(form.registers_used(), REGISTERS, strict=True))


@settings(max_examples=600, deadline=None)
@given(algorithms(), SEEDS)
def test_does_not_depend_on_names_or_order_of_commutative_inputs(algorithm, source):
    assert canonical(permuted(algorithm, source)) == canonical(algorithm)


@settings(max_examples=400, deadline=None)
@given(algorithms(), SEEDS)
def test_does_not_depend_on_the_order_of_independent_lines(algorithm, source):
    other = permuted(reordered(algorithm, source), source)
    assert canonical(other) == canonical(algorithm)
    assert canonical_digest(other) == canonical_digest(algorithm)


@settings(max_examples=200, deadline=None)
@given(
    algorithms((Op.SCALAR_CONST_SET, Op.SCALAR_SUM, Op.SCALAR_DIFF, Op.VECTOR_SUM, Op.VECTOR_MEAN), max_size=6), SEEDS
)
def test_lines_that_are_alike(algorithm, source):
    """Little but the same few ops and one constant, so that many lines have twins."""
    same = algorithm.with_functions(
        (one if one.op != Op.SCALAR_CONST_SET else const(one.out) for one in function)
        for function in algorithm.functions
    )
    assert canonical(permuted(reordered(same, source), source)) == canonical(same)


def test_known_programs_do_not_depend_on_the_order_of_independent_lines():
    source = random.Random(4)
    for baseline in BASELINES.values():
        algorithm = baseline.build()
        room = Registers(*(count + 2 for count in algorithm.registers_used()))
        orders = set()
        for _ in range(100):
            other = permuted(reordered(algorithm, source), source, room)
            orders.add(tuple(one.op for one in other.learn))
            assert canonical_digest(other) == canonical_digest(algorithm)
        assert len(orders) > 1 or len(algorithm.learn) < 6


def test_order_says_where_lines_were():
    source = random.Random(5)
    for _ in range(50):
        live = without_dead_code(random_algorithm(source, ops=DETERMINISTIC))
        for lines, positions, form in zip(
            live.functions, canonical_order(live), canonical(live).functions, strict=True
        ):
            assert sorted(positions) == list(range(len(lines)))
            assert [lines[k].op for k in positions] == [one.op for one in form]


@settings(max_examples=100, deadline=None)
@given(algorithms())
def test_random_numbers_are_drawn_in_the_same_order(algorithm):
    live, form = without_dead_code(algorithm), canonical(algorithm)
    for before, after in zip(live.functions, form.functions, strict=True):
        drawn = [[(one.op, one.constants) for one in lines if one.info.is_random] for lines in (before, after)]
        assert drawn[0] == drawn[1]


@settings(max_examples=400, deadline=None)
@given(algorithms(), SEEDS)
def test_does_not_depend_on_dead_code(algorithm, source):
    padded = with_dead_code(algorithm, source)
    assert canonical(padded) == canonical(algorithm)
    assert canonical_digest(padded) == canonical_digest(algorithm)


@settings(max_examples=200, deadline=None)
@given(algorithms((Op.SCALAR_SUM, Op.SCALAR_PRODUCT, Op.VECTOR_INNER_PRODUCT), max_size=5), SEEDS)
def test_commutative_ties(algorithm, source):
    """Programs of little but commutative ops, where first appearance alone would not decide."""
    assert canonical(permuted(algorithm, source)) == canonical(algorithm)


def test_long_random_programs():
    source = random.Random(1)
    kept = []
    for _ in range(150):
        algorithm = random_algorithm(source, ops=DETERMINISTIC)
        form = canonical(algorithm)
        kept.append(len(form) / len(algorithm))
        assert outcome(form, epochs=1) == outcome(algorithm, epochs=1)
        assert canonical(permuted(algorithm, source)) == form
    assert 0.1 < sum(kept) / len(kept) < 0.6


def test_golden_programs_compute_the_same():
    lines, tasks = golden.sample()
    for line in lines[::2]:
        algorithm = Algorithm.from_json(line)
        target = SimpleNamespace(**tasks[line["task"]])
        form = canonical(algorithm)
        found, expected = (outcome(one, golden.REGISTERS, [target], 1) for one in (form, algorithm))
        assert found == expected, line["id"]


def s(op, a, b, o):
    return Instruction(op, a, b, o)


def const(out, value=1.0):
    return Instruction(Op.SCALAR_CONST_SET, out=out, constants=(value,))


SUM, PRODUCT, DIFF = Op.SCALAR_SUM, Op.SCALAR_PRODUCT, Op.SCALAR_DIFF


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        pytest.param(Algorithm(), ((), (), ()), id="empty"),
        pytest.param(Algorithm((Instruction(Op.NO_OP),)), ((False,), (), ()), id="no-op"),
        pytest.param(Algorithm((const(1),)), ((True,), (), ()), id="setup writes the prediction, nothing else does"),
        pytest.param(
            Algorithm((const(1),), (const(1),)),
            ((False,), (True,), ()),
            id="predict overwrites what setup wrote",
        ),
        pytest.param(
            Algorithm((), (const(1),), (const(1),)),
            ((), (True,), (False,)),
            id="predict overwrites what learn wrote",
        ),
        pytest.param(
            Algorithm((), (s(SUM, 1, 2, 1),), (const(1), const(2))),
            ((), (True,), (True, True)),
            id="s1 survives from learn to predict where predict reads it",
        ),
        pytest.param(
            Algorithm((), (s(SUM, 1, 2, 3), const(1)), (s(SUM, 3, 3, 4),)),
            ((), (False, True), (False,)),
            id="a chain that ends nowhere",
        ),
        pytest.param(
            Algorithm((const(2),), (), (s(SUM, 2, 2, 2),)),
            ((False,), (), (False,)),
            id="a counter that feeds itself only",
        ),
        pytest.param(Algorithm((), (s(SUM, 2, 2, 1), const(2))), ((), (True, True), ()), id="read in the next example"),
        pytest.param(
            Algorithm((), (s(SUM, 3, 3, 1),), (s(SUM, 2, 2, 3), s(SUM, 0, 0, 2))),
            ((), (True,), (True, True)),
            id="learn to itself, one example later",
        ),
        pytest.param(
            Algorithm(
                (Instruction(Op.VECTOR_CONST_SET, out=1, constants=(0.5, 1.0)),) * 2,
                (Instruction(Op.VECTOR_NORM, 1, 0, 1),),
            ),
            ((True, True), (True,), ()),
            id="setting one element keeps the others alive",
        ),
        pytest.param(
            Algorithm(
                (
                    Instruction(Op.VECTOR_GAUSSIAN_SET, out=1, constants=(0.0, 1.0)),
                    Instruction(Op.SCALAR_BROADCAST, 2, 0, 1),
                ),
                (Instruction(Op.VECTOR_NORM, 1, 0, 1),),
            ),
            ((False, True), (True,), ()),
            id="a random vector that is overwritten",
        ),
    ],
)
def test_liveness(algorithm, expected):
    assert live_mask(algorithm) == expected


def test_unused_fields_do_not_matter():
    a = Algorithm((), (Instruction(Op.SCALAR_ABS, 0, 3, 1),))
    assert canonical(a) == Algorithm((), (Instruction(Op.SCALAR_ABS, 0, 0, 1),))


def test_renames_in_order_of_occurrence():
    algorithm = Algorithm(
        (const(7, 0.5),), (s(DIFF, 7, 5, 1),), (s(SUM, 9, 5, 5), s(PRODUCT, 0, 9, 9), s(SUM, 7, 1, 7))
    )
    assert canonical(algorithm) == Algorithm(
        (const(2, 0.5),), (s(DIFF, 2, 3, 1),), (s(SUM, 1, 2, 2), s(SUM, 3, 4, 3), s(PRODUCT, 0, 4, 4))
    )


def test_digest_tells_algorithms_apart():
    digests = {canonical_digest(Algorithm((const(1, value),))) for value in (0.0, 1.0, 2.0)}
    digests |= {canonical_digest(Algorithm((), (s(op, 1, 2, 1),), (const(2),))) for op in (SUM, PRODUCT, DIFF)}
    assert len(digests) == 6
    assert {len(digest) for digest in digests} == {32}


def test_pinned_digest():
    """Stored digests group programs for good: raise CANONICAL_VERSION if this has to change."""
    predict = (Instruction(Op.VECTOR_INNER_PRODUCT, 2, 0, 1), s(SUM, 3, 1, 1))
    algorithm = Algorithm((const(3, 0.25),), predict, (s(SUM, 0, 3, 3),))
    assert canonical(algorithm).registers_used() == Registers(3, 2, 0)
    assert canonical_digest(algorithm).hex()[:16] == PINNED


PINNED = "dc310756b5e49f19"
