"""The pages around: home, learn, ops, signing in, errors; and what holds for all of them."""

import base64
import hashlib
import re
import struct

import pytest
from django.conf import settings
from django.core.management import call_command
from django.urls import reverse

from engine.ops import OPS
from webapp.experiments.models import Search

pytestmark = pytest.mark.django_db(transaction=True)

INLINE = re.compile(
    r"<style|\sstyle=|<script(?![^>]*\s(?:src=|type=.application/json))|\son\w+=|javascript:", re.IGNORECASE
)
ELSEWHERE = re.compile(r"(?:src|href|action)=\"(?:https?:)?//", re.IGNORECASE)


def test_home_without_anything_offers_a_search(client, settings):
    settings.ABOVO_OPEN_LAUNCH = True
    text = client.get("/").content.decode()
    assert "Nothing discovered yet" in text and reverse("experiments:launch") in text


def test_home_names_the_search_at_work(client, make_search):
    search = make_search(title="At work")
    text = client.get("/").content.decode()
    assert "At work" in text and search.get_absolute_url() in text


def test_home_lists_discoveries(client, make_search, run):
    search = make_search()
    run(search)
    assert search.best.algorithm.permalink in client.get("/").content.decode()


def test_every_op_is_in_the_reference(client):
    text = client.get(reverse("experiments:ops")).content.decode()
    for op in OPS:
        assert op.op == 0 or f'id="op-{op.op.value}"' in text
        assert op.op == 0 or op.op.name in text


def test_sign_in_and_out(client, owner):
    owner.set_password("a good long password")
    owner.save()
    response = client.post(
        reverse("login"), {"username": "owner", "password": "a good long password", "next": "/learn/"}
    )
    assert response.headers["Location"] == "/learn/"
    assert "Sign out owner" in client.get("/learn/").content.decode()
    assert client.post(reverse("logout")).headers["Location"] == "/"


def test_sign_in_refuses_other_hosts(client, owner):
    owner.set_password("a good long password")
    owner.save()
    response = client.post(
        reverse("login"), {"username": "owner", "password": "a good long password", "next": "https://example.org/"}
    )
    assert "example.org" not in response.headers["Location"]


def test_404(client):
    response = client.get("/nothing")
    assert response.status_code == 404 and "There is nothing here" in response.content.decode()


def test_500_asks_nothing_of_the_database(client, monkeypatch, django_assert_num_queries):
    def fail(*args):
        raise RuntimeError

    client.raise_request_exception = False
    monkeypatch.setattr("webapp.experiments.queries.discoveries_for", fail)
    with django_assert_num_queries(0):
        response = client.get("/")
    assert response.status_code == 500 and "Something broke" in response.content.decode()


def test_500_needs_no_static_files(client, monkeypatch, settings, tmp_path):
    """Where they were not collected every other page fails, and this one says so."""
    whitenoise = "whitenoise.storage.CompressedManifestStaticFilesStorage"
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": whitenoise, "OPTIONS": {"location": str(tmp_path)}}
    }
    client.raise_request_exception = False
    response = client.get("/learn/")
    text = response.content.decode()
    assert response.status_code == 500 and "Something broke" in text and "/static/" not in text
    style = re.search("<style>(.*)</style>", text, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in response.headers["Content-Security-Policy"]


def test_the_icon_for_whoever_asks_at_its_usual_address(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = client.get("/favicon.ico")
    file = response.content
    assert response.headers["Content-Type"] == "image/x-icon" and "max-age" in response.headers["Cache-Control"]
    kind, many = struct.unpack_from("<HHH", file)[1:]
    assert (kind, many) == (1, 3)
    for number, expected in enumerate((16, 32, 48)):
        width, height, *_, size, place = struct.unpack_from("<BBBBHHII", file, 6 + 16 * number)
        picture = file[place : place + size]
        assert (width, height) == (expected, expected)
        assert picture.startswith(b"\x89PNG") and struct.unpack(">II", picture[16:24]) == (expected, expected)


def test_pages_hold_to_the_security_policy(client, make_search, run):
    """Nothing inline, nothing from elsewhere."""
    search = make_search()
    run(search)
    paths = [
        "/",
        "/searches/",
        "/searches/new/",
        "/learn/",
        "/learn/ops/",
        "/login/",
        "/nothing",
        search.get_absolute_url(),
    ]
    algorithm = search.best.algorithm.get_absolute_url()
    paths += [algorithm, f"{algorithm}/ancestry", f"{algorithm}/embed", f"{search.get_absolute_url()}tree/"]
    paths += [f"/compare?a={algorithm}", f"/compare?a={algorithm}&a={search.finds.first().algorithm.permalink}"]
    for path in paths:
        response = client.get(path)
        text = response.content.decode()
        assert not INLINE.search(text), (path, INLINE.search(text))
        assert not ELSEWHERE.search(text.replace("http://testserver/", "/")), path
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]


def test_vendored_files_are_what_their_list_says():
    folder = settings.BASE_DIR / "static" / "vendor"
    listed = re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (folder / "README.md").read_text(), re.MULTILINE)
    assert listed
    for name, digest in listed:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert {path.name for path in folder.glob("*.js")} == {name for name, _ in listed}


def test_the_first_search_is_launched_once(messages):
    for _ in range(2):
        call_command("first_search")
    assert Search.objects.get().spec_name == "digits"
    assert len(messages) == 1


def test_no_first_search_where_people_searched_before(make_search):
    make_search()
    call_command("first_search")
    assert Search.objects.count() == 1


@pytest.mark.parametrize("model", ["search", "island", "algorithm", "find", "checkpoint"])
def test_the_administrator_sees_every_table(client, administrator, make_search, run, model):
    run(make_search())
    client.force_login(administrator)
    response = client.get(reverse(f"admin:experiments_{model}_changelist"))
    assert response.status_code == 200
    row = response.context["cl"].result_list[0]
    assert client.get(reverse(f"admin:experiments_{model}_change", args=[row.pk])).status_code == 200


def test_models_and_migrations_agree():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
