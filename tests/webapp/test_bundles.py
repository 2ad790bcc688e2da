"""Searches that leave as bundles and come in from them: the same on both sides, or nothing at all."""

import gzip
import io
import json
import socket
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.bundle import BundleError
from engine.spec import TaskSpec
from tests.bundles import bundle_of, lines_of, sealed, small, spoil
from webapp.experiments import describe, lineage
from webapp.experiments.models import (
    Algorithm,
    BundleImport,
    CurvePoint,
    Event,
    Find,
    ImportedSearch,
    Individual,
    Island,
    Measurement,
    Search,
    Study,
    Waypoint,
)
from webapp.experiments.services import imports, measure
from webapp.experiments.services.exporting import GALLERY, NotExportable, export_searches
from webapp.experiments.services.importing import import_bundle
from webapp.lib import stopping

pytestmark = pytest.mark.django_db
KEPT = (Search, Island, Find, Individual, Waypoint, CurvePoint, Event, Algorithm, Measurement, Study, ImportedSearch)


@pytest.fixture(scope="module")
def text():
    return bundle_of(small(), 3)


@pytest.fixture(autouse=True)
def storage(tmp_path, settings):
    settings.MEDIA_ROOT = str(tmp_path)
    return tmp_path


def counts():
    return {model.__name__: model.objects.count() for model in KEPT}


def exported(search, **options):
    file = io.BytesIO()
    export_searches([search], file, packed=False, **options)
    return file.getvalue()


def bring(text, owner, **options):
    return import_bundle(io.BytesIO(text), owner=owner, visibility="public", **options)


def everything(search):
    """What is stored of a search, without the numbers that the database gives."""
    search.refresh_from_db()
    kept = {name: getattr(search, name) for name in ("uid", "title", "spec", "seed", "state", "baselines", "solved")}
    kept |= {name: getattr(search, name) for name in (*Search.COUNTERS, "created_at", "finished_at", "finish_reason")}
    ids = dict(search.islands.values_list("pk", "index"))
    kept["islands"] = list(search.islands.order_by("index").values("index", "state", *Island.COUNTERS))
    kept["points"] = sorted(CurvePoint.objects.filter(island__in=ids).values_list(*CURVE))
    kept["finds"] = sorted(
        Find.objects.filter(search=search).values_list(
            "birth", "algorithm__permalink", "score", "previous_score", "select_score", "final_score", "individuals",
            "seconds", "mutation", "diff", "depth", "found_at",
        ),
        key=lambda row: row[0],
    )  # fmt: skip
    kept["ancestry"] = sorted(
        Individual.objects.filter(island__in=ids).values_list("birth", "parent", "depth", "mutation", "score"),
        key=lambda row: row[0],
    )
    kept["waypoints"] = sorted(
        Waypoint.objects.filter(island__in=ids).values_list("birth", "depth", "previous_birth"), key=lambda row: row[0]
    )
    kept["result"] = search.result and search.result.birth
    kept["best"] = search.best and search.best.birth
    kept["log"] = list(search.events.exclude(kind__in=("imported", "turn")).order_by("id").values_list("kind", "at"))
    return kept


CURVE = ("island__index", "individuals", "seconds", "best", "mean", "best_so_far", "distinct", "evaluations")


@pytest.fixture
def ended(make_search, run, engine, owner):
    """A search of 700 births that was run here, long enough for two waypoints."""
    engine.births_at_end = 700
    search = make_search(owner=owner, title="A title: “quoted”, 한국어", visibility="public")
    while not search.finished_at:
        run(search)
    search.baselines = {"linear": {"search": 0.7, "select": 0.69, "final": 0.68}}
    search.save(update_fields=["baselines"])
    return search


