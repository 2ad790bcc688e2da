"""What hand-designed models score on a search's own tasks: what its finds are measured against."""

from __future__ import annotations

import logging

import numpy as np

from engine.spec import SearchSpec
from webapp.experiments.models import Search
from webapp.experiments.services.numbers import finite

logger = logging.getLogger(__name__)

SHOWN = ("linear", "net")


def ensure_baselines(search: Search) -> None:
    """Score the hand-designed models once a search; without them it goes on just the same."""
    if search.baselines:
        return
    try:
        scores = baseline_scores(SearchSpec.from_json(search.spec), search.seed)
    except Exception:
        logger.exception("search %d: baselines failed", search.pk)
        scores = {"failed": {}}
    Search.objects.filter(pk=search.pk).update(baselines=scores)
    search.baselines = scores


def baseline_scores(spec: SearchSpec, seed: int) -> dict[str, dict[str, float | None]]:
    """Return {"linear": {"search": …, "select": …, "final": …}, "net": …}, each the mean over the tasks."""
    from engine.baselines import counterpart
    from engine.evaluator import Evaluator
    from engine.task_building import build_tasks

    result: dict[str, dict[str, float | None]] = {name: {} for name in SHOWN}
    for role in ("search", "select", "final"):
        tasks_spec = getattr(spec, f"{role}_tasks")
        if tasks_spec is None:
            continue
        tasks = build_tasks(tasks_spec, seed=seed, role=role)
        for name in SHOWN:
            baseline = counterpart(name, vector_labels=spec.vector_labels)
            evaluator = Evaluator(
                tasks, baseline.registers, max_abs_error=spec.max_abs_error, seed=seed, epochs=tasks_spec.epochs
            )
            result[name][role] = finite(float(np.mean(evaluator.evaluate(baseline.build()).fitness)))
    return result
