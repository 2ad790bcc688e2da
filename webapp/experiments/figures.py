"""The figures of an algorithm: how it learns, its scores on tasks, and its line of ancestors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from django.utils.translation import gettext as _

from engine.spec import SearchSpec, TaskSpec
from webapp.experiments import charts, describe, lineage, queries, words
from webapp.experiments.drawing import MEDIUM, NARROW, WIDE, Shape
from webapp.experiments.models import Evaluation, Find, Measurement
from webapp.experiments.specs import read_spec

CALLOUTS = 5
SMALLEST_CALLOUT = 0.005
TABLE_ROWS = 24
EARLY = 0.1
"""Of a line's births: where most of its gains lie before that, the axis of births is logarithmic."""


def learning(measurement: Measurement, *, shapes: Sequence[Shape] = (MEDIUM, NARROW)) -> charts.Chart:
    """Return the score against training examples seen: each task thin, the median with quartiles, the known models dashed."""
    data, spec = measurement.data, read_spec(measurement.find.search.spec)
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
        y_title=_("%(name)s: median, quartiles, each of %(n)d tasks") % {"name": name, "n": tasks.count}
        if data.get("single")
        else _("%(name)s: median and quartiles of %(n)d tasks") % {"name": name, "n": tasks.count},
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
        threads=[list(zip(examples, one, strict=True)) for one in zip(*data.get("single", ()), strict=True)],
        x_range=(examples[0], examples[-1]),
        y_floor=queries.chance(spec),
        y_ceiling=1.0,
        log_x=True,
        shapes=shapes,
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


def learning_together(
    measured: Sequence[tuple[str, str, Measurement]], *, shapes: Sequence[Shape] = (WIDE, NARROW)
) -> charts.Chart | None:
    """Return the median learning curves of several algorithms in one chart; None for none.

    measured: (style class, label, measurement) of each. The hand-designed models are drawn where all were measured on
    tasks of one kind.
    """
    if not measured:
        return None
    specs = [read_spec(one.find.search.spec) for _kind, _label, one in measured]
    curves = [(kind, label, one.data["examples"], one.data["curve"]) for kind, label, one in measured]
    alike = len({(one.select_tasks or one.search_tasks) for one in specs}) == 1
    _kind, _label, examples, first = curves[0]
    titles = {name: str(title) for name, title in describe.BASELINE_TITLES.items() if name in first} if alike else {}
    everywhere = sorted({n for _kind, _label, counts, _curve in curves for n in counts})
    name = describe.score_name(specs[0])
    by_count = [dict(zip(counts, curve["found"], strict=True)) for _kind, _label, counts, curve in curves]
    return charts.build(
        id="together",
        title=_("%(name)s against training examples seen") % {"name": name.capitalize()},
        description=_("Median learning curves of %(n)d algorithms.") % {"n": len(curves)},
        x_title=_("training examples seen"),
        y_title=_("median %(name)s in validation") % {"name": name},
        series=[
            *(
                charts.Series("baseline", title, [(n, row[1]) for n, row in zip(examples, first[one], strict=True)])
                for one, title in titles.items()
            ),
            *(
                charts.Series(kind, label, [(n, row[1]) for n, row in zip(counts, curve["found"], strict=True)])
                for kind, label, counts, curve in curves
            ),
        ],
        x_range=(everywhere[0], everywhere[-1]),
        y_floor=min(queries.chance(one) for one in specs),
        y_ceiling=1.0,
        log_x=True,
        shapes=shapes,
        columns=[_("examples"), *(label for _kind, label, _counts, _curve in curves)],
        rows=[
            [describe.count(n), *(charts.score_text(one[n][1]) if n in one else "–" for one in by_count)]
            for n in everywhere
        ],
    )


def scores(find: Find, spec: SearchSpec, measurement: Measurement | None) -> list[dict[str, Any]]:
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
        entries.append(
            {
                "role": role,
                "name": name,
                "score": score,
                "error": charts.mean_and_error(single)[1],
                "words": describe.task_words(tasks),
                "baselines": baselines,
                "strip": task_strip(score, single, baselines, floor=queries.chance(spec)),
                "wins": wins(single, known),
                "single": single,
            }
        )
    return entries


def evaluation(one: Evaluation, spec: SearchSpec) -> dict[str, Any]:
    """Return an evaluation's mean, error, tasks in words, single tasks, and how the baselines do on the same."""
    known = one.data["scores"]
    single = known["found"]
    score, error = charts.mean_and_error(single)
    means = (
        (str(title), charts.mean_and_error(known.get(name, ()))[0]) for name, title in describe.BASELINE_TITLES.items()
    )
    baselines = sorted(((title, value) for title, value in means if value is not None), key=lambda pair: pair[1])
    return {
        "score": score,
        "error": error,
        "failed": sum(value is None for value in single),
        "words": describe.task_words(_task_spec(one.data["tasks"])),
        "examples": one.data["tasks"]["train_examples"],
        "baselines": baselines,
        "wins": wins(single, known),
        "strip": task_strip(score, single, baselines, floor=queries.chance(spec)) if score is not None else None,
        "role": f"evaluation-{one.pk}",
        "name": one.dataset or _("new tasks"),
        "single": single,
    }


