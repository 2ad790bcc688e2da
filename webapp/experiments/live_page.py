"""A search's page, part by part: a page that says which versions of them it has is sent what is new."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any
from urllib.parse import urlencode

from django.db.models import Sum
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from engine.spec import SearchSpec
from webapp.experiments import charts, code, curves, describe, log, queries, words
from webapp.experiments.models import Island, Search
from webapp.experiments.specs import read_spec

FEED_LENGTH = 8
NOT_IN_FEED = ("select_scores", "final_scores", "algorithm__program", "algorithm__canonical_digest")
"""Columns of finds that the feed prints nothing of."""
LOG_LENGTH = 30
CALLOUTS = 4
ISLANDS_SHOWN = 240
"""Islands with a small picture of their own; the chart has all, one by one."""
OVERLAP = timedelta(seconds=5)
"""A slice that was committed after another may have been stamped before it."""


class LivePage:
    """What the page of a search shows. Each part is computed only if it is sent."""

    def __init__(self, search: Search):
        self.search = search
        self.spec = read_spec(search.spec)
        self._parts: dict[str, Callable[[], dict[str, Any]]] = {
            "chart": self._chart, "controls": dict, "best": self._best, "feed": self._feed, "log": self._log,
            "islands": self._all_islands,
        }  # fmt: skip

    def whole(self) -> dict[str, Any]:
        """Return the context of the whole page."""
        context = self._always()
        for part in self._parts.values():
            context |= part()
        return context

    def news(self, known: Mapping[str, str]) -> dict[str, Any]:
        """Return the context of what a page has not got that has the versions `known`, and draws the chart itself if it says so."""
        context = self._always() | {"oob": True}
        parts = [name for name, version in self.versions.items() if known.get(name) != version]
        if "chart" not in known:
            parts.append("chart")
        for name in parts:
            context |= self._new_islands(known.get(name, "")) if name == "islands" else self._parts[name]()
        context["parts"] = [f"experiments/_search_{name}.html" for name in parts]
        return context

    @cached_property
    def versions(self) -> dict[str, str]:
        """Which parts say what they say now. Of islands: until when their changes are in it, microseconds."""
        search, feed = self.search, self._finds
        log_words = "".join(line.words for line in self._log_lines)
        changed = max(at for _pk, _state, at in self._islands) if self.is_archipelago else None
        return {
            "controls": f"{search.state}.{search.priority}",
            "best": f"{self._shown.pk if self._shown else 0}.{search.result_id or 0}.{search.state in Search.ENDED:d}",
            "feed": str(feed[0].pk if feed else 0),
            "log": hashlib.sha256(log_words.encode()).hexdigest()[:12],
            "islands": str(round(changed.timestamp() * 1_000_000)) if changed else "0",
        }

    @cached_property
    def _islands(self) -> list[tuple[int, str, datetime]]:
        return list(self.search.islands.order_by("index").values_list("pk", "state", "updated_at"))

    @property
    def _ids(self) -> list[int]:
        return [pk for pk, _state, _at in self._islands]

    @property
    def is_archipelago(self) -> bool:
        return len(self._islands) > 1

    def _rate(self) -> float | None:
        """Programs a second: of the islands that run, or of the last one that did; in the end, of the whole search."""
        running = [pk for pk, state, _at in self._islands if state == Island.State.RUNNING]
        latest = [max(self._islands, key=lambda one: one[2])[0]] if self._islands else []
        rate = curves.recent_rate(running or latest) if self.search.is_active else None
        return rate or self._mean_rate()

    def _mean_rate(self) -> float | None:
        """Programs a second of an island's own time: islands may have taken turns."""
        seconds = self.search.seconds
        if self.is_archipelago:
            seconds = self.search.islands.aggregate(total=Sum("seconds"))["total"]
        return self.search.individuals / seconds if seconds else None

    @cached_property
    def _shown(self):
        finished = self.search.state == Search.State.FINISHED
        return self.search.result if self.search.result_id and finished else self.search.best

    @cached_property
    def _finds(self) -> list:
        return list(queries.improvements(self.search, limit=FEED_LENGTH).defer(*NOT_IN_FEED))

    @cached_property
    def _log_lines(self) -> list[log.Line]:
        return log.lines(self.search, limit=LOG_LENGTH)

    def _always(self) -> dict[str, Any]:
        search, spec = self.search, self.spec
        rate = self._rate()
        # Programs whose score was known from an equal or equivalent one.
        answered = search.individuals - search.evaluations - search.rejected - search.cut
        share = max(answered, 0) / search.individuals if search.individuals else None
        limit = spec.stop.max_seconds
        return {
            "search": search,
            "spec": spec,
            "state_line": describe.state_line(search, rate=rate),
            "finish_words": describe.finish_words(search) if search.state == Search.State.FINISHED else "",
            "rate": rate,
            "rate_is_each": self.is_archipelago and not search.is_active,
            "cache_share": share,
            "fec_share": _percent(search.fec_hits, search.individuals) if spec.fec else "",
            "cut_share": _percent(search.cut, search.individuals) if spec.hurdle else "",
            "cache_percent": f"{share:.0%}".rstrip("%") if share is not None else "",
            "time_left": max(limit - search.seconds, 0.0) if limit and search.is_active else None,
            "known": urlencode(self.versions),
            "distinct": curves.latest_distinct(self._ids),
            "generation": search.individuals // (spec.population_size * max(len(self._islands), 1)),
            "islands_count": len(self._islands),
        }

    def _chart(self) -> dict[str, Any]:
        points = curves.points(self._ids)
        if not self.search.is_active:
            points = curves.with_end(points, **end_of_curve(self.search))
        return {
            "chart": _chart(self.search, self.spec, points, mark_finds=not self.is_archipelago) if points else None,
            "curve_words": _curve_words(self.search, self.spec),
            "files": [("CSV", reverse("experiments:search-curve-csv", args=[self.search.pk]))],
        }

    def _best(self) -> dict[str, Any]:
        search, spec, shown = self.search, self.spec, self._shown
        functions, annotation = (
            code.annotated(shown.algorithm, features_size=spec.search_tasks.features) if shown else ([], None)
        )
        return {
            "best": shown,
            "best_title": words.title(shown.algorithm, annotation, spec) if shown else "",
            "task_words": describe.task_words(spec.search_tasks),
            "annotated": annotation is not None,
            "baselines": describe.baselines_of(search),
            "final_baselines": describe.baselines_of(search, "final"),
            "functions": functions,
            "dead": code.dead_count(functions),
        }

    def _feed(self) -> dict[str, Any]:
        size = self.spec.search_tasks.features
        return {
            "feed": [
                {
                    "find": find,
                    "lines": code.diff_lines(find.diff, features_size=size, limit=2),
                    "more": max(code.diff_size(find.diff) - 2, 0),
                }
                for find in self._finds
            ]
        }

    def _log(self) -> dict[str, Any]:
        return {"log": self._log_lines}

    def _all_islands(self) -> dict[str, Any]:
        """Those that have a picture of their own; one alone needs none."""
        if not self.is_archipelago:
            return {"islands": []}
        rows = self.search.islands.order_by("index")[:ISLANDS_SHOWN]
        return {"islands": self._pictured(rows), "more_islands": max(len(self._islands) - ISLANDS_SHOWN, 0)}

    def _new_islands(self, since: str) -> dict[str, Any]:
        """Those that have changed since a version."""
        if not since.isdecimal() or len(since) > 17 or not self.is_archipelago:
            return self._all_islands()
        at = datetime.fromtimestamp(int(since) / 1_000_000, UTC) - OVERLAP
        rows = self.search.islands.filter(updated_at__gt=at, index__lt=ISLANDS_SHOWN).order_by("index")
        return {"islands": self._pictured(rows), "changed_islands": True}

    def _pictured(self, rows) -> list[dict[str, Any]]:
        islands: list[Island] = list(rows)
        lines = queries.island_lines(self.search)
        floor = queries.chance(self.spec)
        return [
            {
                "island": island,
                "number": island.index + 1,
                "best": lines[island.pk][-1][1] if lines.get(island.pk) else None,
                "spark": charts.sparkline(lines.get(island.pk, []), x_end=island.individuals, y_floor=floor),
            }
            for island in islands
        ]


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.0%}".rstrip("%") + "\N{NO-BREAK SPACE}%" if whole else "–"


