"""Scores on tasks that no search saw: which candidate is selected, and how good it is in the end."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.algorithm import Algorithm
from engine.evaluator import Evaluator
from engine.records import Find
from engine.spec import SearchSpec, TaskSpec
from engine.task_building import build_tasks


def stable_seed(seed: int, *parts: Any) -> int:
    """Return a 64-bit seed made from a search's seed and what it is for: ("island" | "select" | "final", experiment).

    The final score's evaluations after the first have their number as a third part.
    """
    text = json.dumps([seed, *parts]).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little")


def evaluator_of(spec: SearchSpec, tasks: TaskSpec, seed: int, *parts: Any) -> Evaluator:
    """Return an evaluator on a search's select or final tasks; parts: (role, experiment, …), see `stable_seed`."""
    return Evaluator(
        build_tasks(tasks, seed=seed, role=parts[0], experiment=parts[1]),
        spec.registers,
        max_abs_error=spec.max_abs_error,
        seed=stable_seed(seed, *parts),
        epochs=tasks.epochs,
    )


def standard_error(scores: Sequence[float]) -> float | None:
    """Return the standard error of the mean of scores; None if there are fewer than two."""
    return float(np.std(scores, ddof=1)) / math.sqrt(len(scores)) if len(scores) > 1 else None


class Chosen(NamedTuple):
    """A candidate with its score on the select tasks (its own where there are none), and on each of them."""

    fitness: float
    find: Find
    scores: tuple[float, ...]


class Selector:
    """Chooses among candidates by their mean score on the select tasks of one experiment; builds these when first needed."""

    def __init__(self, spec: SearchSpec, seed: int, experiment: int):
        self.spec, self.seed, self.experiment = spec, seed, experiment
        self._evaluator: Evaluator | None = None

    def choose(self, candidates: Sequence[Find]) -> Chosen:
        """Return the best candidate, of equals the last; with several rounds through a funnel, see SearchSpec."""
        if self.spec.select_tasks is None:
            return max((Chosen(find.score, find, ()) for find in reversed(candidates)), key=lambda one: one.fitness)
        left = list(candidates)
        for round_left in range(self.spec.select_rounds - 1, 0, -1):
            if len(left) > 1:
                left = self._better_half(left, 0.5**round_left)
        evaluated = [self._score(find) for find in left]
        return max(reversed(evaluated), key=lambda one: one.fitness)

    def _better_half(self, candidates: list[Find], share: float) -> list[Find]:
        """Return the better half of the candidates, in their order, on a share of tasks and examples."""
        whole = self._whole()
        part = Evaluator(
            whole.tasks[: math.ceil(share * len(whole.tasks))],
            self.spec.registers,
            max_abs_error=self.spec.max_abs_error,
            seed=stable_seed(self.seed, "select", self.experiment),
            epochs=whole.epochs,
        )
        examples = max(math.ceil(share * whole.tasks[0].train_examples), 1)
        scores = [part.evaluate(find.algorithm, train_examples=examples).fitness.mean() for find in candidates]
        order = sorted(range(len(candidates)), key=lambda place: (scores[place], place))
        return [candidates[place] for place in sorted(order[len(order) // 2 :])]

    def _score(self, find: Find) -> Chosen:
        scores = tuple(map(float, self._whole().evaluate(find.algorithm).fitness))
        return Chosen(float(np.mean(scores)), find, scores)

    def _whole(self) -> Evaluator:
        if self._evaluator is None:
            assert self.spec.select_tasks is not None
            self._evaluator = evaluator_of(self.spec, self.spec.select_tasks, self.seed, "select", self.experiment)
        return self._evaluator


def final_scores(spec: SearchSpec, seed: int, algorithm: Algorithm) -> tuple[float, ...]:
    """Return the score on each final task: the mean over spec.final_seeds evaluations; () if there are no final tasks.

    Algorithms without random ops score the same with any seed and are evaluated once.
    """
    if spec.final_tasks is None:
        return ()
    rows: list[np.ndarray] = []
    for number in range(spec.final_seeds):
        parts = (number,) if number else ()
        evaluator = evaluator_of(spec, spec.final_tasks, seed, "final", 0, *parts)
        rows.append(evaluator.evaluate(algorithm).fitness)
        if not evaluator.load(algorithm):
            break
    return tuple(map(float, np.mean(rows, axis=0)))
