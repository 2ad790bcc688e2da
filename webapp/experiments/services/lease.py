"""Holding an island: claim, heartbeat, hand back.

An island is claimed by one conditional update and belongs to the claimant until its attempt number changes. While a
slice runs, a thread renews the heartbeat and looks for orders, so that compiling or a long evaluation does not lose the lease.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import Self

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models.functions import Now
from django.utils import timezone

from webapp.experiments.models import Island, Search
from webapp.lib import stopping

logger = logging.getLogger(__name__)

HEARTBEATS_A_LEASE = 20
SOLVED_ELSEWHERE = "solved elsewhere"
"""Why an island ends when another one of its search has reached what the search is for."""


class LeaseLost(Exception):
    """The island was given to somebody else; what was computed under the old lease is dropped."""


def lease_seconds() -> float:
    """Seconds without a heartbeat after which an island is taken from its worker."""
    return getattr(settings, "ABOVO_LEASE_SECONDS", 20.0)


def heartbeat_seconds() -> float:
    """Seconds between two heartbeats, and until an order is seen. Who has thousands of slots sets a longer lease."""
    return max(lease_seconds() / HEARTBEATS_A_LEASE, 0.25)


def own_name() -> str:
    """Return the name that this process claims islands under: its worker's, and which of that worker's processes it is."""
    return f"{worker_name()}/{os.getpid()}"


def worker_name() -> str:
    """Return the name of the worker that this process belongs to: host, and process id of the worker's main process."""
    return f"{socket.gethostname()}:{stopping.main_pid()}"


class Lease:
    """A claimed island; as a context manager it keeps the heartbeat going.

    lost: the island is no longer ours. stop_asked, pause_asked: the search's owner wants it stopped or paused.
    should_yield: any reason to end the slice now.
    """

    def __init__(self, island_id: int, attempt: int, owner: str):
        self.island_id, self.attempt, self.owner = island_id, attempt, owner
        self.lost = False
        self.stop_asked = False
        self.pause_asked = False
        self.solved_elsewhere = False
        self._beating = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def claim(cls, *, island_id: int, attempt: int) -> Lease | None:
        """Claim a waiting island under the attempt that a message names; None if somebody else was quicker."""
        owner = own_name()
        now = timezone.now()
        claimed = Island.objects.filter(pk=island_id, attempt=attempt, state=Island.State.QUEUED).update(
            state=Island.State.RUNNING, lease_owner=owner, heartbeat_at=Now(), updated_at=now
        )
        return cls(island_id, attempt, owner) if claimed else None

    def rows(self):
        """Return the queryset that holds the island if the lease is still ours, else nothing."""
        return Island.objects.filter(
            pk=self.island_id, attempt=self.attempt, state=Island.State.RUNNING, lease_owner=self.owner
        )

    def beat(self) -> None:
        """Renew the lease and read the orders; notes when the lease is lost."""
        with self._beating:  # so that no older answer is noted over a newer one
            self._beat()

    def _beat(self) -> None:
        if not self.rows().update(heartbeat_at=Now()):
            self.lost = True
            return
        found = Search.objects.filter(islands=self.island_id).values_list("state", "solved").first()
        state, self.solved_elsewhere = found or (None, False)
        self.stop_asked = self.solved_elsewhere or state in (None, Search.State.STOPPING)
        self.pause_asked = state in (Search.State.PAUSING, Search.State.PAUSED)

    def should_yield(self) -> bool:
        """Whether the slice should end now: lease lost, stop or pause asked, or the worker is shutting down."""
        return self.lost or self.stop_asked or self.pause_asked or stopping.requested()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._beat_on, name=f"heartbeat-{self.island_id}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _beat_on(self) -> None:
        try:
            while not self._ended.wait(heartbeat_seconds()):
                try:
                    self.beat()
                except (
                    DatabaseError,
                    InterfaceError,
                ) as error:  # the database may be back for the next beat; the commit decides
                    logger.warning("island %d: heartbeat failed: %s", self.island_id, error)
                    connection.close()
                if self.lost:
                    return
        finally:
            connection.close()
