"""The gallery: all discoveries, to search, filter and sort. Its address is the whole of its state."""

from __future__ import annotations

from dataclasses import replace

from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_safe

from engine.ops import OPS
from engine.spec import SearchSpec
from webapp.experiments import charts, describe, gallery, words
from webapp.experiments.services.gallery import annotation_of
from webapp.experiments.specs import read_text

COLUMNS = (
    ("", gettext_lazy("Algorithm"), ""),
    ("score", gettext_lazy("Score"), "right"),
    ("margin", gettext_lazy("Against the linear model"), "right"),
    ("size", gettext_lazy("Lines"), "right"),
    ("", gettext_lazy("Found on"), ""),
    ("finds", gettext_lazy("Finds"), "right"),
    ("found", gettext_lazy("First found"), "right"),
)

KINDS = {
    "linear": gettext_lazy("linear regression (synthetic)"),
    "affine": gettext_lazy("affine regression (synthetic)"),
    "net": gettext_lazy("random 2-layer nets (synthetic)"),
}

FIELDS = {
    "sort": gettext_lazy("order"),
    "motif": gettext_lazy("motif"),
    "op": gettext_lazy("op"),
    "score": gettext_lazy("score"),
    "margin": gettext_lazy("margin"),
    "size": gettext_lazy("lines"),
    "age": gettext_lazy("age"),
    "whose": gettext_lazy("whose"),
}


@require_safe
def discoveries(request):
    wish = gallery.read_wish(request.GET)
    if wish.whose and not request.user.is_authenticated:
        return redirect(f"{reverse('login')}?next={reverse('experiments:discoveries')}%3Fwhose%3D{wish.whose}")
    if any(not value for values in request.GET.lists() for value in values[1]) and not wish.problems:
        # A form sends its empty fields, too; the address that people pass on need not have them.
        return redirect(reverse("experiments:discoveries") + wish.address(after=wish.after, before=wish.before))
    page = gallery.page(request.user, wish)
    context = {
        "wish": wish,
        "page": page,
        "rows": [_row(row) for row in page.rows],
        "count_words": _count_words(page),
        "columns": [_column(wish, *column) for column in COLUMNS],
        "chips": _chips(wish),
        "problems": [str(FIELDS[name]) for name in wish.problems],
        "choices": _choices(request.user, wish),
        "tabs": _tabs(request.user, wish),
        "more_open": bool(
            wish.motif or wish.op or wish.score or wish.margin is not None or wish.size or wish.author or wish.tag
        ),
        "without_all": wish.address(all=True) if not wish.all else "",
    }
    return render(request, "experiments/discoveries.html", context)


def _row(row) -> dict:
    search = row.find.search
    spec = read_text(row.spec_text)
    annotation = annotation_of(row.model, row.learning, row.motifs)
    return {
        "discovery": row,
        "algorithm": row.algorithm,
        "title": words.title(row.algorithm, annotation, spec),
        "motifs": [(words.motif_slug(name), words.motif(name)) for name in row.motifs],
        "search": search,
        "data": data_words(row.data),
        "score_words": describe.score_words(row.find, spec),
        "is_tested": row.find.final_score is not None,
        # Accuracies differ by points; other scores are no percentages.
        "margin": _margin(row.margin, spec),
        "gains": row.margin is not None and row.margin > 0,
    }


def _margin(margin: float | None, spec: SearchSpec) -> str:
    if margin is None:
        return "–"
    if spec.search_tasks.is_accuracy:
        return _("%(points)s points") % {"points": f"{margin * 100:+.1f}".replace("-", "−")}
    return charts.signed(margin)


def data_words(name: str) -> str:
    """Return a data set, or a kind of synthetic task, for people."""
    return str(KINDS.get(name) or describe.data_name(name))


def _column(wish: gallery.Wish, name: str, title, align: str) -> dict:
    if not name:
        return {"title": title, "align": align}
    current = (wish.sort.lstrip("-") or gallery.DEFAULT_SORT) == name
    turned = ("" if wish.sort.startswith("-") else "-") + name if current else name
    return {
        "title": title,
        "align": align,
        "href": wish.address(sort="" if turned == gallery.DEFAULT_SORT else turned),
        "sorted": ("descending" if wish.descends else "ascending") if current else "",
    }


def _count_words(page: gallery.Page) -> str:
    shown = describe.count(page.total)
    if page.more:
        return _("More than %(n)s algorithms") % {"n": shown}
    return ngettext("%(n)s algorithm", "%(n)s algorithms", page.total) % {"n": shown}


def _chips(wish: gallery.Wish) -> list[tuple[str, str]]:
    """Return (words, address without it) of each filter that is set."""
    chips = []
    if wish.q:
        chips.append((_("“%(text)s”") % {"text": wish.q}, wish.address(q="")))
    if wish.data:
        chips.append((data_words(wish.data), wish.address(data="")))
    for slug in wish.motif:
        without = tuple(one for one in wish.motif if one != slug)
        chips.append((words.motif(gallery.MOTIF_SLUGS[slug]), wish.address(motif=without)))
    for name in wish.op:
        chips.append((_("uses %(op)s") % {"op": name}, wish.address(op=tuple(one for one in wish.op if one != name))))
    if wish.score is not None:
        chips.append((_("score at least %(n)s") % {"n": charts.score_text(wish.score)}, wish.address(score=None)))
    if wish.margin is not None:
        chips.append((_("margin at least %(n)s points") % {"n": f"{wish.margin:g}"}, wish.address(margin=None)))
    if wish.size is not None:
        chips.append((_("at most %(n)d lines") % {"n": wish.size}, wish.address(size=None)))
    if wish.age is not None:
        chips.append((age_words(wish.age), wish.address(age=None)))
    if wish.author:
        chips.append((_("by %(name)s") % {"name": wish.author}, wish.address(author="")))
    if wish.tag:
        chips.append((_("tagged %(name)s") % {"name": wish.tag}, wish.address(tag="")))
    if wish.all:
        chips.append((_("with the steps on the way"), wish.address(all=False)))
    return chips


def age_words(days: int) -> str:
    """Return an age for people."""
    return ngettext("found in the last day", "found in the last %(n)d days", days) % {"n": days}


def _tabs(user, wish: gallery.Wish) -> list[tuple[str, str, bool]]:
    tabs = [("", _("Everybody's")), ("mine", _("Mine")), ("starred", _("Starred"))]
    if not user.is_authenticated:
        return []
    return [(title, replace(wish).address(whose=value), wish.whose == value) for value, title in tabs]


def _choices(user, wish: gallery.Wish) -> dict:
    data = gallery.data_choices(user, wish)
    if wish.data and wish.data not in data:
        data.append(wish.data)
    ages = sorted({*gallery.AGES, *([wish.age] if wish.age else [])})
    return {
        "data": [(name, data_words(name), name == wish.data) for name in data],
        "age": [(days, age_words(days), days == wish.age) for days in ages],
        "motif": [(slug, words.motif(name), slug in wish.motif) for slug, name in gallery.MOTIF_SLUGS.items()],
        "op": [(info.op.name, words.engine_text(info.meaning), info.op.name in wish.op) for info in OPS if info.op],
    }
