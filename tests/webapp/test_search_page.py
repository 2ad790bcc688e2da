"""A search's page, its moving part with and without htmx, and who may see and stop it."""

from dataclasses import replace

import pytest
from django.urls import reverse
from django.utils.html import strip_tags

from engine.presets import preset
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


@pytest.mark.parametrize("staged", [False, True])
def test_populations_that_come_and_go_are_not_drawn_at_first(client, make_search, run, digits, staged):
    search = make_search(spec=replace(digits, stages=preset("digits").stages if staged else ()))
    run(search, 3)
    text = client.get(page(search)).content.decode()
    assert 'class="line line-best"' in text
    assert f'"restarts": {str(staged).lower()}' in text
    assert (
        "Best accuracy against programs tried" if staged else "Best and mean accuracy against programs tried"
    ) in text
    assert ("population mean" in text) is not staged


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
    with django_assert_num_queries(10):
        client.get(page(search))
    run(search, 8)
    with django_assert_num_queries(10):
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


def poll_address(text):
    import re
    from html import unescape

    return unescape(re.search(r'id="search-poll"[^>]* hx-get="([^"]*)"', text)[1])


def test_a_poll_brings_only_what_is_new(client, make_search, run):
    search = make_search()
    run(search, 2)
    address = poll_address(client.get(page(search)).content.decode())
    text = client.get(address + "&chart=drawn", headers=HTMX).content.decode()
    assert 'id="search-figures"' in text and 'id="search-poll"' in text
    assert not any(f'id="search-{part}"' in text for part in ("best", "feed", "log", "chart", "controls", "live"))
    assert "<svg" not in text
    run(search)
    text = client.get(address + "&chart=drawn", headers=HTMX).content.decode()
    assert all(f'id="search-{part}" hx-swap-oob="true"' in text for part in ("best", "feed", "log"))
    assert (
        'id="search-chart"' in client.get(address, headers=HTMX).content.decode()
    )  # a page that draws no chart itself


def test_the_curve_as_points_since_what_the_page_has(client, make_search, run):
    search = make_search()
    run(search, 2)
    address = reverse("experiments:search-curve", args=[search.pk])
    everything = client.get(address).json()
    assert [point[0] for point in everything["points"]] == list(range(1, 21))
    assert everything["points"][4][2] == 0.5 and everything["points"][5][2] == 0.501
    assert (
        everything["points"][9][7:] == [0, 0, 0, 10] and everything["points"][8][7] is None
    )  # at each report's last point
    assert everything["points"][0][4] is None  # its mean is NaN
    assert [find[2] for find in everything["finds"]] == [0.5, 0.501, 0.502, 0.503]
    assert everything["finds"][0][3].startswith("/a/")
    run(search)
    new = client.get(address, {"after": 20}).json()
    assert [point[0] for point in new["points"]] == list(range(21, 31)) and len(new["finds"]) == 2
    Search.objects.filter(pk=search.pk).update(state="finished", finished_at=search.created_at, individuals=33)
    search.finds.filter(pk=Search.objects.get(pk=search.pk).best_id).update(score=0.9)
    assert client.get(address).json()["points"][-1][:3:2] == [33, 0.9]
    assert client.get(address, {"after": 25, "island": 0}).json()["points"][-1][0] == 30
    part = client.get(address, {"after": 4, "until": 8, "island": 0}).json()
    assert [point[0] for point in part["points"]] == [5, 6, 7, 8]
    assert client.get(address, {"after": "x", "until": "-1", "island": "9" * 30}).status_code == 200


def test_islands_together_and_alone(client, make_search, run, engine, digits):
    from webapp.experiments.models import CurvePoint, Island

    search = make_search()
    run(search)
    other = Island.objects.create(search=search, index=1)
    for one in CurvePoint.objects.filter(island__index=0):
        values = {"individuals": one.individuals, "seconds": one.seconds + 0.001, "best_so_far": 0.9, "distinct": 7}
        CurvePoint.objects.create(island=other, **values)
    address = reverse("experiments:search-curve", args=[search.pk])
    search.individuals = 20
    search.save(update_fields=["individuals"])
    merged = client.get(address).json()["points"]
    assert merged[-1][0] == 20 and merged[-1][2] == 0.9
    assert [point[0] for point in merged] == sorted(point[0] for point in merged)
    assert [point[2] for point in client.get(address, {"island": 1}).json()["points"]] == [0.9] * 10
    text = client.get(page(search)).content.decode()
    assert "2 islands" in text and text.count('class="over">') >= 2


def test_every_stored_point_as_csv(client, make_search, run):
    search = make_search()
    run(search, 2)
    response = client.get(reverse("experiments:search-curve-csv", args=[search.pk]))
    lines = b"".join(response.streaming_content).decode().splitlines()
    assert lines[0].startswith("island,individuals,seconds") and len(lines) == 21
    assert lines[1].split(",")[:2] == ["0", "1"] and ",," in lines[1]  # the mean is no number


def test_a_poll_brings_only_the_islands_that_changed(client, make_search, run):
    from datetime import timedelta

    from django.utils import timezone

    from webapp.experiments.models import Island

    search = make_search()
    run(search)
    Island.objects.bulk_create(Island(search=search, index=index) for index in range(1, 30))
    Island.objects.update(updated_at=timezone.now() - timedelta(hours=1))
    Island.objects.filter(index=0).update(updated_at=timezone.now() - timedelta(minutes=1))
    address = poll_address(client.get(page(search)).content.decode())
    assert 'id="island-' not in client.get(address, headers=HTMX).content.decode()
    Island.objects.filter(index=7).update(updated_at=timezone.now())
    text = client.get(address, headers=HTMX).content.decode()
    assert text.count('id="island-') == 2 and '<li id="island-8" hx-swap-oob="true">' in text  # and the one before it
    assert 'id="island-' not in client.get(poll_address(text), headers=HTMX).content.decode()
