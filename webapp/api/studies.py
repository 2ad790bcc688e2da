"""Studies: searches launched together, and how often they succeeded."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Status

from webapp.api import pages, present
from webapp.api.caller import WRITER, owner_of
from webapp.api.problems import Problem
from webapp.api.schemas import StudyDetail, StudyIn, StudyList
from webapp.api.specs import read_spec
from webapp.experiments import access, comparing
from webapp.experiments.models import Study
from webapp.experiments.services.studies import launch_study, parse_grid

router = Router(tags=["studies"])


@router.get("/studies", response=StudyList, url_name="studies", summary="List studies")
def list_studies(request, limit: pages.Limit = 30, cursor: pages.Cursor = ""):
    """Public studies and your own, newest first."""
    rows = access.listed(Study.objects.select_related("owner"), request.user)
    found = pages.page(request, rows, limit=limit, cursor=cursor)
    return {**found, "items": [_shown(request, row) for row in found["items"]]}


@router.post(
    "/studies",
    response={201: StudyDetail, 401: Problem, 403: Problem, 422: Problem},
    url_name="studies",
    summary="Start a study",
    auth=WRITER,
)
def start_study(request, data: StudyIn, response: HttpResponse):
    """Starts every point of the grid with as many seeds as asked for; all of them or none."""
    spec = read_spec(data)
    row = launch_study(
        spec=spec, points=parse_grid(data.grid, spec), repeats=data.repeats, title=data.title, seed=data.seed,
        owner=owner_of(request), visibility=data.visibility, priority=data.priority,
    )  # fmt: skip
    response["Location"] = present.api_url(request, "study", row.pk)
    return Status(201, _detail(request, row, None))


@router.get(
    "/studies/{int:study_id}", response={200: StudyDetail, 404: Problem}, url_name="study", summary="Read a study"
)
def read_study(
    request,
    study_id: int,
    above: Annotated[
        float | None, Field(ge=0, le=1, description="A success scores above this; null: solved its tasks.")
    ] = None,
):
    rows = access.readable(Study.objects.select_related("owner"), request.user)
    return _detail(request, get_object_or_404(rows, pk=study_id), above)


def _shown(request, row: Study) -> dict[str, Any]:
    return {
        "id": row.pk,
        "url": present.url(request, row.get_absolute_url()),
        "api_url": present.api_url(request, "study", row.pk),
        "title": row.title,
        "owner": row.owner.get_username() if row.owner else None,
        "visibility": row.visibility,
        "varied": row.varied,
        "created_at": row.created_at,
    }


def _detail(request, row: Study, above: float | None) -> dict[str, Any]:
    searches = list(
        access.readable_searches(request.user).filter(study=row).select_related("best", "result").order_by("pk")
    )
    values = {search.pk: search.study_values for search in searches}
    fields = [path for path in row.varied if path != "seed"]
    return {
        **_shown(request, row),
        "groups": [
            {
                "values": group.values,
                "searches": [search.pk for search in group.searches],
                "ended": group.ended,
                "successes": group.successes,
                "rate": group.rate,
                "low": group.interval[0] if group.interval else None,
                "high": group.interval[1] if group.interval else None,
                "median_score": group.median_score,
            }
            for group in comparing.groups(searches, values, fields, above=above)
        ],
    }
