"""Several searches side by side: their curves in one chart, their settings in one table, their successes counted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from django.utils.translation import gettext as _

from webapp.experiments import charts, curves, describe, queries, spec_fields
from webapp.experiments.models import Find, Search
from webapp.experiments.spec_words import value_words, words_of
from webapp.experiments.specs import read_spec

COLOURS = 8
"""Line styles that the style sheet has for overlaid curves: c0 to c7."""
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Setting:
    """A field of several specifications: its label, path, and value of each. differs: not the same for all."""

    path: str
    label: str
    values: list[str]
    differs: bool


@dataclass
class Group:
    """Searches of a study with the same values of what it is grouped by. low, high: Wilson's 95 % interval of the rate."""

    values: dict[str, Any]
    searches: list[Search] = field(default_factory=list)
    successes: int = 0
    scores: list[float] = field(default_factory=list)
    efforts: list[int] = field(default_factory=list)
    number: int = 0

    @property
    def words(self) -> str:
        return ", ".join(f"{path} {shown_value(value)}" for path, value in self.values.items()) or str(_("all"))

    @property
    def label(self) -> str:
        """The values alone, for beside a line."""
        return ", ".join(shown_value(value) for value in self.values.values()) or self.words

    @property
    def ended(self) -> int:
        return sum(search.state in Search.ENDED for search in self.searches)

    @property
    def rate(self) -> float | None:
        return self.successes / self.ended if self.ended else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return wilson(self.successes, self.ended) if self.ended else None

    @property
    def median_score(self) -> float | None:
        return median(self.scores) if self.scores else None

    @property
    def median_effort(self) -> float | None:
        return median(self.efforts) if self.efforts else None


