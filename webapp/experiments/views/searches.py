"""Searches: the list, the launch form, and the live page with its controls."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.shortcuts import redirect, render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from engine.spec import SearchSpec
from webapp.experiments import access, charts, code, describe, log, queries, words
from webapp.experiments.models import Find, Search

PER_PAGE = 30
FEED_LENGTH = 8
LOG_LENGTH = 30
CALLOUTS = 4
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
        spec = SearchSpec.from_json(search.spec)
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
    """Answer htmx with the part that moves; problem: what could not be done, said above it."""
    search = access.get_search(request.user, search_id, related=RELATED)
    context = {**_live_context(request, search), "is_fragment": True, "problem": problem}
    polls = search.is_active or request.method == "POST"
    response = render(request, "experiments/_search_live.html", context, status=200 if polls else HTMX_STOP_POLLING)
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ["HX-Request", "Cookie"])
    return response


def _live_context(request, search: Search) -> dict:
    spec = SearchSpec.from_json(search.spec)
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
    # Programs whose score was known from an equal or equivalent one.
    answered = search.individuals - search.evaluations - search.rejected
    share = max(answered, 0) / search.individuals if search.individuals else None
    return {
        "search": search,
        "spec": spec,
        "chart": _chart(search, spec, points) if points else None,
        "state_line": describe.state_line(search, rate=rate),
        "finish_words": describe.finish_words(search) if search.state == Search.State.FINISHED else "",
        "rate": rate,
        "cache_share": share,
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
        "log": log.lines(search, limit=LOG_LENGTH),
        "may_steer": access.may_steer(request.user, search),
    }


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
