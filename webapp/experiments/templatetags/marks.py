"""Stars, tags and notes for the page of an algorithm: three queries, however many there are."""

from __future__ import annotations

from django import template
from django.db.models import Count, Q

from webapp.experiments.models import Algorithm, Note
from webapp.lib.markdown import to_html

register = template.Library()

SHOWN = 50
"""The latest notes; more are not shown."""

TAGS_SHOWN = 100


@register.simple_tag(takes_context=True)
def marks_of(context, algorithm: Algorithm) -> dict:
    """Return what readers left at an algorithm, and what the visitor may do with it."""
    user = getattr(context.get("request"), "user", None)
    signed_in = bool(user and user.is_authenticated)
    mine = Q(user=user.pk) if signed_in else Q(pk__in=[])
    stars = algorithm.stars.aggregate(all=Count("pk"), mine=Count("pk", filter=mine))
    notes = list(algorithm.notes.select_related("user").order_by("-created_at", "-pk")[:SHOWN])
    return {
        "signed_in": signed_in,
        "stars": stars["all"],
        "is_starred": stars["mine"] > 0,
        "tags": [
            {"name": one.name, "may_remove": signed_in and (user.is_staff or one.user_id == user.pk)}
            for one in algorithm.tags.all()[:TAGS_SHOWN]
        ],
        "notes": [
            {
                "note": one,
                "html": to_html(one.text),
                "author": one.user.get_username() if one.user else "",
                "may_change": signed_in and (user.is_staff or one.user_id == user.pk),
            }
            for one in reversed(notes)
        ],
        "longest": Note.LONGEST,
    }
