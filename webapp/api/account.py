"""Who is asking."""

from __future__ import annotations

from dataclasses import asdict

from django.urls import reverse
from ninja import Router

from webapp.api import present
from webapp.api.schemas import AccountOut, IndexOut
from webapp.experiments import access
from webapp.experiments.quotas import islands_in_use, upload_bytes_in_use
from webapp.people.limits import limits_of
from webapp.people.roles import role_of

router = Router(tags=["account"])


@router.get("/", response=IndexOut, url_name="index", summary="Where things are")
def index(request):
    """The first address of the API: links to its description and its lists."""
    return {
        "name": "Ab Ovo",
        "version": "1",
        "openapi": present.api_url(request, "openapi-json"),
        "documentation": request.build_absolute_uri(reverse("api-page")),
        "searches": present.api_url(request, "searches"),
        "algorithms": present.api_url(request, "algorithms"),
        "presets": present.api_url(request, "presets"),
    }


@router.get("/account", response=AccountOut, url_name="account", summary="Say who you are here")
def account(request):
    """Name, role and limits of the token's account; name and role are null without one."""
    user = request.user
    return {
        "name": user.get_username() or None,
        "role": role_of(user),
        "scope": request.scope,
        "may_launch": access.may_launch(user),
        "islands_in_use": islands_in_use(user) if user.is_authenticated else 0,
        "upload_bytes_in_use": upload_bytes_in_use(user) if user.is_authenticated else 0,
        "limits": asdict(limits_of(user)),
    }
