"""Curves as points: against a plain merge of everything, and thinned where there is too much for that."""

import random

import pytest
from django.db import connection

from webapp.experiments import curves
from webapp.experiments.models import CurvePoint, Island, Search
from webapp.experiments.services.record import level_of

pytestmark = pytest.mark.django_db
COUNTERS = ("fec_hits", "cache_hits", "cut")


def fill(search: Search, lengths: list[int], *, seed: int = 1) -> list[CurvePoint]:
    """Give a search islands with random points; returns these."""
    draw = random.Random(seed)
    search.islands.all().delete()
    points = []
    for index, length in enumerate(lengths):
        island = Island.objects.create(search=search, index=index)
        births, seconds, best, counts = 0, 0.0, 0.0, dict.fromkeys(COUNTERS, 0)
        for _ in range(length):
            births, seconds = births + draw.randint(1, 50), seconds + draw.random()
            best = max(best, draw.random() ** 4)
            counts = {name: count + draw.randint(0, 9) for name, count in counts.items()}
            points.append(
                CurvePoint(
                    island=island, individuals=births, seconds=seconds, best_so_far=best, mean=draw.random(), distinct=3,
                    level=level_of(births), **(counts if draw.random() < 0.3 else {}),
                )
            )  # fmt: skip
    return CurvePoint.objects.bulk_create(points)


def merged(points: list[CurvePoint]) -> list[tuple]:
    """Merge in the plainest way: at each moment the sums over the islands of what was last known of each."""
    result = []
    for at in sorted(points, key=lambda one: (one.seconds, one.island_id, one.individuals)):
        before = [one for one in points if (one.seconds, one.island_id) <= (at.seconds, at.island_id)]
        newest = {}
        for one in sorted(before, key=lambda one: one.individuals):
            for name in ("individuals", *COUNTERS):
                if getattr(one, name) is not None:
                    newest[one.island_id, name] = getattr(one, name)
            if one.cut is not None:
                newest[one.island_id, "counted"] = one.individuals
        names = ("individuals", *COUNTERS, "counted")
        sums = [sum(value for (_island, key), value in newest.items() if key == name) for name in names]
        here = sums[1:] if at.cut is not None else [None] * 4
        means = {one.island_id: one.mean for one in sorted(before, key=lambda one: one.individuals)}.values()
        mean, best = sum(means) / len(means), max(one.best_so_far for one in before)
        result.append((sums[0], at.seconds, best, pytest.approx(mean), 3 * len(means), *here))
    return result


def all_islands() -> list[int]:
    return list(Island.objects.order_by("index").values_list("pk", flat=True))


def as_tuples(points: list[curves.Point]) -> list[tuple]:
    return [
        (
            one.individuals,
            one.seconds,
            one.best,
            one.mean,
            one.distinct,
            one.equivalent,
            one.equal,
            one.cut,
            one.counted,
        )
        for one in points
    ]


