"""Searches: the list, the launch form, and the live page with its controls."""

from __future__ import annotations

from itertools import chain

from django.core.paginator import Paginator
from django.http import JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from webapp.experiments import access, charts, curves, describe, queries, reproduce
from webapp.experiments.live_page import LivePage, end_of_curve
from webapp.experiments.models import CurvePoint
from webapp.experiments.settings_table import settings_of
from webapp.experiments.specs import read_text
from webapp.lib.csv_table import to_csv

PER_PAGE = 30
ZOOM_BINS = 1600
CURVE_COLUMNS = (
    "individuals", "seconds", "train_steps", "experiment", "best_so_far", "best", "median", "mean", "deviation", "distinct",
    "evaluations", "fec_hits", "cache_hits", "rejected", "cut",
)  # fmt: skip
RELATED = ("best__algorithm", "result__algorithm", "owner", "imported__imported_by")
HTMX_STOP_POLLING = 286


def filters(user) -> list[tuple[str, str]]:
    mine = [("mine", _("Mine"))] if user.is_authenticated else []
    states = [("running", _("Running")), ("paused", _("Paused")), ("ended", _("Ended")), ("failed", _("Failed"))]
    return [("", _("All")), *mine, *states]


@require_safe
def search_list(request):
    state = request.GET.get("state", "")
    page = Paginator(queries.searches_for(request.user, state=state), PER_PAGE).get_page(request.GET.get("page"))
    lines = queries.best_scores([search.pk for search in page])
    rows = []
    for search in page:
        spec = read_text(search.spec_text)
        spark = charts.sparkline(lines[search.pk], x_end=search.individuals, y_floor=queries.chance(spec))
        rows.append({"search": search, "spark": spark})
    return render(
        request,
        "experiments/search_list.html",
        {"page": page, "rows": rows, "filters": filters(request.user), "state": state},
    )


@require_safe
def search_detail(request, search_id: int):
    search = access.get_search(request.user, search_id, related=RELATED)
    context = LivePage(search).whole() | {"may_steer": access.may_steer(request.user, search)}
    if hasattr(search, "imported"):
        context["origin"] = describe.origin(search.imported)
    context["settings"] = settings_of(search, context["spec"])
    context["command"] = reproduce.command(search, context["spec"])
    return render(request, "experiments/search.html", context)


@require_safe
def search_live(request, search_id: int):
    """The part of a search's page that moves; whoever opens it as a page is sent to the whole."""
    if request.htmx:
        return live_fragment(request, search_id)
    response = redirect(access.get_search(request.user, search_id))
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ["HX-Request", "Cookie"])
    return response


def live_fragment(request, search_id: int, *, problem: str = ""):
    """Answer htmx with the part that moves; problem: what could not be done, said above it.

    A page that says which versions of its parts it has gets those that are new, and no chart if it draws its own.
    """
    search = access.get_search(request.user, search_id, related=RELATED)
    page = LivePage(search)
    if request.method != "POST" and "best" in request.GET:
        template, context = "experiments/_search_poll.html", page.news(request.GET)
    else:
        template, context = "experiments/_search_live.html", page.whole()
    context |= {"is_fragment": True, "problem": problem, "may_steer": access.may_steer(request.user, search)}
    polls = search.is_active or request.method == "POST"
    response = render(request, template, context, status=200 if polls else HTMX_STOP_POLLING)
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ["HX-Request", "Cookie"])
    return response


@require_safe
def search_curve(request, search_id: int):
    """The curve's points as JSON: all islands or ?island=, ?after= what the page has, or a stretch ?after= to ?until= in full."""
    search = access.get_search(request.user, search_id, related=("best",))
    given = request.GET
    after, until, island = (_whole(given.get(name)) for name in ("after", "until", "island"))
    islands = search.islands.all() if island is None else search.islands.filter(index=island)
    ids = list(islands.values_list("pk", flat=True))
    found = curves.points(ids, after=after or 0, until=until, bins=ZOOM_BINS if until else curves.BINS)
    if not search.is_active and until is None and island is None:
        found = curves.with_end(found, **end_of_curve(search))
    response = JsonResponse(
        {
            "points": [point.as_list() for point in found],
            "finds": [
                [find.individuals, find.seconds, find.score, f"/a/{find.permalink}"]
                for find in queries.milestones(search, island_index=island, after=after or 0)
            ],
            "active": search.is_active,
        }
    )
    response["Cache-Control"] = "no-store"
    return response


@require_safe
def search_curve_csv(request, search_id: int):
    """Every point that was stored, of all islands, as CSV."""
    search = access.get_search(request.user, search_id)
    rows = CurvePoint.objects.filter(island__search=search).order_by("island_id", "individuals")
    header = ("island", *CURVE_COLUMNS)
    values = rows.values_list("island__index", *CURVE_COLUMNS).iterator(chunk_size=2000)
    parts = chain([to_csv(header, [])], (to_csv(None, [row]) for row in values))
    response = StreamingHttpResponse(parts, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="search-{search.pk}-curve.csv"'
    return response


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 19 else None
