"""Tags and filters of the pages."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from html import escape

from django import template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.forms.boundfield import BoundWidget
from django.forms.utils import flatatt
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext as _

from engine.ops import OPS
from engine.presets import preset, preset_names
from webapp.experiments import access, charts, code, describe, words
from webapp.experiments import drawing as drawings
from webapp.experiments import inside as insides

register = template.Library()

KNOCK_BAR = 96
"""Width of the bar of the largest loss, in pixels."""

register.filter("score", charts.score_text)
register.filter("error", charts.error_text)
register.filter("signed", charts.signed)
register.filter("duration", describe.duration)
register.filter("mutation", describe.mutation_words)
register.filter("count", describe.count)
register.filter("rough", describe.rough)
register.filter("memory", describe.memory)
register.filter("role", words.role)
register.filter("role_note", words.note)
register.filter("motif_slug", words.motif_slug)


@register.filter
def engine_text(text: str) -> str:
    """Translate what the engine says in English: what an op means, what a preset is."""
    return words.engine_text(text)


@register.filter
def preset_title(title: str) -> str:
    """Return a search's title, translated where it is the one that its preset gave it."""
    return words.engine_text(title) if title in preset_titles() else title


@lru_cache(maxsize=1)
def preset_titles() -> frozenset[str]:
    return frozenset(preset(name).title for name in preset_names())


@register.filter
def unlocalized(value) -> str:
    """Print a number as form fields take it, whatever the language."""
    return f"{value:g}" if isinstance(value, float) else str(value)


@register.simple_tag
def code_line(pieces) -> SafeString:
    """Print a line of pseudocode, its registers, numbers and names in spans."""
    # A page prints hundreds of lines: plain strings take a quarter of the time of format_html.
    return SafeString("".join(map(piece_html, pieces)))


def piece_html(one) -> str:
    """Return a piece of a line as HTML."""
    if one.op:
        return _op_link(one.op, one.kind, one.text, get_language())
    return f'<span class="{escape(one.kind)}">{escape(one.text)}</span>' if one.kind else escape(one.text)


@register.simple_tag
def dots(strip: charts.Strip) -> SafeString:
    """Print the dots of a strip of scores."""
    return SafeString(
        "".join(
            f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.5"><title>{escape(score)}</title></circle>'
            for x, y, score in strip.dots
        )
    )


@register.filter
def scores(values) -> str:
    """Print scores one after the other."""
    return " ".join(map(charts.score_text, values))


@register.simple_tag
def table_rows(rows) -> SafeString:
    """Print the rows of a table of numbers."""
    return SafeString("".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows))


@register.simple_tag
def inside(chart: charts.Chart, drawing: drawings.Drawing) -> SafeString:
    """Print the inside of a chart's SVG."""
    return SafeString(insides.inside(chart, drawing))


@register.simple_tag
def knock(one: code.Knock) -> SafeString:
    """Print what the score does without a line: the number, its error, and a bar of the loss."""
    error = "" if one.error is None else f" ± {charts.error_text(one.error)}"
    title = _("without this line %(change)s") % {"change": charts.signed(one.change) + error}
    if one.retuned is not None:
        title = _("%(change)s, with constants tuned anew %(retuned)s") % {
            "change": title, "retuned": charts.signed(one.retuned),
        }  # fmt: skip
    width = round(one.share * KNOCK_BAR / 100, 1)
    bar = (
        f'<svg class="knock-bar" viewBox="0 0 {KNOCK_BAR} 10" preserveAspectRatio="none" width="{KNOCK_BAR}" height="10" aria-hidden="true" '
        f'focusable="false"><rect width="{width:g}" height="10"/></svg>'
    )
    kind = "unclear" if not one.is_clear else "loss" if one.change < 0 else "gain"
    said = _("; without it ")
    return SafeString(
        f'<span class="knock {kind}" title="{escape(title)}" data-label="{escape(_("without it"))}"><span class="visually-hidden">{escape(said)}</span>'
        f'<span class="knock-number">{escape(charts.signed(one.change) if one.change else "0")}</span>{bar}</span>'
    )


