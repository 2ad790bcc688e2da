"""Messages that are written when they are sent, because what they hold may be stored nowhere."""

from __future__ import annotations

from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from webapp.lib.address import absolute_url
from webapp.people.services.invitations import new_password_by_mail


def new_password(user, *, language: str) -> dict[str, str]:
    """Make a link to a new password; return the subject and text of the message that holds it."""
    url = absolute_url(reverse("people:join", args=[new_password_by_mail(user=user)]))
    with translation.override(language):
        lines = [
            _("Somebody, probably you, has asked for a new password for your account %(name)s.")
            % {"name": user.get_username()},
            _("Set it here. The link works once, and for a day:"),
            url,
            _("If it was not you, there is nothing to do: your password stays as it is."),
        ]
        return {"subject": _("Ab Ovo: a new password"), "text": "\n\n".join(lines) + "\n"}
