"""The servers of the second set-up and the browser: found, else started, else installed, where that may be done."""

import os
import shutil
import socket
import subprocess
import time
from urllib.parse import urlsplit

POSTGRES_URL = "postgresql://postgres@127.0.0.1:5432/postgres"
RABBITMQ_URL = "amqp://guest:guest@127.0.0.1:5672//"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Missing(Exception):
    """A service that cannot be had here: one line that says why."""


def ensure_postgres() -> str:
    """The address of a PostgreSQL server that lets us make databases."""
    import psycopg

    def answers():
        try:
            with psycopg.connect(POSTGRES_URL, connect_timeout=3) as connection:
                connection.execute("SELECT 1")
                return True
        except psycopg.Error as error:
            return "refused" not in str(error) and str(error).strip().splitlines()[-1]

    state = answers()
    if state is False:
        if not shutil.which("pg_ctlcluster"):
            _apt_install("postgresql")
        _start_postgres()
        state = _wait(answers)
    if state is not True:
        raise Missing(f"PostgreSQL on 127.0.0.1:5432 does not let user postgres in ({state or 'it does not start'})")
    return POSTGRES_URL


def _start_postgres() -> None:
    """Start Debian's cluster; one that we have just installed trusts nobody yet."""
    versions = sorted(os.listdir("/etc/postgresql")) if os.path.isdir("/etc/postgresql") else []
    if not versions or os.geteuid() != 0:
        return
    rules = f"/etc/postgresql/{versions[-1]}/main/pg_hba.conf"
    if _installed_now("postgresql"):
        with open(rules, encoding="utf-8") as file:
            old = file.read()
        with open(rules, "w", encoding="utf-8") as file:
            file.write("host all postgres 127.0.0.1/32 trust\n" + old)
    _quiet("pg_ctlcluster", "--skip-systemctl-redirect", versions[-1], "main", "restart")


def ensure_rabbitmq() -> str:
    """The address of a RabbitMQ server."""

    def answers():
        parts = urlsplit(RABBITMQ_URL)
        try:
            with socket.create_connection((parts.hostname, parts.port), timeout=3) as connection:
                # A broker answers a wrong greeting with its own.
                connection.sendall(b"HELLO\r\n\r\n")
                return connection.recv(4) == b"AMQP"
        except OSError:
            return False

    if not answers():
        if not shutil.which("rabbitmq-server") and not os.path.exists("/usr/sbin/rabbitmq-server"):
            _apt_install("rabbitmq-server")
        if not answers():
            server = shutil.which("rabbitmq-server") or "/usr/sbin/rabbitmq-server"
            if os.path.exists(server) and os.geteuid() == 0:
                _quiet(server, "-detached")
        if not _wait(answers, 90):
            raise Missing("RabbitMQ does not answer on 127.0.0.1:5672 and could not be started")
    return RABBITMQ_URL


def find_browser() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def ensure_browser() -> str:
    """The path of a Chromium."""
    if not find_browser():
        _apt_install("chromium")
    found = find_browser()
    if not found:
        raise Missing("no Chromium found, and none could be installed")
    return found


_installed: set[str] = set()


def _installed_now(package: str) -> bool:
    return package in _installed


def _apt_install(package: str) -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Missing(f"{package} is not installed, and this user may not install it")
    print(f"Ab Ovo: installing {package}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _quiet("apt-get", "update", env=environment)
    if not _quiet("apt-get", "install", "-y", "--no-install-recommends", package, env=environment):
        raise Missing(f"{package} is not installed, and apt-get could not install it")
    _installed.add(package)


def _quiet(*command: str, env=None) -> bool:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    )
    if done.returncode != 0:
        print("\n".join(done.stdout.strip().splitlines()[-5:]), flush=True)
    return done.returncode == 0


def _wait(question, seconds: float = 30):
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer is True or time.monotonic() > deadline:
            return answer
        time.sleep(0.5)