def test_a_search_is_the_same_after_its_journey(ended, owner, stranger):
    before, text = everything(ended), exported(ended)
    story = lineage.story(ended.islands.get().pk, ended.result.birth)
    permalink = ended.result.algorithm.permalink
    assert before["waypoints"] and before["points"] and len(before["log"]) > 1
    ended.delete()
    Algorithm.objects.all().delete()
    # The scripted engine's scores are nobody else's.
    (imported,) = bring(text, stranger, with_scores=False)
    search = Search.objects.get(pk=imported.search_id)
    assert everything(search) == before
    assert search.owner == stranger and search.result.algorithm.permalink == permalink
    steps, events = lineage.story(search.islands.get().pk, search.result.birth)
    assert steps == story[0]
    assert [(one.mutation, one.diff) for one in events if isinstance(one, lineage.Step)] == [
        (one.mutation, one.diff) for one in story[1] if isinstance(one, lineage.Step)
    ]
    assert search.imported.origin["author"] == "owner"
    # And out again: the same bytes, so that nothing is lost on the way through any number of installations.
    assert exported(search) == text


def test_the_same_search_is_the_same_bytes_packed_and_plain(ended):
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        export_searches([ended], file, packed=True)
    assert files[0].getvalue() == files[1].getvalue()
    assert gzip.decompress(files[0].getvalue()) == exported(ended)


def test_bundles_name_nobody_and_nothing_of_this_installation(ended):
    text = exported(ended).decode()
    assert '"event":"turn"' not in text and "@" not in text and socket.gethostname() not in text


def test_what_runs_is_not_exported(make_search, client, owner):
    search = make_search(owner=owner)
    with pytest.raises(NotExportable, match="has not ended"):
        exported(search)
    with pytest.raises(CommandError, match="has not ended"):
        call_command("export_search", str(search.pk), output="nowhere.jsonl")
    client.force_login(owner)
    response = client.get(f"/searches/{search.pk}/bundle.jsonl.gz", follow=True)
    assert response.redirect_chain and "has not ended" in response.content.decode()


def test_an_excerpt_keeps_the_result_and_its_whole_line(ended, owner):
    text = exported(ended, excerpt=replace(GALLERY, finds=6, points=20))
    assert len(text) < len(exported(ended)) / 2
    birth, score = ended.result.birth, ended.best.score
    ended.delete()
    (imported,) = bring(text, owner, with_scores=False)
    search = Search.objects.get(pk=imported.search_id)
    assert (search.result.birth, search.best.score) == (birth, score)
    assert 6 <= search.finds.count() <= 10
    assert search.finds.get(birth=birth).depth == lineage.story(search.islands.get().pk, birth)[0] == birth
    assert CurvePoint.objects.filter(island__search=search).count() == 20


def test_scores_are_computed_anew(text, owner):
    (imported,) = bring(text, owner)
    row = ImportedSearch.objects.get(search=imported.search_id)
    assert row.scores["search"] > 1 and (row.scores["select"], row.scores["final"], row.scores["reason"]) == (1, 1, "")
    assert set(row.search.baselines) == {"linear", "net"}


def test_importing_twice_changes_nothing(text, owner, stranger):
    bring(text, owner)
    before = counts()
    (again,) = bring(text, stranger)
    assert again.known and again.same and counts() == before
    copy = lines_of(text)
    copy[0]["title"] = "Another title"
    (other,) = bring(sealed(copy), owner)
    assert other.known and not other.same and counts() == before


def test_of_a_bundle_with_one_bad_search_nothing_is_kept(text, owner):
    bad = lines_of(bundle_of(small(), 4))
    next(one for one in reversed(bad) if one["kind"] == "find")["score"] = 0.123
    with pytest.raises(BundleError, match="its score is not that of its ancestry"):
        bring(text + sealed(bad), owner)
    assert set(counts().values()) == {0}
    assert len(bring(text + bundle_of(small(), 4), owner)) == 2
    with pytest.raises(BundleError, match="is in the bundle twice"):
        bring(text + text, owner)


def test_studies_stay_together(owner, stranger):
    uid = "0f0e0d0c-0b0a-4908-8706-050403020100"
    parts = []
    for seed in (3, 4):
        lines = lines_of(bundle_of(small(), seed))
        lines[0]["study"] = {
            "uid": uid,
            "title": "Two seeds",
            "varied": ["seed"],
            "values": {"seed": seed},
            "created_at": None,
        }
        parts.append(sealed(lines))
    bring(parts[0], owner)
    bring(parts[1], owner)
    study = Study.objects.get()
    assert (str(study.uid), study.title, study.searches.count()) == (uid, "Two seeds", 2)
    # In a study of somebody else's nobody puts anything.
    Search.objects.all().delete()
    bring(parts[0], stranger)
    assert Search.objects.get().study is None


