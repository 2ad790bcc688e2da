"""What every answer carries, and the two addresses for probes."""

import pytest

PROBES = ["/healthz", "/readyz"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", PROBES)
def test_probes_answer_whatever_host_they_ask_for(client, path):
    answer = client.get(path, headers={"host": "10.1.2.3"})
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert "no-cache" in answer.headers["Cache-Control"]


@pytest.mark.django_db
def test_probes_ask_nothing_of_the_database(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        client.get("/healthz")
    with django_assert_num_queries(1):
        client.get("/readyz")


@pytest.mark.parametrize("path", PROBES)
def test_probes_change_nothing(client, path):
    assert client.post(path).status_code == 405


@pytest.mark.django_db
def test_other_hosts_are_refused(client):
    assert client.get("/admin/login/", headers={"host": "evil.example"}).status_code == 400


@pytest.mark.django_db
def test_pages_may_load_only_from_this_server(client):
    headers = client.get("/admin/login/").headers
    policy = dict(part.partition(" ")[::2] for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
