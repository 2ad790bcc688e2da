"""Learning tasks: what an algorithm is scored on, read from JSON or built from a specification."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from engine.datasets import Dataset, DatasetError, load_dataset
from engine.spec import DATASET_KINDS, TaskSpec

EVAL_TYPES = ("RMS_ERROR", "ACCURACY", "MULTICLASS")
ROLES = ("search", "select", "final")
MAX_FEATURES = 4096

_PROJECTION_STEP = 2.0**-20
# Streams of one task's seed: each draws independently of how much the others draw.
_TRAIN, _VALID, _WEIGHTS, _PAIR, _ROWS, _PROJECTION = range(6)


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


# --- from JSON ----------------------------------------------------------------------------------------------------------


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


# --- from a specification -----------------------------------------------------------------------------------------------


def build_tasks(spec: TaskSpec, *, seed: int, role: str, experiment: int = 0) -> list[Task]:
    """Build spec.count tasks; the same arguments always give the same tasks.

    role: "search", "select" or "final"; roles and experiments get different tasks. A task follows from its own seed,
    which is one of spec.seeds or else drawn from (seed, role, experiment, index). Raises TaskError.
    """
    if role not in ROLES:
        raise TaskError(f'role: "{role}" is not allowed, one of {", ".join(ROLES)} is')
    seeds = [_task_seed(spec, seed, role, experiment, index) for index in range(spec.count)]
    if spec.kind in DATASET_KINDS:
        try:
            dataset = load_dataset(spec.dataset)
        except DatasetError as error:
            raise TaskError(str(error)) from None
        if spec.kind == "regression":
            return [_regression(spec, dataset, one) for one in seeds]
        rows = rows_and_labels(spec, dataset, seed=seed, role=role, experiment=experiment)
        return [_projected(spec, dataset, chosen, one) for chosen, one in zip(rows, seeds, strict=True)]
    return [_SYNTHETIC[spec.kind](spec, one) for one in seeds]


def _task_seed(spec: TaskSpec, seed: int, role: str, experiment: int, index: int) -> int:
    if spec.seeds:
        value = spec.seeds[index % len(spec.seeds)]
        if value < 0:
            raise TaskError(f"seeds: {value} is not allowed, whole numbers from 0 are")
        return value
    entropy = np.random.SeedSequence([seed, ROLES.index(role), experiment, index])
    return int(entropy.generate_state(1)[0])


def _stream(seed: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, purpose])))


def _weighted_sum(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return features @ weights added in a fixed order: a linear algebra library's order depends on the machine."""
    total = np.zeros((len(features), *weights.shape[1:]))
    for column, weight in zip(features.T, weights, strict=True):
        total += np.multiply.outer(column, weight)
    return total


def _linear(spec: TaskSpec, seed: int) -> Task:
    """Labels w.x; features and weights are standard Gaussian."""
    weights = _stream(seed, _WEIGHTS).standard_normal(spec.features)
    return _synthetic(spec, seed, "linear regression", lambda x: _weighted_sum(x, weights))


def _affine(spec: TaskSpec, seed: int) -> Task:
    """Labels w.x + b; features, weights and offset are standard Gaussian."""
    *weights, offset = _stream(seed, _WEIGHTS).standard_normal(spec.features + 1)
    return _synthetic(spec, seed, "affine regression", lambda x: _weighted_sum(x, np.array(weights)) + offset)


def _net(spec: TaskSpec, seed: int) -> Task:
    """Labels u.max(Mx, 0) of a random 2-layer net; rows 0 and 2 of M and entries 0 and 2 of u are 0, as in the reference."""
    stream = _stream(seed, _WEIGHTS)
    matrix = stream.standard_normal((spec.features, spec.features))
    outputs = stream.standard_normal(spec.features)
    matrix[[0, 2][: 1 + (spec.features > 2)]] = 0.0
    outputs[[0, 2][: 1 + (spec.features > 2)]] = 0.0
    return _synthetic(
        spec, seed, "2-layer net regression",
        lambda x: _weighted_sum(np.maximum(_weighted_sum(x, matrix.T), 0.0), outputs),
    )  # fmt: skip


def _synthetic(spec: TaskSpec, seed: int, title: str, label: Callable[[np.ndarray], np.ndarray]) -> Task:
    train = _stream(seed, _TRAIN).standard_normal((spec.train_examples, spec.features))
    valid = _stream(seed, _VALID).standard_normal((spec.valid_examples, spec.features))
    return Task(spec.features, "RMS_ERROR", train, label(train), valid, label(valid), name=f"{title}, seed {seed}")


