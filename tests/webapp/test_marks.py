"""Stars, tags and notes: who sets them, what is refused, where they show."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from webapp.experiments.models import Note, Star, Tag
from webapp.experiments.services.gallery import refresh_until_done

pytestmark = pytest.mark.django_db


@pytest.fixture
def found(make_search, run):
    search = make_search()
    run(search)
    refresh_until_done()
    return search.best.algorithm


def listed(client, **asked):
    return re.findall(r'data-row-link href="/a/([^"]+)"', client.get("/discoveries/", asked).content.decode())


def test_a_star_is_given_once_and_taken_back(client, found, owner):
    client.force_login(owner)
    for _ in range(2):
        assert client.post(f"/a/{found.permalink}/star", {"on": "1"}).status_code == 302
    assert Star.objects.count() == 1
    text = client.get(f"/a/{found.permalink}").content.decode()
    assert "1 star" in text and "Starred" in text
    assert listed(client, whose="starred") == [found.permalink]
    client.post(f"/a/{found.permalink}/star", {"on": "0"})
    assert not Star.objects.exists() and listed(client, whose="starred") == []


def test_whoever_is_not_signed_in_is_asked_to(client, found):
    for part, values in (("star", {"on": "1"}), ("tags", {"tags": "x"}), ("notes", {"text": "x"})):
        response = client.post(f"/a/{found.permalink}/{part}", values)
        assert response.headers["Location"].startswith("/login/")
    assert not (Star.objects.exists() or Tag.objects.exists() or Note.objects.exists())
    assert "Sign in to star" in client.get(f"/a/{found.permalink}").content.decode()


def test_tags_are_words_that_filter(client, found, owner, stranger):
    client.force_login(owner)
    client.post(f"/a/{found.permalink}/tags", {"tags": " Few  Examples, CIFAR_10 ,few examples, <b>!, 선형"})
    assert list(Tag.objects.values_list("name", flat=True)) == ["b", "cifar-10", "few-examples", "선형"]
    assert listed(client, tag="Few examples") == [found.permalink] and listed(client, tag="other") == []
    client.force_login(stranger)
    client.post(f"/a/{found.permalink}/tags", {"remove": "b"})
    assert Tag.objects.filter(name="b").exists()
    client.force_login(owner)
    client.post(f"/a/{found.permalink}/tags", {"remove": "b"})
    assert not Tag.objects.filter(name="b").exists()


def test_too_many_tags_are_refused_whole(client, found, owner):
    client.force_login(owner)
    response = client.post(f"/a/{found.permalink}/tags", {"tags": ",".join(map(str, range(21)))}, follow=True)
    assert "at most 20 tags" in response.content.decode() and not Tag.objects.exists()
    response = client.post(f"/a/{found.permalink}/tags", {"tags": "—, !"}, follow=True)
    assert "needs a letter" in response.content.decode()


def test_notes_are_shown_safely_and_changed_by_their_author(client, found, owner, stranger):
    client.force_login(owner)
    client.post(f"/a/{found.permalink}/notes", {"text": "**Good**\r\n\r\n<script>alert(1)</script>"})
    note = Note.objects.get()
    text = client.get(f"/a/{found.permalink}").content.decode()
    assert "<strong>Good</strong>" in text and "<script>alert" not in text and "owner" in text
    client.force_login(stranger)
    assert client.post(f"/notes/{note.pk}/", {"text": "mine"}).status_code == 403
    assert client.post(f"/notes/{note.pk}/", {"delete": "1"}).status_code == 403
    client.force_login(owner)
    assert "**Good**" in client.get(f"/notes/{note.pk}/").content.decode()
    assert client.post(f"/notes/{note.pk}/", {"text": "Better"}).headers["Location"].endswith(f"#note-{note.pk}")
    note.refresh_from_db()
    assert note.text == "Better" and note.changed_at is not None
    client.post(f"/notes/{note.pk}/", {"delete": "1"})
    assert not Note.objects.exists()


def test_a_note_that_is_refused_is_not_lost(client, found, owner):
    client.force_login(owner)
    response = client.post(f"/a/{found.permalink}/notes", {"text": "x" * 10_001})
    assert response.status_code == 422
    text = response.content.decode()
    assert "this one has 10001" in text and "x" * 10_001 in text
    assert client.post(f"/a/{found.permalink}/notes", {"text": " \x00 "}).status_code == 422
    assert not Note.objects.exists()


def test_notes_stay_when_their_author_leaves(client, found, owner):
    Note.objects.create(algorithm=found, user=owner, text="Kept")
    owner.delete()
    text = client.get(f"/a/{found.permalink}").content.decode()
    assert "Kept" in text and "Somebody who has left" in text


def test_the_number_of_queries_does_not_grow(client, found, owner, stranger):
    client.force_login(owner)
    client.get(f"/a/{found.permalink}")  # the ancestry is rendered once, and kept
    counts = []
    for round_number in range(2):
        for number in range(3):
            Note.objects.create(algorithm=found, user=(owner, stranger)[number % 2], text=f"{number}")
            Tag.objects.create(algorithm=found, user=owner, name=f"t-{round_number}-{number}")
        with CaptureQueriesContext(connection) as queries:
            client.get(f"/a/{found.permalink}")
        counts.append(len(queries))
    assert counts[0] == counts[1]
