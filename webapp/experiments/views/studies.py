"""Comparing searches: any few by their numbers, or a study's. What is shown is all in the address, to be shared."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from webapp.experiments import access, comparing, describe
from webapp.experiments.models import Search, Study
from webapp.experiments.specs import read_spec
from webapp.lib.csv_table import to_csv

MOST = 12
PER_PAGE = 30
RELATED = ("best", "result", "best__algorithm", "result__algorithm")


@require_safe
def compare(request):
    """Searches by their numbers: ?s=1,2,3&x=time. Those that the reader may not see are not there."""
    searches, missing = _chosen(request)
    by_time = request.GET.get("x") == "time"
    context = {
        "searches": _with_columns(searches),
        "missing": missing,
        "numbers": ",".join(str(search.pk) for search in searches),
        "by_time": by_time,
        "most": MOST,
    }
    if searches:
        styles = comparing.styles(searches)
        rows = comparing.settings(searches)
        context |= {
            "chart": comparing.chart(searches, by_time=by_time, kinds=styles),
            "styles": styles,
            "different": [one for one in rows if one.differs],
            "same": [one for one in rows if not one.differs],
        }
    else:
        context["latest"] = access.listed_searches(request.user).order_by("-id")[:MOST]
    return render(request, "experiments/search_compare.html", context)


@require_safe
def compare_csv(request):
    searches, _missing = _chosen(request)
    return _csv("compare.csv", searches, {})


@require_safe
def study_list(request):
    studies = access.listed(Study.objects.select_related("owner"), request.user).prefetch_related("searches")
    page = Paginator(studies.order_by("-created_at", "-id"), PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "experiments/study_list.html", {"page": page})


@require_safe
def study(request, study_id: int):
    """A study: successes by group, and all its curves. ?by=FIELD,FIELD groups, ?above=SCORE says what a success is,
    ?only=FIELD:VALUE filters."""
    one = _study(request, study_id)
    searches = _of_study(request, one)
    values = {search.pk: search.study_values for search in searches}
    fields = [path for path in one.varied if path != "seed"]
    asked = [path for path in request.GET.get("by", ",".join(fields)).split(",") if path in one.varied]
    only_path, _colon, only_value = request.GET.get("only", "").partition(":")
    if only_path in one.varied:
        searches = [
            search for search in searches if comparing.shown_value(values[search.pk].get(only_path)) == only_value
        ]
    above = _score(request.GET.get("above", ""))
    spec = read_spec(searches[0].spec) if searches else None
    if above is None and spec and not spec.stop.sufficient_fitness:
        above = _linear(searches)
    found = comparing.groups(searches, values, asked, above=above)
    by_time = request.GET.get("x") == "time"
    context = {
        "study": one, "searches": _with_columns(searches), "groups": found, "fields": fields, "by": asked, "above": above,
        "spec": spec, "by_time": by_time, "only": request.GET.get("only", "") if only_path in one.varied else "",
        "choices": _choices(one, values),
        "active": any(search.is_active for search in searches),
        "chart": comparing.chart(searches, by_time=by_time, kinds=comparing.styles(searches, found)) if searches else None,
        "numbers": ",".join(str(search.pk) for search in searches[:MOST]),
    }  # fmt: skip
    return render(request, "experiments/study.html", context)


@require_safe
def study_csv(request, study_id: int):
    one = _study(request, study_id)
    searches = _of_study(request, one)
    return _csv(f"study-{one.pk}.csv", searches, {search.pk: search.study_values for search in searches}, one.varied)


def _study(request, study_id: int) -> Study:
    return get_object_or_404(access.readable(Study.objects.select_related("owner"), request.user), pk=study_id)


def _of_study(request, study: Study) -> list[Search]:
    searches = access.readable_searches(request.user).filter(study=study).select_related(*RELATED)
    return list(searches.order_by("pk"))


def _chosen(request) -> tuple[list[Search], list[str]]:
    """Return the searches that the address names, in its order, and the numbers of those that are not there."""
    texts = [*request.GET.getlist("s"), *request.GET.getlist("search")]
    numbers = list(dict.fromkeys(one.strip() for text in texts for one in text.split(",") if one.strip()))[:MOST]
    ids = [int(one) for one in numbers if one.isdecimal() and len(one) < 19]
    found = access.readable_searches(request.user).select_related(*RELATED).in_bulk(ids)
    return [found[one] for one in ids if one in found], [
        one for one in numbers if not (one.isdecimal() and len(one) < 19 and int(one) in found)
    ]


def _with_columns(searches: list[Search]) -> list[Search]:
    for search in searches:
        search.score = comparing.score_of(search)
    return searches


def _choices(study: Study, values: dict) -> list[tuple[str, str]]:
    """Return (what ?only= says, words) of each value of each varied field but the seed."""
    seen: dict[str, str] = {}
    for path in (one for one in study.varied if one != "seed"):
        for point in values.values():
            text = comparing.shown_value(point.get(path))
            seen[f"{path}:{text}"] = f"{path} {text}"
    return list(seen.items())


def _score(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def _linear(searches: list[Search]) -> float | None:
    """Return the worst score that the linear model has on the searches' unseen tasks: to be better is a success."""
    scores = [dict(describe.baselines_of(search, "final") or describe.baselines_of(search)) for search in searches]
    known = [
        score for one in scores for title, score in one.items() if title == str(describe.BASELINE_TITLES["linear"])
    ]
    return round(sum(known) / len(known), 4) if known else None


def _csv(name: str, searches: list[Search], values: dict, varied=()) -> HttpResponse:
    header = ["search", "title", "seed", *(path for path in varied if path != "seed"), "state", "programs", "seconds"]
    header += ["best_score", "select_score", "final_score", "solved", "algorithm"]
    rows = [
        [
            search.pk, search.title, search.seed,
            *(comparing.shown_value(values[search.pk].get(path)) for path in varied if path != "seed"),
            search.state, search.individuals, search.seconds, search.best.score if search.best else None,
            search.result.select_score if search.result else None, search.result.final_score if search.result else None,
            search.solved, _algorithm(search),
        ]
        for search in searches
    ]  # fmt: skip
    response = HttpResponse(to_csv(header, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _algorithm(search: Search) -> str:
    find = search.result or search.best
    return find.algorithm.permalink if find else ""