_SYNTHETIC: dict[str, Callable[[TaskSpec, int], Task]] = {"linear": _linear, "affine": _affine, "net": _net}


# --- projected binary classification ------------------------------------------------------------------------------------


def _assign_pairs(spec: TaskSpec, dataset: Dataset, seeds: Sequence[int]) -> list[tuple[int, int]]:
    """Return each task's pair of classes.

    Explicit pairs are taken in turn. Else, where the tasks' seeds are given, each seed picks its pair; where they are not,
    the pairs are dealt out in a shuffled order, so that as many different ones take part as can.
    """
    classes = len(dataset.class_names)
    if not classes:
        raise TaskError(f'dataset {spec.dataset}: its rows go with numbers, not classes: kind "regression" is for it')
    held_out = {tuple(sorted(pair)) for pair in spec.held_out_pairs}
    listed = held_out if isinstance(spec.pairs, str) else {*held_out, *spec.pairs}
    for pair in listed:
        if not 0 <= min(pair) < max(pair) < classes:
            raise TaskError(
                f"pairs: {list(pair)} is not allowed, two different classes of {spec.dataset} "
                f"from 0 to {classes - 1} are"
            )
    if not isinstance(spec.pairs, str):
        return [spec.pairs[index % len(spec.pairs)] for index in range(len(seeds))]
    if spec.pairs == "held_out":
        pairs = sorted(held_out)
    else:
        pairs = [pair for pair in combinations(range(classes), 2) if pair not in held_out]
    if not pairs:
        raise TaskError(f'pairs: "{spec.pairs}" leaves no pair of the {classes} classes of {spec.dataset}')
    if spec.seeds:
        return [pairs[int(_stream(seed, _PAIR).integers(len(pairs)))] for seed in seeds]
    order = _stream(seeds[0], _PAIR).permutation(len(pairs))
    return [pairs[order[index % len(pairs)]] for index in range(len(seeds))]


class Chosen(NamedTuple):
    """Rows chosen for a task: train of the dataset's features, valid of valid_source; their labels as a task has them."""

    train: np.ndarray
    valid: np.ndarray
    valid_source: np.ndarray
    train_labels: np.ndarray
    valid_labels: np.ndarray
    name: str
    classes: int = 0


def rows_and_labels(spec: TaskSpec, dataset: Dataset, *, seed: int, role: str, experiment: int = 0) -> list[Chosen]:
    """Choose the rows of spec.count tasks of classes, as build_tasks does. Raises TaskError."""
    seeds = [_task_seed(spec, seed, role, experiment, index) for index in range(spec.count)]
    if spec.kind == "classes":
        return [_all_classes(spec, dataset, one, role) for one in seeds]
    pairs = _assign_pairs(spec, dataset, seeds)
    return [_pair(spec, dataset, pair, one, role) for pair, one in zip(pairs, seeds, strict=True)]


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


def _pair(spec: TaskSpec, dataset: Dataset, pair: tuple[int, int], seed: int, role: str) -> Chosen:
    """Choose rows of two classes of a dataset at random, half of each, or as near as can be; label 1 is the first's."""
    train, valid, valid_source, valid_labels = _rows_of(spec, dataset, pair, _stream(seed, _ROWS), role)
    first, second = (dataset.class_names[one] for one in pair)
    labels = ((one == pair[0]).astype(np.float64) for one in (dataset.labels[train], valid_labels[valid]))
    return Chosen(train, valid, valid_source, *labels, f"{dataset.name} {first} vs {second}, projection {seed}")


def _all_classes(spec: TaskSpec, dataset: Dataset, seed: int, role: str) -> Chosen:
    """Choose rows of all classes of a dataset, as many of each as can be."""
    count = len(dataset.class_names)
    if not count:
        raise TaskError(f'dataset {spec.dataset}: its rows go with numbers, not classes: kind "regression" is for it')
    if spec.features < count:
        raise TaskError(
            f"features: {spec.features}, but vector labels have an element for each of the {count} classes of "
            f"{spec.dataset}; allowed are {count} and more"
        )
    train, valid, valid_source, valid_labels = _rows_of(spec, dataset, range(count), _stream(seed, _ROWS), role)
    return Chosen(
        train, valid, valid_source, dataset.labels[train].astype(np.float64), valid_labels[valid].astype(np.float64),
        f"{dataset.name}, {count} classes, projection {seed}", count,
    )  # fmt: skip


