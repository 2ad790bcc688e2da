"""What a search will need, before it is launched: memory from its specification, speed from earlier searches like it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from engine.ops import OPS, Op
from engine.spec import FunctionSpec, SearchSpec
from webapp.experiments.models import Search
from webapp.experiments.specs import KEPT, as_text, read_text

BASE_BYTES = 330_000_000
"""A worker process with the engine and its kernels loaded and nothing to do."""
MEMO_BYTES = 5 * 8 << 17
FEC_ENTRY_BYTES = 46
LATEST = 40
"""Searches that are looked at; of them the NEAREST to what is asked, unless some are the same but for their limits."""
NEAREST = 3
BREEDING_SECONDS = 4e-6
"""What a program costs besides running it: to make, to compare with what is known."""
LIMITS = ("stop", "name", "title", "description", "select_tasks", "final_tasks", "select_candidates", "final_seeds")
"""Parts of a specification that do not change how fast it searches."""


@dataclass(frozen=True)
class Estimate:
    """memory: bytes of one worker at most. seconds: longest the search can take on a worker for each island, None without
    a limit that tells. rate: programs a second, None: unknown, from `searches` earlier ones; is_alike: these were the same
    but for their limits, else they differ, and theirs are scaled by the work of an evaluation."""

    memory: int
    seconds: float | None
    rate: float | None
    searches: int
    is_alike: bool


def estimate(spec: SearchSpec) -> Estimate:
    """Return what a search of this specification will need."""
    rate, searches, is_alike = _rate(spec)
    stop = spec.stop
    limits = [stop.max_seconds] if stop.max_seconds else []
    if rate:
        if stop.max_individuals and stop.max_experiments:
            limits.append(stop.max_individuals * stop.max_experiments / rate)
        if stop.max_total_individuals:
            limits.append(stop.max_total_individuals / rate)
    return Estimate(memory_bytes(spec), min(limits, default=None), rate, searches, is_alike)


def work(spec: SearchSpec) -> float:
    """Return how much a program as long as allowed has to do in an evaluation: elements of its registers, over all examples."""
    tasks = spec.search_tasks
    predict, learn = (_step(function, tasks.features) for function in (spec.predict, spec.learn))
    return tasks.count * (tasks.train_examples * tasks.epochs * (predict + learn) + tasks.valid_examples * predict)


def _step(function: FunctionSpec, features: int) -> float:
    """Return the elements that a function's instructions go through for an example, on average of its ops."""
    if not function.ops:
        return 0.0
    sizes = []
    for op in function.ops:
        info = OPS[Op[op]]
        types = (*info.inputs, info.output)
        sizes.append(features**2 if "m" in types else features if "v" in types else 1)
    return function.max_size * sum(sizes) / len(sizes)


def memory_bytes(spec: SearchSpec) -> int:
    """Return about how much memory one island takes at most: individuals with their ancestors, caches, tasks."""
    rows = sum(function.max_size + 1 for function in spec.functions)
    individual = rows * (4 * 2 + 3 * 8) + 60
    pool = (4 * spec.population_size + 64) * individual
    caches = MEMO_BYTES + (spec.fec.size * FEC_ENTRY_BYTES if spec.fec else 0)
    largest = max(
        tasks.count * (tasks.train_examples + tasks.valid_examples) * (tasks.features + 1) * 8
        for tasks in (spec.search_tasks, spec.select_tasks, spec.final_tasks)
        if tasks is not None
    )
    # Tasks are kept as they are made and, for the kernel, once more in its own layout.
    return BASE_BYTES + pool + caches + 2 * largest


def _rate(spec: SearchSpec) -> tuple[float | None, int, bool]:
    """Return programs a second, from how many searches, and whether these were like it."""
    wanted, own_work = _without_limits(spec.to_json()), work(spec)
    alike, others = [], []
    rows = Search.objects.filter(seconds__gt=2, individuals__gt=0).annotate(text=as_text("spec"))
    for text, births, seconds in rows.order_by("-pk").values_list("text", "individuals", "seconds")[:LATEST]:
        other_json = _comparable(text)
        each = seconds * other_json.get("islands", 1) / births
        if other_json == wanted:
            alike.append(each)
        else:
            other = _work(text)
            running = max(each - BREEDING_SECONDS, each / 10) * own_work / other if other else each
            others.append(
                (abs(math.log(own_work / other)) if other and own_work else math.inf, BREEDING_SECONDS + running)
            )
    chosen = alike or [each for _far, each in sorted(others)[:NEAREST]]
    if not chosen:
        return None, 0, False
    # Their geometric mean: errors are factors.
    return math.exp(-sum(map(math.log, chosen)) / len(chosen)), len(chosen), bool(alike)


def _without_limits(data: Mapping) -> dict:
    return {name: value for name, value in data.items() if name not in LIMITS}


@lru_cache(maxsize=KEPT)
def _comparable(text: str) -> dict:
    return _without_limits(json.loads(text))


@lru_cache(maxsize=KEPT)
def _work(text: str) -> float:
    return work(read_text(text))
