"""Write a search's log. What each kind says to people: webapp.experiments.log."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.utils import timezone

from webapp.experiments.models import Event, Island


def note(search_id: int, kind: str, *, island_index: int | None = None, user=None, **data: Any) -> Event:
    """Add a line to the log, in the transaction of what it tells of. user: who did it, None for the system."""
    user = user if user is not None and user.is_authenticated else None
    return Event.objects.create(search_id=search_id, kind=kind, island_index=island_index, user=user, data=data)


def note_turn(island: Island, worker: str) -> None:
    """Note that a worker has the island. Turns of one worker in a row are one line that counts them."""
    last = _last(island, "turn", "migrated")
    turns = last.filter(kind="turn").first()
    if turns is not None and turns.data.get("worker") == worker:
        _add(turns, "turns", 1)
    else:
        note(island.search_id, "turn", island_index=island.index, worker=worker, turns=1)


def note_migrants(island: Island, count: int) -> None:
    """Note that an island took in algorithms of others. What comes while nothing else happens is one line that counts."""
    if not count:
        return
    last = _last(island, "turn", "migrated").filter(kind="migrated").first()
    if last is not None:
        _add(last, "count", count)
    else:
        note(island.search_id, "migrated", island_index=island.index, count=count)


def _last(island: Island, *kinds: str):
    """Return the island's own latest lines of these kinds, down to the last line of any other kind that concerns it."""
    own = Event.objects.filter(Q(island_index=island.index) | Q(island_index=None), search_id=island.search_id)
    other = own.exclude(kind__in=kinds).order_by("-id").values_list("id", flat=True).first() or 0
    return own.filter(kind__in=kinds, id__gt=other).order_by("-id")


def _add(event: Event, name: str, more: int) -> None:
    event.data = {**event.data, name: event.data.get(name, 0) + more, "until": timezone.now().isoformat()}
    event.save(update_fields=["data"])