def wilson(successes: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Return Wilson's score interval of a rate. Raises ValueError without trials."""
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    share, square = successes / trials, z * z
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    half = z / (1 + square / trials) * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


def settings(searches: Sequence[Search]) -> list[Setting]:
    """Return every field of the searches' specifications, and their seeds; those that differ first."""
    specs = [search.spec for search in searches]
    rows = [
        _setting("seed", str(_("Seed")), [str(search.seed) for search in searches]),
        *(_setting(leaf.path, " ".join(_label(leaf)), _values(leaf, specs)) for leaf in spec_fields.leaves()),
    ]
    return sorted(rows, key=lambda one: not one.differs)


def _setting(path: str, label: str, values: list[str]) -> Setting:
    return Setting(path, label, values, len(set(values)) > 1)


def _label(leaf: spec_fields.Leaf) -> tuple[str, ...]:
    head = leaf.path.partition(".")[0]
    where = {
        "search_tasks": "T_search:", "select_tasks": "T_select:", "final_tasks": "T_test:", "setup": "Setup:",
        "predict": "Predict:", "learn": "Learn:",
    }.get(head)  # fmt: skip
    label = words_of(leaf)[0]
    return (where, label) if where and leaf.kind != "part" else (label,)


def _values(leaf: spec_fields.Leaf, specs: Sequence[Mapping]) -> list[str]:
    if leaf.kind != "ops":
        head, dot, _last = leaf.path.partition(".")
        # A part that is switched off has no values, whatever they would be.
        return [
            "" if dot and spec.get(head) is None else value_words(leaf, spec_fields.shown(leaf, spec)) for spec in specs
        ]
    chosen = [set(spec_fields.value_at(spec, leaf.path) or ()) for spec in specs]
    common = set.intersection(*chosen)
    return [
        f"{len(one)}" + ("".join(f" +{name.lower()}" for name in sorted(one - common)) if one != common else "")
        for one in chosen
    ]


def groups(
    searches: Sequence[Search], values: Mapping[int, Mapping[str, Any]], by: Sequence[str], *, above: float | None
) -> list[Group]:
    """Group searches by some of a study's varied fields and count successes: score above `above`, or solved where None.

    values: of each search's varied fields, by its id. The score is that on unseen tasks, if there is one.
    """
    found: dict[str, Group] = {}
    firsts = first_above(searches, above) if above is not None else {}
    for search in searches:
        point = {path: values[search.pk].get(path) for path in by}
        group = found.setdefault(json.dumps(point, sort_keys=True), Group(point, number=len(found)))
        group.searches.append(search)
        score = score_of(search)
        if score is not None:
            group.scores.append(score)
        has_ended = search.state in Search.ENDED
        if has_ended and (search.solved if above is None else score is not None and score > above):
            group.successes += 1
            group.efforts.append(firsts.get(search.pk) or search.individuals)
    return list(found.values())


def score_of(search: Search) -> float | None:
    """Return what a search is judged by: its result's score on unseen tasks, else its best score."""
    if search.result is not None and search.result.final_score is not None:
        return search.result.final_score
    return search.best.score if search.best is not None else None


def first_above(searches: Sequence[Search], above: float) -> dict[int, int]:
    """Return how many programs each search had tried, on all its islands, when its best score first passed a value."""
    result: dict[int, int] = {}
    rows = Find.objects.filter(search__in=[search.pk for search in searches], score__gt=above).order_by("individuals")
    for search_id, individuals in rows.values_list("search", "individuals"):
        result.setdefault(search_id, individuals)
    for search in searches:
        if search.pk in result and is_archipelago(search):
            points = (at for at, score in line_of(search, by_time=False) if score > above)
            result[search.pk] = round(next(points, search.individuals))
    return result


def is_archipelago(search: Search) -> bool:
    return search.spec.get("islands", 1) > 1


def line_of(search: Search, *, by_time: bool) -> list[tuple[float, float]]:
    """Return (programs of all islands, or seconds, best score so far) where it rose; finds are counted by their island's programs."""
    line: list[tuple[float, float]] = []
    for point in curves.points(list(search.islands.values_list("pk", flat=True))):
        if point.best is not None and (not line or point.best > line[-1][1]):
            line.append((point.seconds if by_time else point.individuals, point.best))
    return line


def shown_value(value: Any) -> str:
    """Return a varied field's value for people."""
    return value if isinstance(value, str) else json.dumps(value)


def chart(searches: Sequence[Search], *, by_time: bool, kinds: Mapping[int, tuple[str, str]]) -> charts.Chart | None:
    """Overlay the searches' best scores. kinds: line style and label of each by id; "" where another of its group has it."""
    lines = queries.best_lines([search.pk for search in searches if not is_archipelago(search)], by_time=by_time)
    lines |= {search.pk: line_of(search, by_time=by_time) for search in searches if is_archipelago(search)}
    series, table = [], []
    for search in searches:
        points = lines[search.pk]
        if not points:
            continue
        end = search.seconds if by_time else search.individuals
        style, label = kinds[search.pk]
        series.append(charts.Series(style, label, [*points, (max(end, points[-1][0]), points[-1][1])], step=True))
        table.append([str(search.pk), search.title, charts.score_text(points[-1][1])])
    if not series:
        return None
    spec = read_spec(searches[0].spec)
    name = describe.score_name(spec)
    baselines = describe.baselines_of(searches[0]) if len({_tasks(search) for search in searches}) == 1 else []
    return charts.build(
        id="compare",
        title=_("Best %(name)s of %(n)d searches") % {"name": name, "n": len(series)},
        description=_("Best scores so far of each search, overlaid; the table below has where each ended."),
        x_title=_("seconds of search") if by_time else _("programs tried"),
        y_title=_("%(name)s on the search tasks") % {"name": name},
        series=series,
        baselines=[charts.Baseline(label, score) for label, score in baselines],
        x_range=(0, max(points[-1][0] for points in (one.points for one in series))),
        y_floor=min(queries.chance(read_spec(search.spec)) for search in searches),
        columns=[_("search"), _("title"), _("best")],
        rows=table,
    )


def _tasks(search: Search) -> str:
    return json.dumps([search.spec["search_tasks"], search.seed])


def styles(searches: Sequence[Search], found: Sequence[Group] | None = None) -> dict[int, tuple[str, str]]:
    """Return line style and label of each search: by group, the first of a group with its label, or one by one."""
    if found is None:
        return {search.pk: (f"c{place % COLOURS}", str(search.pk)) for place, search in enumerate(searches)}
    result = {}
    for group in found:
        for place, search in enumerate(group.searches):
            result[search.pk] = (f"c{group.number % COLOURS}", "" if place else group.label)
    return result
