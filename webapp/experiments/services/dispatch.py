"""Send an island's next slice to the workers.

The row says that the island waits; the message only makes somebody look. It may be lost (the watchdog sends another),
late or doubled (only the first claim counts), so that sending is never a reason to fail.
"""

from __future__ import annotations

import logging
import threading
from functools import partial

from django.db import transaction

from webapp.experiments.models import Island

logger = logging.getLogger(__name__)

unsent = threading.Event()
"""Set when a message could not be sent: whoever has just handed an island back then looks by itself who is next."""

SLICES_QUEUE = "slices"
DEFAULT_QUEUE = "default"


def send_slice(island: Island) -> None:
    """Send the message for the island's present attempt when the transaction commits."""
    transaction.on_commit(partial(_send, island.pk, island.attempt), robust=True)


def _send(island_id: int, attempt: int) -> None:
    from webapp.experiments.tasks import run_slice_job  # the tasks call the services

    try:
        run_slice_job.apply_async(args=[island_id, attempt], queue=SLICES_QUEUE, retry=False)
    except Exception as error:  # whatever the transport raises: the row is committed, the watchdog sends again
        unsent.set()
        logger.warning("island %d, attempt %d: message not sent, the watchdog will: %s", island_id, attempt, error)


def send_check(dataset_id: int) -> None:
    """Send for a worker to check an uploaded data set; the scheduler looks for what was not sent."""
    from webapp.experiments.tasks import check_dataset_job

    _send_short(check_dataset_job, dataset_id)


def send_import(import_id: int) -> None:
    """Send for a worker to import a bundle; the scheduler looks for what was not sent."""
    from webapp.experiments.tasks import import_job

    _send_short(import_job, import_id)


def send_trial(trial_id: int) -> None:
    """Send for a worker to make a dry run."""
    from webapp.experiments.tasks import trial_job

    _send_short(trial_job, trial_id)


def _send_short(job, *args) -> None:
    try:
        job.apply_async(args=args, queue=DEFAULT_QUEUE, retry=False)
    except Exception as error:  # as in _send
        logger.warning("%s%r: message not sent: %s", job.name, args, error)
