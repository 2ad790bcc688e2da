"""Tables as CSV that spreadsheets show and never run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}")


def to_csv(header: Sequence[str] | None, rows: Iterable[Sequence[Any]]) -> str:
    """Return a table, or without a header a part of one, as CSV. Texts that a spreadsheet would take for a formula get an apostrophe before them."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    if header is not None:
        writer.writerow([_plain(one) for one in header])
    writer.writerows([_plain(one) for one in row] for row in rows)
    return file.getvalue()


def _plain(value: Any) -> Any:
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_DANGEROUS) else value
