"""The specification as a flat list of fields for forms, made from the engine's own dataclasses.

A field of the engine that is new stands in the form by itself; what it means is said in spec_words.py. A form's value
that is the one it was shown with changes nothing, so that a form may be shown for one preset and sent for another.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any

from engine import spec as engine_spec
from engine.algorithm import Registers
from engine.spec import MUTATIONS, SearchSpec, SpecError

OWN = ("name", "title", "description", "program", "island_groups")
"""Fields of the specification that the form has in another shape, or that come with what the search begins from."""

CHOICES = {
    "kind": "TASK_KINDS",
    "initial": "INITIAL_PROGRAMS",
    "fitness_combination": "FITNESS_COMBINATIONS",
    "selection": "SELECTIONS",
    "constant_rule": "CONSTANT_RULES",
    "validity": "VALIDITIES",
}
"""Names of fields with a fixed set of values, and the engine's tuple of these."""


@dataclass(frozen=True)
class Leaf:
    """One field. path: dotted, as in SpecError. kind: "whole", "number", "text", "choice", "switch", "part", "ops", "pairs",
    "wholes", "tables" (a JSON table a line). optional: may be left out. default: the engine's, where the JSON form leaves the field out."""

    path: str
    kind: str
    optional: bool = False
    choices: tuple[str, ...] = ()
    default: Any = None

    @property
    def last(self) -> str:
        return self.path.rpartition(".")[2]


@lru_cache(maxsize=1)
def leaves() -> tuple[Leaf, ...]:
    """Return every field of a search's specification that a form may change, in the engine's order."""
    return tuple(_leaves(SearchSpec, ""))


def _leaves(cls: type, prefix: str) -> Iterator[Leaf]:
    hints = typing.get_type_hints(cls)
    for one in fields(cls):
        path = f"{prefix}{one.name}"
        kinds = [kind for kind in _options(hints[one.name]) if kind is not type(None)]
        optional = type(None) in _options(hints[one.name])
        default = None if one.default is MISSING else one.default
        if path in OWN:
            continue
        part = next((kind for kind in kinds if is_dataclass(kind)), None)
        if part is not None:
            if optional:
                yield Leaf(path, "part", optional=True)
            yield from _leaves(part, f"{path}.")
        elif Registers in kinds:
            yield from (Leaf(f"{path}.{name}", "whole") for name in Registers._fields)
        elif any(typing.get_origin(kind) is Mapping for kind in kinds) or path == "mutations":
            yield from (Leaf(f"{path}.{name}", "number") for name in MUTATIONS)
        elif one.name in CHOICES and hasattr(engine_spec, CHOICES[one.name]):
            yield Leaf(path, "choice", optional, tuple(getattr(engine_spec, CHOICES[one.name])), default)
        else:
            yield Leaf(path, _kind(one.name, kinds), optional, default=default)


def _options(hint: Any) -> tuple:
    return typing.get_args(hint) if typing.get_origin(hint) not in (None, tuple, Mapping) else (hint,)


def _kind(name: str, kinds: list) -> str:
    if name == "ops":
        return "ops"
    if bool in kinds:
        return "switch"
    if int in kinds:
        return "whole"
    if float in kinds:
        return "number"
    if any("tuple[tuple" in str(kind) for kind in kinds):
        return "pairs"
    if any("tuple[int" in str(kind) for kind in kinds):
        return "wholes"
    if any("tuple[" in str(kind) and "Mapping" in str(kind) for kind in kinds):
        return "tables"
    return "text"


# values -----------------------------------------------------------------------------------------------------------------


def value_at(data: Mapping, path: str) -> Any:
    """Return the value at a path of a specification's JSON, None where there is none."""
    head, _, rest = path.partition(".")
    if head == "registers":
        return data["registers"][Registers._fields.index(rest)]
    if not isinstance(data, Mapping) or head not in data:
        return None
    return value_at(data[head], rest) if rest else data[head]


def set_at(data: dict, path: str, value: Any) -> None:
    """Set the value at a path in a specification's JSON; None takes it out."""
    head, _, rest = path.partition(".")
    if head == "registers":
        registers = list(data["registers"])
        registers[Registers._fields.index(rest)] = value
        data["registers"] = registers
    elif rest:
        part = dict(data.get(head) or {})
        set_at(part, rest, value)
        data[head] = part
    elif value is None:
        data.pop(head, None)
    else:
        data[head] = value


