"""Every preset is a valid specification, survives JSON, and is what its source says."""

from __future__ import annotations

import pytest

from engine.ops import Op
from engine.presets import HELD_OUT_PAIRS, op_names, preset, preset_names
from engine.spec import SearchSpec, SpecError
from engine.task import build_tasks


@pytest.mark.parametrize("name", preset_names())
def test_is_valid_and_survives_json(name):
    spec = preset(name)
    assert spec.name == name
    assert spec.title
    assert spec.description
    assert SearchSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("name", ["linear-demo", "digits"])
def test_its_tasks_can_be_built(name):
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


def test_op_names():
    assert op_names(3, range(1, 3)) == ("SCALAR_PRODUCT", "SCALAR_SUM", "SCALAR_DIFF")
    assert len(op_names(range(65))) == len(Op)


def test_unknown_preset():
    with pytest.raises(SpecError, match='preset: "nope" is not known, allowed: linear-demo, digits'):
        preset("nope")
