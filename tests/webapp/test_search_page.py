"""A search's page, its moving part with and without htmx, and who may see and stop it."""

import pytest
from django.urls import reverse
from django.utils.html import strip_tags

from webapp.experiments.models import Search
from webapp.experiments.services.lease import Lease

pytestmark = pytest.mark.django_db(transaction=True)
HTMX = {"HX-Request": "true"}


def page(search):
    return reverse("experiments:search", args=[search.pk])


def live(search):
    return reverse("experiments:search-live", args=[search.pk])


def test_a_waiting_search_polls(client, make_search):
    text = client.get(page(make_search())).content.decode()
    assert "Waiting for a worker" in text
    assert 'hx-trigger="every 2s, seen"' in text


def test_a_starting_search_says_that_it_compiles(client, make_search):
    search = make_search()
    Search.objects.update(state="starting")
    assert "compiling kernels…" in client.get(page(search)).content.decode()


def test_a_running_search_shows_curve_program_and_feed(client, make_search, run):
    search = make_search()
    run(search, 3)
    text = client.get(page(search)).content.decode()
    assert text.count('<svg class="chart') == 2
    assert 'class="line line-best"' in text
    assert "30 programs tried" in text
    assert search.best.algorithm.permalink in text
    words = strip_tags(text)
    assert "s2 = 1025" in words and "s2 = 1024" in words  # the last improvement as a diff
    assert "NaN" not in words and ">nan<" not in text


def test_the_fragment_alone_for_htmx(client, make_search, run):
    search = make_search()
    run(search)
    response = client.get(live(search), headers=HTMX)
    text = response.content.decode()
    assert response.status_code == 200
    assert "<html" not in text and 'id="search-live"' in text
    assert "HX-Request" in response.headers["Vary"]


def test_the_fragment_as_a_page_leads_to_the_whole(client, make_search):
    search = make_search()
    assert client.get(live(search)).headers["Location"] == page(search)


def test_polling_ends_with_the_search(client, make_search, run, engine):
    engine.births_at_end = 10
    search = make_search()
    run(search)
    response = client.get(live(search), headers=HTMX)
    text = response.content.decode()
    assert response.status_code == 286
    assert "hx-trigger" not in text
    assert "the limit of programs was reached" in text and ".550" in text


def test_a_failed_search_says_why(client, make_search, run, engine, settings):
    settings.ABOVO_MAX_FAILURES = 1
    engine.fail = RuntimeError("<b>kernel</b> broke")
    search = make_search()
    run(search)
    text = client.get(page(search)).content.decode()
    assert "RuntimeError: &lt;b&gt;kernel&lt;/b&gt; broke" in text


def test_the_number_of_queries_does_not_grow(client, make_search, run, django_assert_num_queries):
    search = make_search()
    run(search, 2)
    with django_assert_num_queries(5):
        client.get(page(search))
    run(search, 8)
    with django_assert_num_queries(5):
        client.get(page(search))


def test_the_owner_stops_it(client, make_search, owner):
    search = make_search(owner=owner)
    Lease.claim(island_id=search.islands.get().pk, attempt=1)
    client.force_login(owner)
    assert "Stop</button>" in client.get(page(search)).content.decode()
    response = client.post(reverse("experiments:search-stop", args=[search.pk]))
    assert response.headers["Location"] == page(search)
    search.refresh_from_db()
    assert search.state == "stopping"
    text = client.get(page(search)).content.decode()
    assert "Stopping…" in text


def test_stop_through_htmx_answers_with_the_fragment(client, make_search, owner):
    search = make_search(owner=owner)
    client.force_login(owner)
    text = client.post(reverse("experiments:search-stop", args=[search.pk]), headers=HTMX).content.decode()
    assert 'id="search-live"' in text and "<html" not in text and "Stopped" in text


def test_stopping_twice_is_harmless(client, make_search, owner):
    search = make_search(owner=owner)
    client.force_login(owner)
    for _ in range(2):
        assert client.post(reverse("experiments:search-stop", args=[search.pk])).status_code == 302
    search.refresh_from_db()
    assert search.state == "stopped"


def test_stop_takes_only_posts(client, make_search, owner):
    client.force_login(owner)
    assert client.get(reverse("experiments:search-stop", args=[make_search(owner=owner).pk])).status_code == 405


@pytest.mark.parametrize(
    ("who", "visibility", "seen", "steered"),
    [
        ("anybody", "public", 200, 403),
        ("anybody", "unlisted", 200, 403),
        ("anybody", "private", 404, 404),
        ("stranger", "public", 200, 403),
        ("stranger", "private", 404, 404),
        ("owner", "private", 200, 302),
        ("administrator", "private", 200, 302),
    ],
)
def test_who_may_see_and_stop(client, make_search, request, owner, who, visibility, seen, steered):
    search = make_search(owner=owner, visibility=visibility)
    if who != "anybody":
        client.force_login(request.getfixturevalue(who))
    assert client.get(page(search)).status_code == seen
    assert client.get(live(search), headers=HTMX).status_code == seen
    assert client.post(reverse("experiments:search-stop", args=[search.pk])).status_code == steered


def test_a_search_of_nobodys_is_stopped_by_whoever_may_launch(client, make_search, settings):
    search = make_search()
    settings.ABOVO_OPEN_LAUNCH = False
    assert client.post(reverse("experiments:search-stop", args=[search.pk])).status_code == 403
    settings.ABOVO_OPEN_LAUNCH = True
    assert client.post(reverse("experiments:search-stop", args=[search.pk])).status_code == 302
