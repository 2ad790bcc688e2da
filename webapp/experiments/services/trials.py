"""Dry runs: a specification for some seconds, to see how fast it goes. Nothing of it is kept but the figures."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from datetime import timedelta
from functools import partial

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from engine.spec import SearchSpec
from webapp.experiments.models import Trial
from webapp.experiments.services.datasets import fetch_uploads
from webapp.experiments.services.dispatch import send_trial
from webapp.experiments.services.launch import datasets_of
from webapp.experiments.services.numbers import finite

logger = logging.getLogger(__name__)

SECONDS = 5.0
PATIENCE = timedelta(minutes=5)
"""After which a dry run that has not ended counts for nothing."""
KEPT = timedelta(days=1)
AN_HOUR, AT_ONCE = 30, 1
"""How many one asker may start in an hour, and have waiting or running at a time."""

_one_at_a_time = threading.Lock()


class TooMany(Exception):
    """The asker has dry runs enough; the message is for people."""


def start_trial(*, spec: SearchSpec, owner, asker: str) -> Trial:
    """Store a dry run and send for a worker. asker: who is counted against the limits. Raises TooMany."""
    now = timezone.now()
    with transaction.atomic():
        Trial.objects.filter(created_at__lt=now - KEPT).delete()
        own = Trial.objects.select_for_update().filter(asker=asker)
        if len(own.filter(result__isnull=True, created_at__gt=now - PATIENCE)) >= AT_ONCE:
            raise TooMany(_("A dry run of yours has not ended yet: wait for it."))
        if len(own.filter(created_at__gt=now - timedelta(hours=1))) >= AN_HOUR:
            raise TooMany(_("You have started %(n)d dry runs in the last hour: wait a little.") % {"n": AN_HOUR})
        trial = Trial.objects.create(owner=owner, asker=asker, key=secrets.token_urlsafe(16), spec=spec.to_json())
        transaction.on_commit(partial(send_trial, trial.pk), robust=True)
    return trial


def run_trial(*, trial_id: int) -> bool:
    """Run a dry run that nobody has begun; False if somebody has. One at a time in a process: it is to measure speed."""
    if not Trial.objects.filter(pk=trial_id, started_at__isnull=True).update(started_at=timezone.now()):
        return False
    trial = Trial.objects.get(pk=trial_id)
    with _one_at_a_time:
        try:
            result = measure(SearchSpec.from_json(trial.spec))
        except Exception as error:
            logger.exception("dry run %d failed", trial_id)
            result = {"error": f"{type(error).__name__}: {error}"}
    Trial.objects.filter(pk=trial_id).update(result=result)
    return True


def measure(spec: SearchSpec, *, seconds: float = SECONDS, seed: int = 0) -> dict:
    """Search for some seconds; returns the figures. compile_seconds: to compile or load the kernels, and to make the tasks."""
    from engine.search import Search as Evolution

    fetch_uploads(datasets_of(spec).values())
    began = time.monotonic()
    evolution = Evolution.start(spec, seed)
    prepared = time.monotonic() - began
    report = evolution.run(seconds=seconds)
    counters = report.counters
    return {
        "seconds": finite(counters.seconds),
        "compile_seconds": finite(prepared),
        "individuals": counters.individuals,
        "rate": finite(counters.individuals / counters.seconds) if counters.seconds else None,
        "train_steps_rate": finite(counters.train_steps / counters.seconds) if counters.seconds else None,
        "answered": max(counters.individuals - counters.evaluations - counters.rejected, 0),
        "best": finite(report.population_best.score) if report.population_best else None,
        "finished": report.finished,
    }
