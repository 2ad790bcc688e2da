"""The administrator's queue: what it shows, what its actions do, who may, and that it is written down."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from webapp.experiments.models import Checkpoint, Island, QueuePause, Search, Worker
from webapp.experiments.services import queue, slices, workers
from webapp.experiments.services.lease import Lease
from webapp.people.models import Invitation

pytestmark = pytest.mark.django_db(transaction=True)
QUEUE = "admin:experiments_island_changelist"
WORKERS = "admin:experiments_worker_changelist"


@pytest.fixture
def act(client, administrator):
    """A function that does an action to rows as the administrator; returns the page after it."""
    client.force_login(administrator)

    def act(page, action, *objects):
        data = {"action": action, "_selected_action": [one.pk for one in objects]}
        return client.post(reverse(page), data, follow=True).content.decode()

    return act


def test_the_queue_shows_who_has_what(client, administrator, make_search, owner, stranger):
    running, waiting = make_search(title="runs", owner=owner), make_search(title="waits", owner=stranger, priority=4)
    Lease.claim(island_id=running.islands.get().pk, attempt=1)
    client.force_login(administrator)
    page = client.get(reverse(QUEUE)).content.decode()
    assert f"{running.pk}.0: runs" in page and f"{waiting.pk}.0: waits" in page
    assert Island.objects.get(search=running).lease_owner in page
    assert "Messages:" in page
    only = client.get(reverse(QUEUE), {"state__exact": "queued"}).content.decode()
    assert f"{waiting.pk}.0: waits" in only and f"{running.pk}.0: runs" not in only
    only = client.get(reverse(QUEUE), {"owner": stranger.pk}).content.decode()
    assert f"{waiting.pk}.0: waits" in only and f"{running.pk}.0: runs" not in only


def test_what_runs_and_waits_stands_first(client, administrator, make_search):
    for state in ("finished", "stopped", "failed", "paused", "queued"):
        Island.objects.filter(search=make_search(title=state)).update(state=state)
    Lease.claim(island_id=make_search(title="running").islands.get().pk, attempt=1)
    late, early = make_search(title="waits late"), make_search(title="waits early", priority=1)
    client.force_login(administrator)
    response = client.get(reverse(QUEUE))
    shown = [island.search.title for island in response.context["cl"].result_list]
    assert shown == ["running", early.title, "queued", late.title, "paused", "failed", "stopped", "finished"]
    # A click on a column goes before it.
    column = response.context["cl"].list_display.index("priority")
    by_priority = client.get(reverse(QUEUE), {"o": f"-{column}"}).context["cl"].result_list
    assert by_priority[0].search.title == early.title


def test_a_broken_broker_is_said_and_breaks_nothing(client, administrator, make_search, monkeypatch):
    make_search()
    monkeypatch.setattr("webapp.experiments.services.broker.queues", lambda: None)
    client.force_login(administrator)
    assert "does not answer" in client.get(reverse(QUEUE)).content.decode()


def test_stop_and_priority(act, make_search):
    one, other = make_search(), make_search()
    act(QUEUE, "raise_priority", one.islands.get(), other.islands.get())
    act(QUEUE, "raise_priority", one.islands.get())
    act(QUEUE, "lower_priority", other.islands.get())
    assert [search.priority for search in Search.objects.order_by("pk")] == [2, 0]
    act(QUEUE, "stop", one.islands.get())
    one.refresh_from_db()
    assert one.state == "stopped"
    assert "ended" in act(QUEUE, "raise_priority", one.islands.get())
    assert LogEntry.objects.count() == 5


def test_retry_of_a_failed_search(act, make_search, run, engine, settings, messages):
    settings.ABOVO_MAX_FAILURES = 1
    search = make_search()
    run(search)
    engine.fail = RuntimeError("broke")
    run(search)
    assert search.state == "failed"
    engine.fail = None
    act(QUEUE, "retry", search.islands.get())
    search.refresh_from_db()
    assert (search.state, search.failure_reason, search.finished_at) == ("queued", "", None)
    assert messages[-1] == (search.islands.get().pk, search.islands.get().attempt)
    run(search)
    assert search.individuals == 20, "it goes on from its checkpoint"
    assert "0 searches" in act(QUEUE, "retry", search.islands.get())


def test_move_in_the_queue(act, make_search):
    first, second, third = (make_search().islands.get() for _ in range(3))
    act(QUEUE, "to_front", third)
    act(QUEUE, "to_back", first)
    order = Island.objects.order_by("queued_at").values_list("pk", flat=True)
    assert list(order) == [third.pk, second.pk, first.pk]
    assert queue.next_island().island_id == third.pk


def test_take_back_from_a_worker(act, make_search, digits, engine):
    island = make_search().islands.get()
    lease = Lease.claim(island_id=island.pk, attempt=1)
    act(QUEUE, "take_back", island)
    island.refresh_from_db()
    assert (island.state, island.attempt, island.lease_owner) == ("queued", 2, "")
    with pytest.raises(slices.LeaseLost):
        slices.commit_progress(lease, engine.start(digits, 1).run(seconds=0))


def test_pause_and_resume(client, administrator, owner, make_search):
    make_search(owner=owner)
    client.force_login(administrator)
    client.post(reverse("admin:experiments_queuepause_add"), {"owner": owner.pk})
    assert QueuePause.objects.get().by == administrator
    assert queue.next_island() is None
    assert "are paused" in client.get(reverse(QUEUE)).content.decode()
    assert LogEntry.objects.count() == 1
    pause = QueuePause.objects.get()
    client.post(reverse("admin:experiments_queuepause_delete", args=[pause.pk]), {"post": "yes"})
    assert queue.next_island() is not None
    # A second pause of everybody is refused, not stored.
    for _ in range(2):
        page = client.post(reverse("admin:experiments_queuepause_add"), {"owner": ""})
    assert QueuePause.objects.count() == 1 and page.status_code == 200


def test_the_whole_queue_is_paused_by_a_button_and_woken_by_another(client, administrator, make_search, messages):
    island = make_search().islands.get()
    client.force_login(administrator)
    for _ in range(2):  # two administrators at once
        page = client.post(reverse("admin:queue-pause"), follow=True).content.decode()
    assert queue.next_island() is None and "The whole queue is paused (by administrator)" in page
    messages.clear()
    for _ in range(2):
        page = client.post(reverse("admin:queue-resume"), follow=True).content.decode()
    assert queue.next_island() is not None and "is paused" not in page
    assert messages == [(island.pk, 1)], "what waits is begun at once"
    assert LogEntry.objects.count() == 2
    assert client.get(reverse("admin:queue-pause")).status_code == 405


def test_pausing_is_not_for_everybody(client, owner, make_search, django_user_model):
    make_search()
    helper = django_user_model.objects.create_user("helper", is_staff=True)
    for user, status in ((owner, 302), (helper, 403)):
        client.force_login(user)
        assert client.post(reverse("admin:queue-pause")).status_code == status
        assert client.get(reverse("admin:retention")).status_code == status
    assert not QueuePause.objects.exists()


def test_old_searches_give_up_what_was_counted(client, administrator, make_search, run, engine):
    engine.births_at_end = 10
    run(make_search())
    Search.objects.update(finished_at=timezone.now() - timedelta(days=8))
    client.force_login(administrator)
    page = client.get(reverse("admin:retention"))
    assert page.context["counts"][0] == ("checkpoints", 1) and Checkpoint.objects.count() == 1
    assert client.get(reverse("admin:retention"), {"checkpoints_days": 9, "curve_points": 5}).context["nothing"]
    assert client.get(reverse("admin:retention"), {"checkpoints_days": -1, "curve_points": "x"}).status_code == 422
    bad = client.post(reverse("admin:retention"), {"checkpoints_days": "soon", "curve_points": 5})
    assert bad.status_code == 422 and Checkpoint.objects.count() == 1
    done = client.post(reverse("admin:retention"), {"checkpoints_days": 7, "curve_points": 500}, follow=True)
    assert "Thrown away: 1 checkpoints" in done.content.decode() and not Checkpoint.objects.exists()
    assert "1 checkpoints" in LogEntry.objects.get().get_change_message()


def test_what_is_done_to_accounts_and_what_is_deleted_is_written_down(client, administrator, owner, make_search):
    client.force_login(administrator)
    client.post(reverse("people:person", args=[owner.pk]), {"role": "viewer", "is_active": "on", "max_islands": "3"})
    client.post(reverse("people:new-password", args=[owner.pk]))
    client.post(reverse("people:invite"), {"role": "researcher", "note": "for Grace"})
    client.post(reverse("people:withdraw", args=[Invitation.objects.get(user=None).pk]))
    search = make_search(owner=owner, title="gone")
    client.post(reverse("experiments:search-delete", args=[search.pk]))
    entries = [
        (entry.user.username, entry.object_repr, entry.get_change_message())
        for entry in LogEntry.objects.order_by("pk")
    ]
    assert [(user, what) for user, _repr, what in entries] == [
        ("administrator", "Account changed: researcher → viewer, max_islands 3"),
        ("administrator", "Given a link to a new password"),
        ("administrator", "Invited: researcher, for Grace"),
        ("administrator", "Invitation withdrawn"),
        ("administrator", "Deleted"),
    ]  # fmt: skip
    assert entries[0][1] == "owner" and entries[-1][1] == f"{search.pk}: gone"
    assert "Given a link" in client.get(reverse("admin:admin_logentry_changelist")).content.decode()


def test_workers_drain(act, client, make_search):
    worker = workers.renew(slots=2)
    island = make_search().islands.get()
    Lease.claim(island_id=island.pk, attempt=1)
    page = client.get(reverse(WORKERS)).content.decode()
    assert worker.name in page and f">{island.search_id}.0<" in page and "at work" in page
    act(WORKERS, "drain", worker)
    assert Worker.objects.get().draining and "draining" in client.get(reverse(WORKERS)).content.decode()
    act(WORKERS, "undrain", worker)
    assert not Worker.objects.get().draining
    assert [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")] == ["Draining", "At work again"]


def test_the_record_can_be_read_and_not_changed(act, client, make_search):
    act(QUEUE, "raise_priority", make_search().islands.get())
    page = client.get(reverse("admin:admin_logentry_changelist")).content.decode()
    assert "Priority raised" in page and "administrator" in page
    entry = LogEntry.objects.get()
    assert client.post(reverse("admin:admin_logentry_delete", args=[entry.pk]), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(
    "page", [QUEUE, WORKERS, "admin:experiments_queuepause_changelist", "admin:admin_logentry_changelist"]
)
def test_nobody_else_sees_it(client, owner, page):
    client.force_login(owner)
    assert client.get(reverse(page)).status_code == 302


def test_the_queue_takes_as_many_queries_for_many_islands(
    client, administrator, make_search, django_assert_max_num_queries
):
    for seed in range(12):
        make_search(seed=seed)
    client.force_login(administrator)
    with django_assert_max_num_queries(20):
        client.get(reverse(QUEUE))
