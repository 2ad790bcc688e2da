"""Whose turn it is: decided in the database when a worker is free; messages only wake workers.

Fair among users first: who has fewest slices running comes next, so that one big study does not starve the others. Then
priority, then who has waited longest. Searches that nobody owns count as one user's.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection
from django.db.models import Exists, OuterRef, Q

from engine.checkpoint import READABLE
from webapp.experiments.models import Island, QueuePause

_NEXT = """
    WITH load AS (
        SELECT COALESCE(search.owner_id, 0) AS owner, count(*) AS running
        FROM experiments_island island JOIN experiments_search search ON search.id = island.search_id
        WHERE island.state = 'running' GROUP BY 1
    ), paused AS (
        SELECT COALESCE(owner_id, -1) AS owner FROM experiments_queuepause
    )
    SELECT island.id, island.attempt
    FROM experiments_island island
    JOIN experiments_search search ON search.id = island.search_id
    LEFT JOIN load ON load.owner = COALESCE(search.owner_id, 0)
    WHERE island.state = 'queued'
      AND NOT EXISTS (
        -- Saved by a later version: that is for workers of that version.
        SELECT FROM experiments_checkpoint saved
        WHERE saved.island_id = island.id AND saved.slice_number = island.slice_number
          AND saved.format_version <> ALL (%s)
      )
      AND NOT EXISTS (SELECT FROM paused WHERE paused.owner IN (-1, COALESCE(search.owner_id, 0)))
    ORDER BY COALESCE(load.running, 0), search.priority DESC, island.queued_at, island.id
    LIMIT 1
    FOR UPDATE OF island SKIP LOCKED
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """An island that waits, and the attempt that it waits for."""

    island_id: int
    attempt: int


def next_island() -> Turn | None:
    """Return the island whose turn it is; None if nothing waits that may run. It still has to be claimed."""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, [list(READABLE)])
        row = cursor.fetchone()
    return None if row is None else Turn(*row)


def waiting():
    """Return the queryset of islands that wait and may run."""
    return Island.objects.filter(state=Island.State.QUEUED).exclude(Exists(_pauses()))


def _pauses():
    return QueuePause.objects.filter(Q(owner=None) | Q(owner=OuterRef("search__owner")))


def should_give_way(owner_id: int | None) -> bool:
    """Whether a running search of this owner should hand its island back: others wait, or it has been paused."""
    return is_paused(owner_id) or waiting().exists()


def is_paused(owner_id: int | None) -> bool:
    """Whether the queue is paused, for all or for this owner."""
    whose = Q(owner=None) if owner_id is None else Q(owner=None) | Q(owner=owner_id)
    return QueuePause.objects.filter(whose).exists()
