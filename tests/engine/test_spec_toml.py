"""Specifications as TOML: what is written is read back the same."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from engine.baselines import BASELINES
from engine.presets import preset
from engine.spec import FunctionSpec, SearchSpec, TaskSpec
from engine.spec_toml import to_toml

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
