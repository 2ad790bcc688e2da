"""What runs beside the work in every Celery worker: it renews the worker's row, obeys drains, and watches over the islands.

A thread of the worker's main process, so that neither a long slice, nor a long measurement, nor a broker that is away
holds it up.
"""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import threading
from collections.abc import Callable

import psutil
from celery.signals import worker_ready, worker_shutdown
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from webapp.experiments.services import workers
from webapp.experiments.services.watchdog import take_from_dead_processes, watch

logger = logging.getLogger(__name__)

SECONDS = 3.0


class Keeper:
    """slots: slices that the worker runs at a time; 0: the scheduler. on_drain: told when that changes."""

    def __init__(self, *, slots: int, on_drain: Callable[[bool], None]):
        self.slots, self.on_drain = slots, on_drain
        self._draining = False
        self._alive = settings.ABOVO_HOME / f"alive-{socket.gethostname()}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin to keep."""
        self._thread.start()

    def stop(self) -> None:
        """End, and take the worker's row away."""
        self._ended.set()
        self._thread.join(timeout=2)

    def look(self) -> None:
        """Do everything once. Raises DatabaseError."""
        worker = workers.renew(slots=self.slots)
        # For health checks of containers: database and keeper are well.
        self._alive.touch()
        if worker.draining != self._draining:
            self._draining = worker.draining
            self.on_drain(worker.draining)
        if self.slots:
            take_from_dead_processes(worker.name, _processes)
        # With hundreds of workers one in a while is enough; the scheduler, which has no slices, looks every time.
        if not self.slots or random.random() < 0.2:
            watch_alone()

    def _keep(self) -> None:
        try:
            while True:
                try:
                    self.look()
                except (DatabaseError, OSError) as error:  # it may be back for the next look
                    logger.warning("the keeper could not look: %s", str(error).strip().partition("\n")[0])
                    connection.close()
                if self._ended.wait(SECONDS):
                    break
            workers.leave()
            self._alive.unlink(missing_ok=True)
        except DatabaseError:  # the row grows old, and is taken for gone
            pass
        finally:
            connection.close()


def _processes() -> set[int]:
    """Return the ids of this process and of those that it forked, but for dead ones that nobody has waited for yet."""
    own = psutil.Process()
    alive = {own.pid}
    for child in own.children():
        with contextlib.suppress(psutil.Error):
            if child.status() != psutil.STATUS_ZOMBIE:
                alive.add(child.pid)
    return alive


def watch_alone() -> dict[str, int] | None:
    """Watch over all islands, unless somebody is at it."""
    # A lock of the transaction, not of the session: whoever pools connections need not know of it.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('abovo watchdog'))")
        return watch() if cursor.fetchone()[0] else None


_keepers: list[Keeper] = []


@worker_ready.connect
def _begin(sender, **kwargs):
    """When a Celery worker has started. sender: its consumer."""
    queues = sender.app.amqp.queues.consume_from.values()
    slices = next((queue.name for queue in queues if queue.alias == "slices"), None)

    def drain(draining: bool) -> None:
        if slices is not None:
            sender.call_soon(sender.cancel_task_queue if draining else sender.add_task_queue, slices)

    _keepers.append(Keeper(slots=sender.pool.limit if slices is not None else 0, on_drain=drain))
    _keepers[-1].start()


@worker_shutdown.connect
def _end(**kwargs):
    while _keepers:
        _keepers.pop().stop()
