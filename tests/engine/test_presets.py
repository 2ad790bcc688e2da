"""Every preset is a valid specification, survives JSON, and is what its source says."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.algorithm import Algorithm
from engine.baselines import BASELINES, neural_network_without_bias
from engine.datasets import OFFICIAL
from engine.evaluator import Evaluator
from engine.explain import explain
from engine.island import initial_program
from engine.ops import Op
from engine.presets import HELD_OUT_PAIRS, op_names, preset, preset_names
from engine.presets.page import presets_markdown
from engine.search import Search
from engine.spec import SearchSpec, SpecError
from engine.spec_toml import to_toml
from engine.task import TaskError
from engine.task_building import build_tasks


@pytest.mark.parametrize("name", preset_names())
def test_is_valid_and_survives_json(name):
    spec = preset(name)
    assert spec.name == name
    assert spec.title
    assert spec.description
    assert SearchSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("name", preset_names())
def test_survives_toml(name):
    assert SearchSpec.from_json(tomllib.loads(to_toml(preset(name)))) == preset(name)


def test_page_is_current():
    page = Path(__file__).parents[2] / "docs/presets.md"
    assert page.read_text() == presets_markdown(), "run: python -m engine presets --markdown > docs/presets.md"


@pytest.mark.parametrize("name", preset_names())
def test_its_tasks_can_be_built(name, pictures):
    spec = preset(name)
    for role in ("search", "select", "final"):
        part = getattr(spec, f"{role}_tasks")
        tasks = build_tasks(part, seed=1, role=role)
        assert len(tasks) == part.count
        assert {task.features_size for task in tasks} == {spec.search_tasks.features}


def test_linear_demo_is_the_demo_of_the_reference():
    spec = preset("linear-demo")
    ops = {
        "SCALAR_CONST_SET",
        "VECTOR_INNER_PRODUCT",
        "SCALAR_DIFF",
        "SCALAR_PRODUCT",
        "SCALAR_VECTOR_PRODUCT",
        "VECTOR_SUM",
    }
    assert spec.registers == (4, 3, 1)
    assert [(set(one.ops), one.min_size, one.max_size) for one in spec.functions] == [(ops, n, n) for n in (10, 2, 8)]
    tasks = spec.search_tasks
    assert (tasks.count, tasks.features, tasks.train_examples, tasks.valid_examples) == (10, 4, 100, 100)
    assert (spec.select_tasks.count, spec.select_tasks.train_examples) == (100, 1000)
    assert (spec.population_size, spec.tournament_size, spec.mutation_probability) == (1000, 10, 0.9)
    assert (spec.fec.train_examples, spec.fec.valid_examples, spec.fitness_combination) == (10, 10, "mean")
    assert (spec.stop.max_train_steps, spec.stop.sufficient_fitness, spec.fresh_tasks) == (200_000_000, 0.9999, True)


def test_digits_starts_from_nothing_and_holds_pairs_back():
    spec = preset("digits")
    assert (spec.initial, spec.search_tasks.dataset) == ("empty", "digits")
    assert spec.search_tasks.held_out_pairs == spec.select_tasks.held_out_pairs == HELD_OUT_PAIRS
    assert (spec.search_tasks.pairs, spec.select_tasks.pairs) == ("search", "held_out")


@pytest.mark.parametrize("name", preset_names())
def test_every_baseline_that_fits_its_registers_can_be_reached(name):
    """The ops of a preset suffice for at least one known learner of its kind, in its registers and sizes."""
    spec = preset(name)
    if not name.startswith("digits"):  # those two look for something new
        assert any(fits(baseline.build(), spec) for baseline in BASELINES.values())


def fits(algorithm, spec):
    given = spec.program and Algorithm.from_json(spec.program)
    for position, (function, bounds) in enumerate(zip(algorithm.functions, spec.functions, strict=True)):
        if not bounds.searched:
            if [one.op for one in function] != [one.op for one in given.functions[position]]:
                return False
        elif len(function) > bounds.max_size or not {one.op.name for one in function} <= set(bounds.ops):
            return False
    if algorithm.vector_labels != spec.vector_labels:
        return False
    return all(there >= needed for there, needed in zip(spec.registers, algorithm.registers_used(), strict=True))


@pytest.mark.parametrize("name", ["linear-learning-only", "affine-learning-only", "backprop-learning-only"])
def test_learning_only_gives_all_but_learn(name):
    spec = preset(name)
    assert [one.searched for one in spec.functions] == [False, False, True]
    start = initial_program(spec)
    given = Algorithm.from_json(spec.program)
    assert (start.setup, start.predict) == (given.setup, given.predict)
    assert not given.learn and {one.op for one in start.learn} == {Op.NO_OP}


def test_backprop_learning_only_needs_all_of_backpropagation():
    """What is sufficient there is reached by the full rule, and by none of its halves."""
    spec = preset("backprop-learning-only")
    full = neural_network_without_bias(0.03, 0.3)
    halves = [replace(full, learn=full.learn[:2] + full.learn[7:]), replace(full, learn=full.learn[:7])]
    no_gate = replace(full, learn=(*full.learn[:2], replace(full.learn[3], out=6), *full.learn[5:]))
    tasks = build_tasks(spec.select_tasks, seed=1, role="select")
    evaluator = Evaluator(tasks, spec.registers)
    assert evaluator.evaluate(full).fitness.mean() > spec.stop.sufficient_fitness
    for algorithm in (*halves, no_gate):
        assert evaluator.evaluate(algorithm).fitness.mean() < spec.stop.sufficient_fitness - 0.05


def test_sections_4_2_and_4_3_follow_the_paper_where_it_differs_from_the_code():
    for name in ("cifar10-from-scratch", "cifar10-few-examples", "cifar10-fast-training-control"):
        spec = preset(name)
        assert (spec.selection, spec.constant_rule, spec.fitness_combination) == (
            "regularized_paper",
            "paper",
            "median",
        )
        assert spec.mutations["remove"] == 2 * spec.mutations["insert"] and spec.hurdle.percentile == 75.0
        assert spec.hurdle.train_examples < spec.search_tasks.train_examples * spec.search_tasks.epochs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed"), [("linear-regressor", 1), ("linear-learning-only", 1), ("affine-regressor", 100)]
)
def test_is_found_from_random_programs(name, seed):
    search = Search.start(preset(name), seed)
    report = search.run(seconds=3600.0)
    assert report.result.solved and report.result.final_fitness > 0.999


@pytest.mark.slow
def test_backpropagation_is_found_from_nothing():
    result = Search.start(preset("backprop-learning-only"), 1).run(seconds=3600.0).result
    assert result.solved and result.final_fitness > 0.975
    assert explain(result.algorithm).title == "A 2-layer net that learns by gradient descent"


@pytest.mark.parametrize("name", [one for one in preset_names() if "mnist" in one or "cifar10" in one])
def test_missing_data_is_said_in_one_line(name, tmp_path, monkeypatch):
    monkeypatch.setenv("ABOVO_DATA", str(tmp_path))
    spec = preset(name).search_tasks
    with pytest.raises(TaskError) as caught:
        build_tasks(spec, seed=0, role="search")
    text = str(caught.value)
    assert text.startswith(f"dataset: {spec.dataset} is not there; fetch it with `python manage.py fetch_dataset ")
    assert str(tmp_path) in text and "ABOVO_DATA" in text and "\n" not in text


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Small noise of the right number of rows, in place of the real pictures."""
    monkeypatch.setenv("ABOVO_DATA", str(tmp_path))
    stream = np.random.default_rng(0)
    rows = stream.integers(0, 256, (20_000, 2, 2), dtype=np.uint8)
    for name in OFFICIAL:
        np.savez(
            tmp_path / f"{name}.npz", x_train=rows, y_train=np.arange(20_000) % 10,
            x_test=rows[:5000], y_test=np.arange(5000) % 10,
        )  # fmt: skip


def test_op_names():
    assert op_names(3, range(1, 3)) == ("SCALAR_PRODUCT", "SCALAR_SUM", "SCALAR_DIFF")
    assert len(op_names(range(65))) == len(Op)


def test_unknown_preset():
    with pytest.raises(SpecError, match='preset: "nope" is not known, allowed: linear-demo, digits'):
        preset("nope")
