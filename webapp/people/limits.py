"""How much of the machines one researcher may take. What is used of it counts webapp.experiments.quotas."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from webapp.people.roles import is_administrator, profile_of


@dataclass(frozen=True)
class Limits:
    """islands: at work or waiting at a time. search_seconds: of engine time a search. upload_bytes: kept. None: no limit."""

    islands: int | None = None
    search_seconds: float | None = None
    upload_bytes: int | None = None


def usual_limits() -> Limits:
    """Return the installation's limits."""
    return Limits(settings.ABOVO_QUOTA_ISLANDS, settings.ABOVO_QUOTA_SEARCH_SECONDS, settings.ABOVO_QUOTA_UPLOAD_BYTES)


def limits_of(user) -> Limits:
    """Return an account's limits: its own, else the installation's. Administrators and nobody (None) have none."""
    if user is None or not user.is_authenticated or is_administrator(user):
        return Limits()
    profile, usual = profile_of(user), usual_limits()
    return Limits(
        islands=_first(profile.max_islands, usual.islands),
        search_seconds=_first(profile.max_search_seconds, usual.search_seconds),
        upload_bytes=_first(profile.max_upload_bytes, usual.upload_bytes),
    )


def _first(own, usual):
    return usual if own is None else own
