"""Tags and filters of the pages."""

from __future__ import annotations

from django import template
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from engine.ops import OPS
from webapp.experiments import access, charts, describe, words

register = template.Library()

register.filter("score", charts.score_text)
register.filter("signed", charts.signed)
register.filter("duration", describe.duration)
register.filter("mutation", describe.mutation_words)
register.filter("count", describe.count)
register.filter("role", words.role)
register.filter("role_note", words.note)
register.filter("motif_slug", words.motif_slug)


@register.simple_tag
def code_line(pieces) -> SafeString:
    """Print a line of pseudocode, its registers, numbers and names in spans."""
    return format_html_join("", "{}", ((_piece(one),) for one in pieces))


def _piece(one):
    if one.op:
        info = OPS[one.op]
        return format_html(
            '<a class="{} op" href="{}#op-{}" title="{}">{}</a>',
            one.kind, reverse("experiments:ops"), one.op, f"{info.op.name}: {info.meaning}", one.text,
        )  # fmt: skip
    return format_html('<span class="{}">{}</span>', one.kind, one.text) if one.kind else one.text


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
