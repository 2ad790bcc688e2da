"""Data sets: list, read, upload, delete."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.urls import reverse
from ninja import File, Form, Router, Schema, Status
from ninja.files import UploadedFile
from pydantic import Field

from engine.datasets import DatasetError
from webapp.api import present
from webapp.api.caller import WRITER, may_write, owner_of
from webapp.api.problems import ApiError, Problem
from webapp.api.schemas import DatasetOut, Visibility
from webapp.experiments import access, data_facts
from webapp.experiments.models import Dataset
from webapp.experiments.services import datasets

router = Router(tags=["datasets"])


class UploadIn(Schema):
    name: str = Field(max_length=60, pattern=r"^[^\x00]*$", description="What specifications call it.")
    title: str = Field("", max_length=200, pattern=r"^[^\x00]*$")
    visibility: Visibility = "private"


@router.get("/datasets", response=list[DatasetOut], url_name="datasets", summary="List data sets")
def list_datasets(request):
    """What is on the server, and uploads that are public or yours."""
    return [_shown(request, entry) for entry in data_facts.entries(request.user)]


@router.post(
    "/datasets",
    response={202: DatasetOut, 401: Problem, 403: Problem, 422: Problem},
    url_name="datasets",
    summary="Upload a data set",
    auth=WRITER,
)
def upload_dataset(request, response: HttpResponse, data: Form[UploadIn], files: File[list[UploadedFile]]):
    """One .csv, one .npz, one CIFAR-10 archive, or the four idx files. A worker checks it: ask again until it is `ready`."""
    row = datasets.receive_upload(
        owner=owner_of(request), name=data.name, title=data.title, files=files, visibility=data.visibility
    )
    response["Location"] = present.api_url(request, "dataset", row.name)
    return Status(202, _shown(request, _entry(request, row.name)))


@router.get(
    "/datasets/{dataset:name}", response={200: DatasetOut, 404: Problem}, url_name="dataset", summary="Read a data set"
)
def read_dataset(request, name: str):
    return _shown(request, _entry(request, name))


@router.delete(
    "/datasets/{dataset:name}",
    response={204: None, 401: Problem, 403: Problem, 404: Problem, 409: Problem},
    url_name="dataset",
    summary="Delete a data set",
)
def delete_dataset(request, name: str):
    """Deletes an upload of yours, unless a search that goes on needs it."""
    row = _entry(request, name).row
    may_write(request)
    if row is None:
        raise ApiError(409, "It belongs to the server and was not uploaded.", kind="state")
    if not access.may_steer(request.user, row):
        raise PermissionDenied
    try:
        datasets.delete_dataset(dataset_id=row.pk, by=request.user)
    except datasets.UploadError as error:
        raise ApiError(409, error.message, kind="state") from None
    return Status(204, None)


def _entry(request, name: str) -> data_facts.Entry:
    try:
        entry = data_facts.get_entry(request.user, name)
    except DatasetError as error:
        raise ApiError(409, str(error), kind="state") from None
    if entry is None:
        raise Http404
    return entry


def _shown(request, entry: data_facts.Entry) -> dict[str, Any]:
    row = entry.row
    return {
        "name": entry.name,
        "title": str(entry.title),
        "url": present.url(request, reverse("experiments:dataset", args=[entry.name])),
        "origin": entry.origin,
        "owner": row.owner.get_username() if row and row.owner else None,
        "visibility": row.visibility if row else "public",
        "state": row.state if row else Dataset.State.READY,
        "reason": row.reason if row else "",
        "bytes": row.bytes if row else None,
        "words": entry.words,
    }
