"""Specifications as TOML text that people can edit; `read_toml` and `SearchSpec.from_json` read it back."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from engine.spec import SearchSpec

_WIDTH = 120
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_MOST_PARTS = 20
# Possessive, and beginning where a key can begin alone (no quote of a text's inside): its time is in proportion to the text's length.
_PART = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+"""
_LONG_KEY = re.compile(rf"(?<![\w\\-])(?:{_PART}){{{_MOST_PARTS}}}")


def read_toml(text: str) -> dict[str, Any]:
    """Return the tables of a TOML text from anywhere. Raises ValueError, which says what is wrong with it.

    Keys of twenty parts and more are refused: the parser's time grows with the square of a key's parts, to minutes for a long text.
    """
    long = _LONG_KEY.search(text)
    if long:
        line = text.count("\n", 0, long.start()) + 1
        raise ValueError(f"a key of more than {_MOST_PARTS} parts (at line {line})")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("values within values, too deep") from None


def to_toml(spec: SearchSpec) -> str:
    """Return a specification as TOML: simple fields first, then a table for each part."""
    return _document(spec.to_json())


def _document(data: Mapping[str, Any]) -> str:
    # A plain field after a table's header would belong to that table, so these come first.
    plain = {key: value for key, value in data.items() if not isinstance(value, Mapping)}
    parts = ["".join(_field(key, value) for key, value in plain.items())]
    for key, value in data.items():
        if isinstance(value, Mapping):
            parts.append(f"[{_key(key)}]\n" + "".join(_field(name, one) for name, one in value.items()))
    return "\n".join(part for part in parts if part)


def _field(key: str, value: Any) -> str:
    line = f"{_key(key)} = {_value(value)}\n"
    if len(line) <= _WIDTH or not isinstance(value, list):
        return line
    return f"{_key(key)} = [\n" + "".join(f"    {_value(one)},\n" for one in value) + "]\n"


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)  # also inf and nan are spelt as TOML does
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + "}"
    raise TypeError(f"TOML has no {type(value).__name__}")


def _text(value: str) -> str:
    # JSON's escapes are TOML's too; DEL is the one character that only TOML escapes.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
