"""The algorithm's page asks workers for figures: who may, and what it says meanwhile and afterwards."""

import pytest
from django.utils import timezone

from webapp.experiments.models import Dataset, Evaluation, Measurement
from webapp.experiments.views.evaluations import datasets_for

from .test_measure import DATA

pytestmark = pytest.mark.django_db(transaction=True)

SCORES = {"found": [0.9, 0.7], "linear": [0.8, 0.8], "net": [0.6, 0.6]}


@pytest.fixture
def find(make_search, run, settings):
    settings.ABOVO_OPEN_LAUNCH = False
    search = make_search()
    run(search, 2)
    return search.best


def page(client, find):
    return client.get(find.algorithm.get_absolute_url()).content.decode()


def done(find, **values):
    tasks = find.search.spec["final_tasks"]
    data = {"version": 1, "tasks": tasks, "scores": SCORES}
    return Evaluation.objects.create(
        **{"find": find, "dataset": "digits", "seed": 7, "data": data, "done_at": timezone.now(), **values}
    )


def test_strangers_are_offered_nothing(client, find):
    text = page(client, find)
    assert "Measure this algorithm" not in text and "Evaluate again" not in text
    for action in ("measure", "evaluate"):
        response = client.post(f"{find.algorithm.get_absolute_url()}/{action}")
        assert response.headers["Location"].startswith("/login/")
    assert not Measurement.objects.exists() and not Evaluation.objects.exists()


def test_measuring_is_asked_for_and_its_state_is_shown(client, find, owner):
    client.force_login(owner)
    assert "Measure this algorithm" in page(client, find)
    address = find.algorithm.get_absolute_url()
    assert client.post(f"{address}/measure").headers["Location"] == address
    text = page(client, find)
    assert "Waiting for a worker" in text and "Measure this algorithm" not in text
    assert f'hx-get="{address}/state?waiting=1"' in text
    Measurement.objects.update(claimed_at=timezone.now())
    assert "is being measured" in page(client, find)
    Measurement.objects.update(failure_reason="TaskError: gone")
    text = page(client, find)
    assert "could not be measured: TaskError: gone" in text and "Try again" in text and "hx-get" not in text
    client.post(f"{address}/measure")
    Measurement.objects.update(data=DATA)
    assert 'id="learning-chart-data"' in page(client, find)


def test_the_page_is_asked_for_again_when_less_is_waiting(client, find):
    address = f"{find.algorithm.get_absolute_url()}/state"
    Measurement.objects.create(find=find, claimed_at=None)
    htmx = {"HX-Request": "true"}
    waiting = client.get(f"{address}?waiting=1", headers=htmx)
    assert waiting.status_code == 204 and "HX-Refresh" not in waiting.headers
    Measurement.objects.update(data=DATA)
    over = client.get(f"{address}?waiting=1", headers=htmx)
    assert over.status_code == 286 and over.headers["HX-Refresh"] == "true"
    assert client.get(f"{address}?waiting=x", headers=htmx).status_code == 286
    assert client.get(address).headers["Location"] == find.algorithm.get_absolute_url()


def test_evaluating_again_is_asked_for(client, find, owner):
    client.force_login(owner)
    address = f"{find.algorithm.get_absolute_url()}/evaluate"
    assert client.post(address, {"dataset": "wine", "seed": "11"}).headers["Location"].endswith("#again-title")
    client.post(address, {"dataset": "wine", "seed": "11"})
    evaluation = Evaluation.objects.get()
    assert (evaluation.dataset, evaluation.seed, evaluation.owner) == ("wine", 11, owner)
    text = page(client, find)
    assert "Waiting for a worker" in text and "wine" in text


def test_a_private_data_set_is_for_private_searches(find, make_search, run, owner, stranger):
    for visibility in ("public", "private"):
        Dataset.objects.create(
            owner=owner, name=f"mine-{visibility}", visibility=visibility, state="ready", facts={"kind": "classes"}
        )
    Dataset.objects.create(owner=owner, name="mine-numbers", state="ready", facts={"kind": "numbers"})
    private = make_search(owner=owner, visibility="private")
    run(private)
    offered = {
        (user.username, of.search.visibility): datasets_for(user, of)
        for user in (owner, stranger)
        for of in (find, private.best)
    }
    assert {key: [name for name in names if name.startswith("mine")] for key, names in offered.items()} == {
        ("owner", "public"): ["mine-public"],
        ("owner", "private"): ["mine-private", "mine-public"],
        ("stranger", "public"): ["mine-public"],
        ("stranger", "private"): ["mine-public"],
    }
    # Only what tasks of its kind can be made of: diabetes goes with numbers.
    assert all("wine" in names and "diabetes" not in names for names in offered.values())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"dataset": "nothing"}, "no data set of that name"),
        ({"dataset": "../digits"}, "no data set of that name"),
        ({"seed": "-1"}, "whole number"),
        ({"seed": "1.5"}, "whole number"),
        ({"seed": "9007199254740992"}, "whole number"),
        ({"seed": "٣"}, "whole number"),
    ],
)
def test_bad_questions_are_answered(client, find, owner, values, words):
    client.force_login(owner)
    response = client.post(f"{find.algorithm.get_absolute_url()}/evaluate", values, follow=True)
    assert words in response.content.decode()
    assert not Evaluation.objects.exists()


def test_results_are_shown_with_seed_and_data(client, find):
    done(find)
    text = page(client, find)
    assert ".800" in text and "± .100" in text and '<span class="number">7</span>' in text
    assert "above the linear model on 1 of 2 tasks" in text


def test_failures_are_shown_with_their_reason(client, find):
    done(find, data=None, failure_reason="dataset digits: has <3 rows")
    assert "Failed: dataset digits: has &lt;3 rows" in page(client, find)


def test_what_is_not_finite_is_a_failure(client, find):
    done(find, data={"tasks": find.search.spec["final_tasks"], "scores": {**SCORES, "found": [None, 0.7]}})
    text = page(client, find)
    assert "failed on 1 task" in text and "nan" not in text.lower().replace("cannan", "")


def test_those_of_private_searches_are_their_readers(client, make_search, run, owner, find):
    private = make_search(owner=owner, visibility="private")
    run(private, 2)
    assert private.best.algorithm_id == find.algorithm_id
    done(private.best, seed=99)
    assert "99</span>" not in page(client, find)
    client.force_login(owner)
    assert "99</span>" in page(client, find)


def test_lines_say_what_the_score_does_without_them(client, find):
    knockouts = {
        "fitness": 0.9, "tasks": 36, "seeds": 1, "setup": [[-0.3, 0.02, -0.1]], "predict": [[-0.4, 0.1, None]], "learn": [],
        "motifs": {},
    }  # fmt: skip
    Measurement.objects.create(find=find, data={**DATA, "knockouts": knockouts, "motifs": {}})
    text = page(client, find)
    assert text.count('class="knock loss"') == text.count('class="knock-bar"')
    assert "−.400" in text and "36 tasks of T_select" in text
