"""What the gallery is asked for, read from its address, and the rows that answer it.

The address holds everything: filters, order and place. Pages are cut by the last row's value and id, so that the last
page costs what the first one does, and rows that come in between move nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.search import SearchQuery
from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from django.utils.dateparse import parse_datetime

from engine.ops import OPS
from webapp.experiments import words
from webapp.experiments.models import Discovery, Search, Star, Tag
from webapp.experiments.services.gallery import searchable
from webapp.experiments.services.marks import tag_name
from webapp.experiments.specs import as_text

PER_PAGE = 24
NOT_SHOWN = (
    "words", "text", "facets", "algorithm__program", "find__diff", "find__select_scores", "find__final_scores",
    "find__search__spec", "find__search__baselines", "find__search__owner__password",
)  # fmt: skip
"""Columns that are long, and that no row of the gallery prints."""

COUNTED = 200
"""Matches are counted up to here: beyond, the exact number tells a reader nothing, and costs."""

SORTS = {
    "margin": ("merit", True),
    "score": ("score", True),
    "size": ("size", False),
    "found": ("found_at", True),
    "finds": ("finds", True),
}
"""Name in the address: column, and whether it begins with the largest."""

DEFAULT_SORT = "margin"
AGES = (1, 7, 30, 365)
MOTIF_SLUGS = {words.motif_slug(name): name for name in words.MOTIFS}
OP_NAMES = frozenset(info.op.name for info in OPS if info.op)
WHOSE = ("", "mine", "starred")
LONGEST = 120


@dataclass(frozen=True, slots=True)
class Wish:
    """What a reader asks for. All empty: the public discoveries that some search chose, best margin first."""

    q: str = ""
    data: str = ""
    motif: tuple[str, ...] = ()
    op: tuple[str, ...] = ()
    score: float | None = None
    margin: float | None = None
    size: int | None = None
    age: int | None = None
    author: str = ""
    tag: str = ""
    all: bool = False
    whose: str = ""
    sort: str = ""
    after: str = ""
    before: str = ""
    problems: tuple[str, ...] = field(default=(), compare=False)
    """Names of the fields that could not be read, and are not asked for."""

    def address(self, **changes: Any) -> str:
        """Return the query string of this wish with the changes, its first page unless they say which."""
        changed = replace(self, **{"after": "", "before": "", **changes})
        pairs: list[tuple[str, Any]] = []
        for one in fields(changed):
            value = getattr(changed, one.name)
            if one.name == "problems" or value in ("", None, False, ()):
                continue
            if isinstance(value, tuple):
                pairs += [(one.name, item) for item in value]
            else:
                pairs.append((one.name, "1" if value is True else f"{value:g}" if isinstance(value, float) else value))
        return "?" + urlencode(pairs)

    @property
    def column(self) -> str:
        return SORTS[self.sort.lstrip("-") or DEFAULT_SORT][0]

    @property
    def descends(self) -> bool:
        """Whether the largest come first."""
        return SORTS[self.sort.lstrip("-") or DEFAULT_SORT][1] ^ self.sort.startswith("-")

    @property
    def is_filtered(self) -> bool:
        return self != Wish(sort=self.sort, after=self.after, before=self.before, whose=self.whose)


def read_wish(asked: MultiValueDict[str, str] | Mapping[str, str]) -> Wish:
    """Read an address; what makes no sense in it is left out, and named in `problems`."""
    get_all = getattr(asked, "getlist", lambda name: [asked[name]] if name in asked else [])
    problems: list[str] = []

    def text(name: str) -> str:
        return (asked.get(name) or "").replace("\x00", "").strip()[:LONGEST]

    def among(name: str, allowed) -> str:
        value = text(name)
        if value and value not in allowed:
            problems.append(name)
            return ""
        return value

    def several(name: str, allowed) -> tuple[str, ...]:
        values = dict.fromkeys(value for value in get_all(name) if value)
        if any(value not in allowed for value in values):
            problems.append(name)
        return tuple(value for value in values if value in allowed)

    def number(name: str, kind, low: float, high: float):
        value = text(name)
        if not value:
            return None
        try:
            result = kind(value)
        except (ValueError, OverflowError):
            result = None
        if result is None or not low <= result <= high:  # NaN is not within
            problems.append(name)
            return None
        return result

    sort = among("sort", {sign + name for name in SORTS for sign in ("", "-")})
    return Wish(
        q=text("q"), data=text("data"), motif=several("motif", MOTIF_SLUGS), op=several("op", OP_NAMES),
        score=number("score", float, 0, 1), margin=number("margin", float, -100, 100),
        size=number("size", int, 0, 10_000), age=number("age", int, 1, 36_500), author=text("author"), tag=tag_name(text("tag")),
        all=text("all") == "1", whose=among("whose", WHOSE), sort="" if sort == DEFAULT_SORT else sort,
        after=text("after"), before=text("before"), problems=tuple(problems),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """A page of rows. total: matches, counted up to COUNTED; more: whether there are more than that."""

    rows: list[Discovery]
    previous: str
    next: str
    total: int
    more: bool


def discoveries(user, wish: Wish) -> QuerySet[Discovery]:
    """Return what the user asked for and may see, not yet ordered."""
    rows = _asked_for(user, wish)
    # The row may be some seconds old; whether its search is still open is asked here.
    if _is_mine(user, wish):
        return rows.filter(find__search__owner=user)
    return rows.filter(find__search__visibility=Search.Visibility.PUBLIC)


def _is_mine(user, wish: Wish) -> bool:
    return wish.whose == "mine" and user.is_authenticated


def _asked_for(user, wish: Wish) -> QuerySet[Discovery]:
    """Return the rows that fit, as the gallery knows them."""
    rows = Discovery.objects.filter(audience=user.pk if _is_mine(user, wish) else Discovery.EVERYBODY)
    if not wish.all and wish.whose != "starred":
        rows = rows.filter(chosen=True)
    facets = [*(f"op:{name}" for name in wish.op), *(f"motif:{slug}" for slug in wish.motif)]
    if wish.data:
        facets.append(f"data:{wish.data}")
    if wish.author:
        author = get_user_model().objects.filter(username=wish.author).values_list("pk", flat=True).first()
        facets.append(f"author:{author or 0}")
    if facets:
        rows = rows.filter(facets__contains=facets)
    if wish.tag:
        rows = rows.filter(canonical_digest__in=_forms(Tag.objects.filter(name=wish.tag)))
    if wish.whose == "starred":
        rows = rows.filter(canonical_digest__in=_forms(Star.objects.filter(user=user)) if user.is_authenticated else [])
    tokens = searchable([wish.q]).split()
    if tokens:
        # A word is a beginning of itself, so that the first half adds nothing; but the database knows how frequent whole words are,
        # guesses that of all beginnings alike, and chooses by it whether to look words up or to walk along the order.
        query = " & ".join(f"('{token}' | '{token}':*)" for token in tokens)
        rows = rows.filter(words=SearchQuery(query, search_type="raw", config="simple"))
    elif wish.q:
        rows = rows.none()  # nothing but punctuation
    if wish.score is not None:
        rows = rows.filter(score__gte=wish.score)
    if wish.margin is not None:
        rows = rows.filter(margin__gte=wish.margin / 100)
    if wish.size is not None:
        rows = rows.filter(size__lte=wish.size)
    if wish.age is not None:
        rows = rows.filter(found_at__gte=timezone.now() - timedelta(days=wish.age))
    return rows


def _forms(marks: QuerySet) -> QuerySet:
    """Return the canonical forms of the programs that somebody marked."""
    return marks.values("algorithm__canonical_digest")


def page(user, wish: Wish, *, per_page: int = PER_PAGE) -> Page:
    """Return the page that a wish asks for, in two queries however many rows there are; each with its search's `spec_text`."""
    rows = discoveries(user, wish)
    # A number may be some seconds old: to ask each row's search for it would cost more than all else.
    total = _asked_for(user, wish)[: COUNTED + 1].count()
    backwards = bool(wish.before)
    found = list(
        _from_place(rows, wish, backwards)
        .annotate(spec_text=as_text("find__search__spec"))
        .select_related("algorithm", "find__search__owner")
        .defer(*NOT_SHOWN)[: per_page + 1]
    )
    beyond = len(found) > per_page
    found = found[:per_page]
    if backwards:
        found.reverse()
    has_next = beyond if not backwards else bool(found)
    has_previous = beyond if backwards else bool(wish.after and found)
    return Page(
        found,
        previous=wish.address(before=_place(found[0], wish)) if has_previous else "",
        next=wish.address(after=_place(found[-1], wish)) if has_next else "",
        total=min(total, COUNTED),
        more=total > COUNTED,
    )


