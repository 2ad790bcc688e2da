"""A search's surviving lineages: as a tree, and as a table for other programs."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from django.core.cache import cache
from django.http import StreamingHttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from webapp.experiments import access, phylogeny, svg, tree, tree_drawing
from webapp.experiments.models import Individual, Search

CACHE_SECONDS = 3600
ROWS = 60


@require_safe
def search_tree(request, search_id: int):
    search = access.get_search(request.user, search_id)
    return render(request, "experiments/tree.html", {"search": search, **_tree(search)})


@require_safe
def search_tree_svg(request, search_id: int):
    """The tree as a file that needs no style sheet."""
    search = access.get_search(request.user, search_id)
    context = {"search": search, "style": mark_safe(svg.STYLE + svg.TREE_STYLE), **_tree(search)}
    return svg.response(render_to_string("experiments/tree.svg", context), f"abovo-search-{search.pk}-tree.svg")


@require_safe
def search_phylogeny(request, search_id: int):
    """All stored individuals in the ALife phylogeny standard."""
    search = access.get_search(request.user, search_id)
    response = StreamingHttpResponse(_rows(search), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="abovo-search-{search.pk}-phylogeny.csv"'
    return response


def _tree(search: Search) -> dict:
    """Return the tree as pages show it; kept, since it changes only while the search runs."""
    key = f"tree/{search.pk}/{search.individuals}/{search.state}/{search.result_id}/{get_language()}"
    return cache.get_or_set(key, lambda: _grown(search), CACHE_SECONDS)


def _grown(search: Search) -> dict:
    grown = tree.load(search)
    best = sorted(grown.paths, key=lambda one: (one.is_chosen, one.best.score or -1.0), reverse=True)
    return {
        "drawing": tree_drawing.draw(grown) if grown.paths else None,
        "paths": len(grown.paths),
        "left_out": grown.left_out,
        "is_whole": grown.is_whole,
        "migrations": sum(path.is_migrant for path in grown.paths),
        "rows": [
            {
                "island": path.island + 1,  # people count from one
                "first": path.nodes[0].key[1],
                "last": path.nodes[-1].key[1],
                "score": path.best.score,
                "permalink": next((one.permalink for one in reversed(path.nodes) if one.permalink), ""),
                "is_migrant": path.is_migrant,
                "is_chosen": path.is_chosen,
            }
            for path in best[:ROWS]
        ],
    }


def _rows(search: Search) -> Iterator[str]:
    indexes = dict(search.islands.values_list("pk", "index"))
    table = csv.writer(phylogeny.Echo())
    yield table.writerow(phylogeny.COLUMNS)
    for island_id, index in sorted(indexes.items(), key=lambda one: one[1]):
        rows = Individual.objects.filter(island_id=island_id).order_by("birth")
        lines = []
        for birth, parent, parent_island, mutation, score in rows.values_list(
            "birth", "parent", "parent_island", "mutation", "score"
        ).iterator(chunk_size=5000):
            one = phylogeny.identity(index, birth)
            from_island = indexes.get(parent_island, index) if parent_island else index
            ancestor = None if parent is None else phylogeny.identity(from_island, parent)
            lines.append(table.writerow(phylogeny.row(one, ancestor, birth, index, mutation, score)))
            if len(lines) == 500:
                yield "".join(lines)
                lines = []
        yield "".join(lines)
