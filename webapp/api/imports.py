"""Bundles: searches to take away, and to bring in."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import FileResponse, HttpResponse
from django.shortcuts import get_object_or_404
from ninja import File, Form, Router, Schema, Status
from ninja.files import UploadedFile

from webapp.api import present
from webapp.api.caller import WRITER, may_write, owner_of
from webapp.api.problems import ApiError, Problem
from webapp.api.schemas import ImportOut, Visibility
from webapp.experiments import access
from webapp.experiments.services import imports
from webapp.experiments.services.exporting import NotExportable, file_name, packed

router = Router(tags=["bundles"])


class BundleIn(Schema):
    visibility: Visibility = "private"


@router.get(
    "/searches/{int:search_id}/bundle",
    response={200: None, 401: Problem, 403: Problem, 404: Problem, 409: Problem},
    url_name="search-bundle",
    summary="Take a search away as a bundle",
    openapi_extra={
        "responses": {200: {"description": "The bundle, gzipped JSON lines.", "content": {"application/gzip": {}}}}
    },
)
def search_bundle(request, search_id: int):
    """A search that has ended, with everything that it found; for accounts that may start searches."""
    search = access.get_search(request.user, search_id)
    if not access.may_launch(request.user):
        may_write(request)
        raise PermissionDenied
    try:
        file = packed(search)
    except NotExportable as error:
        raise ApiError(409, str(error), kind="state") from None
    return FileResponse(file, as_attachment=True, filename=file_name(search), content_type="application/gzip")


@router.post(
    "/imports",
    response={202: ImportOut, 401: Problem, 403: Problem, 422: Problem},
    url_name="imports",
    summary="Import a bundle of searches",
    auth=WRITER,
)
def import_bundle(request, response: HttpResponse, data: Form[BundleIn], file: File[UploadedFile]):
    """A worker checks all of it, then keeps all of it or nothing: ask again until it is no longer `waiting`."""
    row = imports.receive(owner=owner_of(request), file=file, visibility=data.visibility)
    response["Location"] = present.api_url(request, "import", row.pk)
    return Status(202, present.bundle_import(request, row))


@router.get(
    "/imports/{int:import_id}", response={200: ImportOut, 404: Problem}, url_name="import", summary="Read an import"
)
def read_import(request, import_id: int):
    row = get_object_or_404(access.readable_imports(request.user), pk=import_id)
    return present.bundle_import(request, row)
