"""Addresses outside of any request: what people open from their mail."""

from __future__ import annotations

from django.conf import settings


def absolute_url(path: str) -> str:
    """Return an address as people open it. It comes from the settings: what a request calls this server, anybody may have written."""
    public = settings.PUBLIC_URL
    return (f"{public.scheme}://{public.netloc}" if public else settings.ENVIRONMENT.address) + path
