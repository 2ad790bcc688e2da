"""The cast: an owner, a stranger, an administrator; and searches that a scripted engine runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.presets import preset

from .scripted import ScriptedEngine

HERE = Path(__file__).parent

# This file may be read before Django is set up: whatever needs models is imported by the fixtures.

ONCE = {
    "test_algorithm_page", "test_annotation", "test_api_schema", "test_appearances", "test_charts", "test_client", "test_compare",
    "test_datasets", "test_downloads", "test_evaluate", "test_evaluations", "test_fetch_dataset", "test_forgot", "test_fuzz_pages", "test_language",
    "test_markdown", "test_marks", "test_not_finite", "test_notices", "test_pages", "test_people", "test_permalinks",
    "test_permissions", "test_search_list", "test_security", "test_share", "test_sign_in", "test_spec_form", "test_studies",
    "test_translations", "test_webhook",
}  # fmt: skip
"""Modules that send the workers nothing and ask the database in Django's words alone: the servers' run would show the same."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == HERE and item.path.stem in ONCE:
            item.add_marker(pytest.mark.once)


@pytest.fixture(autouse=True)
def messages(monkeypatch):
    """Messages that would have been sent to the workers, as (island id, attempt)."""
    from webapp.experiments.services import dispatch

    sent = []
    monkeypatch.setattr(dispatch, "_send", lambda island_id, attempt: sent.append((island_id, attempt)))
    return sent


@pytest.fixture
def engine(monkeypatch, settings):
    """The scripted engine in the real one's place; slices end after one run, turns after one slice."""
    from webapp.experiments.services import live, slices
    from webapp.lib import stopping

    settings.ABOVO_TURN_SECONDS = 0
    monkeypatch.setattr("engine.search.Search", ScriptedEngine)
    monkeypatch.setattr(slices, "slice_seconds", lambda slice_number: 0.0)
    monkeypatch.setattr(slices, "ensure_baselines", lambda search: None)
    monkeypatch.setattr(stopping, "requested", lambda: False)
    for name, value in {"births_at_end": 1_000_000, "fail": None, "runs": 0, "starts": 0, "restores": 0}.items():
        monkeypatch.setattr(ScriptedEngine, name, value)
    live._live.clear()
    yield ScriptedEngine
    live._live.clear()


@pytest.fixture
def nothing_kept():
    """Forget what processes keep of programs that pages have shown, before and after."""
    from webapp.experiments import annotation, code

    def forget():
        for kept in (annotation._explained, annotation._ordered, code._annotated):
            kept.cache_clear()

    forget()
    yield
    forget()


@pytest.fixture
def owner(django_user_model):
    return django_user_model.objects.create_user("owner")


@pytest.fixture
def stranger(django_user_model):
    return django_user_model.objects.create_user("stranger")


@pytest.fixture
def administrator(django_user_model):
    return django_user_model.objects.create_superuser("administrator")


@pytest.fixture
def digits():
    """The preset's specification, for a minute, in one stage: who changes its limits has changed all there are."""
    spec = preset("digits")
    return replace(spec, stages=(), stop=replace(spec.stop, max_seconds=60.0))


@pytest.fixture
def make_search(db, digits):
    """A function that launches a search; keywords as for launch_search."""
    from webapp.experiments.services.launch import launch_search

    def make(**values):
        return launch_search(**{"spec": digits, "seed": 1, **values})

    return make


@pytest.fixture
def run(engine):
    """A function that runs a search's first island for some slices, as the messages in the queue would."""
    from webapp.experiments.services import slices

    def run(search, times=1):
        outcome = None
        for _ in range(times):
            island = search.islands.get()
            outcome = slices.run_slices(island_id=island.pk, attempt=island.attempt)
        search.refresh_from_db()
        return outcome

    return run