def _task_spec(data: Mapping[str, Any]) -> TaskSpec:
    """Read a stored family of tasks, whatever fields its version had."""
    known = {field.name for field in fields(TaskSpec)}
    return TaskSpec(**{name: value for name, value in data.items() if name in known})


def task_strip(score: float, single: Sequence, baselines: Sequence[tuple[str, float]], *, floor: float):
    """Return the strip of single tasks under a score, the hand-designed models' means marked; None without tasks."""
    models = [("baseline", title, value) for title, value in baselines] + [("best", "", score)]
    return charts.strip(single, models, floor=floor)


def wins(single: Sequence, known: Mapping[str, list]) -> list[str]:
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


def record_gains(steps: Sequence[lineage.Step]) -> dict[int, float]:
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


def ancestry(
    find: Find,
    spec: SearchSpec,
    step_count: int,
    events: Sequence[lineage.Step | lineage.Neutral],
    measurement: Measurement | None,
    *,
    shapes: Sequence[Shape] = (WIDE, NARROW),
) -> charts.Chart:
    """Return each ancestor's score against its birth, with the largest gains and where motifs first appear."""
    scored = [event for event in events if isinstance(event, lineage.Step) and event.score is not None]
    gains = record_gains(scored)
    called = sorted((one for one in gains if gains[one] >= SMALLEST_CALLOUT), key=lambda one: -gains[one])[:CALLOUTS]
    changes = [step for step in scored if step.gain is not None and step.gain != 0.0]
    floor = queries.chance(spec)
    stride = max(1, len(changes) // TABLE_ROWS)
    table = [*scored[:1], *changes[::-1][::stride][::-1]]
    name = describe.score_name(spec)
    appeared = appearances(find, measurement)
    listed = {step.number for step in scored}
    log_x = is_early(scored, gains, find.birth)
    return charts.build(
        id="ancestry-chart",
        title=_("Score of each ancestor against its birth"),
        description=_("%(steps)d steps, from %(first)s to %(last)s.")
        % {
            "steps": step_count,
            "first": charts.score_text(scored[0].score if scored else None),
            "last": charts.score_text(find.score),
        },
        x_title=_("birth (programs tried before it), logarithmic") if log_x else _("birth (programs tried before it)"),
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
        milestones=sorted(
            [
                *(
                    _motif_milestone(number, one, gains, called, floor, is_listed=number in listed)
                    for number, one in appeared.items()
                ),
                *(
                    _gain_milestone(step, gains, called, floor)
                    for step in changes
                    if step.number in gains and step.number not in appeared
                ),
            ],
            key=lambda one: one.x,
        ),
        x_range=(max(scored[0].birth if scored else 1, 1) if log_x else 0, max(find.birth, 1)),
        log_x=log_x,
        y_floor=floor,
        shapes=shapes,
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


def is_early(scored: Sequence[lineage.Step], gains: Mapping[int, float], end: int) -> bool:
    """Whether most of what a line gained came in the first tenth of it, where only a logarithmic axis can show it."""
    early = sum(gains[step.number] for step in scored if step.number in gains and step.birth < EARLY * end)
    return early > sum(gains.values()) / 2 and max(scored[0].birth, 1) * 100 < end


def appearances(find: Find, measurement: Measurement | None) -> dict[int, dict[str, Any]]:
    """Return the steps by number at which motifs appeared for good: {"birth", "score", "motifs": their names}."""
    data = measurement.data if measurement and measurement.find_id == find.pk else None
    found: dict[int, dict[str, Any]] = {}
    for name, (number, birth, score) in ((data or {}).get("motifs") or {}).items():
        found.setdefault(number, {"birth": birth, "score": score, "motifs": []})["motifs"].append(name)
    return found


def _motif_milestone(
    number: int,
    one: Mapping[str, Any],
    gains: Mapping[int, float],
    called: Sequence[int],
    floor: float,
    *,
    is_listed: bool,
) -> charts.Milestone:
    listed = ", ".join(words.motif(name) for name in one["motifs"])
    return charts.Milestone(
        x=one["birth"],
        y=max(one["score"] if one["score"] is not None else floor, floor),
        title=lambda: _("Step %(n)d: from here on with %(motifs)s") % {"n": number, "motifs": listed},
        callout=f"{listed} {charts.signed(gains[number])}" if number in called else listed,
        href=f"#step-{number}" if is_listed else "",
        kind="motif",
    )


def _gain_milestone(
    step: lineage.Step, gains: Mapping[int, float], called: Sequence[int], floor: float
) -> charts.Milestone:
    return charts.Milestone(
        x=step.birth,
        y=max(step.score if step.score is not None else floor, floor),
        title=lambda: (
            _("Step %(n)d, %(what)s: %(gain)s")
            % {"n": step.number, "what": describe.mutation_words(step.mutation), "gain": charts.signed(step.gain)}
        ),
        callout=charts.signed(gains[step.number]) if step.number in called else "",
        href=f"#step-{step.number}",
    )
