"""Messages over PostgreSQL: each arrives once, in order, as JSON."""

import threading
from queue import Empty

import pytest
from kombu import Connection, Exchange, Queue

from webapp.lib import pg_transport

QUEUE = Queue("work", Exchange("work"), routing_key="work")


@pytest.fixture
def connect(new_database):
    pg_transport.register()
    opened = []

    def make():
        connection = Connection(
            pg_transport.URL, transport_options={"conninfo": new_database, "polling_interval": 0.02}
        )
        opened.append(connection)
        return connection

    yield make
    for connection in opened:
        connection.release()


def send(connection, *bodies):
    producer = connection.Producer(serializer="json")
    for body in bodies:
        producer.publish(body, exchange=QUEUE.exchange, routing_key="work", declare=[QUEUE])


def receive_all(connection):
    """Take messages until none is left."""
    found = []
    with connection.SimpleQueue(QUEUE) as queue:
        while True:
            try:
                message = queue.get(timeout=0.3)
            except Empty:
                return found
            found.append(message.payload)
            message.ack()


def test_messages_arrive_in_order(connect):
    send(connect(), *range(20))
    assert receive_all(connect()) == list(range(20))


def test_any_text_survives(connect):
    texts = ["", "한국어 🥚", "line\nbreak", "quote ' and %s", "x" * 100_000]
    send(connect(), *texts)
    assert receive_all(connect()) == texts


def test_each_message_has_one_taker(connect):
    send(connect(), *range(200))
    taken, threads = [], []
    for _ in range(4):
        connection = connect()
        threads.append(threading.Thread(target=lambda c=connection: taken.extend(receive_all(c))))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(200))


def test_a_message_that_was_not_acknowledged_comes_back(connect):
    send(connect(), "keep me")
    first = connect()
    with first.SimpleQueue(QUEUE) as queue:
        queue.get(timeout=5)
    first.release()
    assert receive_all(connect()) == ["keep me"]


def test_nothing_piles_up(connect, new_database):
    import psycopg

    send(connect(), *range(10))
    receive_all(connect())
    with psycopg.connect(new_database) as database:
        assert database.execute("SELECT count(*) FROM abovo_message").fetchone() == (0,)


def test_size_and_purge(connect):
    connection = connect()
    send(connection, 1, 2, 3)
    bound = QUEUE(connection.channel())
    assert bound.queue_declare(passive=True).message_count == 3
    assert bound.purge() == 3
    assert receive_all(connection) == []


def test_processes_that_start_together_agree_on_the_table(connect):
    connections = [connect() for _ in range(8)]
    failures = []

    def open_it(connection):
        try:
            connection.connect()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=open_it, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
