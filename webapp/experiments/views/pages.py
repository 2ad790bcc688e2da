"""The first page and those that explain."""

from __future__ import annotations

from django.shortcuts import render
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from engine.ops import OPS
from webapp.experiments import charts, code, describe, figures, gallery, queries, words
from webapp.experiments.drawing import NARROW, SMALL
from webapp.experiments.models import Discovery, Search
from webapp.experiments.specs import read_spec

LATEST = 6

OP_GROUPS = (
    ("s", gettext_lazy("Scalars"), gettext_lazy("Ops that write a scalar.")),
    ("v", gettext_lazy("Vectors"), gettext_lazy("Ops that write a vector of F elements.")),
    ("m", gettext_lazy("Matrices"), gettext_lazy("Ops that write an F × F matrix.")),
)


@require_safe
def home(request):
    """What this is, in a minute: the best discovery, the latest ones, how to start."""
    searches = list(queries.discoveries_for(request.user)[:LATEST])
    lines = queries.best_scores([search.pk for search in searches])
    entries = [_latest(search, lines[search.pk]) for search in searches]
    best = gallery.best()
    # What stands above in full is not said twice.
    entries = [entry for entry in entries if best is None or entry["algorithm"].pk != best.algorithm_id]
    active = queries.searches_for(request.user, state="running")[:3] if not entries else ()
    return render(
        request,
        "experiments/home.html",
        {"featured": _featured(best) if best else None, "entries": entries, "active": active},
    )


def _featured(row: Discovery) -> dict:
    """Return the best discovery with its program to read."""
    spec = read_spec(row.find.search.spec)
    functions, annotation = code.annotated(row.algorithm, features_size=spec.search_tasks.features)
    measurement = queries.measurement_of([row.find])
    return {
        "learning": figures.learning(measurement, shapes=(SMALL, NARROW)) if measurement and measurement.data else None,
        "search": row.find.search,
        "find": row.find,
        "algorithm": row.algorithm,
        "title": words.title(row.algorithm, annotation, spec),
        "sentences": words.sentences(annotation),
        "verdict": describe.verdict(row.find, spec),
        "functions": functions,
    }


def _latest(search: Search, line: list) -> dict:
    """Return a search's best algorithm with the beginning of its program."""
    spec = read_spec(search.spec)
    find = search.result or search.best
    find.search = search  # already here: no query a row
    features = spec.search_tasks.features
    functions, annotation = code.annotated(find.algorithm, features_size=features)
    return {
        "search": search,
        "find": find,
        "algorithm": find.algorithm,
        "title": words.title(find.algorithm, annotation, spec),
        "verdict": describe.verdict(find, spec),
        "score": find.final_score if find.final_score is not None else find.score,
        "score_words": describe.score_words(find, spec),
        "excerpt": code.excerpt(functions),
        "spark": charts.sparkline(line, x_end=search.individuals, y_floor=queries.chance(spec)),
    }


@require_safe
def learn(request):
    """What Ab Ovo is, in a minute."""
    return render(request, "experiments/learn.html")


@require_safe
def ops(request):
    """The op reference, made from the engine's own table."""
    groups = [
        (
            kind,
            title,
            meaning,
            [{"op": one.op, "meaning": one.meaning, "shown": _shown(one)} for one in OPS if one.output == kind],
        )
        for kind, title, meaning in OP_GROUPS
    ]
    return render(request, "experiments/ops.html", {"groups": groups, "no_op": OPS[0], "total": len(OPS)})


def _shown(info) -> str:
    """Return an op's notation with letters for its addresses."""
    letters = {name: name for name in info.constants}
    return info.notation.format(a="a", b="b", o="o", **letters)
