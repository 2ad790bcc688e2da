"""`make run` for real: it comes up, it is the only one, it picks up what falls, and it leaves nobody behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.product import ROOT, Product

PARTS = ["gunicorn", "slices", "default"]


def nobody_left(product: Product, seconds: float = 60) -> list[str]:
    """What still lives in the product's home; waits for what is just ending: nobody kills it when the launcher was killed."""
    deadline = time.monotonic() + seconds
    while (left := product.processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return [f"{process.pid} {process.cmdline()}" for process in left if process.is_running()]


@pytest.fixture(scope="module")
def running(make_product):
    """A product that runs through this module's tests; none of them stops it."""
    return make_product().without_first_search().start()


def test_it_answers(running):
    assert running.get("/healthz") == (200, "ok\n")
    assert running.get("/readyz") == (200, "ok\n")


def test_the_first_start_prints_the_administrators_password_once(running):
    assert running.password
    assert running.output().count(running.password) == 1
    assert running.can_log_in("admin", running.password)
    assert not running.can_log_in("admin", "a wrong password")


def test_pages_carry_their_static_files(running):
    status, page = running.get("/admin/login/")
    assert status == 200
    style = page.split('href="/static/')[1].split('"')[0]
    status, _ = running.get("/static/" + style)
    assert status == 200


def test_secrets_are_readable_by_the_owner_only(running):
    for secret in (running.home / "secret-key", running.home / "postgres"):
        if secret.exists():
            assert secret.stat().st_mode & 0o077 == 0


def test_a_second_instance_on_the_same_home_is_refused(running):
    second = Product(running.home, {k: v for k, v in running.environment.items() if k.endswith("_URL")})
    second.begin()
    assert second.wait_for_end() == 2
    assert len(second.lines) == 1
    assert "already runs on" in second.lines[0] and str(running.process.pid) in second.lines[0]
    assert running.get("/healthz")[0] == 200


def test_a_port_in_use_is_named_before_anything_starts(running, make_product):
    second = make_product(PORT=str(running.port)).begin()
    assert second.wait_for_end() == 2
    assert len(second.lines) == 1 and str(running.port) in second.lines[0]
    assert not (second.home / "postgres").exists()


def test_two_homes_run_side_by_side(running, make_product):
    other = make_product().without_first_search().start()
    assert running.get("/readyz")[0] == other.get("/readyz")[0] == 200
    assert running.password != other.password
    assert not other.can_log_in("admin", running.password)
    assert other.stop() == 0
    assert nobody_left(other) == []
    assert running.get("/readyz")[0] == 200


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_falls_is_started_again(running, part):
    fallen = running.child(part)
    fallen.kill()
    running.wait_for_line(r"was killed by SIGKILL: starting it again")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if running.child(part).pid != fallen.pid and running.get("/readyz")[0] == 200:
                break
        except (AssertionError, OSError):
            time.sleep(0.1)
    assert running.child(part).pid != fallen.pid
    assert not fallen.is_running()
    running.lines[:] = [line for line in running.lines if "starting it again" not in line]


def test_the_database_comes_back_with_what_was_committed(make_product, setup_name):
    if setup_name != "embedded":
        return  # the server is not ours to kill
    product = make_product().without_first_search().start()
    product.child("postgres").kill()
    product.wait_for_line(r"database was killed by SIGKILL: starting it again")
    deadline = time.monotonic() + 60
    while product.get("/readyz")[0] != 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert product.can_log_in("admin", product.password)
    assert product.stop() == 0
    assert nobody_left(product) == []


def test_a_stop_leaves_nobody_and_the_next_start_keeps_the_data(make_product):
    product = make_product().without_first_search().start()
    password = product.password
    assert product.stop(signal.SIGINT) == 0
    assert nobody_left(product) == []

    product.password = None
    product.start()
    assert product.password is None, "the password is shown only once"
    assert product.can_log_in("admin", password)
    assert product.stop(signal.SIGTERM) == 0
    assert nobody_left(product) == []


def test_ctrl_c_on_make_run(make_product):
    """The terminal sends it to everybody in the foreground: make, the launcher; not the launcher's children."""
    product = make_product().without_first_search()
    product.start(["make", "run", f"PYTHON={sys.executable}"])
    assert product.get("/healthz")[0] == 200
    product.stop(signal.SIGINT, group=True)
    assert nobody_left(product) == []
    assert "stopped" in product.lines[-1] or any("stopped" in line for line in product.lines[-3:])


def test_ctrl_c_while_it_starts(make_product):
    product = make_product().without_first_search().begin()
    product.wait_for_line(r"migrating|making|collecting")
    assert product.stop(signal.SIGINT) in (0, 130)
    assert nobody_left(product) == []
    product.start()
    assert product.get("/readyz")[0] == 200


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_a_killed_launcher_takes_everybody_along(make_product):
    product = make_product().without_first_search().start()
    product.process.kill()
    product.wait_for_end()
    assert nobody_left(product) == []

    product.start()
    assert product.get("/readyz")[0] == 200
    assert product.stop() == 0


def test_a_home_whose_path_is_too_long_for_a_socket(make_product, setup_name):
    if setup_name != "embedded":
        return  # a server's address has no such limit
    product = make_product()
    product.home = Path(product.home) / ("long" * 30)
    product.environment["ABOVO_HOME"] = str(product.home)
    product.without_first_search().start()
    assert product.get("/readyz")[0] == 200
    assert product.query("__import__('django.db').db.connection.vendor") == "postgresql"
    assert product.stop() == 0
    assert nobody_left(product) == []


def test_a_folder_that_only_its_owner_may_pass(make_product, tmp_path):
    """Root's own home is such a folder, and PostgreSQL does not run as root."""
    product = make_product()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    product.home = closed / "home"
    product.environment["ABOVO_HOME"] = str(product.home)
    product.without_first_search().start()
    assert product.get("/readyz")[0] == 200
    assert closed.stat().st_mode & 0o007 in (0, 1), "others may not read it"
    assert product.stop() == 0

    closed.chmod(0o700)  # which also takes back what a list grants
    product.start()
    assert product.get("/readyz")[0] == 200
    assert product.stop() == 0


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PORT", "80000", "whole number from 1 to 65535"),
        ("ABOVO_WORKERS", "many", "whole number"),
        ("DATABASE_URL", "mysql://somewhere/x", "PostgreSQL address"),
        ("CELERY_BROKER_URL", "redis://somewhere", "RabbitMQ address"),
        ("ABOVO_PUBLIC_URL", "abovo.example.org", "address people use"),
        ("ABOVO_LOG_LEVEL", "LOUD", "one of DEBUG, INFO"),
        ("SECRET_KEY", "short", "at least 32 characters"),
    ],
)
def test_a_bad_setting_stops_the_start_with_its_name(make_product, name, value, expected):
    product = make_product(**{name: value}) if name != "PORT" else make_product()
    product.environment[name] = value
    product.begin()
    assert product.wait_for_end() == 2
    assert len(product.lines) == 1
    assert name in product.lines[0] and expected in product.lines[0]
    assert os.listdir(product.home) == []


@pytest.mark.once
@pytest.mark.parametrize(
    "command",
    [
        ["manage.py", "doctor"],
        ["-m", "celery", "-A", "webapp.celery", "worker"],
        ["-m", "gunicorn", "-c", "python:webapp.lib.gunicorn_settings", "webapp.wsgi"],
    ],
)
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("ABOVO_WORKERS", "many", "whole number"), ("ABOVO_HOME", "/proc/x", "can be written")],
)
def test_each_process_names_a_bad_setting_in_one_line(tmp_path, command, name, value, expected):
    environment = {**os.environ, "ABOVO_HOME": str(tmp_path), name: value}
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("Ab Ovo cannot start: ") and name in line and expected in line


def test_a_setting_that_does_not_exist_is_mentioned(make_product):
    product = make_product(ABOVO_WORKER="3", PORT="1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        product.environment["PORT"] = str(taken.getsockname()[1])
        product.begin()
        assert product.wait_for_end() == 2
    assert "ABOVO_WORKER is no setting" in product.lines[0]


def test_the_scheduler_runs_while_slices_fill_the_worker(running):
    """The watchdog's messages are taken by a process of their own."""
    assert psutil.Process(running.child("default").pid).is_running()
    assert running.child("default").pid != running.child("slices").pid
