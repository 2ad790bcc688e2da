"""Links that open once: to a new account, or to a new password."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import F, Q
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
        end_links(user=user)
        invitation = Invitation.objects.create(
            digest=digest, user=user, created_by=by, expires_at=timezone.now() + RESET_VALID
        )
        record(by=by, obj=user, what="Given a link to a new password")
    return invitation, secret


def new_password_by_mail(*, user) -> str:
    """Make such a link for the account's e-mail address; return its secret. Earlier ones that were sent end.

    An administrator's link stays: strangers can ask for this one.
    """
    secret, digest = new_secret()
    with transaction.atomic():
        _unused_of(user).exclude(sent_to="").delete()
        Invitation.objects.create(digest=digest, user=user, sent_to=user.email, expires_at=timezone.now() + RESET_VALID)
    return secret


def end_links(*, user) -> None:
    """End the links to a new password that an account has."""
    _unused_of(user).delete()


def _unused_of(user):
    return Invitation.objects.filter(user=user, used_at__isnull=True)


def open_invitations():
    """Return the links that still open something. One that was sent by e-mail ends with the address, if the account gets another."""
    return Invitation.objects.filter(
        Q(user__isnull=True) | Q(user__is_active=True),
        Q(sent_to="") | Q(sent_to=F("user__email")),
        used_at__isnull=True,
        expires_at__gt=timezone.now(),
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
        # The account first, then its links: of two links at once one ends the other.
        known = User.objects.select_for_update(of=("self",)).filter(reset_links__digest=digest_of(secret)).first()
        invitation = open_invitations().select_for_update(of=("self",)).filter(digest=digest_of(secret)).first()
        if invitation is None:
            raise Unusable
        if known is not None:
            user = known
            user.set_password(password)
            user.save(update_fields=["password"])
        else:
            user = User.objects.create_user(username, password=password)
            set_role(user, invitation.role)
        invitation.used_at, invitation.used_by = timezone.now(), user
        invitation.save(update_fields=["used_at", "used_by"])
        if known is not None:
            end_links(user=user)
            record(by=user, obj=user, what="Set a new password by a link")
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
