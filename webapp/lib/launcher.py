"""`make run`: the database, the web server, the worker and the scheduler, under one roof and one Ctrl-C."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from webapp.lib.environment import BASE_DIR, BadSetting, Environment, read_environment, unknown_names
from webapp.lib.postgres import EmbeddedPostgres, PostgresError
from webapp.lib.processes import Child, Supervisor, before_exec
from webapp.lib.warm import Warming

#: Together at most 10 s from Ctrl-C to the end.
SECONDS_TO_STOP = 7.5
SECONDS_TO_STOP_DATABASE = 2.3
SECONDS_TO_START = 120


class CannotStart(RuntimeError):
    """One line that says what is in the way."""


class Stopped(Exception):
    """Somebody pressed Ctrl-C, or the like, while things were starting."""


def main() -> int:
    started = time.monotonic()
    try:
        environment = read_environment()
        for name in unknown_names():
            say(f"{name} is no setting and changes nothing; docs/settings.md lists them all")
        with only_instance(environment), listening_socket(environment) as listener:
            return Launcher(environment, listener, started).run()
    except (BadSetting, CannotStart, PostgresError) as error:
        print(f"Ab Ovo cannot start: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"Ab Ovo: {text}", flush=True)


@contextlib.contextmanager
def only_instance(environment: Environment):
    """Hold the lock of this ABOVO_HOME; the kernel lets go of it when we end, however we end."""
    path = environment.home / "lock"
    try:
        environment.home.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise CannotStart(f"ABOVO_HOME must be a folder that can be written: {error}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise CannotStart(
                f"it already runs on {environment.home} ({holder}); for a second one set ABOVO_HOME and PORT"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()}, {environment.address}\n")
        file.flush()
        yield


def listening_socket(environment: Environment) -> socket.socket:
    """Taken before anything starts, and handed to the web server: nobody can come between."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            environment.bind, environment.port, type=socket.SOCK_STREAM
        )[0]
    except OSError as error:
        raise CannotStart(f"ABOVO_BIND={environment.bind} is no address of this machine: {error.strerror}") from None
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(512)
    except OSError as error:
        listener.close()
        where = f"{environment.bind}:{environment.port}"
        free = environment.port % 65535 + 1
        raise CannotStart(
            f"cannot listen on {where} ({error.strerror}): choose another port, for example `make run PORT={free}`"
        ) from None
    return listener


