"""Set and take back stars, tags and notes."""

from __future__ import annotations

import re

from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.experiments.models import Algorithm, Note, Star, Tag

MOST_TAGS = 20
MOST_NOTES = 200


class MarkError(ValueError):
    """Why something was not stored, for the person who tried."""


def set_star(*, user, algorithm: Algorithm, on: bool) -> None:
    """Give the user's star, or take it back."""
    if on:
        Star.objects.get_or_create(user=user, algorithm=algorithm)
    else:
        Star.objects.filter(user=user, algorithm=algorithm).delete()


def tag_name(text: str) -> str:
    """Return a tag as it is stored: lower case, words joined by hyphens, letters and digits only."""
    return re.sub(r"[\W_]+", "-", text.lower()).strip("-")[: Tag.LONGEST].strip("-")


def add_tags(*, user, algorithm: Algorithm, text: str) -> None:
    """Add the tags of a line, separated by commas. Raises MarkError."""
    names = [name for name in dict.fromkeys(map(tag_name, text.split(","))) if name]
    if not names:
        raise MarkError(_("A tag needs a letter or a digit."))
    known = set(algorithm.tags.values_list("name", flat=True))
    if len(known | set(names)) > MOST_TAGS:
        raise MarkError(_("An algorithm has at most %(n)d tags.") % {"n": MOST_TAGS})
    Tag.objects.bulk_create(
        [Tag(algorithm=algorithm, user=user, name=name) for name in names if name not in known], ignore_conflicts=True
    )


def remove_tag(*, user, algorithm: Algorithm, name: str) -> bool:
    """Remove a tag that the user set, or any for an administrator; returns whether one is gone."""
    tags = algorithm.tags.filter(name=name)
    return bool((tags if user.is_staff else tags.filter(user=user)).delete()[0])


def add_note(*, user, algorithm: Algorithm, text: str) -> Note:
    """Store a note. Raises MarkError."""
    text = _checked(text)
    if algorithm.notes.count() >= MOST_NOTES:
        raise MarkError(_("An algorithm has at most %(n)d notes.") % {"n": MOST_NOTES})
    return Note.objects.create(user=user, algorithm=algorithm, text=text)


def change_note(*, note: Note, text: str) -> None:
    """Replace a note's text. Raises MarkError."""
    note.text = _checked(text)
    note.changed_at = timezone.now()
    note.save(update_fields=["text", "changed_at"])


def _checked(text: str) -> str:
    text = text.replace("\x00", "").replace("\r\n", "\n").strip()
    if not text:
        raise MarkError(_("A note needs some text."))
    if len(text) > Note.LONGEST:
        raise MarkError(
            _("A note has at most %(most)d characters; this one has %(n)d.") % {"most": Note.LONGEST, "n": len(text)}
        )
    return text
