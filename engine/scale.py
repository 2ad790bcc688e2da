"""Algorithms at full scale: many features, many examples, several epochs, on data as it is.

What a search found on small projections is judged on the whole: with F the number of columns there is no projection, rows
are standardised one by one as they are needed, and programs run on NumPy and BLAS (engine/dense.py), since there the
matrices do the work. Source: Real et al. 2020, sections 4.2 (final evaluation) and S8.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from engine.algorithm import Algorithm, ProgramError
from engine.datasets import Dataset, DatasetError, load_dataset
from engine.dense import Machine, matrix_bytes, softmax
from engine.epochs import epoch_orders
from engine.spec import DATASET_KINDS, TaskSpec
from engine.task import MAX_FEATURES, Task, TaskError
from engine.task_building import build_tasks
from engine.task_rows import rows_and_labels

MAX_BYTES = 4 << 30
"""Memory that a program's matrices and a task's examples may take together: 4 GiB."""
COMPILED_FEATURES = 256
"""Up to so many features the compiled evaluator runs programs; above it, this module."""


class Rows(NamedTuple):
    """Examples of a part of a task. source: (R, F). order: (N,) rows of it. mean, deviation: (F,); labels: (N,)."""

    source: np.ndarray
    order: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> np.ndarray:
        return (self.source[self.order[index]] - self.mean) / self.deviation


@dataclass(frozen=True, eq=False)
class ScaledTask:
    """A task of many features: as task.Task, but for its rows, which are made when they are looked at."""

    features_size: int
    eval_type: str
    train: Rows
    valid: Rows
    classes: int = 0
    name: str = ""

    @classmethod
    def of(cls, task: Task) -> ScaledTask:
        """Return a task as it is, for the same semantics at any F."""
        zero, one = np.zeros(task.features_size), np.ones(task.features_size)
        parts = (
            Rows(features, np.arange(len(labels)), zero, one, labels)
            for features, labels in (
                (task.train_features, task.train_labels), (task.valid_features, task.valid_labels)
            )
        )  # fmt: skip
        return cls(task.features_size, task.eval_type, *parts, task.classes, task.name)


class ScaledEvaluation(NamedTuple):
    """fitness: (D,) float64. train_steps: (D,) int64. seconds: (D,) float64, of training and validation."""

    fitness: np.ndarray
    train_steps: np.ndarray
    seconds: np.ndarray


def scaled_tasks(spec: TaskSpec, *, seed: int, role: str) -> list[ScaledTask]:
    """Build spec.count tasks of spec.features features, up to 4096; the same arguments give the same tasks.

    Where that is the number of columns of a data set of classes, features are its columns, standardised by the training
    rows, in place of projections; seeds then choose rows and pairs only. Raises TaskError.
    """
    if not 2 <= spec.features <= MAX_FEATURES:
        raise TaskError(f"features: {spec.features} is not allowed, whole numbers from 2 to {MAX_FEATURES} are")
    if spec.kind in DATASET_KINDS and spec.kind != "regression":
        try:
            dataset = load_dataset(spec.dataset)
        except DatasetError as error:
            raise TaskError(str(error)) from None
        if dataset.columns == spec.features:
            return _whole_rows(spec, dataset, seed, role)
    needed = spec.count * (spec.train_examples + spec.valid_examples) * spec.features * 8
    if needed > MAX_BYTES:
        raise TaskError(
            f"features: {spec.count} tasks of {spec.train_examples + spec.valid_examples:,} examples of {spec.features} "
            f"features take {needed / 2**30:.1f} GiB, allowed are {MAX_BYTES / 2**30:.0f}; fewer tasks or examples do"
        )
    return [ScaledTask.of(task) for task in build_tasks(spec, seed=seed, role=role)]


def _whole_rows(spec: TaskSpec, dataset: Dataset, seed: int, role: str) -> list[ScaledTask]:
    tasks = []
    for one in rows_and_labels(spec, dataset, seed=seed, role=role):
        mean, deviation = _moments(dataset.features, one.train)
        train = Rows(dataset.features, one.train, mean, deviation, one.train_labels)
        valid = Rows(one.valid_source, one.valid, mean, deviation, one.valid_labels)
        kind = "MULTICLASS" if spec.kind == "classes" else "ACCURACY"
        tasks.append(ScaledTask(spec.features, kind, train, valid, one.classes, f"{one.name}, all columns"))
    return tasks


def _moments(source: np.ndarray, order: np.ndarray, chunk: int = 1024) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of some rows, column by column, in memory for one chunk; a constant column has infinite deviation."""
    columns = source.shape[1]
    total, squares = np.zeros(columns), np.zeros(columns)
    for start in range(0, len(order), chunk):
        total += source[order[start : start + chunk]].astype(np.float64).sum(axis=0)
    mean = total / len(order)
    for start in range(0, len(order), chunk):
        squares += np.square(source[order[start : start + chunk]] - mean).sum(axis=0)
    deviation = np.sqrt(squares / len(order))
    deviation[deviation <= 1e-12 * np.abs(mean)] = np.inf
    return mean, deviation


