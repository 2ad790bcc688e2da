"""The line of ancestors of an algorithm: its overview, all its steps, and its data."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from engine.spec import SearchSpec
from webapp.experiments import access, code, figures, lineage, phylogeny, queries
from webapp.experiments.models import Algorithm, Find, Measurement
from webapp.experiments.specs import read_spec

TURNS = 12
"""Steps with the largest gains, which the page shows unfolded beside the first and the last one."""

DIFF_LINES = 6
FOLDED_EVENTS = 12
PER_PAGE = 200


def overview(row: Algorithm, find: Find, spec: SearchSpec, measurement: Measurement | None) -> dict[str, Any]:
    """Return the ancestry as an algorithm's page shows it: how many steps, the chart, the steps that mattered most."""
    step_count, events = lineage.story(find.island_id, find.birth)
    return {
        "step_count": step_count,
        "from_empty": bool(events) and is_empty_start(events[0]),
        "chart": figures.ancestry(find, spec, step_count, events, measurement) if step_count else None,
        "files": [
            ("SVG", reverse("experiments:ancestry-svg", args=[row.permalink])),
            ("JSON", reverse("experiments:ancestry-json", args=[row.permalink])),
            (_("phylogeny CSV"), reverse("experiments:phylogeny-csv", args=[row.permalink])),
        ],
        "turns": _turns(events, spec.search_tasks.features, appeared=frozenset(figures.appearances(find, measurement))),
    }


@require_safe
def steps(request, permalink: str):
    """Every step of the line, neutral ones too, in pages."""
    row = access.get_algorithm(request.user, permalink)
    find = first_find(request, row)
    spec = read_spec(find.search.spec)
    page = Paginator(range(find.depth + 1), PER_PAGE).get_page(request.GET.get("page"))
    numbers = page.object_list
    line = lineage.steps_between(find.island_id, find.birth, numbers[0], numbers[-1] + 1)
    entries = [_entry(step, spec.search_tasks.features) for step in line]
    return render(
        request, "experiments/ancestry.html", {"algorithm": row, "find": find, "page": page, "steps": entries}
    )


@require_safe
def as_json(request, permalink: str):
    row = access.get_algorithm(request.user, permalink)
    find = first_find(request, row)
    response = StreamingHttpResponse(_text(row, find), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{row.permalink}-ancestry.json"'
    return response


@require_safe
def as_phylogeny(request, permalink: str):
    """The line in the ALife phylogeny standard."""
    row = access.get_algorithm(request.user, permalink)
    find = first_find(request, row)
    response = StreamingHttpResponse(_phylogeny(find), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{row.permalink}-phylogeny.csv"'
    return response


def _phylogeny(find: Find) -> Iterator[str]:
    indexes = dict(find.search.islands.values_list("pk", "index"))
    line = (step for part in lineage.stretches(find.island_id, find.birth) for step in part)
    parent: int | None = None
    table = csv.writer(phylogeny.Echo())
    yield table.writerow(phylogeny.COLUMNS)
    for step in line:
        one = phylogeny.identity(indexes[step.island_id], step.birth)
        yield table.writerow(phylogeny.row(one, parent, step.birth, indexes[step.island_id], step.mutation, step.score))
        parent = one


def _text(row: Algorithm, find: Find) -> Iterator[str]:
    """Yield the line as one JSON object, stretch by stretch: it may be a million steps long."""
    head = {
        "permalink": row.permalink,
        "op_set_version": row.op_set_version,
        "search": find.search_id,
        "seed": find.search.seed,
        "program": row.program,
    }
    yield _compact(head)[:-1] + ',"steps":['
    separator = ""
    for stretch in lineage.stretches(find.island_id, find.birth):
        lines = [
            _compact({"birth": step.birth, "mutation": step.mutation, "score": step.score, "diff": step.diff})
            for step in stretch
        ]
        if lines:
            yield separator + ",\n".join(lines)
            separator = ",\n"
    yield "]}\n"


def _compact(data: dict) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def first_find(request, row: Algorithm) -> Find:
    """Return the find whose line is the algorithm's, or raise Http404."""
    finds = queries.finds_of(request.user, row)
    if not finds:
        raise Http404
    return finds[0]


def _turns(
    events: list[lineage.Step | lineage.Neutral], features_size: int | None, *, appeared: frozenset[int] = frozenset()
) -> list[dict]:
    """Return the steps that mattered most, each with what lies folded before it. appeared: others that matter, too."""
    steps = [event for event in events if isinstance(event, lineage.Step)]
    gains = figures.record_gains(steps)
    largest = sorted(gains, key=lambda number: -gains[number])[:TURNS]
    shown = {step.number for step in [*steps[:1], *steps[-1:]]} | set(largest) | appeared
    turns: list[dict] = []
    folded: list[lineage.Step | lineage.Neutral] = []
    for event in events:
        if isinstance(event, lineage.Step) and event.number in shown:
            turns += [*_fold(folded, features_size), _entry(event, features_size)]
            folded = []
        else:
            folded.append(event)
    return turns + _fold(folded, features_size)


def _fold(events: list[lineage.Step | lineage.Neutral], features_size: int | None) -> list[dict]:
    if not events:
        return []
    neutral = [event for event in events if isinstance(event, lineage.Neutral)]
    first = events[0].first if isinstance(events[0], lineage.Neutral) else events[0].number
    return [
        {
            "kind": "fold",
            "first": first,
            "page": first // PER_PAGE + 1,
            "neutral": sum(event.count for event in neutral),
            "copies": sum(event.copies for event in neutral),
            "small": len(events) - len(neutral),
            "entries": [_entry(event, features_size) for event in events[:FOLDED_EVENTS]],
            "left_out": max(len(events) - FOLDED_EVENTS, 0),
        }
    ]


def _entry(event: lineage.Step | lineage.Neutral, features_size: int | None) -> dict:
    """Return a step or a neutral stretch for the template."""
    if isinstance(event, lineage.Neutral):
        return {"kind": "neutral", "stretch": event, "page": event.first // PER_PAGE + 1}
    if is_empty_start(event):
        return {"kind": "step", "step": event, "lines": [], "more_lines": [], "is_empty": True}
    lines = code.diff_lines(event.diff, features_size=features_size)
    shown, more = code.first_lines(lines, DIFF_LINES)
    return {"kind": "step", "step": event, "lines": shown, "more_lines": more}


def is_empty_start(event: lineage.Step | lineage.Neutral) -> bool:
    """Whether a step is a first ancestor that does nothing."""
    return (
        isinstance(event, lineage.Step)
        and event.number == 0
        and all(line["op"] == "NO_OP" for hunk in event.diff for line in hunk["added"])
    )
