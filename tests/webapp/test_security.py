"""What holds for every answer and every cookie; and that the server set-up passes Django's own check."""

import json
import os
import subprocess
import sys

import pytest
from django.conf import settings as django_settings

pytestmark = pytest.mark.django_db

SERVER = {
    "ABOVO_PUBLIC_URL": "https://abovo.example.org",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "CELERY_BROKER_URL": "amqp://guest:guest@127.0.0.1:1//",
}
FLAGS = (
    "SESSION_COOKIE_SECURE", "SESSION_COOKIE_HTTPONLY", "SESSION_COOKIE_SAMESITE", "CSRF_COOKIE_SECURE", "CSRF_COOKIE_SAMESITE",
    "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS", "SECURE_PROXY_SSL_HEADER", "DEBUG", "ABOVO_PROXIES", "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
)  # fmt: skip


def manage(*arguments, **variables):
    command = [sys.executable, str(django_settings.BASE_DIR / "manage.py"), *arguments]
    return subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True)


def test_the_server_set_up_passes_djangos_check():
    done = manage("check", "--deploy", "--fail-level", "WARNING", **SERVER)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_behind_tls_cookies_and_redirects_are_for_tls_only():
    code = f"import json; from django.conf import settings as s; print('\\n' + json.dumps({{n: getattr(s, n) for n in {FLAGS}}}))"
    done = manage("shell", "--no-imports", "--command", code, **SERVER)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["SESSION_COOKIE_SECURE"] and found["CSRF_COOKIE_SECURE"] and found["SESSION_COOKIE_HTTPONLY"]
    assert found["SESSION_COOKIE_SAMESITE"] == found["CSRF_COOKIE_SAMESITE"] == "Lax"
    assert found["SECURE_SSL_REDIRECT"] and found["SECURE_HSTS_SECONDS"] >= 31_536_000 and not found["DEBUG"]
    assert found["SECURE_PROXY_SSL_HEADER"] == ["HTTP_X_FORWARDED_PROTO", "https"] and found["ABOVO_PROXIES"] == 1
    assert "abovo.example.org" in found["ALLOWED_HOSTS"] and "*" not in found["ALLOWED_HOSTS"]
    assert found["CSRF_TRUSTED_ORIGINS"] == ["https://abovo.example.org"]


@pytest.mark.parametrize(
    "path", ["/", "/login/", "/api/", "/api/v1/presets", "/nothing", "/admin/login/", "/static/nothing.js"]
)
def test_every_answer_has_its_headers(client, path):
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy and "object-src 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert "Server" not in headers


def test_frames_are_refused(client):
    assert client.get("/").headers["X-Frame-Options"] == "DENY"


def test_the_session_is_new_after_signing_in(client, owner):
    owner.set_password("quite a long password")
    owner.save()
    client.get("/login/")
    session = client.session
    session["planted"] = 1
    session.save()
    before = session.session_key
    client.cookies[django_settings.SESSION_COOKIE_NAME] = before
    client.post("/login/", {"username": "owner", "password": "quite a long password"})
    cookie = client.cookies[django_settings.SESSION_COOKIE_NAME]
    assert cookie.value != before and cookie["httponly"] and cookie["samesite"] == "Lax"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost:8000@evil.example"])
def test_other_host_names_are_refused(client, host, settings):
    settings.ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
    assert client.get("/", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize(
    "path", ["/login/", "/login/forgot/", "/logout/", "/account/tokens/", "/people/invite/", "/searches/new/"]
)
def test_forms_need_their_csrf_token(administrator, path):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(administrator)
    assert client.post(path, {"username": "a", "password": "b"}).status_code == 403


def test_errors_show_nothing_of_the_inside(client, monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("secret detail")

    client.raise_request_exception = False
    monkeypatch.setattr("webapp.experiments.access.listed_searches", fail)
    for path in ("/searches/", "/api/v1/searches"):
        response = client.get(path)
        assert response.status_code == 500 and "secret detail" not in response.content.decode()
