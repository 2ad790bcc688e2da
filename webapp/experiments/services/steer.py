"""Change the course of a search from outside.

Every verb locks the search's row, so that of two clicks, or of a click and the search's own end, one comes first; the
other finds things as they are then. Asking for what is so already is no error; asking for what cannot be is a SteerError.
"""

from __future__ import annotations

from dataclasses import replace

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from engine.spec import SearchSpec, SpecError
from webapp.experiments.models import Algorithm, Checkpoint, CurvePoint, Find, Individual, Island, Search
from webapp.experiments.quotas import check_budget, check_islands
from webapp.experiments.services.dispatch import send_slice
from webapp.experiments.services.ends import tell_owner
from webapp.experiments.services.events import note
from webapp.people.services.audit import record

PRIORITIES = range(-10, 11)
MOST_SECONDS_MORE = 30 * 86400


class SteerError(Exception):
    """What was asked for cannot be done to the search as it is; the message is for people."""


def pause_search(*, search_id: int, by=None) -> Search:
    """Ask a search to pause. Islands that wait pause at once, one that a worker holds when its slice is committed.

    Raises SteerError if the search has ended or is stopping.
    """
    with transaction.atomic():
        search = _locked(search_id)
        if search.can_resume:
            return search
        if not search.can_pause:
            raise SteerError(_cannot(search, _("paused")))
        search.state = Search.State.PAUSING
        search.save(update_fields=["state"])
        note(search.pk, "pausing", user=by)
        Island.objects.filter(search=search, state=Island.State.QUEUED).update(
            state=Island.State.PAUSED, updated_at=timezone.now()
        )
        settle_search(search)
    return search


def resume_search(*, search_id: int, by=None) -> Search:
    """Let a paused search go on where it was; one that is about to pause goes on without.

    Raises SteerError if the search has ended or is stopping, QuotaError if too many islands would be at work.
    """
    with transaction.atomic():
        search = _locked(search_id)
        if search.can_pause:
            return search
        if not search.can_resume:
            raise SteerError(_cannot(search, _("resumed")))
        check_islands(_account(search, by), more=search.islands.filter(state=Island.State.PAUSED).count())
        runs = Island.objects.filter(search=search, state=Island.State.RUNNING).exists()
        search.state = Search.State.RUNNING if runs and search.individuals else Search.State.QUEUED
        search.save(update_fields=["state"])
        note(search.pk, "resumed", user=by)
        for island in Island.objects.select_for_update().filter(search=search, state=Island.State.PAUSED):
            island.attempt += 1
            island.state, island.queued_at, island.updated_at = Island.State.QUEUED, Now(), timezone.now()
            island.save(update_fields=["attempt", "state", "queued_at", "updated_at"])
            send_slice(island)
    return search


def stop_search(*, search_id: int, by=None) -> Search:
    """Ask a search to stop; what it found stays. Stopping what has ended changes nothing.

    Islands that wait stop at once; one that a worker holds stops when the worker has committed its slice.
    """
    with transaction.atomic():
        search = _locked(search_id)
        if not search.can_stop:
            return search
        search.state = Search.State.STOPPING
        search.save(update_fields=["state"])
        note(search.pk, "stopping", user=by)
        Island.objects.filter(search=search, state__in=(Island.State.QUEUED, Island.State.PAUSED)).update(
            state=Island.State.STOPPED, updated_at=timezone.now()
        )
        settle_search(search)
    return search


def extend_search(*, search_id: int, more_seconds: float, by=None) -> Search:
    """Raise a search's time limit by so many seconds; a worker that holds it sees that at its next slice.

    Raises SteerError if the search has ended, is stopping or has no time limit, SpecError if the number is not allowed
    (in itself, or to the account of who asks).
    """
    if not 0 < more_seconds <= MOST_SECONDS_MORE:
        raise SpecError(
            "more_seconds", _("%(given)s is not allowed, numbers above 0 up to %(most)s are")
            % {"given": f"{more_seconds:g}", "most": MOST_SECONDS_MORE},
        )  # fmt: skip
    with transaction.atomic():
        search = _locked(search_id)
        if not search.can_extend:
            raise SteerError(_cannot(search, _("given more time")))
        spec = SearchSpec.from_json(search.spec)
        if not spec.stop.max_seconds:
            raise SteerError(_("This search has no time limit."))
        stop = replace(spec.stop, max_seconds=spec.stop.max_seconds + more_seconds)
        longer = spec.with_changes(stop=stop)
        check_budget(_account(search, by), longer)
        search.spec = longer.to_json()
        search.save(update_fields=["spec"])
        note(search.pk, "extended", user=by, more_seconds=more_seconds, max_seconds=stop.max_seconds)
    return search


