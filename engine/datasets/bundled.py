"""The small sets that scikit-learn brings along."""

from __future__ import annotations

from functools import lru_cache

from engine.datasets.base import Dataset, classification, regression

BUNDLED = {
    "digits": "load_digits",
    "breast_cancer": "load_breast_cancer",
    "wine": "load_wine",
    "iris": "load_iris",
    "diabetes": "load_diabetes",
}
"""Names, and scikit-learn's functions for them."""


@lru_cache(maxsize=4)
def load(name: str) -> Dataset:
    """Return a bundled dataset. Raises KeyError if there is none of that name."""
    from sklearn import datasets  # slow to import: only when asked for

    data = getattr(datasets, BUNDLED[name])()
    if "target_names" not in data:
        return regression(name, data.data, data.target)
    names = tuple(str(one) for one in data.target_names)
    return classification(name, data.data, data.target, names, image_shape=(8, 8) if name == "digits" else None)
