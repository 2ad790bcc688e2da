"""JSON in and out: nothing that PostgreSQL or another reader of JSON could not take, in either direction."""

from __future__ import annotations

import json
import math
from typing import Any

from ninja.errors import HttpError
from ninja.parser import Parser
from ninja.renderers import JSONRenderer

MAX_DEPTH = 60


class StrictParser(Parser):
    """Reads bodies: no NaN or infinity, also not as 1e999, no NUL or half a character in texts, no endless nesting."""

    def parse_body(self, request) -> Any:
        try:
            data = json.loads(request.body, parse_constant=_no_such_number, parse_float=_finite)
            check_storable(data)
        except RecursionError:
            raise HttpError(400, f"The body is nested more than {MAX_DEPTH} deep.") from None
        except ValueError as error:
            raise HttpError(400, f"The body is not JSON that can be used: {error}") from None
        return data


class FiniteRenderer(JSONRenderer):
    """Writes answers: whatever is not a finite number becomes null."""

    def render(self, request, data, *, response_status) -> str:
        return json.dumps(finite(data), cls=self.encoder_class, allow_nan=False, ensure_ascii=False)


def finite(value: Any) -> Any:
    """Return plain data with None in place of NaN and infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return value


def _no_such_number(name: str):
    raise ValueError(f"{name} is not a number here")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text:.30} is too large")
    return value


def check_storable(data: Any) -> None:
    """Raise ValueError or RecursionError for what cannot be kept."""
    waiting = [(data, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise RecursionError
        if isinstance(value, str):
            if "\x00" in value:
                raise ValueError("a text holds the character NUL")
            if not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value):
                raise ValueError("a text holds half of a character")
        elif isinstance(value, dict):
            waiting += [(one, depth + 1) for pair in value.items() for one in pair]
        elif isinstance(value, list):
            waiting += [(one, depth + 1) for one in value]
