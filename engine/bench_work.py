"""What the benchmark's measurements have in common: the demo's searches, and programs made ready to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from engine.algorithm import Algorithm
from engine.core import evaluation
from engine.evaluator import Evaluator
from engine.island import Island
from engine.presets import preset
from engine.search import Search
from engine.spec import SearchSpec, StopSpec
from engine.task_building import build_tasks

PROGRAMS = 20_000
"""Random programs of one measurement."""


def demo_search(seed: int, train_steps: int) -> Search:
    """Return one experiment of the linear demo over so many training steps, with nothing scored afterwards."""
    return Search.start(replace(_demo(), stop=StopSpec(max_train_steps=train_steps, max_experiments=1)), seed)


def random_island(seed: int) -> Island:
    """Return an island, compiled, whose first generation is PROGRAMS random programs of the demo, each to be evaluated in full."""
    return compiled_island(replace(_demo(), fec=None, population_size=PROGRAMS), seed)


def compiled_island(spec: SearchSpec, seed: int) -> Island:
    """Return an island with the specification's tasks, compiled."""
    island = Island(spec, build_tasks(spec.search_tasks, seed=seed, role="search"), seed=seed)
    island.compile()
    return island


def breed(island: Island, births: int) -> None:
    """Bear so many more individuals."""
    target = island.births + births
    while island.births < target:
        island.breed(target - island.births)
        island.collect_finds(0.0, 0)


def prepared(evaluator: Evaluator, algorithm: Algorithm, *, keep: bool = False) -> Callable[[], int]:
    """Return a function that evaluates an algorithm, decoded here and now; keep: dead instructions too.

    It returns the training steps, and is good until the evaluator is given another program.
    """
    is_random = evaluator.load(algorithm, keep_dead=keep)
    scores = np.zeros(len(evaluator.tasks))
    loaded = evaluator.loaded

    def run() -> int:
        assert loaded == evaluator.loaded, "another program came in between"
        return evaluation.evaluate(evaluator.groups, is_random, scores)

    return run


def _demo() -> SearchSpec:
    return replace(preset("linear-demo"), select_tasks=None, final_tasks=None)
