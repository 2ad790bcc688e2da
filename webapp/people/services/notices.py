"""Telling people, by e-mail and webhook. What is to be told is a row of the outbox; a short job sends it, with retries.

A webhook is signed: `X-Abovo-Signature: t=TIME,v1=HMAC`, the HMAC-SHA256 of "TIME.BODY" under the account's key. A notice may
come twice (a worker that dies after sending cannot say so): `X-Abovo-Delivery` is the same then.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
import time
from datetime import timedelta
from smtplib import SMTPException
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.signing import Signer
from django.db import transaction
from django.utils import timezone

from webapp.lib import webhook
from webapp.people.models import Notice, Profile
from webapp.people.roles import profile_of
from webapp.people.services import letters

logger = logging.getLogger(__name__)

PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 480))
"""Between one attempt and the next; after the last there is none."""

SENDING = timedelta(minutes=2)
"""After which a notice that somebody began to send may be sent by another: its worker has died."""

A_TURN = 20
KEPT = timedelta(days=30)

NEW_PASSWORD = "password.new"
"""The event whose message holds a secret: it is made when it is sent, at each attempt anew, and is stored nowhere."""


def wanted_by(user) -> list[str]:
    """Return by which ways an account wants to be told."""
    if user is None or not user.is_active:
        return []
    profile = profile_of(user)
    channels = []
    if profile.notify_email and user.email and settings.ABOVO_EMAIL:
        channels.append(Notice.Channel.EMAIL)
    if profile.webhook_url:
        channels.append(Notice.Channel.WEBHOOK)
    return channels


def tell(user, *, event: str, subject: str, text: str, data: dict[str, Any], channels: list[str] | None = None) -> None:
    """Put a notice into the outbox for each way that the account wants, and send for a worker on commit."""
    contents = {
        Notice.Channel.EMAIL: {"subject": " ".join(subject.split())[:200], "text": text},
        Notice.Channel.WEBHOOK: {"event": event, **data},
    }
    rows = [
        Notice(user=user, channel=channel, event=event, content=contents[Notice.Channel(channel)])
        for channel in (wanted_by(user) if channels is None else channels)
    ]
    if rows:
        Notice.objects.bulk_create(rows)
        transaction.on_commit(send_for_worker, robust=True)


def send_for_worker() -> None:
    """Ask a worker to look at the outbox now."""
    from webapp.people.tasks import notices_job  # the tasks call the services

    try:
        notices_job.apply_async(queue="default", retry=False)
    except Exception as error:  # whatever the transport raises: the outbox is looked at every 30 s anyway
        logger.warning("message for the outbox not sent: %s", error)


def send_due() -> int:
    """Send what is due, some at a time; return how many were tried."""
    tried = 0
    while tried < A_TURN and (notice := _claim()) is not None:
        _attempt(notice)
        tried += 1
    return tried


def _claim() -> Notice | None:
    """Return a notice that is due, ours for a while: of two workers one gets it."""
    now = timezone.now()
    with transaction.atomic():
        notice = (
            Notice.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("user__profile")
            .filter(sent_at__isnull=True, failed_at__isnull=True, due_at__lte=now)
            .order_by("due_at")
            .first()
        )
        if notice is not None:
            notice.attempts += 1
            notice.due_at = now + SENDING
            notice.save(update_fields=["attempts", "due_at"])
    return notice


def _attempt(notice: Notice) -> None:
    problem, permanent = "", False
    try:
        if notice.channel == Notice.Channel.EMAIL:
            _send_email(notice)
        else:
            _send_webhook(notice)
    except webhook.WebhookError as error:
        problem, permanent = str(error), error.permanent
    except (OSError, SMTPException) as error:
        problem = f"the mail server: {error}"
    now = timezone.now()
    if not problem:
        changes: dict[str, Any] = {"sent_at": now, "last_error": ""}
    elif permanent or notice.attempts > len(PAUSES):
        changes = {"failed_at": now, "last_error": problem}
    else:
        changes = {"due_at": now + PAUSES[notice.attempts - 1], "last_error": problem}
    # Only if nobody took it over meanwhile.
    Notice.objects.filter(pk=notice.pk, attempts=notice.attempts, sent_at__isnull=True).update(**changes)


def _send_email(notice: Notice) -> None:
    user, content = notice.user, notice.content
    if not user.email:
        raise webhook.WebhookError("the account has no e-mail address any more", permanent=True)
    if notice.event == NEW_PASSWORD:
        if not user.is_active:
            raise webhook.WebhookError("the account may not sign in any more", permanent=True)
        content = letters.new_password(user, language=content["language"])
    EmailMessage(content["subject"], content["text"], to=[user.email]).send()


def _send_webhook(notice: Notice) -> None:
    profile = profile_of(notice.user)
    if not profile.webhook_url:
        raise webhook.WebhookError("the account has no webhook any more", permanent=True)
    body = json.dumps({**notice.content, "delivery": str(notice.pk)}, ensure_ascii=False, allow_nan=False).encode()
    headers = {
        "Content-Type": "application/json",
        "X-Abovo-Event": notice.event,
        "X-Abovo-Delivery": str(notice.pk),
        "X-Abovo-Signature": signature(signing_key(profile), body, int(time.time())),
    }
    webhook.post(profile.webhook_url, body, headers, to_private=settings.ABOVO_WEBHOOKS_TO_PRIVATE)


def signature(key: str, body: bytes, at: int) -> str:
    """Return what a webhook's header says: when, and the proof that we sent this body then."""
    return f"t={at},v1={hmac.new(key.encode(), b'%d.' % at + body, hashlib.sha256).hexdigest()}"


def signing_key(profile: Profile) -> str:
    """Return the key that signs an account's webhooks. It is derived, not stored: a copy of the database does not hold it."""
    return Signer(salt="webapp.people.webhook").signature(f"{profile.pk}/{profile.webhook_salt}")


def choose(*, user, by_email: bool, email: str, webhook_url: str) -> None:
    """Set how an account is told."""
    with transaction.atomic():
        profile, _created = Profile.objects.select_for_update().get_or_create(user=user)
        profile.notify_email, profile.webhook_url = by_email, webhook_url
        if webhook_url and not profile.webhook_salt:
            profile.webhook_salt = secrets.token_hex(16)
        profile.save(update_fields=["notify_email", "webhook_url", "webhook_salt"])
        user.email = email
        user.save(update_fields=["email"])


def forget_old() -> int:
    """Delete notices of a month ago, and counts and links whose time is over; return how many rows."""
    from webapp.people.models import Invitation, RateCount

    now = timezone.now()
    deleted = Notice.objects.filter(created_at__lt=now - KEPT).delete()[0]
    deleted += RateCount.objects.filter(expires_at__lt=now).delete()[0]
    return deleted + Invitation.objects.filter(used_at__isnull=True, expires_at__lt=now - KEPT).delete()[0]
