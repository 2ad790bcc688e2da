"""A forgotten password: what somebody typed is written down, a worker looks whose it is and sends each account a link by e-mail.

A stranger learns nothing by asking: the request is the same for every name. Nor can one flood a mailbox, or end the link that
an administrator gave.
"""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import get_language

from webapp.people import throttle
from webapp.people.models import ForgottenPassword, Notice
from webapp.people.services import notices
from webapp.people.services.audit import record

WINDOW_SECONDS = 15 * 60
PER_ADDRESS = 20

PAUSE = timedelta(minutes=15)
"""Between one message to an account and the next."""

A_DAY = 5
"""Messages to an account within a day."""

A_TURN = 100


def attempt(*, address: str) -> int:
    """Count a request from an address; return for how many seconds it has to wait, 0: not at all."""
    asked, left = throttle.count("forgot-address", address, seconds=WINDOW_SECONDS)
    return left if asked > PER_ADDRESS else 0


def ask(*, typed: str) -> None:
    """Write down what somebody typed, a username or an e-mail address, and send for a worker on commit."""
    with transaction.atomic():
        ForgottenPassword.objects.create(typed=typed, language=get_language() or "en")
        transaction.on_commit(notices.send_for_worker, robust=True)


def answer() -> int:
    """Put into the outbox what was asked for, some at a time; return how many requests were answered."""
    answered = 0
    while answered < A_TURN and _answer_one():
        answered += 1
    return answered


def _answer_one() -> bool:
    with transaction.atomic():
        asked = ForgottenPassword.objects.select_for_update(skip_locked=True).first()
        if asked is None:
            return False
        # Locked in one order: two requests for an account come one after the other.
        accounts = get_user_model().objects.select_for_update(no_key=True).order_by("pk")
        for user in accounts.filter(
            Q(username__iexact=asked.typed) | Q(email__iexact=asked.typed), is_active=True
        ).exclude(email=""):
            if _may_be_sent_to(user):
                Notice.objects.create(
                    user=user,
                    channel=Notice.Channel.EMAIL,
                    event=notices.NEW_PASSWORD,
                    content={"language": asked.language},
                )
                record(by=user, obj=user, what="A link to a new password was asked for by e-mail")
        asked.delete()
    return True


def _may_be_sent_to(user) -> bool:
    """Whether nothing waits for the account, nothing was sent just now, and not too much today."""
    now = timezone.now()
    earlier = Notice.objects.filter(user=user, event=notices.NEW_PASSWORD, failed_at__isnull=True)
    if earlier.filter(Q(sent_at__isnull=True) | Q(sent_at__gt=now - PAUSE)).exists():
        return False
    return earlier.filter(created_at__gt=now - timedelta(days=1)).count() < A_DAY