def end_of_curve(search: Search) -> dict[str, Any]:
    """Return what is known of a search where it ended, as curves.with_end takes it."""
    return {
        "individuals": search.individuals,
        "seconds": search.seconds,
        "best": search.best.score if search.best else None,
    }


def _curve_words(search: Search, spec: SearchSpec) -> dict:
    """Return what the script that draws the chart needs to say, and the lines that do not move."""
    name = describe.score_name(spec)
    return {
        "floor": queries.chance(spec),
        "baselines": describe.baselines_of(search),
        # Where experiments follow each other every few thousand programs, what their populations score goes up and down with them.
        "restarts": bool(spec.stages), "population": _("scores of the population"),
        "title": _("Best, median and mean %(name)s") % {"name": name}, "best_title": _("Best %(name)s") % {"name": name},
        "score": _("%(name)s on the search tasks") % {"name": name},
        "best": _("best"), "median": _("median"), "mean": _("mean"), "programs": _("programs tried"), "seconds": _("seconds"),
        "rate": _("programs a second"), "hits": _("share answered without evaluating"), "equivalent": _("equivalent"), "equal": _("equal"), "cut": _("hurdle"), "distinct": _("distinct behaviours"),
        "show": _("Show"), "against": _("against"), "islands": _("Island"), "all": _("all"), "log": _("logarithmic"),
        "whole": _("Whole curve"),
        "help": _("Drag to zoom. Keys: arrows move, + and − zoom, 0 shows the whole."),
    }  # fmt: skip


