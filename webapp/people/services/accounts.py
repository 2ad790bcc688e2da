"""Change accounts: role, limits, whether they may sign in."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.db import transaction

from webapp.people.models import Profile, Role
from webapp.people.roles import role_of
from webapp.people.services.audit import record


class LastAdministrator(ValueError):
    """The change would leave nobody who can undo it."""


def change_account(
    *,
    user_id: int,
    role: str,
    is_active: bool,
    by=None,
    max_islands: int | None = None,
    max_search_seconds: float | None = None,
    max_upload_bytes: int | None = None,
) -> None:
    """Set role, limits and whether the account may sign in. Raises LastAdministrator."""
    User = get_user_model()
    with transaction.atomic():
        # In one order, so that two who demote each other at once cannot both succeed.
        staff = set(
            User.objects.select_for_update()
            .filter(is_staff=True, is_active=True)
            .order_by("pk")
            .values_list("pk", flat=True)
        )
        stays = role == Role.ADMINISTRATOR and is_active
        if user_id in staff and len(staff) == 1 and not stays:
            raise LastAdministrator
        user = User.objects.select_for_update().get(pk=user_id)
        was = role_of(user) or "may not sign in"
        user.is_active = is_active
        user.save(update_fields=["is_active"])
        limits = {
            "max_islands": max_islands, "max_search_seconds": max_search_seconds, "max_upload_bytes": max_upload_bytes,
        }  # fmt: skip
        set_role(user, role, **limits)
        now = role if is_active else "may not sign in"
        words = [
            f"{was} → {now}" if was != now else f"{now}",
            *(f"{name} {value}" for name, value in limits.items() if value is not None),
        ]
        record(by=by, obj=user, what="Account changed: " + ", ".join(words))


def set_role(user, role: str, **limits) -> None:
    """Give a stored account its role (and limits, where named)."""
    administrator = role == Role.ADMINISTRATOR
    if (user.is_staff, user.is_superuser) != (administrator, administrator):
        user.is_staff = user.is_superuser = administrator
        user.save(update_fields=["is_staff", "is_superuser"])
    values = {"role": Role.RESEARCHER if administrator else role, **limits}
    Profile.objects.update_or_create(user=user, defaults=values)
