"""The seeds of tasks, and the streams of random numbers that follow from each."""

from __future__ import annotations

import numpy as np

from engine.spec import TaskSpec
from engine.task import TaskError

ROLES = ("search", "select", "final")

TRAIN, VALID, WEIGHTS, PAIR, ROWS, PROJECTION = range(6)
"""Streams of one task's seed: each draws independently of how much the others draw."""


def task_seed(spec: TaskSpec, seed: int, role: str, experiment: int, index: int) -> int:
    """Return the seed of a task: one of spec.seeds, or else drawn from the search's seed, role, experiment and index."""
    if spec.seeds:
        value = spec.seeds[index % len(spec.seeds)]
        if value < 0:
            raise TaskError(f"seeds: {value} is not allowed, whole numbers from 0 are")
        return value
    entropy = np.random.SeedSequence([seed, ROLES.index(role), experiment, index])
    return int(entropy.generate_state(1)[0])


def task_stream(seed: int, purpose: int) -> np.random.Generator:
    """Return one of the streams of a task's seed."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, purpose])))
