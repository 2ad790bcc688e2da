"""The command-line client, in a process of its own, against a server."""

import gzip
import io
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.presets import preset
from engine.spec_toml import to_toml
from tests.bundles import bundle_of, small
from webapp.client import config, main, show
from webapp.client.errors import ClientError
from webapp.experiments.models import Search
from webapp.experiments.services import imports
from webapp.experiments.services.importing import import_bundle
from webapp.people.services import tokens

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = [sys.executable, "-m", "webapp.client"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A configuration folder of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("ABOVO_URL", "ABOVO_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "abovo" / "client.json"


@pytest.fixture
def abovo(live_server, home, owner, settings):
    """A function that runs a command as the owner; returns what it did."""
    settings.ABOVO_OPEN_LAUNCH = False
    settings.ABOVO_API_RATE = 0
    secret = tokens.create_token(user=owner, name="t", scope="launch")[1]
    environment = {**os.environ, "ABOVO_URL": live_server.url, "ABOVO_TOKEN": secret}

    def run(*arguments, check=0, wait=True, **variables):
        process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=ROOT, env={**environment, **variables}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        if not wait:
            return process
        out, err = process.communicate(variables.get("INPUT", ""), timeout=60)
        assert process.returncode == check, err
        return out if check == 0 else err

    run.secret = secret
    return run


def test_launch_watch_best_export(abovo, run, engine, tmp_path, owner):
    """A search from the file to the code: what the issue calls the client's round."""
    file = tmp_path / "spec.toml"
    file.write_text(to_toml(preset("digits")))
    engine.births_at_end = 20
    watched = abovo(
        "launch", str(file), "--title", "Mine", "--seed", "7", "--set", "stop.max_seconds=60", "--watch", wait=False
    )
    first = watched.stdout.readline()
    search = Search.objects.get()
    assert first.split()[0] == str(search.pk) and search.get_absolute_url() in first
    assert (search.title, search.seed, search.owner) == ("Mine", 7, owner) and search.spec["stop"]["max_seconds"] == 60
    run(search)
    run(search)
    out, err = watched.communicate(timeout=60)
    assert watched.returncode == 0, err
    assert "finished" in err and out.strip().endswith(search.result.algorithm.get_absolute_url())

    text = abovo("best", str(search.pk))
    assert "def Predict" in text and "final 0.5500" in text
    assert json.loads(abovo("best", str(search.pk), "--json"))["permalink"] == search.result.algorithm.permalink
    code = abovo("export", str(search.pk), "--to", "python")
    compile(code, "exported", "exec")
    target = tmp_path / "model.py"
    abovo("export", search.result.algorithm.permalink, "--to", "sklearn", "-o", str(target))
    assert "class " in target.read_text()
    assert json.loads(abovo("export", str(search.pk), "--to", "json"))["setup"]
    assert "Mine" in abovo("list", "--mine", "--state", "ended") and abovo("list", "--state", "active") == ""


def test_a_search_travels_as_a_bundle(abovo, owner, tmp_path, settings):
    """Taken away, deleted, and brought in again."""
    settings.MEDIA_ROOT = str(tmp_path / "media")
    search = ended_search(owner)
    file = tmp_path / "taken.jsonl.gz"
    assert str(file) in abovo("export-search", str(search.pk), "-o", str(file))
    assert gzip.decompress(file.read_bytes()).startswith(b'{"kind":"search"')
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".part"] == []
    assert "is here already" in imported(abovo("import-search", str(file), wait=False))
    search.delete()
    out = imported(abovo("import-search", str(file), "--visibility", "unlisted", wait=False))
    again = Search.objects.get()
    assert out.startswith(f"{again.pk}  ") and out.strip().endswith("imported")
    assert (again.uid, again.owner, again.visibility) == (search.uid, owner, "unlisted")


def test_a_bundle_that_is_refused(abovo, tmp_path, settings):
    settings.MEDIA_ROOT = str(tmp_path / "media")
    file = tmp_path / 'odd "name".jsonl'
    file.write_bytes(b'{"kind":"search","format":1}\n')
    text = imported(abovo("import-search", str(file), wait=False), check=2)
    assert "line 1" in text and text.count("\n") == 1 and not Search.objects.exists()


def test_what_has_not_ended_is_no_bundle(abovo, make_search, owner, tmp_path):
    search = make_search(owner=owner)
    target = tmp_path / "a.gz"
    assert "has not ended" in abovo("export-search", str(search.pk), "-o", str(target), check=2)
    assert not target.exists() and list(tmp_path.iterdir()) == []


def imported(process, check=0):
    """Do the worker's part until the command has ended; return what it said."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        imports.run_waiting()
        time.sleep(0.1)
    out, err = process.communicate(timeout=10)
    assert process.returncode == check, err
    return err if check else out


def ended_search(owner):
    (done,) = import_bundle(io.BytesIO(bundle_of(small(), 3)), owner=owner, visibility="private")
    return Search.objects.get(pk=done.search_id)


def test_steering(abovo, make_search, owner):
    search = make_search(owner=owner)
    for command, state in (("pause", "paused"), ("resume", "queued"), ("stop", "stopped")):
        assert abovo(command, str(search.pk)).startswith(state)
    assert "has ended" in abovo("extend", str(search.pk), "60", check=2)


def test_a_failed_search_is_told(abovo, make_search, owner):
    search = make_search(owner=owner)
    search.islands.update(state="failed", last_error="the data is gone")
    from django.db import transaction

    from webapp.experiments.services.steer import settle_search

    with transaction.atomic():
        settle_search(search)
    assert "the data is gone" in abovo("watch", str(search.pk), check=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["launch", "--preset", "digits", "--set", "population_size=1"], "population_size"),
        (["launch", "--preset", "nothing"], "not known"),
        (["launch", "nothing.toml"], "cannot read nothing.toml"),
        (["launch"], "give a file or --preset"),
        (["launch", "--preset", "digits", "--set", "x"], "FIELD=VALUE"),
        (["import-search", "nothing.gz"], "cannot read nothing.gz"),
        (["export-search", "999"], "nothing here"),
        (["best", "999"], "nothing here"),
        (["best", "x"], "invalid int"),
        (["export", "../account", "--to", "json"], "neither a permalink"),
        (["--url", "ftp://x", "list"], "http://"),
        (["nonsense"], "invalid choice"),
    ],
)
def test_errors_are_one_line(abovo, arguments, words):
    text = abovo(*arguments, check=2)
    assert words in text and text.count("\n") == 1 and text.startswith("abovo")


def test_a_bad_token_says_what_to_do(abovo, live_server):
    text = abovo("launch", "--preset", "digits", check=2, ABOVO_TOKEN="abovo_wrong")
    assert "not valid here" in text and "abovo login" in text


def test_login_keeps_the_token_for_its_owner_only(abovo, home, live_server):
    plain = {"ABOVO_TOKEN": "", "ABOVO_URL": ""}
    out = abovo("login", "--url", live_server.url, **plain, INPUT=abovo.secret + "\n")
    assert "owner" in out and abovo.secret not in out
    assert stat.S_IMODE(home.stat().st_mode) == 0o600
    assert "owner, researcher" in abovo("whoami", **plain)
    home.chmod(0o644)
    assert "chmod 600" in abovo("whoami", **plain, check=2)
    home.chmod(0o600)
    abovo("logout", **plain)
    assert not home.exists()


def test_a_token_goes_to_its_own_server_only(home):
    config.save(config.Config("https://one.example", "secret"))
    assert config.load().token == "secret"
    assert config.load("https://two.example").token == ""
    assert config.load("https://one.example/").token == "secret"


def test_a_wrong_token_is_not_kept(abovo, home, live_server):
    abovo("login", "--url", live_server.url, ABOVO_TOKEN="", INPUT="abovo_wrong\n", check=2)
    assert not home.exists()


def test_changes_on_the_command_line():
    assert main._changes(["stop.max_seconds=60", "initial=empty", "fec.size=10", "fec.forget_every=0"]) == {
        "stop": {"max_seconds": 60}, "initial": "empty", "fec": {"size": 10, "forget_every": 0},
    }  # fmt: skip
    with pytest.raises(ClientError):
        main._changes(["a=1", "a.b=2"])


def test_the_bar():
    assert show.bar(0) == "░" * show.BAR and show.bar(2) == "█" * show.BAR and len(show.bar(0.37)) == show.BAR


def test_the_client_imports_nothing_of_the_server():
    code = "import sys, webapp.client.main; print([name for name in ('django', 'numpy', 'celery', 'engine') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_is_there():
    done = subprocess.run([ROOT / ".venv" / "bin" / "abovo", "--help"], cwd="/", capture_output=True, text=True)
    assert done.returncode == 0 and "launch" in done.stdout
