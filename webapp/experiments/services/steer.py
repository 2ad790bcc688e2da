"""Change the course of a search from outside."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from webapp.experiments.models import Island, Search


def stop_search(*, search_id: int) -> bool:
    """Ask a search to stop; True unless it had ended before. What it found stays.

    Islands that wait stop at once; one that a worker holds stops when the worker has committed its slice.
    """
    with transaction.atomic():
        search = Search.objects.select_for_update().get(pk=search_id)
        if not search.can_stop:
            return search.state == Search.State.STOPPING
        search.state = Search.State.STOPPING
        search.save(update_fields=["state"])
        Island.objects.filter(search=search, state__in=(Island.State.QUEUED, Island.State.PAUSED)).update(
            state=Island.State.STOPPED, updated_at=timezone.now()
        )
        settle_search(search)
    return True


def settle_search(search: Search) -> None:
    """End the search if none of its islands goes on. Call it in a transaction that holds the search's row."""
    states = set(Island.objects.filter(search=search).values_list("state", flat=True))
    if states & {Island.State.QUEUED, Island.State.RUNNING, Island.State.PAUSED}:
        return
    if Island.State.FAILED in states:
        reason = Island.objects.filter(search=search, state=Island.State.FAILED).values_list("last_error", flat=True)
        search.state = Search.State.FAILED
        search.failure_reason = reason[0] or "failed without a reason"
    elif Island.State.STOPPED in states:
        search.state = Search.State.STOPPED
        search.finish_reason = "stopped"
    else:
        search.state = Search.State.FINISHED
    search.finished_at = timezone.now()
    search.save(update_fields=["state", "finish_reason", "failure_reason", "finished_at"])
