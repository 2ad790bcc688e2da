"""The lock files and the script that installs them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LOCKS = ["requirements.txt", "requirements-dev.txt"]
INSTALL = [sys.executable, "-I", str(ROOT / "webapp" / "lib" / "install.py")]


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_with_hashes(name):
    entries = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / name).read_text().strip())
    assert len(entries) > 20
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==[^\s;]+", entry), entry
        assert "--hash=sha256:" in entry, entry


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_names_an_address_or_a_path(name):
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"--(index|extra-index|find-links|trusted)", text)
    assert not re.search(r"(^|\s)/\w", text)


def test_tests_run_with_what_is_shipped():
    shipped, tested = (
        dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE)) for name in LOCKS
    )
    assert {name: version for name, version in shipped.items() if tested.get(name) != version} == {}


def test_a_second_installation_finds_nothing_to_do():
    done = subprocess.run([*INSTALL, "--dev"], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_an_unknown_option_is_named():
    done = subprocess.run([*INSTALL, "--nosuch"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "--nosuch" in done.stderr


def test_an_old_python_is_told_in_one_line(tmp_path):
    script = (ROOT / "webapp" / "lib" / "install.py").read_text()
    copy = tmp_path / "webapp" / "lib" / "install.py"
    copy.parent.mkdir(parents=True)
    copy.write_text(script.replace("OLDEST, NEWEST = (3, 11), (3, 14)", "OLDEST, NEWEST = (3, 97), (3, 98)"))
    done = subprocess.run([sys.executable, "-I", str(copy)], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "needs Python 3.97" in done.stderr
