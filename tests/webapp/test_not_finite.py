"""Scores that are not finite numbers: stored as none, shown with their reason, and never in JSON."""

import json
import math
import re

import pytest
from django.utils.html import strip_tags

from engine.records import CurvePoint
from webapp.experiments.models import CurvePoint as Point
from webapp.experiments.models import Find, Measurement, Search
from webapp.experiments.services import record
from webapp.experiments.services.gallery import refresh_until_done
from webapp.experiments.services.numbers import finite

pytestmark = pytest.mark.django_db

EXTREMES = [math.nan, math.inf, -math.inf]
WORDS = re.compile(r"(?<![\w(])[-−+]?(nan|inf|infinity)(?!\w)", re.IGNORECASE)


def test_numbers_that_are_not_finite_are_none():
    assert [finite(value) for value in (*EXTREMES, None, 1e308, -0.0)] == [None] * 4 + [1e308, -0.0]


@pytest.fixture
def stored(make_search, run):
    """A search whose scores could not be worse: none is finite, neither its finds' nor its curve's nor its baselines'."""
    search = make_search()
    run(search, 2)
    island = search.islands.get()
    record.record_points(
        island.pk,
        [CurvePoint(10_000 + n, 1, 1.0, 0, value, value, value, value, value) for n, value in enumerate(EXTREMES)],
    )
    assert Point.objects.filter(individuals__gte=10_000, best__isnull=True, mean__isnull=True).count() == 3
    Find.objects.filter(search=search).update(
        score=None, previous_score=None, select_scores=[None, None], final_scores=[None]
    )
    Search.objects.filter(pk=search.pk).update(
        baselines={"linear": {"search": None, "final": None}, "net": {"search": None}}, result=search.best_id,
        state="finished", finished_at=search.created_at, finish_reason="max_seconds",
    )  # fmt: skip
    none = {"found": [None, None], "linear": [None, None], "net": [None, None]}
    Measurement.objects.create(
        find=search.best, version=99,
        data={"version": 99, "examples": [1, 10], "role": "select", "tasks": {"search": none, "select": none, "final": none},
              "curve": {name: [[None] * 3, [None] * 3] for name in none}},
    )  # fmt: skip
    refresh_until_done()
    search.refresh_from_db()
    return search


def test_no_page_shows_them(client, stored):
    permalink = stored.best.algorithm.permalink
    pages = [
        "/",
        "/discoveries/?all=1",
        "/searches/",
        f"/searches/{stored.pk}/",
        f"/a/{permalink}",
        f"/a/{permalink}/ancestry",
    ]
    for path in pages:
        response = client.get(path)
        assert response.status_code == 200, path
        html = response.content.decode()
        assert WORDS.search(re.sub(r"<(title|desc)[^>]*>", " ", strip_tags(html))) is None, path
        coordinates = " ".join(re.findall(r'\s(?:d|x|y|x1|x2|y1|y2|cx|cy|points)="([^"]*)"', html))
        assert WORDS.search(coordinates) is None, path
    assert "not a finite number" in client.get(f"/a/{permalink}").content.decode()


def test_no_json_holds_them(client, stored):
    permalink = stored.best.algorithm.permalink
    for path in (f"/a/{permalink}/program.json", f"/a/{permalink}/ancestry.json"):
        response = client.get(path)
        body = b"".join(response.streaming_content) if response.streaming else response.content
        json.loads(body, parse_constant=pytest.fail)
