"""The first page and those that explain."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.shortcuts import render
from django.views.decorators.http import require_safe

from engine.ops import OPS
from engine.spec import SearchSpec
from webapp.experiments import charts, code, describe, queries, words

PER_PAGE = 24

OP_GROUPS = (
    ("s", "Scalars", "Ops that write a scalar."),
    ("v", "Vectors", "Ops that write a vector of F elements."),
    ("m", "Matrices", "Ops that write an F × F matrix."),
)


@require_safe
def home(request):
    """Discoveries: the best algorithm of every search that found one."""
    page = Paginator(queries.discoveries_for(request.user), PER_PAGE).get_page(request.GET.get("page"))
    lines = queries.best_scores([search.pk for search in page])
    entries = []
    for search in page:
        spec = SearchSpec.from_json(search.spec)
        find = search.result or search.best
        find.search = search  # already here: no query a row
        _, annotation = code.annotated(find.algorithm, features_size=spec.search_tasks.features)
        entries.append(
            {
                "search": search,
                "find": find,
                "algorithm": find.algorithm,
                "title": words.title(find.algorithm, annotation, spec),
                "verdict": describe.verdict(find, spec),
                "score": find.final_score if find.final_score is not None else find.score,
                "score_words": describe.score_words(find, spec),
                "excerpt": code.excerpt(find.algorithm.program, features_size=spec.search_tasks.features),
                "spark": charts.sparkline(lines[search.pk], x_end=search.individuals, y_floor=queries.chance(spec)),
            }
        )
    active = queries.searches_for(request.user, state="running")[:3] if not entries else ()
    return render(request, "experiments/home.html", {"page": page, "entries": entries, "active": active})


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
