"""RabbitMQ restarted, purged, away for a minute: messages only wake workers, so searches go on."""

from __future__ import annotations

import signal
import time

import pytest

from .servers import broker_is_installed
from .test_faults import assert_clean, assert_disorder_changes_nothing

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not broker_is_installed(), reason="needs Debian's rabbitmq-server to start one of its own"),
]


@pytest.fixture(scope="module")
def rig(make_rig):
    # Short turns: after each a search needs a message to go on.
    return make_rig(broker=True, ABOVO_TURN_SECONDS="2")


@pytest.mark.parametrize(
    ("how", "away", "forgets"),
    [
        (signal.SIGTERM, 0, False),
        (signal.SIGKILL, 0, False),
        (signal.SIGKILL, 0, True),
        (signal.SIGKILL, 60, False),
    ],
)
def test_the_broker_stopped_and_started(rig, expected, how, away, forgets):
    [search_id] = rig.launch(1)
    rig.wait_for_holder(search_id)
    rig.broker.stop(how)
    # Launched while it is away: the row waits, the message is sent when there is somebody to take it.
    [next_one] = rig.launch(1)
    time.sleep(away)
    if away:
        assert {rig.states(one)[0] for one in (search_id, next_one)}.isdisjoint({"finished", "failed", "stopped"})
    if forgets:
        rig.broker.forget()
    rig.broker.start()
    for one in (search_id, next_one):
        rig.wait_for_end(one)
        assert rig.content(one) == expected
    assert_clean(rig, search_id, next_one)
    # The scheduler has found its way back, too.
    rig.wait_for(lambda: rig.is_measured(next_one), why="the short jobs are not done any more")


def test_queues_purged(rig, expected):
    prefix = rig.product.environment["ABOVO_QUEUE_PREFIX"]
    searches = rig.launch(1, 1, 1)
    lost = purges = 0
    while lost < 2 and any(rig.states(one)[0] != "finished" for one in searches):
        rig.broker.purge(prefix + "default")
        lost += rig.broker.purge(prefix + "slices")
        purges += 1
        time.sleep(0.05)
    assert lost >= 2, f"only {lost} messages were lost in {purges} purges: nothing was tested"
    for search_id in searches:
        rig.wait_for_end(search_id)
        assert rig.content(search_id) == expected
    assert_clean(rig, *searches)


def test_messages_doubled_late_and_out_of_order(rig, expected):
    assert_disorder_changes_nothing(rig, expected)


def test_islands_go_on_while_the_broker_is_away(make_rig):
    """Of several islands nothing is promised but that they end, whole, and that nobody is counted twice."""
    # A slot for each: islands that share one need messages to take turns.
    rig = make_rig(broker=True, ABOVO_WORKERS="3")
    [search_id] = rig.launch(1, islands=3, migration={"every": 1000, "count": 10})
    rig.wait_for_progress(search_id)
    rig.broker.stop()
    rig.wait_for_progress(search_id, 6)
    assert rig.states(search_id)[0] == "running", "the search ended before the broker came back: it must be longer"
    rig.broker.start()
    rig.wait_for_end(search_id)
    assert rig.individuals(search_id) == 3 * 300_000
    assert rig.orphans(search_id) == 0
    assert rig.immigrants(search_id) > 0
    assert_clean(rig, search_id)
