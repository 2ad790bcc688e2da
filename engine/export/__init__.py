"""Programs as code for elsewhere: a NumPy module, a scikit-learn estimator, JSON, LaTeX."""

from __future__ import annotations

import json
import re

from engine.algorithm import Algorithm
from engine.ops import OP_SET_VERSION

FORMATS = ("python", "sklearn", "json", "latex")
TASK_TYPES = ("classification", "regression")


def export(algorithm: Algorithm, to: str, *, name: str = "", task_type: str = "classification") -> str:
    """Return a program as text. to: one of FORMATS. name: of the algorithm, for titles and the class of the estimator.

    task_type: "classification" (two classes, the sigmoid of s1 is a probability; or with vector labels any number) or
    "regression" (not with vector labels). Dead lines are left out, but
    for JSON, which is the program exactly as found. Raises ValueError for another format or type.
    """
    if to not in FORMATS:
        raise ValueError(f'to: "{to}" is not allowed, one of {", ".join(FORMATS)} is')
    if task_type not in TASK_TYPES:
        raise ValueError(f'task_type: "{task_type}" is not allowed, one of {", ".join(TASK_TYPES)} is')
    if algorithm.vector_labels and task_type != "classification":
        raise ValueError(
            'task_type: "regression" is not allowed, the labels of this program are vectors, one element a class'
        )
    name = clean_name(name)
    if to == "json":
        return json.dumps(as_json(algorithm, name), indent=2) + "\n"
    if to == "latex":
        from engine.export.latex import latex

        return latex(algorithm, name, task_type)
    if to == "python":
        from engine.export.numpy_module import numpy_module

        return numpy_module(algorithm, name, task_type)
    from engine.export.estimator import estimator

    return estimator(algorithm, name, task_type)


def as_json(algorithm: Algorithm, name: str = "") -> dict:
    """Return the program as found, with what identifies it; Algorithm.from_json reads it back."""
    data = {"name": name} if name else {}
    return data | {"op_set_version": OP_SET_VERSION, "digest": algorithm.digest().hex(), **algorithm.to_json()}


def clean_name(name: str) -> str:
    """Return a name with nothing in it that code or LaTeX would take for more than text."""
    return " ".join(re.sub(r"[^\w .,:;()+/-]", " ", name).split())[:80]
