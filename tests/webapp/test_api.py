"""The API: launch, read, watch, steer; who may; what errors look like."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from engine.baselines import softmax_linear
from engine.presets import preset, preset_names
from engine.spec_toml import to_toml
from webapp.api.wire import finite
from webapp.experiments.models import Algorithm, Dataset, Discovery, Island, Search
from webapp.experiments.services import record
from webapp.people.models import Profile, Role
from webapp.people.services import accounts, tokens

pytestmark = pytest.mark.django_db
API = "/api/v1"


class Caller:
    """Calls the API with a token (or none) and reads the answers."""

    def __init__(self, client, secret=""):
        self.client = client
        self.headers = {"Authorization": f"Bearer {secret}"} if secret else {}

    def __call__(self, method, path, data=None, **headers):
        body = {} if data is None else {"data": json.dumps(data), "content_type": "application/json"}
        response = getattr(self.client, method)(API + path, headers={**self.headers, **headers}, **body)
        if response.status_code >= 400:
            assert response.headers["Content-Type"] == "application/problem+json"
            assert response.json()["status"] == response.status_code
        return response

    def get(self, path, **headers):
        response = self("get", path, **headers)
        return response.json() if response.status_code == 200 else response


@pytest.fixture
def call(client, owner):
    """The owner, with a token that may launch."""
    return Caller(client, tokens.create_token(user=owner, name="t", scope="launch")[1])


@pytest.fixture
def call_as(client):
    def make(user, scope="launch"):
        return Caller(client, tokens.create_token(user=user, name="t", scope=scope)[1])

    return make


@pytest.fixture
def anonymous(client, settings):
    settings.ABOVO_OPEN_LAUNCH = False
    return Caller(client)


# Launch


def test_launch_from_a_preset_with_changes(call, owner, messages, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        response = call(
            "post", "/searches",
            {"preset": "digits", "title": "Mine", "seed": 7, "visibility": "unlisted", "priority": 2,
             "changes": {"population_size": 50, "stop": {"max_seconds": 30}}},
        )  # fmt: skip
    search = Search.objects.get()
    data = response.json()
    assert response.status_code == 201 and response.headers["Location"].endswith(f"/api/v1/searches/{search.pk}")
    assert (search.owner, search.title, search.seed, search.visibility, search.priority) == (
        owner,
        "Mine",
        7,
        "unlisted",
        2,
    )
    assert data["spec"]["population_size"] == 50 and data["max_seconds"] == 30.0 and data["state"] == "queued"
    assert data["best"] is None and data["progress"] == 0.0
    assert messages == [(Island.objects.get().pk, 1)]


def test_launch_from_json_and_toml(call):
    spec = preset("linear-demo")
    for body in ({"spec": spec.to_json()}, {"toml": to_toml(spec)}):
        assert call("post", "/searches", body).status_code == 201
    assert {json.dumps(search.spec) for search in Search.objects.all()} == {json.dumps(spec.to_json())}


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"preset": "digits", "changes": {"population_size": 1}}, "population_size", "2 to 1,000,000"),
        ({"preset": "digits", "changes": {"stop": {"max_seconds": -1}}}, "stop.max_seconds", "0 to"),
        ({"preset": "nothing"}, "preset", "not known"),
        ({"preset": "digits", "changes": {"nonsense": 1}}, "nonsense", ""),
        ({"toml": "a = = 1"}, "toml", "not valid TOML"),
        ({"toml": 'title = "a\\u0000"'}, "toml", "NUL"),
        ({"spec": []}, "spec", ""),
        ({"preset": "digits", "seed": -1}, "seed", "greater than or equal"),
        ({"preset": "digits", "visibility": "secret"}, "visibility", ""),
        ({"preset": "digits", "tittle": "x"}, "tittle", ""),
        ({"preset": "digits", "changes": {"search_tasks": {"dataset": "nowhere"}}}, "search_tasks.dataset", "not here"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(call, body, field, words):
    response = call("post", "/searches", body)
    assert response.status_code == 422
    fault = response.json()["errors"][0]
    assert fault["field"] == field and words in fault["message"]
    assert not Search.objects.exists()


@pytest.mark.parametrize("body", [{}, {"preset": "digits", "toml": "x = 1"}])
def test_exactly_one_specification(call, body):
    response = call("post", "/searches", body)
    assert response.status_code == 422 and "exactly one" in response.json()["detail"]


@pytest.mark.parametrize(
    "body",
    ["{", "", "null", "[]", '{"seed": NaN}', '{"seed": 1e999}', '{"title": "\\u0000"}', '{"title": "\\ud800"}', "[" * 100_000, b"\xff\xfe{", '{"a":' * 70 + "1" + "}" * 70],
)  # fmt: skip
def test_bodies_that_are_not_json_we_take(call, client, body):
    response = client.post(f"{API}/searches", body, content_type="application/json", headers=call.headers)
    assert response.status_code in (400, 422)
    assert response.headers["Content-Type"] == "application/problem+json"


def test_limits_are_said(call, owner):
    Profile.objects.create(user=owner, max_islands=1, max_search_seconds=100)
    response = call("post", "/searches", {"preset": "digits"})
    assert response.status_code == 422 and response.json()["errors"][0]["field"] == "stop.max_seconds"
    body = {"preset": "digits", "changes": {"stop": {"max_seconds": 10}}}
    assert call("post", "/searches", body).status_code == 201
    response = call("post", "/searches", body)
    assert response.status_code == 403 and response.json()["type"] == "quota"
    account = call.get("/account")
    assert account["islands_in_use"] == 1 and account["limits"]["islands"] == 1


def test_every_preset_is_listed_and_valid(anonymous):
    rows = anonymous.get("/presets")
    assert [row["name"] for row in rows] == list(preset_names())
    checked = anonymous("post", "/specifications/check", {"preset": "digits"}).json()
    again = anonymous("post", "/specifications/check", {"toml": checked["toml"]}).json()
    assert again["spec"] == checked["spec"] == preset("digits").to_json()
    assert not Search.objects.exists()


# Who may


def test_reading_needs_no_token_launching_does(anonymous, make_search):
    search = make_search()
    assert anonymous.get(f"/searches/{search.pk}")["title"] == search.title
    response = anonymous("post", "/searches", {"preset": "digits"})
    assert response.status_code == 401 and response.headers["WWW-Authenticate"] == "Bearer"
    assert anonymous.get("/account") == {
        "name": None, "role": None, "scope": "launch", "may_launch": False, "islands_in_use": 0, "upload_bytes_in_use": 0,
        "limits": {"islands": None, "search_seconds": None, "upload_bytes": None},
    }  # fmt: skip


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer ", "Basic YTpi", "abovo_x", "Bearer abovo_\udcff"])
def test_bad_tokens(client, db, header):
    response = client.get(f"{API}/searches", HTTP_AUTHORIZATION=header)
    assert response.status_code == 401


def test_scopes_and_roles(call_as, owner, django_user_model, settings):
    settings.ABOVO_OPEN_LAUNCH = False
    body = {"preset": "digits"}
    response = call_as(owner, "read")("post", "/searches", body)
    assert response.status_code == 403 and "may only read" in response.json()["detail"]
    viewer = django_user_model.objects.create_user("viewer")
    accounts.set_role(viewer, Role.VIEWER)
    assert call_as(viewer)("post", "/searches", body).status_code == 403
    assert call_as(owner)("post", "/searches", body).status_code == 201


def test_a_laptop_needs_no_token_but_no_other_site_may_use_it(client, settings):
    settings.ABOVO_OPEN_LAUNCH = True
    settings.ALLOWED_HOSTS = ["testserver"]
    call = Caller(client)
    body = {"preset": "digits"}
    assert call("post", "/searches", body, Origin="https://evil.example").status_code == 403
    assert call("post", "/searches", body, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert call("post", "/searches", body, Origin="null").status_code == 403
    assert call("post", "/searches", body).status_code == 201
    assert call("post", "/searches", body, Origin="http://testserver").status_code == 201


def test_the_session_needs_its_csrf_token(owner):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    call = Caller(client)
    assert call("post", "/searches", {"preset": "digits"}).status_code == 403
    client.get("/api/")
    token = client.cookies[next(name for name in client.cookies if "csrf" in name)].value
    assert call("post", "/searches", {"preset": "digits"}, **{"X-CSRFToken": token}).status_code == 201


def test_no_cors(call):
    response = call("get", "/searches", Origin="https://elsewhere.example")
    assert not [name for name in response.headers if name.lower().startswith("access-control")]


# Read and watch


def test_lists_come_in_pages(call, make_search, stranger):
    made = [make_search(title=f"number {n}").pk for n in range(5)]
    make_search(title="hidden", owner=stranger, visibility="private")
    seen, path, rounds = [], "/searches?limit=2", 0
    while path:
        page = call.get(path)
        seen += [row["id"] for row in page["items"]]
        path = page["next"] and page["next"].partition(API)[2]
        rounds += 1
    assert seen == made[::-1] and rounds == 3
    assert call.get("/searches?q=number%203")["items"][0]["title"] == "number 3"
    assert call.get("/searches?mine=1")["items"] == []
    for bad in (
        "/searches?cursor=%21%21",
        "/searches?cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5",
        "/searches?limit=0",
        "/searches?q=%00",
    ):
        assert call("get", bad).status_code == 422


def test_lists_take_as_many_queries_for_more_rows(call, make_search, run, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    run(make_search(seed=1))
    call.get("/searches")
    with CaptureQueriesContext(connection) as few:
        call.get("/searches")
    for seed in range(2, 6):
        run(make_search(seed=seed))
    with django_assert_num_queries(len(few)):
        assert len(call.get("/searches")["items"]) == 5


def test_a_search_that_found_something(call, make_search, run):
    search = make_search()
    run(search)
    data = call.get(f"/searches/{search.pk}")
    assert data["best"]["permalink"] == search.best.algorithm.permalink and data["individuals"] == 10
    best = call.get(f"/searches/{search.pk}/best")
    assert best["permalink"] == search.best.algorithm.permalink and "def Predict" in best["pseudocode"]
    assert call.get(f"/searches/{search.pk}/finds")["items"][0]["score"] == search.best.score
    assert call("get", f"/searches/{make_search().pk}/best").status_code == 404


def test_the_curve_since_a_point(call, make_search, run):
    search = make_search()
    run(search)
    first = call.get(f"/searches/{search.pk}/curve?limit=4")
    assert [point["individuals"] for point in first["points"]] == [1, 2, 3, 4] and first["more"]
    assert first["points"][0]["mean"] is None  # not a number, in the engine
    rest = call.get(f"/searches/{search.pk}/curve?since={first['next_since']}")
    assert [point["individuals"] for point in rest["points"]] == [5, 6, 7, 8, 9, 10] and not rest["more"]
    run(search)
    news = call.get(f"/searches/{search.pk}/curve?since={rest['next_since']}")
    assert news["points"][0]["individuals"] == 11 and news["active"]
    assert call("get", f"/searches/{search.pk}/curve?island=1").status_code == 404


def test_an_unchanged_answer_is_not_sent_again(call, make_search):
    search = make_search()
    first = call("get", f"/searches/{search.pk}")
    again = call("get", f"/searches/{search.pk}", **{"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304 and not again.content
    Search.objects.update(individuals=5)
    assert call("get", f"/searches/{search.pk}", **{"If-None-Match": first.headers["ETag"]}).status_code == 200


# Steer


def test_steering(call, make_search, owner):
    search = make_search(owner=owner)
    path = f"/searches/{search.pk}"
    assert call("post", f"{path}/pause").json()["state"] == "paused"
    assert call("post", f"{path}/resume").json()["state"] == "queued"
    assert call("post", f"{path}/extend", {"seconds": 40}).json()["max_seconds"] == 100.0
    assert call("post", f"{path}/extend", {"seconds": 0}).status_code == 422
    assert call("post", f"{path}/stop").json()["state"] == "stopped"
    response = call("post", f"{path}/resume")
    assert response.status_code == 409 and response.json()["type"] == "state"
    assert call("delete", path).status_code == 204
    assert call("get", path).status_code == 404


def test_changing_a_search(call, make_search, run, owner):
    search = make_search(owner=owner, visibility="private")
    run(search)
    assert Algorithm.objects.filter(published_at__isnull=False).count() == 0
    data = call("patch", f"/searches/{search.pk}", {"title": " New ", "visibility": "public", "priority": 3}).json()
    assert (data["title"], data["visibility"], data["priority"]) == ("New", "public", 3)
    assert Algorithm.objects.filter(published_at__isnull=True).count() == 0
    response = call("patch", f"/searches/{search.pk}", {"title": "Newer", "priority": 99})
    assert response.status_code == 422
    search.refresh_from_db()
    assert search.title == "New"
    search.owner = None
    search.save()


def test_strangers(call_as, stranger, make_search, owner, settings):
    settings.ABOVO_OPEN_LAUNCH = False
    call = call_as(stranger)
    private, public = make_search(owner=owner, visibility="private"), make_search(owner=owner)
    for method, tail in (("post", "/pause"), ("post", "/stop"), ("delete", ""), ("get", ""), ("get", "/curve")):
        assert call(method, f"/searches/{private.pk}{tail}").status_code == 404
    for method, tail in (("post", "/pause"), ("post", "/stop"), ("delete", "")):
        assert call(method, f"/searches/{public.pk}{tail}").status_code == 403
    assert call("patch", f"/searches/{public.pk}", {"title": "x"}).status_code == 403


# Algorithms


def test_algorithms(call, make_search, run):
    from webapp.experiments.services.gallery import refresh_until_done

    search = make_search()
    run(search)
    refresh_until_done()
    permalink = search.best.algorithm.permalink
    rows = call.get("/algorithms?all=true")
    assert permalink in [row["permalink"] for row in rows["items"]] and rows["total"] == len(rows["items"])
    other = Discovery.objects.get(audience=Discovery.EVERYBODY)
    other.pk, other.canonical_digest, other.size = None, b"0" * 32, 9
    other.save()
    page = call.get("/algorithms?all=true&limit=1")
    following = call.get(page["next"].partition(API)[2])
    assert following["items"] != page["items"]
    assert call("get", "/algorithms?motif=nonsense").status_code == 422
    data = call.get(f"/algorithms/{permalink}")
    assert data["program"] == search.best.algorithm.program and data["finds"][0]["search_id"] == search.pk
    explained = call.get(f"/algorithms/{permalink}/explanation")
    assert {line["function"] for line in explained["lines"]} == {"setup", "predict"}
    for to, start in {
        "python": "text/x-python",
        "sklearn": "text/x-python",
        "latex": "application/x-tex",
        "json": "application/json",
        "text": "text/plain",
    }.items():
        response = call("get", f"/algorithms/{permalink}/export?to={to}")
        assert response.status_code == 200 and response.headers["Content-Type"].startswith(start) and response.content
    assert call("get", f"/algorithms/{permalink}/export?to=exe").status_code == 422
    assert call("get", "/algorithms/1111111111").status_code == 404


def test_an_algorithm_of_many_classes_is_exported(call, make_search, run):
    search = make_search()
    run(search)
    program = softmax_linear()
    row = record.record_algorithms([program], published=True)[program.digest()]
    search.finds.filter(pk=search.best.pk).update(algorithm=row)
    tasks = search.spec["search_tasks"] | {"kind": "classes", "features": 10}
    spec = search.spec | {"search_tasks": tasks, "select_tasks": None, "final_tasks": None}
    type(search).objects.filter(pk=search.pk).update(spec=spec)
    for to in ("python", "sklearn", "latex", "text"):
        response = call("get", f"/algorithms/{row.permalink}/export?to={to}")
        assert response.status_code == 200 and b"that learns by gradient descent" in response.content


def test_evaluating_again(call, make_search, run):
    search = make_search()
    run(search)
    path = f"/algorithms/{search.best.algorithm.permalink}/evaluations"
    response = call("post", path, {"seed": 5})
    data = response.json()
    assert response.status_code == 202 and (data["state"], data["seed"], data["dataset"]) == ("waiting", 5, "digits")
    assert call.get(response.headers["Location"].partition(API)[2]) == data
    assert call("post", path, {"seed": 5}).json()["id"] == data["id"]
    assert call("post", path, {"dataset": "nowhere"}).status_code == 422


# Data sets and studies


def test_data_sets(call, anonymous, owner):
    rows = {row["name"]: row for row in anonymous.get("/datasets")}
    assert rows["digits"]["origin"] == "bundled" and "1,797 rows" in rows["digits"]["words"]
    response = call.client.post(
        f"{API}/datasets",
        {"name": "mine", "files": SimpleUploadedFile("a.csv", b"x,label\n1,0\n2,1\n")},
        headers=call.headers,
    )
    assert response.status_code == 202, response.content
    assert response.json()["state"] == "checking" and response.headers["Location"].endswith("/datasets/mine")
    assert Dataset.objects.get().owner == owner and response.json()["visibility"] == "private"
    assert call.get("/datasets/mine")["bytes"] > 0
    assert anonymous("get", "/datasets/mine").status_code == 404
    assert "mine" not in [row["name"] for row in anonymous.get("/datasets")]
    assert anonymous("delete", "/datasets/mine").status_code == 404
    assert call("delete", "/datasets/digits").status_code == 409
    assert call("delete", "/datasets/mine").status_code == 204
    assert not Dataset.objects.exists()


def test_bad_uploads(call):
    for values in ({"name": "A b"}, {"name": "ok-name", "files": SimpleUploadedFile("a.exe", b"x")}, {}):
        response = call.client.post(f"{API}/datasets", values, headers=call.headers)
        assert response.status_code == 422 and response.json()["errors"]


def test_studies(call, anonymous, stranger, call_as):
    response = call(
        "post",
        "/studies",
        {"preset": "digits", "repeats": 2, "grid": "population_size = 50, 60", "seed": 3, "visibility": "private"},
    )
    assert response.status_code == 201, response.content
    data = response.json()
    assert Search.objects.count() == 4 and set(data["varied"]) == {"population_size", "seed"}
    assert [group["values"]["population_size"] for group in data["groups"]] == [50, 60]
    assert [len(group["searches"]) for group in data["groups"]] == [2, 2] and data["groups"][0]["rate"] is None
    assert call.get(f"/studies/{data['id']}")["title"] == data["title"]
    assert [one["id"] for one in call.get("/studies")["items"]] == [data["id"]]
    assert anonymous("get", f"/studies/{data['id']}").status_code == 404
    assert call_as(stranger).get("/studies")["items"] == []
    response = call("post", "/studies", {"preset": "digits", "grid": "nonsense = 1"})
    assert response.status_code == 422 and response.json()["errors"][0]["field"] == "grid"


# Errors and rates


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/nothing", 404),
        ("get", "/searches/99999999999999999999", 404),
        ("get", "/searches/-1", 404),
        ("put", "/searches", 405),
        ("delete", "/presets", 405),
        ("get", "/evaluations/1", 404),
    ],
)
def test_errors_are_problems(call, method, path, status):
    response = call(method, path)
    assert response.status_code == status
    assert status != 405 or "GET" in response.headers["Allow"]


def test_an_error_of_ours_is_a_problem_too(call, monkeypatch):
    def fail(*args):
        raise RuntimeError("secret detail")

    call.client.raise_request_exception = False
    monkeypatch.setattr("webapp.experiments.access.listed_searches", fail)
    response = call("get", "/searches")
    assert response.status_code == 500 and "secret" not in response.content.decode()


def test_rates(call, client, settings, stranger, monkeypatch):
    monkeypatch.setattr("webapp.people.throttle.time.time", lambda: 1_000_000_000.0)
    settings.ABOVO_API_RATE, settings.ABOVO_API_RATE_ANONYMOUS = 3, 2
    assert [call("get", "/presets").status_code for _ in range(4)] == [200, 200, 200, 429]
    response = call("get", "/presets")
    assert int(response.headers["Retry-After"]) in range(1, 61) and response.json()["type"] == "rate"
    anonymous = Caller(client)
    assert [anonymous("get", "/presets").status_code for _ in range(3)] == [200, 200, 429]
    assert anonymous("get", "/presets", Authorization="Bearer x").status_code == 429
    monkeypatch.setattr("webapp.people.throttle.time.time", lambda: 1_000_000_060.0)
    assert call("get", "/presets").status_code == 200


def test_numbers_that_are_none():
    assert finite({"a": [float("nan"), 1.0, (float("inf"),)], "b": {"c": -float("inf")}}) == {
        "a": [None, 1.0, [None]], "b": {"c": None},
    }  # fmt: skip


# The page


def test_the_page_shows_every_operation(client, call):
    from webapp.api.v1 import api

    text = client.get("/api/").content.decode()
    schema = client.get(f"{API}/openapi.json").json()
    assert schema["openapi"].startswith("3.1") and schema["info"]["title"] == api.title
    operations = [one for methods in schema["paths"].values() for one in methods.values()]
    assert len(operations) > 15 and len({one["operationId"] for one in operations}) == len(operations)
    for one in operations:
        assert f'id="{one["operationId"]}"' in text
        assert one["tags"] and one["summary"]
    for name in schema["components"]["schemas"]["Problem"]["required"]:
        assert name in ("type", "title", "status")
