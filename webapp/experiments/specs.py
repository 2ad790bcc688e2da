"""Stored specifications, read once: a list of searches would spend most of its time on reading them."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from django.db.models import TextField
from django.db.models.functions import Cast

from engine.spec import SearchSpec
from webapp.experiments.models import Search

KEPT = 512


def read_spec(data: dict[str, Any]) -> SearchSpec:
    """Return a stored specification; the same object for the same data, so nobody may change it. Raises SpecError."""
    return read_text(json.dumps(data, separators=(",", ":"), ensure_ascii=False))


def as_text(path: str) -> Cast:
    """Return a stored specification, for annotate(), as the text that read_text takes: lists repeat the same few."""
    return Cast(path, TextField())


def task_type(search: Search) -> str:
    """Return what a search's programs predict, as exports name it: "classification" or "regression"."""
    return "classification" if read_spec(search.spec).search_tasks.is_accuracy else "regression"


@lru_cache(maxsize=KEPT)
def read_text(text: str) -> SearchSpec:
    """Return a specification that is still the text it is stored as; see read_spec."""
    return SearchSpec.from_json(json.loads(text))
