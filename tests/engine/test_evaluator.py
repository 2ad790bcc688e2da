"""The fast evaluator against the naive interpreter: every op, several shapes, lanes that fail and lanes that do not."""

import math
import random

import numpy as np
import pytest

from engine.algorithm import Algorithm, Instruction, ProgramError, Registers
from engine.baselines import neural_network
from engine.core import programs
from engine.core.fusion import fuse
from engine.evaluator import Encoded, Evaluator, epoch_orders
from engine.ops import OPS, Op
from engine.spec import TaskSpec
from engine.task import Task
from engine.task_building import build_tasks
from tests.engine import golden, naive
from tests.engine.programs import DETERMINISTIC, random_algorithm

REGISTERS = Registers(5, 4, 2)
CHAOTIC = {Op.SCALAR_EXP, Op.SCALAR_TAN, Op.SCALAR_SIN, Op.SCALAR_COS, Op.SCALAR_LOG}
EXTREMES = [0.0, -0.0, 1.0, -1.0, 1e-300, -1e300, 1e300, math.inf, -math.inf, math.nan, 0.5, 99.5]


def make_tasks(count, features, kind="RMS_ERROR", train=12, valid=7, seed=0):
    source = np.random.Generator(np.random.PCG64(seed))
    tasks = []
    for _ in range(count):
        labels = (
            (lambda n: source.integers(0, 2, n) * 1.0) if kind == "ACCURACY" else (lambda n: source.normal(size=n) * 3)
        )
        tasks.append(
            Task(
                features,
                kind,
                source.normal(size=(train, features)),
                labels(train),
                source.normal(size=(valid, features)),
                labels(valid),
            )
        )
    return tasks


def check(evaluator, algorithm, *, epochs=1):
    """Compare fitness and steps on every task. Returns False where only chaos can explain a difference.

    Iterated exponentials and sines of huge numbers turn the last digit of one step into another number altogether, so
    programs that use them may differ; the callers bound how many do.
    """
    result = evaluator.evaluate(algorithm)
    orders = [
        range(evaluator.tasks[0].train_examples),
        *epoch_orders(evaluator.tasks[0].train_examples, epochs).tolist(),
    ]
    for k, task in enumerate(evaluator.tasks):
        expected = naive.run(algorithm, task, evaluator.registers, epochs=epochs, epoch_orders=orders[:epochs])
        same_steps = result.train_steps[k] == expected.train_steps
        if same_steps and result.fitness[k] == pytest.approx(expected.fitness, rel=1e-6, abs=1e-9):
            continue
        assert any(one.op in CHAOTIC for function in algorithm.functions for one in function), (
            k,
            algorithm.pseudocode(),
        )
        return False
    return True


