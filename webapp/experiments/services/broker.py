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
    found = ask()
    if isinstance(found, str):
        logger.warning("the broker does not answer: %s", found)
        return None
    return found


def ask() -> list[Depth] | str:
    """Return the depth of each of Celery's queues, or in one line why the broker does not say."""
    from webapp.celery import app

    counts_consumers = bool(settings.ENVIRONMENT.celery_broker_url)
    try:
        with app.connection_for_read(connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
            found = []
            for queue in app.amqp.queues.values():
                # A channel for each: asking for a queue that nobody has made yet closes it.
                try:
                    _name, messages, consumers = queue(connection.channel()).queue_declare(passive=True)
                except connection.channel_errors as error:
                    if getattr(error, "code", None) != 404:
                        raise
                    messages = consumers = 0
                found.append(Depth(queue.alias or queue.name, messages, consumers if counts_consumers else None))
            return found
    except Exception as error:  # whatever the transport raises
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
