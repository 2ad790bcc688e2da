"""The whole product as a user starts it: real processes in a home of its own."""

import contextlib
import http.cookiejar
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

import psutil

from webapp.lib.postgres import EmbeddedPostgres

ROOT = Path(__file__).resolve().parent.parent
LAUNCHER = [sys.executable, "-m", "webapp.lib.launcher"]


_LAUNCH = """(lambda names: exec({spec!r}, names) or names["launch"].launch_search(spec=names["spec"], seed={seed}).pk)(
    {{"launch": __import__("importlib").import_module("webapp.experiments.services.launch")}})"""


def given_servers() -> dict[str, str]:
    """Return the settings that name a database and a broker of the surroundings, for a product that is to use them."""
    return {name: os.environ[name] for name in ("DATABASE_URL", "CELERY_BROKER_URL") if os.environ.get(name)}


def _words(process: psutil.Process) -> list[str]:
    """Return a process's command; nothing of one that has ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Product:
    """One instance: `start()`, use `url` and `get()`, `stop()`; start it again on the same home."""

    def __init__(self, home: Path, variables: dict[str, str] | None = None):
        self.home = home
        self.port = int((variables or {}).get("PORT") or free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        self.password: str | None = None
        self.lines: list[str] = []
        self.process: subprocess.Popen | None = None
        self._reader: threading.Thread | None = None
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "CELERY_BROKER_URL")},
            "ABOVO_HOME": str(home),
            "PORT": str(self.port),
            "ABOVO_WORKERS": "1",
            "ABOVO_QUEUE_PREFIX": f"test-{uuid.uuid4().hex[:12]}.",
            **(variables or {}),
        }

    def without_first_search(self) -> "Product":
        """Start into a quiet product: no search of its own takes the machine's time."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "first-search").touch()
        return self

    def begin(self, command: list[str] = LAUNCHER) -> "Product":
        """Start without waiting."""
        self.lines = []
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()
        return self

    def start(self, command: list[str] = LAUNCHER, seconds: float = 180) -> "Product":
        """Start and wait until it says that it is ready."""
        self.begin(command)
        self.wait_for_line(r"ready at http", seconds)
        for line in list(self.lines):
            found = re.search(r"password:\s+(\S+)", line)
            if found:
                self.password = found.group(1)
        return self

    def wait_for_line(self, pattern: str, seconds: float = 60) -> str:
        """Wait for a line of output that matches. Raises AssertionError with all the output."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended = self.process is not None and self.process.poll() is not None
            if ended and self._reader is not None:
                self._reader.join(5)
            for line in list(self.lines):
                if re.search(pattern, line):
                    return line
            if ended:
                break
            time.sleep(0.05)
        raise AssertionError(f"no line matches {pattern!r} in:\n" + self.output())

    def stop(self, number: int = signal.SIGINT, *, group: bool = False, seconds: float = 60) -> int:
        """Send the signal, wait for the end, return the exit status."""
        assert self.process is not None
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        return self.wait_for_end(seconds)

    def wait_for_end(self, seconds: float = 60) -> int:
        assert self.process is not None and self._reader is not None
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end; its output:\n{self.output()}") from None
        self._reader.join(10)
        return code

    def get(self, path: str, headers: dict | None = None) -> tuple[int, str]:
        """GET a page: status and text."""
        request = urllib.request.Request(self.url + path, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def can_log_in(self, name: str, password: str) -> bool:
        """Whether the administrator's pages open with this password."""
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        page = opener.open(self.url + "/admin/login/", timeout=30).read().decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token, page
        fields = {"csrfmiddlewaretoken": token.group(1), "username": name, "password": password, "next": "/admin/"}
        answer = opener.open(self.url + "/admin/login/", urllib.parse.urlencode(fields).encode(), timeout=30)
        return answer.url.endswith("/admin/")

    def manage(self, *arguments: str) -> str:
        """Run manage.py against this instance; returns what it prints."""
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr or done.stdout
        return done.stdout

    def query(self, python: str):
        """Evaluate a Python expression in the instance's Django shell; what it returns must be JSON."""
        code = f"import json; print('\\n' + json.dumps({python}))"
        return json.loads(self.manage("shell", "--no-imports", "--command", code).strip().splitlines()[-1])

    def launch(self, spec: str, *, seed: int) -> int:
        """Launch a search; return its number. spec: Python that leaves a SearchSpec in `spec`."""
        return self.query(_LAUNCH.format(spec=spec, seed=seed))

    @property
    def database_url(self) -> str:
        return self.environment.get("DATABASE_URL") or EmbeddedPostgres(self.home / "postgres").url

    def processes(self) -> list[psutil.Process]:
        """Every process that lives in this home, whoever its parent is by now; not this one, nor those that started it there."""
        found = []
        ours = {os.getpid(), *(one.pid for one in psutil.Process().parents())}
        for process in (one for one in psutil.process_iter() if one.pid not in ours):
            try:
                belongs = process.environ().get("ABOVO_HOME") == str(self.home)
                belongs = belongs or str(self.home) in " ".join(process.cmdline())
                if belongs and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def child(self, word: str) -> psutil.Process:
        """The launcher's child whose command has this word."""
        assert self.process is not None
        launcher = psutil.Process(self.process.pid)
        for parent in [launcher, *launcher.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):  # ended since it was listed
                for process in parent.children():
                    words = _words(process)
                    if word in words or any(word in part for part in words[:1]):
                        return process
        raise AssertionError(f"no child runs {word}:\n{self.output()}")

    def output(self) -> str:
        return "\n".join(self.lines)

    def clean_up(self) -> None:
        """End whatever is left; for the end of a test that failed, too."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for process in self.processes():
            process.kill()
        self._delete_queues()

    def _delete_queues(self) -> None:
        address = self.environment.get("CELERY_BROKER_URL", "")
        if address.startswith("amqp"):
            import pika
            from pika.exceptions import AMQPConnectionError

            # A broker that a test has taken away has nothing to tidy up.
            with (
                contextlib.suppress(AMQPConnectionError),
                pika.BlockingConnection(
                    pika.URLParameters(address[:-1] + "%2F" if address.endswith("//") else address)
                ) as connection,
            ):
                channel = connection.channel()
                for name in ("default", "slices"):
                    channel.queue_delete(self.environment["ABOVO_QUEUE_PREFIX"] + name)
                    channel.exchange_delete(self.environment["ABOVO_QUEUE_PREFIX"] + name)

    def _read(self, stream) -> None:
        for line in stream:
            self.lines.append(line.rstrip("\n"))
