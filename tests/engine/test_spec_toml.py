"""Specifications as TOML: what is written is read back the same."""

from __future__ import annotations

import contextlib
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.baselines import BASELINES
from engine.presets import preset, preset_names
from engine.spec import FunctionSpec, SearchSpec, TaskSpec
from engine.spec_toml import read_toml, to_toml

# A lone surrogate is no character: no UTF-8 file can hold one.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


@given(title=TEXT, description=TEXT, limit=st.floats(1e-9, 1.0), seeds=st.lists(st.integers(0, 2**63)))
def test_any_text_and_number(title, description, limit, seeds):
    data = preset("digits").to_json() | {"title": title, "description": description, "mutation_probability": limit}
    data["search_tasks"]["seeds"] = seeds
    spec = SearchSpec.from_json(data)
    assert SearchSpec.from_json(tomllib.loads(to_toml(spec))) == spec


def test_infinity_and_programs():
    bounds = FunctionSpec(ops=("SCALAR_SUM",), max_size=20)
    for baseline in BASELINES.values():
        algorithm = baseline.build()
        tasks = TaskSpec(kind="classes", dataset="wine") if algorithm.vector_labels else TaskSpec()
        spec = SearchSpec(
            search_tasks=tasks, registers=baseline.registers._replace(m=4), setup=bounds, predict=bounds, learn=bounds, initial="program",
            program=algorithm.to_json(), max_abs_error=float("inf"),
        ).check()  # fmt: skip
        data = tomllib.loads(to_toml(spec))
        assert data["program"] == spec.program and data["max_abs_error"] == float("inf")


def test_is_meant_for_people():
    lines = to_toml(preset("linear-demo")).splitlines()
    assert lines[0] == 'name = "linear-demo"'
    assert "registers = [4, 3, 1]" in lines
    assert lines.index("[search_tasks]") < lines.index("features = 4") < lines.index("[setup]")
    assert max(len(line) for line in lines if not line.startswith("description")) <= 120


@pytest.mark.parametrize("part", ["a", "a-b ", '"a"', '"\\""', "'a\"' ", '"a.b"'])
@pytest.mark.parametrize(
    "before, after", [("", " = 1"), ("[", "]"), ("[[", "]]"), ("x = {", " = 1}"), ("z = 1\n\n", " = 1")]
)
def test_keys_of_very_many_parts_are_refused_before_the_parser_is_slow(before, after, part):
    tomllib.loads(f"{before}{'.'.join([part] * 30)}{after}")  # it would be TOML
    with pytest.raises(ValueError, match=rf"a key of more than 20 parts \(at line {before.count(chr(10)) + 1}\)"):
        read_toml(f"{before}{'.'.join([part] * (200_000 // (len(part) + 1)))}{after}")


@pytest.mark.parametrize("text", ["[" * 5000, "a = " + "[" * 5000, "a = " + "1" * 5000, "a = ", "\x00", "a = 1\na = 2"])
def test_what_is_no_toml_is_a_value_error(text):
    with pytest.raises(ValueError):
        read_toml(text)


@pytest.mark.parametrize(
    "text",
    [
        "a " * 100_000,
        "x" * 200_000,
        '"' * 200_000,
        "'\"" * 100_000,
        '"\\' * 100_000,
        " " * 200_000,
        "a" + " " * 199_999,
    ],
)
def test_no_text_takes_longer_than_its_length_allows(text):
    with contextlib.suppress(ValueError):
        read_toml(text)


@pytest.mark.parametrize("name", preset_names())
def test_specifications_are_read_back(name):
    assert SearchSpec.from_json(read_toml(to_toml(preset(name)))) == preset(name)
