"""The page of the API: every operation with its fields, from the same description that programs read, to be tried at once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from webapp.api.v1 import api

GROUPS = ("searches", "algorithms", "bundles", "datasets", "studies", "specifications", "account")


@dataclass
class Parameter:
    """A parameter of an operation, or a field of a body or an answer."""

    name: str
    kind: str
    where: str = ""
    required: bool = False
    default: str = ""
    description: str = ""
    choices: list[str] = field(default_factory=list)


@dataclass
class Operation:
    """One operation as the page shows it. example: a body to start from; stream: whether it sends a file."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Parameter]
    body: list[Parameter]
    example: str
    answers: list[tuple[str, str]]
    fields: list[Parameter]
    file: bool = False


@require_safe
def page(request):
    names = {
        "searches": _("Searches"), "algorithms": _("Algorithms"), "bundles": _("Bundles"), "datasets": _("Data sets"),
        "studies": _("Studies"), "specifications": _("Specifications"), "account": _("Account"),
    }  # fmt: skip
    operations = _operations()
    groups = [(name, names[name], operations[name]) for name in GROUPS if name in operations]
    return render(request, "api/reference.html", {"groups": groups})


@cache
def _operations() -> dict[str, list[Operation]]:
    schema = json.loads(json.dumps(api.get_openapi_schema()))
    models = schema["components"]["schemas"]
    result: dict[str, list[Operation]] = {}
    for path, methods in schema["paths"].items():
        for method, one in methods.items():
            result.setdefault(one["tags"][0], []).append(_operation(path, method, one, models))
    return result


def _operation(path: str, method: str, one: dict[str, Any], models: dict[str, Any]) -> Operation:
    body_model = _model(
        one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {}), models
    )
    good = next((value for status, value in one["responses"].items() if int(status) < 300), {})
    answer = good.get("content", {}).get("application/json", {}).get("schema", {})
    if answer.get("type") == "array":
        answer = answer["items"]
    return Operation(
        id=one["operationId"],
        method=method.upper(),
        path=path,
        summary=one["summary"],
        description=one.get("description", ""),
        parameters=[
            _parameter(item["name"], item["schema"], item["required"], models, where=item["in"])
            for item in one["parameters"]
        ],
        body=_fields(body_model, models),
        example=_EXAMPLES.get(one["operationId"], "{}") if body_model else "",
        answers=[(status, value["description"]) for status, value in one["responses"].items()],
        fields=_fields(_model(answer, models), models),
        file=set(good.get("content", {})) - {"application/json"} != set(),
    )


_EXAMPLES = {
    "launch": '{\n  "preset": "digits",\n  "title": "From the API",\n  "changes": {"stop": {"max_seconds": 60}}\n}',
    "check_specification": '{\n  "preset": "digits",\n  "changes": {"population_size": 50}\n}',
    "change_search": '{\n  "visibility": "unlisted"\n}',
    "extend": '{\n  "seconds": 600\n}',
    "evaluate_algorithm": '{\n  "seed": 1\n}',
}


def _model(schema: dict[str, Any], models: dict[str, Any]) -> dict[str, Any]:
    """Return the model that a schema refers to."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return models.get(name, schema if "properties" in schema else {})


def _fields(model: dict[str, Any], models: dict[str, Any]) -> list[Parameter]:
    required = model.get("required", ())
    return [_parameter(name, one, name in required, models) for name, one in model.get("properties", {}).items()]


def _parameter(name: str, schema: dict[str, Any], required: bool, models: dict[str, Any], where: str = "") -> Parameter:
    kind, choices = _kind(schema, models)
    default = schema.get("default")
    return Parameter(
        name=name,
        kind=kind,
        where=where,
        required=required,
        default="" if default in (None, "", [], {}) else json.dumps(default).strip('"'),
        description=schema.get("description", ""),
        choices=choices,
    )


def _kind(schema: dict[str, Any], models: dict[str, Any]) -> tuple[str, list[str]]:
    """Return a type for people, and the values allowed where they are few."""
    if "anyOf" in schema:
        kinds = [_kind(one, models) for one in schema["anyOf"]]
        return " | ".join(dict.fromkeys(kind for kind, _choices in kinds)), [
            one for _kind_, some in kinds for one in some
        ]
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2], []
    if "enum" in schema:
        return "string", [str(value) for value in schema["enum"]]
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}), models)[0]}", []
    if schema.get("format") == "date-time":
        return "time", []
    return schema.get("type", "any"), []
