"""A program as a module of its own that needs nothing but NumPy."""

from __future__ import annotations

from engine.algorithm import Algorithm
from engine.export.many_classes import MODULE
from engine.export.numpy_code import left_out, program_class

_MODULE = '''\
"""@title@

Found by Ab Ovo; needs NumPy only. @dead@Digest @digest@.

    program = train(features, labels)      # features (N, F), labels (N,)
    scores = predict(program, features)    # @scores@

Training looks at one example after the other: Predict, compare, Learn. Standardise features first (mean 0, deviation 1
over the training examples), as the search does.
"""

import numpy as np

CLASSIFICATION = @classification@


@program@

def sigmoid(x):
    """Return 1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + np.exp(-x))


class TrainingFailed(ArithmeticError):
    """An error in training was NaN or larger than allowed."""


def train(features, labels, *, epochs=1, max_abs_error=100.0, seed=0):
    """Run Setup, then train on every example in order. features: (N, F). labels: (N,)@labels@.

    seed: of the random numbers, if the program draws any. Raises TrainingFailed.
    """
    features, labels = np.asarray(features, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    program = Program(features.shape[1], seed)
    with np.errstate(all="ignore"):  # infinities and NaN are part of the arithmetic
        program.setup()
        for _ in range(epochs):
            for x, label in zip(features, labels):
                program.predict_one(x)
                if CLASSIFICATION:
                    program.s1 = sigmoid(program.s1)
                error = abs(label - program.s1)
                if not error <= max_abs_error:
                    raise TrainingFailed(f"error {error}, allowed are up to {max_abs_error}")
                program.learn_one(x, label)
    return program


def predict(program, features):
    """Return s1 after Predict for each row of features, shape (N, F): @scores@.

    Runs on the program's memory as it is, row by row, as validation does in the search: a program that writes to its memory
    while it predicts goes on doing so.
    """
    features = np.asarray(features, dtype=np.float64)
    with np.errstate(all="ignore"):
        return np.array([program.predict_one(x) for x in features])
'''


def numpy_module(algorithm: Algorithm, name: str, task_type: str) -> str:
    """Return the module's source."""
    source, explanation = program_class(algorithm)
    return fill(MODULE if algorithm.vector_labels else _MODULE, algorithm, name, explanation, source, task_type)


def fill(template: str, algorithm: Algorithm, name: str, explanation, source: str, task_type: str) -> str:
    """Put a program and what is known of it into a module's template."""
    classification = task_type == "classification"
    dead = sum(line.role == "dead" for line in explanation.lines)
    title = explanation.titled(task_type)
    values = {
        "title": f"{name}: {title}." if name else f"{title}.",
        "digest": algorithm.digest().hex()[:16],
        "dead": f"{left_out(dead)} " if dead else "",
        "scores": "logits: above 0 is class 1" if classification else "predictions",
        "labels": ", 0 or 1" if classification else "",
        "classification": str(classification),
        "program": source.rstrip() + "\n",
    }
    for key, value in values.items():
        template = template.replace(f"@{key}@", value)
    return template
