"""Score an algorithm once more, on tasks of another seed or another data set, beside the hand-designed models.

The result is {"version": 1, "tasks": the tasks' specification, "scores": {"found": [score of each task], "linear": …,
"net": …}}; None stands for a score that is not a finite number.
"""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from engine.algorithm import Algorithm as Program
from engine.spec import SearchSpec, TaskSpec
from webapp.experiments.models import Evaluation, Find
from webapp.experiments.services.baselines import SHOWN
from webapp.experiments.services.datasets import fetch_uploads
from webapp.experiments.services.launch import SEED_LIMIT
from webapp.experiments.services.measure import FOUND, TURN_SECONDS, score_all

logger = logging.getLogger(__name__)

VERSION = 1
PATIENCE = timedelta(minutes=10)
"""After which an evaluation that was begun is begun anew: its worker has died."""

LEAST_EXAMPLES = 10
"""Training examples of a task that is made smaller to fit a data set."""

MOST_WAITING = 100
"""Evaluations that may wait at the same time."""


class RefusedEvaluation(ValueError):
    """The evaluation cannot be asked for now; the message says why."""


def tasks_for(spec: SearchSpec, dataset: str) -> TaskSpec:
    """Return the tasks to score on: the search's most unseen kind, with seeds of their own.

    On another data set all pairs of its classes take part, since the search has seen none of them.
    """
    tasks = replace(spec.final_tasks or spec.select_tasks or spec.search_tasks, seeds=())
    if dataset and dataset != tasks.dataset:
        tasks = replace(tasks, dataset=dataset, pairs="search", held_out_pairs=())
    return tasks


def fitted(tasks: TaskSpec) -> TaskSpec:
    """Return the tasks with as many examples as their data set has for each, in the same proportion, but no more than before.

    Raises DatasetError where the data set cannot be read. Where it has far too few, the tasks' own check says so.
    """
    from engine.datasets import load_dataset

    dataset = load_dataset(tasks.dataset)
    if tasks.kind == "projected" and len(dataset.labels):
        rows = sum(sorted(np.bincount(dataset.labels).tolist())[:2])
    else:
        rows = len(dataset.features)
    wanted = tasks.train_examples + tasks.valid_examples
    if dataset.test_labels is not None or rows >= wanted:
        return tasks
    train = max(round(rows * tasks.train_examples / wanted), LEAST_EXAMPLES)
    return replace(tasks, train_examples=train, valid_examples=max(rows - train, 1))


def ask(*, find: Find, dataset: str = "", seed: int | None = None, owner=None) -> Evaluation:
    """Have a find's algorithm evaluated; the same question twice is one evaluation. Raises RefusedEvaluation."""
    spec = SearchSpec.from_json(find.search.spec)
    values = {
        "dataset": tasks_for(spec, dataset).dataset,
        "seed": secrets.randbelow(2**31) if seed is None else seed,
    }
    if not 0 <= values["seed"] < SEED_LIMIT:
        raise RefusedEvaluation(_("The seed must be a whole number from 0 to %(most)d.") % {"most": SEED_LIMIT - 1})
    with transaction.atomic():
        known = Evaluation.objects.filter(find=find, **values).first()
        if known is None and Evaluation.objects.filter(done_at__isnull=True).count() >= MOST_WAITING:
            raise RefusedEvaluation(_("Too many evaluations are waiting. Try again in a few minutes."))
        evaluation, _created = Evaluation.objects.get_or_create(find=find, **values, defaults={"owner": owner})
    failed = Evaluation.objects.filter(pk=evaluation.pk).exclude(failure_reason="")
    if failed.update(failure_reason="", done_at=None, claimed_at=None, asked_at=timezone.now()):
        evaluation.refresh_from_db()
    return evaluation


def evaluate_all(*, seconds: float = TURN_SECONDS) -> int:
    """Do one waiting evaluation after the other for about so long; returns how many."""
    end = time.monotonic() + seconds
    done = 0
    while evaluate_next() is not None:
        done += 1
        if time.monotonic() > end:
            break
    return done


def evaluate_next() -> int | None:
    """Do one evaluation that waits; returns its id, None where none does."""
    evaluation = _claim()
    if evaluation is None:
        return None
    changes: dict[str, Any]
    try:
        changes = {"data": evaluate(evaluation), "failure_reason": ""}
    except Exception as error:
        logger.warning("evaluation %d failed", evaluation.pk, exc_info=True)
        changes = {"data": None, "failure_reason": str(error) or type(error).__name__}
    Evaluation.objects.filter(pk=evaluation.pk, done_at__isnull=True).update(done_at=timezone.now(), **changes)
    return evaluation.pk


def _claim() -> Evaluation | None:
    """Return a waiting evaluation, claimed by its row: of two workers one gets it."""
    now = timezone.now()
    waiting = Evaluation.objects.filter(
        Q(claimed_at__isnull=True) | Q(claimed_at__lt=now - PATIENCE), done_at__isnull=True
    )
    for pk in waiting.order_by(F("claimed_at").asc(nulls_first=True), "asked_at").values_list("pk", flat=True)[:4]:
        if waiting.filter(pk=pk).update(claimed_at=now):
            return Evaluation.objects.select_related("find__search", "find__algorithm").get(pk=pk)
    return None


def evaluate(evaluation: Evaluation) -> dict[str, Any]:
    """Return the evaluation's result, as in the module's words. Raises TaskError where its tasks cannot be made."""
    from engine.baselines import counterpart
    from engine.task_building import build_tasks

    spec = SearchSpec.from_json(evaluation.find.search.spec)
    tasks_spec = tasks_for(spec, evaluation.dataset)
    if tasks_spec.dataset:
        fetch_uploads([tasks_spec.dataset])
        tasks_spec = fitted(tasks_spec)
    tasks = build_tasks(tasks_spec, seed=evaluation.seed, role="final")
    programs = {FOUND: Program.from_json(evaluation.find.algorithm.program)}
    programs |= {name: counterpart(name, vector_labels=spec.vector_labels).build() for name in SHOWN}
    scores = {
        name: score_all(
            program, tasks, max_abs_error=spec.max_abs_error, seed=evaluation.seed, epochs=tasks_spec.epochs
        )
        for name, program in programs.items()
    }
    return {"version": VERSION, "tasks": asdict(tasks_spec), "scores": scores}
