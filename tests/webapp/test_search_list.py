"""The list of searches."""

import pytest
from django.urls import reverse
from django.utils import timezone

from webapp.experiments.models import Search

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/searches/"


def titles(response):
    return [row["search"].title for row in response.context["rows"]]


def test_empty(client):
    text = client.get(URL).content.decode()
    assert "No search yet" in text


def test_filter_by_state(client, make_search):
    for title, values in {
        "a": {},
        "b": {"state": "finished", "finished_at": timezone.now()},
        "c": {"state": "failed", "finished_at": timezone.now(), "failure_reason": "x"},
    }.items():
        Search.objects.filter(pk=make_search(title=title).pk).update(**values)
    assert titles(client.get(URL)) == ["c", "b", "a"]
    assert titles(client.get(URL, {"state": "running"})) == ["a"]
    assert titles(client.get(URL, {"state": "ended"})) == ["b"]
    assert titles(client.get(URL, {"state": "failed"})) == ["c"]
    assert titles(client.get(URL, {"state": "'; DROP"})) == ["c", "b", "a"]


def test_only_what_may_be_seen_is_listed(client, make_search, owner, stranger):
    make_search(title="public", owner=owner)
    make_search(title="unlisted", owner=owner, visibility="unlisted")
    make_search(title="private", owner=owner, visibility="private")
    assert titles(client.get(URL)) == ["public"]
    client.force_login(stranger)
    assert titles(client.get(URL)) == ["public"]
    client.force_login(owner)
    assert titles(client.get(URL)) == ["private", "unlisted", "public"]


def test_pages(client, make_search):
    for number in range(31):
        make_search(title=str(number))
    assert len(titles(client.get(URL))) == 30
    assert titles(client.get(URL, {"page": "2"})) == ["0"]
    assert titles(client.get(URL, {"page": "x"}))[0] == "30"


@pytest.mark.parametrize("name", ["experiments:searches", "experiments:home"])
def test_the_number_of_queries_does_not_grow(client, make_search, run, django_assert_max_num_queries, name):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    counts = []
    for _ in range(2):
        for _ in range(3):
            run(make_search(seed=Search.objects.count()))
        with CaptureQueriesContext(
            connection,
        ) as queries:
            client.get(reverse(name))
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 4


def test_titles_are_text(client, make_search):
    make_search(title="<script>alert(1)</script>")
    text = client.get(URL).content.decode()
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text
