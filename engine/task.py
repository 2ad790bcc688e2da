"""Learning tasks: what an algorithm is scored on, and how they are read from JSON.

engine/task_building.py makes them from specifications.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

EVAL_TYPES = ("RMS_ERROR", "ACCURACY", "MULTICLASS")
MAX_FEATURES = 4096


class TaskError(ValueError):
    """A task that is not valid or cannot be built; the message names the place and what is allowed there."""


@dataclass(frozen=True, eq=False)
class Task:
    """One learning task.

    features_size: F. eval_type: "RMS_ERROR", "ACCURACY" (labels 0 or 1) or "MULTICLASS" (labels 0 to classes - 1, at most
    F - 1). train_features (N, F), train_labels (N,), valid_features (M, F), valid_labels (M,): float64, C-contiguous, finite.
    """

    features_size: int
    eval_type: str
    train_features: np.ndarray
    train_labels: np.ndarray
    valid_features: np.ndarray
    valid_labels: np.ndarray
    name: str = ""
    classes: int = 0
    """Of MULTICLASS: how many; 0 for the others."""

    @property
    def train_examples(self) -> int:
        """Number of training examples (N)."""
        return len(self.train_labels)

    @property
    def valid_examples(self) -> int:
        """Number of validation examples (M)."""
        return len(self.valid_labels)


def tasks_from_text(text: str | bytes) -> list[Task]:
    """Read tasks from JSON text. Raises TaskError naming the line and column, or the field."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise TaskError(f"tasks: not valid JSON, line {error.lineno} column {error.colno}: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError):
        raise TaskError("tasks: not valid JSON: not text, or nested too deeply") from None
    return tasks_from_json(data)


def tasks_from_json(data: Any) -> list[Task]:
    """Read a list of task objects, as in golden/tasks.json. Raises TaskError naming the field."""
    if not isinstance(data, list):
        raise TaskError(f"tasks: expected a list of task objects, got {_shown(data)}")
    if not data:
        raise TaskError("tasks: empty; at least one task is needed")
    return [_task_from_json(one, f"tasks[{index}]") for index, one in enumerate(data)]


def _task_from_json(data: Any, place: str) -> Task:
    if not isinstance(data, Mapping):
        raise TaskError(f"{place}: expected an object, got {_shown(data)}")
    needed = (
        "features_size",
        "eval_type",
        "train_features",
        "train_labels",
        "valid_features",
        "valid_labels",
    )
    for key in needed:
        if key not in data:
            raise TaskError(f"{place}.{key}: missing; a task has {', '.join(needed)}")
    size, eval_type = data["features_size"], data["eval_type"]
    if type(size) is not int or not 1 <= size <= MAX_FEATURES:
        raise TaskError(
            f"{place}.features_size: {_shown(size)} is not allowed, whole numbers from 1 to {MAX_FEATURES} are"
        )
    if eval_type not in EVAL_TYPES:
        raise TaskError(f"{place}.eval_type: {_shown(eval_type)} is not allowed, one of {', '.join(EVAL_TYPES)} is")
    classes = _classes_from_json(data, size, place) if eval_type == "MULTICLASS" else 0
    arrays = {}
    for part in ("train", "valid"):
        rows = _matrix(data[f"{part}_features"], size, f"{place}.{part}_features")
        labels = _vector(data[f"{part}_labels"], f"{place}.{part}_labels")
        if len(rows) != len(labels):
            raise TaskError(f"{place}.{part}_labels: {len(labels)} labels, but {part}_features has {len(rows)} rows")
        if eval_type == "ACCURACY":
            for index in np.flatnonzero((labels != 0) & (labels != 1))[:1]:
                raise TaskError(
                    f"{place}.{part}_labels[{index}]: {labels[index]:g} is not allowed, 0 and 1 are for ACCURACY"
                )
        if eval_type == "MULTICLASS":
            for index in np.flatnonzero((labels != np.floor(labels)) | (labels < 0) | (labels >= classes))[:1]:
                raise TaskError(
                    f"{place}.{part}_labels[{index}]: {labels[index]:g} is not allowed, whole numbers from 0 to "
                    f"{classes - 1} are"
                )
        arrays |= {f"{part}_features": rows, f"{part}_labels": labels}
    return Task(size, eval_type, **arrays, name=str(data.get("name", data.get("id", "")))[:200], classes=classes)


def _classes_from_json(data: Mapping, size: int, place: str) -> int:
    classes = data.get("classes")
    if type(classes) is not int or not 2 <= classes <= size:
        got = "missing" if classes is None else f"{_shown(classes)} is not allowed"
        raise TaskError(f"{place}.classes: {got}; MULTICLASS needs whole numbers from 2 to features_size ({size})")
    return classes


def _matrix(values: Any, size: int, place: str) -> np.ndarray:
    if not isinstance(values, list):
        raise TaskError(f"{place}: expected a list of rows of {size} numbers, got {_shown(values)}")
    if not values:
        raise TaskError(f"{place}: empty; at least one example is needed")
    for index, row in enumerate(values):
        if not isinstance(row, list) or len(row) != size:
            got = f"{len(row)} numbers" if isinstance(row, list) else _shown(row)
            raise TaskError(f"{place}[{index}]: expected {size} numbers (features_size), got {got}")
        for column, value in enumerate(row):
            _check_number(value, f"{place}[{index}][{column}]")
    return np.array(values, dtype=np.float64)


def _vector(values: Any, place: str) -> np.ndarray:
    if not isinstance(values, list):
        raise TaskError(f"{place}: expected a list of numbers, got {_shown(values)}")
    for index, value in enumerate(values):
        _check_number(value, f"{place}[{index}]")
    return np.array(values, dtype=np.float64)


def _check_number(value: Any, place: str) -> None:
    if type(value) not in (int, float):
        raise TaskError(f"{place}: {_shown(value)} is not allowed, finite numbers are")
    try:
        finite = math.isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        raise TaskError(f"{place}: {_shown(value)} is not allowed, finite numbers are")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 60 else text[:57] + "…"