def check_many(evaluator, source, count, sizes, *, epochs=1):
    """Check `count` random programs; at most one in fifty may be chaotic."""
    chosen = [random_algorithm(source, sizes, DETERMINISTIC, REGISTERS) for _ in range(count)]
    assert sum(not check(evaluator, program, epochs=epochs) for program in chosen) <= max(1, count // 50)


def test_golden_vectors():
    lines, data = golden.whole()
    from engine.task import tasks_from_json

    registers = Registers(6, 9, 3)
    evaluators = [Evaluator([task], registers) for task in tasks_from_json(data)]
    for line in lines:
        algorithm = Algorithm.from_json(line, registers=registers)
        result = evaluators[line["task"]].evaluate(algorithm, memory=True)
        memory = {kind: block.tolist() for kind, block in result.memory.items()}
        assert golden.agrees(line, result.fitness[0], int(result.train_steps[0]), memory), line["id"]
        lean = evaluators[line["task"]].evaluate(algorithm)
        assert lean.fitness[0] == result.fitness[0] and lean.train_steps[0] == result.train_steps[0], line["id"]


@pytest.mark.parametrize("features", [2, 3, 4, 7])
@pytest.mark.parametrize("op", DETERMINISTIC, ids=lambda op: op.name)
def test_each_op_on_extreme_values(op, features):
    """Memory after a program that puts extreme values into the operands and runs the op once, with and without aliasing."""
    info = OPS[op]
    source = random.Random(int(op))
    (task,) = make_tasks(1, features, train=1, valid=1)
    evaluator = Evaluator([task], REGISTERS, max_abs_error=math.inf)
    for trial in range(12):
        setup = [Instruction(Op.SCALAR_CONST_SET, out=k, constants=(source.choice(EXTREMES),)) for k in (2, 3, 4)]
        for k in (1, 2, 3):
            setup.append(Instruction(Op.SCALAR_BROADCAST, in1=source.randrange(2, 5), out=k))
            for _ in range(3):
                value = source.choice(EXTREMES)
                value = (
                    math.copysign(3.0, value) if abs(value) > 1e38 and math.isfinite(value) else naive.float32(value)
                )
                setup.append(
                    Instruction(Op.VECTOR_CONST_SET, out=k, constants=(naive.float32(source.random() * 0.99), value))
                )
        setup.append(Instruction(Op.VECTOR_OUTER_PRODUCT, in1=1, in2=2, out=0))
        setup.append(Instruction(Op.VECTOR_ROW_BROADCAST, in1=3, out=1))
        constants = tuple(naive.float32(source.random() * 0.99) for _ in info.constants)
        pick = lambda kind: {"s": source.randrange(2, 5), "v": source.randrange(1, 4), "m": source.randrange(2)}[kind]  # noqa: E731
        addresses = [pick(kind) for kind in info.inputs] + [0, 0]
        out = pick(info.output) if info.output else 0
        if trial % 3 == 0 and info.inputs and info.output == info.inputs[-1]:
            out = addresses[len(info.inputs) - 1]
        algorithm = Algorithm((*setup, Instruction(op, addresses[0], addresses[1], out, constants)), (), ())
        found = evaluator.evaluate(algorithm, memory=True).memory
        expected = naive.run(algorithm, task, REGISTERS, max_abs_error=math.inf).memory
        for kind in "svm":
            np.testing.assert_allclose(
                found[kind], np.array(expected[kind], float).reshape(found[kind].shape), rtol=1e-12, atol=0
            )


@pytest.mark.parametrize(
    ("count", "features", "kind"), [(1, 2, "RMS_ERROR"), (5, 4, "ACCURACY"), (10, 3, "RMS_ERROR"), (21, 4, "RMS_ERROR")]
)
def test_random_programs_on_many_tasks(count, features, kind):
    source = random.Random(count)
    evaluator = Evaluator(make_tasks(count, features, kind, seed=count), REGISTERS)
    check_many(evaluator, source, 150, (4, 5, 6))


@pytest.mark.slow
@pytest.mark.parametrize(("count", "features"), [(3, 2), (10, 4), (8, 8), (17, 5)])
@pytest.mark.parametrize("kind", ["RMS_ERROR", "ACCURACY"])
def test_very_many_random_programs(count, features, kind):
    source = random.Random(features)
    evaluator = Evaluator(make_tasks(count, features, kind, train=11, valid=4, seed=count), REGISTERS)
    check_many(evaluator, source, 600, (5, 7, 9))


PAIRS = (
    (Op.SCALAR_VECTOR_PRODUCT, Op.VECTOR_SUM, "v"), (Op.VECTOR_OUTER_PRODUCT, Op.MATRIX_SUM, "m"),
    (Op.SCALAR_VECTOR_PRODUCT, Op.VECTOR_DIFF, "v"), (Op.VECTOR_OUTER_PRODUCT, Op.MATRIX_DIFF, "m"),
    (Op.SCALAR_MATRIX_PRODUCT, Op.MATRIX_SUM, "m"), (Op.SCALAR_MATRIX_PRODUCT, Op.MATRIX_DIFF, "m"),
)  # fmt: skip
FUSIBLE = (
    Op.VECTOR_OUTER_PRODUCT, Op.SCALAR_VECTOR_PRODUCT, Op.SCALAR_MATRIX_PRODUCT, Op.VECTOR_SUM, Op.VECTOR_DIFF, Op.MATRIX_SUM,
    Op.MATRIX_DIFF, Op.MATRIX_VECTOR_PRODUCT, Op.VECTOR_INNER_PRODUCT, Op.SCALAR_CONST_SET, Op.VECTOR_CONST_SET,
)  # fmt: skip


def test_fused_instructions_compute_the_same():
    """Random programs into which a product and, some lines later, a sum that alone reads it have been put."""
    smaller, registers = Registers(4, 4, 3), Registers(4, 5, 4)
    evaluator = Evaluator(make_tasks(5, 3), registers)
    source, fused = random.Random(11), 0
    for _ in range(400):
        functions = [list(lines) for lines in random_algorithm(source, (6, 6, 6), FUSIBLE, smaller).functions]
        for product, total, kind in source.sample(PAIRS, 2):
            lines, spare = source.choice(functions[1:]), getattr(smaller, kind)
            address = lambda kind: source.randrange(getattr(smaller, kind))  # noqa: E731
            operands = [address(one) for one in OPS[product].inputs]
            place = source.randrange(len(lines) + 1)
            out = source.randrange(1, getattr(smaller, kind))
            inputs = (
                [spare, address(kind)]
                if OPS[total].is_commutative and source.random() < 0.5
                else [address(kind), spare]
            )
            lines.insert(source.randrange(place, len(lines) + 1), Instruction(total, *inputs, out))
            lines.insert(place, Instruction(product, *operands, spare))
        algorithm = Algorithm(*map(tuple, functions))
        assert check(evaluator, algorithm), algorithm.pseudocode()
        encoded = Encoded.of(algorithm)
        compact = programs.new_compact(len(algorithm), registers)
        first = np.array([0, registers.s, registers.s + registers.v, 0])
        programs.find_live(encoded.code, encoded.lengths, encoded.starts, first, compact)
        programs.make_compact(encoded.code, encoded.constants, encoded.lengths, encoded.starts, first, True, compact)
        before = compact.counts.sum()
        fuse(compact)
        fused += before - compact.counts.sum()
    assert fused > 40
    # The 2-layer net's two products: v6 = s4 * v4; v2 = v2 + v6 and m1 = outer(v7, v0); m0 = m0 + m1.
    evaluator = Evaluator(make_tasks(3, 4, "ACCURACY"), Registers(5, 9, 2))
    net = neural_network_of_constants()
    assert check(evaluator, net)


def neural_network_of_constants():
    """The 2-layer net, its random weights replaced by constants (the naive interpreter draws other numbers)."""
    net = neural_network()
    setup = [one for one in net.setup if not one.info.is_random]
    for k in range(4):
        setup.append(
            Instruction(Op.MATRIX_CONST_SET, out=0, constants=(k / 4, (3 - k) / 4, naive.float32(0.1 * k + 0.1)))
        )
        setup.append(Instruction(Op.VECTOR_CONST_SET, out=2, constants=(k / 4, naive.float32(0.2 - 0.1 * k))))
    return Algorithm(tuple(setup), net.predict, net.learn)


@pytest.mark.parametrize("kind", ["RMS_ERROR", "ACCURACY"])
def test_epochs_with_lanes_failing_at_different_times(kind):
    """Growth that passes the error limit in some epoch, in training on some tasks and in validation on others."""
    source = random.Random(3)
    tasks = make_tasks(6, 4, kind, seed=5)
    evaluator = Evaluator(tasks, REGISTERS, epochs=3)
    grow = Algorithm(
        (
            Instruction(Op.SCALAR_CONST_SET, out=2, constants=(1.15,)),
            Instruction(Op.VECTOR_CONST_SET, out=1, constants=(0.1, 1.0)),
        ),
        (Instruction(Op.VECTOR_INNER_PRODUCT, 0, 1, 1), Instruction(Op.SCALAR_VECTOR_PRODUCT, 2, 1, 1)),
        (Instruction(Op.SCALAR_LOG, 1, out=3), Instruction(Op.VECTOR_SUM, 1, 0, 1)),
    )
    assert check(evaluator, grow, epochs=3)
    check_many(evaluator, source, 120, (4, 5, 6), epochs=3)


def test_fewer_training_examples():
    tasks = make_tasks(3, 4)
    whole, part = (
        Evaluator(tasks, REGISTERS),
        Evaluator(
            [
                Task(4, t.eval_type, t.train_features[:10], t.train_labels[:10], t.valid_features, t.valid_labels)
                for t in tasks
            ],
            REGISTERS,
        ),
    )
    algorithm = random_algorithm(random.Random(1), (4, 5, 6), DETERMINISTIC, REGISTERS)
    assert (whole.evaluate(algorithm, train_examples=10).fitness == part.evaluate(algorithm).fitness).all()
    assert check(whole, algorithm)


def random_memory(op, constants, *, seed=0, draws=400):
    """Return many draws of a random op: it fills its register in Setup of one task, over several seeds."""
    info = OPS[op]
    (task,) = make_tasks(1, 8, train=1, valid=1)
    values = []
    for k in range(draws):
        evaluator = Evaluator([task], Registers(3, 2, 1), seed=seed * draws + k)
        algorithm = Algorithm(
            (Instruction(op, out=0 if info.output == "m" else 2 if info.output == "s" else 1, constants=constants),),
            (),
            (),
        )
        memory = evaluator.evaluate(algorithm, memory=True).memory
        values.append({"s": memory["s"][2:], "v": memory["v"][1], "m": memory["m"][0]}[info.output].ravel())
        if sum(map(len, values)) >= draws:
            break
    return np.concatenate(values)


@pytest.mark.parametrize("op", [Op.SCALAR_UNIFORM_SET, Op.VECTOR_UNIFORM_SET, Op.MATRIX_UNIFORM_SET])
def test_uniform_ops(op):
    values = random_memory(op, (-0.5, 1.5))
    assert values.min() > -0.5 and values.max() < 1.5
    assert abs(values.mean() - 0.5) < 5 * (2 / 12**0.5) / len(values) ** 0.5
    assert len(set(values)) == len(values)
    # Kolmogorov-Smirnov distance to the uniform distribution; 1.95 / sqrt(n) is passed once in a thousand times.
    ordered = np.sort((values + 0.5) / 2)
    assert np.abs(ordered - (np.arange(len(ordered)) + 0.5) / len(ordered)).max() < 1.95 / len(values) ** 0.5
    assert (random_memory(op, (1.0, -1.0), draws=8) == 1.0).all()


@pytest.mark.parametrize("op", [Op.SCALAR_GAUSSIAN_SET, Op.VECTOR_GAUSSIAN_SET, Op.MATRIX_GAUSSIAN_SET])
def test_gaussian_ops(op):
    values = random_memory(op, (1.0, 0.5))
    ordered = np.sort((values - 1.0) / 0.5)
    cumulative = np.array([0.5 * (1 + math.erf(z / 2**0.5)) for z in ordered])
    assert np.abs(cumulative - (np.arange(len(ordered)) + 0.5) / len(ordered)).max() < 1.95 / len(values) ** 0.5


def test_random_ops_are_a_pure_function_of_program_task_and_seed():
    tasks = build_tasks(TaskSpec(kind="linear", count=4, features=4), seed=3, role="search")
    noisy = Algorithm(
        (Instruction(Op.VECTOR_GAUSSIAN_SET, out=1, constants=(0.0, 0.1)),),
        (
            Instruction(Op.VECTOR_UNIFORM_SET, out=2, constants=(-0.5, 0.5)),
            Instruction(Op.VECTOR_SUM, 2, 1, 2),
            Instruction(Op.VECTOR_INNER_PRODUCT, 0, 2, 1),
        ),
        (),
    )
    registers = Registers(4, 4, 1)
    first, again, other = (Evaluator(tasks, registers, seed=seed) for seed in (1, 1, 2))
    expected = first.evaluate(noisy).fitness
    first.evaluate(random_algorithm(random.Random(0), (4, 4, 4), tuple(Op), registers))
    assert (first.evaluate(noisy).fitness == expected).all()
    assert (again.evaluate(noisy).fitness == expected).all()
    assert (other.evaluate(noisy).fitness != expected).all()
    assert len(set(expected)) == 4
    # Dead instructions, random ones included, and other names for the registers change nothing.
    dead = Instruction(Op.VECTOR_GAUSSIAN_SET, out=3, constants=(0.0, 1.0))
    disguised = Algorithm((dead, *noisy.setup), (dead, *noisy.predict), (dead,))
    assert (first.evaluate(disguised).fitness == expected).all()


def test_refusals():
    tasks = make_tasks(2, 4)
    with pytest.raises(ValueError, match="none given"):
        Evaluator([], REGISTERS)
    with pytest.raises(ValueError, match="must be alike"):
        Evaluator([*tasks, *make_tasks(1, 3)], REGISTERS)
    with pytest.raises(ProgramError, match="needs 9 registers of type s, there are 5"):
        Evaluator(tasks, REGISTERS).evaluate(
            Algorithm((Instruction(Op.SCALAR_CONST_SET, out=8, constants=(1.0,)),), (), ())
        )