@pytest.fixture
def flowers(tmp_path, monkeypatch):
    """A function that puts a data set “flowers” into the data folder, made from a seed."""
    monkeypatch.setenv("ABOVO_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()

    def put(seed):
        generator = np.random.default_rng(seed)
        labels = generator.integers(0, 3, 300)
        np.savez(
            tmp_path / "data/flowers.npz", x_train=generator.normal(labels[:, None], 1.0, (300, 6)), y_train=labels
        )

    return put


def test_scores_wait_for_data_that_is_not_here(flowers, owner, tmp_path, client):
    flowers(1)
    tasks = TaskSpec(kind="projected", dataset="flowers", features=4, count=3, train_examples=60, valid_examples=40)
    text = bundle_of(small(search_tasks=tasks, select_tasks=tasks, final_tasks=None), 1)
    (tmp_path / "data/flowers.npz").unlink()
    (imported,) = bring(text, owner)
    row = ImportedSearch.objects.get(search=imported.search_id)
    assert (row.waits_for, row.scores_computed, row.search.baselines) == (["flowers"], 0, {})
    client.force_login(owner)
    page = client.get(row.search.get_absolute_url()).content.decode()
    assert "Scores were not computed anew: the data (flowers) is not here" in page
    imports.run_waiting()
    row.refresh_from_db()
    assert row.waits_for == ["flowers"]
    flowers(1)
    imports.run_waiting()
    row.refresh_from_db()
    assert row.waits_for == [] and row.scores_computed > 2 and row.scores_failed == ""
    assert "computed anew, and are the same" in client.get(row.search.get_absolute_url()).content.decode()
    # Other data of the same name: what came in is kept, and its page says what is wrong.
    ImportedSearch.objects.update(waits_for=["flowers"])
    flowers(2)
    from engine.datasets import load_dataset

    getattr(load_dataset, "cache_clear", lambda: None)()
    imports.run_waiting()
    row.refresh_from_db()
    assert "claimed, computed anew" in row.scores_failed
    assert "are not what it claims" in client.get(row.search.get_absolute_url()).content.decode()


@pytest.fixture
def measured(text, owner):
    """A bundle with a measurement."""
    (imported,) = bring(text, owner)
    search = Search.objects.get(pk=imported.search_id)
    assert measure.measure_next() == search.result_id
    text = exported(search)
    Search.objects.all().delete()
    Algorithm.objects.all().delete()
    return text


def test_measurements_come_along_and_are_made_anew_unless_they_are_the_products_own(measured, owner):
    data = next(one for one in lines_of(measured) if one["kind"] == "find" and one["measurement"])["measurement"]
    assert data["knockouts"] and data["curve"]
    (imported,) = bring(measured, owner)
    row = Measurement.objects.get(find__search=imported.search_id)
    assert (row.data, row.version) == (data, 0)
    Measurement.objects.update(claimed_at="2020-01-01T00:00:00Z")
    assert measure.measure_next() == row.find_id
    row.refresh_from_db()
    assert (row.data, row.version) == (data, measure.VERSION), "measured here, it is what it was there"
    Search.objects.all().delete()
    bring(measured, owner, gallery="small")
    assert Measurement.objects.get().version == measure.VERSION


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_hostile_bundles_are_kept_whole_or_not_at_all_and_break_no_page(measured, owner, client, monkeypatch, data):
    """Any value in any place: refused in one line with nothing kept, or kept, and every page of it opens."""
    # Scores would refuse nearly all: this is about what they do not see.
    from webapp.experiments.services import importing

    monkeypatch.setattr(importing, "computed_anew", lambda head, finds: importing.ScoreCheck())
    lines = deepcopy(lines_of(measured))
    kind = data.draw(st.sampled_from(["search", "island", "find", "measurement", "ancestry", "curve", "event"]))
    if kind == "measurement":
        node = next(one for one in lines if one.get("measurement"))["measurement"]
    else:
        node = data.draw(st.sampled_from([one for one in lines if one["kind"] == kind] or lines))
    spoil(data, node)
    with transaction.atomic():
        row = imports.receive(owner=owner, file=SimpleUploadedFile("x.jsonl", sealed(lines)), visibility="public")
        row = imports.run_import(import_id=row.pk)
        assert row.state in ("done", "refused") and "\n" not in row.reason
        assert not row.reason.startswith(("TypeError", "KeyError", "ValueError", "AttributeError", "IndexError"))
        if row.state == "refused":
            assert row.reason and set(counts().values()) == {0}
        else:
            client.force_login(owner)
            search = Search.objects.get()
            find = search.result or search.best
            paths = [row.get_absolute_url(), search.get_absolute_url(), f"/searches/{search.pk}/tree/", "/searches/"]
            paths += [f"/a/{find.algorithm.permalink}"] if find else []
            for path in paths:
                assert client.get(path).status_code == 200, path
        transaction.set_rollback(True)


def test_a_bundle_is_brought_in_on_a_page(client, owner, text, django_capture_on_commit_callbacks, settings):
    settings.ABOVO_OPEN_LAUNCH = False
    assert client.get("/searches/import/").headers["Location"].startswith("/login/")
    client.force_login(owner)
    assert "Import a search" in client.get("/searches/").content.decode()
    assert "Import a search" in client.get("/searches/import/").content.decode()
    empty = client.post("/searches/import/", {"file": SimpleUploadedFile("a.jsonl", b""), "visibility": "public"})
    assert empty.status_code == 422
    response = client.post(
        "/searches/import/",
        {"file": SimpleUploadedFile("../a.jsonl.gz", gzip.compress(text)), "visibility": "unlisted"},
    )
    row = BundleImport.objects.get()
    assert response.headers["Location"] == row.get_absolute_url() and row.name == "a.jsonl.gz"
    assert "A worker checks it" in client.get(row.get_absolute_url()).content.decode()
    imports.run_waiting()
    page = client.get(row.get_absolute_url()).content.decode()
    search = Search.objects.get()
    assert f'href="/searches/{search.pk}/"' in page and "all of it was found sound" in page
    assert (search.owner, search.visibility) == (owner, "unlisted")
    assert not default_storage.exists(row.file)
    page = client.get(search.get_absolute_url()).content.decode()
    assert "Imported by owner" in page and "steps of ancestry by making them again" in page
    assert "Started by" not in page  # nobody here did
    download = client.get(f"/searches/{search.pk}/bundle.jsonl.gz")
    assert gzip.decompress(b"".join(download.streaming_content)) == exported(search)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "This search was run elsewhere (Feb. 3, 2026)."),
        ({"author": "ada"}, "This search was run by ada, elsewhere (Feb. 3, 2026)."),
        ({"instance": "lab.example.org", "version": "0.1.0"}, "This search was run on lab.example.org (Feb. 3, 2026, Ab Ovo 0.1.0)."),
        ({"instance": "lab.example.org", "author": "ada"}, "This search was run by ada on lab.example.org (Feb. 3, 2026)."),
    ],
)  # fmt: skip
def test_a_search_says_where_it_comes_from(said, words):
    search = Search(started_at=datetime(2026, 2, 3, tzinfo=UTC))
    assert describe.origin(ImportedSearch(search=search, origin=said)) == words
    ours = ImportedSearch(search=Search(), origin={"version": "0.1.0"}, gallery="digits")
    assert describe.origin(ours) == "This search comes with Ab Ovo, whose makers ran it (Ab Ovo 0.1.0)."


