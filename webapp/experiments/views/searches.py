"""Searches: the list, the launch form, and the live page with its controls."""

from __future__ import annotations

import hashlib
from itertools import chain
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from engine.spec import SearchSpec
from webapp.experiments import access, charts, code, describe, log, queries, words
from webapp.experiments.models import CurvePoint, Find, Search
from webapp.experiments.specs import read_spec
from webapp.lib.csv_table import to_csv

PER_PAGE = 30
FEED_LENGTH = 8
LOG_LENGTH = 30
CALLOUTS = 4
MILESTONES = 200
ZOOM_BINS = 1600
CURVE_COLUMNS = (
    "individuals", "seconds", "train_steps", "experiment", "best_so_far", "best", "median", "mean", "deviation", "distinct",
    "evaluations", "fec_hits", "cache_hits", "rejected", "cut",
)  # fmt: skip
RELATED = ("best__algorithm", "result__algorithm", "owner")
HTMX_STOP_POLLING = 286


def filters() -> tuple[tuple[str, str], ...]:
    return (("", _("All")), ("running", _("Running")), ("ended", _("Ended")), ("failed", _("Failed")))


@require_safe
def search_list(request):
    state = request.GET.get("state", "")
    page = Paginator(queries.searches_for(request.user, state=state), PER_PAGE).get_page(request.GET.get("page"))
    lines = queries.best_scores([search.pk for search in page])
    rows = []
    for search in page:
        spec = read_spec(search.spec)
        spark = charts.sparkline(lines[search.pk], x_end=search.individuals, y_floor=queries.chance(spec))
        rows.append({"search": search, "spark": spark})
    return render(
        request, "experiments/search_list.html", {"page": page, "rows": rows, "filters": filters(), "state": state}
    )


@require_safe
def search_detail(request, search_id: int):
    search = access.get_search(request.user, search_id, related=RELATED)
    context = _live_context(request, search)
    context["settings"] = describe.settings_of(search, context["spec"])
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
    context = {**_live_context(request, search), "is_fragment": True, "problem": problem}
    template = "experiments/_search_live.html"
    if request.method != "POST" and "best" in request.GET:
        template, context["oob"] = "experiments/_search_poll.html", True
        new = [name for name, version in context["versions"].items() if request.GET.get(name) != version]
        if "chart" not in request.GET:
            new.append("chart")
        context["parts"] = [f"experiments/_search_{name}.html" for name in new]
    polls = search.is_active or request.method == "POST"
    response = render(request, template, context, status=200 if polls else HTMX_STOP_POLLING)
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ["HX-Request", "Cookie"])
    return response


