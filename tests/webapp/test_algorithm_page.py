"""The permalink: content-addressed, complete in its ancestry, never dead."""

import json

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import strip_tags

from engine.algorithm import Algorithm as Program
from webapp.experiments import queries
from webapp.experiments.models import Algorithm, Find, Search
from webapp.experiments.permalink import base58, permalink_of
from webapp.experiments.services import record

from .scripted import program

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def found(make_search, run):
    search = make_search()
    run(search, 2)
    return search.best


def test_permalinks_are_made_of_the_content(found):
    digest = Program.from_json(program(15, 1)).digest()
    assert bytes(found.algorithm.digest) == digest
    assert found.algorithm.permalink == base58(digest)[:10]


def test_the_page_shows_program_scores_and_ancestry(client, found):
    text = client.get(f"/a/{found.algorithm.permalink}").content.decode()
    assert "s2 = 1015" in strip_tags(text)
    assert ".503" in text
    assert "Ancestry: 15 steps" in text
    assert 'id="step-0"' in text and 'id="step-15"' in text


def test_a_slash_at_the_end_is_forgiven(client, found):
    response = client.get(f"/a/{found.algorithm.permalink}/")
    assert (response.status_code, response.headers["Location"]) == (301, f"/a/{found.algorithm.permalink}")


@pytest.mark.parametrize("path", ["/a/1111111111", "/a/0OIl000000", "/a/x", "/a/"])
def test_unknown_permalinks_are_404(client, db, path):
    assert client.get(path).status_code == 404


def test_every_step_is_on_the_pages_of_steps(client, found):
    text = client.get(f"/a/{found.algorithm.permalink}/ancestry").content.decode()
    for number in range(16):
        assert f'id="step-{number}"' in text


def test_the_program_as_json_has_the_same_digest(client, found):
    response = client.get(f"/a/{found.algorithm.permalink}/program.json")
    assert f'filename="{found.algorithm.permalink}.json"' in response.headers["Content-Disposition"]
    data = response.json()
    assert Program.from_json(data["program"]).digest().hex() == data["sha256"]


def test_the_ancestry_as_json_is_complete(client, found):
    response = client.get(f"/a/{found.algorithm.permalink}/ancestry.json")
    data = json.loads(b"".join(response.streaming_content), parse_constant=pytest.fail)
    assert [step["birth"] for step in data["steps"]] == list(range(16))


def test_signed_zeros_survive(db):
    negative = Program.from_json({**program(0), "setup": [{"op": "SCALAR_CONST_SET", "out": 2, "constants": [-0.0]}]})
    rows = record.record_algorithms([negative, Program.from_json(program(0))], published=True)
    assert len(rows) == 2
    for row in Algorithm.objects.all():
        assert Program.from_json(row.program).digest() == bytes(row.digest)


def test_a_permalink_that_is_taken_is_lengthened(db):
    one, other = Program.from_json(program(1)), Program.from_json(program(2))
    taken = record.record_algorithms([one], published=True)[one.digest()]
    Algorithm.objects.filter(pk=taken.pk).update(permalink=permalink_of(other.digest()))
    row = record.record_algorithms([other], published=True)[other.digest()]
    assert row.permalink == permalink_of(other.digest(), length=11)


def test_the_same_program_is_stored_once(make_search, run):
    for _ in range(2):
        run(make_search())
    assert Algorithm.objects.count() == 2
    assert Search.objects.count() == 2


def test_finds_of_several_searches_are_listed(client, make_search, run):
    first, second = make_search(title="one"), make_search(title="two")
    run(first)
    run(second)
    text = client.get(f"/a/{first.best.algorithm.permalink}").content.decode()
    assert "Found 2 times" in text and "one" in text and "two" in text


def test_a_permalink_outlives_its_search(client, found):
    Search.objects.all().delete()
    response = client.get(f"/a/{found.algorithm.permalink}")
    assert response.status_code == 200
    assert client.get(f"/a/{found.algorithm.permalink}/program.json").status_code == 200
    assert client.get(f"/a/{found.algorithm.permalink}/ancestry.json").status_code == 404


@pytest.mark.parametrize("suffix", ["", "/ancestry", "/program.json", "/ancestry.json"])
def test_what_a_private_search_found_is_its_owners(client, make_search, run, owner, stranger, suffix):
    search = make_search(owner=owner, visibility="private")
    run(search)
    path = f"/a/{search.best.algorithm.permalink}{suffix}"
    assert client.get(path).status_code == 404
    client.force_login(stranger)
    assert client.get(path).status_code == 404
    client.force_login(owner)
    assert client.get(path).status_code == 200


def test_what_a_public_search_finds_too_becomes_public(client, make_search, run, owner):
    private = make_search(owner=owner, visibility="private")
    run(private)
    run(make_search())
    text = client.get(f"/a/{private.best.algorithm.permalink}").content.decode()
    assert "Found once" in text


def test_the_number_of_queries_does_not_grow(client, make_search, run):
    search = make_search()
    counts = []
    for times in (2, 10):
        run(search, times)
        with CaptureQueriesContext(connection) as queries:
            client.get(f"/a/{search.best.algorithm.permalink}")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 13


def test_the_ancestry_is_rendered_once(client, found, monkeypatch):
    from webapp.experiments.views import ancestry

    def section():
        return client.get(found.algorithm.get_absolute_url()).content.partition(b'<section class="section line-of"')[2]

    first = section()
    assert b"Ancestry: 15 steps" in first
    monkeypatch.setattr(ancestry, "_turns", None)
    assert section().partition(b"</section>")[0] == first.partition(b"</section>")[0]


def test_the_find_that_was_tested_on_unseen_tasks_comes_first(make_search, run):
    searches = [make_search(), make_search()]
    for search in searches:
        run(search)
    row = searches[0].best.algorithm
    assert searches[1].best.algorithm == row
    Find.objects.filter(pk=searches[0].best_id).update(score=0.99, final_score=None)
    Find.objects.filter(pk=searches[1].best_id).update(score=0.8, final_score=0.75)
    assert [find.pk for find in queries.finds_of(AnonymousUser(), row)] == [searches[1].best_id, searches[0].best_id]
