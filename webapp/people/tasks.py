"""Short jobs of accounts."""

from __future__ import annotations

from celery import shared_task

from webapp.people.services import forgotten, notices


@shared_task(name="people.notices_job", ignore_result=True)
def notices_job() -> int:
    """Look whose passwords were forgotten, and send what waits in the outbox."""
    forgotten.answer()
    return notices.send_due()


@shared_task(name="people.forget_job", ignore_result=True)
def forget_job() -> int:
    """Delete what has had its time."""
    return notices.forget_old()
