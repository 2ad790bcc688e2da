"""The launch form: presets, the few fields, and the engine's own errors beside them."""

import pytest
from django.urls import reverse

from engine.presets import preset_names
from webapp.experiments.models import Island, Search

pytestmark = pytest.mark.django_db
URL = "/searches/new/"


@pytest.fixture
def signed_in(client, owner):
    client.force_login(owner)
    return client


def test_get_offers_every_preset_in_words(signed_in):
    text = signed_in.get(URL).content.decode()
    for name in preset_names():
        assert f'value="{name}"' in text
    assert "From nothing, on handwritten digits" in text


def test_post_launches_and_leads_to_the_search(signed_in, owner, messages, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        response = signed_in.post(
            URL, {"preset": "digits", "title": " Mine ", "seed": "7", "stop.max_seconds": "30", "population_size": "50"}
        )
    search = Search.objects.get()
    assert response.headers["Location"] == reverse("experiments:search", args=[search.pk])
    assert (search.title, search.seed, search.owner) == ("Mine", 7, owner)
    assert search.spec["stop"]["max_seconds"] == 30.0 and search.spec["population_size"] == 50
    assert messages == [(Island.objects.get().pk, 1)]


def test_empty_fields_keep_the_preset(signed_in):
    signed_in.post(URL, {"preset": "digits"})
    search = Search.objects.get()
    assert search.title == "From nothing, on handwritten digits"
    assert search.spec["population_size"] == 100


@pytest.mark.parametrize(
    ("values", "field", "message"),
    [
        ({"population_size": "1"}, "population_size", "2 to 1,000,000"),
        ({"population_size": "5"}, "tournament_size", "1 to 5"),
        ({"tournament_size": "0"}, "tournament_size", "1 to 100"),
        ({"stop.max_seconds": "-3"}, "stop.max_seconds", "0 to 1e+09"),
        ({"stop.max_seconds": "nan"}, "stop.max_seconds", "number"),
        ({"stop.max_seconds": "soon"}, "stop.max_seconds", "number"),
        ({"seed": "-1"}, "seed", "greater than or equal to 0"),
        ({"preset": "nothing"}, "preset", "valid choice"),
        ({"preset": ""}, "preset", "required"),
        ({"title": "x" * 201}, "title", "200"),
    ],
)
def test_errors_stand_beside_their_field_and_nothing_is_written(signed_in, values, field, message):
    response = signed_in.post(URL, {"preset": "digits", **values})
    assert response.status_code == 422
    assert message in response.context["form"].errors[field][0]
    assert message in response.content.decode().replace("&gt;", ">")
    assert not Search.objects.exists()


def test_strangers_are_sent_to_sign_in(client, settings):
    settings.ABOVO_OPEN_LAUNCH = False
    for response in (client.get(URL), client.post(URL, {"preset": "digits"})):
        assert response.headers["Location"] == f"{reverse('login')}?next={URL}"
    assert not Search.objects.exists()


def test_an_open_set_up_lets_anybody_launch(client, settings):
    settings.ABOVO_OPEN_LAUNCH = True
    client.post(URL, {"preset": "digits"})
    assert Search.objects.get().owner is None


def test_posting_needs_the_token(owner, settings):
    from django.test import Client

    settings.ABOVO_OPEN_LAUNCH = True
    assert Client(enforce_csrf_checks=True).post(URL, {"preset": "digits"}).status_code == 403


def test_a_preset_whose_data_set_is_not_here_is_refused_beside_it(signed_in, monkeypatch, tmp_path):
    monkeypatch.setenv("ABOVO_DATA", str(tmp_path))
    response = signed_in.get(URL)
    assert "needs the data set" in response.content.decode()
    response = signed_in.post(URL, {"preset": "cifar10-baseline"})
    assert response.status_code == 422
    page = response.content.decode()
    assert "cifar10" in page and "is not here; put cifar10.npz into ABOVO_DATA" in page
    assert not Search.objects.exists()
    # The folded presets stand open where one of them is chosen.
    assert '<details class="more" open>' in page
