"""`manage.py fetch_dataset`: see tests/engine/test_fetch.py for the fetching itself."""

import hashlib
import io

import pytest
from django.core.management import CommandError, call_command

from engine.datasets.official import SETS, OfficialFile, OfficialSet
from tests.engine.test_fetch import CONTENT, server  # noqa: F401 - a fixture


def test_fetches_into_the_data_folder(server, tmp_path, monkeypatch):  # noqa: F811
    files = tuple(OfficialFile(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in CONTENT.items())
    monkeypatch.setitem(SETS, "mnist", OfficialSet("small", ("http://127.0.0.1:1/",), files))
    monkeypatch.setenv("ABOVO_DATA", str(tmp_path / "data"))
    out = io.StringIO()
    call_command("fetch_dataset", "mnist", source=server[0], stdout=out)
    assert (tmp_path / "data" / "mnist" / "two.gz").read_bytes() == b"second"
    assert "one.gz: 500,000 of 500,000 bytes" in out.getvalue()
    assert "two.gz: complete, checksum right" in out.getvalue()


def test_says_in_one_line_what_went_wrong(tmp_path, monkeypatch):
    monkeypatch.setenv("ABOVO_DATA", str(tmp_path))
    with pytest.raises(CommandError, match="dataset cifar10: cannot fetch cifar-10-binary"):
        call_command("fetch_dataset", "cifar10", source="http://127.0.0.1:1/")
    with pytest.raises(CommandError, match="invalid choice: 'nothing'"):
        call_command("fetch_dataset", "nothing")
