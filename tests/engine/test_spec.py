"""Specifications: JSON both ways, and one clear line naming the field for everything that is not allowed."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest

from engine.algorithm import Registers
from engine.baselines import BASELINES, linear
from engine.island import initial_program
from engine.presets import preset
from engine.spec import INITIAL_PROGRAMS, SPEC_VERSION, FunctionSpec, SearchSpec, SpecError, StopSpec, TaskSpec

BASE = preset("linear-demo").to_json()


def changed(path, value):
    """Return BASE with the field at a dotted path replaced."""
    data = copy.deepcopy(BASE)
    *way, last = path.split(".")
    place = data
    for one in way:
        place = place.setdefault(one, {})
    place[last] = value
    return data


def test_json_both_ways():
    text = json.dumps(BASE)
    spec = SearchSpec.from_json(json.loads(text))
    assert spec == preset("linear-demo")
    assert json.dumps(spec.to_json()) == text
    assert BASE["version"] == SPEC_VERSION


def test_fields_left_out_have_defaults():
    ops = ["SCALAR_CONST_SET"]
    spec = SearchSpec.from_json({"setup": {"ops": ops}})
    assert spec.setup == FunctionSpec(ops=("SCALAR_CONST_SET",))
    assert spec.search_tasks == TaskSpec()
    assert spec.stop == StopSpec(max_seconds=60.0)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("population_size", 1, "population_size: 1 is not allowed, whole numbers from 2 to 1,000,000 are"),
        ("population_size", "many", "population_size: expected a number, got 'many'"),
        ("population_size", 10.5, "population_size: expected a whole number, got 10.5"),
        ("population_size", True, "population_size: expected a number, got True"),
        ("population_size", float("nan"), "population_size: expected a number, got nan"),
        ("tournament_size", 1001, "tournament_size: 1001 is not allowed, whole numbers from 1 to 1,000 are"),
        ("mutation_probability", 1.5, "mutation_probability: 1.5 is not allowed, numbers from 0 to 1 are"),
        ("fitness_combination", "mode", 'fitness_combination: "mode" is not allowed, one of mean, median, minimum is'),
        ("initial", "magic", 'initial: "magic" is not allowed, one of '),
        ("initial", "program", 'program: needed when initial is "program"'),
        ("initial", "net", 'registers: [4, 3, 1], but initial "net" needs [5, 9, 2]'),
        ("mutations", {"teleport": 1}, 'mutations: unknown kind "teleport", allowed: alter_parameter'),
        ("mutations", {"insert": 0}, "mutations: all weights are 0"),
        ("mutations", {"insert": -1}, "mutations.insert: -1 is not allowed"),
        ("registers", [4, 3], "registers: expected three whole numbers [scalars, vectors, matrices], got [4, 3]"),
        ("registers", [1, 3, 1], "registers: 1 of type s, allowed 2 to 1000"),
        ("registers", [4, 1, 1], "setup.ops: SCALAR_VECTOR_PRODUCT needs a second register of type v to write"),
        ("colour", "red", "colour: unknown field, allowed: name, title"),
        ("version", 99, "version: 99 is not known here, allowed: 1"),
        ("search_tasks", 3, "search_tasks: expected a table with kind, count, features"),
        ("search_tasks.kind", "quadratic", 'search_tasks.kind: "quadratic" is not allowed, one of linear'),
        ("search_tasks.kind", "projected", 'search_tasks.dataset: needed when kind is "projected"'),
        ("search_tasks.count", 0, "search_tasks.count: 0 is not allowed, whole numbers from 1 to 10,000 are"),
        ("search_tasks.features", 1, "search_tasks.features: 1 is not allowed, whole numbers from 2 to"),
        ("search_tasks.features", 8, "select_tasks.features: 4, but search_tasks have 8"),
        ("search_tasks.train_examples", 9, "search_tasks.train_examples: 9 is not allowed, whole numbers from 10 to"),
        ("search_tasks.colour", 1, "search_tasks.colour: unknown field, allowed: kind"),
        ("search_tasks.pairs", [[1, 1]], "search_tasks.pairs: expected pairs of two different classes"),
        ("search_tasks.pairs", "some", 'search_tasks.pairs: "some" is not allowed, one of search, held_out is'),
        ("search_tasks.pairs", "held_out", 'search_tasks.pairs: "held_out" needs held_out_pairs'),
        ("max_abs_error", 10**400, "max_abs_error: expected a number"),
        ("stop.max_seconds", float("nan"), "stop.max_seconds: expected a number"),
        ("search_tasks.seeds", [-1], "search_tasks.seeds: -1 is not allowed"),
        ("search_tasks.seeds", ["a"], "search_tasks.seeds: expected a list of whole numbers"),
        ("setup.ops", ["MAGIC"], 'setup.ops: unknown op "MAGIC"; allowed are the names of `python -m engine ops`'),
        ("setup.ops", ["NO_OP", "NO_OP"], "setup.ops: an op is listed twice"),
        ("setup.ops", "NO_OP", "setup.ops: expected a list of texts"),
        ("setup.min_size", 11, "setup.min_size: 11 is not allowed, whole numbers from 0 to 10 are"),
        ("setup.searched", False, "setup.searched: a function that is not searched needs `program`"),
        ("fec.size", 0, "fec.size: 0 is not allowed"),
        ("fec.train_examples", 101, "fec.train_examples: 101 is not allowed, whole numbers from 1 to 100 are"),
        ("hurdle", {"train_examples": 101}, "hurdle.train_examples: more than search_tasks.train_examples (100)"),
        ("hurdle", {"percentile": 101}, "hurdle.percentile: 101.0 is not allowed, numbers from 0 to 100 are"),
        ("hurdle", {"tasks": 11}, "hurdle.tasks: more than search_tasks.count (10)"),
        ("selection", "lexicase", 'selection: "lexicase" is not allowed, one of regularized, regularized_paper, elitist'),
        ("constant_rule", "x", 'constant_rule: "x" is not allowed, one of reference, paper is'),
        ("validity", "x", 'validity: "x" is not allowed, one of any, learns, corrects is'),
        ("validity_tries", 0, "validity_tries: 0 is not allowed, whole numbers from 1 to 100,000 are"),
        ("more_mutations", 1, "more_mutations: 1.0 is not allowed, numbers from 0 to 0.9 are"),
        ("price", -1, "price: -1.0 is not allowed, numbers from 0 to 1 are"),
        ("select_rounds", 0, "select_rounds: 0 is not allowed, whole numbers from 1 to 10 are"),
        ("final_seeds", 0, "final_seeds: 0 is not allowed"),
        ("stop.max_seconds", -1, "stop.max_seconds: -1.0 is not allowed, numbers from 0 to 1e+09 are"),
        ("stop", {}, "stop: no limit: set max_individuals, max_train_steps, max_seconds or max"),
        ("stop", {"max_individuals": 5}, "stop: no end: set max_experiments, max_seconds or max_total_individuals"),
        ("program", {"setup": []}, "program: predict: missing"),
        ("program", {**linear().to_json(), "predict": [{"op": "MAGIC"}]}, 'program: predict[0].op: unknown op "MAGIC"'),
    ],
)  # fmt: skip
def test_refuses_naming_the_field(path, value, message):
    with pytest.raises(SpecError) as caught:
        SearchSpec.from_json(changed(path, value))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert caught.value.field == message.split(":")[0]


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_refuses_what_is_no_table(data):
    with pytest.raises(SpecError, match="specification: expected a table of fields"):
        SearchSpec.from_json(data)


def test_with_changes_checks():
    spec = preset("digits")
    assert spec.with_changes(population_size=50, tournament_size=5).population_size == 50
    with pytest.raises(SpecError, match="population_size"):
        spec.with_changes(population_size=0)


def test_only_learn_is_searched():
    ops = ["SCALAR_DIFF", "SCALAR_PRODUCT", "SCALAR_VECTOR_PRODUCT", "VECTOR_SUM"]
    data = {
        "setup": {"searched": False}, "predict": {"searched": False}, "learn": {"ops": ops, "min_size": 4, "max_size": 4},
        "program": linear().to_json(), "initial": "program",
    }  # fmt: skip
    spec = SearchSpec.from_json(data)
    assert SearchSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("initial", INITIAL_PROGRAMS)
def test_initial_programs(initial):
    bounds = FunctionSpec(ops=("SCALAR_SUM",), min_size=1, max_size=12)
    vectors = initial.startswith("softmax")
    tasks = TaskSpec(kind="classes", dataset="wine") if vectors else TaskSpec()
    spec = SearchSpec(
        initial=initial, search_tasks=tasks, registers=Registers(6, 10, 4), setup=bounds, predict=bounds, learn=bounds,
        program=replace(GIVEN, vector_labels=vectors).to_json(),
    ).check()  # fmt: skip
    program = initial_program(spec)
    lengths = [len(function) for function in program.functions]
    if initial in ("random", "empty"):
        assert lengths == [12 if initial == "random" else 1] * 3
    else:
        assert program == (GIVEN if initial == "program" else BASELINES[initial].build())


def test_initial_program_that_is_too_long():
    data = changed("initial", "affine") | {"registers": [5, 3, 1]}
    data["learn"] = {**data["learn"], "min_size": 4, "max_size": 4}
    with pytest.raises(SpecError, match=r'learn\.max_size: 4, but initial "affine" has 5 instructions'):
        SearchSpec.from_json(data)


def test_islands_are_left_out_of_the_form_that_knew_none_of_them():
    """Checkpoints carry a digest of that form: those of searches that run must stay valid."""
    data = preset("digits").to_json()
    assert not data.keys() & {"islands", "migration", "island_groups"}
    assert preset("digits").with_changes(islands=2).to_json()["islands"] == 2


def test_groups_of_islands():
    data = changed("islands", 5) | {
        "migration": {"every": 500, "count": 3},
        "island_groups": [{}, {"search_tasks": {"count": 3}, "population_size": 20}],
    }
    spec = SearchSpec.from_json(data)
    assert SearchSpec.from_json(spec.to_json()) == spec
    assert [spec.for_island(index).search_tasks.count for index in range(4)] == [spec.search_tasks.count, 3] * 2
    second = spec.for_island(1)
    assert (second.population_size, second.islands, second.island_groups) == (20, 1, ())
    assert second.search_tasks.features == spec.search_tasks.features
    assert second.migration == spec.migration
    alone = SearchSpec.from_json(changed("islands", 1))
    assert alone.for_island(0) == alone


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("islands", 0, "islands: 0 is not allowed, whole numbers from 1 to 10,000 are"),
        ("migration", {"every": 1}, "migration.every: 1 is not allowed"),
        ("migration", {"often": 1}, "migration.often: unknown field, allowed: every, count"),
        ("island_groups", [3], "island_groups: expected a list of tables"),
        ("island_groups", [{"registers": [9, 9, 9]}], "island_groups[0].registers: cannot differ, allowed: search_tasks"),
        ("island_groups", [{}, {"population_size": 1}], "island_groups[1].population_size: 1 is not allowed"),
        ("island_groups", [{"setup": {"depth": 1}}], "island_groups[0].setup.depth: unknown field"),
    ],
)  # fmt: skip
def test_refuses_islands_naming_the_field(path, value, message):
    with pytest.raises(SpecError) as caught:
        SearchSpec.from_json(changed(path, value))
    assert str(caught.value).startswith(message)


GIVEN = linear(0.5)


def test_a_null_beside_a_programs_functions_says_nothing():
    """An export of a program may have more than its functions; what is read is what is stored."""
    data = preset("linear-learning-only").to_json()
    data["program"] |= {"title": None, "found": {"by": None, "seed": 3}}
    spec = SearchSpec.from_json(data)
    assert spec == SearchSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert spec.program["found"] == {"seed": 3} and "title" not in spec.program