def best() -> Discovery | None:
    """Return the public discovery that does best against the linear model on unseen classification tasks, or else on any."""
    rows = discoveries(AnonymousUser(), Wish()).filter(merit__gte=-1).order_by("-merit", "-id")
    rows = rows.select_related("algorithm", "find__search")
    rows = rows.defer("words", "text", "facets", "find__diff", "find__select_scores")
    return rows.filter(facets__contains=["task:projected"]).first() or rows.first()


def _from_place(rows: QuerySet[Discovery], wish: Wish, backwards: bool) -> QuerySet[Discovery]:
    """Order the rows, and begin behind the row that the address names."""
    column, descends = wish.column, wish.descends ^ backwards
    place = _read_place(wish.before or wish.after, column)
    if place is not None:
        value, pk = place
        beyond = "lt" if descends else "gt"
        # The first condition is implied by the second; an index can begin at it.
        rows = rows.filter(**{f"{column}__{beyond}e": value}).filter(
            Q(**{f"{column}__{beyond}": value}) | Q(**{column: value, f"id__{beyond}": pk})
        )
    sign = "-" if descends else ""
    return rows.order_by(sign + column, sign + "id")


def _place(row: Discovery, wish: Wish) -> str:
    value = getattr(row, wish.column)
    return f"{value.isoformat() if isinstance(value, datetime) else repr(value)}_{row.pk}"


