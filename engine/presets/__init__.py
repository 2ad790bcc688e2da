"""Ready specifications, by name."""

from __future__ import annotations

from functools import cache

from engine.presets.common import HELD_OUT_PAIRS, op_names
from engine.presets.demos import digits, digits_all_ops, linear_demo
from engine.presets.paper import PAPER
from engine.spec import SearchSpec, SpecError

__all__ = ["HELD_OUT_PAIRS", "op_names", "preset", "preset_names"]

_BUILDERS = {build.__name__.replace("_", "-"): build for build in (linear_demo, digits, digits_all_ops, *PAPER)}


def preset_names() -> tuple[str, ...]:
    """Return the names of all presets."""
    return tuple(_BUILDERS)


def preset(name: str) -> SearchSpec:
    """Return a preset's specification, the same object each time. Raises SpecError if there is none of that name."""
    if name not in _BUILDERS:
        raise SpecError("preset", f'"{name}" is not known, allowed: {", ".join(_BUILDERS)}')
    return _built(name)


@cache
def _built(name: str) -> SearchSpec:
    return _BUILDERS[name]().check()
