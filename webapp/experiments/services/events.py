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
    own = Q(island_index=island.index) | Q(island_index=None)
    last = Event.objects.filter(own, search_id=island.search_id).order_by("-id").first()
    if last is not None and last.kind == "turn" and last.data.get("worker") == worker:
        last.data = {**last.data, "turns": last.data["turns"] + 1, "until": timezone.now().isoformat()}
        last.save(update_fields=["data"])
    else:
        note(island.search_id, "turn", island_index=island.index, worker=worker, turns=1)