class ScaledEvaluator:
    """Scores algorithms on tasks of many features, as evaluator.Evaluator does on few.

    seed: of random ops, one stream for each task, from another generator than the compiled evaluator's. Raises ValueError if there are no tasks.
    """

    def __init__(self, tasks: Sequence[ScaledTask], *, max_abs_error: float = 100.0, seed: int = 0, epochs: int = 1):
        if not tasks:
            raise ValueError("tasks: none given, at least one is needed")
        self.tasks, self.max_abs_error, self.seed, self.epochs = tuple(tasks), max_abs_error, seed, epochs
        self.vector_labels = tasks[0].eval_type == "MULTICLASS"

    def check(self, algorithm: Algorithm) -> None:
        """Raise ProgramError if the program's matrices need too much memory, or its labels are of the other kind."""
        features = max(task.features_size for task in self.tasks)
        needed = matrix_bytes(algorithm, features)
        if needed > MAX_BYTES:
            raise ProgramError(
                f"program: its matrices take {needed / 2**30:.1f} GiB at {features} features "
                f"({features**2 * 8 / 2**20:.0f} MiB each), allowed are {MAX_BYTES / 2**30:.0f}"
            )
        if algorithm.vector_labels != self.vector_labels:
            raise ProgramError(
                f"program: its labels are {'vectors' if algorithm.vector_labels else 'numbers'}, the tasks' are not"
            )

    def evaluate(self, algorithm: Algorithm) -> ScaledEvaluation:
        """Score an algorithm on every task. Raises ProgramError: see `check`."""
        self.check(algorithm)
        rows = []
        for index, task in enumerate(self.tasks):
            began = time.perf_counter()
            fitness, steps = self._run(algorithm, task, np.random.SeedSequence([self.seed, index]).generate_state(1)[0])
            rows.append((fitness, steps, time.perf_counter() - began))
        fitness, steps, seconds = zip(*rows, strict=True)
        return ScaledEvaluation(np.array(fitness), np.array(steps, np.int64), np.array(seconds))

    def _run(self, algorithm: Algorithm, task: ScaledTask, seed: int) -> tuple[float, int]:
        machine = Machine(algorithm, task.features_size, int(seed))
        orders = [range(len(task.train)), *epoch_orders(len(task.train), self.epochs)]
        best, steps = 0.0, 0
        with np.errstate(all="ignore"):
            machine.setup()
            for order in orders[: self.epochs]:
                for example in order:
                    steps += 1
                    if not self._train(machine, task, example):
                        return best, steps
                best = max(best, self._validate(machine, task))
        return best, steps

    def _train(self, machine: Machine, task: ScaledTask, example: int) -> bool:
        """Train on one example; return whether its error is a number and not too large."""
        features, label = task.train[example], _label_seen(task, task.train.labels[example])
        machine.predict(features)
        if task.eval_type == "MULTICLASS":
            chances = np.zeros(task.features_size)
            chances[: task.classes] = softmax(machine.prediction[: task.classes])
            machine.prediction = chances
        elif task.eval_type == "ACCURACY":
            machine.prediction = 1.0 / (1.0 + np.exp(-machine.prediction))
        if not np.all(np.abs(label - machine.prediction) <= self.max_abs_error):
            return False
        machine.learn(features, label)
        return True

    def _validate(self, machine: Machine, task: ScaledTask) -> float:
        total = 0.0
        for example in range(len(task.valid)):
            machine.predict(task.valid[example])
            said, label = machine.prediction, task.valid.labels[example]
            if task.eval_type == "RMS_ERROR":
                error = label - said
                if not abs(error) <= self.max_abs_error:
                    return 0.0
                total += error * error
            elif task.eval_type == "MULTICLASS":
                total += _highest(said[: task.classes]) != label
            else:
                total += (1.0 / (1.0 + np.exp(-said)) > 0.5) != (label > 0.5)
        mean = total / len(task.valid)
        return 1.0 - 2.0 / math.pi * math.atan(math.sqrt(mean)) if task.eval_type == "RMS_ERROR" else 1.0 - mean


def _label_seen(task: ScaledTask, label: float):
    if task.eval_type != "MULTICLASS":
        return label
    vector = np.zeros(task.features_size)
    vector[int(label)] = 1.0
    return vector


def _highest(scores: np.ndarray) -> int:
    """Return the place of the highest score, the first of equals; the first also where it is NaN, others that are do not count."""
    return 0 if np.isnan(scores[0]) else int(np.nanargmax(scores))


def with_scale(
    spec: TaskSpec,
    *,
    features: int | None = None,
    count: int | None = None,
    train_examples: int | None = None,
    valid_examples: int | None = None,
    epochs: int | None = None,
) -> TaskSpec:
    """Return a task family at another scale; None: as it is."""
    changes = {
        "features": features, "count": count, "train_examples": train_examples, "valid_examples": valid_examples,
        "epochs": epochs,
    }  # fmt: skip
    return replace(spec, **{name: value for name, value in changes.items() if value is not None})
