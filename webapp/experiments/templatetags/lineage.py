"""Tags of the pages that tell an algorithm's ancestry. As plain strings: a page tells hundreds of steps."""

from __future__ import annotations

from html import escape

from django import template
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webapp.experiments import charts, code, describe
from webapp.experiments.templatetags.abovo import piece_html

register = template.Library()


@register.simple_tag
def diff(lines) -> SafeString:
    """Print the lines of a diff."""
    if not lines:
        return SafeString("")
    signs = {"+": ("added", _("added in")), "−": ("removed", _("removed from"))}
    parts, before = [], ""
    for one in lines:
        parts.append(_diff_line(one, *signs[one.sign], is_first=one.function != before))
        before = one.function
    return SafeString("".join(parts))


def _diff_line(one: code.DiffLine, kind: str, said: str, *, is_first: bool) -> str:
    """Return a line; the function that it is in stands beside the first of several."""
    title = code.TITLES[one.function]
    return (
        f'<div class="diff-line fn-{one.function} {kind}">'
        f'<span class="where" aria-hidden="true">{title if is_first else ""}</span>'
        f'<span class="sign" aria-hidden="true">{one.sign}</span>'
        f'<span class="visually-hidden">{escape(said)} {title}: </span>'
        f'<span class="code">{"".join(map(piece_html, one.pieces))}</span></div>'
    )


@register.simple_tag
def step(entry) -> SafeString:
    """Print a step: number, score, gain, mutation, birth, and its diff, of which long ones are folded."""
    one = entry["step"]
    gain = ""
    if one.gain is not None and not one.is_neutral:
        gain = f'<span class="{"gain" if one.gain > 0 else "loss"}">{charts.signed(one.gain)}</span>'
    birth = _("birth %(n)s") % {"n": describe.count(one.birth)}
    head = (
        f'<div class="step-head"><span class="step-number">{describe.count(one.number)}</span>'
        f'<strong class="score">{charts.score_text(one.score)}</strong>{gain}'
        f'<span class="meta">{escape(describe.mutation_words(one.mutation))} · {escape(birth)}</span></div>'
    )
    more = entry["more_lines"]
    fold = ""
    if more:
        words = ngettext("and %(n)d more line", "and %(n)d more lines", len(more)) % {"n": len(more)}
        fold = f'<details class="fold"><summary>{escape(words)}</summary>{diff(more)}</details>'
    lines = f'<div class="diff">{diff(entry["lines"])}{fold}</div>' if entry["lines"] else ""
    if entry.get("is_empty"):
        words = _("an empty program")
        lines = f'<div class="diff"><p class="meta">{escape(words)}</p></div>'
    return SafeString(f'<div class="step" id="step-{one.number}">{head}{lines}</div>')


@register.simple_tag
def entries(told, all_steps: str) -> SafeString:
    """Print steps and neutral stretches; all_steps: the address of the page that has every step."""
    return SafeString("".join(step(one) if one["kind"] == "step" else _neutral(one, all_steps) for one in told))


def _neutral(entry, all_steps: str) -> str:
    stretch = entry["stretch"]
    words = ngettext("%(shown)s neutral step", "%(shown)s neutral steps", stretch.count)
    words %= {"shown": describe.count(stretch.count)}
    copies = ""
    if stretch.copies:
        said = ngettext("%(shown)s of them an unchanged copy", "%(shown)s of them unchanged copies", stretch.copies)
        copies = f'<span class="meta">{escape(said % {"shown": describe.count(stretch.copies)})}</span>'
    address = f"{escape(all_steps)}?page={entry['page']}#step-{stretch.first}"
    return f'<div class="neutral"><a href="{address}">{escape(words)}</a>{copies}</div>'
