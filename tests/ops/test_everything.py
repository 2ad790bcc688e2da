"""`make test` leaves nothing out silently."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import everything, services

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_a_skipped_test_fails_ci_and_is_listed(tmp_path, ci, status):
    (tmp_path / "test_it.py").write_text(
        "import pytest\ndef test_runs(): pass\ndef test_skips(): pytest.skip('no reason')\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-c", os.devnull]
    done = subprocess.run(
        [*command, "--rootdir", tmp_path, tmp_path],
        cwd=ROOT,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert ("which CI counts as failure" in done.stdout) == bool(ci)
    if ci:
        assert done.stdout.rstrip().count("::test_skips") == 1


class Passing:
    """A command beside the others that need not run here."""

    def __init__(self, name, command, **options):
        pass

    def result(self):
        return "passed"


@pytest.mark.parametrize(("in_ci", "status"), [(True, 1), (False, 0)])
def test_a_server_that_cannot_be_had_is_named(monkeypatch, capsys, in_ci, status):
    def missing():
        raise services.Missing("RabbitMQ is away")

    monkeypatch.setattr(everything, "run", lambda *arguments, **options: "passed")
    monkeypatch.setattr(everything, "Beside", Passing)
    monkeypatch.setattr(everything, "IN_CI", in_ci)
    monkeypatch.setattr(services, "ensure_browser", lambda: "/usr/bin/chromium")
    monkeypatch.setattr(services, "ensure_postgres", lambda: services.POSTGRES_URL)
    monkeypatch.setattr(services, "ensure_rabbitmq", missing)
    assert everything.main([]) == status
    assert "not run: RabbitMQ is away" in capsys.readouterr().out


@pytest.mark.parametrize(("command", "result"), [("print('fine')", "passed"), ("raise SystemExit('no')", "failed")])
def test_a_command_beside_the_others_is_heard_and_judged(capsys, command, result):
    assert everything.Beside("engine", [sys.executable, "-c", command]).result() == result
    assert ("fine" if result == "passed" else "no") in capsys.readouterr().out


def test_a_command_after_another_begins_when_that_has_ended(tmp_path):
    mark = tmp_path / "mark"
    first = everything.Beside("first", [sys.executable, "-c", f"import time; time.sleep(1); open({str(mark)!r}, 'w')"])
    second = everything.Beside("second", [sys.executable, "-c", f"open({str(mark)!r})"], after=first)
    assert second.result() == "passed"
