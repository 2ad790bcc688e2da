"""How Celery is set up: two queues, JSON, one message at a time."""

import uuid

import pytest
from django.conf import settings
from kombu.exceptions import EncodeError

from webapp.celery import app


def test_nothing_but_json_is_taken_or_sent():
    assert app.conf.accept_content == ["json"]
    assert {app.conf.task_serializer, app.conf.result_serializer, app.conf.event_serializer} == {"json"}


def test_the_scheduler_keeps_no_pickle():
    assert app.conf.beat_scheduler == "celery.beat:Scheduler"


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
