"""Two to four algorithms side by side; the address says which, so that it can be shared."""

from __future__ import annotations

import re
from typing import Any

from django.http import Http404
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from engine.algorithm import Algorithm as Program
from webapp.experiments import access, code, comparison, describe, figures, queries, svg, words
from webapp.experiments.annotation import canonical_form
from webapp.experiments.specs import read_spec
from webapp.experiments.views import downloads

MOST = 4
SUGGESTED = 8
KINDS = ("best", "second", "third", "fourth")
"""Style classes of the curves and columns, in order."""

_PERMALINK = re.compile(r"(?:^|.*/a/|a/)([1-9A-HJ-NP-Za-km-z]{10,48})(?:[/?#].*)?")


@require_safe
def compare(request):
    entries, unknown = _entries(request)
    too_many = max(len(_asked(request)) - MOST, 0)
    programs = [entry["program"] for entry in entries]
    sizes = {entry["features_size"] for entry in entries}
    chosen = [entry["row"].permalink for entry in entries]
    return render(
        request,
        "experiments/compare.html",
        {
            "entries": entries,
            "unknown": unknown,
            "too_many": too_many,
            "sections": comparison.align(programs, features_size=sizes.pop() if len(sizes) == 1 else None)
            if len(entries) > 1
            else [],
            "roles": _score_rows(entries),
            "chart": figures.learning_together(_measured(entries)),
            "unmeasured": [entry for entry in entries if not (entry["measurement"] and entry["measurement"].data)],
            "files": [("SVG", f"{reverse('experiments:compare-svg')}?{_query(chosen)}")],
            "room": MOST - len(entries),
            "suggestions": _suggestions(request.user, entries) if len(entries) < MOST else [],
            "address": request.build_absolute_uri(f"{reverse('experiments:compare')}?{_query(chosen)}"),
        },
        status=404 if unknown else 200,
    )


@require_safe
def compare_svg(request):
    """The curves of the comparison as a file."""
    entries, unknown = _entries(request)
    chart = figures.learning_together(_measured(entries))
    if unknown or chart is None:
        raise Http404
    return svg.response(svg.standalone(chart), "abovo-comparison.svg")


def _asked(request) -> list[str]:
    """Return what was asked for, each once."""
    return list(dict.fromkeys(text.strip() for text in request.GET.getlist("a") if text.strip()))


def _entries(request) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what is known of the algorithms asked for, and what nobody may see or nobody knows."""
    entries, unknown = [], []
    for text in _asked(request)[:MOST]:
        match = _PERMALINK.fullmatch(text)
        try:
            if match is None:
                raise Http404
            row = access.get_algorithm(request.user, match[1])
        except Http404:
            unknown.append(text[:80])
            continue
        if row.pk not in {entry["row"].pk for entry in entries}:
            entries.append(_entry(request, row))
    for entry, kind in zip(entries, KINDS, strict=False):
        others = [one["row"].permalink for one in entries if one is not entry]
        entry |= {"kind": kind, "without": f"{reverse('experiments:compare')}?{_query(others)}"}
    return entries, unknown


def _query(permalinks: list[str]) -> str:
    return urlencode([("a", one) for one in permalinks])


def _entry(request, row) -> dict[str, Any]:
    finds = queries.finds_of(request.user, row)
    find = finds[0] if finds else None
    spec = read_spec(find.search.spec) if find else None
    features_size = spec.search_tasks.features if spec else None
    _functions, annotation = code.annotated(row, features_size=features_size)
    measurement = queries.measurement_of(finds) if finds else None
    return {
        "row": row,
        "find": find,
        "features_size": features_size,
        "title": words.title(row, annotation, spec),
        "motifs": [words.motif(name) for name in (annotation.motifs if annotation else ())],
        "program": canonical_form(Program.from_json(row.program)),
        "measurement": measurement,
        "scores": {entry["role"]: entry for entry in figures.scores(find, spec, measurement)} if find and spec else {},
        "task_words": describe.task_words(spec.search_tasks) if spec else "",
        "address": downloads.absolute_url(request, row),
    }


def _measured(entries: list[dict[str, Any]]) -> list[tuple[str, str, Any]]:
    return [
        (entry["kind"], entry["row"].permalink[:10], entry["measurement"])
        for entry in entries
        if entry["measurement"] and entry["measurement"].data
    ]


def _score_rows(entries: list[dict[str, Any]]) -> list[tuple[str, list[dict | None]]]:
    """Return (name, entry of each algorithm or None) for each role that any has a score for."""
    rows = []
    for role, name in (("search", "T_search"), ("select", "T_select"), ("final", "T_test")):
        cells = [entry["scores"].get(role) for entry in entries]
        if any(cells):
            rows.append((name, cells))
    return rows


def _suggestions(user, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what could stand beside them: what the same searches found before, else the latest discoveries."""
    chosen = [entry["row"].permalink for entry in entries]
    rows = queries.related_algorithms(user, [entry["find"] for entry in entries if entry["find"]], leave_out=chosen)
    base = reverse("experiments:compare")
    return [
        {"row": find.algorithm, "find": find, "href": f"{base}?{_query([*chosen, find.algorithm.permalink])}"}
        for find in rows[:SUGGESTED]
    ]
