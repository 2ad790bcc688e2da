"""Bearer tokens of the API."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from webapp.people.models import ApiToken
from webapp.people.services.secret import digest_of, new_secret

PREFIX = "abovo_"
PER_ACCOUNT = 20
_USE_NOTED_EVERY = timedelta(minutes=5)


class TooMany(ValueError):
    """The account has as many tokens as it may."""


def create_token(*, user, name: str, scope: str, days: int | None = None) -> tuple[ApiToken, str]:
    """Make a token that ends after `days` (None: never); return it and its secret, shown once. Raises TooMany."""
    if user.api_tokens.count() >= PER_ACCOUNT:
        raise TooMany
    secret, digest = new_secret(PREFIX)
    token = ApiToken.objects.create(
        user=user, name=name.strip(), digest=digest, hint=secret[: len(PREFIX) + 4], scope=scope,
        expires_at=timezone.now() + timedelta(days=days) if days else None,
    )  # fmt: skip
    return token, secret


def find_token(secret: str) -> ApiToken | None:
    """Return the valid token of an active account, and note that it was used."""
    now = timezone.now()
    valid = Q(expires_at__isnull=True) | Q(expires_at__gt=now)
    token = (
        ApiToken.objects.select_related("user__profile")
        .filter(valid, digest=digest_of(secret), user__is_active=True)
        .first()
    )
    if token and (token.last_used_at is None or now - token.last_used_at > _USE_NOTED_EVERY):
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def revoke_token(*, user, token_id: int) -> bool:
    """End a token of the account's; True if there was one."""
    return bool(ApiToken.objects.filter(user=user, pk=token_id).delete()[0])
