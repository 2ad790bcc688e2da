"""Knock-outs: how much the score changes when a line, or a motif, is taken out of a program.

Each knock-out is scored on the same tasks, with the same random streams, as the whole program; the change is the mean
of the differences task by task, its standard error that of this mean. With re-tuned constants both the whole program
and what is left of it are tuned first, equally long, on other tasks: so a knock-out is not blamed for constants that only
suited what was taken out, nor praised for a search the whole program did not have.
Source: Real et al. 2020, supplement S7.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engine.algorithm import COMPONENT_FUNCTIONS, Algorithm
from engine.canonical import canonical_digest
from engine.evaluator import Evaluator
from engine.explain import explain
from engine.removal import room, without_line, without_motif
from engine.tuning import tune

SEEDS = 3
"""Random streams that a program with random ops is scored with, on every task."""
TRIALS = 16
"""Sets of constants tried for each program that is tuned."""


@dataclass(frozen=True)
class Change:
    """A change of fitness. mean: negative where the program is worse without. error: its standard error, None for one task."""

    mean: float
    error: float | None


@dataclass(frozen=True)
class KnockOut:
    """One knock-out. function ("setup", "predict", "learn") and position: of the line; motif: or of the motif, "" for a line.

    change: with the constants as they are. retuned: both tuned; None where that was not asked for.
    """

    function: str
    position: int
    motif: str
    change: Change
    retuned: Change | None


@dataclass(frozen=True)
class KnockOuts:
    """All knock-outs of a program.

    fitness, retuned_fitness: mean score of the whole program, as it is and tuned. tasks, seeds: what they are means of.
    trials: sets of constants tried. lines: one for each line, dead ones included, in order. motifs: one for each motif.
    """

    fitness: float
    retuned_fitness: float | None
    tasks: int
    seeds: int
    trials: int
    lines: tuple[KnockOut, ...]
    motifs: tuple[KnockOut, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: the fields by name."""
        return asdict(self)


def knock_outs(
    algorithm: Algorithm,
    evaluator: Evaluator,
    tuning: Evaluator | None = None,
    *,
    seeds: int = SEEDS,
    trials: int = TRIALS,
    should_stop: Callable[[], bool] | None = None,
) -> KnockOuts | None:
    """Take out every line and every motif in turn and measure the change of fitness; the same arguments give the same.

    evaluator: of the tasks to score on. tuning: of other tasks, to tune constants on; None: don't. Both need the registers
    of `removal.room(algorithm)`, for programs without a motif may need more than the program has. seeds: random
    streams for programs that draw random numbers (the evaluator's own first). should_stop: asked before each
    evaluation; when it returns True, the answer is None.
    Raises ValueError if an evaluator has too few registers.
    """
    for one in (evaluator, tuning):
        if one is not None and any(a < b for a, b in zip(one.registers, room(algorithm), strict=True)):
            raise ValueError(f"evaluator: has registers {tuple(one.registers)}, {tuple(room(algorithm))} are needed")
    scorer = _Scorer(evaluator, tuning, seeds, trials, should_stop or (lambda: False))
    try:
        whole = scorer.scores(algorithm)
        whole_tuned = None if tuning is None else scorer.tuned_scores(algorithm)

        def measured(changed: Algorithm, function: str, position: int, motif: str) -> KnockOut:
            retuned = None if whole_tuned is None else _change(whole_tuned, scorer.tuned_scores(changed))
            return KnockOut(function, position, motif, _change(whole, scorer.scores(changed)), retuned)

        lines = tuple(
            measured(without_line(algorithm, function, position), name, position, "")
            for function, name in enumerate(COMPONENT_FUNCTIONS)
            for position in range(len(algorithm.functions[function]))
        )
        motifs = tuple(measured(without_motif(algorithm, name), "", -1, name) for name in explain(algorithm).motifs)
    except _Stopped:
        return None
    return KnockOuts(
        fitness=float(whole.mean()),
        retuned_fitness=None if whole_tuned is None else float(whole_tuned.mean()),
        tasks=len(evaluator.tasks), seeds=scorer.seeds_used, trials=0 if tuning is None else trials,
        lines=lines, motifs=motifs,
    )  # fmt: skip


class _Stopped(Exception):
    pass


class _Scorer:
    """Scores of programs on each task, each program once: most lines taken out leave one that has been scored before."""

    def __init__(self, evaluator: Evaluator, tuning: Evaluator | None, seeds: int, trials: int, should_stop):
        self.evaluator, self.tuning, self.trials, self.should_stop = evaluator, tuning, trials, should_stop
        own = evaluator.seed
        self.seeds = [own] + [_derived(own, index) for index in range(1, seeds)]
        self.seeds_used = 1
        self._scores: dict[bytes, np.ndarray] = {}
        self._tuned: dict[bytes, np.ndarray] = {}

    def scores(self, algorithm: Algorithm) -> np.ndarray:
        """Return (D,) fitness, averaged over the random streams."""
        key = canonical_digest(algorithm)
        if key not in self._scores:
            self._scores[key] = self._measured(algorithm)
        return self._scores[key]

    def _measured(self, algorithm: Algorithm) -> np.ndarray:
        self._check()
        seeds = self.seeds if self.evaluator.load(algorithm) else self.seeds[:1]
        self.seeds_used = max(self.seeds_used, len(seeds))
        rows = []
        try:
            for seed in seeds:
                self.evaluator.reseed(seed)
                rows.append(self.evaluator.evaluate(algorithm).fitness)
        finally:
            self.evaluator.reseed(self.seeds[0])
        return np.mean(rows, axis=0)

    def tuned_scores(self, algorithm: Algorithm) -> np.ndarray:
        """Return the same with tuned constants."""
        key = canonical_digest(algorithm)
        if key not in self._tuned:
            tuned = tune(algorithm, self._tuning_score, trials=self.trials, seed=self.seeds[0] % 2**64)
            self._tuned[key] = self.scores(tuned.algorithm)
        return self._tuned[key]

    def _tuning_score(self, algorithm: Algorithm) -> float:
        assert self.tuning is not None
        self._check()
        return float(self.tuning.evaluate(algorithm).fitness.mean())

    def _check(self) -> None:
        if self.should_stop():
            raise _Stopped


def _change(before: np.ndarray, after: np.ndarray) -> Change:
    """Return the mean of the differences of two (D,) scores with its standard error."""
    difference = after - before
    error = None if len(difference) < 2 else float(difference.std(ddof=1) / math.sqrt(len(difference)))
    return Change(float(difference.mean()), error)


def _derived(seed: int, index: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {index}".encode()).digest()[:8], "little")
