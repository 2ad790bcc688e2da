"""`/favicon.ico`, for whoever asks for it without having read a page: feeds, tools, and browsers that show a file of ours."""

from __future__ import annotations

import struct
from functools import lru_cache

import resvg_py
from django.conf import settings
from django.http import HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

SIZES = (16, 32, 48)
_HEADER, _ENTRY = struct.Struct("<HHH"), struct.Struct("<BBBBHHII")


@require_safe
@cache_control(public=True, max_age=24 * 3600)
def favicon(request):
    return HttpResponse(ico(), content_type="image/x-icon")


@lru_cache(maxsize=1)
def ico() -> bytes:
    """Return the pages' icon as an ICO file: a PNG of each size."""
    text = (settings.BASE_DIR / "static" / "favicon.svg").read_text()
    pictures = [
        bytes(resvg_py.svg_to_bytes(svg_string=text, skip_system_fonts=True, width=size, height=size)) for size in SIZES
    ]
    file = _HEADER.pack(0, 1, len(pictures))
    place = _HEADER.size + _ENTRY.size * len(pictures)
    for size, picture in zip(SIZES, pictures, strict=True):
        file += _ENTRY.pack(size, size, 0, 0, 1, 32, len(picture), place)
        place += len(picture)
    return file + b"".join(pictures)
