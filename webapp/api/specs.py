"""Specifications: presets, and checks of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ninja import Router

from engine.presets import preset, preset_names
from engine.spec import SearchSpec, SpecError
from engine.spec_toml import read_toml, to_toml
from webapp.api import present
from webapp.api.caller import owner_of
from webapp.api.problems import ApiError, Problem
from webapp.api.schemas import LaunchIn, PresetOut, SpecIn, SpecOut
from webapp.api.wire import check_storable
from webapp.experiments.data_facts import names_for
from webapp.experiments.services.launch import check_datasets

router = Router(tags=["specifications"])


@router.get("/presets", response=list[PresetOut], url_name="presets", summary="List the presets")
def list_presets(request):
    """Ready specifications to start from, or to change."""
    here = names_for(request.user)
    return [
        {
            "name": name,
            "title": spec.title,
            "description": spec.description,
            "max_seconds": spec.stop.max_seconds,
            "missing_dataset": present.missing_dataset(spec, here),
        }
        for name, spec in ((name, preset(name)) for name in preset_names())
    ]


@router.post(
    "/specifications/check",
    response={200: SpecOut, 422: Problem},
    url_name="spec-check",
    summary="Check a specification",
)
def check_specification(request, data: SpecIn):
    """Answers with the specification complete with defaults, as JSON and as TOML; or with the field at fault. Starts nothing."""
    spec = read_spec(data)
    check_datasets(spec, owner_of(request))
    return {"name": spec.name, "title": spec.title, "spec": spec.to_json(), "toml": to_toml(spec)}


def read_spec(data: SpecIn | LaunchIn) -> SearchSpec:
    """Return the specification that was sent. Raises SpecError, ApiError."""
    given = [name for name in ("preset", "spec", "toml") if getattr(data, name) is not None]
    if len(given) != 1:
        raise ApiError(422, "Send exactly one of preset, spec and toml.", kind="invalid")
    if data.preset is not None:
        fields = preset(data.preset).to_json()
    elif data.spec is not None:
        fields = data.spec
    else:
        fields = _from_toml(data.toml or "")
    return SearchSpec.from_json(_changed(fields, data.changes))


def _from_toml(text: str) -> dict[str, Any]:
    try:
        fields = read_toml(text)
        check_storable(fields)
    except (RecursionError, ValueError) as error:
        raise SpecError("toml", f"not valid TOML: {error}") from None
    return fields


def _changed(fields: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields with the changes; tables are changed field by field, everything else is replaced."""
    result = dict(fields)
    for name, value in changes.items():
        before = result.get(name)
        both_tables = isinstance(before, Mapping) and isinstance(value, Mapping)
        result[name] = _changed(before, value) if both_tables else value  # type: ignore[arg-type]
    return result
