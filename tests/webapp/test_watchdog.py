"""What fell silent is taken, what was lost is sent again, and nothing else is touched."""

import os
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from webapp.experiments.models import Island, Worker
from webapp.experiments.services.keeper import Keeper, watch_alone
from webapp.experiments.services.lease import Lease
from webapp.experiments.services.slices import Outcome, run_slices
from webapp.experiments.services.watchdog import take_from_dead_processes, watch
from webapp.experiments.services.workers import leave, may_take_work

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


@pytest.fixture
def new_connection(transactional_db):
    """A session of its own on the test database."""
    parameters = connection.get_connection_params()
    parameters.pop("cursor_factory", None)
    parameters.pop("context", None)
    with psycopg.connect(**parameters, autocommit=True) as session:
        yield session


def test_nothing_to_do(make_search, messages):
    make_search()
    messages.clear()
    assert watch() == {"lost": 0, "repeated": 0}
    assert messages == []


def test_a_silent_worker_loses_its_island(make_search, messages):
    island = make_search().islands.get()
    Lease.claim(island_id=island.pk, attempt=1)
    Island.objects.update(heartbeat_at=timezone.now() - HOUR)
    assert watch()["lost"] == 1
    island.refresh_from_db()
    assert (island.state, island.attempt, island.failures) == ("queued", 2, 1)
    assert messages[-1] == (island.pk, 2)
    assert watch()["lost"] == 0


def test_a_heartbeat_far_ahead_means_that_the_clock_was_set_back(make_search):
    island = make_search().islands.get()
    Lease.claim(island_id=island.pk, attempt=1)
    Island.objects.update(heartbeat_at=timezone.now() + HOUR)
    assert watch()["lost"] == 1


def test_a_beating_worker_keeps_its_island(make_search):
    island = make_search().islands.get()
    Lease.claim(island_id=island.pk, attempt=1).beat()
    assert watch()["lost"] == 0


def test_too_many_silent_workers_fail_the_search(make_search, settings):
    settings.ABOVO_MAX_FAILURES = 2
    search = make_search()
    for attempt in (1, 2):
        Lease.claim(island_id=search.islands.get().pk, attempt=attempt)
        Island.objects.update(heartbeat_at=timezone.now() - HOUR)
        watch()
    search.refresh_from_db()
    assert search.state == "failed" and "fell silent" in search.failure_reason


@pytest.mark.parametrize("moved", [-HOUR, HOUR])
def test_a_lost_message_is_sent_again_under_the_same_attempt(make_search, messages, moved, run):
    search = make_search()
    island = search.islands.get()
    Island.objects.update(sent_at=timezone.now() + moved)
    messages.clear()
    assert watch()["repeated"] == 1
    assert messages == [(island.pk, 1)]
    assert watch()["repeated"] == 0
    # The first message was only late: whichever comes first is served, the other refused.
    assert run(search) == Outcome.HANDED_BACK
    assert run_slices(island_id=island.pk, attempt=1) == Outcome.REFUSED


def test_a_process_that_is_gone_loses_its_island_at_once(make_search):
    gone, at_work, elsewhere = (make_search().islands.get() for _ in range(3))
    for island in (gone, at_work, elsewhere):
        Lease.claim(island_id=island.pk, attempt=1)
    for island, owner in [(gone, "host:7/8"), (at_work, "host:7/9"), (elsewhere, "host:70/8")]:
        Island.objects.filter(pk=island.pk).update(lease_owner=owner)
    assert take_from_dead_processes("host:7", lambda: {7, 9}) == 1
    gone.refresh_from_db()
    assert (gone.state, gone.attempt, gone.failures) == ("queued", 2, 1) and "ended in the middle" in gone.last_error
    assert take_from_dead_processes("host:7", lambda: {7, 9}) == 0
    assert Island.objects.filter(state="running").count() == 2


def test_only_one_watches_at_a_time(make_search, new_connection):
    island = make_search().islands.get()
    Lease.claim(island_id=island.pk, attempt=1)
    Island.objects.update(heartbeat_at=timezone.now() - HOUR)
    new_connection.execute("SELECT pg_advisory_lock(hashtext('abovo watchdog'))")
    assert watch_alone() is None
    new_connection.execute("SELECT pg_advisory_unlock(hashtext('abovo watchdog'))")
    assert watch_alone() == {"lost": 1, "repeated": 0}


def test_a_keeper_renews_its_row_and_passes_drains_on(transactional_db):
    drains = []
    keeper = Keeper(slots=3, on_drain=drains.append)
    keeper.look()
    worker = Worker.objects.get()
    assert (worker.slots, worker.pid) == (3, os.getpid()) and worker.memory_bytes > 1e6 and worker.version
    assert may_take_work()
    Worker.objects.update(draining=True)
    keeper.look()
    keeper.look()
    assert drains == [True] and not may_take_work()
    Worker.objects.update(draining=False)
    keeper.look()
    assert drains == [True, False]
    leave()
    assert not Worker.objects.exists()