def _rows_of(
    spec: TaskSpec, dataset: Dataset, classes: Sequence[int], stream: np.random.Generator, role: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw (training rows, validation rows) and return them with the (features, labels) that validation rows are of.

    Final tasks take their validation examples from the official test split where there is one, all else is training data.
    """
    sizes = [spec.train_examples, spec.valid_examples]
    split = _split if len(classes) == 2 else _split_classes
    if role == "final" and dataset.test_labels is not None and dataset.test_features is not None:
        (train,) = split(dataset.labels, classes, sizes[:1], stream, f"{dataset.name} (training split)")
        (valid,) = split(dataset.test_labels, classes, sizes[1:], stream, f"{dataset.name} (test split)")
        return train, valid, dataset.test_features, dataset.test_labels
    train, valid = split(dataset.labels, classes, sizes, stream, dataset.name)
    return train, valid, dataset.features, dataset.labels


def _regression(spec: TaskSpec, dataset: Dataset, seed: int) -> Task:
    """The numbers that go with random rows of a dataset, the rows projected as those of `_projected` are.

    Labels too are standardised by the training examples' mean and deviation.
    """
    if dataset.targets is None:
        raise TaskError(f'dataset {spec.dataset}: its rows go with classes, not numbers: kind "projected" is for it')
    have, need = len(dataset.targets), spec.train_examples + spec.valid_examples
    if have < need:
        raise TaskError(
            f"dataset {dataset.name}: has {have} rows, {need} are needed (train_examples and valid_examples)"
        )
    rows = _stream(seed, _ROWS).permutation(have)[:need]
    train, valid = rows[: spec.train_examples], rows[spec.train_examples :]
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
    projection = _stream(seed, _PROJECTION).standard_normal((dataset.columns, spec.features))
    projection = np.round(projection / _PROJECTION_STEP) * _PROJECTION_STEP
    projected = _standardised(_project(train_rows, projection), _project(valid_rows, projection))
    return tuple(part.astype(np.float32).astype(np.float64) for part in projected)


def _split(
    labels: np.ndarray, pair: Sequence[int], sizes: Sequence[int], stream: np.random.Generator, where: str
) -> list[np.ndarray]:
    """Draw disjoint sets of rows of two classes, of the given sizes, each in random order and stratified by class."""
    members = [stream.permutation(np.flatnonzero(labels == one)) for one in pair]
    have, need = [len(one) for one in members], sum(sizes)
    if sum(have) < need or min(have) < len(sizes):
        raise TaskError(
            f"dataset {where}: classes {pair[0]} and {pair[1]} have {have[0]} and {have[1]} rows, "
            f"{need} are needed (train_examples and valid_examples)"
        )
    first = min(max((need + 1) // 2, need - have[1]), have[0])
    parts, taken = [], [0, 0]
    for index, size in enumerate(sizes):
        last = index == len(sizes) - 1
        share = first - taken[0] if last else round(first * size / need)
        counts = [share, size - share]
        rows = [one[start : start + count] for one, start, count in zip(members, taken, counts, strict=True)]
        taken = [start + count for start, count in zip(taken, counts, strict=True)]
        parts.append(stream.permutation(np.concatenate(rows)))
    return parts


def _split_classes(
    labels: np.ndarray, classes: Sequence[int], sizes: Sequence[int], stream: np.random.Generator, where: str
) -> list[np.ndarray]:
    """Do as `_split` for any number of classes: as many rows of each as there are, but for those that have too few."""
    members = [stream.permutation(np.flatnonzero(labels == one)) for one in classes]
    have, need = [len(one) for one in members], sum(sizes)
    if sum(have) < need or min(have) < len(sizes):
        raise TaskError(
            f"dataset {where}: its {len(classes)} classes have {sum(have)} rows, the smallest {min(have)}; {need} are "
            "needed (train_examples and valid_examples), and some of each class"
        )
    quotas, left = [0] * len(classes), need
    for place, one in enumerate(sorted(range(len(classes)), key=lambda one: (have[one], -one))):
        quotas[one] = min(have[one], left // (len(classes) - place))
        left -= quotas[one]
    parts, taken = [], [0] * len(classes)
    for index, size in enumerate(sizes):
        shares = [quota * size / need for quota in quotas]
        counts = [int(share) for share in shares]
        by_rest = sorted(range(len(classes)), key=lambda one: (counts[one] - shares[one], one))
        for one in by_rest[: size - sum(counts)]:
            counts[one] += 1
        if index == len(sizes) - 1:
            counts = [quota - before for quota, before in zip(quotas, taken, strict=True)]
        rows = [one[start : start + count] for one, start, count in zip(members, taken, counts, strict=True)]
        taken = [start + count for start, count in zip(taken, counts, strict=True)]
        parts.append(stream.permutation(np.concatenate(rows)))
    return parts


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


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 60 else text[:57] + "…"
