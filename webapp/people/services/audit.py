"""Who did what that others may have to answer for: kept with Django's own record of the administration."""

from __future__ import annotations

from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType


def record(*, by, obj, what: str, deleted: bool = False) -> None:
    """Write down that somebody did something to a row, in the transaction that does it. by: nobody's deeds are not recorded.

    What becomes of a search stands in its own log; here is what outlives it, and what is done to accounts.
    """
    if by is None or not by.is_authenticated:
        return
    LogEntry.objects.create(
        user_id=by.pk,
        content_type=ContentType.objects.get_for_model(obj),
        object_id=str(obj.pk),
        object_repr=str(obj)[:200],
        action_flag=DELETION if deleted else CHANGE,
        change_message=what,
    )
