"""Two to four algorithms side by side: aligned, in an address that can be shared."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from engine.algorithm import Algorithm as Program
from engine.baselines import BASELINES
from engine.canonical import canonical
from webapp.experiments import comparison
from webapp.experiments.models import Measurement
from webapp.experiments.services import record

from .test_measure import DATA

pytestmark = pytest.mark.django_db(transaction=True)


def stored(*names):
    programs = [BASELINES[name].build() for name in names]
    rows = record.record_algorithms(programs, published=True)
    return [rows[program.digest()] for program in programs]


def page(client, *rows):
    return client.get("/compare", {"a": [row.permalink for row in rows]})


def texts(sections):
    return [
        [["".join(piece.text for piece in cell.pieces) if cell else None for cell in row.cells] for row in section.rows]
        for section in sections
    ]


def test_lines_that_correspond_stand_side_by_side():
    linear, affine = (canonical(BASELINES[name].build()) for name in ("linear", "affine"))
    setup, predict, learn = texts(comparison.align([linear, affine], features_size=4))
    assert setup == [["s2 = 0.01", "s2 = 0.01"]]
    assert predict == [["s1 = dot(v0, v1)", "s1 = dot(v0, v1)"], [None, "s1 = s1 + s3"]]
    assert [left is None for left, _right in learn] == [False, False, True, False, False]
    rows = comparison.align([linear, affine], features_size=4)[2].rows
    assert rows[0].is_common is False and rows[0].cells[1].differs  # the register is another


def test_nothing_is_lost_whatever_is_compared():
    programs = [canonical(one.build()) for one in BASELINES.values()][:4]
    for index, section in enumerate(texts(comparison.align(programs, features_size=4))):
        for column, program in enumerate(programs):
            lines = [row[column] for row in section if row[column] is not None]
            assert lines == [one.text(features_size=4, digits=4) for one in program.functions[index]]
        assert all(any(cell is not None for cell in row) for row in section)


def test_the_address_says_what_is_compared(client):
    rows = stored("linear", "affine", "net")
    text = page(client, *rows).content.decode()
    assert "3 algorithms side by side" in text
    for row in rows:
        assert f"a/{row.permalink}" in text


def test_addresses_are_understood_and_each_stands_once(client):
    (row,) = stored("linear")
    response = client.get(
        "/compare", {"a": [f"http://testserver/a/{row.permalink}", f"a/{row.permalink}", row.permalink]}
    )
    assert response.status_code == 200
    assert len(response.context["entries"]) == 1


@pytest.mark.parametrize("text", ["1111111111", "no such thing", "a/0OIl000000", "/a/", "x" * 500])
def test_what_is_not_there_is_said_and_the_rest_stays(client, text):
    (row,) = stored("linear")
    response = client.get("/compare", {"a": [row.permalink, text]})
    assert response.status_code == 404
    assert len(response.context["entries"]) == 1 and "There is no algorithm" in response.content.decode()


def test_private_algorithms_are_not_there(client, make_search, run, owner, stranger):
    search = make_search(owner=owner, visibility="private")
    run(search)
    address = f"/compare?a={search.best.algorithm.permalink}"
    client.force_login(stranger)
    assert client.get(address).status_code == 404
    client.force_login(owner)
    assert client.get(address).status_code == 200


def test_four_at_most(client):
    rows = stored(*BASELINES)
    response = page(client, *rows)
    assert len(response.context["entries"]) == 4 and "Four at most" in response.content.decode()


def test_nothing_asked_offers_a_start(client, make_search, run, engine):
    engine.births_at_end = 20
    search = make_search()
    run(search, 2)
    text = client.get("/compare").content.decode()
    assert f"/compare?a={search.result.algorithm.permalink}" in text


def test_curves_lie_over_each_other(client, make_search, run):
    search = make_search()
    run(search, 2)
    first, second = search.finds.all()[:2]
    for find in (first, second):
        Measurement.objects.create(find=find, data=DATA)
    text = page(client, first.algorithm, second.algorithm).content.decode()
    assert "line-best" in text and "line-second" in text and text.count("line-baseline") == 4
    query = f"a={first.algorithm.permalink}&a={second.algorithm.permalink}"
    assert client.get(f"/compare.svg?{query}").status_code == 200
    assert client.get(f"/compare.svg?a={search.finds.last().algorithm.permalink}").status_code == 404


def test_the_number_of_queries_does_not_grow_with_the_search(client, make_search, run):
    search = make_search()
    counts = []
    for times in (2, 10):
        run(search, times)
        rows = [search.finds.first().algorithm, search.best.algorithm]
        with CaptureQueriesContext(connection) as queries:
            page(client, *rows)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_empty_programs_can_be_compared(client):
    empty = Program()
    rows = record.record_algorithms([empty], published=True)
    assert page(client, rows[empty.digest()], *stored("linear")).status_code == 200
