"""Signing in slows down those who guess, by name and address, whichever process they ask."""

import pytest

from webapp.people import throttle
from webapp.people.services import login

pytestmark = pytest.mark.django_db
PASSWORD = "quite a long password"


@pytest.fixture
def account(owner, monkeypatch):
    monkeypatch.setattr(throttle.time, "time", lambda: 1_000_000_000.0)  # one window, whenever the test runs
    owner.set_password(PASSWORD)
    owner.save()
    return owner


def sign_in(client, password=PASSWORD, name="owner", path="/login/", **extra):
    return client.post(path, {"username": name, "password": password}, **extra)


@pytest.mark.parametrize("path", ["/login/", "/admin/login/"])
def test_guessing_is_slowed_down(client, account, path):
    for _ in range(login.PER_NAME_AND_ADDRESS):
        assert "Too many" not in sign_in(client, "wrong", path=path).content.decode()
    response = sign_in(client, path=path)
    assert "Too many attempts" in response.content.decode() and "minutes" in response.content.decode()
    assert path != "/login/" or response.status_code == 429
    # Others, and the same person elsewhere, are not held up.
    assert sign_in(client, "wrong", name="stranger", path=path).status_code != 429
    assert sign_in(client, REMOTE_ADDR="192.0.2.1").status_code == 302


def test_names_are_counted_as_they_are_compared(client, account):
    for name in ("owner", "OWNER", " owner ", "Owner", "oWner"):
        sign_in(client, "wrong", name=name)
    assert sign_in(client).status_code == 429


def test_success_forgets_the_failures(client, account):
    for _ in range(3):
        for _ in range(login.PER_NAME_AND_ADDRESS - 1):
            sign_in(client, "wrong")
        assert sign_in(client).status_code == 302
        client.logout()


def test_many_names_from_one_address(client, account, monkeypatch):
    monkeypatch.setattr(login, "PER_ADDRESS", 6)
    for number in range(6):
        assert sign_in(client, "wrong", name=f"name{number}").status_code == 422
    assert sign_in(client).status_code == 429


def test_one_name_from_many_addresses(client, account, monkeypatch):
    monkeypatch.setattr(login, "PER_NAME", 6)
    for number in range(6):
        assert sign_in(client, "wrong", REMOTE_ADDR=f"192.0.2.{number}").status_code == 422
    assert sign_in(client, REMOTE_ADDR="192.0.2.99").status_code == 429


def test_the_window_passes(client, account, monkeypatch):
    for _ in range(login.PER_NAME_AND_ADDRESS + 1):
        sign_in(client, "wrong")
    monkeypatch.setattr(throttle.time, "time", lambda: 1_000_000_000.0 + login.WINDOW_SECONDS)
    assert sign_in(client).status_code == 302


def test_no_names_or_addresses_are_kept(client, account):
    sign_in(client, "wrong")
    assert not any("owner" in row.key or "127" in row.key.split(":")[1][:3] for row in throttle.RateCount.objects.all())


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "203.0.113.7", "127.0.0.1"),
        (1, "203.0.113.7", "203.0.113.7"),
        (1, "6.6.6.6, 203.0.113.7", "203.0.113.7"),
        (2, "6.6.6.6, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
        (2, "10.0.0.1", "127.0.0.1"),
        (1, "", "127.0.0.1"),
    ],
)
def test_where_a_request_comes_from(rf, settings, proxies, forwarded, expected):
    settings.ABOVO_PROXIES = proxies
    request = rf.get("/", HTTP_X_FORWARDED_FOR=forwarded) if forwarded else rf.get("/")
    assert throttle.client_address(request) == expected
