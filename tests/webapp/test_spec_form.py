"""The launch form's fields: made from the engine's specification, changed, refused beside their fields, begun from anything."""

import json
import re
import tomllib
from dataclasses import replace
from html import unescape

import pytest
from django.http import QueryDict
from django.utils import translation

from engine.presets import preset, preset_names
from engine.spec import SearchSpec
from webapp.experiments import data_facts, spec_fields
from webapp.experiments.bases import held_out_pairs, on_data
from webapp.experiments.choice_words import CHOICE_WORDS
from webapp.experiments.models import Search, Study, Trial
from webapp.experiments.services import trials
from webapp.experiments.services.estimate import BREEDING_SECONDS, estimate, memory_bytes, work
from webapp.experiments.services.studies import parse_grid
from webapp.experiments.spec_words import section_of, words_of

pytestmark = pytest.mark.django_db
URL = "/searches/new/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def signed_in(client, owner):
    client.force_login(owner)
    return client


def sent_as_shown(page: str) -> QueryDict:
    """Return what a browser sends for the page's form when nobody touched it."""
    form = page[page.index('<form class="launch') :]
    form = form[: form.index("</form>")]
    sent = QueryDict(mutable=True)
    for tag in re.findall(r"<input\b[^>]*>", form):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if attributes.get("type") in ("checkbox", "radio") and " checked" not in tag:
            continue
        sent.appendlist(attributes["name"], attributes.get("value", ""))
    for name, text in re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', form, re.S):
        # As browsers send lines.
        sent[name] = unescape(text).replace("\n", "\r\n")
    for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', form, re.S):
        found = re.search(r'<option(?: value="([^"]*)")? selected>([^<]*)', options)
        sent[name] = (found[1] if found[1] is not None else found[2]) if found else ""
    return sent


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_shown_and_sent_is_the_preset(name):
    data = preset(name).to_json()
    leaves = spec_fields.leaves()
    sent = {
        leaf.path: spec_fields.value_at(data, leaf.path) or [] if leaf.kind == "ops" else spec_fields.shown(leaf, data)
        for leaf in leaves
    }
    assert spec_fields.applied(data, data, sent, all_leaves=leaves) == (data, set())


def test_every_field_of_the_specification_is_on_the_form_with_words(signed_in):
    page = signed_in.get(URL).content.decode()
    for leaf in spec_fields.leaves():
        assert f'name="{leaf.path}"' in page
        assert section_of(leaf) and words_of(leaf)[0]
        assert words_of(leaf)[1] or leaf.path.startswith("mutations."), f"spec_words.py says nothing of {leaf.path}"


def test_the_form_sent_untouched_starts_the_preset(signed_in):
    sent = sent_as_shown(signed_in.get(f"{URL}?preset=linear-demo").content.decode())
    response = signed_in.post(URL, sent.urlencode(), content_type="application/x-www-form-urlencoded")
    assert response.status_code == 302
    assert Search.objects.get().spec == preset("linear-demo").to_json()


def test_changes_hold_for_another_preset_than_the_one_shown(signed_in):
    """Without scripts the fields still show the first preset when another is chosen."""
    sent = sent_as_shown(signed_in.get(URL).content.decode())
    sent["preset"], sent["population_size"] = "linear-demo", "77"
    sent.setlist("learn.ops", ["SCALAR_SUM", "SCALAR_DIFF"])
    signed_in.post(URL, sent.urlencode(), content_type="application/x-www-form-urlencoded")
    spec = Search.objects.get().spec
    was = preset("linear-demo").to_json()
    assert spec["population_size"] == 77 and spec["name"] == "custom"
    assert spec["learn"]["ops"] == ["SCALAR_SUM", "SCALAR_DIFF"]
    assert spec["predict"] == was["predict"] and spec["search_tasks"] == was["search_tasks"]


def test_choosing_a_preset_shows_its_fields_and_keeps_changes(signed_in):
    sent = sent_as_shown(signed_in.get(URL).content.decode())
    sent["preset"], sent["population_size"], sent["show"] = "linear-demo", "77", "1"
    page = signed_in.post(
        URL, sent.urlencode(), content_type="application/x-www-form-urlencoded", headers=HTMX
    ).content.decode()
    assert "<html" not in page and 'value="linear-demo|"' in page
    assert re.search(r'name="population_size"[^>]*value="77"', page)
    assert re.search(r'name="search_tasks.kind".*?<option value="linear" selected>linear functions<', page, re.S)


