"""Celery's side: thin jobs that take ids and call one service. The messages are hints; the database decides."""

from __future__ import annotations

from celery import shared_task
from celery.exceptions import Reject

from webapp.experiments.services import keeper  # noqa: F401 (it starts with the worker)
from webapp.experiments.services.datasets import check_dataset, check_next
from webapp.experiments.services.dispatch import unsent
from webapp.experiments.services.evaluate import evaluate_all
from webapp.experiments.services.gallery import refresh_pending
from webapp.experiments.services.imports import run_import, run_waiting
from webapp.experiments.services.measure import measure_all
from webapp.experiments.services.recanonical import renew_for
from webapp.experiments.services.slices import Outcome, run_next
from webapp.experiments.services.trials import run_trial
from webapp.experiments.services.workers import may_take_work
from webapp.lib import stopping


@shared_task(name="experiments.run_slice_job", ignore_result=True)
def run_slice_job(island_id: int, attempt: int) -> str:
    """Run the next slices of the island whose turn it is: the one that the message names only says that one waits."""
    if stopping.requested():
        # It would be handed back at once; the message is for somebody who stays.
        raise Reject("this worker ends", requeue=True)
    while may_take_work():
        unsent.clear()
        outcome = run_next()
        # While the broker is away nobody is woken: what is at work stays at work.
        if outcome is Outcome.REFUSED or stopping.requested() or not unsent.is_set():
            return str(outcome)
    return "draining"


@shared_task(name="experiments.measure_job", ignore_result=True)
def measure_job() -> int:
    """Do the evaluations that somebody asked for, then measure finds."""
    return evaluate_all() + measure_all()


@shared_task(name="experiments.gallery_job", ignore_result=True)
def gallery_job() -> int:
    """Bring the gallery up to date with what was found since the last look."""
    return refresh_pending()


@shared_task(name="experiments.canonical_job", ignore_result=True)
def canonical_job() -> int:
    """Group stored algorithms by the current rules of the canonical form, for some seconds."""
    return renew_for(5.0)


@shared_task(name="experiments.check_dataset_job", ignore_result=True)
def check_dataset_job(dataset_id: int | None = None) -> int | None:
    """Check an uploaded data set; without a number the one that has waited longest."""
    return check_next() if dataset_id is None else check_dataset(dataset_id=dataset_id)


@shared_task(name="experiments.import_job", ignore_result=True)
def import_job(import_id: int | None = None) -> int:
    """Import a bundle; without a number all that wait."""
    return run_waiting() if import_id is None else int(run_import(import_id=import_id) is not None)


@shared_task(name="experiments.trial_job", ignore_result=True)
def trial_job(trial_id: int) -> bool:
    """Run a specification for some seconds."""
    return run_trial(trial_id=trial_id)
