"""A forgotten password: from the sign-in page by way of the outbox and a message to a new one, and what strangers cannot do with it."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.core import mail
from django.test import Client
from django.utils import timezone

from webapp.lib.environment import read_environment
from webapp.people import throttle
from webapp.people.models import ForgottenPassword, Invitation, Notice
from webapp.people.services import forgotten, invitations, notices, tokens
from webapp.people.tasks import notices_job

pytestmark = pytest.mark.django_db
OLD, NEW = "quite a long password", "another long password"
PUBLIC = "https://abovo.example.org"


@pytest.fixture(autouse=True)
def installation(settings, monkeypatch):
    """One with e-mail and an address of its own; all that is asked for is asked for in one window."""
    settings.ABOVO_EMAIL = True
    settings.PUBLIC_URL = read_environment({"ABOVO_PUBLIC_URL": PUBLIC}).public_url
    monkeypatch.setattr(throttle.time, "time", lambda: 1_000_000_000.0)


@pytest.fixture
def owner(owner):
    owner.email = "Owner@example.org"
    owner.set_password(OLD)
    owner.save()
    return owner


def ask(client, typed="owner", **extra):
    return client.post("/login/forgot/", {"typed": typed}, **extra)


def paths_sent():
    """Addresses in the messages so far, without the host."""
    return [re.search(rf"^{PUBLIC}(/invitation/\S+/)$", message.body, re.MULTILINE)[1] for message in mail.outbox]


def set_password(client, path, password=NEW):
    return client.post(path, {"new_password1": password, "new_password2": password})


def later(**ago):
    """Let time pass for what was put into the outbox and sent."""
    for notice in Notice.objects.all():
        notice.created_at -= timedelta(**ago)
        notice.sent_at = notice.sent_at and notice.sent_at - timedelta(**ago)
        notice.save()


def test_from_the_sign_in_page_to_a_new_password(client, owner):
    token, secret = tokens.create_token(user=owner, name="a", scope="read")
    elsewhere = Client()
    elsewhere.force_login(owner)
    assert 'href="/login/forgot/"' in client.get("/login/").content.decode()
    assert 'name="typed"' in client.get("/login/forgot/").content.decode()
    response = client.post("/login/forgot/", {"typed": " owner "}, follow=True)
    assert response.redirect_chain == [("/login/", 302)] and "on its way" in response.content.decode()
    assert not mail.outbox and not Invitation.objects.exists()

    assert notices_job() == 1 and not ForgottenPassword.objects.exists()
    (message,) = mail.outbox
    assert message.to == ["Owner@example.org"] and "owner" in message.body
    (path,) = paths_sent()
    invitation = Invitation.objects.get()
    assert timedelta(hours=23) < invitation.expires_at - timezone.now() <= timedelta(days=1)

    assert client.get(path).status_code == 200
    assert set_password(client, path, "short").status_code == 422
    assert elsewhere.get("/account/").status_code == 200
    assert set_password(client, path).headers["Location"] == "/account/"
    owner.refresh_from_db()
    assert owner.check_password(NEW) and client.get("/account/").context["user"] == owner
    # Once; sessions end, tokens stay, as with an administrator's link.
    assert client.get(path).status_code == 404 and set_password(client, path, OLD).status_code == 404
    assert elsewhere.get("/account/").status_code == 302
    assert tokens.find_token(secret) == token


def test_the_secret_is_nowhere_but_in_the_message(client, owner, monkeypatch):
    seen = []

    def refuse(self):
        seen.append(self.body)
        raise ConnectionRefusedError(111, "Connection refused")

    def rows():
        return repr([list(model.objects.values()) for model in (Notice, Invitation, LogEntry, ForgottenPassword)])

    ask(client)
    with monkeypatch.context() as patch:
        patch.setattr("django.core.mail.EmailMessage.send", refuse)
        assert notices_job() == 1
    notice = Notice.objects.get()
    assert notice.content == {"language": "en"} and "mail server" in notice.last_error
    first = re.search(r"/invitation/(\S+)/", seen[0])[1]
    assert first not in rows()
    Notice.objects.update(due_at=timezone.now())
    notices_job()
    (path,) = paths_sent()
    assert Notice.objects.get().sent_at and Notice.objects.get().content == {"language": "en"}
    assert path.split("/")[2] not in rows() and "://" not in rows()
    # Each attempt has a link of its own, and the last one counts.
    assert first not in path and client.get(path).status_code == 200
    assert client.get(f"/invitation/{first}/").status_code == 404


def test_a_name_that_nobody_has_gets_the_same_answer(client, owner, django_assert_num_queries):
    answers = []
    for typed in ("owner", "nobody", "nobody@example.org"):
        visitor = Client()
        with django_assert_num_queries(2 + 2):  # the count, and the row, in a transaction of the test's
            response = ask(visitor, typed)
        answers.append((response.status_code, response.headers["Location"], visitor.get("/login/").content))
    assert len({(status, where) for status, where, _page in answers}) == 1
    pages = [re.sub(rb'name="csrfmiddlewaretoken" value="\w+"', b"", page) for _status, _where, page in answers]
    assert pages[0] == pages[1] == pages[2] and b"on its way" in pages[0]
    notices_job()
    assert len(mail.outbox) == 1 and Notice.objects.count() == 1 and not ForgottenPassword.objects.exists()


def test_who_may_not_sign_in_or_has_no_address_gets_nothing(client, owner, stranger):
    owner.is_active = False
    owner.save()
    for typed in ("owner", "owner@example.org", "stranger"):
        ask(client, typed)
    assert notices_job() == 0 and not mail.outbox


@pytest.mark.parametrize("change", [{"is_active": False}, {"email": ""}])
def test_what_changes_before_it_is_sent_counts(client, owner, change):
    ask(client)
    forgotten.answer()
    type(owner).objects.update(**change)
    notices_job()
    assert Notice.objects.get().failed_at and not mail.outbox and not Invitation.objects.exists()


def test_an_address_that_several_share(client, owner, stranger):
    stranger.email = "owner@example.org"
    stranger.save()
    ask(client, "OWNER@example.org")
    notices_job()
    assert sorted(message.body.split("account ")[1].split(".")[0] for message in mail.outbox) == ["owner", "stranger"]
    assert sorted(Invitation.objects.values_list("user__username", flat=True)) == ["owner", "stranger"]
    set_password(client, paths_sent()[0])
    assert client.get(paths_sent()[1]).status_code == 200


# What strangers can do to somebody


def test_a_mailbox_is_not_flooded(client, owner):
    for _ in range(3):
        ask(client)
    notices_job()
    ask(client, "owner@example.org")
    assert notices_job() == 0 and len(mail.outbox) == 1
    later(seconds=forgotten.PAUSE.total_seconds() + 1)
    for sent in range(2, forgotten.A_DAY + 3):
        ask(client)
        notices_job()
        assert len(mail.outbox) == min(sent, forgotten.A_DAY)
        later(seconds=forgotten.PAUSE.total_seconds() + 1)
    later(days=1)
    ask(client)
    assert notices_job() == 1
    # Of those, the last one opens.
    assert [client.get(path).status_code for path in paths_sent()] == [404] * forgotten.A_DAY + [200]


def test_while_the_mail_server_is_away_one_waits(client, owner, monkeypatch):
    def refuse(self):
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    ask(client)
    notices_job()
    later(hours=1)
    ask(client)
    assert notices_job() == 0 and Notice.objects.count() == 1


def test_an_address_asks_so_often_at_most(client, owner, monkeypatch):
    monkeypatch.setattr(forgotten, "PER_ADDRESS", 2)
    for typed in ("owner", "nobody"):
        assert ask(client, typed).status_code == 302
    for typed in ("owner", "nobody"):
        response = ask(client, typed)
        assert response.status_code == 429 and "Too many attempts" in response.content.decode()
    assert ForgottenPassword.objects.count() == 2
    assert ask(client, REMOTE_ADDR="192.0.2.1").status_code == 302
    monkeypatch.setattr(throttle.time, "time", lambda: 1_000_000_000.0 + forgotten.WINDOW_SECONDS)
    assert ask(client).status_code == 302


def test_an_administrators_link_stays_until_a_password_is_set(client, owner, administrator):
    _invitation, given = invitations.offer_new_password(by=administrator, user=owner)
    ask(client)
    notices_job()
    (path,) = paths_sent()
    assert client.get(f"/invitation/{given}/").status_code == client.get(path).status_code == 200
    client.force_login(administrator)
    assert "asked for by e-mail" in client.get("/people/").content.decode()
    client.logout()
    set_password(client, f"/invitation/{given}/")
    assert client.get(path).status_code == 404
    # A new one of the administrator's ends all others.
    later(hours=1)
    ask(client)
    notices_job()
    assert client.get(paths_sent()[1]).status_code == 200
    invitations.offer_new_password(by=administrator, user=owner)
    assert client.get(paths_sent()[1]).status_code == 404


def test_a_link_ends_with_the_address_and_with_the_password(client, owner):
    ask(client)
    notices_job()
    (path,) = paths_sent()
    type(owner).objects.update(email="new@example.org")
    assert client.get(path).status_code == set_password(client, path).status_code == 404
    later(hours=1)
    ask(client)
    notices_job()
    client.force_login(owner)
    client.post("/account/password/", {"old_password": OLD, "new_password1": NEW, "new_password2": NEW})
    assert mail.outbox[1].to == ["new@example.org"] and client.get(paths_sent()[1]).status_code == 404


def test_the_address_comes_from_the_settings(client, owner, settings):
    settings.ALLOWED_HOSTS = ["*"]
    ask(client, headers={"host": "evil.example", "x-forwarded-host": "evil.example"})
    notices_job()
    assert "evil" not in mail.outbox[0].body and f"{PUBLIC}/invitation/" in mail.outbox[0].body
    settings.PUBLIC_URL = None
    later(hours=1)
    ask(client, headers={"host": "evil.example"})
    notices_job()
    assert "evil" not in mail.outbox[1].body and settings.ENVIRONMENT.address in mail.outbox[1].body


# The rest


def test_it_is_written_down(client, owner):
    ask(client)
    ask(client, "nobody")
    notices_job()
    set_password(client, paths_sent()[0])
    entries = LogEntry.objects.order_by("pk")
    assert [(one.user, one.object_id, one.get_change_message()) for one in entries] == [
        (owner, str(owner.pk), "A link to a new password was asked for by e-mail"),
        (owner, str(owner.pk), "Set a new password by a link"),
    ]


def test_the_account_page_says_nothing_of_it(client, owner):
    ask(client)
    notices_job()
    client.force_login(owner)
    assert "delivered" not in client.get("/account/").content.decode()


def test_the_message_is_in_the_language_of_who_asks(client, owner):
    ask(client, headers={"accept-language": "ko"})
    notices_job()
    assert re.search(r"[가-힣]", mail.outbox[0].subject) and re.search(r"[가-힣]", mail.outbox[0].body)


@pytest.mark.parametrize("typed", ["", "  ", "x" * 255, "a\x00b"])
def test_what_is_no_name_stands_beside_the_field(client, typed):
    response = ask(client, typed)
    assert response.status_code == 422 and "typed" in response.context["form"].errors
    assert 'aria-invalid="true"' in response.content.decode() and not ForgottenPassword.objects.exists()


def test_a_worker_is_sent_for_when_it_is_certain(client, owner, monkeypatch, django_capture_on_commit_callbacks):
    sent = []
    monkeypatch.setattr("webapp.people.tasks.notices_job.apply_async", lambda **options: sent.append(options["queue"]))
    with django_capture_on_commit_callbacks(execute=True):
        ask(client)
        assert not sent
    assert sent == ["default"]


def test_without_a_mail_server_an_administrator_is_asked(client, owner, settings):
    settings.ABOVO_EMAIL = False
    text = client.get("/login/").content.decode()
    assert "forgot/" not in text and "or has forgotten a password, asks an administrator" in text
    assert client.get("/login/forgot/").status_code == ask(client).status_code == 404
    assert not ForgottenPassword.objects.exists() and notices.wanted_by(owner) == []
