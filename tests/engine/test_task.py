"""Tasks from JSON (with its refusals) and from specifications."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from engine.presets import preset
from engine.spec import TaskSpec
from engine.task import TaskError, tasks_from_json, tasks_from_text
from engine.task_building import build_tasks

GOOD = {
    "id": "tiny",
    "features_size": 2,
    "eval_type": "ACCURACY",
    "train_features": [[1.0, 2.0], [3, 4]],
    "train_labels": [0, 1],
    "valid_features": [[5.0, 6.0]],
    "valid_labels": [1.0],
}


def test_reads_a_task():
    (task,) = tasks_from_json([GOOD])
    assert (task.features_size, task.eval_type, task.name) == (2, "ACCURACY", "tiny")
    assert (task.train_examples, task.valid_examples) == (2, 1)
    assert task.train_features.dtype == np.float64
    assert task.train_features.flags.c_contiguous
    assert task.train_features.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train_features": [[1.0, float("nan")], [3, 4]]},
            "tasks[0].train_features[0][1]: NaN is not allowed, finite",
        ),
        (
            {"valid_labels": [float("inf")]},
            "tasks[0].valid_labels[0]: Infinity is not allowed, finite numbers are",
        ),
        (
            {"train_features": [["nan", 2.0], [3, 4]]},
            'tasks[0].train_features[0][0]: "nan" is not allowed, finite',
        ),
        ({"train_features": [[1.0, True], [3, 4]]}, "tasks[0].train_features[0][1]: true is not allowed"),
        ({"train_features": [[1.0, 10**400], [3, 4]]}, "tasks[0].train_features[0][1]: 1000"),
        (
            {"features_size": 3},
            "tasks[0].train_features[0]: expected 3 numbers (features_size), got 2 numbers",
        ),
        (
            {"valid_features": [[5.0]]},
            "tasks[0].valid_features[0]: expected 2 numbers (features_size), got 1 numbers",
        ),
        (
            {"valid_features": [5.0]},
            "tasks[0].valid_features[0]: expected 2 numbers (features_size), got 5.0",
        ),
        ({"train_features": []}, "tasks[0].train_features: empty; at least one example is needed"),
        ({"train_features": None}, "tasks[0].train_features: expected a list of rows of 2 numbers, got null"),
        ({"train_labels": [1]}, "tasks[0].train_labels: 1 labels, but train_features has 2 rows"),
        ({"train_labels": [0, 2]}, "tasks[0].train_labels[1]: 2 is not allowed, 0 and 1 are for ACCURACY"),
        (
            {"eval_type": "accuracy"},
            'tasks[0].eval_type: "accuracy" is not allowed, one of RMS_ERROR, ACCURACY, MULTICLASS is',
        ),
        ({"features_size": 0}, "tasks[0].features_size: 0 is not allowed, whole numbers from 1 to 4096 are"),
        ({"features_size": 2.0}, "tasks[0].features_size: 2.0 is not allowed"),
    ],
)
def test_refuses_in_one_line_that_names_the_place(changes, message):
    with pytest.raises(TaskError) as caught:
        tasks_from_json([{**copy.deepcopy(GOOD), **changes}])
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{", "tasks: not valid JSON, line 1 column 3: "),
        ("", "tasks: not valid JSON, line 1 column 1: "),
        (b"[\xff\xff]", "tasks: not valid JSON: not text"),
        ("[" * 100_000, "tasks: not valid JSON"),
        ("[]", "tasks: empty; at least one task is needed"),
        ("{}", "tasks: expected a list of task objects, got {}"),
        ("[3]", "tasks[0]: expected an object, got 3"),
        ('[{"features_size": 2}]', "tasks[0].eval_type: missing; a task has "),
    ],
)
def test_refuses_other_text(text, message):
    with pytest.raises(TaskError) as caught:
        tasks_from_text(text)
    assert str(caught.value).startswith(message)


def test_json_text_may_hold_nan_and_it_is_refused():
    text = json.dumps([{**GOOD, "train_labels": [float("nan"), 1]}])
    with pytest.raises(TaskError, match=r"tasks\[0\].train_labels\[0\]: NaN is not allowed"):
        tasks_from_text(text)


def test_same_arguments_same_tasks_and_other_roles_other_tasks():
    spec = TaskSpec(kind="linear", count=3)
    first, again = (build_tasks(spec, seed=5, role="search") for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert one.name == other.name
        assert np.array_equal(one.train_features, other.train_features)
        assert np.array_equal(one.valid_labels, other.valid_labels)
    others = [
        build_tasks(spec, seed=5, role="select"),
        build_tasks(spec, seed=6, role="search"),
        build_tasks(spec, seed=5, role="search", experiment=1),
    ]
    labels = {task.train_labels[0] for tasks in (first, *others) for task in tasks}
    assert len(labels) == 12


def test_linear_labels_are_linear():
    for task in build_tasks(TaskSpec(kind="linear", count=2, features=5), seed=0, role="search"):
        weights, *_ = np.linalg.lstsq(task.train_features, task.train_labels, rcond=None)
        assert np.allclose(task.valid_features @ weights, task.valid_labels)
        assert task.eval_type == "RMS_ERROR"


def test_affine_labels_are_linear_plus_an_offset():
    spec = TaskSpec(kind="affine", count=3, features=5)
    offsets = []
    for task in build_tasks(spec, seed=0, role="search"):
        assert task.eval_type == "RMS_ERROR"
        rows = np.column_stack([task.train_features, np.ones(task.train_examples)])
        weights, *_ = np.linalg.lstsq(rows, task.train_labels, rcond=None)
        offsets.append(weights[-1])
        assert np.allclose(task.valid_features @ weights[:-1] + weights[-1], task.valid_labels)
    assert len(set(np.round(offsets, 3))) == 3 and min(np.abs(offsets)) > 1e-3


def test_net_labels_are_no_linear_function_but_piecewise():
    (task,) = build_tasks(TaskSpec(kind="net", count=1, features=2, train_examples=50), seed=1, role="search")
    # Rows 0 (and 2) of M are 0, so with two features one unit is left: the label is 0 on one side of a line.
    assert 5 < np.count_nonzero(task.train_labels == 0) < 45
    (large,) = build_tasks(TaskSpec(kind="net", count=1, features=4, train_examples=50), seed=1, role="search")
    assert np.linalg.lstsq(large.train_features, large.train_labels, rcond=None)[1][0] > 1e-3


def test_given_seeds_make_the_same_tasks_in_any_role_and_are_cycled():
    spec = TaskSpec(kind="linear", count=3, seeds=(7, 8))
    tasks = build_tasks(spec, seed=1, role="search")
    others = build_tasks(spec, seed=2, role="final", experiment=3)
    assert [task.name for task in tasks] == [
        "linear regression, seed 7",
        "linear regression, seed 8",
        tasks[0].name,
    ]
    assert all(np.array_equal(a.train_labels, b.train_labels) for a, b in zip(tasks, others, strict=True))
    with pytest.raises(TaskError, match="seeds: -1 is not allowed"):
        build_tasks(TaskSpec(seeds=(-1,)), seed=0, role="search")


def test_more_examples_extend_a_task():
    small, large = (
        build_tasks(TaskSpec(seeds=(3,), count=1, train_examples=n), seed=0, role="search")[0] for n in (10, 20)
    )
    assert np.array_equal(small.train_features, large.train_features[:10])
    assert np.array_equal(small.valid_labels, large.valid_labels)


def test_pinned_values():
    """A changed stream would silently change every stored search: raise a version if this has to change."""
    (task,) = build_tasks(TaskSpec(kind="linear", count=1, features=2), seed=1, role="search")
    assert task.name == "linear regression, seed 1835504127"
    assert task.train_features[0].tolist() == pytest.approx(PINNED_FEATURES, abs=0)
    assert task.train_labels[0] == PINNED_LABEL


def test_digits_tasks():
    spec = preset("digits").search_tasks
    tasks = build_tasks(spec, seed=0, role="search")
    assert len(tasks) == spec.count
    assert len({task.name.split(",")[0] for task in tasks}) == spec.count  # as many pairs as can be
    for task in tasks:
        assert task.train_features.shape == (240, 8)
        assert task.valid_features.shape == (100, 8)
        assert set(task.train_labels) == {0.0, 1.0}
        assert task.train_labels.mean() == task.valid_labels.mean() == 0.5
        assert np.allclose(task.train_features.mean(axis=0), 0, atol=1e-6)
        assert np.allclose(task.train_features.std(axis=0), 1, atol=1e-6)
        assert np.array_equal(task.train_features.astype(np.float32), task.train_features)
        # Train and validation examples are different rows of the dataset.
        rows = np.concatenate([task.train_features, task.valid_features])
        assert len(np.unique(rows, axis=0)) > 335
    # Held-out pairs are for the select tasks only.
    held_out = {f"digits {p} vs {q}" for p, q in spec.held_out_pairs}
    assert not {task.name.split(",")[0] for task in tasks} & held_out
    select = build_tasks(preset("digits").select_tasks, seed=0, role="select")
    assert {task.name.split(",")[0] for task in select} == held_out


def test_label_one_is_the_first_class_and_the_pair_can_be_told_apart():
    spec = TaskSpec(
        kind="projected",
        dataset="digits",
        count=1,
        features=16,
        train_examples=200,
        pairs=((0, 1),),
        seeds=(4,),
    )
    (task,) = build_tasks(spec, seed=0, role="search")
    weights, *_ = np.linalg.lstsq(task.train_features, task.train_labels - 0.5, rcond=None)
    accuracy = np.mean((task.valid_features @ weights > 0) == (task.valid_labels > 0.5))
    assert accuracy > 0.9


def test_small_classes_give_what_they_have():
    spec = TaskSpec(kind="projected", dataset="breast_cancer", count=1, train_examples=400, valid_examples=150)
    (task,) = build_tasks(spec, seed=0, role="search")
    labels = np.concatenate([task.train_labels, task.valid_labels])
    assert labels.sum() == 212  # all rows of the smaller class
    assert task.train_labels.mean() == pytest.approx(task.valid_labels.mean(), abs=0.01)


def test_regression_on_a_table():
    spec = TaskSpec(kind="regression", dataset="diabetes", count=2, features=10, train_examples=300, valid_examples=142)
    for task in build_tasks(spec, seed=0, role="search"):
        assert (task.eval_type, task.train_features.shape, task.valid_labels.shape) == ("RMS_ERROR", (300, 10), (142,))
        assert np.allclose([task.train_labels.mean(), task.train_labels.std()], [0, 1])
        weights, *_ = np.linalg.lstsq(task.train_features, task.train_labels, rcond=None)
        assert np.std(task.valid_labels - task.valid_features @ weights) < 0.85  # an R² of about 0.5 is known


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"dataset": "diabetes"},
            'dataset diabetes: its rows go with numbers, not classes: kind "regression" is for it',
        ),
        (
            {"kind": "regression"},
            'dataset digits: its rows go with classes, not numbers: kind "projected" is for it',
        ),
        (
            {"kind": "regression", "dataset": "diabetes", "train_examples": 400},
            "dataset diabetes: has 442 rows, 500 are needed (train_examples and valid_examples)",
        ),
        (
            {"train_examples": 300, "pairs": ((8, 9),)},
            "dataset digits: classes 8 and 9 have 174 and 180 rows, 400 are needed",
        ),
        (
            {"pairs": ((3, 10),)},
            "pairs: [3, 10] is not allowed, two different classes of digits from 0 to 9 are",
        ),
        ({"held_out_pairs": ((0, 77),)}, "pairs: [0, 77] is not allowed"),
        ({"dataset": "wine", "held_out_pairs": ((0, 1), (0, 2), (2, 1))}, 'pairs: "search" leaves no pair'),
        ({"dataset": "nowhere"}, "dataset: nowhere is not known; bundled or in the data folder are digits"),
    ],
)
def test_refuses_what_it_cannot_build(changes, message):
    spec = TaskSpec(**{"kind": "projected", "dataset": "digits", "count": 1, **changes})
    with pytest.raises(TaskError) as caught:
        build_tasks(spec, seed=0, role="search")
    assert str(caught.value).startswith(message)


PINNED_FEATURES = [0.5024915429242763, 0.2861415177425542]
PINNED_LABEL = -0.22357110349009912
