"""Measuring what a search chose: once, by one worker, to the search's own numbers; and how the page shows it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from webapp.experiments import describe
from webapp.experiments.models import Find, Measurement
from webapp.experiments.services import measure
from webapp.experiments.services.measure import example_counts, measure_next
from webapp.experiments.tasks import measure_job

pytestmark = pytest.mark.django_db(transaction=True)

CURVE = [[0.4, 0.52, 0.6], [0.5, 0.7, 0.8], [0.7, 0.9, 0.95]]
DATA = {
    "version": measure.VERSION,
    "examples": [2, 20, 240],
    "role": "select",
    "single": [[0.4, 0.6], [0.5, 0.8], [0.7, 0.95]],
    "curve": {"found": CURVE, "linear": CURVE, "net": [[0.5, 0.5, 0.5]] * 3},
    "tasks": {
        "search": {"found": [0.5, 0.6], "linear": [0.4, 0.7], "net": [0.4, 0.4]},
        "select": {"found": [0.6, 0.6], "linear": [0.5, 0.5], "net": [0.4, 0.4]},
        "final": {"linear": [0.5, 0.5], "net": [0.4, 0.4]},
    },
}


@pytest.fixture
def ended(make_search, run, engine):
    """A search that has ended and chosen a program."""
    engine.births_at_end = 20
    search = make_search()
    run(search, 2)
    assert search.result is not None
    return search


def page(client, search):
    return client.get(search.result.algorithm.get_absolute_url()).content.decode()


def test_nothing_to_measure(db, make_search, run):
    run(make_search())
    assert measure_next() is None
    assert not Measurement.objects.exists()


def test_a_result_is_measured_once(ended, monkeypatch):
    monkeypatch.setattr(measure, "measure", lambda find: DATA)
    assert measure_job() == 1
    assert Measurement.objects.get().data == DATA
    assert measure_next() is None


def test_what_another_worker_is_at_is_left_alone(ended, monkeypatch):
    monkeypatch.setattr(measure, "measure", lambda find: DATA)
    Measurement.objects.create(find=ended.result)
    assert measure_next() is None
    Measurement.objects.update(claimed_at=timezone.now() - timedelta(hours=1))
    assert measure_next() == ended.result_id


def test_any_find_is_measured_when_asked(make_search, run, monkeypatch):
    monkeypatch.setattr(measure, "measure", lambda find: DATA)
    search = make_search()
    run(search)
    first = search.finds.first()
    measure.ask(first)
    measure.ask(first)
    assert measure_next() == first.pk
    assert measure_next() is None
    measure.ask(first)
    assert measure_next() is None


def test_what_was_asked_for_comes_first(ended, monkeypatch):
    monkeypatch.setattr(measure, "measure", lambda find: DATA)
    asked = ended.finds.exclude(pk=ended.result_id).first()
    measure.ask(asked)
    assert [measure_next(), measure_next()] == [asked.pk, ended.result_id]


def test_a_failed_one_can_be_asked_for_again(ended, monkeypatch):
    monkeypatch.setattr(measure, "measure", lambda find: 1 / 0)
    measure_next()
    assert measure_next() is None
    monkeypatch.setattr(measure, "measure", lambda find: DATA)
    measure.ask(ended.result)
    assert measure_next() == ended.result_id
    assert Measurement.objects.get().failure_reason == ""


def test_data_of_an_earlier_version_is_measured_anew_and_shown_meanwhile(ended, monkeypatch):
    old = {**DATA, "version": 1}
    claimed = timezone.now() - timedelta(hours=1)
    Measurement.objects.create(find=ended.result, data=old, version=1, claimed_at=claimed)

    def measured(find):
        assert Measurement.objects.get().data == old
        return DATA

    monkeypatch.setattr(measure, "measure", measured)
    assert measure_next() == ended.result_id
    assert Measurement.objects.get().data == DATA
    assert measure_next() is None


def test_a_failure_is_kept_and_said(client, ended, monkeypatch):
    def fail(find):
        raise ValueError("no such data set")

    monkeypatch.setattr(measure, "measure", fail)
    measure_next()
    assert measure_next() is None
    assert "could not be measured: ValueError: no such data set" in page(client, ended)


def test_the_page_says_that_it_waits(client, ended):
    assert "The learning curve is being measured" in page(client, ended)
    Measurement.objects.create(find=ended.result)
    assert "The learning curve is being measured" in page(client, ended)


def test_the_page_of_a_running_search_says_when(client, make_search, run):
    search = make_search()
    run(search)
    text = client.get(search.best.algorithm.get_absolute_url()).content.decode()
    assert "is measured when the search has ended" in text


def test_the_page_of_a_step_on_the_way_says_so(client, ended):
    step = Find.objects.exclude(pk=ended.result_id).first()
    assert "a step on the way" in client.get(step.algorithm.get_absolute_url()).content.decode()


def test_the_page_shows_curve_and_single_tasks(client, ended):
    Measurement.objects.create(find=ended.result, data=DATA)
    text = page(client, ended)
    assert 'id="learning-chart-wide-title"' in text and "Median .520 after 2, .900 after 240" in text
    assert text.count('class="line line-baseline"') == 4  # two models, each wide and narrow
    assert "above the linear model on 1 of 2 tasks" in text
    assert "above the 2-layer net on 2 of 2 tasks" in text
    assert text.count('class="strip"') == 3
    assert text.count('class="dot"') == 6


def test_the_curve_as_csv(client, ended):
    address = f"{ended.result.algorithm.get_absolute_url()}/curve.csv"
    assert client.get(address).status_code == 404
    assert address not in page(client, ended)
    Measurement.objects.create(find=ended.result, data=DATA)
    assert f'href="{address}" download' in page(client, ended)
    response = client.get(address)
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.content.decode().splitlines()[:2] == [
        "model,examples,lower_quartile,median,upper_quartile",
        "found,2,0.4,0.52,0.6",
    ]
    assert len(response.content.splitlines()) == 10


def test_a_verdict_names_what_is_better_still(ended, digits):
    ended.result.final_score = 0.8
    ended.result.search.baselines = {"linear": {"final": 0.9}, "net": {"final": 0.7}}
    assert describe.verdict(ended.result, digits).endswith(".800 ± .050 against .700; the linear model has .900.")


def test_a_verdict_claims_no_more_than_its_error_allows(ended, digits):
    find = ended.result
    find.final_score, find.final_scores = 0.9, [0.86, 0.94]  # a standard error of .04
    find.search.baselines = {"linear": {"final": 0.93}, "net": {"final": 0.7}}
    assert describe.verdict(find, digits).startswith(
        "Level with the linear model on tasks that its search never saw: .900 ± .040 "
    )
    find.search.baselines["linear"]["final"] = 0.85
    assert describe.verdict(find, digits).startswith("Beats the linear model by 5.0 points ")
    find.search.baselines["linear"]["final"] = 0.95
    assert describe.verdict(find, digits).startswith("Beats the 2-layer net by 20.0 points ")
    find.search.baselines["net"]["final"] = 0.89
    assert describe.verdict(find, digits).endswith("against .890; the linear model has .950.")
    assert describe.verdict(find, digits).startswith("Level with the 2-layer net ")
    find.final_score, find.final_scores = None, None
    find.score, find.search.baselines = 0.9, {"linear": {"search": 0.905}}
    assert describe.verdict(find, digits) == "0.5 points below the linear model on its search tasks: .900 against .905."


def test_scores_have_their_errors_over_tasks(client, ended):
    """The scripted result scores .5 and .6 on its two final tasks; without a measurement those on T_search are not known."""
    text = page(client, ended)
    assert text.count('<span class="error">') == 2
    assert "</span> .050</span>" in text
    assert text.count('class="strip"') == 2


def test_the_engine_measures_to_the_same_numbers(ended):
    first = measure.measure(ended.result)
    assert first["examples"] == example_counts(240)
    assert {len(rows) for rows in first["curve"].values()} == {len(first["examples"])}
    assert {role: len(tasks["linear"]) for role, tasks in first["tasks"].items()} == {
        "search": 16,
        "select": 36,
        "final": 36,
    }
    assert [len(row) for row in first["single"]] == [36] * len(first["examples"])
    # A model that learns: the linear one ends far above where it began.
    assert first["curve"]["linear"][-1][1] > first["curve"]["linear"][0][1] + 0.1
    # The scripted scores are not those of its program; once they are, the single tasks are shown.
    assert "found" not in first["tasks"]["search"]
    evaluator = measure._evaluator(ended.result, _spec(ended), "search", registers=_spec(ended).registers)
    scores = measure._scores(evaluator, measure.Program.from_json(ended.result.algorithm.program))
    ended.result.score = sum(scores) / len(scores)
    assert measure.measure(ended.result)["tasks"]["search"]["found"] == scores
    assert measure.measure(ended.result)["curve"] == first["curve"]


def _spec(search):
    return measure.SearchSpec.from_json(search.spec)


@pytest.mark.parametrize("most", [10, 100, 240, 8000, 1_000_000])
def test_example_counts_rise_to_the_whole(most):
    counts = example_counts(most)
    assert counts[-1] == most and counts[0] >= 1
    assert counts == sorted(set(counts)) and len(counts) <= measure.POINTS