def test_several_errors_stand_beside_their_fields(signed_in):
    response = signed_in.post(
        URL, {"preset": "digits", "population_size": "0", "stop.max_seconds": "soon", "search_tasks.count": "1.5"}
    )
    errors = response.context["form"].errors
    assert response.status_code == 422
    assert {"population_size", "stop.max_seconds", "search_tasks.count"} <= set(errors)
    page = response.content.decode()
    assert 'id="id_population_size_error"' in page and 'value="soon"' in page
    assert '<details class="change" id="change" open>' in page
    assert not Search.objects.exists()


def test_ops_without_registers_are_refused_beside_the_ops(signed_in):
    response = signed_in.post(URL, {"preset": "digits-all-ops", "registers.m": "0"})
    assert "needs a register of type m" in response.context["form"].errors["predict.ops"][0] or "setup.ops" in (
        response.context["form"].errors
    )


def test_a_part_is_switched_off_and_on(signed_in):
    signed_in.post(URL, {"preset": "digits", "shown": "digits|", "fec": "no", "fec.size": "5", "train_budget": ""})
    spec = Search.objects.get().spec
    assert "fec" not in spec and "train_budget" not in spec


def test_other_tasks_follow_the_search_tasks_features(signed_in):
    signed_in.post(URL, {"preset": "digits", "search_tasks.features": "6"})
    spec = Search.objects.get().spec
    assert [spec[role]["features"] for role in ("search_tasks", "select_tasks", "final_tasks")] == [6, 6, 6]


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "iris", "diabetes", "digits"])
@pytest.mark.parametrize("begins", ["digits", "linear-demo"])
def test_presets_on_other_data_have_tasks_that_can_be_made(name, begins):
    from engine.task_building import build_tasks

    spec = on_data(preset(begins), name, data_facts.facts_of(name))
    for role in ("search", "select", "final"):
        tasks = getattr(spec, f"{role}_tasks")
        assert tasks.kind == ("regression" if name == "diabetes" else "projected")
        assert len(build_tasks(tasks, seed=1, role=role)) == tasks.count
    assert f"“{name}”" in spec.title


def test_every_preset_takes_other_data_or_says_why_not():
    from engine.spec import SpecError

    taken = 0
    for begins in preset_names():
        for name in ("digits", "iris", "diabetes"):
            try:
                spec = on_data(preset(begins), name, data_facts.facts_of(name))
            except SpecError as error:
                assert error.message
            else:
                taken += {spec.search_tasks.dataset, spec.final_tasks.dataset} == {name}
    assert taken > 2 * len(preset_names())


def test_held_out_pairs_leave_some():
    for classes in range(2, 12):
        pairs = held_out_pairs(classes)
        assert len(pairs) < classes * (classes - 1) // 2 and all(a < b < classes for a, b in pairs)
    assert held_out_pairs(3) == () and held_out_pairs(5)


def test_data_is_chosen_with_the_preset(signed_in):
    signed_in.post(URL, {"preset": "digits", "data": "wine"})
    search = Search.objects.get()
    assert search.spec["search_tasks"]["dataset"] == "wine" and "wine" in search.title
    assert signed_in.post(URL, {"preset": "digits", "data": "nothing"}).status_code == 422


def test_toml_round_trip(signed_in, make_search):
    sent = {"preset": "digits", "population_size": "64", "do": "toml"}
    response = signed_in.post(URL, sent)
    text = response.content.decode()
    assert response["Content-Disposition"].endswith('.toml"') and tomllib.loads(text)["population_size"] == 64
    page = signed_in.post(URL, {"preset": "digits", "toml": text, "read": "1"}).content.decode()
    assert re.search(r'name="population_size"[^>]*value="64"', page)
    signed_in.post(URL, {"preset": "toml", "toml": text})
    search = Search.objects.get()
    assert search.spec["population_size"] == 64
    stored = signed_in.get(f"/searches/{search.pk}/spec.toml").content.decode()
    assert SearchSpec.from_json(tomllib.loads(stored)).to_json() == search.spec


