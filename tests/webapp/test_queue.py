"""Whose turn it is: users share, then priority, then age; pauses hold; a worker that drains takes nothing."""

from datetime import timedelta

import pytest
from celery.exceptions import Reject
from django.db import connection
from django.utils import timezone

from engine.checkpoint import READABLE
from webapp.experiments.models import Checkpoint, Island, QueuePause, Search, Worker
from webapp.experiments.services import dispatch, queue, slices, workers
from webapp.experiments.services.lease import Lease
from webapp.experiments.services.slices import Outcome, run_next
from webapp.experiments.tasks import run_slice_job

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def turn():
    """A function that claims the next island and tells whose search it is."""

    def turn():
        found = queue.next_island()
        if found is None:
            return None
        assert Lease.claim(island_id=found.island_id, attempt=found.attempt)
        return Island.objects.get(pk=found.island_id).search.title

    return turn


def test_users_share_then_priority_then_age(make_search, owner, stranger, turn):
    for title, user, priority in [
        ("big 1", owner, 0), ("big 2", owner, 0), ("big urgent", owner, 5), ("small", stranger, 0), ("nobody's", None, -5),
    ]:  # fmt: skip
        make_search(title=title, owner=user, priority=priority)
    Island.objects.filter(search__title="big 2").update(queued_at=timezone.now() - timedelta(hours=1))
    assert [turn() for _ in range(6)] == ["big urgent", "small", "nobody's", "big 2", "big 1", None]


def test_pauses_of_one_user_and_of_all(make_search, owner, stranger, administrator, turn):
    make_search(title="paused", owner=owner)
    make_search(title="nobody's", owner=None)
    make_search(title="goes", owner=stranger)
    pause = QueuePause.objects.create(owner=owner, by=administrator)
    assert {turn(), turn()} == {"goes", "nobody's"} and turn() is None
    assert (
        queue.should_give_way(owner.pk) and not queue.should_give_way(stranger.pk) and not queue.should_give_way(None)
    )
    pause.delete()
    QueuePause.objects.create(by=administrator)
    assert turn() is None and queue.should_give_way(stranger.pk)
    QueuePause.objects.all().delete()
    assert turn() == "paused"


def test_an_island_saved_by_a_later_version_waits_for_a_worker_of_that_version(make_search, run, turn):
    search = make_search(title="later")
    run(search)
    Checkpoint.objects.update(format_version=max(READABLE) + 1)
    assert turn() is None
    assert search.islands.get().failures == 0, "rolling an upgrade out breaks no search"
    Checkpoint.objects.update(format_version=max(READABLE))
    assert turn() == "later"


def test_a_message_wakes_a_worker_for_whoever_is_next(make_search, engine, owner, stranger):
    first, second = make_search(owner=owner), make_search(owner=stranger, priority=3)
    assert run_slice_job(first.islands.get().pk, 1) == "handed back"
    second.refresh_from_db()
    assert second.individuals and not first.islands.get().individuals


def test_nothing_waits(make_search, engine):
    assert run_next() == Outcome.REFUSED


def test_a_draining_worker_takes_nothing(make_search, engine):
    search = make_search()
    workers.renew(slots=2)
    Worker.objects.update(draining=True)
    assert run_slice_job(search.islands.get().pk, 1) == "draining"
    assert search.islands.get().state == Island.State.QUEUED
    Worker.objects.update(draining=False)
    assert run_slice_job(search.islands.get().pk, 1) == "handed back"
    worker = Worker.objects.get()
    assert worker.individuals == search.islands.get().individuals > 0 and worker.busy_seconds > 0


def test_many_claim_at_once_and_each_gets_another(make_search, monkeypatch):
    import threading

    for seed in range(6):
        make_search(seed=seed)
    taken = []

    def record(lease):
        taken.append(lease.island_id)
        return Outcome.FINISHED

    monkeypatch.setattr(slices, "run_claimed", record)

    def take():
        run_next()
        connection.close()

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(Search.objects.values_list("islands", flat=True))


def test_what_is_at_work_stays_at_work_while_the_broker_is_away(make_search, engine, monkeypatch):
    first, second = make_search(), make_search(seed=2)
    engine.births_at_end = 30
    monkeypatch.setattr(dispatch, "_send", lambda island_id, attempt: dispatch.unsent.set())
    assert run_slice_job(first.islands.get().pk, 1) == "finished"
    # It took turns as ever, with one message to begin with, until the first had ended.
    assert {search.islands.get().slice_number for search in (first, second)} == {2, 3}
    monkeypatch.setattr(dispatch, "_send", lambda island_id, attempt: None)
    left = Island.objects.get(state=Island.State.QUEUED)
    dispatch.unsent.clear()
    assert run_slice_job(left.pk, left.attempt) == "finished"


def test_a_worker_that_ends_takes_nothing_and_leaves_the_message(make_search, engine, monkeypatch):
    search = make_search()
    monkeypatch.setattr("webapp.lib.stopping.requested", lambda: True)
    with pytest.raises(Reject) as refusal:
        run_slice_job(search.islands.get().pk, 1)
    assert refusal.value.requeue
    assert search.islands.get().state == "queued"
    assert engine.runs == 0
