"""The gallery: one row an algorithm, what filters, orders and pages find, and who sees what."""

import re
import threading
import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction
from django.db.models import F
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from webapp.experiments import gallery
from webapp.experiments.models import Algorithm, Discovery, Find, GalleryChange, Search
from webapp.experiments.services.gallery import refresh_all, refresh_until_done

pytestmark = pytest.mark.django_db

URL = "/discoveries/"


def links(response) -> list[str]:
    """The permalinks listed, in order."""
    return re.findall(r'data-row-link href="/a/([^"]+)"', response.content.decode())


@pytest.fixture
def make_discovery(make_search, run):
    """A function that makes a search whose program is its own; returns its best find, in the gallery."""

    def make(*, score=0.6, linear=0.55, seed=None, **values):
        search = make_search(seed=Search.objects.count() + 1 if seed is None else seed, **values)
        run(search)
        Search.objects.filter(pk=search.pk).update(baselines={"linear": {"search": linear}})
        Find.objects.filter(pk=search.best_id).update(score=score)
        # The scripted programs differ in a dead line only; here each counts as an algorithm of its own.
        Algorithm.objects.update(canonical_digest=F("digest"))
        refresh_until_done()
        return Find.objects.select_related("algorithm", "search").get(pk=search.best_id)

    return make


def test_empty_offers_the_search_that_fills_it(client, settings):
    settings.ABOVO_OPEN_LAUNCH = True
    text = client.get(URL).content.decode()
    assert "Nothing discovered yet" in text and reverse("experiments:launch") in text


def test_the_best_against_the_linear_model_stands_first(client, make_discovery):
    near, far, unknown = (
        make_discovery(score=0.9, linear=0.89),
        make_discovery(score=0.7, linear=0.6),
        make_discovery(score=0.95, linear=None),
    )
    response = client.get(URL)
    assert links(response) == [one.algorithm.permalink for one in (far, near, unknown)]
    assert "+10.0 points" in response.content.decode()
    assert links(client.get(URL, {"sort": "score"})) == [one.algorithm.permalink for one in (unknown, near, far)]
    assert links(client.get(URL, {"sort": "-score"})) == [one.algorithm.permalink for one in (far, near, unknown)]


def test_what_was_tested_on_unseen_tasks_stands_before_what_was_not(client, make_discovery):
    lucky, honest, worse = make_discovery(score=0.99, linear=0.5), make_discovery(), make_discovery()
    for find, final in ((honest, 0.7), (worse, 0.5)):
        Search.objects.filter(pk=find.search_id).update(baselines={"linear": {"search": 0.55, "final": 0.6}})
        Find.objects.filter(pk=find.pk).update(final_score=final)
    refresh_until_done()
    response = client.get(URL)
    assert links(response) == [one.algorithm.permalink for one in (honest, worse, lucky)]
    assert response.content.decode().count("score-note") == 1
    # The first page shows the best that was tested.
    home = client.get(reverse("experiments:home")).content.decode()
    assert home.index(honest.algorithm.permalink) < home.index(lucky.algorithm.permalink)


def test_one_row_lists_all_finds_of_an_algorithm(client, make_discovery):
    first = make_discovery(seed=5, score=0.6)
    second = make_discovery(seed=5, score=0.8, title="elsewhere")
    assert first.algorithm == second.algorithm
    response = client.get(URL)
    assert links(response) == [first.algorithm.permalink]
    row = Discovery.objects.get(chosen=True)
    assert (row.finds, row.find, row.score) == (2, second, 0.8)
    assert links(client.get(URL, {"q": "elsewhere"})) == [first.algorithm.permalink]


def test_steps_on_the_way_are_shown_when_asked_for(client, make_discovery):
    make_discovery()
    assert len(links(client.get(URL))) == 1
    assert len(links(client.get(URL, {"all": "1"}))) == 2


