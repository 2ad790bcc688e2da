"""Being told that a search ended: the outbox, retries, signatures, and the form for it."""

import hashlib
import hmac
import json
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core import mail
from django.db import transaction
from django.utils import timezone

from webapp.experiments.services import steer
from webapp.lib.webhook import WebhookError
from webapp.people.models import Notice, Profile, RateCount
from webapp.people.services import notices
from webapp.people.tasks import forget_job, notices_job

pytestmark = pytest.mark.django_db
PASSWORD = "quite a long password"
URL = "https://hooks.example/abovo"


@pytest.fixture
def told(owner, settings):
    """The owner, who wants to be told both ways."""
    settings.ABOVO_EMAIL = True
    notices.choose(user=owner, by_email=True, email="owner@example.org", webhook_url=URL)
    return type(owner).objects.get(pk=owner.pk)


@pytest.fixture
def posts(monkeypatch):
    """sent: what was posted, as (url, data, headers, body); outcomes: exceptions to raise, first ones first."""
    seen = SimpleNamespace(sent=[], outcomes=[])

    def post(url, body, headers, *, to_private):
        seen.sent.append((url, json.loads(body), headers, body))
        if seen.outcomes:
            raise seen.outcomes.pop(0)
        return 200

    monkeypatch.setattr("webapp.lib.webhook.post", post)
    return seen


def make_due():
    Notice.objects.filter(sent_at=None, failed_at=None).update(due_at=timezone.now())


def test_the_end_of_a_search_is_told_both_ways(told, make_search, run, engine, posts):
    search = make_search(owner=told, title="Mine\r\nBcc: x@example.org")
    engine.births_at_end = 10
    run(search)
    assert search.state == "finished" and Notice.objects.count() == 2
    assert notices_job() == 2
    (message,) = mail.outbox
    assert message.to == ["owner@example.org"] and "\n" not in message.subject and "Mine" in message.subject
    assert search.get_absolute_url() in message.body and message.body.count("http") >= 2
    url, data, headers, body = posts.sent[0]
    assert url == URL and data["event"] == headers["X-Abovo-Event"] == "search.ended"
    assert data["search"]["id"] == search.pk and data["search"]["state"] == "finished"
    assert data["search"]["permalink"] == search.result.algorithm.permalink
    at, _comma, given = headers["X-Abovo-Signature"].partition(",v1=")
    key = notices.signing_key(Profile.objects.get(user=told))
    assert given == hmac.new(key.encode(), at.removeprefix("t=").encode() + b"." + body, hashlib.sha256).hexdigest()
    assert notices_job() == 0 and Notice.objects.filter(sent_at=None).count() == 0


@pytest.mark.parametrize("end", ["stopped", "failed"])
def test_other_ends_are_told_too(told, make_search, posts, end):
    search = make_search(owner=told)
    if end == "stopped":
        steer.stop_search(search_id=search.pk)
    else:
        search.islands.update(state="failed", last_error="the data is gone")
        with transaction.atomic():
            steer.settle_search(search)
    notices_job()
    assert posts.sent[0][1]["search"]["state"] == end and (end != "failed" or "the data is gone" in mail.outbox[0].body)


def test_the_notice_is_part_of_the_ends_transaction(told, make_search):
    search = make_search(owner=told)
    with pytest.raises(RuntimeError), transaction.atomic():
        steer.stop_search(search_id=search.pk)
        assert Notice.objects.count() == 2
        raise RuntimeError
    assert Notice.objects.count() == 0


def test_who_does_not_ask_is_not_told(owner, make_search, settings):
    settings.ABOVO_EMAIL = True
    owner.email = "owner@example.org"
    owner.save()
    steer.stop_search(search_id=make_search(owner=owner).pk)
    steer.stop_search(search_id=make_search().pk)
    assert not Notice.objects.exists()


def test_it_is_tried_again_and_given_up(told, make_search, posts, settings):
    settings.ABOVO_EMAIL = False
    steer.stop_search(search_id=make_search(owner=told).pk)
    posts.outcomes += [WebhookError("answered 500")] * 10
    for attempt in range(1, len(notices.PAUSES) + 2):
        assert notices_job() == 1 and notices_job() == 0
        notice = Notice.objects.get()
        assert notice.attempts == attempt and notice.last_error == "answered 500"
        if attempt <= len(notices.PAUSES):
            assert notice.due_at - timezone.now() > notices.PAUSES[attempt - 1] - timedelta(minutes=1)
        make_due()
    assert notice.failed_at is not None and notices_job() == 0


