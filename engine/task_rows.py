"""Which rows of a data set a task is made of: classes and pairs of them, disjoint sets to train and to validate on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from engine.datasets import Dataset
from engine.spec import TaskSpec
from engine.task import TaskError
from engine.task_seeds import PAIR, ROWS, task_seed, task_stream


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
    seeds = [task_seed(spec, seed, role, experiment, index) for index in range(spec.count)]
    if spec.kind == "classes":
        return [_all_classes(spec, dataset, one, role) for one in seeds]
    pairs = _assign_pairs(spec, dataset, seeds)
    return [_pair(spec, dataset, pair, one, role) for pair, one in zip(pairs, seeds, strict=True)]


def regression_rows(spec: TaskSpec, dataset: Dataset, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose random rows of a dataset of numbers, to train and to validate on. Raises TaskError."""
    if dataset.targets is None:
        raise TaskError(f'dataset {spec.dataset}: its rows go with classes, not numbers: kind "projected" is for it')
    have, need = len(dataset.targets), spec.train_examples + spec.valid_examples
    if have < need:
        raise TaskError(
            f"dataset {dataset.name}: has {have} rows, {need} are needed (train_examples and valid_examples)"
        )
    rows = task_stream(seed, ROWS).permutation(have)[:need]
    return rows[: spec.train_examples], rows[spec.train_examples :]


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
        return [pairs[int(task_stream(seed, PAIR).integers(len(pairs)))] for seed in seeds]
    order = task_stream(seeds[0], PAIR).permutation(len(pairs))
    return [pairs[order[index % len(pairs)]] for index in range(len(seeds))]


def _pair(spec: TaskSpec, dataset: Dataset, pair: tuple[int, int], seed: int, role: str) -> Chosen:
    """Choose rows of two classes of a dataset at random, half of each, or as near as can be; label 1 is the first's."""
    train, valid, valid_source, valid_labels = _rows_of(spec, dataset, pair, task_stream(seed, ROWS), role)
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
    train, valid, valid_source, valid_labels = _rows_of(spec, dataset, range(count), task_stream(seed, ROWS), role)
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