@pytest.mark.parametrize(
    "text",
    [
        "",
        "population_size = ",
        "x = 1",
        "population_size = 0",
        "[" * 5000,
        "seed = " + "1" * 5000,
        "a." * 50_000 + "b = 1",
        "\x00",
    ],
)
def test_bad_toml_is_explained(signed_in, text):
    response = signed_in.post(URL, {"preset": "digits", "toml": text, "read": "1"})
    assert response.status_code == 422 and "toml" in response.context["form"].errors


def test_run_again_and_with_changes(signed_in, make_search, owner):
    search = make_search(seed=41, title="Mine")
    page = signed_in.get(f"{URL}?again={search.pk}").content.decode()
    assert f'value="search:{search.pk}"' in page and re.search(r'name="seed"[^>]*value="41"', page)
    page = signed_in.get(f"{URL}?search={search.pk}").content.decode()
    assert not re.search(r'name="seed"[^>]*value="41"', page)
    signed_in.post(URL, {"preset": f"search:{search.pk}", "population_size": "30"})
    assert Search.objects.latest("pk").spec["population_size"] == 30


def test_a_search_that_is_not_there_for_the_user(signed_in, make_search, stranger):
    search = make_search(owner=stranger, visibility="private")
    assert signed_in.get(f"{URL}?search={search.pk}").status_code == 404
    assert signed_in.post(URL, {"preset": f"search:{search.pk}"}).status_code == 404
    assert Search.objects.count() == 1


def test_start_from_an_algorithm(signed_in, make_search, run):
    search = make_search()
    run(search)
    permalink = search.best.algorithm.permalink
    assert f'value="a:{permalink}"' in signed_in.get(f"{URL}?from={permalink}").content.decode()
    signed_in.post(URL, {"preset": f"a:{permalink}"})
    spec = Search.objects.latest("pk").spec
    assert spec["initial"] == "program" and spec["program"] == search.best.algorithm.program
    assert signed_in.get(f"{URL}?from=nothinghere").status_code == 404


def test_what_follows_another_field_is_at_fault_with_it_once(signed_in):
    page = signed_in.post(URL, {"preset": "digits", "search_tasks.features": "-3"})
    assert page.status_code == 422 and list(page.context["form"].errors) == ["search_tasks.features"]
    assert "Features: -3 is not allowed" in page.content.decode()


def test_data_of_few_columns_is_not_projected_to_more(signed_in):
    page = signed_in.post(URL, {"preset": "digits", "data": "iris", "show": "1"})
    spec = page.context["spec"]
    assert {spec.search_tasks.features, spec.select_tasks.features, spec.final_tasks.features} == {4}


def test_the_estimate_follows_the_form(signed_in):
    answer = signed_in.post(URL, {"preset": "digits", "stop.max_seconds": "60", "estimate": "1"}, headers=HTMX)
    assert "up to 1 min" in answer.content.decode()
    answer = signed_in.post(URL, {"preset": "digits", "stop.max_seconds": "-1", "estimate": "1"}, headers=HTMX)
    assert "is not allowed" in answer.content.decode() and answer.status_code == 200


def test_memory_grows_with_what_takes_it(digits):
    small = memory_bytes(digits)
    assert memory_bytes(digits.with_changes(population_size=10_000)) > small + 40_000 * 41 * 32
    assert estimate(digits).seconds == 60.0 and estimate(digits).rate is None


def test_the_rate_is_that_of_earlier_searches_like_it(digits, make_search):
    def ran(spec, seconds, individuals):
        search = make_search(spec=spec)
        Search.objects.filter(pk=search.pk).update(seconds=seconds, individuals=individuals)

    ran(digits, 10, 400_000)
    # The limits do not matter, nor what it is called.
    found = estimate(digits.with_changes(title="Else", stop=replace(digits.stop, max_seconds=9)))
    assert found.rate == pytest.approx(40_000) and found.searches == 1 and found.is_alike
    # Twice the tasks: twice the time to run, and the same to breed.
    tasks = digits.search_tasks
    twice = digits.with_changes(search_tasks=replace(tasks, count=2 * tasks.count))
    found = estimate(twice)
    assert work(twice) == 2 * work(digits)
    assert found.rate == pytest.approx(1 / (2 / 40_000 - BREEDING_SECONDS)) and not found.is_alike
    # An estimate of what ends by its number of programs.
    counted = digits.with_changes(stop=replace(digits.stop, max_seconds=None, max_total_individuals=80_000))
    assert estimate(counted).seconds == pytest.approx(2.0)


