"""RabbitMQ restarted, purged, away for a minute: messages only wake workers, so searches go on."""

from __future__ import annotations

import time

import pytest

from .servers import broker_is_installed
from .test_faults import assert_clean

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not broker_is_installed(), reason="needs Debian's rabbitmq-server to start one of its own"),
]


@pytest.fixture(scope="module")
def rig(make_rig):
    return make_rig(broker=True)


@pytest.mark.parametrize("away", [0, 60])
def test_the_broker_killed_and_started(rig, expected, away):
    [search_id] = rig.launch(1)
    rig.wait_for_holder(search_id)
    rig.broker.stop()
    time.sleep(away)
    rig.broker.start()
    rig.wait_for_end(search_id)
    assert rig.content(search_id) == expected
    assert_clean(rig, search_id)
    # And new searches find their way again.
    [next_one] = rig.launch(1)
    rig.wait_for_end(next_one)
    assert rig.content(next_one) == expected


def test_queues_purged(rig, expected):
    prefix = rig.product.environment["ABOVO_QUEUE_PREFIX"]
    searches = rig.launch(1, 1, 1)
    for _ in range(10):
        rig.broker.purge(prefix + "slices", prefix + "default")
        time.sleep(0.5)
    for search_id in searches:
        rig.wait_for_end(search_id)
        assert rig.content(search_id) == expected
    assert_clean(rig, *searches)


def test_islands_go_on_while_the_broker_is_away(rig):
    """Of several islands nothing is promised but that they end, whole, and that nobody is counted twice."""
    [search_id] = rig.launch(1, islands=3, migration={"every": 1000, "count": 10})
    rig.wait_for_progress(search_id)
    rig.broker.stop()
    rig.wait_for_progress(search_id, 2)
    rig.broker.start()
    rig.wait_for_end(search_id)
    assert rig.individuals(search_id) == 3 * 300_000
    orphans = rig.rows(
        "SELECT count(*) FROM experiments_individual i JOIN experiments_island n ON n.id = i.island_id"
        " LEFT JOIN experiments_individual p ON p.island_id = COALESCE(i.parent_island_id, i.island_id)"
        " AND p.birth = i.parent WHERE n.search_id = %s AND i.parent IS NOT NULL AND p.birth IS NULL", search_id,
    )  # fmt: skip
    assert orphans == [(0,)]
    crossed = "SELECT count(*) FROM experiments_individual i JOIN experiments_island n ON n.id = i.island_id"
    assert rig.rows(crossed + " WHERE n.search_id = %s AND i.parent_island_id IS NOT NULL", search_id)[0][0] > 0
    assert_clean(rig, search_id)
