"""The known algorithms learn what they should."""

from __future__ import annotations

import random

import pytest

from engine.algorithm import Registers
from engine.baselines import BASELINES, bilinear, counterpart, linear, neural_network
from engine.canonical import live_mask
from engine.ops import Op
from engine.spec import TaskSpec
from engine.task_building import build_tasks
from tests.engine import naive

DIGITS = TaskSpec(
    kind="projected", dataset="digits", count=3, features=8, train_examples=240, valid_examples=100,
    pairs=((0, 1), (1, 7), (3, 8)),
)  # fmt: skip


def draws(seed):
    source = random.Random(seed)

    def draw(asked: naive.Draw):
        if asked.op >= Op.SCALAR_GAUSSIAN_SET:
            return [source.gauss(asked.first, asked.second) for _ in range(asked.count)]
        return [source.uniform(asked.first, asked.second) for _ in range(asked.count)]

    return draw


def mean_fitness(algorithm, tasks):
    registers = algorithm.registers_used()
    return sum(naive.run(algorithm, task, registers, random=draws(1)).fitness for task in tasks) / len(tasks)


@pytest.mark.parametrize(
    ("name", "registers"),
    [
        ("linear", (4, 3, 0)), ("affine", (5, 3, 0)), ("net", (5, 9, 2)), ("net-without-bias", (4, 8, 2)),
        ("bilinear", (6, 5, 3)), ("softmax-linear", (3, 4, 2)), ("softmax-net", (3, 10, 4)),
    ],
)  # fmt: skip
def test_registers_and_no_dead_line(name, registers):
    baseline = BASELINES[name]
    assert baseline.registers == Registers(*registers)
    assert all(map(all, live_mask(baseline.build())))


def test_linear_and_affine_solve_linear_regression():
    tasks = build_tasks(TaskSpec(kind="linear", count=3, train_examples=1000), seed=0, role="search")
    assert mean_fitness(linear(), tasks) > 0.999
    assert mean_fitness(BASELINES["affine"].build(), tasks) > 0.999


def test_net_beats_linear_on_the_labels_of_a_net():
    tasks = build_tasks(TaskSpec(kind="net", count=2, train_examples=2000), seed=0, role="search")
    assert mean_fitness(neural_network(0.03, 0.5), tasks) > mean_fitness(linear(), tasks) + 0.1


@pytest.mark.parametrize("name", [name for name in BASELINES if not name.startswith("softmax")])
def test_all_learn_digits(name):
    tasks = build_tasks(DIGITS, seed=0, role="search")
    assert mean_fitness(BASELINES[name].build(), tasks) > 0.85


@pytest.mark.parametrize("name", ["linear", "net"])
def test_their_counterparts_tell_many_classes_apart(name):
    spec = TaskSpec(kind="classes", dataset="wine", count=1, features=8, train_examples=120, valid_examples=58)
    algorithm = counterpart(name, vector_labels=True).build()
    assert algorithm.vector_labels
    assert not counterpart(name, vector_labels=False).build().vector_labels
    registers, (task,) = algorithm.registers_used(), build_tasks(spec, seed=0, role="search")
    assert naive.run(algorithm, task, registers, epochs=20, random=draws(1)).fitness > 0.9


def test_constants():
    assert linear(0.5).setup[0].constants == (0.5,)
    assert bilinear(noise=0.1).learn[-1].constants[1] == pytest.approx(0.1)
