"""Scoring an algorithm once more: on fresh tasks, on another data set; asked once, done once, kept."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from engine.spec import SearchSpec
from webapp.experiments.models import Evaluation
from webapp.experiments.services import evaluate

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def find(make_search, run):
    search = make_search()
    run(search)
    return search.best


def test_the_same_question_is_one_evaluation(find):
    first = evaluate.ask(find=find, seed=5)
    assert evaluate.ask(find=find, dataset="digits", seed=5).pk == first.pk
    assert evaluate.ask(find=find, dataset="wine", seed=5).pk != first.pk
    assert evaluate.ask(find=find).seed != evaluate.ask(find=find).seed


def test_the_result_is_kept_and_is_the_same_for_the_same_seed(find):
    evaluation = evaluate.ask(find=find, seed=5)
    assert evaluate.evaluate_next() == evaluation.pk
    assert evaluate.evaluate_next() is None
    evaluation.refresh_from_db()
    assert evaluation.done_at and not evaluation.failure_reason
    assert {name: len(scores) for name, scores in evaluation.data["scores"].items()} == dict.fromkeys(
        ("found", "linear", "net"), 36
    )
    assert evaluate.evaluate(evaluation)["scores"] == evaluation.data["scores"]


def test_another_data_set_gives_all_its_pairs(digits):
    tasks = evaluate.tasks_for(replace(digits), "wine")
    assert (tasks.dataset, tasks.pairs, tasks.held_out_pairs) == ("wine", "search", ())
    own = evaluate.tasks_for(digits, "digits")
    assert own == replace(digits.final_tasks, seeds=())
    SearchSpec.from_json({**digits.to_json(), "final_tasks": {**tasks.__dict__}})


def test_tasks_shrink_to_what_a_data_set_has(find):
    """The smallest pair of wine's classes has 107 rows; 240 + 100 examples keep their proportion."""
    tasks = evaluate.fitted(evaluate.tasks_for(SearchSpec.from_json(find.search.spec), "wine"))
    assert (tasks.train_examples, tasks.valid_examples) == (76, 31)
    evaluation = evaluate.ask(find=find, dataset="wine", seed=5)
    evaluate.evaluate_next()
    evaluation.refresh_from_db()
    assert evaluation.data["tasks"]["train_examples"] == 76
    own = evaluate.tasks_for(SearchSpec.from_json(find.search.spec), "digits")
    assert evaluate.fitted(own) == own


def test_a_data_set_that_does_not_fit_is_said_and_may_be_tried_again(find):
    evaluation = evaluate.ask(find=find, dataset="diabetes", seed=5)
    evaluate.evaluate_next()
    evaluation.refresh_from_db()
    assert "its rows go with numbers, not classes" in evaluation.failure_reason
    assert evaluate.evaluate_next() is None
    assert evaluate.ask(find=find, dataset="diabetes", seed=5).pk == evaluation.pk
    assert evaluate.evaluate_next() == evaluation.pk


def test_one_that_a_dead_worker_left_is_done_by_another(find):
    evaluation = evaluate.ask(find=find, dataset="diabetes", seed=5)
    Evaluation.objects.update(claimed_at=timezone.now())
    assert evaluate.evaluate_next() is None
    Evaluation.objects.update(claimed_at=timezone.now() - timedelta(hours=1))
    assert evaluate.evaluate_next() == evaluation.pk


def test_not_too_many_wait(find, monkeypatch):
    monkeypatch.setattr(evaluate, "MOST_WAITING", 1)
    evaluate.ask(find=find, seed=5)
    assert evaluate.ask(find=find, seed=5)
    with pytest.raises(evaluate.RefusedEvaluation, match="Too many"):
        evaluate.ask(find=find, seed=6)


@pytest.mark.parametrize("seed", [-1, 2**53])
def test_seeds_have_a_range(find, seed):
    with pytest.raises(evaluate.RefusedEvaluation, match="whole number"):
        evaluate.ask(find=find, seed=seed)
