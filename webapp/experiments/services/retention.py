"""What may be thrown away when searches have ended, by age. Finds, results, algorithms with a permalink and the ancestry of
every find are kept for ever."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from webapp.experiments.models import Algorithm, Arrival, Checkpoint, Find, Search


@dataclass(frozen=True)
class Policy:
    """Days after a search's end; None: never. curve_points: kept of each island's curve then, evenly."""

    checkpoints_days: int | None = 7
    curve_days: int | None = 90
    curve_points: int = 500
    algorithms_days: int | None = 365


_THIN = """
    WITH numbered AS (
        SELECT point.island_id, point.individuals,
               row_number() OVER (PARTITION BY point.island_id ORDER BY point.individuals) - 1 AS number,
               count(*) OVER (PARTITION BY point.island_id) AS points
        FROM experiments_curvepoint point
        JOIN experiments_island island ON island.id = point.island_id
        JOIN experiments_search search ON search.id = island.search_id
        WHERE search.finished_at < %(before)s
    ), superfluous AS (
        SELECT island_id, individuals FROM numbered
        WHERE points > %(kept)s + 2 AND number < points - 1 AND number > 0
          AND number * %(kept)s / points = (number - 1) * %(kept)s / points
    )
    DELETE FROM experiments_curvepoint point USING superfluous one
    WHERE point.island_id = one.island_id AND point.individuals = one.individuals
"""


def prune(policy: Policy, *, dry_run: bool) -> dict[str, int]:
    """Throw away what the policy says, in one transaction; returns how many rows of each kind. dry_run: only count them."""
    counts = {}
    with transaction.atomic():
        if policy.checkpoints_days is not None:
            ended = Search.objects.filter(finished_at__lt=_before(policy.checkpoints_days))
            counts["checkpoints"] = Checkpoint.objects.filter(island__search__in=ended).delete()[0]
            counts["arrivals"] = Arrival.objects.filter(island__search__in=ended).delete()[0]
        if policy.curve_days is not None:
            with connection.cursor() as cursor:
                cursor.execute(_THIN, {"before": _before(policy.curve_days), "kept": policy.curve_points})
                counts["curve points"] = cursor.rowcount
        if policy.algorithms_days is not None:
            # Nobody found them, as far as is known any more, and nobody was ever given their permalink.
            orphans = Algorithm.objects.filter(
                ~Exists(Find.objects.filter(algorithm=OuterRef("pk"))),
                published_at__isnull=True,
                created_at__lt=_before(policy.algorithms_days),
            )
            counts["algorithms"] = orphans.delete()[1].get("experiments.Algorithm", 0)
        transaction.set_rollback(dry_run)
    return counts


def _before(days: int):
    return timezone.now() - timedelta(days=days)
