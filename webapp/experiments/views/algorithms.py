"""An algorithm's permalink: what it is, how good, where from, and what can be done with it."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from engine.spec import SearchSpec
from webapp.experiments import access, code, describe, figures, queries, share, words
from webapp.experiments.annotation import Annotation
from webapp.experiments.models import Evaluation, Find, Measurement
from webapp.experiments.specs import read_spec
from webapp.experiments.views import ancestry, downloads
from webapp.experiments.views.evaluations import datasets_for

HTMX_STOP_POLLING = 286


@require_safe
def algorithm(request, permalink: str):
    row = access.get_algorithm(request.user, permalink)
    finds = queries.finds_of(request.user, row)
    find = finds[0] if finds else None
    spec = read_spec(find.search.spec) if find else None
    features_size = spec.search_tasks.features if spec else None
    measurement = queries.measurement_of(finds) if finds else None
    data = measurement.data if measurement else None
    functions, annotation = code.annotated(
        row, features_size=features_size, knockouts=data.get("knockouts") if data else None
    )
    evaluations = queries.evaluations_of(finds)
    title = words.title(row, annotation, spec)
    verdict = describe.verdict(find, spec) if find else ""
    may_launch = access.may_launch(request.user)
    return render(
        request,
        "experiments/algorithm.html",
        {
            "algorithm": row,
            "find": find,
            "finds": finds,
            "finds_shown": queries.FINDS_SHOWN,
            "same": queries.same_algorithms(request.user, row),
            "title": title,
            "verdict": verdict,
            "sentences": words.sentences(annotation),
            "motifs": motifs_of(annotation, functions, data),
            "functions": functions,
            "annotated": annotation is not None,
            "knocked": knock_words(data, spec) if data and spec else "",
            "dead": code.dead_count(functions),
            "spec": spec,
            "scores": figures.scores(find, spec, measurement) if find else [],
            "learning": figures.learning(measurement) if data else None,
            "learning_words": _learning_words(finds, measurement) if finds else "",
            "learning_failed": bool(measurement and measurement.failure_reason),
            "curve_files": [("SVG", downloads.address(row, "curve-svg")), ("CSV", downloads.address(row, "curve-csv"))],
            "measuring": is_waiting(measurement),
            "may_launch": may_launch,
            "may_measure": may_launch
            and find is not None
            and (measurement is None or bool(measurement.failure_reason)),
            "evaluations": [_evaluation(one) for one in evaluations],
            "evaluation_datasets": datasets_for(request.user, find) if find and may_launch else [],
            "waiting": waiting_count(measurement, evaluations),
            "downloads": downloads.links(
                row, explained=annotation is not None, with_ancestry=find is not None, with_curve=data is not None
            ),
            "citation": downloads.citation(request, row, title=title, found_at=find.found_at if find else None),
            "share": share.Sharing.of(
                request, row, title=title, words=verdict or " ".join(words.sentences(annotation))
            ),
            # Called by the template where the rendered ancestry is not kept: it never changes, and is most of the page.
            "ancestry": lambda: ancestry.overview(row, find, spec, measurement),
            "ancestry_key": f"{find.pk if find else 0}/{get_language()}/{measurement.version if data else 0}",
        },
    )


@require_safe
def without_slash(request, permalink: str):
    """The permalink has no slash at its end."""
    return redirect("experiments:algorithm", permalink=permalink, permanent=True)


@require_safe
def state(request, permalink: str):
    """What a page polls that waits for a worker: asks for a new page once less is waiting than it knows of."""
    row = access.get_algorithm(request.user, permalink)
    if not request.htmx:
        return redirect(row)
    finds = queries.finds_of(request.user, row)
    known = request.GET.get("waiting", "")
    now = waiting_count(queries.measurement_of(finds) if finds else None, queries.evaluations_of(finds))
    response = HttpResponse(status=HTMX_STOP_POLLING if now == 0 else 204)
    if known.isdecimal() and now < int(known):
        response["HX-Refresh"] = "true"
    response["Cache-Control"] = "no-store"
    return response


def is_waiting(measurement: Measurement | None) -> bool:
    """Whether a worker is at the measurement, or will be."""
    return measurement is not None and measurement.data is None and not measurement.failure_reason


def waiting_count(measurement: Measurement | None, evaluations: list[Evaluation]) -> int:
    """Return for how much a page waits."""
    return is_waiting(measurement) + sum(one.done_at is None for one in evaluations)


def motifs_of(
    annotation: Annotation | None, functions: list[code.Listing], data: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """Return the motifs with what they are, the lines that they are made of, and what the score does without them."""
    knocks = ((data or {}).get("knockouts") or {}).get("motifs", {})
    return [
        {
            "slug": words.motif_slug(name),
            "name": words.motif(name),
            "sentence": words.motif_sentence(name),
            "knock": code.Knock(*knocks[name][:2], 0.0, *knocks[name][2:3]) if name in knocks else None,
            "lines": [
                {"anchor": f"{function.name}-{line.number}", "title": function.title, "number": number}
                for function in functions
                for number, line in enumerate(function.live_lines, start=1)
                if line.role and name in line.role.motifs
            ],
        }
        for name in (annotation.motifs if annotation else ())
    ]


def knock_words(data: dict[str, Any], spec: SearchSpec) -> str:
    """Return what the numbers beside the lines are; "" where there are none."""
    knockouts = data.get("knockouts")
    if not knockouts:
        return ""
    name = {"search": "T_search", "select": "T_select"}[data["role"]]
    return _(
        "“Without it”: how the mean %(score)s on the %(n)d tasks of %(tasks)s changes when the line is taken out and all else "
        "stays; ± is its standard error over tasks. Bars compare the losses with the largest."
    ) % {"score": describe.score_name(spec), "n": knockouts["tasks"], "tasks": name}


def _learning_words(finds: list[Find], measurement: Measurement | None) -> str:
    """Return why there is no learning curve, or "" where there is one."""
    if measurement and measurement.data:
        return ""
    if measurement and measurement.failure_reason:
        return _("It could not be measured: %(reason)s") % {"reason": measurement.failure_reason}
    if measurement and measurement.claimed_at is None:
        return _("Waiting for a worker that measures it.")
    if measurement or any(find.search.result_id == find.pk and not find.search.is_active for find in finds):
        return _("The learning curve is being measured. It will stand here within a minute or so.")
    if any(find.search.is_active for find in finds):
        return _("The learning curve is measured when the search has ended, of the program that it chooses.")
    return _(
        "No learning curve: it is measured of the program that a search chooses, and this one was a step on the way."
    )


def _evaluation(one: Evaluation) -> dict[str, Any]:
    """Return an evaluation for the template."""
    entry: dict[str, Any] = {"row": one, "state": "waiting" if one.claimed_at is None else "running"}
    if one.failure_reason:
        entry["state"] = "failed"
    elif one.data:
        spec = read_spec(one.find.search.spec)
        entry |= {"state": "done", **figures.evaluation(one, spec)}
    return entry