FILTERS = [
    ({"q": "digi"}, True), ({"q": "nowhere"}, False), ({"q": "'|&!()"}, False), ({"q": "DIGITS predict"}, True),
    ({"data": "digits"}, True), ({"data": "wine"}, False),
    ({"op": "VECTOR_INNER_PRODUCT"}, True), ({"op": "MATRIX_SUM"}, False),
    ({"op": ["VECTOR_INNER_PRODUCT", "MATRIX_SUM"]}, False),
    ({"motif": "relu"}, False),
    ({"score": "0.6"}, True), ({"score": "0.61"}, False),
    ({"margin": "4.9"}, True), ({"margin": "5.1"}, False),
    ({"size": "1"}, True), ({"size": "0"}, False),
    ({"age": "1"}, True), ({"author": "owner"}, True), ({"author": "stranger"}, False), ({"author": "nobody"}, False),
]  # fmt: skip


def test_filters(client, make_discovery, owner, stranger):
    make_discovery(score=0.6, linear=0.55, owner=owner)
    for asked, fits in FILTERS:
        assert bool(links(client.get(URL, asked))) is fits, asked


def test_old_discoveries_are_not_recent(client, make_discovery):
    find = make_discovery()
    Find.objects.update(found_at=timezone.now() - timedelta(days=8))
    refresh_all()
    assert links(client.get(URL, {"age": "7"})) == []
    assert links(client.get(URL, {"age": "30"})) == [find.algorithm.permalink]


def test_the_address_keeps_only_what_is_asked(client, make_discovery):
    response = client.get(URL, {"q": "", "data": "digits", "age": "", "size": "9", "motif": ["relu", "noisy-relu"]})
    assert (response.status_code, response.headers["Location"]) == (
        302, URL + "?data=digits&motif=relu&motif=noisy-relu&size=9",
    )  # fmt: skip


NONSENSE = [
        {"sort": "x"}, {"motif": "x"}, {"op": "x"}, {"score": "x"}, {"score": "nan"}, {"score": "7"}, {"margin": "inf"},
        {"size": "1e3"}, {"size": "9" * 400}, {"age": "0"}, {"whose": "x"},
]  # fmt: skip


def test_what_is_not_understood_is_named_and_left_out(client, make_discovery):
    make_discovery()
    for asked in NONSENSE:
        response = client.get(URL, asked)
        assert response.status_code == 200 and len(links(response)) == 1, asked
        assert "Not understood" in response.content.decode(), asked


def test_a_place_that_makes_no_sense_is_the_first_page(client, make_discovery):
    make_discovery()
    for place in ("x", "_", "1_x", "nan_1", "inf_1", "1_99999999999999999999", "9" * 400 + "_1", "\x00_1"):
        for sort in ("margin", "found", "size"):
            assert len(links(client.get(URL, {"after": place, "sort": sort}))) == 1, (place, sort)


