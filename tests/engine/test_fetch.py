"""Fetching data sets from a server on this machine: checked, atomic, and clear about what went wrong."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading

import pytest

from engine.datasets import DatasetError, official
from engine.datasets.official import SETS, OfficialFile, OfficialSet, fetch

CONTENT = {"one.gz": b"first" * 100_000, "two.gz": b"second"}

REDIRECTS = {"moved": "/one.gz", "round": "/round/one.gz", "local": "file:///etc/hostname"}


@pytest.fixture
def server(tmp_path):
    """A server of the folder tmp_path/public; yields (its address, the paths that were asked for)."""
    public = tmp_path / "public"
    public.mkdir()
    for name, data in CONTENT.items():
        (public / name).write_bytes(data)
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path == "/cut/one.gz":  # promises more than it sends
                self.send_response(200)
                self.send_header("Content-Length", str(len(CONTENT["one.gz"])))
                self.end_headers()
                self.wfile.write(CONTENT["one.gz"][:1000])
                return
            if target := REDIRECTS.get(self.path.split("/")[1]):
                self.send_response(302)
                self.send_header("Location", target.replace("one.gz", self.path.split("/")[-1]))
                self.end_headers()
                return
            super().do_GET()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(public))) as one:
        thread = threading.Thread(target=one.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{one.server_port}/", asked
        one.shutdown()
        thread.join()


@pytest.fixture
def small(server, monkeypatch):
    """A small official set on that server."""
    files = tuple(OfficialFile(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in CONTENT.items())
    monkeypatch.setitem(SETS, "mnist", OfficialSet("small", (server[0],), files))
    return server


def test_fetches_what_is_missing_or_wrong_and_keeps_what_is_right(small, tmp_path):
    _, asked = small
    shown = []
    paths = fetch("mnist", tmp_path, progress=lambda *one: shown.append(one))
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert [path.parent for path in paths] == [tmp_path / "mnist"] * 2
    assert shown[-1] == ("two.gz", 6, 6) and shown[0][0] == "one.gz"
    assert fetch("mnist", tmp_path) == paths
    assert asked == ["/one.gz", "/two.gz"]
    paths[1].write_bytes(b"sEcond")
    fetch("mnist", tmp_path)
    assert paths[1].read_bytes() == b"second" and asked[2:] == ["/two.gz"]


def test_tries_the_next_source(small, tmp_path, monkeypatch):
    address, asked = small
    one = SETS["mnist"]
    monkeypatch.setitem(SETS, "mnist", OfficialSet(one.title, (f"{address}gone", address), one.files))
    assert all(path.exists() for path in fetch("mnist", tmp_path))
    assert asked == ["/gone/one.gz", "/one.gz", "/gone/two.gz", "/two.gz"]


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("nowhere", "HTTP Error 404"),
        ("cut", "ended after 1,000 of the expected 500,000 bytes"),
        ("wrong", "has SHA-256 "),
        ("long", "has more than the expected 500,000 bytes"),
        ("round", "would lead to an infinite loop"),
        ("local", "not allowed"),
    ],
)
def test_nothing_wrong_or_half_fetched_stays(small, tmp_path, place, problem):
    address, _ = small
    (tmp_path / "public" / "wrong").mkdir()
    (tmp_path / "public" / "wrong" / "one.gz").write_bytes(b"First" * 100_000)
    (tmp_path / "public" / "long").mkdir()
    (tmp_path / "public" / "long" / "one.gz").write_bytes(b"first" * 200_000)
    before = tmp_path / "mnist" / "one.gz"
    before.parent.mkdir()
    before.write_bytes(b"of before")
    with pytest.raises(DatasetError) as caught:
        fetch("mnist", tmp_path, source=address + place)
    text = str(caught.value)
    assert text.startswith(f"dataset mnist: cannot fetch one.gz: {address}{place}/one.gz: ")
    assert problem in text or (place == "cut" and "IncompleteRead" in text)
    assert "\n" not in text
    assert before.read_bytes() == b"of before"
    assert list(before.parent.iterdir()) == [before]


def test_follows_a_redirect(small, tmp_path):
    address, asked = small
    assert fetch("mnist", tmp_path, source=address + "moved")[0].read_bytes() == CONTENT["one.gz"]
    assert asked[:2] == ["/moved/one.gz", "/one.gz"]


@pytest.mark.parametrize("source", ["file:///etc", "ftp://127.0.0.1", "nonsense", "http://127.0.0.1:1", "http://[::1"])
def test_other_addresses(tmp_path, source):
    with pytest.raises(DatasetError, match="cannot fetch train-images-idx3-ubyte"):
        fetch("mnist", tmp_path, source=source)


def test_unknown_name_and_a_folder_that_cannot_be(tmp_path):
    with pytest.raises(DatasetError, match=r'"\.\./x" cannot be fetched, allowed: mnist, fashion_mnist, cifar10'):
        fetch("../x", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="cannot make the folder"):
        fetch("mnist", tmp_path / "file")


def test_official_sets():
    assert set(SETS) == set(official.SETS)
    for name, one in SETS.items():
        assert name in ("mnist", "fashion_mnist", "cifar10")
        assert all(len(file.sha256) == 64 and file.size > 0 for file in one.files)
        assert len({file.sha256 for file in one.files}) == len(one.files)
