"""A PostgreSQL and a RabbitMQ of the test's own, to be killed, stopped and started at will."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from webapp.lib.postgres import EmbeddedPostgres
from webapp.lib.processes import before_exec

RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class Database:
    """The embedded server's binaries, but not under the launcher, which would start it again."""

    def __init__(self, folder: Path):
        self.server = EmbeddedPostgres(folder)
        self.server.prepare()
        self.process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return self.server.url

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.server.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, preexec_fn=before_exec(signal.SIGINT), **self.server.credentials(),
        )  # fmt: skip
        self.server.wait_until_ready(lambda: self.process.poll() is None)

    def stop(self, number: int = signal.SIGINT) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None


class Broker:
    """A RabbitMQ node of its own name, ports and folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.port, self.node = _free_port(), f"abovo-{os.getpid()}@localhost"
        self.process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        environment = {
            **os.environ, "HOME": str(self.folder), "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_PORT": str(self.port), "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(_free_port()), "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"), "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
        }  # fmt: skip
        self.process = subprocess.Popen(
            [RABBITMQ], env=environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=before_exec(signal.SIGTERM),
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < deadline, "RabbitMQ does not start"
            time.sleep(0.3)

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def purge(self, *queues: str) -> None:
        import pika

        with pika.BlockingConnection(pika.URLParameters(self.url[:-1] + "%2F")) as connection:
            for queue in queues:
                connection.channel().queue_purge(queue)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"HELLO\r\n\r\n")
                return connection.recv(4) == b"AMQP"
        except OSError:
            return False


def broker_is_installed() -> bool:
    return RABBITMQ.exists() and shutil.which("erl") is not None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