@require_safe
def search_curve(request, search_id: int):
    """The curve's points as JSON: all islands or ?island=, ?after= what the page has, or a stretch ?after= to ?until= in full."""
    search = access.get_search(request.user, search_id)
    given = request.GET
    after, until, island = (_whole(given.get(name)) for name in ("after", "until", "island"))
    found = queries.points(
        search, island_index=island, after=after or 0, until=until, bins=ZOOM_BINS if until else queries.CURVE_BINS
    )
    finds = queries.improvements(search).filter(individuals__gt=after or 0)
    if island is not None:
        finds = finds.filter(island__index=island)
    response = JsonResponse(
        {
            "points": found,
            "finds": [
                [find.individuals, find.seconds, find.score, f"/a/{find.algorithm.permalink}"]
                for find in finds.filter(score__isnull=False)[:MILESTONES]
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


def _live_context(request, search: Search) -> dict:
    spec = read_spec(search.spec)
    points = queries.curve(search)
    rate = queries.recent_rate(search, points) if search.is_active else _mean_rate(search)
    shown = search.result if search.result_id and search.state == Search.State.FINISHED else search.best
    functions, annotation = (
        code.annotated(shown.algorithm, features_size=spec.search_tasks.features) if shown else ([], None)
    )
    limit = spec.stop.max_seconds
    feed = [
        {
            "find": find,
            "lines": code.diff_lines(find.diff, features_size=spec.search_tasks.features, limit=2),
            "more": max(code.diff_size(find.diff) - 2, 0),
        }
        for find in queries.improvements(search, limit=FEED_LENGTH)
    ]
    log_lines = log.lines(search, limit=LOG_LENGTH)
    islands = _islands(search, spec)
    versions = {
        "controls": f"{search.state}.{search.priority}",
        "best": f"{shown.pk if shown else 0}.{search.result_id or 0}.{search.state in Search.ENDED:d}",
        "feed": str(feed[0]["find"].pk if feed else 0),
        "log": hashlib.sha256("".join(line.words for line in log_lines).encode()).hexdigest()[:12],
        "islands": str(search.individuals if len(islands) > 1 else 0),
    }
    # Programs whose score was known from an equal or equivalent one.
    answered = search.individuals - search.evaluations - search.rejected - search.cut
    share = max(answered, 0) / search.individuals if search.individuals else None
    return {
        "search": search,
        "spec": spec,
        "chart": _chart(search, spec, points) if points else None,
        "state_line": describe.state_line(search, rate=rate),
        "finish_words": describe.finish_words(search) if search.state == Search.State.FINISHED else "",
        "rate": rate,
        "cache_share": share,
        "fec_share": _percent(search.fec_hits, search.individuals) if spec.fec else "",
        "cut_share": _percent(search.cut, search.individuals) if spec.hurdle else "",
        "cache_percent": f"{share:.0%}".rstrip("%") if share is not None else "",
        "time_left": max(limit - search.seconds, 0.0) if limit and search.is_active else None,
        "task_words": describe.task_words(spec.search_tasks),
        "best": shown,
        "best_title": words.title(shown.algorithm, annotation, spec) if shown else "",
        "annotated": annotation is not None,
        "baselines": describe.baselines_of(search),
        "final_baselines": describe.baselines_of(search, "final"),
        "functions": functions,
        "dead": code.dead_count(functions),
        "feed": feed,
        "log": log_lines,
        "islands": islands,
        "versions": versions,
        "known": urlencode(versions),
        "distinct": queries.latest_distinct(search),
        "generation": search.individuals // (spec.population_size * max(len(islands), 1)),
        "curve_words": _curve_words(search, spec),
        "files": [("CSV", reverse("experiments:search-curve-csv", args=[search.pk]))],
        "may_steer": access.may_steer(request.user, search),
    }


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.0%}".rstrip("%") + "\N{NO-BREAK SPACE}%" if whole else "–"


def _islands(search: Search, spec: SearchSpec) -> list[dict]:
    """Return the search's islands with their best scores; one alone needs no line of its own."""
    islands = list(search.islands.order_by("index"))
    if len(islands) < 2:
        return [{"island": island} for island in islands]
    lines = queries.island_lines(search)
    floor = queries.chance(spec)
    return [
        {
            "island": island,
            "number": island.index + 1,
            "best": lines[island.index][-1][1] if lines.get(island.index) else None,
            "spark": charts.sparkline(lines.get(island.index, []), x_end=island.individuals, y_floor=floor),
        }
        for island in islands
    ]


def _curve_words(search: Search, spec: SearchSpec) -> dict:
    """Return what the script that draws the chart needs to say, and the lines that do not move."""
    name = describe.score_name(spec)
    return {
        "floor": queries.chance(spec),
        "baselines": describe.baselines_of(search),
        "title": _("Best, median and mean %(name)s") % {"name": name},
        "score": _("%(name)s on the search tasks") % {"name": name},
        "best": _("best"), "median": _("median"), "mean": _("mean"), "programs": _("programs tried"), "seconds": _("seconds"),
        "rate": _("programs a second"), "hits": _("share answered without evaluating"), "equivalent": _("equivalent"), "equal": _("equal"), "cut": _("hurdle"), "distinct": _("distinct behaviours"),
        "show": _("Show"), "against": _("against"), "islands": _("Island"), "all": _("all"), "log": _("logarithmic"),
        "whole": _("Whole curve"),
        "help": _("Drag to zoom. Keys: arrows move, + and − zoom, 0 shows the whole."),
    }  # fmt: skip


def _mean_rate(search: Search) -> float | None:
    return search.individuals / search.seconds if search.seconds > 0 else None


def _chart(search: Search, spec: SearchSpec, points: list[queries.Point]) -> charts.Chart:
    finds = list(
        Find.objects.filter(search=search, score__isnull=False)
        .order_by("individuals", "birth")
        .values_list("individuals", "score", "previous_score", "algorithm__permalink")
    )
    gains = sorted((score - previous for _, score, previous, _ in finds if previous is not None), reverse=True)
    smallest = gains[min(CALLOUTS, len(gains)) - 1] if gains else 1.0
    milestones = [
        charts.Milestone(
            x=individuals,
            y=score,
            title=ngettext("%(score)s after %(n)s program", "%(score)s after %(n)s programs", individuals)
            % {"score": charts.score_text(score), "n": describe.count(individuals)},
            callout=charts.signed(score - previous)
            if previous is not None and score - previous >= max(smallest, 0.005)
            else "",
            href=f"/a/{permalink}",
        )
        for individuals, score, previous, permalink in finds
    ]
    name = describe.score_name(spec)
    last = points[-1]
    stride = max(1, len(points) // 16)
    table = [*points[::-1][::stride]][::-1]
    return charts.build(
        id="curve",
        title=_("Best and mean %(name)s against programs tried") % {"name": name},
        description=_("Best %(best)s and population mean %(mean)s after %(n)s programs.")
        % {
            "best": charts.score_text(last.best),
            "mean": charts.score_text(last.mean),
            "n": describe.count(last.individuals),
        },
        x_title=_("programs tried"),
        y_title=_("%(name)s on the search tasks") % {"name": name},
        series=[
            charts.Series("mean", _("mean"), [(point.individuals, point.mean) for point in points]),
            charts.Series("best", _("best"), [(point.individuals, point.best) for point in points], step=True),
        ],
        band=[
            (point.individuals, point.mean - point.deviation, min(point.mean + point.deviation, point.best or 1.0))
            for point in points
            if point.mean is not None and point.deviation is not None
        ],
        baselines=[charts.Baseline(label, score) for label, score in describe.baselines_of(search)],
        milestones=milestones,
        x_range=(0, last.individuals),
        y_floor=queries.chance(spec),
        columns=[_("programs"), _("seconds"), _("best"), _("mean"), _("deviation")],
        rows=[
            [
                describe.count(point.individuals),
                f"{point.seconds:.1f}",
                charts.score_text(point.best),
                charts.score_text(point.mean),
                charts.score_text(point.deviation),
            ]
            for point in table
        ],
    )
