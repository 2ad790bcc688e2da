"""What pages read. Nothing here writes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from django.db import connection
from django.db.models import Case, F, Q, QuerySet, When

from engine.spec import SearchSpec
from webapp.experiments import access, lineage
from webapp.experiments.models import Algorithm, CurvePoint, Evaluation, Find, Measurement, Search

CURVE_BINS = 420
FINDS_SHOWN = 50
EVALUATIONS_SHOWN = 20

_CURVE = """
    WITH points AS (
        SELECT point.*, max(point.individuals) OVER () + 1 AS "end"
        FROM experiments_curvepoint point JOIN experiments_island island ON island.id = point.island_id
        WHERE island.search_id = %(search)s AND island.index = %(index)s
    )
    SELECT DISTINCT ON (individuals * %(bins)s / "end") individuals, seconds, best_so_far, mean, deviation
    FROM points ORDER BY individuals * %(bins)s / "end", individuals DESC
"""


_POINTS = """
    WITH points AS (
        SELECT point.*, point.individuals - lag(point.individuals, 1, 0::bigint) OVER own AS step,
            point.fec_hits - coalesce(max(point.fec_hits) OVER before, 0) AS fec_step,
            point.cache_hits - coalesce(max(point.cache_hits) OVER before, 0) AS cache_step,
            point.cut - coalesce(max(point.cut) OVER before, 0) AS cut_step
        FROM experiments_curvepoint point JOIN experiments_island island ON island.id = point.island_id
        WHERE island.search_id = %(search)s AND (island.index = %(index)s OR %(index)s IS NULL)
        WINDOW own AS (PARTITION BY point.island_id ORDER BY point.individuals),
            before AS (own ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ), counted AS (
        SELECT sum(step) OVER so_far AS total, max(best_so_far) OVER so_far AS best_yet,
            CASE WHEN fec_hits IS NOT NULL THEN sum(fec_step) OVER so_far END AS equivalent,
            CASE WHEN cache_hits IS NOT NULL THEN sum(cache_step) OVER so_far END AS equal,
            CASE WHEN cut IS NOT NULL THEN sum(cut_step) OVER so_far END AS hurdled,
            points.* FROM points
        WINDOW so_far AS (ORDER BY seconds, island_id, individuals ROWS UNBOUNDED PRECEDING)
    ), chosen AS (
        SELECT *, (%(bins)s * (total - %(low)s) / greatest(%(high)s - %(low)s, 1))::integer AS bin
        FROM counted WHERE total > %(low)s AND total <= %(high)s
    )
    SELECT max(total)::bigint, max(seconds), max(best_yet), avg(median), avg(mean), avg(deviation), avg(distinct_scores)::float8,
        max(equivalent)::bigint, max(equal)::bigint, max(hurdled)::bigint
    FROM (SELECT chosen.*, chosen."distinct" AS distinct_scores FROM chosen) AS binned GROUP BY bin ORDER BY bin
"""


@dataclass(frozen=True, slots=True)
class Point:
    """A curve point as charts need it."""

    individuals: int
    seconds: float
    best: float | None
    mean: float | None
    deviation: float | None


def chance(spec: SearchSpec) -> float:
    """Return where the score axis begins: at what guessing scores where the task is a two-class one, else at 0."""
    return 0.5 if spec.search_tasks.kind == "projected" else 0.0


def searches_for(user, *, state: str = "") -> QuerySet[Search]:
    """Return the listed searches with their best find, newest first, of one group of states if asked."""
    searches = access.listed_searches(user).select_related("best__algorithm", "owner")
    groups = {
        "running": Search.ACTIVE,
        "ended": (Search.State.FINISHED, Search.State.STOPPED),
        "failed": (Search.State.FAILED,),
    }
    if state in groups:
        searches = searches.filter(state__in=groups[state])
    return searches.order_by("-created_at", "-id")


def discoveries_for(user) -> QuerySet[Search]:
    """Return listed searches that found something, newest first."""
    return (
        access.listed_searches(user)
        .filter(best__isnull=False)
        .select_related("best__algorithm", "result__algorithm")
        .order_by("-created_at", "-id")
    )


_BEST_SCORES = """
    SELECT search_id, individuals, score FROM (
        SELECT search_id, individuals, score, birth,
               row_number() OVER line AS place, count(*) OVER (PARTITION BY search_id) AS total
        FROM experiments_find WHERE search_id = ANY(%(searches)s) AND score IS NOT NULL
        WINDOW line AS (PARTITION BY search_id ORDER BY individuals, birth)
    ) finds
    WHERE place = total OR place * %(bins)s / total <> (place - 1) * %(bins)s / total
    ORDER BY search_id, individuals, birth
"""
SPARK_BINS = 24


def best_scores(search_ids: list[int]) -> dict[int, list[tuple[int, float | None]]]:
    """Return (individuals, best score) along each search's finds, thinned, for all searches in one query."""
    result: dict[int, list[tuple[int, float | None]]] = {search_id: [] for search_id in search_ids}
    with connection.cursor() as cursor:
        cursor.execute(_BEST_SCORES, {"searches": search_ids, "bins": SPARK_BINS})
        for search_id, individuals, score in cursor.fetchall():
            line = result[search_id]
            if not line or score > line[-1][1]:
                line.append((individuals, score))
    return result


def best_lines(search_ids: list[int], *, by_time: bool) -> dict[int, list[tuple[float, float]]]:
    """Return (programs or seconds, best score so far) of each search where it rose, for all searches in one query.

    by_time: against the seconds of the search. Islands of one search count together.
    """
    x = "seconds" if by_time else "individuals"
    result: dict[int, list[tuple[float, float]]] = {search_id: [] for search_id in search_ids}
    rows = Find.objects.filter(search__in=search_ids, score__isnull=False).order_by("search", x, "birth")
    for search_id, at, score in rows.values_list("search", x, "score"):
        line = result[search_id]
        if not line or score > line[-1][1]:
            line.append((at, score))
    return result


def curve(search: Search, *, island_index: int = 0) -> list[Point]:
    """Return an island's curve, thinned by the database to the last point of each stretch of the axis."""
    with connection.cursor() as cursor:
        cursor.execute(_CURVE, {"search": search.pk, "index": island_index, "bins": CURVE_BINS})
        return [Point(*row) for row in cursor.fetchall()]


def points(
    search: Search, *, island_index: int | None = None, after: int = 0, until: int | None = None, bins: int = CURVE_BINS
) -> list[list]:
    """Return a stretch of an island's curve, or of all islands' together, thinned by the database to so many points.

    Each: [programs tried by all so far, seconds, best so far, median, mean, deviation, distinct scores, hits of the equivalence
    cache, of the canonical cache, programs cut by the hurdle]; means over the points of a bin, None where nothing is
    known. A narrower stretch shows more of what is stored, down to every point.
    """
    high = until if until is not None else 2**62
    if until is None:  # bins as wide as over the whole curve, so that what is added fits what is there
        total = max(search.individuals, 1)
        bins, high = max(1, math.ceil(bins * max(total - after, 1) / total)), max(total, after + 1)
    with connection.cursor() as cursor:
        cursor.execute(_POINTS, {"search": search.pk, "index": island_index, "low": after, "high": high, "bins": bins})
        return [list(row) for row in cursor.fetchall()]


def island_lines(search: Search) -> dict[int, list[tuple[int, float]]]:
    """Return (programs, best score so far) of each island by its number, for all islands in one query."""
    result: dict[int, list[tuple[int, float]]] = {}
    rows = search.finds.filter(score__isnull=False).order_by("island", "individuals", "birth")
    for index, at, score in rows.values_list("island__index", "individuals", "score"):
        line = result.setdefault(index, [])
        if not line or score > line[-1][1]:
            line.append((at, score))
    return result


def latest_distinct(search: Search) -> int | None:
    """Return how many different scores the latest populations have, all islands together; None before there is a point."""
    latest = (
        CurvePoint.objects.filter(island__search=search).order_by("island_id", "-individuals").distinct("island_id")
    )
    known = [value for value in latest.values_list("distinct", flat=True) if value is not None]
    return sum(known) if known else None


def recent_rate(search: Search, points: list[Point], *, over_seconds: float = 10.0) -> float | None:
    """Return individuals a second over the last stretch of engine time; None before there are two points."""
    if len(points) < 2:
        return search.individuals / search.seconds if search.seconds > 0 and search.individuals else None
    last = points[-1]
    first = next((point for point in reversed(points) if last.seconds - point.seconds >= over_seconds), points[0])
    span = last.seconds - first.seconds
    return (last.individuals - first.individuals) / span if span > 0 else None


def improvements(search: Search, *, limit: int | None = None) -> QuerySet[Find]:
    """Return the finds that raised the best score, newest first."""
    better = Q(previous_score__isnull=True) | Q(score__gt=F("previous_score") + lineage.NEUTRAL)
    finds = search.finds.filter(better).select_related("algorithm").order_by("-individuals", "-birth")
    return finds[:limit] if limit else finds


def finds_of(user, algorithm: Algorithm) -> list[Find]:
    """Return where the user may see that the program was found, best score first."""
    return list(
        access.readable_finds(user)
        .filter(algorithm=algorithm)
        .select_related("search", "island")
        .order_by(F("score").desc(nulls_last=True), "found_at")[:FINDS_SHOWN]
    )


def evaluations_of(finds: list[Find]) -> list[Evaluation]:
    """Return the latest evaluations of these finds, the newest first, with finds and searches filled in."""
    by_id = {find.pk: find for find in finds}
    found = list(Evaluation.objects.filter(find__in=by_id).select_related("owner")[:EVALUATIONS_SHOWN]) if finds else []
    for one in found:
        one.find = by_id[one.find_id]
    return found


def related_algorithms(user, finds: list[Find], *, leave_out: list[str], limit: int = 8) -> list[Find]:
    """Return other finds to lay beside these: of the same searches, the best first; without any, the latest results."""
    rows = access.readable_finds(user).select_related("algorithm", "search").exclude(algorithm__permalink__in=leave_out)
    if finds:
        rows = rows.filter(search__in=[find.search_id for find in finds])
    else:
        rows = rows.filter(pk__in=access.listed_searches(user).filter(result__isnull=False).values("result"))
    best = rows.order_by(F("score").desc(nulls_last=True), "-pk") if finds else rows.order_by("-pk")
    return list(best[:limit])


def measurement_of(finds: list[Find]) -> Measurement | None:
    """Return the measurement of these finds that has data, or else any, that of the best score first."""
    return (
        Measurement.objects.filter(find__in=[find.pk for find in finds])
        .select_related("find__search")
        .alias(waits=Case(When(data__isnull=True, then=1), default=0))
        .order_by("waits", F("find__score").desc(nulls_last=True), "find")
        .first()
    )


def same_algorithms(user, algorithm: Algorithm) -> list[Algorithm]:
    """Return other programs that are the same algorithm in canonical form, as far as the user may see them."""
    if algorithm.canonical_digest is None:
        return []
    visible = access.readable_finds(user).values("algorithm")
    return list(
        Algorithm.objects.filter(
            canonical_version=algorithm.canonical_version,
            canonical_digest=bytes(algorithm.canonical_digest),
            pk__in=visible,
        )
        .exclude(pk=algorithm.pk)
        .order_by("created_at")[:20]
    )