def _find_words(find: queries.Rise) -> str:
    words = ngettext("%(score)s after %(n)s program", "%(score)s after %(n)s programs", find.individuals)
    return words % {"score": charts.score_text(find.score), "n": describe.count(find.individuals)}


def _chart(search: Search, spec: SearchSpec, points: list[curves.Point], *, mark_finds: bool) -> charts.Chart:
    # An island's finds are counted by its own programs, not by those of all.
    finds = queries.milestones(search) if mark_finds else []
    gains = sorted((find.score - find.previous for find in finds if find.previous is not None), reverse=True)
    smallest = gains[min(CALLOUTS, len(gains)) - 1] if gains else 1.0
    milestones = [
        charts.Milestone(
            x=find.individuals,
            y=find.score,
            title=partial(_find_words, find),
            callout=charts.signed(find.score - find.previous)
            if find.previous is not None and find.score - find.previous >= max(smallest, 0.005)
            else "",
            href=f"/a/{find.permalink}",
        )
        for find in finds
    ]
    name = describe.score_name(spec)
    last = points[-1]
    stride = max(1, len(points) // 16)
    table = [*points[::-1][::stride]][::-1]
    population = [] if spec.stages else points  # see _curve_words
    title = (
        _("Best %(name)s against programs tried") if spec.stages else _("Best and mean %(name)s against programs tried")
    )
    said = (
        _("Best %(best)s after %(n)s programs.")
        if spec.stages
        else _("Best %(best)s and population mean %(mean)s after %(n)s programs.")
    )
    return charts.build(
        id="curve",
        title=title % {"name": name},
        description=said
        % {
            "best": charts.score_text(last.best),
            "mean": charts.score_text(last.mean),
            "n": describe.count(last.individuals),
        },
        x_title=_("programs tried"),
        y_title=_("%(name)s on the search tasks") % {"name": name},
        series=[
            charts.Series("mean", _("mean"), [(point.individuals, point.mean) for point in population]),
            charts.Series("best", _("best"), [(point.individuals, point.best) for point in points], step=True),
        ],
        band=[
            (point.individuals, point.mean - point.deviation, min(point.mean + point.deviation, point.best or 1.0))
            for point in population
            if point.mean is not None and point.deviation is not None
        ],
        baselines=[charts.Baseline(label, score) for label, score in describe.baselines_of(search)],
        milestones=milestones,
        x_range=(0, last.individuals),
        y_floor=queries.chance(spec),
        columns=[_("programs"), _("seconds"), _("best"), _("mean"), _("deviation")],
        rows=[
            [
                describe.count(point.individuals),
                f"{point.seconds:.1f}",
                charts.score_text(point.best),
                charts.score_text(point.mean),
                charts.score_text(point.deviation),
            ]
            for point in table
        ],
    )
