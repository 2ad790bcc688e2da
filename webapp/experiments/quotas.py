"""What somebody uses of the machines, against the limits of their account."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.db.models import Sum
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from engine.spec import SearchSpec, SpecError
from webapp.experiments.describe import count, duration
from webapp.experiments.models import Dataset, Island, Search
from webapp.people.limits import Limits, limits_of


class QuotaError(ValueError):
    """The account's limit would be passed. quota: "islands" or "upload_bytes"; used, wanted, limit: in its unit."""

    def __init__(self, quota: str, message: str, *, used: int, wanted: int, limit: int):
        super().__init__(message)
        self.quota, self.message, self.used, self.wanted, self.limit = quota, message, used, wanted, limit


def islands_in_use(owner) -> int:
    """Return how many islands of the owner's searches are at work or wait for a worker; paused ones are neither."""
    return Island.objects.filter(
        search__owner=owner, search__state__in=Search.ACTIVE, state__in=(Island.State.QUEUED, Island.State.RUNNING)
    ).count()


@dataclass(frozen=True)
class Usage:
    """What an account uses, and its limits (None: none)."""

    islands: int
    upload_bytes: int
    limits: Limits


def usage_of(user) -> Usage:
    """Return what an account uses of the machines."""
    return Usage(islands=islands_in_use(user), upload_bytes=upload_bytes_in_use(user), limits=limits_of(user))


def upload_bytes_in_use(owner) -> int:
    """Return how many bytes the owner's uploaded data sets hold."""
    return Dataset.objects.filter(owner=owner).aggregate(total=Sum("bytes"))["total"] or 0


def check_islands(owner, *, more: int) -> None:
    """Raise QuotaError if the owner may not have so many more islands at work.

    Call it in the transaction that adds them.
    """
    limit = limits_of(owner).islands
    if limit is None:
        return
    _hold(owner)
    used = islands_in_use(owner)
    if used + more > limit:
        message = ngettext(
            "Your account may have %(limit)s island at work or waiting at a time; there are %(used)s, and this needs %(more)s more. "
            "Wait for a search to end, or pause or stop one.",
            "Your account may have %(limit)s islands at work or waiting at a time; there are %(used)s, and this needs %(more)s more. "
            "Wait for a search to end, or pause or stop one.",
            limit,
        ) % {"limit": count(limit), "used": count(used), "more": count(more)}
        raise QuotaError("islands", message, used=used, wanted=more, limit=limit)


def check_budget(owner, spec: SearchSpec) -> None:
    """Raise SpecError, at the field that says how long, if a search is longer than the owner's may be."""
    limit = limits_of(owner).search_seconds
    if limit is None:
        return
    seconds = spec.stop.max_seconds
    if not seconds:
        raise SpecError(
            "stop.max_seconds", _("needed: searches of your account end after %(limit)s") % {"limit": duration(limit)}
        )
    if seconds > limit:
        raise SpecError(
            "stop.max_seconds",
            _("%(seconds)s seconds are too many: searches of your account may last %(limit)s seconds (%(words)s)")
            % {"seconds": f"{seconds:,.0f}", "limit": f"{limit:,.0f}", "words": duration(limit)},
        )


def check_upload(owner, *, more: int) -> None:
    """Raise QuotaError if `more` bytes are over what the owner may keep. Call it in the transaction that adds them."""
    limit = limits_of(owner).upload_bytes
    if limit is None:
        return
    _hold(owner)
    used = upload_bytes_in_use(owner)
    if used + more > limit:
        message = _("Your account may keep %(limit)s bytes of data; it has %(used)s, and this would add %(more)s.") % {
            "limit": f"{limit:,}", "used": f"{used:,}", "more": f"{more:,}",
        }  # fmt: skip
        raise QuotaError("upload_bytes", message, used=used, wanted=more, limit=limit)


def _hold(owner) -> None:
    """Hold the account's row, so that of two requests at once the second counts what the first has added."""
    get_user_model().objects.select_for_update().get(pk=owner.pk)
