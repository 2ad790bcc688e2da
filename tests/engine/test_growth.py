"""Validity told from the data flow, and the mutations that build towards it."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from engine.algorithm import Algorithm, Instruction, Registers
from engine.baselines import linear, neural_network_without_bias
from engine.canonical import inputs, live_mask, output
from engine.core import price, validity
from engine.core.validity import FEATURES, LABEL, PREDICTION
from engine.evaluator import Encoded
from engine.kinds import MUTATIONS
from engine.ops import Op
from engine.spec import TaskSpec
from engine.task_building import build_tasks
from tests.engine import naive
from tests.engine.programs import DETERMINISTIC, from_python, random_algorithm
from tests.engine.test_core import island, mutants

REGISTERS = Registers(4, 3, 2)
prediction_sources = from_python(validity.prediction_sources)
price_of = from_python(price.price)
EVERYTHING = {"insert": 1.0, "remove": 1.0, "alter_parameter": 1.0, "grow": 1.0, "branch": 1.0, "tune": 1.0}


def sources(algorithm, registers=REGISTERS):
    encoded = Encoded.of(algorithm, [max(len(one), 1) for one in algorithm.functions])
    starts = np.concatenate([[0], np.cumsum([max(len(one), 1) for one in algorithm.functions])[:-1]])
    s, v, _ = registers
    first = np.array([0, s, s + v, algorithm.vector_labels], np.int64)
    total = sum(registers)
    before, scratch = np.zeros(total, np.int64), np.zeros(total, np.uint8)
    return prediction_sources(encoded.code, encoded.lengths, starts.astype(np.int64), first, before, scratch)


def test_known_programs():
    assert sources(Algorithm()) == PREDICTION  # its own, squashed again and again
    assert sources(linear(0.1)) == FEATURES | LABEL | PREDICTION
    assert sources(neural_network_without_bias(), Registers(4, 8, 2)) == FEATURES | LABEL | PREDICTION
    dot = Instruction(Op.VECTOR_INNER_PRODUCT, 1, 0, 1)
    hebb = (Instruction(Op.SCALAR_VECTOR_PRODUCT, 0, 0, 2), Instruction(Op.VECTOR_SUM, 1, 2, 1))
    assert sources(Algorithm((), (dot,), ())) == FEATURES
    assert sources(Algorithm((), (dot,), hebb)) == FEATURES | LABEL
    # What Learn leaves in s1 is predicted where Predict does not write it; the example's features are gone by then.
    last = (Instruction(Op.VECTOR_INNER_PRODUCT, 0, 0, 1),)
    assert sources(Algorithm((), (), last)) == 0
    assert sources(Algorithm((), (), (Instruction(Op.SCALAR_SUM, 0, 1, 1),))) == LABEL | PREDICTION


def test_programs_called_invalid_do_not_learn():
    """No label changes what a program predicts if no label is among its sources, and no example's features likewise."""
    task = build_tasks(
        TaskSpec("linear", count=1, features=3, train_examples=12, valid_examples=5), seed=1, role="search"
    )[0]
    relabelled = replace(task, train_labels=1.5 - task.train_labels)
    features = task.valid_features.copy()
    features[-1] = 1 - 2 * features[-1]
    other = replace(task, valid_features=features)
    source, lacking, having = random.Random(3), [0, 0], 0
    for _ in range(1500):
        program = random_algorithm(source, (3, 4, 5), DETERMINISTIC, REGISTERS)
        found = sources(program)
        usual = predictions(program, task)
        if not found & LABEL:
            lacking[0] += 1
            assert same(predictions(program, relabelled), usual)
        else:
            having += not same(predictions(program, relabelled), usual)
        if not found & FEATURES:
            lacking[1] += 1
            assert same(predictions(program, other)[-1:], usual[-1:])
    assert min(lacking) > 100 and having > 20


def predictions(program, task):
    run = naive.run(program, task, REGISTERS, max_abs_error=math.inf)
    return [] if run.failed else run.predictions


def same(a, b):
    # A run that failed says nothing.
    return not a or not b or all(x == y or (math.isnan(x) and math.isnan(y)) for x, y in zip(a, b, strict=True))


def hungry(algorithm):
    read, written = {algorithm.prediction}, {("v", 0), algorithm.label}
    for function, mask in zip(algorithm.functions, live_mask(algorithm)):
        for one, live in zip(function, mask):
            if live:
                read |= set(inputs(one))
                written.add(output(one))
    return read - written


@pytest.mark.parametrize("kind", ["grow", "branch", "train"])
def test_growth_adds_live_lines(kind):
    source, grown = random.Random(5), 0
    for _ in range(8):
        parent = random_algorithm(source, (2, 2, 2), registers=REGISTERS)
        for child in set(mutants(kind, parent, 60)):
            assert all(1 <= len(function) <= 4 for function in child.functions)
            if child != parent:
                added = sum(map(len, child.functions)) - sum(map(len, parent.functions))
                assert 1 <= added <= 6
                grown += 1
    assert grown > 120


def test_grow_begins_with_the_prediction():
    no_op = (Instruction(Op.NO_OP),)
    empty = Algorithm(no_op, no_op, no_op)
    for child in set(mutants("grow", empty, 200)):
        assert ("s", 1) in [output(one) for one in child.predict if one.op != Op.NO_OP]
        assert hungry(empty) == {("s", 1)} and ("s", 1) not in hungry(child)