def test_a_later_attempt_delivers(told, make_search, posts, settings):
    settings.ABOVO_EMAIL = False
    steer.stop_search(search_id=make_search(owner=told).pk)
    posts.outcomes.append(WebhookError("answered 500"))
    notices_job()
    make_due()
    notices_job()
    notice = Notice.objects.get()
    assert notice.sent_at and not notice.last_error and len(posts.sent) == 2
    assert posts.sent[0][2]["X-Abovo-Delivery"] == posts.sent[1][2]["X-Abovo-Delivery"] == str(notice.pk)


def test_what_cannot_work_is_not_tried_again(told, make_search, posts, settings):
    settings.ABOVO_EMAIL = False
    steer.stop_search(search_id=make_search(owner=told).pk)
    posts.outcomes.append(WebhookError("not an address of the public internet", permanent=True))
    notices_job()
    assert Notice.objects.get().failed_at


def test_a_worker_that_died_is_replaced(told, make_search, posts, settings):
    settings.ABOVO_EMAIL = False
    steer.stop_search(search_id=make_search(owner=told).pk)
    assert notices._claim() is not None
    assert notices_job() == 0
    make_due()
    assert notices_job() == 1 and Notice.objects.get().sent_at


def test_a_mail_server_that_is_away(told, make_search, monkeypatch, posts):
    steer.stop_search(search_id=make_search(owner=told).pk)

    def refuse(self):
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    notices_job()
    notice = Notice.objects.get(channel="email")
    assert "mail server" in notice.last_error and notice.failed_at is None


def test_private_addresses_are_refused_for_real(owner, make_search):
    notices.choose(user=owner, by_email=False, email="", webhook_url="http://127.0.0.1:9/")
    steer.stop_search(search_id=make_search(owner=type(owner).objects.get(pk=owner.pk)).pk)
    notices_job()
    notice = Notice.objects.get()
    assert notice.failed_at and "public internet" in notice.last_error


def test_the_form(client, owner, settings, posts):
    settings.ABOVO_EMAIL = True
    owner.set_password(PASSWORD)
    owner.save()
    client.force_login(owner)
    for values, field in (
        ({"webhook_url": "ftp://x"}, "webhook_url"),
        ({"webhook_url": "http://127.0.0.1/"}, "webhook_url"),
        ({"webhook_url": "http://[::1]/"}, "webhook_url"),
        ({"by_email": "on"}, "email"),
        ({"by_email": "on", "email": "nobody"}, "email"),
        ({"email": "o@example.org"}, "password"),
        ({"email": "o@example.org", "password": "another"}, "password"),
    ):
        response = client.post("/account/notices/", values)
        assert response.status_code == 422 and field in response.context["notices_form"].errors
    values = {"webhook_url": URL, "by_email": "on", "email": "o@example.org"}
    client.post("/account/notices/", {**values, "password": PASSWORD})
    client.post("/account/notices/", {**values, "test": "1"})
    assert Notice.objects.filter(event="test").count() == 2
    notices_job()
    text = client.get("/account/").content.decode()
    assert notices.signing_key(Profile.objects.get(user=owner)) in text and text.count("delivered") == 2
    client.post("/account/notices/", {"webhook_url": "", "email": "", "password": PASSWORD})
    owner.refresh_from_db()
    assert Profile.objects.get(user=owner).webhook_url == "" and not notices.wanted_by(owner)


def test_without_a_mail_server_there_is_no_word_of_mail(client, owner):
    client.force_login(owner)
    assert "mail" not in client.get("/account/").content.decode().split('id="notices"')[1]


def test_old_rows_go(owner):
    old = timezone.now() - notices.KEPT - timedelta(days=1)
    Notice.objects.create(user=owner, channel="email", event="test", content={}, created_at=old)
    RateCount.objects.create(key="a", window=1, count=1, expires_at=old)
    RateCount.objects.create(key="b", window=1, count=1, expires_at=timezone.now() + timedelta(hours=1))
    assert forget_job() == 2 and RateCount.objects.get().key == "b"
