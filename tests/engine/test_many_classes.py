"""Vector labels and softmax: the kernel against the naive interpreter, and the rules around them."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from engine.algorithm import Algorithm, Instruction, ProgramError, Registers
from engine.canonical import canonical, live_mask, without_dead_code
from engine.evaluator import Evaluator, epoch_orders
from engine.ops import Op
from engine.spec import SpecError, TaskSpec
from engine.task import Task, TaskError, tasks_from_json
from engine.task_building import build_tasks
from tests.engine import naive
from tests.engine.programs import DETERMINISTIC, random_algorithm

REGISTERS = Registers(4, 6, 2)
CHAOTIC = {Op.SCALAR_EXP, Op.SCALAR_TAN, Op.SCALAR_SIN, Op.SCALAR_COS, Op.SCALAR_LOG}


def make_tasks(count, features, classes, train=12, valid=9, seed=0):
    source = np.random.Generator(np.random.PCG64(seed))
    return [
        Task(
            features, "MULTICLASS",
            source.normal(size=(train, features)), source.integers(0, classes, train) * 1.0,
            source.normal(size=(valid, features)), source.integers(0, classes, valid) * 1.0, classes=classes,
        )
        for _ in range(count)
    ]  # fmt: skip


def vector_algorithm(source, sizes=(4, 5, 6), ops=DETERMINISTIC):
    """Return a random program that shows something to v1: often the label's, the features' and its own doing."""
    algorithm = random_algorithm(source, sizes, ops, REGISTERS)
    score = Instruction(
        source.choice((Op.VECTOR_SUM, Op.VECTOR_PRODUCT, Op.VECTOR_DIFF, Op.VECTOR_MAX)),
        source.randrange(REGISTERS.v), source.randrange(REGISTERS.v), 1,
    )  # fmt: skip
    learn = Instruction(Op.VECTOR_SUM, 2, source.randrange(REGISTERS.v), source.randrange(1, REGISTERS.v))
    at = source.randrange(len(algorithm.learn) + 1)
    return Algorithm(
        algorithm.setup, (*algorithm.predict, score), (*algorithm.learn[:at], learn, *algorithm.learn[at:]), True
    )


@pytest.mark.parametrize(("count", "features", "classes", "epochs"), [(5, 4, 3, 1), (10, 5, 5, 2)])
def test_random_programs_agree_with_the_naive_interpreter(count, features, classes, epochs):
    source = random.Random(count)
    evaluator = Evaluator(make_tasks(count, features, classes, seed=count), REGISTERS, epochs=epochs)
    orders = [range(12), *epoch_orders(12, epochs).tolist()][:epochs]
    differ = 0
    scores = set()
    for _ in range(150):
        algorithm = vector_algorithm(source)
        result = evaluator.evaluate(algorithm)
        scores |= set(result.fitness)
        for k, task in enumerate(evaluator.tasks):
            expected = naive.run(algorithm, task, REGISTERS, epochs=epochs, epoch_orders=orders)
            if (result.fitness[k], result.train_steps[k]) != (expected.fitness, expected.train_steps):
                assert any(one.op in CHAOTIC for function in algorithm.functions for one in function)
                differ += 1
                break
    assert differ <= 3
    assert len(scores) > 5


def test_memory_holds_probabilities_for_learn_and_no_label_for_predict():
    (task,) = make_tasks(1, 4, 3, train=1, valid=1)
    keep = [Instruction(Op.VECTOR_MAX, 1, 1, 3), Instruction(Op.VECTOR_MAX, 2, 2, 4)]  # what Learn sees
    seen = Instruction(Op.VECTOR_SUM, 2, 5, 5)  # what Predict sees of the label
    algorithm = Algorithm((), (seen, Instruction(Op.VECTOR_SUM, 0, 0, 1)), tuple(keep), True)
    found = Evaluator([task], REGISTERS).evaluate(algorithm, memory=True).memory
    powers = np.exp(2 * task.train_features[0, :3])
    np.testing.assert_allclose(found["v"][3], [*powers / powers.sum(), 0.0], rtol=1e-14)
    np.testing.assert_array_equal(found["v"][4], np.eye(4)[int(task.train_labels[0])])
    np.testing.assert_array_equal(found["v"][5], np.zeros(4))
    expected = naive.run(algorithm, task, REGISTERS).memory
    np.testing.assert_allclose(found["v"], expected["v"], rtol=1e-14)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_scores_that_are_no_numbers(value):
    """All infinite or NaN: training fails at the first example. In validation NaN is never the highest; the first of equals counts."""
    (task,) = make_tasks(1, 4, 4)
    setup = (
        Instruction(Op.SCALAR_CONST_SET, out=2, constants=(value,)),
        Instruction(Op.SCALAR_BROADCAST, 2, out=3),
    )
    algorithm = Algorithm(setup, (Instruction(Op.VECTOR_MAX, 3, 3, 1),), (), True)
    outcome = Evaluator([task], REGISTERS).evaluate(algorithm)
    assert (outcome.fitness[0], outcome.train_steps[0]) == (0.0, 1)
    assert naive.run(algorithm, task, REGISTERS).train_steps == 1


def test_large_scores_do_not_overflow():
    (task,) = make_tasks(1, 4, 4)
    setup = (Instruction(Op.SCALAR_CONST_SET, out=2, constants=(1e6,)),)
    algorithm = Algorithm(setup, (Instruction(Op.SCALAR_VECTOR_PRODUCT, 2, 0, 1),), (), True)
    outcome = Evaluator([task], REGISTERS).evaluate(algorithm)
    assert outcome.train_steps[0] == 12
    assert outcome.fitness[0] == pytest.approx(np.mean(task.valid_features.argmax(axis=1) == task.valid_labels))


def test_dead_code_changes_no_score():
    source = random.Random(5)
    evaluator = Evaluator(make_tasks(5, 4, 3), REGISTERS)
    dead = 0
    for _ in range(200):
        algorithm = vector_algorithm(source)
        dead += sum(not live for mask in live_mask(algorithm) for live in mask)
        scores = [
            evaluator.evaluate(one).fitness.tobytes()
            for one in (algorithm, without_dead_code(algorithm), canonical(algorithm))
        ]
        assert len(set(scores)) == 1, algorithm.pseudocode()
    assert dead > 200


def test_a_prediction_that_a_sum_consumes_is_not_fused_away():
    algorithm = Algorithm(
        (Instruction(Op.SCALAR_CONST_SET, out=2, constants=(2.0,)),),
        (Instruction(Op.SCALAR_VECTOR_PRODUCT, 2, 0, 1), Instruction(Op.VECTOR_SUM, 3, 1, 3)),
        (Instruction(Op.VECTOR_SUM, 3, 4, 4), Instruction(Op.VECTOR_MAX, 4, 4, 3)),
        True,
    )
    tasks = make_tasks(5, 4, 3)
    outcome = Evaluator(tasks, REGISTERS).evaluate(algorithm)
    assert list(outcome.fitness) == [naive.run(algorithm, task, REGISTERS).fitness for task in tasks]
    said = [task.valid_features[:, :3].argmax(axis=1) == task.valid_labels for task in tasks]
    np.testing.assert_allclose(outcome.fitness, np.mean(said, axis=1))


def test_identity_and_json():
    program = {"setup": [], "predict": [], "learn": [{"op": "VECTOR_SUM", "in1": 2, "in2": 0, "out": 1}]}
    numbers, vectors = Algorithm.from_json(program), Algorithm.from_json({"labels": "vector", **program})
    assert vectors.vector_labels
    assert not numbers.vector_labels
    assert Algorithm.from_json(vectors.to_json()) == vectors
    assert numbers.to_json() == program
    assert numbers.digest() != vectors.digest()
    with pytest.raises(ProgramError, match='labels: "words" is not allowed, "number"'):
        Algorithm.from_json({"labels": "words", **program})


def test_kinds_of_labels_do_not_mix():
    evaluator = Evaluator(make_tasks(1, 4, 3), REGISTERS)
    with pytest.raises(ProgramError, match=r"its labels are numbers \(label in s0\), the tasks' vectors"):
        evaluator.evaluate(Algorithm())
    with pytest.raises(ValueError, match="2 vectors, vector labels need 3"):
        Evaluator(make_tasks(1, 4, 3), Registers(4, 2, 1))


def test_tasks_from_json():
    task = {
        "features_size": 3, "eval_type": "MULTICLASS", "classes": 3,
        "train_features": [[1, 2, 3]], "train_labels": [2], "valid_features": [[1, 2, 3]], "valid_labels": [0],
    }  # fmt: skip
    (read,) = tasks_from_json([task])
    assert (read.classes, read.train_labels[0]) == (3, 2.0)
    for change, message in (
        ({"classes": 4}, r"classes: 4 is not allowed; MULTICLASS needs whole numbers from 2 to features_size \(3\)"),
        ({"classes": None}, "classes: missing; MULTICLASS needs"),
        ({"train_labels": [3]}, r"train_labels\[0\]: 3 is not allowed, whole numbers from 0 to 2 are"),
        ({"valid_labels": [0.5]}, r"valid_labels\[0\]: 0.5 is not allowed"),
    ):
        with pytest.raises(TaskError, match=message):
            tasks_from_json([task | change])


DIGITS = TaskSpec(kind="classes", dataset="digits", count=2, features=16, train_examples=400, valid_examples=201)


def test_all_classes_of_a_data_set():
    search, select = (build_tasks(DIGITS, seed=1, role=role) for role in ("search", "select"))
    for task in (*search, *select):
        assert (task.classes, task.eval_type, task.features_size) == (10, "MULTICLASS", 16)
        assert set(np.bincount(task.train_labels.astype(int))) == {40}
        assert set(np.bincount(task.valid_labels.astype(int))) <= {19, 20, 21}
        np.testing.assert_allclose(task.train_features.mean(axis=0), 0, atol=1e-6)
    assert not np.array_equal(search[0].train_features, select[0].train_features)
    again = build_tasks(DIGITS, seed=1, role="search")
    assert all(np.array_equal(a.train_features, b.train_features) for a, b in zip(search, again, strict=True))


@pytest.mark.parametrize(
    ("dataset", "train", "valid"), [("wine", 100, 78), ("iris", 60, 31), ("breast_cancer", 300, 100)]
)
def test_tables_of_several_classes(dataset, train, valid):
    (task,) = build_tasks(
        replace(DIGITS, dataset=dataset, count=1, train_examples=train, valid_examples=valid), seed=2, role="search"
    )
    assert (task.train_examples, task.valid_examples) == (train, valid)
    rows = np.concatenate([task.train_features, task.valid_features])
    assert len(np.unique(rows, axis=0)) >= train + valid - 3  # the data sets repeat a few rows
    assert min(np.bincount(task.valid_labels.astype(int), minlength=task.classes)) > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": 8}, "features: 8, but vector labels have an element for each of the 10 classes of digits; allowed are 10"),
        ({"train_examples": 2000}, "digits: its 10 classes have 1797 rows, the smallest 174; 2201 are needed"),
        ({"dataset": "diabetes"}, 'dataset diabetes: its rows go with numbers, not classes: kind "regression"'),
    ],
)  # fmt: skip
def test_refused_data(change, message):
    with pytest.raises(TaskError, match=message):
        build_tasks(replace(DIGITS, **change), seed=1, role="search")


def test_spec_checks():
    from engine.presets import preset

    spec = preset("digits")
    with pytest.raises(SpecError, match=r'select_tasks\.kind: "projected", but search_tasks are "classes"'):
        spec.with_changes(search_tasks=replace(spec.search_tasks, kind="classes"))
    classes = {
        f"{role}_tasks": replace(spec.search_tasks, kind="classes", features=16)
        for role in ("search", "select", "final")
    }
    assert spec.with_changes(**classes).vector_labels
    with pytest.raises(SpecError, match=r'registers: \[5, 2, 2\], but kind "classes" needs 3 vectors'):
        spec.with_changes(**classes, registers=Registers(5, 2, 2))
    with pytest.raises(
        SpecError, match=r"initial: its labels are numbers \(label in s0\), those of search_tasks vectors"
    ):
        spec.with_changes(**classes, initial="linear")
    program = Algorithm(vector_labels=True).to_json()
    with pytest.raises(
        SpecError, match=r"program: its labels are vectors \(label in v2\), those of search_tasks numbers"
    ):
        spec.with_changes(initial="program", program=program)
    assert spec.with_changes(**classes, initial="program", program=program).to_json()["program"]["labels"] == "vector"
