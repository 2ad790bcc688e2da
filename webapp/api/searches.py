"""Searches: launch, list, read, watch, steer. The same services as the pages call."""

from __future__ import annotations

from typing import Annotated, Literal

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Status

from webapp.api import pages, present
from webapp.api.caller import WRITER, may_write, owner_of
from webapp.api.problems import Problem
from webapp.api.schemas import (
    AlgorithmDetail,
    ChangeIn,
    CurveOut,
    ExtendIn,
    FindList,
    LaunchIn,
    SearchDetail,
    SearchList,
    SearchOut,
)
from webapp.api.specs import read_spec
from webapp.experiments import access, queries
from webapp.experiments.models import CurvePoint, Search
from webapp.experiments.services import change, steer
from webapp.experiments.services.launch import launch_search

router = Router(tags=["searches"])

RELATED = ("owner", "best__algorithm", "result__algorithm")
GROUPS = {
    "active": Search.ACTIVE,
    "paused": (Search.State.PAUSED,),
    "ended": (Search.State.FINISHED, Search.State.STOPPED),
    "failed": (Search.State.FAILED,),
}
MOST_POINTS = 5000


@router.get("/searches", response=SearchList, url_name="searches", summary="List searches")
def list_searches(
    request,
    state: Annotated[Literal["active", "paused", "ended", "failed"] | None, Query()] = None,
    mine: bool = False,
    q: Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$", description="Part of the title.")] = "",
    limit: pages.Limit = 30,
    cursor: pages.Cursor = "",
):
    """Public searches and your own, newest first."""
    rows = access.listed_searches(request.user).select_related(*RELATED)
    if state:
        rows = rows.filter(state__in=GROUPS[state])
    if mine:
        rows = rows.filter(owner=request.user) if request.user.is_authenticated else rows.none()
    if q:
        rows = rows.filter(title__icontains=q)
    found = pages.page(request, rows, limit=limit, cursor=cursor)
    return {**found, "items": [present.search(request, row) for row in found["items"]]}


@router.post(
    "/searches",
    response={201: SearchDetail, 401: Problem, 403: Problem, 422: Problem},
    url_name="searches",
    summary="Start a search",
    auth=WRITER,
)
def launch(request, data: LaunchIn, response: HttpResponse):
    """Starts a search from a preset or a specification. What is wrong with it is named by its field."""
    row = launch_search(
        spec=read_spec(data), title=data.title, seed=data.seed, owner=owner_of(request),
        visibility=data.visibility, priority=data.priority,
    )  # fmt: skip
    response["Location"] = present.api_url(request, "search", row.pk)
    return Status(201, present.search_detail(request, _get(request, row.pk)))


@router.get(
    "/searches/{int:search_id}", response={200: SearchDetail, 404: Problem}, url_name="search", summary="Read a search"
)
def read_search(request, search_id: int):
    return present.search_detail(request, _get(request, search_id))


@router.patch(
    "/searches/{int:search_id}",
    response={200: SearchOut, 401: Problem, 403: Problem, 404: Problem, 409: Problem, 422: Problem},
    url_name="search",
    summary="Change a search",
)
def change_search(request, search_id: int, data: ChangeIn):
    """Title, visibility and priority. What is left out stays as it is."""
    row = _steerable(request, search_id)
    change.change_search(
        search_id=row.pk, title=data.title, visibility=data.visibility, priority=data.priority, by=request.user
    )
    return present.search(request, _get(request, search_id))


@router.delete(
    "/searches/{int:search_id}",
    response={204: None, 401: Problem, 403: Problem, 404: Problem},
    url_name="search",
    summary="Delete a search",
)
def delete_search(request, search_id: int):
    """Deletes it with its curve, ancestry and checkpoints, whatever it is doing. Permalinks of what it found stay."""
    steer.delete_search(search_id=_steerable(request, search_id).pk, by=request.user)
    return Status(204, None)


_STEERED = {200: SearchOut, 401: Problem, 403: Problem, 404: Problem, 409: Problem}