def set_priority(*, search_id: int, priority: int, by=None) -> Search:
    """Set which searches get workers first: higher numbers before lower. Raises SpecError, or SteerError if it has ended."""
    if priority not in PRIORITIES:
        raise SpecError(
            "priority", _("%(given)s is not allowed, whole numbers from %(low)d to %(high)d are")
            % {"given": priority, "low": PRIORITIES[0], "high": PRIORITIES[-1]},
        )  # fmt: skip
    with transaction.atomic():
        search = _locked(search_id)
        if search.state in Search.ENDED:
            raise SteerError(_cannot(search, _("given a priority")))
        if search.priority != priority:
            search.priority = priority
            search.save(update_fields=["priority"])
            note(search.pk, "priority", user=by, priority=priority)
    return search


def what_goes(search: Search) -> dict[str, int]:
    """Return how many rows deletion takes, and how many algorithms stay: "kept" have a public page, "hidden" have none."""
    islands = search.islands.values("pk")
    found = Algorithm.objects.filter(finds__search=search).distinct()
    elsewhere = found.filter(pk__in=Find.objects.exclude(search=search).values("algorithm"))
    kept = found.filter(published_at__isnull=False) | elsewhere
    return {
        "finds": search.finds.count(),
        "ancestry": Individual.objects.filter(island__in=islands).count(),
        "points": CurvePoint.objects.filter(island__in=islands).count(),
        "checkpoints": Checkpoint.objects.filter(island__in=islands).count(),
        "kept": kept.distinct().count(),
        "hidden": found.exclude(pk__in=kept.values("pk")).count(),
    }


def delete_search(*, search_id: int, by=None) -> None:
    """Delete a search with all that belongs to it alone, whatever it is doing. Algorithms that it found stay.

    A worker that holds one of its islands finds its lease gone, and drops the slice. Deleting twice is no error.
    """
    with transaction.atomic():
        # In the order in which workers lock: an island, then its search.
        list(Island.objects.select_for_update().filter(search_id=search_id).order_by("pk"))
        search = Search.objects.select_for_update().filter(pk=search_id).first()
        if search is not None:
            record(by=by, obj=search, what="Deleted", deleted=True)
            search.delete()


def settle_search(search: Search) -> None:
    """Pause or end the search if none of its islands goes on. Call it in a transaction that holds the search's row."""
    states = set(Island.objects.filter(search=search).values_list("state", flat=True))
    if states & {Island.State.QUEUED, Island.State.RUNNING}:
        return
    if Island.State.PAUSED in states:
        if search.state == Search.State.PAUSING:
            search.state = Search.State.PAUSED
            search.save(update_fields=["state"])
            note(search.pk, "paused")
        return
    # Of many islands some may fail without the search: the others' result stands.
    if Island.State.FAILED in states and search.result_id is None:
        reason = Island.objects.filter(search=search, state=Island.State.FAILED).values_list("last_error", flat=True)
        search.state = Search.State.FAILED
        search.failure_reason = reason[0] or "failed without a reason"
    elif Island.State.STOPPED in states and not search.solved:
        search.state = Search.State.STOPPED
        search.finish_reason = "stopped"
    else:
        search.state = Search.State.FINISHED
    search.finished_at = timezone.now()
    search.save(update_fields=["state", "finish_reason", "failure_reason", "finished_at"])
    note(search.pk, str(search.state))
    tell_owner(search)


def _locked(search_id: int) -> Search:
    return Search.objects.select_for_update().get(pk=search_id)


def _account(search: Search, by):
    """Return whose limits count: those of who asks, else of the owner."""
    return by if by is not None and by.is_authenticated else search.owner


def _cannot(search: Search, what: str) -> str:
    if search.state == Search.State.STOPPING:
        return _("The search is stopping: it cannot be %(what)s any more.") % {"what": what}
    return _("The search has ended (%(state)s): it cannot be %(what)s any more.") % {
        "state": search.get_state_display().lower(),
        "what": what,
    }