# studies


def test_a_grid_with_repeats_becomes_a_study(signed_in):
    response = signed_in.post(
        URL, {"preset": "digits", "title": "Sizes", "seed": "5", "repeats": "2", "grid": "population_size = 20, 40"}
    )
    study = Study.objects.get()
    assert response.headers["Location"] == study.get_absolute_url()
    found = [(one.spec["population_size"], one.seed, one.study_values) for one in study.searches.order_by("pk")]
    assert [one[:2] for one in found] == [(20, 5), (20, 6), (40, 5), (40, 6)]
    assert found[0][2] == {"population_size": 20, "seed": 5} and study.varied == ["population_size", "seed"]


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ("nothing = 1", "not allowed"),
        ("population_size", "not allowed"),
        ("population_size =", "no values"),
        ("population_size = 0, 50", "2 to 1,000,000"),
        ("population_size = 20\npopulation_size = 30", "two lines"),
        ("population_size = " + ", ".join(map(str, range(20, 200))), "180 combinations"),
    ],
)
def test_bad_grids_start_nothing(signed_in, grid, words):
    response = signed_in.post(URL, {"preset": "digits", "grid": grid})
    assert response.status_code == 422 and words in response.context["form"].errors["grid"][0]
    assert not Search.objects.exists() and not Study.objects.exists()


def test_a_study_is_launched_whole_or_not_at_all(signed_in, owner):
    response = signed_in.post(URL, {"preset": "digits", "repeats": "60", "grid": "population_size = 20, 40"})
    assert response.status_code == 422 and "120 searches" in response.context["form"].errors["repeats"][0]
    assert not Search.objects.exists()


def test_grids_are_products(digits):
    points = parse_grid("population_size = 20, 40\n\n stop.max_seconds=1,2 , 3", digits)
    assert len(points) == 6 and points[-1] == {"population_size": 40, "stop.max_seconds": 3}
    assert parse_grid("", digits) == [{}]


# dry runs


def test_a_dry_run(signed_in, client, stranger, monkeypatch, digits):
    response = signed_in.post(URL, {"preset": "digits", "do": "try"})
    trial = Trial.objects.get()
    assert response.headers["Location"] == f"/searches/try/{trial.key}/"
    assert "waiting for a worker" in signed_in.get(response.headers["Location"]).content.decode()
    again = signed_in.post(URL, {"preset": "digits", "do": "try"})
    assert again.status_code == 422 and "has not ended yet" in again.content.decode()
    result = {
        "individuals": 1234,
        "rate": 99.5,
        "train_steps_rate": 7.0,
        "compile_seconds": 0.5,
        "best": 0.7,
        "answered": 3,
    }
    monkeypatch.setattr(trials, "measure", lambda spec: result)
    assert trials.run_trial(trial_id=trial.pk) is True
    assert trials.run_trial(trial_id=trial.pk) is False
    page = signed_in.get(f"/searches/try/{trial.key}/").content.decode()
    assert "1,234" in page and "100 programs a second" in page
    client.force_login(stranger)
    assert client.get(f"/searches/try/{trial.key}/").status_code == 404
    assert not Search.objects.exists()


def test_from_a_dry_run_back_to_the_form_as_it_was(signed_in, client, stranger):
    sent = {
        "preset": "digits",
        "population_size": "77",
        "title": "Tried & true",
        "visibility": "private",
        "repeats": "3",
    }
    address = signed_in.post(URL, {**sent, "do": "try"}).headers["Location"]
    link = unescape(re.search(r'href="([^"]*\?trial=[^"]*)"', signed_in.get(address).content.decode())[1])
    form = signed_in.get(link).context["form"]
    assert form.chosen[0] == f"trial:{Trial.objects.get().key}" and form.shown_spec.population_size == 77
    assert [form[name].value() for name in ("title", "visibility", "repeats")] == ["Tried & true", "private", "3"]
    client.force_login(stranger)
    assert client.get(link).status_code == 404


