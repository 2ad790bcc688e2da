"""/api/v1: everything that programs may do here. Its description is derived from the types of its operations."""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpRequest
from ninja import NinjaAPI

from webapp.api import account, algorithms, datasets, imports, searches, specs, studies
from webapp.api.caller import Token
from webapp.api.problems import CONTENT_TYPE, add_handlers
from webapp.api.wire import FiniteRenderer, StrictParser

DESCRIPTION = """\
Start searches, watch and steer them, read and take away what they found. Public things can be read without an account; \
everything else needs a token of your account page, sent as `Authorization: Bearer abovo_…`. \
Errors are `application/problem+json`. Lists come in pages: follow `next`.
"""


class Api(NinjaAPI):
    """With what the library's description leaves out: the content type of errors, and that a token is optional."""

    _schema: dict | None = None

    def get_openapi_schema(self, **options) -> dict:
        """Return the description. It is made once: that takes longer than any other answer."""
        if self._schema is None:
            self._schema = self._described(super().get_openapi_schema(**options))
        return self._schema

    @staticmethod
    def _described(schema: dict) -> dict:
        for methods in schema["paths"].values():
            for method, operation in methods.items():
                if method == "get":
                    operation["security"] = [{}, *operation.get("security", [])]
                if method != "get":
                    operation["responses"].setdefault(403, _error(403))
                for status in _everywhere(operation):
                    operation["responses"].setdefault(status, _error(status))
                operation["responses"] = dict(sorted(operation["responses"].items()))
                for status, response in operation["responses"].items():
                    if int(status) >= 400 and "application/json" in response.get("content", {}):
                        response["content"][CONTENT_TYPE] = response["content"].pop("application/json")
        return schema

    def get_openapi_operation_id(self, operation) -> str:
        return operation.view_func.__name__

    def create_response(self, request: HttpRequest, data, **options):
        response = super().create_response(request, data, **options)
        if response.status_code == 204:
            del response["Content-Type"]
        return response


def _everywhere(operation: dict) -> list[int]:
    """Return the errors that any operation of its kind may answer with."""
    statuses = [401, 429]
    if operation.get("parameters") or operation.get("requestBody"):
        statuses.append(422)
    if operation.get("requestBody"):
        statuses.append(400)
    if any(parameter["in"] == "path" for parameter in operation["parameters"]):
        statuses.append(404)
    return statuses


def _error(status: int) -> dict:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": HTTPStatus(status).phrase, "content": {"application/json": {"schema": schema}}}


api = Api(
    title="Ab Ovo",
    version="1",
    description=DESCRIPTION,
    urls_namespace="api",
    docs_url=None,
    auth=Token(),
    parser=StrictParser(),
    renderer=FiniteRenderer(),
)
add_handlers(api)
for module in (searches, imports, algorithms, datasets, studies, specs, account):
    api.add_router("", module.router)
