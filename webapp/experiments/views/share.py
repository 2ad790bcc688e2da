"""What programs ask that show a link to others: the picture, the frame, and oEmbed."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import cache
from django.http import Http404, HttpResponse, HttpResponseNotModified, JsonResponse
from django.shortcuts import render
from django.urls import Resolver404, resolve
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_safe

from webapp.experiments import access, code, describe, figures, queries, svg, words
from webapp.experiments.models import Algorithm
from webapp.experiments.share import EMBED_HEIGHT, EMBED_WIDTH, HEIGHT, WIDTH, Sharing, frame, picture
from webapp.experiments.specs import read_spec
from webapp.lib.security import CONTENT_SECURITY_POLICY

CACHE_SECONDS = 3600
SMALLEST_FRAME = 280


@require_safe
def picture_png(request, permalink: str):
    """The picture; drawn once for each content."""
    row = access.get_algorithm(request.user, permalink)
    finds = queries.finds_of(request.user, row)
    text = picture(row, finds, queries.measurement_of(finds) if finds else None)
    digest = hashlib.sha256(text.encode()).hexdigest()
    etag = f'"{digest[:32]}"'
    if request.headers.get("If-None-Match") == etag:
        return _for_others(HttpResponseNotModified(), request, row, etag)
    data = cache.get_or_set(f"picture/{digest}", lambda: svg.png(text), CACHE_SECONDS)
    return _for_others(HttpResponse(data, content_type="image/png"), request, row, etag)


def _for_others(response: HttpResponse, request, row: Algorithm, etag: str = "") -> HttpResponse:
    """Let other sites show what everybody may see, and let it be kept for an hour."""
    public = row.published_at is not None
    if public:
        response["Cross-Origin-Resource-Policy"] = "cross-origin"
    shared = public and not request.user.is_authenticated
    response["Cache-Control"] = f"public, max-age={CACHE_SECONDS}" if shared else "private, no-cache"
    patch_vary_headers(response, ["Cookie"])
    if etag:
        response["ETag"] = etag
    return response


@require_safe
@xframe_options_exempt
def embed(request, permalink: str):
    """The algorithm for a frame in somebody else's page: its code, its curve, and the way back."""
    row = access.get_algorithm(request.user, permalink)
    finds = queries.finds_of(request.user, row)
    find = finds[0] if finds else None
    spec = read_spec(find.search.spec) if find else None
    functions, annotation = code.annotated(row, features_size=spec.search_tasks.features if spec else None)
    measurement = queries.measurement_of(finds) if finds else None
    title = words.title(row, annotation, spec)
    context = {
        "algorithm": row,
        "title": title,
        "verdict": describe.verdict(find, spec) if find and spec else "",
        "functions": functions,
        "annotated": annotation is not None,
        "learning": figures.learning(measurement) if measurement and measurement.data else None,
        "share": Sharing.of(request, row, title=title, words=""),
    }
    response = render(request, "experiments/embed.html", context)
    ancestors = "*" if row.published_at is not None else "'self'"
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY.replace(
        "frame-ancestors 'none'", f"frame-ancestors {ancestors}"
    )
    return _for_others(response, request, row)


@require_safe
def oembed(request):
    """oEmbed 1.0, in JSON: what to show for an algorithm's address."""
    if request.GET.get("format", "json") != "json":
        return JsonResponse({"error": _("only the format json is spoken here")}, status=501)
    row = access.get_algorithm(request.user, _permalink_in(request))
    finds = queries.finds_of(request.user, row)
    spec = read_spec(finds[0].search.spec) if finds else None
    _functions, annotation = code.annotated(row, features_size=spec.search_tasks.features if spec else None)
    sharing = Sharing.of(request, row, title=words.title(row, annotation, spec), words="")
    width = _at_most(request.GET.get("maxwidth"), EMBED_WIDTH)
    height = _at_most(request.GET.get("maxheight"), EMBED_HEIGHT)
    response = JsonResponse(
        {
            "version": "1.0",
            "type": "rich",
            "provider_name": "Ab Ovo",
            "provider_url": sharing.address.removesuffix(row.get_absolute_url()) + "/",
            "title": sharing.title,
            "width": width,
            "height": height,
            "html": frame(sharing.embed, sharing.title, width, height),
            "thumbnail_url": sharing.picture,
            "thumbnail_width": WIDTH,
            "thumbnail_height": HEIGHT,
            "cache_age": CACHE_SECONDS,
        }
    )
    return _for_others(response, request, row)


def _permalink_in(request) -> str:
    """Return the permalink of the address asked for, or raise Http404: only ours are known here."""
    try:
        parts = urlsplit(request.GET.get("url", ""))
        match = resolve(parts.path.rstrip("/") or "/")
    except (ValueError, Resolver404):
        raise Http404 from None
    hosts = {request.get_host(), settings.PUBLIC_URL.netloc if settings.PUBLIC_URL else ""}
    if parts.scheme not in ("http", "https") or parts.netloc not in hosts or match.view_name != "experiments:algorithm":
        raise Http404
    return match.kwargs["permalink"]


def _at_most(text: str | None, most: int) -> int:
    return max(min(int(text), most), SMALLEST_FRAME) if text and text.isdecimal() and len(text) < 6 else most
