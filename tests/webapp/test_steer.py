"""Pause, resume, stop, more time, priority, delete: in every state, twice, and against what the worker does meanwhile."""

import pytest
from django.urls import reverse

from engine.spec import SearchSpec, SpecError
from webapp.experiments.models import Algorithm, Event, Individual, Island, Search
from webapp.experiments.services import slices, steer
from webapp.experiments.services.lease import Lease, LeaseLost
from webapp.experiments.services.slices import Outcome, commit_slice, run_slices
from webapp.experiments.services.watchdog import watch

from .scripted import BIRTHS_A_RUN, ScriptedEngine

pytestmark = pytest.mark.django_db(transaction=True)
HTMX = {"HX-Request": "true"}


def state(search):
    search.refresh_from_db()
    return search.state


def kinds(search):
    return list(search.events.order_by("id").values_list("kind", flat=True))


def test_a_waiting_search_pauses_at_once_and_resumes_where_it_was(make_search, run, messages):
    search = make_search()
    run(search)
    assert steer.pause_search(search_id=search.pk).state == "paused"
    island = search.islands.get()
    assert run_slices(island_id=island.pk, attempt=island.attempt) == Outcome.REFUSED
    assert steer.pause_search(search_id=search.pk).state == "paused"  # the second click
    messages.clear()
    assert steer.resume_search(search_id=search.pk).state == "queued"
    assert steer.resume_search(search_id=search.pk).state == "queued"
    assert messages == [(island.pk, island.attempt + 1)]
    run(search)
    assert search.individuals == 2 * BIRTHS_A_RUN
    assert kinds(search) == ["launched", "turn", "pausing", "paused", "resumed", "turn"]


def test_a_running_search_pauses_when_its_slice_is_committed(make_search, engine, digits):
    search = make_search()
    lease = Lease.claim(island_id=search.islands.get().pk, attempt=1)
    assert steer.pause_search(search_id=search.pk).state == "pausing"
    lease.beat()
    assert lease.pause_asked and lease.should_yield()
    report = ScriptedEngine.start(digits, 1).run(seconds=0)
    _island, outcome = commit_slice(lease, report, checkpoint=b"x", slice_number=1, gives_way=False)
    assert outcome == Outcome.PAUSED and state(search) == "paused"
    assert search.individuals == BIRTHS_A_RUN and search.finished_at is None
    assert watch() == {"lost": 0, "repeated": 0}  # nobody wakes it


def test_resuming_before_the_worker_has_paused(make_search, engine, digits):
    search = make_search()
    lease = Lease.claim(island_id=search.islands.get().pk, attempt=1)
    steer.pause_search(search_id=search.pk)
    steer.resume_search(search_id=search.pk)
    report = ScriptedEngine.start(digits, 1).run(seconds=0)
    _island, outcome = commit_slice(lease, report, checkpoint=b"x", slice_number=1, gives_way=False)
    assert outcome == Outcome.GOES_ON and state(search) == "running"


def test_a_worker_that_dies_while_pausing_leaves_a_paused_search(make_search, engine):
    search = make_search()
    Lease.claim(island_id=search.islands.get().pk, attempt=1)
    steer.pause_search(search_id=search.pk)
    Island.objects.update(heartbeat_at="2020-01-01T00:00Z")
    assert watch()["lost"] == 1
    assert run_slices(island_id=search.islands.get().pk, attempt=2) == Outcome.PAUSED
    assert state(search) == "paused" and engine.starts == 0


def test_a_search_that_finishes_while_pausing_is_finished(make_search, engine, digits):
    engine.births_at_end = BIRTHS_A_RUN
    search = make_search()
    lease = Lease.claim(island_id=search.islands.get().pk, attempt=1)
    steer.pause_search(search_id=search.pk)
    report = ScriptedEngine.start(digits, 1).run(seconds=0)
    commit_slice(lease, report, checkpoint=b"x", slice_number=1, gives_way=True)
    assert state(search) == "finished"
    with pytest.raises(steer.SteerError, match="has ended"):
        steer.resume_search(search_id=search.pk)
    assert steer.stop_search(search_id=search.pk).state == "finished"


def test_a_paused_search_stops_at_once(make_search, run):
    search = make_search()
    run(search)
    steer.pause_search(search_id=search.pk)
    assert steer.stop_search(search_id=search.pk).state == "stopped"
    for verb in (steer.pause_search, steer.resume_search):
        with pytest.raises(steer.SteerError, match="ended"):
            verb(search_id=search.pk)


def test_more_time_reaches_the_engine(make_search, run, engine, monkeypatch):
    search = make_search()
    run(search)
    steer.extend_search(search_id=search.pk, more_seconds=30)
    search.refresh_from_db()
    assert SearchSpec.from_json(search.spec).stop.max_seconds == 90
    given = []
    monkeypatch.setattr(engine, "set_stop", lambda self, stop: given.append(stop.max_seconds))
    run(search)
    assert given == [90]
    for bad in (0, -1, float("nan"), float("inf"), 1e12):
        with pytest.raises(SpecError, match="not allowed"):
            steer.extend_search(search_id=search.pk, more_seconds=bad)


