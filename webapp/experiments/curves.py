"""Curves of searches as points, few enough for a chart however many are stored, and the same cost however long it ran.

Stored points have levels (models.CurvePoint): a random half has 0, a quarter 1, an eighth 2, … A long stretch is read from
the levels that are rare enough, which have indexes of their own; a narrow one shows every point there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from django.db import connection

from webapp.experiments.models import INDEXED_LEVELS

BINS = 420
"""Points of a whole curve as pages get it."""
ROWS = 2048
"""From so many stored points a stretch is made, up to about twice as many; where there are fewer, from all."""
ROWS_AN_ISLAND = 4
END = 2**62
RECENT_SECONDS = 10.0

_COLUMNS = 'individuals, seconds, best_so_far, median, mean, deviation, "distinct", fec_hits, cache_hits, cut'
DISTINCT, EQUIVALENT, COUNTED = 6, 7, 10
_AVERAGED = (3, 4, 5, DISTINCT)
_SUMMED = (0, 7, 8, 9)
"""Columns that count since an island's start: of several islands they are added up."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a curve, of one island or of all together; a mean over the stored points it stands for.

    individuals, equivalent (hits of the equivalence cache), equal (of the canonical one) and cut (by the hurdle) count since the
    search began. counted: programs that the last three are of, since islands report them now and then. What is not known is None.
    """

    individuals: int
    seconds: float
    best: float | None
    median: float | None
    mean: float | None
    deviation: float | None
    distinct: float | None
    equivalent: int | None
    equal: int | None
    cut: int | None
    counted: int | None

    def as_list(self) -> list:
        return [getattr(self, name) for name in self.__slots__]


def points(ids: Sequence[int], *, after: int = 0, until: int | None = None, bins: int = BINS) -> list[Point]:
    """Return a stretch of the curve of a search's islands, all together, in up to so many points.

    ids: keys of the islands. after, until: programs tried; without until, bins are as wide as they are over the whole curve, so that what is added to
    a curve fits what is there.
    """
    if len(ids) == 1:
        rows = _stretch(ids, after, until)
    else:
        rows = _stretch(ids)
    if until is None:
        rows |= _latest(ids)
    elif len(ids) > 1:
        rows |= _between(_merged(rows), after, until)
    known = _merged(rows)
    chosen = [(row, sums) for row, sums in known if after < sums[0] and (until is None or sums[0] <= until)]
    if not chosen:
        return []
    high = until if until is not None else max(chosen[-1][1][0], after + 1)
    if until is None:
        bins = max(1, -(-bins * (high - after) // high))
    return list(_binned(chosen, after, max(high - after, 1) / bins))


def with_end(found: list[Point], *, individuals: int, seconds: float, best: float | None) -> list[Point]:
    """Return the points and, where the best program came after the last of them, one more for the end that it is known at.

    A search that its best program ends has no point of the population from then on: what is of the population stays as it was.
    """
    if not found or best is None or found[-1].individuals >= individuals or best <= (found[-1].best or 0.0):
        return found
    return [*found, replace(found[-1], individuals=individuals, seconds=max(seconds, found[-1].seconds), best=best)]


def _stretch(ids: Sequence[int], after: int = 0, until: int | None = None) -> dict[tuple, tuple]:
    """Return (island, *columns) of stored points that stand for a stretch of each of these islands' curves."""
    return _rows(ids, [after] * len(ids), [END if until is None else until] * len(ids))


def _between(known: Sequence[tuple[tuple, list]], after: int, until: int) -> dict[tuple, tuple]:
    """Return (island, *columns) of stored points between two points of all islands' common curve, which is known roughly."""
    following: dict[int, int] = {}
    after_it = []
    for row, _sums in reversed(known):
        after_it.append(following.get(row[0], row[1]))
        following[row[0]] = row[1]
    ids = sorted(following)
    low: dict[int, int] = {}
    high: dict[int, int] = {}
    # Between two points that are known an island was somewhere between them: all together had tried sums[0] or more, and no
    # more than `most`.
    most = sum(following.values())
    for (row, sums), nearest in zip(known, reversed(after_it), strict=True):
        most += nearest - row[1]
        if most <= after:
            low[row[0]] = row[1]
        elif sums[0] > until:
            high.setdefault(row[0], row[1])
    return _rows(ids, [low.get(one, 0) for one in ids], [high.get(one, END) for one in ids])


