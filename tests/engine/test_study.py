"""Studies: reading, equal budgets, cuts, statistics against known values, the files of docs/studies."""

import json
import random
import tomllib
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.study import Folder, Run, StudyError, run_study, study_from_toml
from engine.study_table import bootstrap_mean, curves, summary, table, wilson

STUDIES = sorted((Path(__file__).parents[2] / "docs/studies").glob("*.toml"))

SMALL = """
name = "small"
repeats = 2
individuals = 6000
baselines = ["linear"]

[base]
preset = "linear-learning-only"

[base.changes]
population_size = 100
stop = {max_individuals = 2500}
search_tasks = {features = 4, count = 4, train_examples = 40, valid_examples = 20}
select_tasks = {features = 4, count = 4, train_examples = 40, valid_examples = 20}
final_tasks = {features = 4, count = 4, train_examples = 40, valid_examples = 20}

[[arms]]
name = "evolution"
against = "random, no cache"

[[arms]]
name = "random, no cache"
changes = {selection = "random", stop = {sufficient_fitness = 1.0}, hurdle = {train_examples = 10, valid_examples = 5}}
without = ["fec"]
"""


def small(**changes):
    return study_from_toml({**tomllib.loads(SMALL), **changes})


def without_times(runs):
    rows = []
    for run in runs:
        row = asdict(run)
        row["seconds"], row["curve"] = 0, [point[1:] for point in run.curve]
        row["evaluations"] = 0  # a cut forgets what is only remembered to save time
        rows.append(row)
    return rows


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_studies_of_the_documentation_are_valid(path):
    study = study_from_toml(tomllib.loads(path.read_text()))
    assert study.name == path.stem and study.title and path.name in path.read_text()


def test_arms_are_the_base_with_changes_and_the_budget_of_all():
    evolution, chance = small().arms
    assert (evolution.spec.selection, chance.spec.selection) == ("regularized", "random")
    assert evolution.spec.fec is not None and chance.spec.fec is None and chance.spec.hurdle.train_examples == 10
    for arm in small().arms:
        stop = arm.spec.stop
        assert (stop.max_total_individuals, stop.max_individuals, stop.max_seconds) == (6000, 2500, None)
    assert evolution.spec.search_tasks.features == 4 and not evolution.spec.predict.searched


def test_what_is_changed_everywhere_or_left_out_no_stage_says_otherwise():
    stages = [{"price": 0.02, "newcomers": 0.2}, {"start": "best", "hurdle": {"percentile": 90.0}}]
    changes = {"stages": stages, "hurdle": {"train_examples": 10, "valid_examples": 5}, "stop": {"max_experiments": 2}}
    arms = [
        {"name": "full", "changes": changes},
        {"name": "free", "changes": changes, "everywhere": {"price": 0.0}},
        {"name": "low", "changes": changes, "without": ["hurdle"]},
    ]
    full, free, low = (arm.spec for arm in small(arms=arms).arms)
    assert full.stages == tuple(stages)
    assert free.price == 0.0 and free.stages == ({"newcomers": 0.2}, stages[1])
    assert low.hurdle is None and low.stages == (stages[0], {"start": "best"})


def test_runs_are_interleaved_and_take_turns_at_being_first():
    assert list(small(repeats=3).runs()) == [(0, 0), (1, 0), (1, 1), (0, 1), (0, 2), (1, 2)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"repeat": 2}, "study.repeat: unknown field"),
        ({"repeats": 0}, "study.repeats: 0 is not allowed"),
        ({"repeats": True}, "study.repeats: True is not of the right kind"),
        ({"seconds": 5.0}, "study: needs either seconds or individuals"),
        ({"arms": []}, "study.arms: none given"),
        ({"arms": [{"name": "a"}, {"name": "a"}]}, 'study.arms: "a" is there twice'),
        ({"arms": [{"name": "a", "against": "b"}]}, 'study.arms: "a" is there twice, or is against an arm that is not'),
        ({"arms": [{"name": "a", "changes": {"selection": "x"}}]}, 'study.arms[0]: selection: "x" is not allowed'),
        ({"arms": [{"name": "a", "everywhere": 3}]}, "study.arms[0].everywhere: expected a table"),
        (
            {"arms": [{"name": "a", "only": {}}]},
            "study.arms[0].only: unknown field, allowed: name, against, preset, changes",
        ),
        ({"arms": [{"name": "a", "without": ["select_tasks"]}]}, "study.arms[0]: needs select_tasks"),
        ({"base": {}, "arms": [{"name": "a"}]}, "study.arms[0].preset: missing"),
        ({"baselines": ["nothing"]}, 'study.baselines: "nothing" is not known'),
        ({"baselines": ["softmax-net"]}, 'study.baselines: "softmax-net" learns labels of another kind'),
    ],
)
def test_refuses_naming_the_field(change, message):
    with pytest.raises(StudyError) as caught:
        small(**change)
    assert str(caught.value).startswith(message)


