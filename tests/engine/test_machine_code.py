"""Copied machine code against the interpreter: the same bits, for every op, shape, width of vectors and way to fail."""

import ctypes
import mmap
import os
import random
from dataclasses import replace

import numpy as np
import pytest

from engine.algorithm import Algorithm, Instruction, Registers
from engine.core import assembly, stencils
from engine.core.machine import new_place
from engine.evaluator import Evaluator
from engine.ops import OPS, Op
from engine.presets import preset
from engine.search import Search
from engine.spec import FecSpec, HurdleSpec, StopSpec
from engine.task import Task
from tests.engine.programs import random_algorithm

REGISTERS = Registers(5, 5, 3)
ALL = [info.op for info in OPS]
WIDTHS = [width for width in (4, 8) if width <= stencils.vector_width()]
SHAPES = [(1, 2), (3, 3), (5, 4), (10, 4), (21, 4), (8, 8), (10, 16), (12, 16)]
KINDS = ["RMS_ERROR", "ACCURACY", "MULTICLASS"]

pytestmark = pytest.mark.skipif(not WIDTHS, reason="no machine code for this processor: everything is interpreted")


def make_tasks(count, features, kind, source):
    """Tasks some of whose examples are so large that programs fail on them: at different examples, or not at all."""
    tasks = []
    for _ in range(count):
        x = source.normal(size=(20, features)) * np.exp(source.normal(size=(20, 1)) * source.choice([0.0, 1.0, 3.0]))
        if kind == "RMS_ERROR":
            y = source.normal(size=20) * source.choice([1.0, 30.0])
        else:
            y = source.integers(0, 2 if kind == "ACCURACY" else min(features, 4), 20) * 1.0
        classes = {"MULTICLASS": min(features, 4)}.get(kind, 0)
        extra = {"classes": classes} if classes else {}
        tasks.append(Task(features, kind, x[:13], y[:13], x[13:], y[13:], **extra))
    return tasks


def compare(shapes, programs, seed, *, epochs=(1, 3)):
    """Compare machine code of every width with the interpreter on random programs; return how many scored above 0."""
    source, alive = random.Random(seed), 0
    numbers = np.random.Generator(np.random.PCG64(seed))
    for count, features in shapes:
        for kind in KINDS:
            for passes in epochs:
                tasks = make_tasks(count, features, kind, numbers)
                limit = source.choice([1.0, 100.0, np.inf])
                evaluators = [
                    Evaluator(tasks, REGISTERS, max_abs_error=limit, seed=seed, epochs=passes, width=width)
                    for width in (0, *WIDTHS)
                ]
                for _ in range(programs):
                    sizes = source.choice([(3, 2, 3), (5, 7, 9), (0, 1, 1), (9, 15, 20)])
                    algorithm = random_algorithm(source, sizes, ALL, REGISTERS)
                    if kind == "MULTICLASS":
                        algorithm = Algorithm(*algorithm.functions, vector_labels=True)
                    expected, *others = (one.evaluate(algorithm) for one in evaluators)
                    for width, found in zip(WIDTHS, others):
                        where = (count, features, kind, passes, width, algorithm.pseudocode())
                        assert np.array_equal(found.fitness, expected.fitness), where
                        assert np.array_equal(found.train_steps, expected.train_steps), where
                    alive += bool((expected.fitness > 0).any())
    return alive


def test_random_programs_give_the_same_bits():
    # 50 tasks are three groups of 16 lanes and one of 2.
    assert compare([(5, 4), (21, 4), (3, 3)], 40, 1) + compare([(50, 4)], 10, 3, epochs=(3,)) > 110


@pytest.mark.slow
def test_random_programs_of_every_shape_give_the_same_bits():
    assert compare(SHAPES, 60, 2) > 500


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(100, 140))
def test_very_many_random_programs_give_the_same_bits(seed):
    """Forty times 5,040 programs, twice each: some minutes."""
    assert compare(SHAPES, 120, seed) > 1000


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("info", [info for info in OPS if info.op != Op.NO_OP], ids=lambda info: info.op.name)
def test_every_op_leaves_the_same_memory(info, width):
    """Each op alone, on registers that a few random ops filled: with outputs that are inputs and inputs just computed."""
    numbers, source = np.random.Generator(np.random.PCG64(3)), random.Random(int(info.op))
    for features in (3, 4, 16):
        tasks = make_tasks(1, features, "RMS_ERROR", numbers)
        machine, interpreter = (
            Evaluator(tasks, REGISTERS, width=one, max_abs_error=np.inf, seed=9) for one in (width, 0)
        )
        fill = [Instruction(Op.SCALAR_CONST_SET, out=k, constants=(0.3 * k - 0.5,)) for k in range(1, 5)]
        fill += [Instruction(Op.VECTOR_GAUSSIAN_SET, out=k, constants=(0.0, 2.0)) for k in range(1, 5)]
        fill += [Instruction(Op.MATRIX_GAUSSIAN_SET, out=k, constants=(0.0, 1.0)) for k in range(3)]
        for _ in range(6):
            lines = random_algorithm(source, (4, 0, 0), [info.op, Op.SCALAR_SUM, info.op], REGISTERS).setup
            algorithm = Algorithm((*fill, *lines), lines, lines)
            found, expected = (one.evaluate(algorithm, memory=True) for one in (machine, interpreter))
            for kind in "svm":
                np.testing.assert_array_equal(found.memory[kind], expected.memory[kind], algorithm.pseudocode())
            assert np.array_equal(found.fitness, expected.fitness)