@pytest.mark.parametrize("kind", MUTATIONS)
def test_what_a_mutation_makes_is_the_same_program_when_it_is_written_and_read(kind):
    """Constants of all ops but one are float32: the digest, and so the permalink, is made of what can be written down."""
    draws = (
        Instruction(Op.VECTOR_GAUSSIAN_SET, out=1, constants=(0.5, 0.25)),
        Instruction(Op.SCALAR_UNIFORM_SET, out=2, constants=(-0.5, 0.25)),
        Instruction(Op.VECTOR_CONST_SET, out=2, constants=(0.5, 0.25)),
        Instruction(Op.SCALAR_CONST_SET, out=3, constants=(0.1,)),
    )
    dot = Instruction(Op.VECTOR_INNER_PRODUCT, 1, 2, 1)
    # One reads the label, which nothing may write.
    sums = tuple(Instruction(Op.SCALAR_SUM, 1, other, 1) for other in (2, 3, 0))
    parent = Algorithm(draws, (dot, *sums), (Instruction(Op.VECTOR_SUM, 1, 0, 1),))
    for child in mutants(kind, parent, 200):
        assert Algorithm.from_json(child.to_json()).digest() == child.digest()


def test_tune_scales_one_constant_of_a_live_line():
    parent = linear(0.1)
    changes = {
        replace(child, setup=parent.setup) == parent and child.setup[0].constants[0]
        for child in mutants("tune", parent)
    }
    assert False not in changes and len(changes) > 500 and all(one > 0 for one in changes)
    assert 0.6 < np.std(np.log(sorted(changes))) < 0.85


def test_children_of_the_empty_program_become_valid_and_stay_so():
    one = island(EVERYTHING, initial="empty", validity="learns", more_mutations=0.3)
    one.breed(400)
    valid = [sources(one.algorithm(int(slot))) & 3 == 3 for slot in one.population]
    assert all(valid)
    rejected = one.counters_now().rejected
    # The first two, which are empty, and some more: copies of the empty ones and what no try made valid.
    assert 2 <= rejected < 200


def test_train_accumulates_in_what_predict_reads():
    """A register that Predict reads and Learn writes afterwards has been read by what writes it."""
    draw = Instruction(Op.VECTOR_GAUSSIAN_SET, out=1, constants=(0.5, 0.25))
    parent = Algorithm((draw,), (Instruction(Op.VECTOR_INNER_PRODUCT, 0, 1, 1),), (Instruction(Op.NO_OP),))
    trained = 0
    for child in set(mutants("train", parent, 300)):
        writers = [one for one in child.learn if output(one) == ("v", 1)]
        trained += bool(writers)
        assert not writers or any(("v", 1) in inputs(one) for one in writers)
    assert trained > 10


def test_newcomers_descend_from_nobody():
    for share, expected in ((1.0, {True}), (0.0, {False})):
        one = island(EVERYTHING, initial="empty", newcomers=share)
        one.breed(400)
        assert {bool(one.pool.parent_births[slot] < 0) for slot in one.population} == expected


def test_nothing_is_rejected_by_default():
    one = island(EVERYTHING, initial="empty")
    one.breed(400)
    assert one.counters_now().rejected == 0


def test_cost_is_paid_in_selection_only():
    cheap, dear = island(EVERYTHING, initial="empty"), island(EVERYTHING, initial="empty", price=0.5)
    for one in (cheap, dear):
        one.breed(300)
    living = cheap.population
    assert (cheap.pool.merits[living] == cheap.pool.scores[living]).all()
    living = dear.population
    assert (dear.pool.merits[living] <= dear.pool.scores[living]).all()


def test_what_always_computes_zero_is_free():
    """As if the instructions that change nothing were not there; a maximum with 0 is not one of them."""
    one = island(EVERYTHING)

    def cost(algorithm, a_unit=1.0, a_line=0.0):
        encoded = Encoded.of(algorithm, one._capacities)
        return price_of(one.space, np.array([a_unit, a_line]), encoded.code, encoded.lengths)

    plain = linear(0.1)
    drifting = replace(
        plain,
        predict=(
            Instruction(Op.MATRIX_VECTOR_PRODUCT, 0, 0, 2),
            Instruction(Op.VECTOR_SUM, 2, 1, 2),
            Instruction(Op.VECTOR_INNER_PRODUCT, 2, 0, 1),
        ),
    )
    assert cost(Algorithm()) == 0 and cost(plain) > 0
    assert cost(drifting) == cost(plain)
    filled = replace(drifting, setup=(*plain.setup, Instruction(Op.MATRIX_GAUSSIAN_SET, out=0, constants=(0.0, 0.5))))
    assert cost(filled) > cost(plain) + 1
    rectified = replace(
        plain, predict=(Instruction(Op.VECTOR_MAX, 0, 2, 2), Instruction(Op.VECTOR_INNER_PRODUCT, 1, 2, 1))
    )
    assert cost(rectified) > cost(plain)
    # Lines of Predict and Learn; those that compute 0 are free there, too.
    assert [cost(each, 0.0, 0.5) for each in (Algorithm(), plain, drifting, filled)] == [0.0, 2.5, 2.5, 3.5]
