"""Celery's messages in PostgreSQL: the embedded transport, for machines without RabbitMQ.

A message is a row; taking it deletes it, under SKIP LOCKED, so that no two workers get the same one and nothing piles
up. A consumer that finds nothing asks again after `polling_interval` seconds. (Of kombu's own transports, the SQL one
keeps every message for ever, and the file-system one can hand out a file that is still being written.)
"""

import os
import threading
from contextlib import contextmanager, suppress
from queue import Empty

import psycopg
from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.utils.json import dumps, loads

SCHEME = "abovo-postgres"
URL = f"{SCHEME}://"
LONGEST_WAIT = 0.4  # seconds

_CREATE = """
    CREATE TABLE IF NOT EXISTS abovo_message (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        queue text NOT NULL,
        payload text NOT NULL
    )
"""
_INDEX = "CREATE INDEX IF NOT EXISTS abovo_message_queue_id ON abovo_message (queue, id)"
_TAKE = """
    DELETE FROM abovo_message WHERE id = (
        SELECT id FROM abovo_message WHERE queue = %s ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
    ) RETURNING payload
"""


def register() -> None:
    """Teach kombu the scheme."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


class Channel(virtual.Channel):
    def _put(self, queue, message, **kwargs):
        with self.connection.cursor() as cursor:
            cursor.execute("INSERT INTO abovo_message (queue, payload) VALUES (%s, %s)", [queue, dumps(message)])

    def _get(self, queue, timeout=None):
        with self.connection.cursor() as cursor:
            row = cursor.execute(_TAKE, [queue]).fetchone()
        if row is None:
            raise Empty
        return loads(row[0])

    def _size(self, queue):
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM abovo_message WHERE queue = %s", [queue])
            return cursor.fetchone()[0]

    def _purge(self, queue):
        with self.connection.cursor() as cursor:
            return cursor.execute("DELETE FROM abovo_message WHERE queue = %s", [queue]).rowcount


class Transport(virtual.Transport):
    """`transport_options["conninfo"]` names the database."""

    Channel = Channel
    can_parse_url = True
    default_port = 0  # type: ignore[assignment]
    driver_type = "sql"
    driver_name = "psycopg"
    # With an event loop Celery gives each process of its pool a pipe of its own, as it does with RabbitMQ. Without one all
    # read from one pipe under one lock, and a process that is killed while it waits there takes the lock along: the
    # others would wait for ever.
    implements = virtual.Transport.implements.extend(asynchronous=True)
    connection_errors = (  # type: ignore[assignment]
        *virtual.Transport.connection_errors,
        psycopg.OperationalError,
        psycopg.InterfaceError,
    )

    def __init__(self, client, **kwargs):
        super().__init__(client, **kwargs)
        self._database: psycopg.Connection | None = None
        self._owner = 0
        self._lock = threading.RLock()

    def driver_version(self):
        return psycopg.__version__

    def establish_connection(self):
        with self.cursor() as cursor:
            (found,) = cursor.execute("SELECT to_regclass('abovo_message')").fetchone()
            if found is None:
                with cursor.connection.transaction():
                    # Several processes start together, and IF NOT EXISTS alone may still collide.
                    cursor.execute("SELECT pg_advisory_xact_lock(hashtext('abovo_message'))")
                    cursor.execute(_CREATE)
                    cursor.execute(_INDEX)
        return super().establish_connection()

    def close_connection(self, connection):
        super().close_connection(connection)
        with self._lock:
            if self._database is not None and self._owner == os.getpid():
                self._database.close()
            self._database = None

    def drain_events(self, connection, timeout=None, **kwargs):
        # A worker looks whether it should stop only between these waits.
        return super().drain_events(connection, timeout=min(timeout or LONGEST_WAIT, LONGEST_WAIT))

    def register_with_event_loop(self, connection, loop):
        """Look for messages now and then; the worker ends that when it lets go of the connection."""
        loop.call_repeatedly(self.polling_interval, self._look)

    def _look(self):
        # As many as whoever consumes may have at a time.
        with suppress(Empty):
            while True:
                self.cycle.get(self._deliver)  # type: ignore[union-attr]

    @contextmanager
    def cursor(self):
        """A cursor on the one database connection of this transport, opened at first use."""
        with self._lock:
            # A forked child must leave its parent's connection alone, closing included.
            if self._database is None or self._database.closed or self._owner != os.getpid():
                self._database = self._connect()
                self._owner = os.getpid()
            with self._database.cursor() as cursor:
                yield cursor

    def _connect(self) -> psycopg.Connection:
        assert self.client is not None
        conninfo = self.client.transport_options["conninfo"]
        connection = psycopg.connect(conninfo, autocommit=True, connect_timeout=5, application_name="abovo broker")
        # Losing the last messages in a crash costs nothing: the database's own rows say what is to be done.
        connection.execute("SET synchronous_commit = off")
        return connection