def test_what_is_refused_is_said_with_its_place(client, owner, text):
    row = imports.receive(owner=owner, file=SimpleUploadedFile("a", text[:-200]), visibility="private")
    imports.run_waiting()
    client.force_login(owner)
    page = client.get(row.get_absolute_url()).content.decode()
    assert "Nothing was imported." in page and "line " in page
    assert set(counts().values()) == {0}


def test_the_import_of_a_dead_worker_is_begun_anew(owner, text):
    row = imports.receive(owner=owner, file=SimpleUploadedFile("a", text), visibility="private")
    BundleImport.objects.update(claimed_at="2020-01-01T00:00:00Z")
    assert imports.run_import(import_id=row.pk).state == "done"
    assert imports.run_import(import_id=row.pk) is None
    deadly = imports.receive(owner=owner, file=SimpleUploadedFile("b", text), visibility="private")
    BundleImport.objects.filter(pk=deadly.pk).update(claimed_at="2020-01-01T00:00:00Z", attempts=3)
    assert imports.run_import(import_id=deadly.pk).reason == "3 attempts to look at it did not end."


@pytest.mark.parametrize("answers", [0, 1, 3])
def test_a_worker_that_is_to_end_hands_an_import_back(owner, text, monkeypatch, answers):
    """answers: how often it has looked before it is asked to end."""
    row = imports.receive(owner=owner, file=SimpleUploadedFile("a", text), visibility="private")
    left = [False] * answers
    monkeypatch.setattr(stopping, "requested", lambda: not left or left.pop())
    searches = Search.objects.count()
    assert imports.run_waiting() == 0 and Search.objects.count() == searches
    row.refresh_from_db()
    assert (row.state, row.claimed_at, row.attempts) == ("waiting", None, 0)
    monkeypatch.setattr(stopping, "requested", lambda: False)
    assert imports.run_waiting() == 1
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("done", 1)