@pytest.mark.parametrize("lengths", [[40], [30, 25, 1], [3, 0, 8]])
def test_points_of_all_islands_are_merged_by_their_time(make_search, lengths):
    expected = merged(fill(make_search(), lengths))
    ids = all_islands()
    assert as_tuples(curves.points(ids, bins=10**6)) == expected
    # A stretch of it, and what comes after what a page has.
    low, high = expected[len(expected) // 4][0], expected[len(expected) // 2][0]
    inside = [one for one in expected if low < one[0] <= high]
    assert as_tuples(curves.points(ids, after=low, until=high, bins=10**6)) == inside
    assert as_tuples(curves.points(ids, after=high, bins=10**6)) == [one for one in expected if one[0] > high]
    assert curves.points(ids, after=expected[-1][0]) == []


def test_a_bin_has_the_mean_and_the_last_of_its_points(make_search):
    search = make_search()
    stored = fill(search, [300])
    ids = all_islands()
    last = stored[-1].individuals
    points = curves.points(ids, bins=10)
    assert len(points) == 10 and points[-1].individuals == last
    for index, point in enumerate(points):
        inside = [one for one in stored if index == int((one.individuals - 1) / (last / 10))]
        assert point.mean == pytest.approx(sum(one.mean for one in inside) / len(inside))
        assert (point.individuals, point.best) == (inside[-1].individuals, inside[-1].best_so_far)


def test_one_island_alone(make_search):
    search = make_search()
    stored = fill(search, [20, 30])
    ids = all_islands()
    alone = curves.points(ids[1:], bins=10**6)
    assert [one.individuals for one in alone] == [one.individuals for one in stored[20:]]
    assert curves.points([]) == []


def test_levels_are_drawn_like_coins():
    levels = [level_of(births) for births in range(1000, 101_000, 10)]
    for level in range(8):
        assert abs(sum(one >= level for one in levels) / len(levels) - 0.5**level) < 0.03
    assert level_of(12_345) == level_of(12_345)


@pytest.mark.parametrize("islands", [1, 7])
def test_many_points_are_thinned_as_they_are_read(make_search, monkeypatch, islands):
    search = make_search()
    search.islands.all().delete()
    ids = [Island.objects.create(search=search, index=index).pk for index in range(islands)]
    each = 60_000 // islands
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO experiments_curvepoint (island_id, individuals, experiment, train_steps, seconds, best_so_far, level)
            SELECT island, n * 100, 0, 0, n, n / 1e6, 0 FROM unnest(%s::bigint[]) AS island, generate_series(1, %s) AS n""",
            [ids, each],
        )
        # As the migration gives levels to what was stored before.
        cursor.execute(
            """UPDATE experiments_curvepoint SET level = log(2, (bits & -bits)::numeric)::smallint
            FROM (SELECT island_id AS i, individuals AS n, hashint8extended(individuals, island_id) & 1073741823 | 1073741824 AS bits
            FROM experiments_curvepoint) AS drawn WHERE island_id = i AND individuals = n"""
        )
    read = []
    real = curves._rows
    monkeypatch.setattr(curves, "_rows", lambda *given: read.append(real(*given)) or read[-1])
    total = each * 100 * islands

    def rows_read():
        count = sum(map(len, read))
        read.clear()
        return count

    whole = curves.points(ids)
    assert rows_read() < 4 * curves.ROWS
    assert 0.95 * curves.BINS < len(whole) <= curves.BINS
    assert whole[-1].individuals == total and whole[-1].best == each / 1e6
    assert all(abs(one.individuals - one.best * 1e8 * islands) < 0.02 * total for one in whole)

    # The newest few, as a page that watches asks for them.
    new = curves.points(ids, after=total - 1000 * islands)
    assert rows_read() < 4 * curves.ROWS and new[-1].individuals == total

    # A narrow stretch has every point.
    low = total // 200 * 100
    high = low + 100 * 1000
    part = curves.points(ids, after=low, until=high, bins=100_000)
    assert rows_read() < 8 * curves.ROWS
    assert [one.individuals for one in part] == list(range(low + 100, high + 1, 100))


def test_the_last_point_of_a_report_has_its_highest_level(make_search, run):
    search = make_search()
    run(search)
    levels = list(CurvePoint.objects.order_by("individuals").values_list("level", flat=True))
    assert levels[-1] == max(levels) and levels[:-1] == [level_of(n) for n in range(1, len(levels))]


def test_the_rate_is_that_of_the_islands_that_run(client, make_search):
    search = make_search()
    search.islands.all().delete()
    Search.objects.update(state="running", individuals=1)
    for index, (state, each) in enumerate([("running", 100), ("running", 300), ("queued", 5000)]):
        lease = {"lease_owner": "w", "heartbeat_at": search.created_at} if state == "running" else {}
        island = Island.objects.create(search=search, index=index, state=state, **lease)
        CurvePoint.objects.bulk_create(CurvePoint(island=island, individuals=each * n, seconds=n) for n in range(1, 31))
    assert curves.recent_rate(all_islands()[:1]) == 100
    assert "1 program tried, 400 a second" in client.get(search.get_absolute_url()).content.decode()


def test_the_end_is_on_the_curve_where_the_best_came_after_the_last_point():
    last = curves.Point(90, 8.0, 0.7, 0.5, 0.4, 0.1, 3.0, None, None, None, None)
    end = curves.with_end([last], individuals=95, seconds=8.5, best=0.9)
    assert end[:-1] == [last]
    assert (end[-1].individuals, end[-1].seconds, end[-1].best, end[-1].mean) == (95, 8.5, 0.9, 0.4)
    assert curves.with_end([last], individuals=95, seconds=8.5, best=0.7) == [last]
    assert curves.with_end([last], individuals=90, seconds=8.5, best=0.9) == [last]
    assert curves.with_end([], individuals=95, seconds=8.5, best=0.9) == []
