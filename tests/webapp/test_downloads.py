"""An algorithm to take away: files that work where they arrive, and a reference to cite."""

import pytest

from engine.algorithm import Algorithm as Program
from engine.baselines import BASELINES
from webapp.experiments.models import Find
from webapp.experiments.services import record

pytestmark = pytest.mark.django_db(transaction=True)

FILES = [
    ("program.py", "text/x-python; charset=utf-8", "abovo_{}.py"),
    ("estimator.py", "text/x-python; charset=utf-8", "abovo_{}_sklearn.py"),
    ("program.tex", "application/x-tex; charset=utf-8", "abovo-{}.tex"),
    ("program.txt", "text/plain; charset=utf-8", "abovo-{}.txt"),
    ("program.json", "application/json", "{}.json"),
]


@pytest.fixture
def stored():
    program = BASELINES["net"].build()
    return record.record_algorithms([program], published=True)[program.digest()]


@pytest.mark.parametrize(("path", "content_type", "name"), FILES)
def test_files_say_what_they_are(client, stored, path, content_type, name):
    response = client.get(f"{stored.get_absolute_url()}/{path}")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == content_type
    assert response.headers["Content-Disposition"] == f'attachment; filename="{name.format(stored.permalink)}"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.content


@pytest.mark.parametrize("path", [path for path, _type, _name in FILES if path != "program.json"])
def test_files_name_their_permalink(client, stored, path):
    first = client.get(f"{stored.get_absolute_url()}/{path}").content.decode().splitlines()[0]
    assert first.endswith(f"http://testserver{stored.get_absolute_url()}")


def test_the_python_file_runs(client, stored):
    source = client.get(f"{stored.get_absolute_url()}/program.py").content.decode()
    names: dict = {}
    exec(compile(source, "program.py", "exec"), names)
    features = [[1.0, -1.0], [-1.0, 1.0]] * 50
    program = names["train"](features, [1, 0] * 50)
    first, second = names["predict"](program, features[:2])
    assert first > second


def test_the_estimator_is_of_the_searchs_kind_of_task(client, make_search, run):
    search = make_search()
    run(search)
    text = client.get(f"{search.best.algorithm.get_absolute_url()}/estimator.py").content.decode()
    assert "ClassifierMixin" in text
    search.spec["search_tasks"] = {"kind": "linear", "features": 8}
    search.spec["select_tasks"] = search.spec["final_tasks"] = None
    search.save()
    text = client.get(f"{search.best.algorithm.get_absolute_url()}/estimator.py").content.decode()
    assert "RegressorMixin" in text


def test_the_page_links_every_file(client, stored):
    text = client.get(stored.get_absolute_url()).content.decode()
    for path, _type, _name in FILES:
        assert f'href="{stored.get_absolute_url()}/{path}" download' in text


@pytest.mark.usefixtures("nothing_kept")
def test_what_cannot_be_explained_offers_json_only(client, stored, monkeypatch):
    monkeypatch.setattr("webapp.experiments.annotation.MOST_LINES", 1)
    text = client.get(stored.get_absolute_url()).content.decode()
    assert "program.json" in text and "program.py" not in text


def test_how_to_cite(client, stored, settings):
    text = client.get(stored.get_absolute_url()).content.decode()
    address = f"http://testserver{stored.get_absolute_url()}"
    assert f"A 2-layer net that learns by gradient descent. Algorithm a/{stored.permalink}. {address}" in text
    assert f"@misc{{abovo-{stored.permalink}," in text and bytes(stored.digest).hex() in text


def test_titles_are_escaped_for_latex(rf, stored):
    from webapp.experiments.views import downloads

    found = downloads.citation(rf.get("/"), stored, title="A 50% classifier for “my_data”", found_at=None)
    assert r"A 50\% classifier for ``my\_data''" in found["bibtex"]


@pytest.mark.parametrize("path", [path for path, _type, _name in FILES])
def test_private_programs_are_not_handed_out(client, make_search, run, owner, stranger, path):
    search = make_search(owner=owner, visibility="private")
    run(search)
    address = f"{Find.objects.first().algorithm.get_absolute_url()}/{path}"
    client.force_login(stranger)
    assert client.get(address).status_code == 404
    client.force_login(owner)
    assert client.get(address).status_code == 200


def test_empty_programs_export_too(client):
    empty = Program()
    row = record.record_algorithms([empty], published=True)[empty.digest()]
    for path, _type, _name in FILES:
        assert client.get(f"{row.get_absolute_url()}/{path}").status_code == 200