@register.simple_tag
def state(one) -> SafeString:
    """Print the state of a search or an island."""
    # One's own get_state_display() takes ten times as long, and lists have hundreds.
    return SafeString(f'<span class="state state-{one.state}">{escape(str(one.State(one.state).label))}</span>')


@register.simple_tag
def spark(line: charts.Sparkline | None) -> SafeString | str:
    """Print a line a word high, nothing for none."""
    if line is None:
        return ""
    return SafeString(
        f'<svg class="spark" viewBox="0 0 {line.width} {line.height}" width="{line.width}" height="{line.height}" aria-hidden="true" '
        f'focusable="false"><path d="{line.path}"/><circle cx="{line.end_x:.1f}" cy="{line.end_y:.1f}" r="2.5"/></svg>'
    )


@register.simple_tag
def moment(at: datetime) -> SafeString:
    """Print how long ago a moment was, or when it will be, with the exact time on hover."""
    language, now = get_language(), timezone.now()
    ago = _ago(at, int(now.timestamp()) // 60, language) if now - at > AN_HOUR else naturaltime(at)
    exact = _exact(at, language)
    return SafeString(f'<time datetime="{exact[0]}" title="{exact[1]}">{escape(ago)}</time>')


AN_HOUR = timedelta(hours=1)
"""What is further back is told to the minute at most, so that the words hold for a minute. Finding them is most of a list's row."""


@lru_cache(maxsize=2048)
def _ago(at: datetime, _minute: int, _language: str | None) -> str:
    return naturaltime(at)


@lru_cache(maxsize=2048)
def _exact(at: datetime, _language: str | None) -> tuple[str, str]:
    """Return a moment for machines and for people."""
    here = timezone.localtime(at)
    return here.isoformat(), escape(date_format(here, "j M Y, H:i:s e"))


@register.simple_tag
def radio(one: BoundWidget) -> SafeString:
    """Print a radio button of a form's field as its own tag() does, without the three templates that takes."""
    data = one.data
    return SafeString(
        f"<input{flatatt({'type': 'radio', 'name': data['name'], 'value': data['value'], **data['attrs']})}>"
    )


@register.simple_tag
def spec_field(item) -> SafeString:
    """Print a field of the launch form. Of a hundred fields few are ever changed, so that those which are not are kept."""
    is_kept = not (item.error or item.is_changed) and len(item.value) <= LONGEST_KEPT
    return (_kept_spec_field if is_kept else _spec_field)(item, get_language())


def _spec_field(item, _language: str | None) -> SafeString:
    return render_to_string("experiments/_spec_field.html", {"item": item})


LONGEST_KEPT = 200
_kept_spec_field = lru_cache(maxsize=1024)(_spec_field)


@lru_cache(maxsize=512)
def _op_link(op: int, kind: str, text: str, language: str | None) -> str:
    info = OPS[op]
    title = escape(f"{info.op.name}: {gettext(info.meaning)}")
    address = f"{reverse('experiments:ops')}#op-{int(op)}"
    return f'<a class="{escape(kind)} op" href="{address}" title="{title}">{escape(text)}</a>'


@register.simple_tag(takes_context=True)
def may_launch(context) -> bool:
    """Whether the visitor may start searches; False on pages that have no request."""
    request = context.get("request")
    user = getattr(request, "user", None)
    return user is not None and access.may_launch(user)


@register.simple_tag(takes_context=True)
def nav_current(context, *names: str) -> SafeString | str:
    """Mark the navigation's entry of the present page."""
    match = getattr(context.get("request"), "resolver_match", None)
    return SafeString(' aria-current="page"') if match and match.view_name in names else ""


@register.simple_tag
def checks(name: str, choices, *, as_code: bool = False) -> SafeString:
    """Print checkboxes of (value, label, whether chosen), or with as_code of (value, title, whether chosen)."""
    # Dozens of them on a page: see code_line.
    boxes = []
    for value, text, chosen in choices:
        value, text = escape(value), escape(str(text))
        title, label = (f' title="{text}"', f"<code>{value}</code>") if as_code else ("", text)
        mark = " checked" if chosen else ""
        boxes.append(
            f'<label class="check"{title}><input type="checkbox" name="{escape(name)}" value="{value}"{mark}> {label}</label>'
        )
    return SafeString("".join(boxes))
