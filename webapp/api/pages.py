"""Lists in pages: by a cursor that says where the last one ended, so that nothing is seen twice or passed over."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated
from urllib.parse import urlencode

from django.db.models import QuerySet
from ninja import Field

from webapp.api.problems import ApiError

Limit = Annotated[int, Field(ge=1, le=100, description="Entries on a page.")]
Cursor = Annotated[str, Field(max_length=100, description="`next_cursor` of the page before; empty: the first page.")]


def page(request, rows: QuerySet, *, limit: int, cursor: str) -> dict:
    """Return the page of rows, newest (largest id) first: {"items", "next_cursor", "next"}."""
    if cursor:
        rows = rows.filter(pk__lt=_read(cursor))
    found = list(rows.order_by("-pk")[: limit + 1])
    following = _write(found[limit - 1].pk) if len(found) > limit else ""
    return envelope(request, found[:limit], following)


def envelope(request, items: list, following: str) -> dict:
    """Return a page's fields; following: the next one's cursor, "" where there is none."""
    address = None
    if following:
        asked = {**{key: request.GET.getlist(key) for key in request.GET}, "cursor": [following]}
        address = request.build_absolute_uri(f"{request.path}?{urlencode(asked, doseq=True)}")
    return {"items": items, "next_cursor": following or None, "next": address}


def _write(pk: int) -> str:
    return base64.urlsafe_b64encode(str(pk).encode()).decode().rstrip("=")


def _read(cursor: str) -> int:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    if not text.isdecimal() or len(text) > 18:
        raise ApiError(422, "cursor: take it from `next_cursor` of the page before", kind="invalid")
    return int(text)