def test_pages_hold_every_row_once_forwards_and_backwards(make_discovery):
    for number in range(7):
        make_discovery(score=0.6 + number // 2 * 0.01)
    for sort in ("margin", "-margin", "score", "size", "-size", "found", "finds"):
        check_pages(sort)


def check_pages(sort):
    wish = gallery.read_wish({"sort": sort})
    whole = [row.pk for row in gallery.page(AnonymousUser(), wish).rows]
    pages = []
    for _ in range(9):
        page = gallery.page(AnonymousUser(), wish, per_page=3)
        pages.append([row.pk for row in page.rows])
        if not page.next:
            break
        wish = gallery.read_wish(QueryDict(page.next[1:]))
    assert [pk for one in pages for pk in one] == whole and len(pages) == 3
    back = []
    for _ in range(9):
        if not page.previous:
            break
        wish = gallery.read_wish(QueryDict(page.previous[1:]))
        page = gallery.page(AnonymousUser(), wish, per_page=3)
        back.append([row.pk for row in page.rows])
    assert back == pages[:-1][::-1]


def test_private_and_unlisted_searches_show_nothing_to_others(client, make_discovery, owner, stranger, administrator):
    public = make_discovery(owner=owner)
    hidden = [make_discovery(owner=owner, visibility=one).algorithm.permalink for one in ("private", "unlisted")]
    for user in (None, stranger, owner, administrator):
        if user:
            client.force_login(user)
        assert links(client.get(URL)) == [public.algorithm.permalink]
        if user and user != owner:
            assert links(client.get(URL, {"whose": "mine"})) == []
    client.force_login(owner)
    assert set(links(client.get(URL, {"whose": "mine"}))) == {public.algorithm.permalink, *hidden}


def test_mine_asks_who_is_asking(client):
    response = client.get(URL, {"whose": "mine"})
    assert response.status_code == 302 and response.headers["Location"].startswith("/login/?next=/discoveries/")


def test_a_search_that_is_closed_is_gone_at_once(client, make_discovery):
    find = make_discovery()
    Search.objects.filter(pk=find.search_id).update(visibility="private")
    assert links(client.get(URL)) == []
    refresh_until_done()
    assert not Discovery.objects.exists()
    Search.objects.filter(pk=find.search_id).update(visibility="public")
    refresh_until_done()
    assert links(client.get(URL)) == [find.algorithm.permalink]


def test_deleted_searches_leave_the_finds_of_others(client, make_discovery):
    first, second = make_discovery(seed=5, score=0.8), make_discovery(seed=5, score=0.7)
    first.search.delete()
    refresh_until_done()
    assert Discovery.objects.get(chosen=True).find == second
    second.search.delete()
    refresh_until_done()
    assert not Discovery.objects.exists() and not GalleryChange.objects.exists()


def test_what_is_no_longer_the_best_is_no_longer_chosen(client, make_search, run):
    search = make_search()
    run(search)
    refresh_until_done()
    first = Search.objects.get().best.algorithm.permalink
    assert links(client.get(URL)) == [first]
    run(search)
    refresh_until_done()
    assert links(client.get(URL)) == [Search.objects.get().best.algorithm.permalink] != [first]


def test_scores_that_are_not_finite_are_no_discoveries(client, make_discovery):
    find = make_discovery()
    Find.objects.update(score=None)
    refresh_until_done()
    assert links(client.get(URL)) == []
    assert find.search.best_id == find.pk


def test_making_it_anew_changes_nothing(make_discovery):
    make_discovery()
    make_discovery()

    def rows():
        return list(Discovery.objects.order_by("pk").values())

    before = rows()
    assert refresh_all() == 4
    assert rows() == before


@pytest.mark.django_db(transaction=True)
def test_who_is_to_deal_with_all_waits_for_who_is_at_it(make_discovery):
    make_discovery()
    Discovery.objects.all().delete()
    notes = [GalleryChange(algorithm=pk) for pk in Algorithm.objects.values_list("pk", flat=True)]
    GalleryChange.objects.bulk_create(notes)
    dealt_with: list[int] = []

    def deal() -> None:
        try:
            dealt_with.append(refresh_until_done())
        finally:
            connection.close()

    thread = threading.Thread(target=deal)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('abovo gallery'))")
        thread.start()
        for _ in range(1000):
            cursor.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
                "WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
            )
            if cursor.fetchone()[0]:
                break
            time.sleep(0.02)
        else:
            pytest.fail("nobody waits for the lock")
    thread.join()
    assert dealt_with == [len(notes)]
    assert Discovery.objects.exists() and not GalleryChange.objects.exists()


def test_the_number_of_queries_does_not_grow(client, make_discovery, owner):
    client.force_login(owner)
    counts = []
    for _ in range(2):
        for _ in range(3):
            make_discovery(owner=owner)
        counts.append([])
        for asked in ({}, {"all": "1"}, {"q": "digits", "op": "VECTOR_INNER_PRODUCT"}, {"whose": "mine"}):
            with CaptureQueriesContext(connection) as queries:
                client.get(URL, asked)
            counts[-1].append(len(queries))
    assert counts[0] == counts[1] and max(counts[0]) <= 6
