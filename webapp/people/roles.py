"""What an account may do by its role."""

from __future__ import annotations

from django.core.exceptions import ObjectDoesNotExist

from webapp.people.models import Profile, Role


def profile_of(user) -> Profile:
    """Return the account's profile, one with the defaults (not stored) where it has none."""
    try:
        return user.profile
    except ObjectDoesNotExist:
        return Profile(user=user)


def role_of(user) -> Role | None:
    """Return the role of somebody signed in; None for anybody else."""
    if not (user.is_authenticated and user.is_active):
        return None
    return Role.ADMINISTRATOR if user.is_staff else Role(profile_of(user).role)


def is_administrator(user) -> bool:
    """Whether the user runs this installation."""
    return role_of(user) == Role.ADMINISTRATOR


def is_researcher(user) -> bool:
    """Whether the user's role lets them start searches and bring data."""
    return role_of(user) in (Role.RESEARCHER, Role.ADMINISTRATOR)
