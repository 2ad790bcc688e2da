"""What a dataset is, and the checks that every source goes through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MAX_BYTES = 1 << 30
"""Largest dataset file, and largest array in one, uncompressed: 1 GiB."""
MAX_CLASSES = 1000
MAX_COLUMNS = 100_000
MAX_NUMBER = 1e100
"""Largest feature or target, sign aside: squares of larger ones, which deviations are made of, are no longer finite."""


class DatasetError(ValueError):
    """A dataset that is not there or cannot be used; the message names it and says why."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows of numbers with a class, or a number to predict, or (numbers that may be either) both.

    features: (N, D), whole numbers of 8 bits where that loses nothing, else the file's own number type. labels: (N,)
    int64, class numbers from 0; empty, as class_names, where there are no classes. targets: (N,) float64, or None.
    test_features, test_labels: the official test split, or None. image_shape: (height, width) or (height, width,
    channels) where a row is a picture, else None.
    """

    name: str
    features: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    image_shape: tuple[int, ...] | None = None
    test_features: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    targets: np.ndarray | None = None

    @property
    def columns(self) -> int:
        """Features a row (D)."""
        return self.features.shape[1]


def classification(name, x, y, class_names=None, x_test=None, y_test=None, *, image_shape=None) -> Dataset:
    """Return a checked dataset of classes; y: class numbers. Raises DatasetError."""
    features, labels = _features(name, "x_train", x), _labels(name, "y_train", y)
    if len(features) != len(labels):
        raise DatasetError(f"dataset {name}: x_train has {len(features)} rows, y_train {len(labels)}")
    classes = np.unique(labels)
    if len(classes) < 2:
        raise DatasetError(f"dataset {name}: y_train has one class only ({classes[0]}), at least two are needed")
    if len(classes) > MAX_CLASSES:
        raise DatasetError(f"dataset {name}: {len(classes)} classes, allowed are up to {MAX_CLASSES}")
    if class_names is None:
        class_names = tuple(str(one) for one in classes)
    if len(class_names) != len(classes):
        raise DatasetError(f"dataset {name}: {len(class_names)} class_names, but y_train has {len(classes)} classes")
    test_features = test_labels = None
    if x_test is not None:
        test_features, test_labels = _features(name, "x_test", x_test), _labels(name, "y_test", y_test)
        if len(test_features) != len(test_labels):
            raise DatasetError(f"dataset {name}: x_test has {len(test_features)} rows, y_test {len(test_labels)}")
        if test_features.shape[1] != features.shape[1]:
            raise DatasetError(
                f"dataset {name}: x_test has {test_features.shape[1]} features a row, x_train {features.shape[1]}"
            )
        unknown = np.setdiff1d(test_labels, classes)
        if len(unknown):
            raise DatasetError(f"dataset {name}: y_test has a class that y_train has not: {unknown[0]}")
        test_labels = np.searchsorted(classes, test_labels)
    return Dataset(
        name, features, np.searchsorted(classes, labels), class_names, image_shape, test_features, test_labels
    )


def regression(name, x, targets) -> Dataset:
    """Return a checked dataset of numbers to predict. Raises DatasetError."""
    features, targets = _features(name, "x_train", x), np.asarray(targets, dtype=np.float64)
    if targets.shape != (len(features),):
        raise DatasetError(f"dataset {name}: {len(features)} rows, but targets of shape {targets.shape}")
    if not np.all(np.abs(targets) <= MAX_NUMBER):
        raise DatasetError(
            f"dataset {name}: targets hold NaN, infinity or more than {MAX_NUMBER:g}, finite numbers are allowed"
        )
    if np.ptp(targets) == 0:
        raise DatasetError(f"dataset {name}: all targets are {targets[0]:g}, nothing can be learned")
    return Dataset(name, features, np.zeros(0, np.int64), (), targets=targets)


def _features(name: str, array_name: str, values) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype.kind not in "biuf":
        raise DatasetError(
            f"dataset {name}: {array_name} holds {_kind(values)}, whole or floating-point numbers are allowed"
        )
    if values.ndim < 2 or 0 in values.shape:
        raise DatasetError(
            f"dataset {name}: {array_name} has shape {values.shape}, expected rows of at least one feature"
        )
    values = values.reshape(len(values), -1)
    if values.shape[1] > MAX_COLUMNS:
        raise DatasetError(f"dataset {name}: {values.shape[1]} features a row, allowed are up to {MAX_COLUMNS:,}")
    step = max(1, 10_000_000 // values.shape[1])
    whole, varied = True, False
    for start in range(0, len(values), step):  # in parts: the checks need little memory
        part = values[start : start + step]
        if values.dtype.kind == "f":
            bad = np.argwhere(~(np.abs(part) <= MAX_NUMBER))
            if len(bad):
                row, column = bad[0]
                raise DatasetError(
                    f"dataset {name}: {array_name}[{start + row}, {column}] is {part[row, column]}, "
                    f"finite numbers up to {MAX_NUMBER:g} are allowed"
                )
        whole = whole and bool(np.all((part >= 0) & (part <= 255) & (part == np.floor(part))))
        varied = varied or bool(np.any(part != values[0]))
    if array_name == "x_train" and not varied:
        raise DatasetError(f"dataset {name}: all rows of x_train are the same, nothing can be learned")
    return np.ascontiguousarray(values, dtype=np.uint8 if whole else None)


def _labels(name: str, array_name: str, values) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype.kind not in "biuf":
        raise DatasetError(f"dataset {name}: {array_name} holds {_kind(values)}, class numbers are allowed")
    if values.ndim != 1 or not len(values):
        raise DatasetError(f"dataset {name}: {array_name} has shape {values.shape}, expected one class number a row")
    if values.dtype.kind == "f" and not np.all(np.isfinite(values) & (values == np.floor(values))):
        raise DatasetError(f"dataset {name}: {array_name} holds numbers that are not whole")
    return values.astype(np.int64)


def _kind(values: np.ndarray) -> str:
    kinds = {"U": "text", "S": "text", "O": "Python objects", "c": "complex numbers"}
    return kinds.get(values.dtype.kind, f"values of type {values.dtype}")
