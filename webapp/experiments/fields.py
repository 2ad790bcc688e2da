"""Model fields that PostgreSQL's own types cannot serve."""

from __future__ import annotations

import json
from typing import Any

from django.db import models


class ExactJSONField(models.TextField):
    """JSON kept as the text it came in.

    jsonb would reorder keys and turn -0.0 into 0: a program's digest and a specification's order would not survive.
    Non-finite numbers are refused; the engine writes them as "nan", "inf" and "-inf".
    """

    description = "JSON text, kept exactly"

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else json.loads(value)

    def to_python(self, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> str | None:
        if value is None:
            return None
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    def value_to_string(self, obj: models.Model) -> str:
        return self.get_prep_value(self.value_from_object(obj)) or ""
