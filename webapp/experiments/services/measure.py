"""Measure a find: its score on every task, against examples seen, without each of its lines; when its motifs appeared.

Evaluation is a pure function of program, tasks and seed, so that measuring twice gives the same numbers. The result is

    {"version": 3, "examples": [1, 2, …], "role": "select",
     "curve": {"found": [[low, median, high], …], "linear": …, "net": …},
     "single": [[score of each task], …],
     "tasks": {"search": {"found": [score of each task], "linear": …, "net": …}, "select": …, "final": …},
     "knockouts": {"fitness": …, "tasks": …, "seeds": …, "setup": [[change of the score without the line, its standard error,
                   change with re-tuned constants], …], "predict": …, "learn": …, "motifs": {name: the same, …}},
     "motifs": {name: [step, birth, score] of where it appeared for good, …}}

low and high: quartiles over the tasks. single: the found program's, for each number of examples. Roles whose scores cannot
be had again exactly have no "found".
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db.models import QuerySet
from django.utils import timezone

from engine.algorithm import COMPONENT_FUNCTIONS
from engine.algorithm import Algorithm as Program
from engine.spec import SearchSpec, island_seed
from webapp.experiments.models import Find, Measurement, Search
from webapp.experiments.services.appearances import appearances
from webapp.experiments.services.baselines import SHOWN, ensure_baselines
from webapp.experiments.services.datasets import fetch_uploads
from webapp.experiments.services.launch import datasets_of
from webapp.experiments.services.numbers import finite

if TYPE_CHECKING:
    from engine.evaluator import Evaluator
    from engine.task import Task

logger = logging.getLogger(__name__)

VERSION = 3
POINTS = 10
PATIENCE = timedelta(minutes=10)
"""After which a measurement that was begun is begun anew: its worker has died."""

TURN_SECONDS = 5.0
"""How long one job goes on to the next thing that waits."""

FOUND = "found"

MOST_LINES = 300
"""Lines of the longest program that is knocked out line by line."""


def ask(find: Find) -> Measurement:
    """Have a find measured, the same once for everybody; one that failed is tried again."""
    measurement, _created = Measurement.objects.get_or_create(find=find, defaults={"claimed_at": None})
    failed = Measurement.objects.filter(pk=measurement.pk, data__isnull=True).exclude(failure_reason="")
    if failed.update(failure_reason="", claimed_at=None, asked_at=timezone.now()):
        measurement.refresh_from_db()
    return measurement


def measure_all(*, seconds: float = TURN_SECONDS) -> int:
    """Measure one find after the other for about so long; returns how many."""
    end = time.monotonic() + seconds
    done = 0
    while measure_next() is not None:
        done += 1
        if time.monotonic() > end:
            break
    return done


def measure_next() -> int | None:
    """Measure one find that needs it; returns its id, None where there is nothing to do."""
    find = _claim()
    if find is None:
        return None
    try:
        changes = {"data": measure(find), "version": VERSION, "failure_reason": ""}
    except Exception as error:
        logger.exception("find %d cannot be measured", find.pk)
        # What an earlier version measured stays, and is not tried again.
        changes = {"version": VERSION, "failure_reason": f"{type(error).__name__}: {error}"}
    Measurement.objects.filter(find=find).update(**changes)
    return find.pk


def _claim() -> Find | None:
    """Return a find to measure, claimed by its row: of two workers one gets it.

    First those that somebody asked for, then what searches chose, the latest first, then what a dead worker left, then what
    an earlier version measured.
    """
    rows = Measurement.objects.all()
    if found := _take(rows.filter(claimed_at__isnull=True).order_by("asked_at")):
        return found
    ended = Search.objects.filter(state__in=Search.ENDED, result__isnull=False)
    for find_id in ended.filter(result__measurement__isnull=True).order_by("-id").values_list("result", flat=True)[:4]:
        if Measurement.objects.get_or_create(find_id=find_id)[1]:
            return _find(find_id)
    left = rows.filter(claimed_at__lt=timezone.now() - PATIENCE)
    return _take(left.filter(data__isnull=True, failure_reason="")) or _take(
        left.filter(data__isnull=False, version__lt=VERSION).order_by("-pk")
    )


def _take(waiting: QuerySet[Measurement]) -> Find | None:
    for measurement_id, find_id in waiting.values_list("pk", "find")[:4]:
        if waiting.filter(pk=measurement_id).update(claimed_at=timezone.now()):
            return _find(find_id)
    return None


def _find(find_id: int) -> Find:
    return Find.objects.select_related("algorithm", "search", "island").get(pk=find_id)


def measure(find: Find) -> dict:
    """Return the measurement of a find, as in the module's words."""
    from engine.baselines import counterpart

    spec = SearchSpec.from_json(find.search.spec)
    fetch_uploads(datasets_of(spec).values())
    ensure_baselines(find.search)
    program = Program.from_json(find.algorithm.program)
    known = {name: counterpart(name, vector_labels=spec.vector_labels).build() for name in SHOWN}
    tasks: dict[str, dict[str, list]] = {}
    for role in ("search", "select", "final"):
        if getattr(spec, f"{role}_tasks") is not None:
            own = _evaluator(find, spec, role, registers=spec.registers)
            tasks[role] = {name: _scores(_known_evaluator(find, spec, role, one), one) for name, one in known.items()}
            again = _final_scores(find, spec, program) if role == "final" else _scores(own, program)
            if _is_as_found(find, role, again):
                tasks[role][FOUND] = again
    role = "select" if spec.select_tasks is not None else "search"
    examples = example_counts(getattr(spec, f"{role}_tasks").train_examples)
    single = _by_examples(_evaluator(find, spec, role, registers=spec.registers, epochs=1), program, examples)
    curve = {FOUND: _quartiles(single)}
    for name, one in known.items():
        curve[name] = _quartiles(_by_examples(_known_evaluator(find, spec, role, one, epochs=1), one, examples))
    return {
        "version": VERSION, "examples": examples, "role": role, "curve": curve,
        "single": [[finite(round(value, 6)) for value in row.tolist()] for row in single], "tasks": tasks,
        "knockouts": _knockouts(find, spec, role, program),
        "motifs": appearances(find.island_id, find.birth),
    }  # fmt: skip


