"""Whether the engine counts as compiled: numba goes by path and date of its sources, so the mark does."""

import os
import shutil
from pathlib import Path

import pytest

from webapp.lib import warm

pytestmark = pytest.mark.once


@pytest.fixture
def sources(tmp_path) -> Path:
    base = tmp_path / "one"
    (base / "engine").mkdir(parents=True)
    (base / "requirements.txt").write_text("numba==1\n")
    (base / "engine" / "a.py").write_text("a = 1\n")
    return base


def test_the_same_sources_are_compiled_once(sources):
    assert warm._digest(sources) == warm._digest(sources)


def test_a_checkout_compiles_anew(sources):
    before = warm._digest(sources)
    os.utime(sources / "engine" / "a.py", (1, 1))
    assert warm._digest(sources) != before


def test_another_place_compiles_anew(sources):
    shutil.copytree(sources, sources.parent / "two")
    assert warm._digest(sources) != warm._digest(sources.parent / "two")


def test_another_processor_compiles_anew(sources, monkeypatch):
    before = warm._digest(sources)
    monkeypatch.setattr(warm, "_processor", lambda: "flags: none")
    assert warm._digest(sources) != before


def test_what_is_marked_is_not_compiled_again(tmp_path):
    (tmp_path / "compiled").write_text(warm._digest())
    warming = warm.Warming(tmp_path, dict(os.environ))
    assert warming.process is None and warming.finish()
