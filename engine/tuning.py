"""Constants of a program tuned by random search on a logarithmic scale, as the paper does before it compares programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from engine.algorithm import Algorithm, Instruction
from engine.canonical import live_mask
from engine.ops import Op

WIDE, NARROW = 3.0, 0.5
"""Largest change in powers of ten: of any constant in the first half of the trials, around the best so far after that."""


class Tuned(NamedTuple):
    """algorithm: with the best constants tried. fitness: on the data tuned on (too good: report it on other data)."""

    algorithm: Algorithm
    fitness: float


def tune(
    algorithm: Algorithm,
    score: Callable[[Algorithm], float],
    *,
    trials: int = 24,
    seed: int = 0,
    start: float | None = None,
) -> Tuned:
    """Return the program with the constants that score best; deterministic given the seed, never worse than it was.

    score: fitness of a program on the data to tune on, higher is better. trials: programs to score besides the given one.
    start: the given program's score, if it is known. In each trial some of the constants are multiplied by
    10**U(-3, 3), in the second half of the trials those of the best so far by 10**U(-0.5, 0.5). Both bounds of a uniform
    distribution, mean and deviation of a normal one, go together; indexes of elements, signs and zeros stay.
    Source: Real et al. 2020, supplement S8 (constants scaled by 0.001 to 1000).
    """
    places = tunable(algorithm)
    best = Tuned(algorithm, score(algorithm) if start is None else start)
    if not places:
        return best
    stream = np.random.Generator(np.random.PCG64(seed))
    for trial in range(trials):
        wide = trial < (trials + 1) // 2
        factors = 10.0 ** stream.uniform(*((-WIDE, WIDE) if wide else (-NARROW, NARROW)), len(places))
        chosen = stream.random(len(places)) < 0.5
        chosen[stream.integers(len(places))] = True
        base = algorithm if wide else best.algorithm
        candidate = scaled(base, {place: float(f) for place, f, on in zip(places, factors, chosen, strict=True) if on})
        fitness = score(candidate)
        if fitness > best.fitness:
            best = Tuned(candidate, fitness)
    return best


def tunable(algorithm: Algorithm) -> list[tuple[int, int]]:
    """Return (function, position) of the live lines that have a constant other than 0 to tune."""
    return [
        (function, position)
        for function, (lines, mask) in enumerate(zip(algorithm.functions, live_mask(algorithm), strict=True))
        for position, (one, live) in enumerate(zip(lines, mask, strict=True))
        if live and any(one.constants[index] for index in _scalable(one))
    ]


def scaled(algorithm: Algorithm, factors: dict[tuple[int, int], float]) -> Algorithm:
    """Return the program with the constants of some lines multiplied; factors: above 0, by (function, position)."""
    functions = [list(function) for function in algorithm.functions]
    for (function, position), factor in factors.items():
        one = functions[function][position]
        constants = list(one.constants)
        for index in _scalable(one):
            constants[index] = _stored(one, constants[index] * factor)
        functions[function][position] = replace(one, constants=tuple(constants))
    return algorithm.with_functions(functions)


def _scalable(one: Instruction) -> list[int]:
    """Return the positions of an instruction's constants that are values, not indexes."""
    return [index for index, name in enumerate(one.info.constants) if name not in ("i", "j")]


def _stored(one: Instruction, value: float) -> float:
    """Round a constant as it is stored: float64 for a scalar that is set, float32 (and finite) elsewhere."""
    if one.op == Op.SCALAR_CONST_SET:
        return value
    largest = float(np.finfo(np.float32).max)
    return float(np.float32(min(max(value, -largest), largest)))
