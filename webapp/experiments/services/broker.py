"""How deep the queues of messages are, and who listens to them."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from django.conf import settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Depth:
    """One queue. consumers: None where the broker does not know, as over PostgreSQL."""

    name: str
    messages: int
    consumers: int | None


def queues() -> list[Depth] | None:
    """Return the depth of each of Celery's queues; None if the broker is away."""
    from webapp.celery import app

    counts_consumers = bool(settings.ENVIRONMENT.celery_broker_url)
    try:
        with app.connection_for_read(connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
            channel = connection.default_channel
            found = []
            for queue in app.amqp.queues.values():
                _name, messages, consumers = queue(channel).queue_declare(passive=True)
                found.append(Depth(queue.alias or queue.name, messages, consumers if counts_consumers else None))
            return found
    except Exception as error:  # whatever the transport raises, as for a queue that nobody has made yet
        logger.warning("the broker does not answer: %s: %s", type(error).__name__, error)
        return None