@router.post("/searches/{int:search_id}/pause", response=_STEERED, url_name="search-pause", summary="Pause a search")
def pause(request, search_id: int):
    """A worker that holds it ends its slice first: until then it is `pausing`."""
    return _steer(request, search_id, steer.pause_search)


@router.post("/searches/{int:search_id}/resume", response=_STEERED, url_name="search-resume", summary="Resume a search")
def resume(request, search_id: int):
    return _steer(request, search_id, steer.resume_search)


@router.post("/searches/{int:search_id}/stop", response=_STEERED, url_name="search-stop", summary="Stop a search")
def stop(request, search_id: int):
    """Stops it for good; everything that it found stays."""
    return _steer(request, search_id, steer.stop_search)


@router.post(
    "/searches/{int:search_id}/extend",
    response={**_STEERED, 422: Problem},
    url_name="search-extend",
    summary="Give a search more time",
)
def extend(request, search_id: int, data: ExtendIn):
    return _steer(request, search_id, steer.extend_search, more_seconds=data.seconds)


@router.get(
    "/searches/{int:search_id}/curve",
    response={200: CurveOut, 404: Problem},
    url_name="search-curve",
    summary="Read a search's curve since a point",
)
def curve(
    request,
    search_id: int,
    since: Annotated[int, Field(ge=-1, lt=2**62, description="Only points after so many individuals.")] = -1,
    island: Annotated[int, Field(ge=0, lt=2**31)] = 0,
    limit: Annotated[int, Field(ge=1, le=MOST_POINTS)] = 1000,
):
    """Every point that was stored, in order, from the one after `since`."""
    row = _get(request, search_id)
    # By the island's key, so that the primary key has the points in their order.
    points = CurvePoint.objects.filter(island=get_object_or_404(row.islands, index=island), individuals__gt=since)
    found = list(points.order_by("individuals").values(*_POINT)[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    return {
        "island": island,
        "points": found,
        "next_since": found[-1]["individuals"] if found else since,
        "more": more,
        "active": row.is_active or row.state == Search.State.PAUSED,
    }


_POINT = ("individuals", "seconds", "train_steps", "experiment", "best_so_far", "best", "mean", "median", "deviation")


@router.get(
    "/searches/{int:search_id}/finds",
    response={200: FindList, 404: Problem},
    url_name="search-finds",
    summary="List what a search found",
)
def finds(
    request,
    search_id: int,
    improvements: Annotated[bool, Field(description="Only those that raised the best score.")] = True,
    limit: pages.Limit = 30,
    cursor: pages.Cursor = "",
):
    """Newest first."""
    row = _get(request, search_id)
    rows = queries.improvements(row) if improvements else row.finds.select_related("algorithm")
    found = pages.page(request, rows, limit=limit, cursor=cursor)
    return {**found, "items": [present.find(request, one) for one in found["items"]]}


@router.get(
    "/searches/{int:search_id}/best",
    response={200: AlgorithmDetail, 404: Problem},
    url_name="search-best",
    summary="Read the best algorithm of a search",
)
def best(request, search_id: int):
    """What the search chose; before its end the best so far. 404 while nothing was found."""
    row = _get(request, search_id)
    find = row.result or row.best
    if find is None:
        raise Http404
    found = queries.finds_of(request.user, find.algorithm)
    return present.algorithm(request, find.algorithm, found, queries.same_algorithms(request.user, find.algorithm))


def _get(request, search_id: int) -> Search:
    return access.get_search(request.user, search_id, related=RELATED)


def _steerable(request, search_id: int) -> Search:
    """Return a search that the caller may change: 404 where they may not see it, before anything else is said of it."""
    row = _get(request, search_id)
    may_write(request)
    if not access.may_steer(request.user, row):
        raise PermissionDenied
    return row


def _steer(request, search_id: int, verb, **values):
    verb(search_id=_steerable(request, search_id).pk, by=request.user, **values)
    return present.search(request, _get(request, search_id))
