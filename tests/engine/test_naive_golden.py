"""The naive interpreter against the published reference's results, and on the rules the vectors do not cover."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from engine.algorithm import Algorithm, Instruction, Registers
from engine.ops import Op
from tests.engine import golden, naive


def test_sample_agrees_and_covers_every_deterministic_op():
    lines, tasks = golden.sample()
    assert _disagreeing(lines, tasks) == []
    ops = {one["op"] for line in lines for name in ("setup", "predict", "learn") for one in line[name]}
    assert ops == {op.name for op in Op if op < Op.SCALAR_UNIFORM_SET}


@pytest.mark.slow
def test_every_golden_line_agrees():
    lines, tasks = golden.whole()
    assert _disagreeing(lines, tasks) == []


def test_every_address_op_has_a_body_or_is_a_broadcast():
    broadcasts = {Op.SCALAR_BROADCAST, Op.VECTOR_COLUMN_BROADCAST, Op.VECTOR_ROW_BROADCAST}
    assert set(naive.BODIES) | broadcasts == {op for op in Op if 1 <= op <= 55}


def test_validation_runs_on_the_live_memory_between_epochs():
    # Predict counts its own runs in s1: 2 training and 1 validation example an epoch.
    program = Algorithm(
        setup=(Instruction(Op.SCALAR_CONST_SET, out=2, constants=(1.0,)),),
        predict=(Instruction(Op.SCALAR_SUM, 1, 2, 1),),
    )
    run = naive.run(program, _task([0, 0], [6]), REGISTERS, epochs=2)
    assert run.memory["s"][1] == 6.0
    assert run.fitness == 1.0  # the best epoch: the second predicts 6 exactly
    assert run.train_errors == [1.0, 2.0, 4.0, 5.0]
    assert run.valid_errors == [3.0, 0.0]


def test_epoch_orders_and_granted_examples():
    program = Algorithm(learn=(Instruction(Op.SCALAR_SUM, 0, 1, 1),))  # s1 becomes the sum of the labels
    task = _task([1, 2, 4], [0])
    run = naive.run(program, task, REGISTERS, epochs=2, epoch_orders=[[0, 1, 2], [2, 1, 0]], train_examples=5)
    assert run.train_steps == 5
    assert run.memory["s"][1] == 1 + 2 + 4 + 4 + 2
    nothing = naive.run(program, task, REGISTERS, train_examples=0)
    assert (nothing.fitness, nothing.train_steps) == (0.0, 0)


def test_failure_stops_before_learn_and_counts_the_step():
    program = Algorithm(learn=(Instruction(Op.SCALAR_CONST_SET, out=1, constants=(1000.0,)),))
    run = naive.run(program, _task([0, 0, 0], [0]), REGISTERS)
    assert (run.failed, run.train_steps, run.fitness, run.train_errors) == (True, 2, 0.0, [0.0])


def test_failure_in_a_later_epoch_keeps_the_best():
    program = Algorithm(
        setup=(Instruction(Op.SCALAR_CONST_SET, out=2, constants=(40.0,)),),
        learn=(Instruction(Op.SCALAR_SUM, 1, 2, 1),),
    )
    run = naive.run(program, _task([0, 0], [80]), REGISTERS, epochs=3)
    assert run.failed
    assert (run.train_steps, run.fitness) == (4, 1.0)


def test_accuracy_keeps_the_probability_in_training_and_the_logit_in_validation():
    program = Algorithm(predict=(Instruction(Op.SCALAR_CONST_SET, out=1, constants=(2.0,)),))
    run = naive.run(program, _task([1], [1, 0], eval_type="ACCURACY"), REGISTERS)
    assert run.train_errors == [pytest.approx(1 - 1 / (1 + math.exp(-2)))]
    assert run.memory["s"][1] == 2.0
    assert (run.fitness, run.valid_errors) == (0.5, [0.0, 1.0])


def test_nan_logit_in_validation_counts_as_class_zero():
    program = Algorithm(
        learn=(Instruction(Op.SCALAR_RECIPROCAL, 3, out=2), Instruction(Op.SCALAR_DIFF, 2, 2, 2)),
        predict=(Instruction(Op.SCALAR_SUM, 1, 2, 1),),
    )
    run = naive.run(program, _task([0], [0, 0, 1], eval_type="ACCURACY"), REGISTERS)
    assert run.fitness == pytest.approx(2 / 3)
    assert math.isnan(run.predictions[0])


@pytest.mark.parametrize(
    ("op", "with_nan_first", "with_nan_second"),
    [
        (Op.SCALAR_MIN, True, False), (Op.SCALAR_MAX, True, False), (Op.VECTOR_MIN, True, False),
        (Op.VECTOR_MAX, True, False), (Op.MATRIX_MIN, False, True), (Op.MATRIX_MAX, False, True),
    ],
)  # fmt: skip
def test_minimum_and_maximum_of_nan(op, with_nan_first, with_nan_second):
    depth = {"s": 0, "v": 1, "m": 2}[op.name[0].lower()]

    def value(number):
        for _ in range(depth):
            number = [number]
        return number

    def is_nan(result):
        while isinstance(result, list):
            result = result[0]
        return math.isnan(result)

    assert is_nan(naive.BODIES[op](value(math.nan), value(1.0))) is with_nan_first
    assert is_nan(naive.BODIES[op](value(1.0), value(math.nan))) is with_nan_second


def test_random_ops_ask_for_their_draws_and_uniform_with_lo_above_hi_does_not():
    asked = []

    def random(draw):
        asked.append(draw)
        return [0.5] * draw.count

    program = Algorithm(
        setup=(
            Instruction(Op.MATRIX_GAUSSIAN_SET, out=0, constants=(0.0, 1.0)),
            Instruction(Op.VECTOR_UNIFORM_SET, out=1, constants=(0.5, -0.5)),
        ),
        predict=(Instruction(Op.SCALAR_UNIFORM_SET, out=2, constants=(0.0, 1.0)),),
    )
    run = naive.run(program, _task([0, 0], [0]), REGISTERS, random=random)
    assert [(draw.op, draw.count, draw.execution) for draw in asked] == [
        (Op.MATRIX_GAUSSIAN_SET, 4, 0), *((Op.SCALAR_UNIFORM_SET, 1, index) for index in range(3)),
    ]  # fmt: skip
    assert run.memory["v"][1] == [0.5, 0.5]


REGISTERS = Registers(4, 3, 1)


def _task(train_labels, valid_labels, eval_type="RMS_ERROR"):
    return SimpleNamespace(
        features_size=2, eval_type=eval_type,
        train_features=[[0.0, 0.0] for _ in train_labels], train_labels=[float(label) for label in train_labels],
        valid_features=[[0.0, 0.0] for _ in valid_labels], valid_labels=[float(label) for label in valid_labels],
    )  # fmt: skip


def _disagreeing(lines, tasks):
    tasks = [SimpleNamespace(**task) for task in tasks]
    wrong = []
    for line in lines:
        algorithm = Algorithm.from_json(line, registers=golden.REGISTERS)
        run = naive.run(algorithm, tasks[line["task"]], golden.REGISTERS)
        if not golden.agrees(line, run.fitness, run.train_steps, run.memory):
            wrong.append(line["id"])
    return wrong
