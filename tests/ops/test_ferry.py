"""Parcels over PostgreSQL and over RabbitMQ: bounded boxes, the oldest lost, and nobody waits for a broker that is away."""

import time
import uuid

import pytest
from django.conf import settings

from webapp.lib import ferry
from webapp.lib.ferry import BOX_PARCELS, Ferry, PostgresCarrier, RabbitCarrier


@pytest.fixture
def carriers(new_database, setup_name):
    """Two connections to the broker under test, with boxes of their own."""
    prefix = f"test-{uuid.uuid4().hex[:12]}."

    def connect():
        return (
            PostgresCarrier(new_database)
            if setup_name == "embedded"
            else RabbitCarrier(settings.CELERY_BROKER_URL, prefix)
        )

    made = [connect(), connect()]
    yield made
    if setup_name != "embedded":
        for island_id in range(5):
            made[0]._channel.queue_delete(f"{prefix}island.{island_id}")
    for carrier in made:
        carrier.close()


def fetch(carrier, islands, count, seconds=10.0):
    """Fetch until so many parcels are there."""
    found, deadline = [], time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        found += carrier.fetch(islands)
        time.sleep(0.01)
    return found


def test_parcels_arrive_in_order_at_the_right_box(carriers):
    sender, receiver = carriers
    assert receiver.fetch([1, 2]) == []
    for island_id, body in [(1, b"a"), (2, b"\0b"), (1, b"c")]:
        sender.send(island_id, body)
    found = fetch(receiver, [1, 2], 3)
    assert [body for island_id, body in found if island_id == 1] == [b"a", b"c"]
    assert [body for island_id, body in found if island_id == 2] == [b"\0b"]
    assert receiver.fetch([1, 2]) == []


def test_a_full_box_loses_its_oldest(carriers):
    sender, receiver = carriers
    receiver.fetch([3])
    for number in range(3 * BOX_PARCELS):
        sender.send(3, str(number).encode())
    time.sleep(0.5)
    numbers = [int(body) for _, body in fetch(receiver, [3], BOX_PARCELS)]
    assert numbers == list(range(2 * BOX_PARCELS, 3 * BOX_PARCELS))


def test_a_ferry_carries_between_processes(new_database, setup_name):
    prefix = f"test-{uuid.uuid4().hex[:12]}."
    url = "" if setup_name == "embedded" else settings.CELERY_BROKER_URL
    one, other = Ferry(url, new_database, prefix), Ferry(url, new_database, prefix)
    found, deadline = [], time.monotonic() + 30
    while not found and time.monotonic() < deadline:
        found = other.receive(4)
        one.send(4, b"hello")  # those before the box was there are lost
        time.sleep(0.1)
    assert found and set(found) == {b"hello"}


@pytest.mark.parametrize("url", ["amqp://guest:guest@127.0.0.1:9//", ""])
def test_nobody_waits_for_a_broker_that_is_away(url, monkeypatch):
    monkeypatch.setattr(ferry.logger, "warning", lambda *args: None)
    away = Ferry(url, "postgresql://nobody@127.0.0.1:9/none", "")
    for _ in range(3 * ferry.OUTGOING_PARCELS):
        away.send(1, b"x")
        assert away.receive(1) == []
    assert len(away._outgoing) <= ferry.OUTGOING_PARCELS
