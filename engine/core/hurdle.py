"""Hurdles: a short run that a program must do well in before it is evaluated in full.

The short run is the beginning of the full one: the first few examples of the first few tasks, one epoch. Who scores below a
threshold there keeps that score. The threshold is a percentile of the different scores among the last short runs, computed
anew after every so many of them, so the share that is cut stays about the same while the population improves.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from engine.core.jit import inner

TRAIN, VALID, GROUPS, TASKS, PERIOD, RUNS = range(6)
"""Words of Hurdle.whole: examples of a short run (TRAIN is 0 where there is no hurdle), groups of lanes and tasks in them,
short runs from one threshold to the next, short runs so far."""
PERCENTILE, THRESHOLD, HIGHEST = range(3)
"""Words of Hurdle.levels: from 0 to 100, what a short run has to reach, the highest score of a full evaluation so far."""


class Hurdle(NamedTuple):
    """Settings and state of a hurdle. Few arrays: every one costs time at every call that passes it on."""

    whole: np.ndarray  # (6,) int64
    levels: np.ndarray  # (3,) float64
    recent: np.ndarray  # (2, W) float64: a ring of the scores of the last short runs; scratch


def new_hurdle(train: int, valid: int, groups: int, tasks: int, period: int, percentile: float, window: int) -> Hurdle:
    """Return a hurdle that nobody has run at: nothing is cut in the first `period` short runs."""
    return Hurdle(
        np.array([train, valid, groups, tasks, period, 0], np.int64), np.array([percentile, 0.0, 0.0]), np.zeros((2, window))
    )  # fmt: skip


@inner()
def clears(hurdle, score):
    """Note the score of a short run; return whether it reaches the threshold that held before it."""
    window = hurdle.recent.shape[1]
    good = score >= hurdle.levels[THRESHOLD]
    hurdle.recent[0, hurdle.whole[RUNS] % window] = score
    hurdle.whole[RUNS] += 1
    if hurdle.whole[RUNS] % hurdle.whole[PERIOD] == 0:
        count = min(hurdle.whole[RUNS], window)
        hurdle.levels[THRESHOLD] = _percentile_of_unique(
            hurdle.recent[0], count, hurdle.recent[1], hurdle.levels[PERCENTILE]
        )
    return good


@inner()
def _percentile_of_unique(scores, count, ordered, percentile):
    """Return the smallest score that at least so many percent of the different ones do not exceed."""
    for k in range(count):
        ordered[k] = scores[k]
    _sort(ordered, count)
    different = 0
    for k in range(count):
        if k == 0 or ordered[k] != ordered[k - 1]:
            ordered[different] = ordered[k]
            different += 1
    rank = math.ceil(different * percentile / 100.0) - 1
    return ordered[min(max(rank, 0), different - 1)]


@inner()
def _sort(values, count):
    """Sort the first `count` values in place (by shells: numpy's sort would allocate)."""
    gap = count // 2
    while gap > 0:
        for k in range(gap, count):
            value, place = values[k], k
            while place >= gap and values[place - gap] > value:
                values[place] = values[place - gap]
                place -= gap
            values[place] = value
        gap //= 2
