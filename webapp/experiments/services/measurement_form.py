"""Check a measurement that came from elsewhere: pages read it as if it had been made here."""

from __future__ import annotations

from typing import Any

from engine.bundle import BundledFind, BundleError
from engine.bundle.form import number, score, whole
from engine.motifs import MOTIFS
from engine.spec import SearchSpec
from webapp.experiments.services.baselines import SHOWN
from webapp.experiments.services.measure import FOUND, VERSION, example_counts

_FIELDS = {"version", "examples", "role", "curve", "single", "tasks", "knockouts", "motifs"}


def check_measurement(data: dict[str, Any], find: BundledFind, spec: SearchSpec) -> None:
    """Raise BundleError unless the data has the form that services.measure describes, and fits the find.

    Only data of this version is taken in; exports leave out any other.
    """
    if set(data) != _FIELDS or data["version"] != VERSION:
        raise BundleError(f"measurement: not one of version {VERSION}")
    role = "select" if spec.select_tasks is not None else "search"
    tasks = getattr(spec, f"{role}_tasks")
    if data["role"] != role:
        raise BundleError(f"measurement.role: expected {role}")
    if data["examples"] != example_counts(tasks.train_examples):
        raise BundleError("measurement.examples: not those of the specification's tasks")
    points = len(data["examples"])
    curve = _table(data["curve"], "curve", {FOUND, *SHOWN}, {FOUND})
    for name, rows in curve.items():
        _rows(rows, f"curve.{name}", points, 3)
    _rows(data["single"], "single", points, tasks.count)
    roles = {name for name in ("search", "select", "final") if getattr(spec, f"{name}_tasks") is not None}
    for name, models in _table(data["tasks"], "tasks", roles, roles).items():
        count = getattr(spec, f"{name}_tasks").count
        for model, scores in _table(models, f"tasks.{name}", {FOUND, *SHOWN}, set()).items():
            _rows([scores], f"tasks.{name}.{model}", 1, count)
        _agree(models.get(FOUND), find, name)
    if data["knockouts"] is not None:
        _knockouts(data["knockouts"], find)
    for name, place in _table(data["motifs"], "motifs", set(MOTIFS), set()).items():
        if not isinstance(place, list) or len(place) != 3:
            raise BundleError(f"measurement.motifs.{name}: expected [step, birth, score]")
        whole(place[0], f"measurement.motifs.{name}", 0, 2**62)
        whole(place[1], f"measurement.motifs.{name}", 0, 2**62)
        score(place[2], f"measurement.motifs.{name}")


def _agree(scores: list | None, find: BundledFind, role: str) -> None:
    """Raise BundleError where the scores on tasks are not those that the find claims."""
    if scores is None:
        return
    claimed = {"search": find.score, "select": find.select_score, "final": find.final_score}[role]
    if claimed is None or None in scores or abs(sum(scores) / len(scores) - claimed) > 1e-9:
        raise BundleError(f"measurement.tasks.{role}: not the find's own score")


def _knockouts(data: Any, find: BundledFind) -> None:
    lengths = dict(zip(("setup", "predict", "learn"), map(len, find.algorithm.functions)))
    names = {"fitness", "tasks", "seeds", "motifs", *lengths}
    _table(data, "knockouts", names, names)
    number(data["fitness"], "measurement.knockouts.fitness", -1e9, 1e9)
    whole(data["tasks"], "measurement.knockouts.tasks", 1, 10**6)
    whole(data["seeds"], "measurement.knockouts.seeds", 1, 10**6)
    for name, length in lengths.items():
        _rows(data[name], f"knockouts.{name}", length, 3)
        if any(row[0] is None for row in data[name]):
            raise BundleError(f"measurement.knockouts.{name}: a change is missing")
    for name, row in _table(data["motifs"], "knockouts.motifs", set(MOTIFS), set()).items():
        _rows([row], f"knockouts.motifs.{name}", 1, 3)


def _table(value: Any, place: str, allowed: set[str], needed: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or not needed <= set(value) <= allowed:
        raise BundleError(f"measurement.{place}: expected a table of {', '.join(sorted(allowed))}")
    return value


def _rows(value: Any, place: str, rows: int, columns: int) -> None:
    """Raise BundleError unless the value is so many rows of so many scores."""
    if not isinstance(value, list) or len(value) != rows:
        raise BundleError(f"measurement.{place}: expected {rows} rows")
    for row in value:
        if not isinstance(row, list) or len(row) != columns:
            raise BundleError(f"measurement.{place}: expected rows of {columns} numbers")
        for one in row:
            score(one, f"measurement.{place}")