def _rows(ids: Sequence[int], low: Sequence[int], high: Sequence[int]) -> dict[tuple, tuple]:
    """Return (island, *columns) of points after low up to high of each island, by island and number: all, or if there are
    many those from a level on that leaves about ROWS to 2 ROWS."""
    source = """
        FROM unnest(%(ids)s::bigint[], %(low)s::bigint[], %(high)s::bigint[]) AS part(island, low, high)
        JOIN experiments_curvepoint ON island_id = part.island AND individuals > part.low AND individuals <= part.high
        WHERE level >= """
    values = {"ids": list(ids), "low": list(low), "high": list(high)}
    wanted = max(ROWS, ROWS_AN_ISLAND * len(ids))
    with connection.cursor() as cursor:
        # Few, mostly. Else counted from rare to common, so that it costs little more than reading what is chosen.
        lowest, *_others = INDEXED_LEVELS
        few = (4 * wanted >> lowest) + 1
        cursor.execute(f"SELECT count(*) FROM (SELECT {source} {lowest} LIMIT {few}) AS few", values)  # noqa: S608 (numbers)
        counted = cursor.fetchone()[0]
        level = max(((counted << lowest) // wanted).bit_length() - 1, 0)
        for indexed in reversed(INDEXED_LEVELS) if counted == few else ():
            cursor.execute(f"SELECT count(*) {source} {indexed}", values)
            level = max(((cursor.fetchone()[0] << indexed) // wanted).bit_length() - 1, 0)
            if level >= indexed:
                break
        # The condition with the index's own number lets the index be used.
        index = max(one for one in (0, *INDEXED_LEVELS) if one <= level)
        cursor.execute(f"SELECT island_id, {_COLUMNS} {source} {index} AND level >= {level}", values)
        return {row[:2]: row for row in cursor.fetchall()}


def _latest(ids: Sequence[int]) -> dict[tuple, tuple]:
    """Return (island, *columns) of each island's newest point."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT newest.* FROM unnest(%(ids)s::bigint[]) AS island CROSS JOIN LATERAL (
            SELECT island_id, {_COLUMNS} FROM experiments_curvepoint WHERE island_id = island
            ORDER BY individuals DESC LIMIT 1) newest""",  # noqa: S608 (names of columns)
            {"ids": list(ids)},
        )
        return {row[:2]: row for row in cursor.fetchall()}


def _merged(rows: dict[tuple, tuple]) -> list[tuple[tuple, list]]:
    """Return the points in the order of their time, each with what holds for all islands together at that moment: sums of
    what counts, the best score so far, means of the medians, means and deviations, the distinct scores of all."""
    known: dict[int, list] = {}
    latest: dict[int, dict[int, float]] = {column: {} for column in _AVERAGED}
    totals = dict.fromkeys(_AVERAGED, 0.0)
    sums: list = [0, *[None] * COUNTED]
    result = []
    for row in sorted(rows.values(), key=lambda row: (row[2], row[0], row[1])):
        before = known.setdefault(row[0], [0] * (COUNTED + 1))
        for column in _SUMMED:
            value = row[1 + column]
            if value is not None:
                sums[column] = (sums[column] or 0) + value - before[column]
                before[column] = value
        if row[1 + EQUIVALENT] is not None:
            sums[COUNTED] = (sums[COUNTED] or 0) + row[1] - before[COUNTED]
            before[COUNTED] = row[1]
        if row[3] is not None:
            sums[2] = row[3] if sums[2] is None else max(sums[2], row[3])
        for column in _AVERAGED:
            value = row[1 + column]
            if value is not None:
                totals[column] += value - latest[column].get(row[0], 0.0)
                latest[column][row[0]] = value
                sums[column] = totals[column] / (1 if column == DISTINCT else len(latest[column]))
        # What this point does not have is not known here, although it was before.
        values = (*row[1:], row[1 + EQUIVALENT])
        result.append(
            (row, [*sums[:3], *(sums[at] if values[at] is not None else None for at in range(3, COUNTED + 1))])
        )
    return result


def _binned(chosen: Sequence[tuple[tuple, list]], after: int, width: float) -> Iterator[Point]:
    bin_now: int = -1
    inside: list[tuple[tuple, list]] = []
    for row, sums in chosen:
        at = int((sums[0] - after - 1) / width)
        if at != bin_now and inside:
            yield _point(inside)
            inside = []
        bin_now = at
        inside.append((row, sums))
    yield _point(inside)


def _point(inside: list[tuple[tuple, list]]) -> Point:
    if len(inside) == 1:  # as nearly all are of a search of minutes
        ((row, sums),) = inside
        return Point(sums[0], row[2], *sums[2:])

    def mean(column: int) -> float | None:
        values = [sums[column] for _row, sums in inside if sums[column] is not None]
        return sum(values) / len(values) if values else None

    def last(column: int):
        return next((sums[column] for _row, sums in reversed(inside) if sums[column] is not None), None)

    return Point(
        last(0), max(row[2] for row, _sums in inside), last(2), mean(3), mean(4), mean(5), mean(DISTINCT), last(EQUIVALENT), last(8), last(9), last(COUNTED)
    )  # fmt: skip


# what else pages say of a curve ---------------------------------------------------------------------------------------------


def latest_distinct(ids: Sequence[int]) -> int | None:
    """Return how many different scores the islands' latest populations have in all; None before there is a point."""
    known = [row[7] for row in _latest(ids).values() if row[7] is not None]
    return sum(known) if known else None


_RATES = """
    SELECT newest.individuals - coalesce(before.individuals, 0), newest.seconds - coalesce(before.seconds, 0)
    FROM unnest(%(ids)s::bigint[]) AS island
    CROSS JOIN LATERAL (SELECT individuals, seconds FROM experiments_curvepoint WHERE island_id = island
                        ORDER BY individuals DESC LIMIT 1) newest
    LEFT JOIN LATERAL (SELECT individuals, seconds FROM experiments_curvepoint WHERE island_id = island
                       AND seconds <= newest.seconds - %(recent)s ORDER BY individuals DESC LIMIT 1) before ON true
"""


def recent_rate(ids: Sequence[int]) -> float | None:
    """Return how many programs a second islands tried of late, added up; None before there is a point."""
    with connection.cursor() as cursor:
        cursor.execute(_RATES, {"ids": list(ids), "recent": RECENT_SECONDS})
        rates = [births / seconds for births, seconds in cursor.fetchall() if seconds > 0]
    return sum(rates) if rates else None
