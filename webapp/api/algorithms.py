"""Algorithms: search the gallery, read, explain, export, evaluate once more."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import parse_qs

from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema, Status

from engine.algorithm import Algorithm as Program
from engine.explain import explain
from engine.export import export as export_program
from webapp.api import pages, present
from webapp.api.caller import may_write, owner_of
from webapp.api.problems import ApiError, Problem
from webapp.api.schemas import AlgorithmDetail, AlgorithmList, EvaluateIn, EvaluationOut, ExplanationOut
from webapp.experiments import access, gallery, queries, specs
from webapp.experiments.annotation import MOST_LINES
from webapp.experiments.data_facts import names_for
from webapp.experiments.models import Algorithm, Evaluation
from webapp.experiments.services import evaluate

router = Router(tags=["algorithms"])

CONTENT_TYPES = {
    "python": "text/x-python", "sklearn": "text/x-python", "latex": "application/x-tex", "json": "application/json",
    "text": "text/plain",
}  # fmt: skip


class Filters(Schema):
    """As in the gallery's address."""

    q: str = Field("", max_length=120, description="Words of title, motif, data, author or permalink.")
    data: str = Field("", max_length=100)
    motif: list[str] = Field([], max_length=10)
    op: list[str] = Field([], max_length=10)
    score: float | None = Field(None, ge=0, le=1, description="At least.")
    margin: float | None = Field(None, ge=-100, le=100, description="At least, in points over the linear model.")
    size: int | None = Field(None, ge=0, le=10_000, description="Instructions, at most.")
    age: int | None = Field(None, ge=1, le=36_500, description="Days since it was first found, at most.")
    author: str = Field("", max_length=120)
    all: bool = Field(False, description="Also what no search chose and that has been bettered since.")
    whose: Literal["", "mine"] = ""
    sort: Literal["margin", "-margin", "score", "-score", "size", "-size", "found", "-found", "finds", "-finds"] = (
        Field("margin", description="Best first; with a minus the other way round.")
    )


@router.get(
    "/algorithms", response={200: AlgorithmList, 422: Problem}, url_name="algorithms", summary="Search algorithms"
)
def list_algorithms(request, filters: Query[Filters], limit: pages.Limit = 24, cursor: pages.Cursor = ""):
    """The gallery: what public searches found, or (`whose=mine`) what your own did."""
    asked = QueryDict(mutable=True)
    for name, value in filters.dict().items():
        if isinstance(value, list):
            asked.setlist(name, value)
        elif value not in (None, "", False):
            asked[name] = "1" if value is True else str(value)
    asked["after"] = cursor
    wish = gallery.read_wish(asked)
    if wish.problems:
        raise ApiError(422, f"Not known: {', '.join(wish.problems)}", kind="invalid")
    found = gallery.page(request.user, wish, per_page=limit)
    following = parse_qs(found.next.lstrip("?")).get("after", [""])[0]
    rows = [present.discovery(request, row) for row in found.rows]
    return {**pages.envelope(request, rows, following), "total": found.total, "total_is_more": found.more}


@router.get(
    "/algorithms/{permalink:permalink}",
    response={200: AlgorithmDetail, 404: Problem},
    url_name="algorithm",
    summary="Read an algorithm",
)
def read_algorithm(request, permalink: str):
    """The program exactly as found, where it was found, and which others are the same algorithm."""
    row = access.get_algorithm(request.user, permalink)
    finds = queries.finds_of(request.user, row)
    return present.algorithm(request, row, finds, queries.same_algorithms(request.user, row))


@router.get(
    "/algorithms/{permalink:permalink}/explanation",
    response={200: ExplanationOut, 404: Problem, 409: Problem},
    url_name="explanation",
    summary="Explain an algorithm",
)
def explain_algorithm(request, permalink: str):
    """What each line is in the learner, and the motifs in it."""
    return explain(_program(request, permalink)[0]).to_json()


@router.get(
    "/algorithms/{permalink:permalink}/export",
    response={200: None, 404: Problem, 409: Problem},
    url_name="export",
    summary="Export an algorithm",
    openapi_extra={
        "responses": {
            200: {"description": "The text.", "content": {kind: {} for kind in sorted(set(CONTENT_TYPES.values()))}}
        }
    },
)
def export_algorithm(
    request, permalink: str, to: Annotated[Literal["python", "sklearn", "latex", "json", "text"], Query()] = "python"
):
    """As a NumPy module, a scikit-learn estimator, LaTeX, JSON, or text with roles."""
    program, row = _program(request, permalink)
    finds = queries.finds_of(request.user, row)
    task_type = specs.task_type(finds[0].search) if finds else "classification"
    if to == "text":
        text = explain(program).text(task_type)
    else:
        text = export_program(program, to, name=f"Ab Ovo {row.permalink}", task_type=task_type)
    return HttpResponse(text, content_type=f"{CONTENT_TYPES[to]}; charset=utf-8")


@router.post(
    "/algorithms/{permalink:permalink}/evaluations",
    response={202: EvaluationOut, 401: Problem, 403: Problem, 404: Problem, 409: Problem, 422: Problem},
    url_name="evaluations",
    summary="Evaluate an algorithm on new tasks",
)
def evaluate_algorithm(request, permalink: str, data: EvaluateIn, response: HttpResponse):
    """Scores it beside hand-designed models, by a worker: ask for the answer's address until it is done."""
    row = access.get_algorithm(request.user, permalink)
    may_write(request)
    find = next(iter(queries.finds_of(request.user, row)), None)
    if find is None:
        raise ApiError(
            409, "No search that you may see found this algorithm: its kind of task is not known.", kind="state"
        )
    if data.dataset and data.dataset not in names_for(request.user):
        raise ApiError(422, f"dataset: there is none here called {data.dataset:.60}", kind="invalid")
    asked = evaluate.ask(find=find, dataset=data.dataset, seed=data.seed, owner=owner_of(request))
    response["Location"] = present.api_url(request, "evaluation", asked.pk)
    return Status(202, present.evaluation(request, _evaluations(request).get(pk=asked.pk)))


@router.get(
    "/evaluations/{int:evaluation_id}",
    response={200: EvaluationOut, 404: Problem},
    url_name="evaluation",
    summary="Read an evaluation",
)
def read_evaluation(request, evaluation_id: int):
    return present.evaluation(request, get_object_or_404(_evaluations(request), pk=evaluation_id))


def _evaluations(request):
    rows = Evaluation.objects.filter(find__in=access.readable_finds(request.user))
    return rows.select_related("find__algorithm")


def _program(request, permalink: str) -> tuple[Program, Algorithm]:
    """Return a program that is short enough to be explained while somebody waits."""
    row = access.get_algorithm(request.user, permalink)
    if row.size > MOST_LINES:
        raise ApiError(409, f"With {row.size} instructions it is too long to be explained.", kind="state")
    return Program.from_json(row.program), row
