"""How Celery is set up: two queues, JSON, one message at a time."""

import uuid
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from celery.beat import PersistentScheduler, Scheduler
from celery.utils.imports import symbol_by_name
from django.conf import settings
from kombu.exceptions import EncodeError

from webapp.celery import app


def test_nothing_but_json_is_taken_or_sent():
    assert app.conf.accept_content == ["json"]
    assert {app.conf.task_serializer, app.conf.result_serializer, app.conf.event_serializer} == {"json"}


def test_the_scheduler_keeps_no_pickle():
    scheduler = symbol_by_name(app.conf.beat_scheduler)
    assert issubclass(scheduler, Scheduler) and not issubclass(scheduler, PersistentScheduler)


@pytest.mark.parametrize("hours", [-1, 1])
def test_the_scheduler_goes_on_when_the_clock_is_set(monkeypatch, hours):
    """Each job at its pace: neither silent for an hour, nor twice at once."""
    now = {"clock": 1_000_000_000.0, "passed": 50.0}
    monkeypatch.setattr(
        "webapp.lib.beat.time", SimpleNamespace(time=lambda: now["clock"], monotonic=lambda: now["passed"])
    )
    utc = lambda self=None: datetime.fromtimestamp(now["clock"], UTC)  # noqa: E731
    monkeypatch.setattr("celery.schedules.BaseSchedule.now", utc)
    monkeypatch.setattr("celery.beat.ScheduleEntry.default_now", utc)
    scheduler = symbol_by_name(app.conf.beat_scheduler)(app, lazy=True)
    for name, seconds in (("often", 5.0), ("seldom", 30.0)):
        scheduler.add(name=name, task="people.notices_job", schedule=seconds, last_run_at=utc())
    sent = []
    monkeypatch.setattr(scheduler, "apply_entry", lambda entry, producer=None: sent.append(entry.name))
    monkeypatch.setattr(type(scheduler), "producer", None)

    def pass_time(seconds):
        sent.clear()
        for _ in range(seconds):
            now["clock"], now["passed"] = now["clock"] + 1, now["passed"] + 1
            while scheduler.tick() == 0:
                pass
        return sent.count("often"), sent.count("seldom")

    assert pass_time(60) == (12, 2)
    now["clock"] += hours * 3600
    often, seldom = pass_time(60)
    assert often in (11, 12) and seldom in (1, 2)


def test_one_message_at_a_time_acknowledged_when_done():
    assert app.conf.worker_prefetch_multiplier == 1
    assert app.conf.task_acks_late is True


def test_queues_go_by_their_plain_names():
    prefix = settings.ENVIRONMENT.queue_prefix
    assert app.amqp.queues["slices"].name == prefix + "slices"
    assert app.amqp.queues["default"].name == prefix + "default"


def test_every_scheduled_job_exists_and_goes_to_the_short_queue():
    app.loader.import_default_modules()
    for entry in app.conf.beat_schedule.values():
        assert entry["task"] in app.tasks
        assert entry["options"]["queue"] == "default"
        assert entry["options"]["expires"] <= entry["schedule"]


@pytest.fixture
def own_queue(database_server, setup_name):
    """A queue on the broker under test that nobody else uses."""
    with app.connection_for_write() as connection:
        name = f"test-{uuid.uuid4().hex}"
        queue = connection.SimpleQueue(name)
        yield queue
        queue.clear()
        queue.close()
        channel = connection.channel()
        channel.queue_delete(name)


def test_a_job_travels_through_the_broker(own_queue):
    own_queue.put({"island": 3, "name": "한국어"}, serializer="json")
    message = own_queue.get(timeout=10)
    message.ack()
    assert message.content_type == "application/json"
    assert message.payload == {"island": 3, "name": "한국어"}


def test_what_is_no_json_is_refused(own_queue):
    with pytest.raises(EncodeError):
        own_queue.put(object(), serializer="json")


@pytest.mark.broker
def test_the_broker_is_rabbitmq():
    with app.connection_for_write() as connection:
        connection.connect()
        assert connection.connection.server_properties["product"] == "RabbitMQ"
