"""Learning tasks made from specifications: synthetic ones, and rows of data sets, projected at random."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from engine.datasets import Dataset, DatasetError, load_dataset
from engine.spec import DATASET_KINDS, TaskSpec
from engine.task import Task, TaskError
from engine.task_rows import Chosen, regression_rows, rows_and_labels
from engine.task_seeds import PROJECTION, ROLES, TRAIN, VALID, WEIGHTS, task_seed, task_stream

_PROJECTION_STEP = 2.0**-20


def build_tasks(spec: TaskSpec, *, seed: int, role: str, experiment: int = 0) -> list[Task]:
    """Build spec.count tasks; the same arguments always give the same tasks.

    role: "search", "select" or "final"; roles and experiments get different tasks. A task follows from its own seed,
    which is one of spec.seeds or else drawn from (seed, role, experiment, index). Raises TaskError.
    """
    return [make() for make in _makers(spec, seed, role, experiment)]


def check_tasks(spec: TaskSpec, *, seed: int, role: str) -> None:
    """Do as build_tasks, but for the arithmetic. Raises TaskError where that would."""
    _makers(spec, seed, role, 0)


def _makers(spec: TaskSpec, seed: int, role: str, experiment: int) -> list[Callable[[], Task]]:
    if role not in ROLES:
        raise TaskError(f'role: "{role}" is not allowed, one of {", ".join(ROLES)} is')
    seeds = [task_seed(spec, seed, role, experiment, index) for index in range(spec.count)]
    if spec.kind not in DATASET_KINDS:
        return [partial(_SYNTHETIC[spec.kind], spec, one) for one in seeds]
    try:
        dataset = load_dataset(spec.dataset)
    except DatasetError as error:
        raise TaskError(str(error)) from None
    if spec.kind == "regression":
        return [partial(_regression, spec, dataset, regression_rows(spec, dataset, one), one) for one in seeds]
    rows = rows_and_labels(spec, dataset, seed=seed, role=role, experiment=experiment)
    return [partial(_projected, spec, dataset, chosen, one) for chosen, one in zip(rows, seeds, strict=True)]


# --- synthetic ---------------------------------------------------------------------------------------------------------


def _linear(spec: TaskSpec, seed: int) -> Task:
    """Labels w.x; features and weights are standard Gaussian."""
    weights = task_stream(seed, WEIGHTS).standard_normal(spec.features)
    return _synthetic(spec, seed, "linear regression", lambda x: _weighted_sum(x, weights))


def _affine(spec: TaskSpec, seed: int) -> Task:
    """Labels w.x + b; features, weights and offset are standard Gaussian."""
    *weights, offset = task_stream(seed, WEIGHTS).standard_normal(spec.features + 1)
    return _synthetic(spec, seed, "affine regression", lambda x: _weighted_sum(x, np.array(weights)) + offset)


def _net(spec: TaskSpec, seed: int) -> Task:
    """Labels u.max(Mx, 0) of a random 2-layer net; rows 0 and 2 of M and entries 0 and 2 of u are 0, as in the reference."""
    stream = task_stream(seed, WEIGHTS)
    matrix = stream.standard_normal((spec.features, spec.features))
    outputs = stream.standard_normal(spec.features)
    matrix[[0, 2][: 1 + (spec.features > 2)]] = 0.0
    outputs[[0, 2][: 1 + (spec.features > 2)]] = 0.0
    return _synthetic(
        spec, seed, "2-layer net regression",
        lambda x: _weighted_sum(np.maximum(_weighted_sum(x, matrix.T), 0.0), outputs),
    )  # fmt: skip


def _synthetic(spec: TaskSpec, seed: int, title: str, label: Callable[[np.ndarray], np.ndarray]) -> Task:
    train = task_stream(seed, TRAIN).standard_normal((spec.train_examples, spec.features))
    valid = task_stream(seed, VALID).standard_normal((spec.valid_examples, spec.features))
    return Task(spec.features, "RMS_ERROR", train, label(train), valid, label(valid), name=f"{title}, seed {seed}")


_SYNTHETIC: dict[str, Callable[[TaskSpec, int], Task]] = {"linear": _linear, "affine": _affine, "net": _net}


def _weighted_sum(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return features @ weights added in a fixed order: a linear algebra library's order depends on the machine."""
    total = np.zeros((len(features), *weights.shape[1:]))
    for column, weight in zip(features.T, weights, strict=True):
        total += np.multiply.outer(column, weight)
    return total


# --- of data sets ------------------------------------------------------------------------------------------------------


def _projected(spec: TaskSpec, dataset: Dataset, chosen: Chosen, seed: int) -> Task:
    """Chosen rows of a dataset, projected to F dimensions by a random Gaussian matrix.

    Columns of tables (not of pictures) are standardised before projection, since their units differ; all are after it. Mean and
    deviation are the training examples', a constant column becomes 0, and values are rounded to float32, as the
    reference stores them.
    """
    train_rows, valid_rows = (
        source[rows].astype(np.float64)
        for source, rows in ((dataset.features, chosen.train), (chosen.valid_source, chosen.valid))
    )
    features = _projected_features(spec, dataset, seed, train_rows, valid_rows)
    return Task(
        spec.features, "MULTICLASS" if chosen.classes else "ACCURACY", features[0], chosen.train_labels,
        features[1], chosen.valid_labels, chosen.name, chosen.classes,
    )  # fmt: skip


def _regression(spec: TaskSpec, dataset: Dataset, rows: tuple[np.ndarray, np.ndarray], seed: int) -> Task:
    """The numbers that go with rows of a dataset to train and to validate on, the rows projected as those of `_projected` are.

    Labels too are standardised by the training examples' mean and deviation.
    """
    assert dataset.targets is not None
    train, valid = rows
    features = [dataset.features[part].astype(np.float64) for part in (train, valid)]
    projected = _projected_features(spec, dataset, seed, *features)
    labels = _standardised(*(dataset.targets[part, None] for part in (train, valid)))
    return Task(
        spec.features, "RMS_ERROR", projected[0], labels[0][:, 0].copy(), projected[1], labels[1][:, 0].copy(),
        name=f"{dataset.name} regression, projection {seed}",
    )  # fmt: skip


def _projected_features(
    spec: TaskSpec, dataset: Dataset, seed: int, train_rows: np.ndarray, valid_rows: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Return training and validation features: see `_projected`."""
    if dataset.image_shape is None:
        train_rows, valid_rows = _standardised(train_rows, valid_rows)
    projection = task_stream(seed, PROJECTION).standard_normal((dataset.columns, spec.features))
    projection = np.round(projection / _PROJECTION_STEP) * _PROJECTION_STEP
    projected = _standardised(_project(train_rows, projection), _project(valid_rows, projection))
    return tuple(part.astype(np.float32).astype(np.float64) for part in projected)


def _project(rows: np.ndarray, projection: np.ndarray) -> np.ndarray:
    """Return rows @ projection, the same on every machine.

    Sums of whole numbers (pixels) times multiples of 2**-20 are exact in float64, whatever the order of addition; other
    data is added up in a fixed order, which is slower.
    """
    return rows @ projection if np.array_equal(rows, np.floor(rows)) else _weighted_sum(rows, projection)


def _standardised(train: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    deviation[deviation <= 1e-12 * np.abs(mean)] = np.inf  # constant but for rounding: becomes 0
    deviation[deviation == 0] = np.inf
    return (train - mean) / deviation, (valid - mean) / deviation
