"""An algorithm's permalink: what it is, how good, where from, and its data to take away."""

from __future__ import annotations

import json
from collections.abc import Iterator

from django.core.paginator import Paginator
from django.http import Http404, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from engine.spec import SearchSpec
from webapp.experiments import access, charts, code, describe, lineage, queries, words
from webapp.experiments.annotation import Annotation
from webapp.experiments.models import Algorithm, Find, Measurement
from webapp.experiments.views import downloads

CALLOUTS = 5
TURNS = 12
"""Steps with the largest gains, which the page shows unfolded beside the first and the last one."""

DIFF_LINES = 6
FOLDED_EVENTS = 60

PER_PAGE = 200


@require_safe
def algorithm(request, permalink: str):
    row = access.get_algorithm(request.user, permalink)
    finds = queries.finds_of(request.user, row)
    find = finds[0] if finds else None
    spec = SearchSpec.from_json(find.search.spec) if find else None
    features_size = spec.search_tasks.features if spec else None
    functions, annotation = code.annotated(row, features_size=features_size)
    measurement = queries.measurement_of(finds) if finds else None
    title = words.title(row, annotation, spec)
    step_count, events = lineage.story(find.island_id, find.birth) if find else (0, [])
    return render(
        request,
        "experiments/algorithm.html",
        {
            "algorithm": row,
            "find": find,
            "finds": finds,
            "same": queries.same_algorithms(request.user, row),
            "spec": spec,
            "task_words": describe.task_words(spec.search_tasks) if spec else "",
            "score_name": describe.score_name(spec) if spec else "",
            "scores": _scores(find, spec, measurement) if find else [],
            "learning": _learning_chart(measurement, spec) if measurement and measurement.data else None,
            "learning_words": _learning_words(finds, measurement) if finds else "",
            "title": title,
            "downloads": downloads.links(
                row,
                explained=annotation is not None,
                with_ancestry=find is not None,
                with_curve=bool(measurement and measurement.data),
            ),
            "citation": downloads.citation(request, row, title=title, found_at=find.found_at if find else None),
            "sentences": words.sentences(annotation),
            "motifs": _motifs(annotation, functions),
            "verdict": describe.verdict(find, spec) if find else "",
            "functions": functions,
            "annotated": annotation is not None,
            "dead": code.dead_count(functions),
            "step_count": step_count,
            # Called by the template where the rendered ancestry is not kept: it never changes, and is most of the page.
            "turns": lambda: _turns(events, features_size),
            "ancestry_chart": lambda: _ancestry_chart(find, spec, step_count, events) if step_count else None,
        },
    )


@require_safe
def without_slash(request, permalink: str):
    """The permalink has no slash at its end."""
    return redirect("experiments:algorithm", permalink=permalink, permanent=True)


@require_safe
def ancestry(request, permalink: str):
    """Every step of the line, neutral ones too, in pages."""
    row = access.get_algorithm(request.user, permalink)
    find = _first_find(request, row)
    spec = SearchSpec.from_json(find.search.spec)
    page = Paginator(range(find.depth + 1), PER_PAGE).get_page(request.GET.get("page"))
    numbers = page.object_list
    line = lineage.steps_between(find.island_id, find.birth, numbers[0], numbers[-1] + 1)
    steps = [_entry(step, spec.search_tasks.features) for step in line]
    return render(request, "experiments/ancestry.html", {"algorithm": row, "find": find, "page": page, "steps": steps})


@require_safe
def program_json(request, permalink: str):
    row = access.get_algorithm(request.user, permalink)
    data = {
        "permalink": row.permalink,
        "op_set_version": row.op_set_version,
        "sha256": bytes(row.digest).hex(),
        "program": row.program,
    }
    return _download(data, f"{row.permalink}.json")