def test_runs_have_the_budget_and_the_same_tasks(tmp_path):
    runs = run_study(small(), Folder(tmp_path, small()))
    assert [(run.arm, run.repeat) for run in runs] == [(arm.name, k) for arm in small().arms for k in range(2)]
    for run in runs:
        assert run.individuals == 6000 or (run.solved and run.individuals < 6000)
        scores = [point[2] for point in run.curve]
        assert scores == sorted(scores) and scores[-1] >= run.select_fitness - 1e-12
    chance = [run for run in runs if run.arm == "random, no cache"]
    assert all(run.experiments == 3 and run.cut > 0 for run in chance)


def test_cut_at_random_and_gone_on_with_it_is_the_same_study(tmp_path):
    study = small()
    expected = run_study(study, Folder(tmp_path / "whole", study))
    source, cuts = random.Random(4), 0
    while True:
        left = source.randrange(1, 30)

        def stop():
            nonlocal left
            left -= 1
            return left < 0

        runs = run_study(study, Folder(tmp_path / "cut", study), should_stop=stop, slice_seconds=0.0)
        if len(runs) == 4:
            break
        cuts += 1
    assert cuts >= 5
    assert without_times(runs) == without_times(expected)
    assert not list((tmp_path / "cut").rglob("*.part"))


def test_several_runs_at_a_time_are_the_same_study(tmp_path):
    """Cut once while three are at hand, and gone on with."""
    study = small()
    expected = run_study(study, Folder(tmp_path / "one", study))
    folder, asked = Folder(tmp_path / "three", study), iter([False] * 40)
    run_study(study, folder, should_stop=lambda: next(asked, True), slice_seconds=0.0, workers=3)
    assert list(tmp_path.glob("three/runs/*.bin"))
    assert without_times(run_study(study, folder, workers=3)) == without_times(expected)
    assert not list(tmp_path.glob("three/runs/*.bin"))


def test_what_fails_in_one_of_several_runs_ends_the_study(tmp_path):
    def fail(run, ended):
        raise OSError("no space left")

    study = small()
    with pytest.raises(OSError, match="no space left"):
        run_study(study, Folder(tmp_path, study), on_progress=fail, slice_seconds=0.0, workers=3)
    assert len(Folder(tmp_path, study).finished()) == 0


def test_a_damaged_state_costs_its_run_only(tmp_path):
    study = small(repeats=1)
    expected = run_study(study, Folder(tmp_path / "whole", study))
    calls = iter([False] * 2 + [True] * 100)
    run_study(study, Folder(tmp_path / "cut", study), should_stop=lambda: next(calls), slice_seconds=0.0)
    (current,) = tmp_path.glob("cut/runs/*.bin")
    current.write_bytes(current.read_bytes()[:-7])
    assert without_times(run_study(study, Folder(tmp_path / "cut", study))) == without_times(expected)


def test_a_folder_holds_one_study_but_more_repeats_may_come(tmp_path):
    Folder(tmp_path, small())
    Folder(tmp_path, small(repeats=5))
    with pytest.raises(StudyError, match="holds another study"):
        Folder(tmp_path, small(individuals=7000))


def run_of(arm, repeat, solved, individuals, select=0.5, baseline=0.4):
    return Run(
        arm, repeat, repeat, solved=solved, individuals=individuals, seconds=individuals / 1000, select_fitness=select,
        baselines={"linear": baseline}, curve=[[0.1, 10, select / 2], [0.2, 20, select]],
    )  # fmt: skip


