"""Tell a search's owner that it ended, if they want to be told."""

from __future__ import annotations

from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.experiments.models import Search
from webapp.lib.address import absolute_url
from webapp.people.services import notices


def tell_owner(search: Search) -> None:
    """Put the notice into the outbox, in the transaction in which the search ends."""
    if search.owner_id is None or not notices.wanted_by(search.owner):
        return
    find = search.result or search.best
    url = absolute_url(search.get_absolute_url())
    score = find.score if find else None
    state = str(search.get_state_display()).lower()
    lines = [
        _("“%(title)s” has ended: %(state)s.") % {"title": search.title, "state": state},
        search.failure_reason,
        _("Best score on the search tasks: %(score).4f.") % {"score": score} if score is not None else "",
        url,
        _("You get this because your account asks for it: %(url)s") % {"url": absolute_url("/account/")},
    ]
    notices.tell(
        search.owner,
        event="search.ended",
        subject=_("Ab Ovo: %(title)s: %(state)s") % {"title": search.title, "state": state},
        text="\n\n".join(line for line in lines if line) + "\n",
        data={
            "at": timezone.now().isoformat(),
            "search": {
                "id": search.pk,
                "title": search.title,
                "url": url,
                "state": str(search.state),
                "finish_reason": search.finish_reason,
                "failure_reason": search.failure_reason,
                "individuals": search.individuals,
                "seconds": search.seconds,
                "score": score,
                "permalink": find.algorithm.permalink if find else None,
            },
        },
    )