def shown(leaf: Leaf, data: Mapping) -> str:
    """Return a field's value as the form shows it; "" where there is none."""
    value = value_at(data, leaf.path)
    if value is None and not leaf.optional:
        value = leaf.default
    match leaf.kind:
        case "part":
            return "yes" if value is not None else "no"
        case "switch":
            return "" if value is None else "yes" if value else "no"
        case "pairs" | "wholes" if not isinstance(value, str):
            return ", ".join(f"{one[0]}-{one[1]}" if isinstance(one, list) else str(one) for one in value or ())
        case "tables":
            return "\n".join(json.dumps(one) for one in value or ())
    if value is None:
        return "0" if leaf.path.startswith("mutations.") else ""
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def parsed(leaf: Leaf, text: str) -> Any:
    """Return what a form's text means as JSON; what it cannot mean is returned as it is, for the engine to refuse."""
    text = text.strip()
    if not text:
        return [] if leaf.kind in ("pairs", "wholes", "tables") else None
    match leaf.kind:
        case "switch" | "part":
            return text == "yes"
        case "whole" | "number":
            return _number(text, leaf.kind)
        case "wholes":
            return [_number(one, "whole") for one in re.split(r"[\s,]+", text) if one]
        case "tables":
            try:
                return [json.loads(line) for line in text.splitlines() if line.strip()]
            except ValueError:
                return text
        case "pairs" if re.fullmatch(r"[\d\s,-]+", text):
            return [[_number(one, "whole") for one in pair.split("-")] for pair in re.split(r"[\s,]+", text) if pair]
    return text


def _number(text: str, kind: str) -> Any:
    plain = text.replace("\N{MINUS SIGN}", "-").replace("_", "")
    try:
        return int(plain)
    except ValueError:
        try:
            number = float(plain)
        except ValueError:
            return text
    return int(number) if kind == "whole" and number.is_integer() else number


def applied(
    base: Mapping, shown_for: Mapping, sent: Mapping[str, Any], *, all_leaves: Sequence[Leaf]
) -> tuple[dict, set[str]]:
    """Return the base's JSON with what the sender changed, and the paths changed.

    shown_for: the JSON that the form was shown with. sent: texts by path, lists of names for ops; what is not in it was
    not shown and stays.
    """
    data, changed = dict(base), set()
    for leaf in all_leaves:
        if leaf.path not in sent:
            continue
        value = sent[leaf.path]
        if leaf.kind == "ops":
            if sorted(value) != sorted(value_at(shown_for, leaf.path) or ()):
                changed.add(leaf.path)
                set_at(data, leaf.path, list(value))
            continue
        if "\n".join(value.strip().splitlines()) == shown(leaf, shown_for):
            continue
        new = parsed(leaf, value)
        if new is None and not leaf.optional:
            continue  # emptied: the default
        if leaf.kind == "part":
            if new and value_at(data, leaf.path) is None:
                set_at(data, leaf.path, _part_as(data, leaf.path))
            elif not new:
                set_at(data, leaf.path, None)
            changed.add(leaf.path)
            continue
        part = leaf.path.rpartition(".")[0]
        if sent.get(part) == "no":
            continue  # of a part that is switched off
        if part.endswith("_tasks") and value_at(data, part) is None:
            continue
        changed.add(leaf.path)
        set_at(data, leaf.path, new)
    return data, changed


def _part_as(data: Mapping, path: str) -> dict:
    """Return what a part begins as when it is switched on: other tasks are like the search's own."""
    return dict(data["search_tasks"]) if path.endswith("_tasks") else {}


def read(data: Mapping, *, limit: int = 12) -> tuple[SearchSpec | None, list[SpecError]]:
    """Return the specification, or None and the errors: each field at fault is reset to see whether others are, too."""
    errors: list[SpecError] = []
    data = dict(data)
    known = {leaf.path for leaf in leaves()}
    default = SearchSpec().to_json()
    while len(errors) < limit:
        try:
            spec = SearchSpec.from_json(data)
        except SpecError as error:
            again = error.field in {one.field for one in errors}
            if not again:
                errors.append(error)
            if again or error.field not in known:
                return None, errors
            data = _copied(data)
            set_at(data, error.field, value_at(default, error.field))
        else:
            return (None if errors else spec), errors
    return None, errors


def _copied(data: Mapping) -> dict:
    return {key: dict(value) if isinstance(value, Mapping) else value for key, value in data.items()}