@require_safe
def ancestry_json(request, permalink: str):
    row = access.get_algorithm(request.user, permalink)
    find = _first_find(request, row)
    response = StreamingHttpResponse(_ancestry_text(row, find), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{row.permalink}-ancestry.json"'
    return response


def _ancestry_text(row: Algorithm, find: Find) -> Iterator[str]:
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


def _download(data: dict, name: str) -> JsonResponse:
    response = JsonResponse(data, json_dumps_params={"ensure_ascii": False, "allow_nan": False})
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _first_find(request, row: Algorithm) -> Find:
    finds = queries.finds_of(request.user, row)
    if not finds:
        raise Http404
    return finds[0]


def _motifs(annotation: Annotation | None, functions: list[code.Listing]) -> list[dict]:
    """Return the motifs with what they are and the lines that they are made of."""
    return [
        {
            "slug": words.motif_slug(name),
            "name": words.motif(name),
            "sentence": words.motif_sentence(name),
            "lines": [
                {"anchor": f"{function.name}-{line.number}", "title": function.title, "number": number}
                for function in functions
                for number, line in enumerate(function.live_lines, start=1)
                if line.role and name in line.role.motifs
            ],
        }
        for name in (annotation.motifs if annotation else ())
    ]


def _scores(find: Find, spec: SearchSpec, measurement: Measurement | None) -> list[dict]:
    """Return the scores on T_search, T_select and T_test: error, single tasks, and how the baselines do on the same."""
    roles = (
        ("search", "T_search", find.score, spec.search_tasks, None),
        ("select", "T_select", find.select_score, spec.select_tasks, find.select_scores),
        ("final", "T_test", find.final_score, spec.final_tasks, find.final_scores),
    )
    data = measurement.data if measurement and measurement.find_id == find.pk else None
    entries = []
    for role, name, score, tasks, stored in roles:
        if score is None or tasks is None:
            continue
        known = data["tasks"].get(role, {}) if data else {}
        single = known.get("found") or stored or []
        baselines = describe.baselines_of(find.search, role)
        models = [("baseline", title, value) for title, value in baselines] + [("best", "", score)]
        entries.append(
            {
                "role": role,
                "name": name,
                "score": score,
                "error": charts.mean_and_error(single)[1],
                "words": describe.task_words(tasks),
                "baselines": baselines,
                "strip": charts.strip(single, models, floor=queries.chance(spec)),
                "wins": _wins(single, known),
                "single": single,
            }
        )
    return entries


def _wins(single: list, known: dict[str, list]) -> list[str]:
    """Return on how many of the tasks the algorithm is better than each of the hand-designed models."""
    return [
        _("above the %(model)s on %(won)d of %(all)d tasks")
        % {
            "model": title,
            "won": sum(a is not None and b is not None and a > b for a, b in zip(single, known[name], strict=True)),
            "all": len(single),
        }
        for name, title in describe.BASELINE_TITLES.items()
        if len(known.get(name, ())) == len(single) > 0
    ]


def _learning_words(finds: list[Find], measurement: Measurement | None) -> str:
    """Return why there is no learning curve, or what is to be known of the one there is."""
    if measurement and measurement.data:
        return ""
    if measurement and measurement.failure_reason:
        return _("The learning curve could not be measured: %(reason)s") % {"reason": measurement.failure_reason}
    if measurement or any(find.search.result_id == find.pk and not find.search.is_active for find in finds):
        return _("The learning curve is being measured. It will stand here within a minute or so.")
    if any(find.search.is_active for find in finds):
        return _("The learning curve is measured when the search has ended, of the program that it chooses.")
    return _(
        "No learning curve: it is measured of the program that a search chooses, and this one was a step on the way."
    )


def _learning_chart(measurement: Measurement, page_spec: SearchSpec) -> charts.Chart:
    data, search = measurement.data, measurement.find.search
    spec = page_spec if search.spec == page_spec.to_json() else SearchSpec.from_json(search.spec)
    examples, curve = data["examples"], data["curve"]
    tasks = getattr(spec, f"{data['role']}_tasks")
    found = curve["found"]
    titles = {name: str(title) for name, title in describe.BASELINE_TITLES.items() if name in curve}
    name = describe.score_name(spec)
    return charts.build(
        id="learning-chart",
        title=_("%(name)s against training examples seen") % {"name": name.capitalize()},
        description=_("Median %(first)s after %(few)s, %(last)s after %(many)s training examples.")
        % {
            "first": charts.score_text(found[0][1]),
            "few": describe.count(examples[0]),
            "last": charts.score_text(found[-1][1]),
            "many": describe.count(examples[-1]),
        },
        x_title=_("training examples seen"),
        y_title=_("%(name)s in validation, median and quartiles of %(n)d tasks") % {"name": name, "n": tasks.count},
        series=[
            *(
                charts.Series("baseline", title, [(n, row[1]) for n, row in zip(examples, curve[one], strict=True)])
                for one, title in titles.items()
            ),
            charts.Series("best", _("this one"), [(n, row[1]) for n, row in zip(examples, found, strict=True)]),
        ],
        band=[
            (n, low, high)
            for n, (low, _median, high) in zip(examples, found, strict=True)
            if low is not None and high is not None
        ],
        x_range=(examples[0], examples[-1]),
        y_floor=queries.chance(spec),
        y_ceiling=1.0,
        log_x=examples,
        columns=[_("examples"), _("median"), _("lower quartile"), _("upper quartile"), *titles.values()],
        rows=[
            [
                describe.count(n),
                *(charts.score_text(row[part]) for part in (1, 0, 2)),
                *(charts.score_text(curve[one][index][1]) for one in titles),
            ]
            for index, (n, row) in enumerate(zip(examples, found, strict=True))
        ],
    )


def _turns(events: list[lineage.Step | lineage.Neutral], features_size: int | None) -> list[dict]:
    """Return the steps that mattered most, each with what lies folded before it."""
    steps = [event for event in events if isinstance(event, lineage.Step)]
    gains = _record_gains(steps)
    largest = sorted(gains, key=lambda number: -gains[number])[:TURNS]
    shown = {step.number for step in [*steps[:1], *steps[-1:]]} | set(largest)
    turns: list[dict] = []
    folded: list[lineage.Step | lineage.Neutral] = []
    for event in events:
        if isinstance(event, lineage.Step) and event.number in shown:
            turns += [*_fold(folded, features_size), _entry(event, features_size)]
            folded = []
        else:
            folded.append(event)
    return turns + _fold(folded, features_size)


def _record_gains(steps: list[lineage.Step]) -> dict[int, float]:
    """Return by how much each step raised the best score of the line so far; steps that did not are left out."""
    best: float | None = None
    gains = {}
    for step in steps:
        if step.score is None:
            continue
        if best is not None and step.score > best:
            gains[step.number] = step.score - best
        best = step.score if best is None else max(best, step.score)
    return gains


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
    lines = code.diff_lines(event.diff, features_size=features_size)
    return {"kind": "step", "step": event, "lines": lines[:DIFF_LINES], "more_lines": lines[DIFF_LINES:]}


def _ancestry_chart(
    find: Find, spec: SearchSpec, step_count: int, events: list[lineage.Step | lineage.Neutral]
) -> charts.Chart:
    scored = [event for event in events if isinstance(event, lineage.Step) and event.score is not None]
    gains = _record_gains(scored)
    called = sorted((number for number in gains if gains[number] >= 0.005), key=lambda number: -gains[number])[
        :CALLOUTS
    ]
    changes = [step for step in scored if step.gain is not None and step.gain != 0.0]
    floor = queries.chance(spec)
    stride = max(1, len(changes) // 24)
    table = [*scored[:1], *changes[::-1][::stride][::-1]]
    name = describe.score_name(spec)
    return charts.build(
        id="ancestry-chart",
        title=_("Score of each ancestor against its birth"),
        description=_("%(steps)d steps, from %(first)s to %(last)s.")
        % {
            "steps": step_count,
            "first": charts.score_text(scored[0].score if scored else None),
            "last": charts.score_text(find.score),
        },
        x_title=_("birth (programs tried before it)"),
        y_title=_("%(name)s on the search tasks") % {"name": name},
        series=[
            charts.Series(
                "best",
                _("this line"),
                [*((step.birth, step.score) for step in scored), (find.birth, find.score)],
                step=True,
            )
        ],
        baselines=[charts.Baseline(label, score) for label, score in describe.baselines_of(find.search)],
        milestones=[
            charts.Milestone(
                x=step.birth,
                y=max(step.score, floor),
                title=_("Step %(n)d, %(what)s: %(gain)s")
                % {"n": step.number, "what": describe.mutation_words(step.mutation), "gain": charts.signed(step.gain)},
                callout=charts.signed(gains[step.number]) if step.number in called else "",
                href=f"#step-{step.number}",
            )
            for step in changes
            if step.number in gains
        ],
        x_range=(0, max(find.birth, 1)),
        y_floor=floor,
        columns=[_("step"), _("birth"), _("mutation"), _("score"), _("change")],
        rows=[
            [
                str(step.number),
                describe.count(step.birth),
                describe.mutation_words(step.mutation),
                charts.score_text(step.score),
                charts.signed(step.gain) if step.gain is not None else "–",
            ]
            for step in table
        ],
    )
