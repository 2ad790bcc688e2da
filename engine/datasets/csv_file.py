"""CSV files: numbers, and in the last column what is to be learned.

A first line of names is recognised by a feature column in it that is no number. The separator is a comma, a semicolon or a tab,
whichever the first line has most of. Classes are texts or whole numbers; a last column of other numbers is to be predicted.
"""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engine.datasets.base import MAX_CLASSES, MAX_COLUMNS, Dataset, DatasetError, classification, regression

MAX_CSV_BYTES = 256 << 20
"""Largest CSV file; its numbers take up to four times as much memory."""


def load(name: str, path: Path) -> Dataset:
    """Read a file. Raises DatasetError naming line and column."""
    if path.stat().st_size > MAX_CSV_BYTES:
        raise DatasetError(
            f"dataset {name}: the file has {path.stat().st_size:,} bytes, allowed for CSV are up to {MAX_CSV_BYTES:,}"
        )
    values, labels, columns = array("d"), [], 0
    seen: dict[str, str] = {}
    try:
        for line, row in _rows(name, path):
            if not columns:
                columns = len(row)
                _check_columns(name, line, columns)
                if any(_number(one) is None for one in row[:-1]):
                    continue  # names
            if len(row) != columns:
                raise DatasetError(f"dataset {name}: line {line} has {len(row)} columns, the first line {columns}")
            for column, text in enumerate(row[:-1], 1):
                number = _number(text)
                if number is None or not math.isfinite(number):
                    raise DatasetError(
                        f"dataset {name}: line {line}, column {column}: {text!r:.40} is not allowed, finite numbers are "
                        "(the last column may be text)"
                    )
                values.append(number)
            label = row[-1].strip()
            if not label:
                raise DatasetError(f"dataset {name}: line {line}: the last column, the label, is empty")
            labels.append(seen.setdefault(label, label))
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise DatasetError(f"dataset {name}: not a readable CSV file of UTF-8 text ({error})") from None
    if not labels:
        raise DatasetError(f"dataset {name}: no rows")
    return _dataset(name, np.frombuffer(values, np.float64).reshape(len(labels), columns - 1), labels, seen)


def _rows(name: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields), blank lines left out."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        first = file.readline(MAX_COLUMNS * 40)
        file.seek(0)
        separator = max(",;\t", key=first.count)
        reader = csv.reader(file, delimiter=separator, strict=True)
        for row in reader:
            if row and not (len(row) == 1 and not row[0].strip()):
                yield reader.line_num, row


def _check_columns(name: str, line: int, columns: int) -> None:
    if columns < 2:
        raise DatasetError(
            f"dataset {name}: line {line} has one column; a feature and the label are needed, separated by a comma, "
            "a semicolon or a tab"
        )
    if columns - 1 > MAX_COLUMNS:
        raise DatasetError(f"dataset {name}: {columns - 1:,} features a row, allowed are up to {MAX_COLUMNS:,}")


def _number(text: str) -> float | None:
    if "_" in text:  # Python reads 1_000 as a number; a CSV file does not mean one
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _dataset(name: str, features: np.ndarray, labels: list[str], seen: dict[str, str]) -> Dataset:
    numbers = {text: _number(text) for text in seen}
    if any(number is None for number in numbers.values()):
        names = sorted(seen)
        if len(names) > MAX_CLASSES:
            raise DatasetError(f"dataset {name}: {len(names):,} classes, allowed are up to {MAX_CLASSES:,}")
        position = {text: index for index, text in enumerate(names)}
        codes = np.array([position[text] for text in labels], np.int64)
        return classification(name, features, codes, tuple(names) if len(names) > 1 else None)
    targets = np.array([numbers[text] for text in labels], np.float64)
    if not np.isfinite(targets).all():
        raise DatasetError(f"dataset {name}: the last column holds NaN or infinity, finite numbers are allowed")
    if np.any(targets != np.floor(targets)) or len(np.unique(targets)) > MAX_CLASSES:
        return regression(name, features, targets)
    return classification(name, features, targets)