def test_more_time_that_comes_as_the_search_ends_counts(make_search, engine, monkeypatch):
    engine.births_at_end = BIRTHS_A_RUN
    search = make_search()
    run_slice = slices._run_slice

    def late(*arguments):
        report = run_slice(*arguments)
        steer.extend_search(search_id=search.pk, more_seconds=30)
        return report

    monkeypatch.setattr(slices, "_run_slice", late)
    island = search.islands.get()
    assert run_slices(island_id=island.pk, attempt=1) == Outcome.HANDED_BACK
    assert state(search) != "finished" and "replayed" in kinds(search)
    monkeypatch.setattr(slices, "_run_slice", run_slice)
    assert run_slices(island_id=island.pk, attempt=2) == Outcome.FINISHED
    with pytest.raises(steer.SteerError):
        steer.extend_search(search_id=search.pk, more_seconds=30)


def test_priority(make_search):
    search = make_search()
    assert steer.set_priority(search_id=search.pk, priority=5).priority == 5
    with pytest.raises(SpecError, match="-10 to 10"):
        steer.set_priority(search_id=search.pk, priority=11)


def test_delete_keeps_algorithms_and_refuses_the_worker(make_search, run, client, digits, engine):
    search = make_search()
    run(search, 2)
    permalink = search.best.algorithm.permalink
    island = search.islands.get()
    lease = Lease.claim(island_id=island.pk, attempt=island.attempt)
    counts = steer.what_goes(search)
    assert counts["finds"] == counts["kept"] == 4 and counts["hidden"] == 0
    steer.delete_search(search_id=search.pk)
    steer.delete_search(search_id=search.pk)
    assert not Search.objects.exists() and not Individual.objects.exists() and not Event.objects.exists()
    assert Algorithm.objects.count() == 4
    assert client.get(f"/a/{permalink}").status_code == 200
    with pytest.raises(LeaseLost):
        commit_slice(lease, engine.start(digits, 1).run(seconds=0), checkpoint=b"x", slice_number=3, gives_way=True)


def test_what_was_never_public_is_counted_apart(make_search, run, owner):
    search = make_search(owner=owner, visibility="private")
    run(search)
    counts = steer.what_goes(search)
    assert (counts["kept"], counts["hidden"]) == (0, 2)


def post(client, search, verb, **values):
    return client.post(reverse(f"experiments:search-{verb}", args=[search.pk]), values)


def test_the_buttons(client, make_search, run, owner):
    search = make_search(owner=owner)
    run(search)
    client.force_login(owner)
    page = client.get(search.get_absolute_url()).content.decode()
    assert all(f'id="search-{name}"' in page for name in ("pause", "stop", "more", "log"))
    assert post(client, search, "pause").status_code == 302 and state(search) == "paused"
    page = client.get(search.get_absolute_url()).content.decode()
    assert "Resume</button>" in page and "Paused after" in page and "Paused" in page
    post(client, search, "extend", minutes="1")
    post(client, search, "priority", priority="3")
    search.refresh_from_db()
    assert search.spec["stop"]["max_seconds"] == 120 and search.priority == 3
    post(client, search, "resume")
    assert state(search) == "queued"
    log = client.get(search.get_absolute_url()).content.decode()
    assert "Asked to pause, by owner" in log and "More time: limit 2 min, by owner" in log


@pytest.mark.parametrize(("verb", "values"), [("extend", {"minutes": "soon"}), ("priority", {"priority": "1e9"})])
def test_bad_numbers_are_explained(client, make_search, owner, verb, values):
    search = make_search(owner=owner)
    client.force_login(owner)
    address = reverse(f"experiments:search-{verb}", args=[search.pk])
    assert "is no number" in client.post(address, values, headers=HTMX).content.decode()
    assert "is no number" in client.post(address, values, follow=True).content.decode()


def test_a_click_that_comes_too_late_is_explained(client, make_search, owner):
    search = make_search(owner=owner)
    steer.stop_search(search_id=search.pk)
    client.force_login(owner)
    address = reverse("experiments:search-pause", args=[search.pk])
    assert "The search has ended (stopped)" in client.post(address, headers=HTMX).content.decode()


def test_delete_asks_first(client, make_search, run, owner, stranger):
    search = make_search(owner=owner)
    run(search)
    address = reverse("experiments:search-delete", args=[search.pk])
    assert client.get(address).status_code == 403
    client.force_login(owner)
    page = client.get(address).content.decode()
    assert "2 improvements" in page and "2 algorithms keep their permalinks" in page
    assert Search.objects.exists()
    assert client.post(address).headers["Location"] == reverse("experiments:searches")
    assert not Search.objects.exists()


def test_the_log_counts_what_repeats(make_search):
    from webapp.experiments import log
    from webapp.experiments.services.events import note, note_migrants, note_turn

    search = make_search()
    island = search.islands.get()
    for worker in ("a", "a", "b"):
        note_turn(island, worker)
        note_migrants(island, 3)
    note_migrants(island, 0)
    note(search.pk, "paused")
    note_turn(island, "b")
    assert [line.words for line in log.lines(search, limit=9)][::-1] == [
        "Launched", "Worker a took it, for 2 turns", "Took in 9 algorithms of other islands", "Worker b took it, for 1 turn",
        "Paused", "Worker b took it, for 1 turn",
    ]  # fmt: skip
