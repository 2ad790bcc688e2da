"""A PostgreSQL and a RabbitMQ of the test's own, to be killed, stopped and started at will."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

from webapp.lib.postgres import EmbeddedPostgres
from webapp.lib.processes import before_exec

RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class Database:
    """The embedded server's binaries, but not under the launcher, which would start it again."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None):
        self.environment = environment or {}
        self.server = EmbeddedPostgres(folder)
        self.server.prepare()
        self.process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return self.server.url

    def start(self) -> None:
        options = self.server.credentials()
        options["env"] = {**options.get("env", os.environ), **self.environment}
        self.process = subprocess.Popen(
            self.server.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, preexec_fn=before_exec(signal.SIGINT), **options,
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
        self.port = _free_port()
        self.node = f"abovo-{os.getpid()}-{self.port}@localhost"  # two of a process may run at a time
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

    def stop(self, number: int = signal.SIGKILL) -> None:
        """SIGKILL: at once. SIGTERM: as an operator restarts it, with what is durable written."""
        if self.process is not None:
            os.killpg(self.process.pid, number)
            self.process.wait()
            self.process = None

    def forget(self) -> None:
        """Lose everything: queues, messages, the node's own memory of who it is."""
        assert self.process is None
        shutil.rmtree(self.folder / "mnesia")

    def purge(self, *queues: str) -> int:
        """Empty the queues; returns how many messages that were."""
        import pika

        with pika.BlockingConnection(pika.URLParameters(self.url[:-1] + "%2F")) as connection:
            return sum(connection.channel().queue_purge(queue).method.message_count for queue in queues)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"HELLO\r\n\r\n")
                return connection.recv(4) == b"AMQP"
        except OSError:
            return False


class Clock:
    """The clock that programs see which are started with this environment: it can be set while they run."""

    def __init__(self, folder: Path):
        self.file, self.library = folder / "clock", folder / "clock.so"
        source = Path(__file__).with_name("clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self.library, source], check=True)
        self.file.write_bytes(bytes(8))
        for path in (self.file, self.library):  # PostgreSQL may run as somebody else
            path.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "FAULTS_CLOCK": str(self.file)}

    def set(self, seconds: int) -> None:
        """Set it so much ahead of the real one, at once for everybody."""
        with self.file.open("r+b") as file:  # in place: it is mapped
            file.write(struct.pack("=q", seconds))


def clock_can_be_made() -> bool:
    return shutil.which("cc") is not None


def broker_is_installed() -> bool:
    return RABBITMQ.exists() and shutil.which("erl") is not None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
