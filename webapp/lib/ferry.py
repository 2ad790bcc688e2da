"""Carry migrants between islands, wherever their workers run; never keep anybody waiting.

An island hands over a parcel, or asks what has come for it, and gets an answer at once: a thread of its own talks to the
broker. A broker that is away costs parcels, nothing else. There is a bounded box for each island; a full one loses its
oldest parcels, and parcels that nobody fetches expire.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

logger = logging.getLogger(__name__)

BOX_PARCELS = 32
"""Parcels kept for an island."""
PARCEL_SECONDS = 600
"""After which a parcel is thrown away."""
BOX_SECONDS = 3600
"""After which a box that nobody looks into is taken away."""
OUTGOING_PARCELS = 256
LOOK_SECONDS = 0.5
INTEREST_SECONDS = 120.0
"""An island that has not asked for so long has gone to another worker."""
LONGEST_PAUSE = 30.0


class Carrier(Protocol):
    """A connection to a broker; any method may raise, and is then followed by close()."""

    def send(self, island_id: int, parcel: bytes) -> None:
        """Put a parcel into an island's box."""

    def fetch(self, island_ids: Sequence[int]) -> list[tuple[int, bytes]]:
        """Take everything out of these islands' boxes, which are made if need be."""

    def close(self) -> None:
        """Let go of the connection."""


class RabbitCarrier:
    """Boxes are queues of RabbitMQ: bounded, the oldest dropped, messages expiring, gone when nobody asks any more."""

    def __init__(self, url: str, prefix: str):
        import pika

        parameters = pika.URLParameters(url[:-1] + "%2F" if url.endswith("//") else url)
        parameters.socket_timeout = parameters.blocked_connection_timeout = 5
        parameters.connection_attempts, parameters.heartbeat = 1, 60
        self._prefix = prefix
        self._declared: set[int] = set()
        self._connection = pika.BlockingConnection(parameters)
        self._channel = self._connection.channel()
        self._properties = pika.BasicProperties(expiration=str(PARCEL_SECONDS * 1000), delivery_mode=1)

    def send(self, island_id: int, parcel: bytes) -> None:
        # A box that is not there yet loses the parcel.
        self._channel.basic_publish("", self._name(island_id), parcel, self._properties)

    def fetch(self, island_ids: Sequence[int]) -> list[tuple[int, bytes]]:
        self._connection.process_data_events(0)
        found = []
        for island_id in island_ids:
            if island_id not in self._declared:
                arguments = {
                    "x-max-length": BOX_PARCELS, "x-overflow": "drop-head", "x-expires": BOX_SECONDS * 1000,
                }  # fmt: skip
                self._channel.queue_declare(self._name(island_id), durable=True, arguments=arguments)
                self._declared.add(island_id)
            for _ in range(BOX_PARCELS):
                method, _properties, body = self._channel.basic_get(self._name(island_id), auto_ack=True)
                if method is None:
                    break
                found.append((island_id, body))
        self._declared.intersection_update(island_ids)
        return found

    def close(self) -> None:
        self._connection.close()

    def _name(self, island_id: int) -> str:
        return f"{self._prefix}island.{island_id}"


class PostgresCarrier:
    """Boxes are rows of a table that a crash of the database may empty: on the embedded set-up, and for who has no RabbitMQ."""

    def __init__(self, conninfo: str):
        import psycopg

        self._connection = psycopg.connect(
            conninfo, autocommit=True, connect_timeout=5, application_name="abovo migrants"
        )
        self._connection.execute("SET statement_timeout = '5s'")
        self._connection.execute("SET synchronous_commit = off")
        with self._connection.transaction():
            # Several processes start together, and IF NOT EXISTS alone may still collide.
            self._connection.execute("SELECT pg_advisory_xact_lock(hashtext('abovo_parcel'))")
            self._connection.execute(
                "CREATE UNLOGGED TABLE IF NOT EXISTS abovo_parcel (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
                " island_id bigint NOT NULL, sent_at timestamptz NOT NULL DEFAULT now(), body bytea NOT NULL)"
            )
            self._connection.execute(
                "CREATE INDEX IF NOT EXISTS abovo_parcel_island ON abovo_parcel (island_id, id)"
            )  # fmt: skip

    def send(self, island_id: int, parcel: bytes) -> None:
        self._connection.execute(
            "INSERT INTO abovo_parcel (island_id, body) VALUES (%s, %s)", [island_id, parcel]
        )  # fmt: skip
        self._connection.execute(
            "DELETE FROM abovo_parcel WHERE id IN (SELECT id FROM abovo_parcel WHERE island_id = %s"
            " ORDER BY id DESC OFFSET %s FOR UPDATE SKIP LOCKED)",
            [island_id, BOX_PARCELS],
        )

    def fetch(self, island_ids: Sequence[int]) -> list[tuple[int, bytes]]:
        # Only now and then: what expires here are boxes of islands that have ended.
        if random.random() < 0.02:
            self._connection.execute(
                "DELETE FROM abovo_parcel WHERE sent_at < now() - make_interval(secs => %s)", [PARCEL_SECONDS]
            )
        rows = self._connection.execute(
            "DELETE FROM abovo_parcel WHERE id IN (SELECT id FROM abovo_parcel WHERE island_id = ANY(%s)"
            " FOR UPDATE SKIP LOCKED) RETURNING id, island_id, body",
            [list(island_ids)],
        )
        return [(island_id, bytes(body)) for _, island_id, body in sorted(rows.fetchall())]

    def close(self) -> None:
        self._connection.close()