def test_dry_runs_are_limited(signed_in, owner, digits, monkeypatch):
    monkeypatch.setattr(trials, "AN_HOUR", 2)
    for _ in range(2):
        trials.start_trial(spec=digits, owner=owner, asker="me")
        Trial.objects.update(result={})
    with pytest.raises(trials.TooMany, match="2 dry runs in the last hour"):
        trials.start_trial(spec=digits, owner=owner, asker="me")
    trials.start_trial(spec=digits, owner=owner, asker="another")


def test_a_broken_dry_run_says_so(digits, monkeypatch, client):
    def broken(spec):
        raise RuntimeError("no <kernel>")

    monkeypatch.setattr(trials, "measure", broken)
    trial = trials.start_trial(spec=digits, owner=None, asker="me")
    trials.run_trial(trial_id=trial.pk)
    assert "RuntimeError: no &lt;kernel&gt;" in client.get(f"/searches/try/{trial.key}/").content.decode()


def test_a_real_dry_run_measures(digits):
    result = trials.measure(digits, seconds=0.2)
    assert result["individuals"] > 0 and result["rate"] > 0 and 0 <= result["best"] <= 1


def test_every_value_to_choose_from_has_words():
    for leaf in spec_fields.leaves():
        if leaf.kind == "choice":
            assert set(CHOICE_WORDS[leaf.last]) == set(leaf.choices), leaf.path


def test_values_to_choose_from_are_translated(signed_in):
    with translation.override("en"):  # what a request chooses would stay for the tests that follow
        page = signed_in.get(URL, headers={"Accept-Language": "ko-KR,ko;q=0.9"}).content.decode()
    selection = re.search(r'name="selection".*?</select>', page, re.S)[0]
    assert '<option value="regularized" selected>가장 오래된 것이 죽음 (regularized)</option>' in selection
    assert re.search(r'name="fresh_tasks".*?<option value="no" selected>아니요<', page, re.S)


def test_stages_are_shown_changed_and_refused(signed_in):
    page = signed_in.get(URL, {"preset": "cifar10-baseline"}).content.decode()
    stages = preset("cifar10-baseline").to_json()["stages"]
    sent = sent_as_shown(page)
    assert [json.loads(line) for line in sent["stages"].splitlines()] == stages
    leaf = next(one for one in spec_fields.leaves() if one.path == "stages")
    base = preset("digits").to_json()
    changed, paths = spec_fields.applied(base, base, {"stages": '{"start": "best"}\r\n\r\n'}, all_leaves=[leaf])
    assert (changed["stages"], paths) == ([{"start": "best"}], {"stages"})
    back, paths = spec_fields.applied(changed, changed, {"stages": " "}, all_leaves=[leaf])
    assert SearchSpec.from_json(back).stages == () and paths == {"stages"}
    sent["stages"] = '{"start": "last"}'
    answer = signed_in.post(URL, sent).content.decode()
    assert "“last”" in unescape(answer) or '"last" is not allowed' in unescape(answer)
    sent["stages"] = "begin anew"
    assert "expected a list of tables" in unescape(signed_in.post(URL, sent).content.decode())
    assert not Search.objects.exists()


def test_fields_that_are_kept_follow_language_choice_and_errors(signed_in):
    def population(response) -> str:
        return re.search(
            r'<div class="field[^>]*><label for="id_population_size">.*?</div></div>',
            unescape(response.content.decode()),
            re.S,
        )[0]

    with translation.override("en"):
        first = population(signed_in.get(URL))
        assert "Population size" in first and "has-error" not in first
        korean = population(signed_in.get(URL, headers={"Accept-Language": "ko"}))
        assert "Population size" not in korean
        other = population(signed_in.get(URL, {"preset": "linear-demo"}))
        assert f'value="{preset("linear-demo").population_size}"' in other and other != first
        sent = sent_as_shown(signed_in.get(URL).content.decode())
        changed = population(signed_in.post(URL, {**sent.dict(), "show": "1", "population_size": "77"}, headers=HTMX))
        assert 'value="77"' in changed and '<span class="changed">' in changed
        refused = population(signed_in.post(URL, {**sent.dict(), "population_size": "-5"}))
        assert 'value="-5"' in refused and "has-error" in refused
        assert population(signed_in.get(URL)) == first