def _read_place(text: str, column: str) -> tuple[Any, int] | None:
    """Return (value, id) of a place in the address; None where it cannot be read: then the page is the first."""
    value, _, pk = text.rpartition("_")
    if not (value and pk.isdecimal() and len(pk) < 19):
        return None
    try:
        if column == "found_at":
            moment = parse_datetime(value)
            return (moment, int(pk)) if moment is not None and timezone.is_aware(moment) else None
        number = float(value) if column in ("merit", "score") else int(value)
    except (ValueError, OverflowError):
        return None
    return (number, int(pk)) if abs(number) < 2**31 else None


_DATA = """
    WITH RECURSIVE seen AS (
        (SELECT data FROM experiments_discovery WHERE audience = %(audience)s ORDER BY data LIMIT 1)
      UNION ALL
        SELECT (SELECT data FROM experiments_discovery WHERE audience = %(audience)s AND data > seen.data
                ORDER BY data LIMIT 1)
        FROM seen WHERE seen.data IS NOT NULL
    )
    SELECT data FROM seen WHERE data IS NOT NULL LIMIT 200
"""


def data_choices(user, wish: Wish) -> list[str]:
    """Return the data sets and kinds of task in the gallery, one step in the index each."""
    audience = user.pk if wish.whose == "mine" and user.is_authenticated else Discovery.EVERYBODY
    with connection.cursor() as cursor:
        cursor.execute(_DATA, {"audience": audience})
        return [name for (name,) in cursor.fetchall()]
