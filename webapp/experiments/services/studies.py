"""Launch searches together: repeats over seeds, and grids over fields."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from engine.spec import SearchSpec, SpecError
from webapp.experiments import spec_fields
from webapp.experiments.models import Search, Study
from webapp.experiments.services.launch import SEED_LIMIT, launch_search

MOST_SEARCHES = 100


def launch_study(
    *,
    spec: SearchSpec,
    points: Sequence[Mapping[str, Any]] = ({},),
    repeats: int = 1,
    title: str = "",
    seed: int | None = None,
    owner=None,
    visibility: str = Search.Visibility.PUBLIC,
    priority: int = 0,
) -> Study:
    """Launch each point of a grid `repeats` times, with seeds that count up from `seed`, all or none of them.

    points: changes by dotted path, as `parse_grid` gives them. Raises SpecError, QuotaError.
    """
    total = len(points) * repeats
    if not 1 <= total <= MOST_SEARCHES:
        raise SpecError(
            "repeats",
            _("%(total)d searches in all, allowed are 1 to %(most)d") % {"total": total, "most": MOST_SEARCHES},
        )
    first = secrets.randbelow(2**31) if seed is None else seed
    if first + repeats > SEED_LIMIT:
        raise SpecError("seed", _("too large to count up from"))
    specs = [at_point(spec, point) for point in points]
    with transaction.atomic():
        study = Study.objects.create(
            owner=owner, title=title.strip() or spec.title or spec.name, visibility=visibility,
            varied=sorted({path for point in points for path in point}) + (["seed"] if repeats > 1 else []),
        )  # fmt: skip
        for point, one in zip(points, specs, strict=True):
            for number in range(repeats):
                seed_words = [_("seed %(n)d") % {"n": first + number}] if repeats > 1 else []
                words = ", ".join([*(f"{path} {_shown(value)}" for path, value in point.items()), *seed_words])
                search = launch_search(
                    spec=one, title=f"{study.title}: {words}"[:200],
                    seed=first + number, owner=owner, visibility=visibility, priority=priority,
                )  # fmt: skip
                search.study, search.study_values = study, {**point, "seed": first + number}
                search.save(update_fields=["study", "study_values"])
    return study


def at_point(spec: SearchSpec, point: Mapping[str, Any]) -> SearchSpec:
    """Return the specification with a grid point's values. Raises SpecError."""
    data = {key: dict(value) if isinstance(value, Mapping) else value for key, value in spec.to_json().items()}
    for path, value in point.items():
        spec_fields.set_at(data, path, value)
    return SearchSpec.from_json(data) if point else spec


def parse_grid(text: str, spec: SearchSpec) -> list[dict[str, Any]]:
    """Read lines such as `population_size = 50, 100` into the points of their grid, each checked. Raises SpecError("grid")."""
    known = {
        leaf.path: leaf for leaf in spec_fields.leaves() if leaf.kind in ("whole", "number", "choice", "switch", "text")
    }
    axes: dict[str, list[Any]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        path, equals, values = line.partition("=")
        path = path.strip()
        if not equals or path not in known:
            raise SpecError(
                "grid", _("“%(line)s” is not allowed: a field's name, =, and values with commas between; names are %(names)s …")
                % {"line": line[:60], "names": ", ".join([*known][:3] + ["population_size", "stop.max_seconds"])},
            )  # fmt: skip
        if path in axes:
            raise SpecError("grid", _("%(name)s stands in two lines") % {"name": path})
        axes[path] = [spec_fields.parsed(known[path], one) for one in values.split(",") if one.strip()]
        if not axes[path]:
            raise SpecError("grid", _("%(name)s has no values") % {"name": path})
    size = 1
    for values in axes.values():
        size *= len(values)
    if size > MOST_SEARCHES:
        raise SpecError(
            "grid", _("%(n)d combinations, allowed are up to %(most)d") % {"n": size, "most": MOST_SEARCHES}
        )
    points = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    for point in points:
        try:
            at_point(spec, point)
        except SpecError as error:
            raise SpecError("grid", str(error)) from None
    return points


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
