"""The gallery that comes with the product: sound, small, complete at the first visit, and evolved as it says."""

import tomllib
from dataclasses import replace

import pytest

from engine.bundle import Bundle, check_section
from engine.presets import preset_names
from engine.search import Search as Evolution
from engine.spec import StopSpec
from webapp.experiments.models import BundleImport, ImportedSearch, Measurement, Search
from webapp.experiments.services import gallery, imports

ENTRIES = {one["name"]: one for one in tomllib.loads((imports.GALLERY / "gallery.toml").read_text())["search"]}


def checked(name):
    with Bundle(imports.gallery_path(name)) as bundle:
        (section,) = bundle.sections
        return check_section(section)


def test_the_gallery_is_what_its_list_says_and_no_larger_than_it_should_be():
    assert sorted(ENTRIES) == imports.gallery_bundles()
    assert sum(path.stat().st_size for path in imports.GALLERY.iterdir()) < 1_500_000


@pytest.mark.parametrize("name", ENTRIES)
def test_each_bundle_is_sound_and_was_searched_by_its_preset(name):
    entry, one = ENTRIES[name], checked(name)
    spec, seed = one.head.spec, one.head.seed
    # Presets may become others; then what they found stays, and the specification in the bundle says how.
    assert (spec.name, seed, spec.stop.max_total_individuals) == (entry["preset"], entry["seed"], entry["individuals"])
    assert spec.stop.max_seconds is None and entry["preset"] in preset_names()
    assert spec.initial in ("empty", "random", "program") and one.head.result is not None
    result = next(find for find in one.finds if (find.island, find.birth) == one.head.result)
    assert result.measurement["knockouts"] and result.final_score is not None and one.head.baselines


def test_a_search_of_the_gallery_comes_out_the_same_again():
    """The beginning of one, evolved now: every find of the bundle up to there is found again, to the bit."""
    one = checked("linear-regressor")
    few = 60_000
    evolution = Evolution.start(replace(one.head.spec, stop=StopSpec(**{**vars(one.head.spec.stop), "max_total_individuals": few})), one.head.seed)  # fmt: skip
    found = {}
    while not evolution.finished:
        found |= {find.birth: find for find in evolution.run(seconds=60.0).finds}
    known = [find for find in one.finds if find.individuals <= few]
    assert len(known) >= 3
    for find in known:
        again = found[find.birth]
        assert (again.algorithm, again.score, again.individuals) == (find.algorithm, find.score, find.individuals)


@pytest.mark.django_db
def test_a_newcomers_first_visit_shows_it_complete(client, administrator, tmp_path, monkeypatch):
    """On a bare machine, that is without any data set but the bundled ones."""
    monkeypatch.setenv("ABOVO_DATA", str(tmp_path))
    assert len(imports.order_gallery(owner=administrator, once=True)) == len(ENTRIES)
    imports.run_waiting()
    assert [row.reason for row in BundleImport.objects.exclude(state="done")] == []
    gallery.refresh_until_done()
    assert "a/" in client.get("/").content.decode()
    listed = client.get("/discoveries/").content.decode()
    for search in Search.objects.select_related("result__algorithm", "imported"):
        page = client.get(search.get_absolute_url()).content.decode()
        assert "This search comes with Ab Ovo" in page and "python -m engine search --" in page
        permalink = search.result.algorithm.permalink
        assert f"/a/{permalink}" in listed or search.title in listed
        page = client.get(f"/a/{permalink}").content.decode()
        assert "Accuracy" in page or "learning-chart" in page
        assert 'class="knock' in page and "T_test" in page
        missing = bool(search.imported.waits_for)
        assert missing == (search.imported.scores_computed == 0)
    assert Measurement.objects.filter(find__in=Search.objects.values("result")).count() == len(ENTRIES)
    assert ImportedSearch.objects.exclude(scores_failed="").count() == 0


def test_bundles_are_packed_the_same_on_every_machine():
    for name in ENTRIES:
        head = imports.gallery_path(name).read_bytes()[:10]
        assert head[:4] == b"\x1f\x8b\x08\x00" and head[4:8] == bytes(4), "no name, no time"
