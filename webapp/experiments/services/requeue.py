"""What an administrator does to the queue: try failed searches again, move islands in it, take them from their workers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Max, Min
from django.db.models.functions import Now
from django.utils import timezone

from webapp.experiments.models import Island, Search
from webapp.experiments.services import queue
from webapp.experiments.services.dispatch import send_slice
from webapp.experiments.services.events import note

BATCH = 500


def retry_search(*, search_id: int, by=None) -> int:
    """Queue a failed search's failed islands again, from their last checkpoints; returns how many."""
    with transaction.atomic():
        # In the order in which workers lock: islands, then their search.
        failed = list(Island.objects.select_for_update().filter(search_id=search_id, state=Island.State.FAILED))
        search = Search.objects.select_for_update().get(pk=search_id)
        if not failed or search.state != Search.State.FAILED:
            return 0
        for island in failed:
            island.attempt += 1
            island.failures, island.state, island.updated_at = 0, Island.State.QUEUED, timezone.now()
            island.queued_at = island.sent_at = Now()
            island.save()
            send_slice(island)
        search.state, search.finished_at, search.failure_reason = Search.State.QUEUED, None, ""
        search.save(update_fields=["state", "finished_at", "failure_reason"])
        note(search_id, "tried-again", user=by)
    return len(failed)


def move(*, island_ids: Iterable[int], to_front: bool) -> int:
    """Move waiting islands before, or behind, all that wait with the same priority; returns how many."""
    with transaction.atomic():
        waiting = Island.objects.filter(state=Island.State.QUEUED)
        ends = waiting.aggregate(first=Min("queued_at"), last=Max("queued_at"))
        chosen = list(
            waiting.select_for_update(of=("self",)).filter(pk__in=list(island_ids)).order_by("queued_at", "pk")
        )
        for place, island in enumerate(chosen):
            step = timedelta(milliseconds=1)
            island.queued_at = (
                ends["first"] - (len(chosen) - place) * step if to_front else ends["last"] + (place + 1) * step
            )
            island.save(update_fields=["queued_at"])
    return len(chosen)


def wake() -> int:
    """Send messages for what waits, at once: those of before were taken while nobody might begin. Returns how many."""
    waiting = list(queue.waiting().order_by("queued_at")[:BATCH])
    for island in waiting:
        send_slice(island)
    return len(waiting)


def take_back(*, island_ids: Iterable[int]) -> int:
    """Take islands from the workers that hold them and queue them again: their slices are repeated elsewhere; returns how many."""
    count = 0
    for island_id in island_ids:
        with transaction.atomic():
            island = Island.objects.select_for_update().filter(pk=island_id, state=Island.State.RUNNING).first()
            if island is not None:
                island.attempt = F("attempt") + 1
                island.state, island.lease_owner, island.queued_at, island.sent_at = (
                    Island.State.QUEUED,
                    "",
                    Now(),
                    Now(),
                )
                island.save()
                island.refresh_from_db()
                send_slice(island)
                count += 1
    return count
