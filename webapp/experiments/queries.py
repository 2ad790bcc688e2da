"""What pages read. Nothing here writes."""

from __future__ import annotations

from typing import NamedTuple

from django.db import connection
from django.db.models import Case, F, Q, QuerySet, When

from engine.spec import SearchSpec
from webapp.experiments import access, lineage
from webapp.experiments.models import Algorithm, Evaluation, Find, Measurement, Search
from webapp.experiments.specs import as_text

MILESTONES = 200
FINDS_SHOWN = 50
EVALUATIONS_SHOWN = 20


def chance(spec: SearchSpec) -> float:
    """Return where the score axis begins: at what guessing scores where the task is a two-class one, else at 0."""
    return 0.5 if spec.search_tasks.kind == "projected" else 0.0


NOT_LISTED = (
    "spec", "baselines", "study_values", "best__select_scores", "best__final_scores", "best__diff", "best__algorithm__program",
)  # fmt: skip
"""What no list of searches shows; reading it would take longer than all the rest of a row."""


def searches_for(user, *, state: str = "") -> QuerySet[Search]:
    """Return the listed searches with their best find, newest first; of one group of states, or the user's own ("mine"), if asked.

    spec_text: the specification as read_text takes it.
    """
    searches = access.listed_searches(user).annotate(spec_text=as_text("spec"))
    searches = searches.select_related("best__algorithm", "owner").defer(*NOT_LISTED)
    groups = {
        "running": Search.ACTIVE,
        "paused": (Search.State.PAUSED,),
        "ended": (Search.State.FINISHED, Search.State.STOPPED),
        "failed": (Search.State.FAILED,),
    }
    if state == "mine" and user.is_authenticated:
        searches = searches.filter(owner=user)
    elif state in groups:
        searches = searches.filter(state__in=groups[state])
    return searches.order_by("-created_at", "-id")


def discoveries_for(user) -> QuerySet[Search]:
    """Return listed searches that found something, newest first."""
    return (
        access.listed_searches(user)
        .filter(best__isnull=False)
        .select_related("best__algorithm", "result__algorithm")
        .defer(*(f"{find}__{name}" for find in ("best", "result") for name in ("diff", "select_scores")))
        .order_by("-created_at", "-id")
    )


_BEST_SCORES = """
    SELECT {key}, individuals, score FROM (
        SELECT {key}, individuals, score, birth,
               row_number() OVER line AS place, count(*) OVER (PARTITION BY {key}) AS total
        FROM experiments_find WHERE search_id = ANY(%(searches)s) AND score IS NOT NULL
        WINDOW line AS (PARTITION BY {key} ORDER BY individuals, birth)
    ) finds
    WHERE place = total OR place * %(bins)s / total <> (place - 1) * %(bins)s / total
    ORDER BY {key}, individuals, birth
"""
SPARK_BINS = 24


def best_scores(search_ids: list[int]) -> dict[int, list[tuple[int, float]]]:
    """Return (individuals, best score) along each search's finds, thinned, for all searches in one query."""
    return {search_id: [] for search_id in search_ids} | _thinned("search_id", search_ids)


def island_lines(search: Search) -> dict[int, list[tuple[int, float]]]:
    """Return (individuals, best score so far) of each island by its key, thinned, for all islands in one query."""
    return _thinned("island_id", [search.pk])


def _thinned(key: str, search_ids: list[int]) -> dict[int, list[tuple[int, float]]]:
    result: dict[int, list[tuple[int, float]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_BEST_SCORES.format(key=key), {"searches": search_ids, "bins": SPARK_BINS})
        for one, individuals, score in cursor.fetchall():
            line = result.setdefault(one, [])
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


def improvements(search: Search, *, limit: int | None = None) -> QuerySet[Find]:
    """Return the finds that raised the best score, newest first."""
    better = Q(previous_score__isnull=True) | Q(score__gt=F("previous_score") + lineage.NEUTRAL)
    finds = search.finds.filter(better).select_related("algorithm").order_by("-individuals", "-birth")
    return finds[:limit] if limit else finds


class Rise(NamedTuple):
    """What a chart says of a find that raised the best score. previous: the best before it, None for the first one."""

    individuals: int
    birth: int
    seconds: float
    score: float
    previous: float | None
    permalink: str


def milestones(search: Search, *, island_index: int | None = None, after: int = 0) -> list[Rise]:
    """Return the finds that raised the best score most, in order: as many as a chart can show."""
    finds = improvements(search).filter(individuals__gt=after, score__isnull=False)
    if island_index is not None:
        finds = finds.filter(island__index=island_index)
    # The first one of all has no gain; it is where the curve begins.
    largest = finds.order_by((F("score") - F("previous_score")).desc(nulls_first=True))[:MILESTONES]
    columns = ("individuals", "birth", "seconds", "score", "previous_score", "algorithm__permalink")
    return sorted(Rise(*row) for row in largest.values_list(*columns))


def finds_of(user, algorithm: Algorithm) -> list[Find]:
    """Return where the user may see that the program was found: first where it was tested on unseen tasks, then the best score."""
    finds = list(
        access.readable_finds(user)
        .filter(algorithm=algorithm)
        .select_related("search")
        .defer("diff", "search__study_values")
        .order_by(F("final_score").desc(nulls_last=True), F("score").desc(nulls_last=True), "found_at")[:FINDS_SHOWN]
    )
    for find in finds:
        find.algorithm = algorithm
    return finds


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
    """Return the measurement of these finds that has data, or else any, in the order of finds_of; with its find filled in."""
    by_id = {find.pk: find for find in finds}
    found = (
        Measurement.objects.filter(find__in=by_id)
        .alias(waits=Case(When(data__isnull=True, then=1), default=0))
        .order_by("waits", F("find__final_score").desc(nulls_last=True), F("find__score").desc(nulls_last=True), "find")
        .first()
    )
    if found is not None:
        found.find = by_id[found.find_id]
    return found


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