def _knockouts(find: Find, spec: SearchSpec, role: str, program: Program) -> dict[str, Any] | None:
    """Return what the score on the tasks of this role does without each line and each motif."""
    from engine.knockout import knock_outs
    from engine.removal import room

    if len(program) > MOST_LINES:
        return None
    tuning = _evaluator(find, spec, "search", registers=room(program)) if role != "search" else None
    measured = knock_outs(program, _evaluator(find, spec, role, registers=room(program)), tuning)
    assert measured is not None, "nobody stops it"

    def row(one) -> list[float | None]:
        known = [one.change.mean, one.change.error, one.retuned.mean if one.retuned else None]
        return [None if value is None else finite(round(value, 6)) for value in known]

    lines = {name: [row(one) for one in measured.lines if one.function == name] for name in COMPONENT_FUNCTIONS}
    motifs = {one.motif: row(one) for one in measured.motifs}
    return {"fitness": measured.fitness, "tasks": measured.tasks, "seeds": measured.seeds, **lines, "motifs": motifs}


def example_counts(most: int) -> list[int]:
    """Return about POINTS numbers of examples up to `most`, evenly spaced on a logarithmic axis."""
    first = max(1, most // 128)
    return sorted({round(first * (most / first) ** (step / (POINTS - 1))) for step in range(POINTS)})


def _evaluator(find: Find, spec: SearchSpec, role: str, *, registers, epochs: int | None = None) -> Evaluator:
    """Return an evaluator on the tasks of this role as the search had them when it made the find."""
    from engine.evaluator import Evaluator
    from engine.search import stable_seed  # the seeds of random ops are the search's own business
    from engine.task_building import build_tasks

    tasks_spec = getattr(spec, f"{role}_tasks")
    seed = island_seed(find.search.seed, find.island.index)
    experiment = find.experiment if spec.fresh_tasks and role != "final" else 0
    tasks = build_tasks(tasks_spec, seed=seed, role=role, experiment=experiment)
    evaluation_seed = (
        stable_seed(seed, "island", find.experiment) if role == "search" else stable_seed(seed, role, experiment)
    )
    return Evaluator(
        tasks, registers, max_abs_error=spec.max_abs_error, seed=evaluation_seed,
        epochs=tasks_spec.epochs if epochs is None else epochs,
    )  # fmt: skip


def _final_scores(find: Find, spec: SearchSpec, program: Program) -> list[float | None]:
    """Return the final score on each task as the search had it: the mean over several evaluations of random ops."""
    from engine.unseen import final_scores

    seed = island_seed(find.search.seed, find.island.index)
    return [finite(score) for score in final_scores(spec, seed, program)]


def _known_evaluator(find: Find, spec: SearchSpec, role: str, program: Program, epochs: int | None = None) -> Evaluator:
    return _evaluator(find, spec, role, registers=program.registers_used(), epochs=epochs)


def score_all(
    program: Program, tasks: Sequence[Task], *, max_abs_error: float, seed: int, epochs: int
) -> list[float | None]:
    """Return a program's score on each task; None where it is not finite."""
    from engine.evaluator import Evaluator

    registers = program.registers_used()
    return _scores(Evaluator(tasks, registers, max_abs_error=max_abs_error, seed=seed, epochs=epochs), program)


def _scores(evaluator: Evaluator, program: Program) -> list[float | None]:
    return [finite(score) for score in evaluator.evaluate(program).fitness]


def _is_as_found(find: Find, role: str, scores: list) -> bool:
    """Whether the scores' mean is the score that the search reported."""
    reported = {"search": find.score, "select": find.select_score, "final": find.final_score}[role]
    return reported is not None and None not in scores and abs(float(np.mean(scores)) - reported) < 1e-9


def _by_examples(evaluator: Evaluator, program: Program, examples: list[int]) -> list[np.ndarray]:
    """Return the scores on all tasks after each number of training examples."""
    return [evaluator.evaluate(program, train_examples=count).fitness.copy() for count in examples]


def _quartiles(rows: list[np.ndarray]) -> list[list[float | None]]:
    return [[finite(value) for value in np.quantile(row, (0.25, 0.5, 0.75))] for row in rows]
