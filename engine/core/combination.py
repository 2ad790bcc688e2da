"""One score from the scores on several tasks (engine.kinds.FITNESS_COMBINATIONS). scores, scratch: (D,) float64."""

from __future__ import annotations

from engine.core.jit import inner


@inner()
def mean(scores, scratch):
    """Return the mean."""
    total = 0.0
    for task in range(scores.shape[0]):
        total += scores[task]
    return total / scores.shape[0]


@inner()
def upper_median(scores, scratch):
    """Return the median, of an even number the upper one, as in the reference."""
    for k in range(scores.shape[0]):
        value, place = scores[k], k
        while place > 0 and scratch[place - 1] > value:
            scratch[place] = scratch[place - 1]
            place -= 1
        scratch[place] = value
    return scratch[scores.shape[0] // 2]


@inner()
def minimum(scores, scratch):
    """Return the lowest: what an algorithm can do on every task."""
    lowest = scores[0]
    for task in range(1, scores.shape[0]):
        lowest = min(lowest, scores[task])
    return lowest
