"""Links that open once: to a new account, or to a new password."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from webapp.people.models import Invitation, Role
from webapp.people.services.accounts import set_role
from webapp.people.services.audit import record
from webapp.people.services.secret import digest_of, new_secret

VALID = timedelta(days=7)
RESET_VALID = timedelta(days=1)


class Unusable(ValueError):
    """The link was used, withdrawn, or is too old."""


def invite(*, by, role: str = Role.RESEARCHER, note: str = "") -> tuple[Invitation, str]:
    """Make an invitation; return it and its secret, which nobody can read again."""
    secret, digest = new_secret()
    with transaction.atomic():
        invitation = Invitation.objects.create(
            digest=digest, role=role, note=note.strip(), created_by=by, expires_at=timezone.now() + VALID
        )
        record(by=by, obj=invitation, what=f"Invited: {role}" + (f", {invitation.note}" if invitation.note else ""))
    return invitation, secret


def offer_new_password(*, by, user) -> tuple[Invitation, str]:
    """Make a link with which the account's owner sets a new password; earlier ones of the account end."""
    secret, digest = new_secret()
    with transaction.atomic():
        open_invitations().filter(user=user).delete()
        invitation = Invitation.objects.create(
            digest=digest, user=user, created_by=by, expires_at=timezone.now() + RESET_VALID
        )
        record(by=by, obj=user, what="Given a link to a new password")
    return invitation, secret


def open_invitations():
    """Return the links that still open something."""
    return Invitation.objects.filter(used_at__isnull=True, expires_at__gt=timezone.now()).filter(
        Q(user__isnull=True) | Q(user__is_active=True)
    )


def find_invitation(secret: str) -> Invitation | None:
    """Return what a link opens, if it still does."""
    return open_invitations().select_related("user").filter(digest=digest_of(secret)).first()


def accept(*, secret: str, username: str = "", password: str):
    """Make the invited account, or give the known one its new password; return it. Raises Unusable.

    The name must have been checked; one taken in the meantime raises IntegrityError and leaves the link open.
    """
    User = get_user_model()
    with transaction.atomic():
        invitation = open_invitations().select_for_update(of=("self",)).filter(digest=digest_of(secret)).first()
        if invitation is None:
            raise Unusable
        if invitation.user_id:
            user = User.objects.select_for_update().get(pk=invitation.user_id)
            user.set_password(password)
            user.save(update_fields=["password"])
        else:
            user = User.objects.create_user(username, password=password)
            set_role(user, invitation.role)
        invitation.used_at, invitation.used_by = timezone.now(), user
        invitation.save(update_fields=["used_at", "used_by"])
    return user


def withdraw(*, invitation_id: int, by=None) -> bool:
    """End a link that was not used; True if there was one."""
    with transaction.atomic():
        invitation = Invitation.objects.select_for_update().filter(pk=invitation_id, used_at__isnull=True).first()
        if invitation is None:
            return False
        record(by=by, obj=invitation, what="Invitation withdrawn", deleted=True)
        invitation.delete()
    return True
