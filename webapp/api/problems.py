"""Errors as application/problem+json (RFC 9457), wherever under /api/ they arise."""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response, patch_cache_control, patch_vary_headers
from django.utils.translation import gettext as _
from ninja import Field, Schema
from ninja.errors import HttpError, ValidationError

from engine.algorithm import ProgramError
from engine.spec import SpecError
from webapp.experiments.quotas import QuotaError
from webapp.experiments.services.datasets import UploadError
from webapp.experiments.services.evaluate import RefusedEvaluation
from webapp.experiments.services.steer import SteerError

PREFIX = "/api/"
CONTENT_TYPE = "application/problem+json"


class Fault(Schema):
    """What is wrong with one field."""

    field: str = Field(description="Dotted path, such as `stop.max_seconds`.")
    message: str


class Problem(Schema):
    """An error. `type` says which kind, for programs; `detail` says it to people."""

    type: str = Field(
        description="`about:blank`, or a kind of this API: `invalid`, `specification`, `quota`, `state`, `rate`."
    )
    title: str
    status: int
    detail: str = ""
    errors: list[Fault] = []


class ApiError(Exception):
    """An error on purpose."""

    def __init__(self, status: int, detail: str, *, kind: str = "about:blank", headers: dict[str, str] | None = None):
        super().__init__(detail)
        self.status, self.detail, self.kind, self.headers = status, detail, kind, headers or {}


def problem(
    status: int, detail: str = "", *, kind: str = "about:blank", errors: list[dict[str, str]] | None = None
) -> HttpResponse:
    """Return the answer that tells of an error."""
    data: dict[str, Any] = {"type": kind, "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if errors:
        data["errors"] = errors
    return HttpResponse(json.dumps(data, ensure_ascii=False), status=status, content_type=CONTENT_TYPE)


def add_handlers(api) -> None:
    """Teach the API which of our errors is which answer."""

    @api.exception_handler(ApiError)
    def known(request, error: ApiError):
        response = problem(error.status, error.detail, kind=error.kind)
        for name, value in error.headers.items():
            response[name] = value
        return response

    @api.exception_handler(SpecError)
    def specification(request, error: SpecError):
        fault = {"field": error.field, "message": error.message}
        return problem(422, str(error), kind="specification", errors=[fault])

    @api.exception_handler(ProgramError)
    def program(request, error: ProgramError):
        return problem(422, str(error), kind="invalid", errors=[{"field": "program", "message": str(error)}])

    @api.exception_handler(UploadError)
    def upload(request, error: UploadError):
        return problem(422, error.message, kind="invalid", errors=[{"field": error.field, "message": error.message}])

    @api.exception_handler(QuotaError)
    def quota(request, error: QuotaError):
        return problem(403, error.message, kind="quota")

    @api.exception_handler(SteerError)
    @api.exception_handler(RefusedEvaluation)
    def state(request, error: Exception):
        return problem(409, str(error), kind="state")

    @api.exception_handler(Http404)
    def nothing(request, error: Http404):
        return problem(404, _("There is nothing here, or it is not for you."))

    @api.exception_handler(PermissionDenied)
    def denied(request, error: PermissionDenied):
        return problem(403, _("You may look at it, but changing it is for its owner."))

    @api.exception_handler(HttpError)
    def http(request, error: HttpError):
        return problem(error.status_code, str(error))

    @api.exception_handler(ValidationError)
    def invalid(request, error: ValidationError):
        faults = []
        for one in error.errors:
            # The first part is where it was (query, body), and a body's second part only its name in our code.
            where = [str(part) for part in one.get("loc", ())]
            where = where[2:] if where[:1] == ["body"] else where[1:]
            faults.append({"field": ".".join(where), "message": str(one.get("msg", ""))})
        detail = "; ".join(
            f"{fault['field']}: {fault['message']}" if fault["field"] else fault["message"] for fault in faults
        )
        return problem(422, detail, kind="invalid", errors=faults)


class ApiMiddleware:
    """Every error under /api/ as a problem, every answer with an ETag, none from a shared cache."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not request.path_info.startswith(PREFIX):
            return response
        if response.status_code >= 400 and response.get("Content-Type", "") != CONTENT_TYPE:
            plain = problem(response.status_code)
            for name in ("Allow", "Retry-After"):
                if name in response:
                    plain[name] = response[name]
            response = plain
        patch_vary_headers(response, ["Authorization", "Cookie"])
        if response.streaming or "Cache-Control" in response:
            return response
        patch_cache_control(response, private=True, no_cache=True)
        if request.method in ("GET", "HEAD") and response.status_code == 200:
            etag = f'"{hashlib.md5(response.content, usedforsecurity=False).hexdigest()}"'
            response["ETag"] = etag
            return get_conditional_response(request, etag=etag, response=response)
        return response
