"""What fell silent is taken, what was lost is sent again, and nothing else is touched."""

from datetime import timedelta

import pytest
from django.utils import timezone

from webapp.experiments.models import Island
from webapp.experiments.services.lease import Lease
from webapp.experiments.services.slices import Outcome, run_slices
from webapp.experiments.services.watchdog import watch
from webapp.experiments.tasks import watchdog_job

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


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
    Island.objects.update(queued_at=timezone.now() + moved)
    messages.clear()
    assert watch()["repeated"] == 1
    assert messages == [(island.pk, 1)]
    assert watch()["repeated"] == 0
    # The first message was only late: whichever comes first is served, the other refused.
    assert run(search) == Outcome.HANDED_BACK
    assert run_slices(island_id=island.pk, attempt=1) == Outcome.REFUSED


def test_the_job_calls_the_service(db):
    assert watchdog_job() == {"lost": 0, "repeated": 0}
