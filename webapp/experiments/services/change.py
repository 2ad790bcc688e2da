"""Change what a search is called, and who may see it."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from engine.spec import SpecError
from webapp.experiments.models import Algorithm, Search
from webapp.experiments.services.steer import set_priority


def change_search(
    *, search_id: int, title: str | None = None, visibility: str | None = None, priority: int | None = None, by=None
) -> None:
    """Change what is given (None: as it is), all of it or nothing. Raises SpecError, SteerError."""
    with transaction.atomic():
        search = Search.objects.select_for_update().get(pk=search_id)
        if priority is not None and priority != search.priority:
            set_priority(search_id=search_id, priority=priority, by=by)
        if title is not None:
            search.title = title.strip()
            if not search.title:
                raise SpecError("title", _("a title is needed"))
            search.save(update_fields=["title"])
        if visibility is not None and visibility != search.visibility:
            set_visibility(search, visibility)


def set_visibility(search: Search, visibility: str) -> None:
    """Open or close a search, in a transaction that holds its row. Raises SpecError.

    Opening publishes the algorithms that it found. Closing does not hide them again: a permalink that was open never dies.
    """
    if visibility == Search.Visibility.PRIVATE and search.owner_id is None:
        raise SpecError("visibility", _("a private search needs an owner: sign in first"))
    search.visibility = visibility
    search.save(update_fields=["visibility"])
    if visibility != Search.Visibility.PRIVATE:
        hidden = Algorithm.objects.filter(published_at__isnull=True, pk__in=search.finds.values("algorithm"))
        hidden.update(published_at=timezone.now())