def test_intervals():
    assert wilson(0, 10, 0.95) == pytest.approx((0.0, 0.27753), abs=1e-4)
    assert wilson(6, 10, 0.95) == pytest.approx((0.31267, 0.83182), abs=1e-4)
    assert wilson(10, 10, 0.95)[1] == 1.0 and wilson(0, 0, 0.95) == (0.0, 1.0)
    low, high = bootstrap_mean([0.0, 1.0] * 50, 0.95)
    assert low == pytest.approx(0.4, abs=0.02) and high == pytest.approx(0.6, abs=0.02)
    assert bootstrap_mean([0.25], 0.95) == (0.25, 0.25)


def test_outcome_and_its_table():
    study = small(repeats=4)
    runs = [run_of("evolution", k, k > 0, 1000, select=0.9 - k / 10) for k in range(4)]
    others = [run_of("random, no cache", k, False, 50_000, select=0.3) for k in range(4)]
    outcome = summary(study, [*runs, *others])
    first, second = outcome["arms"]
    assert first["solved"] == 3 and first["solutions_a_million_programs"] == 750.0 and first["seconds_to_solve"] == 1.0
    # Nothing found in 200,000: with 95% confidence fewer than 3.0 such programs among so many.
    assert first["ratio"]["at_least"] == pytest.approx(750e-6 / (2.9957 / 200_000), rel=1e-3)
    assert first["beats"]["linear"]["runs"] == 4 and second["beats"]["linear"]["runs"] == 0
    text = table(outcome)
    assert text.count("\n") == 4 and "3/4 (0.30–0.95)" in text and "more than 50.1 × random, no cache" in text
    assert len({line.count("|") for line in text.splitlines()}) == 1
    found = [replace(run, solved=run.repeat < 2) for run in others]
    ratio = summary(study, [*runs, *found])["arms"][0]["ratio"]
    assert ratio["ratio"] == pytest.approx(75.0) and ratio["interval"][0] < 75 < (ratio["interval"][1] or 1e9)
    json.dumps(summary(study, []), allow_nan=False)
    assert "–" in table(summary(study, []))
    rows = curves(runs).splitlines()
    assert rows[0] == "arm,repeat,seed,seconds,individuals,best_select" and len(rows) == 1 + 4 * 3


def test_each_arm_is_held_against_the_baselines_of_its_labels(tmp_path):
    tasks = {"kind": "classes", "dataset": "digits", "count": 2, "train_examples": 40, "valid_examples": 20}
    changes = {key: {**tasks, "features": 16} for key in ("search_tasks", "select_tasks", "final_tasks")}
    many = {"preset": "cifar10-many-classes", "changes": changes, "without": ["hurdle"]}
    pairs = {"name": "numbers", "against": "ten classes"}
    study = small(
        arms=[pairs, {"name": "ten classes", **many}], baselines=["linear", "softmax-net"], repeats=1, individuals=300
    )
    numbers, classes = run_study(study, Folder(tmp_path, study))
    for run, names in ((numbers, ["linear"]), (classes, ["softmax-net"])):
        assert list(run.baselines) == list(run.final_baselines) == names
    outcome = summary(study, [numbers, classes])
    assert [[beaten is None for beaten in row["beats"].values()] for row in outcome["arms"]] == [
        [False, True],
        [True, False],
    ]
    assert len({line.count("|") for line in table(outcome).splitlines()}) == 1


def test_command_line(tmp_path, capsys):
    file = tmp_path / "small.toml"
    file.write_text(SMALL.replace("repeats = 2", "repeats = 1"))
    out = tmp_path / "out"
    assert main(["study", str(file), "--out", str(out), "--json"]) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["runs"] == 2 and outcome == json.loads((out / "summary.json").read_text())
    assert (out / "table.md").read_text().startswith("| arm | runs |")
    assert (out / "curves.csv").read_text().count("\n") > 2
    assert main(["study", str(file), "--out", str(out)]) == 0  # nothing left to run
    assert capsys.readouterr().out == (out / "table.md").read_text()
    file.write_text("name = ")
    assert main(["study", str(file)]) == 2 and "not valid TOML" in capsys.readouterr().err