class Ferry:
    """One of a process: its thread starts at first use, also after a fork, and sleeps while no island here migrates."""

    def __init__(self, url: str, conninfo: str, prefix: str):
        self._url, self._conninfo, self._prefix = url, conninfo, prefix
        self._owner = 0
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._outgoing: deque[tuple[int, bytes]] = deque(maxlen=OUTGOING_PARCELS)
        self._boxes: dict[int, deque[bytes]] = {}
        self._asked: dict[int, float] = {}
        self._wake = threading.Event()

    def send(self, island_id: int, parcel: bytes) -> None:
        """Send a parcel to an island, some time soon or never."""
        with self._lock:
            self._begin()
            self._outgoing.append((island_id, parcel))
        self._wake.set()

    def expect(self, island_id: int) -> None:
        """Look for an island's parcels from now on, until it has not asked for a while."""
        with self._lock:
            self._begin()
            self._asked[island_id] = time.monotonic()
            self._boxes.setdefault(island_id, deque(maxlen=BOX_PARCELS))
        self._wake.set()

    def receive(self, island_id: int) -> list[bytes]:
        """Return what has come for an island since the last time, and keep looking for more."""
        self.expect(island_id)
        with self._lock:
            parcels = list(self._boxes[island_id])
            self._boxes[island_id].clear()
        return parcels

    def _begin(self) -> None:
        if self._owner != os.getpid():
            self._owner = os.getpid()
            self._reset()
            threading.Thread(target=self._carry, name="ferry", daemon=True).start()

    def _carry(self) -> None:
        carrier: Carrier | None = None
        pause = 0.0
        while True:
            self._wake.wait(None if not self._outgoing and not self._asked else LOOK_SECONDS)
            self._wake.clear()
            try:
                carrier = carrier or self._connect()
                self._go(carrier)
                pause = 0.0
                time.sleep(LOOK_SECONDS / 5)
            except Exception as error:  # whatever the broker's library raises: the islands go on without
                if not pause:
                    logger.warning("migrants stay at home, the broker is away: %s: %s", type(error).__name__, error)
                pause = min(2 * pause + 1.0, LONGEST_PAUSE)
                if carrier is not None:
                    _close(carrier)
                    carrier = None
                time.sleep(pause)

    def _connect(self) -> Carrier:
        return RabbitCarrier(self._url, self._prefix) if self._url else PostgresCarrier(self._conninfo)

    def _go(self, carrier: Carrier) -> None:
        while self._outgoing:
            island_id, parcel = self._outgoing[0]
            carrier.send(island_id, parcel)
            with self._lock:
                if self._outgoing:
                    self._outgoing.popleft()
        with self._lock:
            now = time.monotonic()
            for island_id in [one for one, asked in self._asked.items() if now - asked > INTEREST_SECONDS]:
                del self._asked[island_id]
                self._boxes.pop(island_id, None)
            wanted = list(self._asked)
        if wanted:
            for island_id, parcel in carrier.fetch(wanted):
                with self._lock:
                    if island_id in self._boxes:
                        self._boxes[island_id].append(parcel)


def _close(carrier: Carrier) -> None:
    try:
        carrier.close()
    except Exception as error:  # it is broken: that is why it is closed
        logger.debug("closing a broken connection: %s", error)