def test_the_command_line_exports_and_imports(ended, tmp_path, capsys, administrator):
    path = tmp_path / "s.jsonl.gz"
    call_command("export_search", str(ended.pk), output=str(path))
    ended.delete()
    call_command("import_search", str(path), no_scores=True)
    said = capsys.readouterr().out
    assert "all replayed" in said and "not computed anew: nobody asked for it" in said
    assert Search.objects.get().owner == administrator
    call_command("import_search", str(path))
    assert "is here already, nothing was changed" in capsys.readouterr().out
    path.write_bytes(b"{}")
    with pytest.raises(CommandError, match="line 1: kind"):
        call_command("import_search", str(path))
    with pytest.raises(CommandError, match="no search has the number 99"):
        call_command("export_search", "99", output=str(path))


@pytest.fixture
def gallery(tmp_path, monkeypatch, text):
    monkeypatch.setattr(imports, "GALLERY", tmp_path)
    (tmp_path / "small.jsonl.gz").write_bytes(gzip.compress(text))


def test_a_new_database_gets_the_gallery_once(gallery, administrator, make_search):
    call_command("import_gallery", once=True, later=True)
    row = BundleImport.objects.get()
    assert (row.gallery, row.state, Search.objects.count()) == ("small", "waiting", 0)
    imports.run_waiting()
    search = Search.objects.get()
    assert (search.owner, search.visibility, search.imported.gallery) == (administrator, "public", "small")
    # What somebody has deleted stays away, unless they ask for it.
    search.delete()
    call_command("import_gallery", once=True)
    imports.run_waiting()
    assert not Search.objects.exists()
    call_command("import_gallery")
    assert Search.objects.exists()


def test_an_installation_that_is_in_use_does_not_get_the_gallery(gallery, administrator, make_search):
    make_search(owner=administrator)
    call_command("import_gallery", once=True)
    assert not BundleImport.objects.exists()


def test_the_api_takes_and_gives_bundles(client, owner, text):
    client.force_login(owner)
    answer = client.post("/api/v1/imports", {"file": SimpleUploadedFile("a.jsonl", text), "visibility": "private"})
    assert answer.status_code == 202 and answer.json()["state"] == "waiting"
    imports.run_waiting()
    answer = client.get(answer.headers["Location"]).json()
    assert answer["state"] == "done" and not answer["searches"][0]["known"]
    number = answer["searches"][0]["search_id"]
    imported = client.get(f"/api/v1/searches/{number}").json()["imported"]
    assert imported["scores"] > 3 and imported["waits_for"] == []
    bundle = b"".join(client.get(f"/api/v1/searches/{number}/bundle").streaming_content)
    assert json.loads(gzip.decompress(bundle).split(b"\n")[0])["title"] == small().title
