"""A search's log in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webapp.experiments import describe
from webapp.experiments.models import Event, Search


@dataclass(frozen=True)
class Line:
    """A line of the log: when, what, and of which island where that is not plain."""

    at: datetime
    words: str
    island: int | None


def lines(search: Search, *, limit: int) -> list[Line]:
    """Return the log's latest lines, newest first."""
    events = search.events.select_related("user").order_by("-id")[:limit]
    return [Line(event.at, words(event), event.island_index) for event in events]


def words(event: Event) -> str:
    """Return what happened, in a sentence without full stop."""
    data = event.data
    by = event.user.get_username() if event.user else ""
    match event.kind:
        case "launched":
            return _("Launched by %(name)s") % {"name": by} if by else _("Launched")
        case "imported":
            return _with_name(_("Imported"), by)
        case "turn":
            turns = data.get("turns", 1)
            return ngettext(
                "Worker %(worker)s took it, for %(n)d turn", "Worker %(worker)s took it, for %(n)d turns", turns
            ) % {"worker": data.get("worker", "?"), "n": turns}
        case "migrated":
            taken = data.get("count", 1)
            return ngettext(
                "Took in %(n)s algorithm of another island", "Took in %(n)s algorithms of other islands", taken
            ) % {"n": describe.count(taken)}
        case "retried":
            return _("Tried again (%(failures)s): %(reason)s") % {
                "failures": data.get("failures", 1),
                "reason": data.get("reason", ""),
            }
        case "island-failed":
            return _("Gave up: %(reason)s") % {"reason": data.get("reason", "")}
        case "experiment":
            return _("Experiment %(n)s began") % {"n": data.get("number", "?")}
        case "extended":
            text = _("More time: limit %(limit)s") % {"limit": describe.duration(data.get("max_seconds"))}
            return _with_name(text, by)
        case "priority":
            return _with_name(_("Priority set to %(n)s") % {"n": data.get("priority")}, by)
    known = {
        "pausing": _("Asked to pause"),
        "paused": _("Paused"),
        "resumed": _("Resumed"),
        "stopping": _("Asked to stop"),
        "stopped": _("Stopped"),
        "finished": _("Finished"),
        "failed": _("Failed"),
        "replayed": _("Its limits were changed as it ended: the last slice runs again"),
        "tried-again": _("Tried again"),
    }
    return _with_name(known.get(event.kind, event.kind.replace("-", " ").replace("_", " ")), by)


def _with_name(text: str, by: str) -> str:
    return _("%(what)s, by %(name)s") % {"what": text, "name": by} if by else text