@pytest.mark.parametrize("count, features", [(21, 4), (10, 16)])
def test_random_ops_draw_the_same_in_every_group_of_tasks(count, features):
    """21 small tasks are two groups of 12 lanes, or, where vectors are wide, of 16; 10 large ones are 8 lanes and 2."""
    tasks = make_tasks(count, features, "RMS_ERROR", np.random.Generator(np.random.PCG64(8)))
    draw = Algorithm((), (Instruction(Op.SCALAR_GAUSSIAN_SET, out=1, constants=(0.0, 1.0)),), ())
    first, *others = (Evaluator(tasks, REGISTERS, seed=5, width=width).evaluate(draw) for width in (0, *WIDTHS))
    assert len(np.unique(first.fitness)) == count
    assert all(np.array_equal(one.fitness, first.fitness) for one in others)


@pytest.mark.parametrize("count", [10, 13, 20])
def test_a_search_is_the_same_interpreted(count, monkeypatch):
    """With the equivalence cache, a hurdle on the first tasks, and groups of 8 lanes of which the last may be of 4 or 2."""
    spec = preset("cifar10-baseline")
    spec = replace(
        spec, stages=(), population_size=50, select_tasks=None, final_tasks=None, select_candidates=0,
        search_tasks=replace(spec.search_tasks, dataset="digits", count=count, train_examples=60, valid_examples=30, epochs=2),
        hurdle=HurdleSpec(train_examples=20, valid_examples=20, tasks=9, window=50, period=10), fec=FecSpec(),
        stop=StopSpec(max_individuals=1500, max_experiments=1),
    )  # fmt: skip
    reports = []
    for width in (WIDTHS[-1], 0):
        monkeypatch.setattr("engine.evaluator.vector_width", lambda width=width: width)
        search = Search.start(spec, 3)
        reports.append(search.run(seconds=1e9))
    machine, interpreted = reports
    assert [(find.score, find.algorithm) for find in machine.finds] == [
        (find.score, find.algorithm) for find in interpreted.finds
    ]
    assert replace(machine.counters, seconds=0.0) == replace(interpreted.counters, seconds=0.0)
    assert machine.counters.fec_hits > 50 and machine.counters.cut > 50


def test_a_program_longer_than_any_before_makes_room():
    tasks = make_tasks(2, 4, "RMS_ERROR", np.random.Generator(np.random.PCG64(4)))
    line = Instruction(Op.SCALAR_SUM, 1, 0, 1)
    long = Algorithm((), (line,) * 900, (line,) * 900)
    results = [Evaluator(tasks, REGISTERS, width=width).evaluate(long, memory=False) for width in (0, *WIDTHS)]
    assert all(np.array_equal(one.fitness, results[0].fitness) for one in results)


def test_room_is_used_again_and_again():
    """More programs than there is room for: the first, loaded once more, gives what it gave."""
    tasks = make_tasks(10, 4, "RMS_ERROR", np.random.Generator(np.random.PCG64(5)))
    evaluator, source = Evaluator(tasks, REGISTERS), random.Random(5)
    chosen = [random_algorithm(source, (4, 6, 8), ALL, REGISTERS) for _ in range(400)]
    first = [evaluator.evaluate(one).fitness for one in chosen]
    again = [evaluator.evaluate(one).fitness for one in chosen]
    assert np.array_equal(first, again)


def test_memory_that_may_not_be_run(monkeypatch):
    """Where the system refuses it, programs are interpreted."""

    def refused(*arguments, **options):
        raise PermissionError(13, "not permitted")

    map_memory = mmap.mmap
    monkeypatch.setattr("engine.core.machine.mmap.mmap", refused)
    shape = stencils.Shape(4, 8, WIDTHS[-1], False, False)
    assert new_place(shape, 100, 10, 100.0, 0) is None
    tasks = make_tasks(3, 4, "RMS_ERROR", np.random.Generator(np.random.PCG64(6)))
    algorithm = Algorithm((), (Instruction(Op.VECTOR_INNER_PRODUCT, 0, 0, 1),), ())
    interpreted = Evaluator(tasks, REGISTERS).evaluate(algorithm).fitness
    assert np.array_equal(interpreted, Evaluator(tasks, REGISTERS, width=0).evaluate(algorithm).fitness)
    # Refused for the narrow lanes of the last tasks only: these are like the others.
    granted = iter([map_memory])
    monkeypatch.setattr(
        "engine.core.machine.mmap.mmap", lambda *given, **options: next(granted, refused)(*given, **options)
    )
    tasks = make_tasks(10, 16, "RMS_ERROR", np.random.Generator(np.random.PCG64(6)))
    fitness = Evaluator(tasks, REGISTERS).evaluate(algorithm).fitness
    assert np.array_equal(fitness, Evaluator(tasks, REGISTERS, width=0).evaluate(algorithm).fitness)


def test_a_forked_process_has_code_of_its_own():
    """What a child assembles and runs changes nothing of what the parent has loaded."""
    tasks = make_tasks(10, 4, "RMS_ERROR", np.random.Generator(np.random.PCG64(7)))
    evaluator, source = Evaluator(tasks, REGISTERS), random.Random(7)
    chosen = [random_algorithm(source, (4, 6, 8), ALL, REGISTERS) for _ in range(30)]
    expected = [evaluator.evaluate(one).fitness for one in chosen]
    evaluator.load(chosen[0])
    before = evaluator.groups.machines[0].copy()
    code = ctypes.string_at(int(before[assembly.BEGIN]), int(before[assembly.END] - before[assembly.BEGIN]))
    child = os.fork()
    if child == 0:
        same = all(np.array_equal(evaluator.evaluate(one).fitness, fine) for one, fine in zip(chosen, expected))
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert code == ctypes.string_at(int(before[assembly.BEGIN]), len(code))