class Launcher:
    def __init__(self, environment: Environment, listener: socket.socket, started: float):
        self.environment = environment
        self.listener = listener
        self.started = started
        self.supervisor = Supervisor(say)
        self.database: Child | None = None
        self.services: list[Child] = []
        self.warming: Warming | None = None
        self.variables = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "webapp.settings",
            "ABOVO_HOME": str(environment.home),
            "ABOVO_DATA": str(environment.data),
            "ABOVO_NUMBA_CACHE": os.environ.get("ABOVO_NUMBA_CACHE") or str(environment.home / "numba"),
            "PYTHONUNBUFFERED": "1",
        }
        self.variables.pop("PYTHONDONTWRITEBYTECODE", None)
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            # One process a core already; threads beneath would only jostle.
            self.variables.setdefault(name, "1")

    def run(self) -> int:
        supervisor = self.supervisor
        supervisor.watch_signals()
        code = 0
        try:
            # Takes a core for as long as everything else takes the other.
            self.warming = Warming(Path(self.variables["ABOVO_NUMBA_CACHE"]), self.variables)
            if not self.environment.database_url:
                self.start_database()
            account = self.prepare()
            self.wait_for_compiler()
            self.start_services()
            try:
                self.wait_until_ready()
            finally:
                self.welcome(account)
            while not supervisor.stop_requests:
                supervisor.pump(1.0)
                if not supervisor.stop_requests and not supervisor.restart_fallen():
                    code = 1
                    break
        except Stopped:
            pass
        finally:
            self.stop()
        return code

    def start_database(self) -> None:
        server = EmbeddedPostgres(self.environment.postgres_dir)
        if not (server.data / "PG_VERSION").exists():
            say(f"making a database in {self.environment.postgres_dir}")
        server.prepare()
        options = server.credentials()
        database = Child("database", server.command(), options, stop_signal=signal.SIGINT)
        database.unsaid = "terminating connection due to administrator command"  # what stopping it means
        self.supervisor.start(database)
        self.database = database

        def is_alive():
            self.supervisor.pump(0)
            self.check_stop()
            return database.is_alive()

        server.wait_until_ready(is_alive)

    def prepare(self) -> dict:
        """Run `manage.py prepare`; its progress goes to our output. Returns its report."""
        command = [sys.executable, str(BASE_DIR / "manage.py"), "prepare", "--json"]
        process = subprocess.Popen(
            command,
            cwd=BASE_DIR,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=before_exec(signal.SIGTERM),
        )
        try:
            while process.poll() is None:
                self.supervisor.pump(0.2)
                self.check_stop()
        except Stopped:
            process.terminate()
            raise
        finally:
            report, _ = process.communicate()
        if process.returncode != 0:
            raise CannotStart("preparing the database failed: see the lines above")
        return json.loads(report.splitlines()[-1])

    def wait_for_compiler(self) -> None:
        """The first search would wait for it anyway, at a page that stands still; later starts find it done."""
        assert self.warming is not None
        began = reported = time.monotonic()
        while self.warming.is_going_on():
            if reported == began or time.monotonic() - reported > 10:
                say(f"compiling the engine, once ({time.monotonic() - self.started:.0f} s so far)")
                reported = time.monotonic()
            self.supervisor.pump(0.2)
            self.check_stop()
        if not self.warming.finish():
            say("compiling the engine failed; `python -m engine search --preset digits` shows why")

    def start_services(self) -> None:
        python = [sys.executable, "-m"]
        handle = self.listener.fileno()
        web = [*python, "gunicorn", "-c", "python:webapp.lib.gunicorn_settings"]
        worker = [*python, "celery", "--quiet", "-A", "webapp.celery", "worker"]
        worker += ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
        workers = str(self.environment.workers)
        shared = {"cwd": BASE_DIR, "env": self.variables}
        self.services = [
            Child("web", [*web, "--bind", f"fd://{handle}", "webapp.wsgi"], {**shared, "pass_fds": [handle]}),
            Child("worker", [*worker, "-n", "worker@%h", "-Q", "slices", "-c", workers], shared),
            # Short jobs and the clock that starts them have a process of their own: long slices cannot hold them up.
            Child(
                "scheduler",
                [*worker, "-n", "scheduler@%h", "-Q", "default", "-P", "threads", "-c", "2", "-B"],
                shared,
            ),
        ]
        for child in self.services:
            self.supervisor.start(child)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            self.supervisor.pump(0.05)
            self.check_stop()
            if not self.supervisor.restart_fallen():
                raise CannotStart("a part of it keeps ending by itself: see the lines above")
            try:
                with urllib.request.urlopen(f"{self.environment.address}/healthz", timeout=1):
                    return
            except (OSError, urllib.error.URLError):
                if time.monotonic() > deadline:
                    raise CannotStart("the web server does not answer: see the lines above") from None

    def welcome(self, account: dict) -> None:
        address = self.environment.public_url.geturl() if self.environment.public_url else self.environment.address
        say(f"ready at {address} after {time.monotonic() - self.started:.1f} s")
        if account.get("password"):
            print(f"        administrator: {account['administrator']}", flush=True)
            print(f"        password:      {account['password']}   (shown only this once)", flush=True)
        print("        Ctrl-C stops everything; the next `make run` carries on.", flush=True)

    def check_stop(self) -> None:
        if self.supervisor.stop_requests:
            raise Stopped

    def stop(self) -> None:
        if any(child.is_alive() for child in self.services):
            say("stopping")
        if self.warming is not None:
            self.warming.stop()
        self.supervisor.stop(self.services, SECONDS_TO_STOP)
        if self.database is not None:
            # The database gets its time even when the user is impatient: it only has to close its files.
            self.supervisor.stop([self.database], SECONDS_TO_STOP_DATABASE)
        say("stopped")


if __name__ == "__main__":
    raise SystemExit(main())
