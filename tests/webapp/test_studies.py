"""Comparing searches and studies: what differs, who may see, successes with intervals, tables that run nothing."""

import csv
import io
from dataclasses import replace

import pytest

from webapp.experiments import comparing
from webapp.experiments.models import CurvePoint, Find, Island, Search
from webapp.experiments.services.studies import launch_study
from webapp.lib.csv_table import to_csv

pytestmark = pytest.mark.django_db(transaction=True)


def test_two_searches_side_by_side(client, make_search, run, digits):
    one = make_search(title="One")
    other = make_search(title="Other", spec=digits.with_changes(population_size=50), seed=2)
    for search in (one, other):
        run(search)
    page = client.get(f"/searches/compare/?s={one.pk},{other.pk}").content.decode()
    assert page.count('class="line line-c0"') == page.count('class="line line-c1"') == 2
    different = page[page.index('class="different"') :]
    different = different[: different.index("</table>")]
    assert "Population size" in different and "Seed" in different and "Tournament" not in different
    assert 'x=time" aria-current' in client.get(f"/searches/compare/?s={one.pk}&x=time").content.decode().replace(
        "&amp;", "&"
    )


def test_the_address_may_name_anything(client, make_search):
    search = make_search()
    for given in ("", "x", "-1", "9" * 30, f"{search.pk},{search.pk},0", "1" + ",1" * 500):
        assert client.get("/searches/compare/", {"s": given}).status_code == 200
    assert "Not there: 0" in client.get("/searches/compare/", {"s": f"{search.pk},0"}).content.decode()


def test_what_is_switched_off_has_no_values(make_search, digits):
    rows = {
        one.path: one.values for one in comparing.settings([make_search(spec=replace(digits, fec=None, hurdle=None))])
    }
    assert (rows["fec"], rows["fec.size"], rows["hurdle.window"]) == (["no"], [""], [""])
    assert rows["registers.s"][0] and rows["setup.max_size"][0] and rows["mutation_probability"][0]


def test_private_searches_are_not_there(client, make_search, owner):
    search = make_search(owner=owner, visibility="private", title="Secret")
    page = client.get(f"/searches/compare/?s={search.pk}").content.decode()
    assert "Secret" not in page and "Not there" in page
    assert "Secret" not in client.get(f"/searches/compare/table.csv?s={search.pk}").content.decode()


def test_tables_run_nothing(client, make_search):
    search = make_search(title='=HYPERLINK("http://evil")')
    rows = list(csv.reader(io.StringIO(client.get(f"/searches/compare/table.csv?s={search.pk}").content.decode())))
    assert rows[1][1] == '\'=HYPERLINK("http://evil")'
    assert to_csv(["-a"], [["+1", -1, None, "@x", "\tx", "plain"]]) == "'-a\r\n'+1,-1,,'@x,'\tx,plain\r\n"


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (1, 1, 0.2065, 1.0)],
)
def test_wilsons_interval(successes, trials, low, high):
    """Figures of Brown, Cai and DasGupta's formula, worked out by hand."""
    assert comparing.wilson(successes, trials) == pytest.approx((low, high), abs=2e-4)


def test_wilson_needs_trials():
    with pytest.raises(ValueError, match="0 trials"):
        comparing.wilson(0, 0)


@pytest.fixture
def study(db, digits, run, engine, owner):
    engine.births_at_end = 10
    points = [{"population_size": 20}, {"population_size": 40}]
    study = launch_study(spec=digits, points=points, repeats=2, seed=1, title="Sizes", owner=owner)
    for search in study.searches.all()[:3]:
        run(search)
    return study


def test_a_study_counts_successes_by_group(client, study):
    page = client.get(study.get_absolute_url() + "?above=0.5").content.decode()
    assert "population_size 20" in page and page.count('class="line line-c') == 6
    groups = client.get(study.get_absolute_url() + "?above=0.5").context["groups"]
    assert [(one.ended, one.successes) for one in groups] == [(2, 2), (1, 1)] or [one.ended for one in groups] == [1, 2]
    assert all(one.successes == 0 for one in client.get(study.get_absolute_url() + "?above=0.9").context["groups"])


def test_a_study_is_grouped_and_filtered_by_its_address(client, study):
    assert len(client.get(study.get_absolute_url() + "?by=none&above=0.5").context["groups"]) == 1
    only = client.get(study.get_absolute_url() + "?only=population_size:40").context["searches"]
    assert {one.spec["population_size"] for one in only} == {40}
    for bad in ("?by=x&only=y:z&above=soon", "?only=population_size:nothing", "?above=nan"):
        assert client.get(study.get_absolute_url() + bad).status_code == 200


def test_the_number_of_queries_does_not_grow(client, study, digits, run, django_assert_max_num_queries):
    with django_assert_max_num_queries(9):
        client.get(study.get_absolute_url())


def test_a_study_as_csv_and_in_the_list(client, study):
    rows = list(csv.DictReader(io.StringIO(client.get(f"/studies/{study.pk}/table.csv").content.decode())))
    assert len(rows) == 4 and {one["population_size"] for one in rows} == {"20", "40"}
    assert "Sizes" in client.get("/studies/").content.decode()


def test_private_searches_of_a_study_stay_private(client, study):
    first = Search.objects.filter(study=study).order_by("pk").first()
    Search.objects.filter(pk=first.pk).update(visibility="private")
    assert len(client.get(study.get_absolute_url()).context["searches"]) == 3


def test_islands_count_together_in_a_comparison(make_search, run):
    search = make_search()
    run(search)
    search.spec = {**search.spec, "islands": 2}
    search.individuals = 2000
    islands = [*search.islands.all(), Island.objects.create(search=search, index=1)]
    CurvePoint.objects.all().delete()
    for number, island in enumerate(islands):
        for n in range(1, 11):
            best = 0.9 if n > 5 and number else 0.6
            CurvePoint.objects.create(island=island, individuals=100 * n, seconds=n + number / 2, best_so_far=best)
    Find.objects.filter(pk=search.best_id).update(island=islands[1], score=0.9, individuals=600)
    # The second island's sixth point, when the first one has six, too.
    assert comparing.line_of(search, by_time=False) == [(100, 0.6), (1200, 0.9)]
    assert comparing.line_of(search, by_time=True) == [(1, 0.6), (6.5, 0.9)]
    assert comparing.first_above([search], 0.8) == {search.pk: 1200}
