"""Stored specifications, read once: a list of searches would spend most of its time on reading them."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from engine.spec import SearchSpec
from webapp.experiments.models import Search

KEPT = 512


def read_spec(data: dict[str, Any]) -> SearchSpec:
    """Return a stored specification; the same object for the same data, so nobody may change it. Raises SpecError."""
    return _read(json.dumps(data))


def task_type(search: Search) -> str:
    """Return what a search's programs predict, as exports name it: "classification" or "regression"."""
    return "classification" if read_spec(search.spec).search_tasks.is_accuracy else "regression"


@lru_cache(maxsize=KEPT)
def _read(text: str) -> SearchSpec:
    return SearchSpec.from_json(json.loads(text))
