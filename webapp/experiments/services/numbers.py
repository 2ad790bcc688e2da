"""Numbers on their way into the database."""

from __future__ import annotations

import math


def finite(value: float | None) -> float | None:
    """Return the number, or None where it is missing, infinite or NaN: neither JSON nor pages know those."""
    return None if value is None or not math.isfinite(value) else float(value)
