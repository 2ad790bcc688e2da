"""What a search will need, before it is launched: memory from its specification, speed from earlier searches like it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Sum

from engine.spec import SearchSpec
from webapp.experiments.models import Search

BASE_BYTES = 260_000_000
"""A worker process with the engine loaded and nothing to do."""
MEMO_BYTES = 5 * 8 << 17
FEC_ENTRY_BYTES = 46
LIKE_IT = 20


@dataclass(frozen=True)
class Estimate:
    """memory: bytes of one worker at most. seconds: longest the search can take on a worker for each island, None without
    a limit that tells. rate: programs a second, as `searches` earlier searches with the same specification's name had; None: unknown."""

    memory: int
    seconds: float | None
    rate: float | None
    searches: int


def estimate(spec: SearchSpec) -> Estimate:
    """Return what a search of this specification will need."""
    rate, searches = _rate(spec.name)
    seconds = spec.stop.max_seconds or None
    births = (spec.stop.max_individuals or 0) * (spec.stop.max_experiments or 0)
    if births and rate:
        seconds = min(births / rate, seconds or births / rate)
    return Estimate(memory=memory_bytes(spec), seconds=seconds, rate=rate, searches=searches)


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


def _rate(spec_name: str) -> tuple[float | None, int]:
    latest = Search.objects.filter(spec_name=spec_name, seconds__gt=1).order_by("-id").values("pk")[:LIKE_IT]
    totals = Search.objects.filter(pk__in=latest).aggregate(births=Sum("individuals"), seconds=Sum("seconds"))
    return (totals["births"] / totals["seconds"] if totals["seconds"] else None), len(latest)
