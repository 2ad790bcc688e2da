"""Find what nobody works on any more and send it back to work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from webapp.experiments.models import Island
from webapp.experiments.services.dispatch import send_slice
from webapp.experiments.services.lease import lease_seconds
from webapp.experiments.services.slices import fail_attempt

logger = logging.getLogger(__name__)

BATCH = 500


def watch() -> dict[str, int]:
    """Take islands from workers that fell silent, and repeat messages that nobody followed. Returns how many of each.

    Safe to run twice at once: each island is changed by a conditional update on its own row.
    """
    return {"lost": take_from_silent_workers(), "repeated": repeat_messages()}


def take_from_silent_workers() -> int:
    """Queue islands again whose heartbeat is too old, or so far ahead that a clock was set back."""
    lease = timedelta(seconds=lease_seconds())
    silent = Q(heartbeat_at__lt=Now() - lease) | Q(heartbeat_at__gt=Now() + lease)
    running = Island.objects.filter(silent, state=Island.State.RUNNING)
    count = 0
    for island_id in running.values_list("pk", flat=True)[:BATCH]:
        with transaction.atomic():
            island = running.select_for_update(skip_locked=True, of=("self",)).filter(pk=island_id).first()
            if island is None:
                continue
            logger.warning("island %d, attempt %d: no heartbeat from %s", island.pk, island.attempt, island.lease_owner)
            fail_attempt(island, reason=f"The worker {island.lease_owner} fell silent.")
            count += 1
    return count


def take_from_dead_processes(worker: str, processes: Callable[[], Collection[int]]) -> int:
    """Queue islands again that processes of this worker held which are no more: no need to wait for their heartbeats.

    processes: returns the ids of the worker's processes.
    """
    count = 0
    running = Island.objects.filter(state=Island.State.RUNNING, lease_owner__startswith=f"{worker}/")
    held = list(running.values_list("pk", "lease_owner"))
    alive = processes() if held else ()  # read after the leases: whoever holds one then is, or was, there
    for island_id, owner in held:
        if int(owner.rpartition("/")[2]) in alive:
            continue
        with transaction.atomic():
            island = (
                running.select_for_update(skip_locked=True, of=("self",))
                .filter(pk=island_id, lease_owner=owner)
                .first()
            )
            if island is None:
                continue
            logger.warning("island %d, attempt %d: the process of %s is gone", island.pk, island.attempt, owner)
            fail_attempt(island, reason=f"The worker process {owner} ended in the middle of a slice.")
            count += 1
    return count


def repeat_messages() -> int:
    """Send again for islands that have waited long, under the same attempt: the first message may still be on its way."""
    patience = timedelta(seconds=getattr(settings, "ABOVO_RESEND_SECONDS", 30.0))
    waiting = Island.objects.filter(
        Q(sent_at__lt=Now() - patience) | Q(sent_at__gt=Now() + patience), state=Island.State.QUEUED
    )
    count = 0
    for island in waiting.order_by("queued_at")[:BATCH]:
        with transaction.atomic():
            if waiting.filter(pk=island.pk, attempt=island.attempt).update(sent_at=Now()):
                send_slice(island)
                count += 1
    return count
