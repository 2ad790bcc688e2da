"""Whatever is fed to the engine's readers, they read it or refuse it in one line: `make fuzz-engine`."""

from __future__ import annotations

import io
import json
import random
import sys
import tomllib

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine.algorithm import Algorithm, ProgramError
from engine.baselines import BASELINES
from engine.cli.common import Refusal
from engine.cli.main import main
from engine.cli.search import read_spec
from engine.datasets import DatasetError, load_dataset
from engine.export import FORMATS, export
from engine.ops import Op
from engine.presets import preset, preset_names
from engine.spec import SearchSpec, SpecError
from engine.spec_toml import to_toml
from engine.task import TaskError, tasks_from_text
from tests.engine import golden
from tests.engine.programs import algorithms
from tests.engine.test_dataset_files import IDX_FILES, idx_bytes

pytestmark = pytest.mark.fuzz
many = settings(
    max_examples=10_000, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)  # fmt: skip

NUMBERS = st.one_of(
    st.integers(-3, 70), st.integers(), st.floats(), st.sampled_from([10**400, -(10**30), 2**63, 1e308, 5e-324])
)
WORDS = st.one_of(
    st.sampled_from(["nan", "inf", "-inf", "", "vector", "held_out", "digits", "linear", *Op.__members__]),
    st.text(max_size=8),
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, WORDS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=8,
)


def places(value, path=()):
    """Return the path of everything inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inside for place in places(one, (*path, key)))]


@st.composite
def damaged(draw, good):
    """Draw a JSON value from `good` and put anything in one to three of its places, or take it out."""
    value = json.loads(json.dumps(draw(good)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(value)))
        if not path:
            value = draw(st.one_of(st.just(value), VALUES))
            continue
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        action = draw(st.sampled_from(("put", "put", "remove", "add")))
        if action == "put":
            holder[path[-1]] = draw(st.one_of(LEAVES, VALUES))
        elif action == "remove":
            del holder[path[-1]]
        elif isinstance(holder, dict):
            holder[draw(WORDS)] = draw(VALUES)
        else:
            holder.insert(path[-1], draw(VALUES))
    return value


@st.composite
def bent(draw, good):
    """Draw bytes from `good` with parts changed, doubled or cut out."""
    data = bytearray(draw(good))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 12))
        part = draw(st.one_of(st.binary(max_size=6), st.just(bytes(data[start : start + length]) * 2), st.just(b"")))
        data[start : start + length] = part
    return bytes(data)


def one_line(error: Exception) -> None:
    text = " ".join(str(error).split())
    assert text and len(text) < 2000, error


PROGRAMS = st.one_of(
    st.sampled_from([one.build().to_json() for one in BASELINES.values()]), algorithms().map(Algorithm.to_json)
)


@many
@given(st.one_of(damaged(PROGRAMS), VALUES))
def test_programs(data):
    try:
        algorithm = Algorithm.from_json(data)
    except ProgramError as error:
        one_line(error)
        return
    again = Algorithm.from_json(json.loads(algorithm.dumps()))
    assert again.digest() == algorithm.digest()
    assert algorithm.pseudocode()


@settings(many, max_examples=1_000)
@given(damaged(PROGRAMS), st.sampled_from(FORMATS), st.text(max_size=12))
def test_programs_that_are_read_are_exported_as_valid_code(data, to, name):
    try:
        algorithm = Algorithm.from_json(data)
    except ProgramError:
        assume(False)
    text = export(algorithm, to, name=name)
    if to in ("python", "sklearn"):
        compile(text, "exported", "exec")
    elif to == "json":
        assert Algorithm.from_json(json.loads(text)).digest() == algorithm.digest()


SPECIFICATIONS = st.sampled_from([preset(name).to_json() for name in preset_names()])


@many
@given(st.one_of(damaged(SPECIFICATIONS), VALUES))
def test_specifications(data):
    try:
        spec = SearchSpec.from_json(data)
    except SpecError as error:
        one_line(error)
        return
    same = SearchSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert same == spec
    assert SearchSpec.from_json(tomllib.loads(to_toml(spec))) == spec


@many
@given(bent(st.sampled_from([to_toml(preset(name)).encode() for name in preset_names()])), st.booleans())
def test_files_of_specifications(tmp_path, data, as_toml):
    path = tmp_path / ("spec.toml" if as_toml else "spec.json")
    path.write_bytes(data)
    try:
        read_spec(str(path))
    except (SpecError, Refusal) as error:
        one_line(error)


TASKS = st.sampled_from([json.loads((golden.HERE / "golden_tasks.json").read_text())[:1]]).map(
    lambda tasks: [
        {key: value[:3] if isinstance(value, list) else value for key, value in task.items()} for task in tasks
    ]
)


@many
@given(damaged(TASKS))
def test_tasks(data):
    try:
        tasks = tasks_from_text(json.dumps(data))
    except TaskError as error:
        one_line(error)
        return
    for task in tasks:
        assert task.train_features.shape == (task.train_examples, task.features_size)
        assert np.isfinite(task.train_features).all() and np.isfinite(task.valid_labels).all()


@many
@given(bent(TASKS.map(lambda tasks: json.dumps(tasks).encode())))
def test_files_of_tasks(data):
    try:
        tasks_from_text(data)
    except TaskError as error:
        one_line(error)


def npz_bytes() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, x_train=np.arange(12.0).reshape(6, 2), y_train=np.arange(6) % 2)
    return stream.getvalue()


CSV = b"weight,height,pet\n1,2.5,cat\n3,4,dog\n5,6,cat\n"


@many
@given(data=bent(st.sampled_from([CSV, CSV.replace(b",", b";"), b'"1"\t2.5\t7\n3\t4\t8.5\n'])))
def test_csv(monkeypatch, tmp_path, data):
    try_dataset(monkeypatch, tmp_path, "some.csv", data)


@many
@given(data=bent(st.just(npz_bytes())))
def test_npz(monkeypatch, tmp_path, data):
    try_dataset(monkeypatch, tmp_path, "some.npz", data)


@many
@given(data=bent(st.just(idx_bytes(IDX_FILES["train-images-idx3-ubyte"]))))
def test_idx(monkeypatch, tmp_path, data):
    (tmp_path / "some").mkdir(exist_ok=True)
    for name, values in IDX_FILES.items():
        (tmp_path / "some" / name).write_bytes(idx_bytes(values))
    try_dataset(monkeypatch, tmp_path, "some/train-images-idx3-ubyte", data)


def try_dataset(monkeypatch, folder, name, data):
    monkeypatch.setenv("ABOVO_DATA", str(folder))
    (folder / name).write_bytes(data)
    try:
        dataset = load_dataset("some")
    except DatasetError as error:
        one_line(error)
        return
    assert np.isfinite(dataset.features).all()
    assert len(dataset.features) >= 2


@pytest.mark.parametrize("seed", range(4))
def test_lines_of_evaluate(seed, tmp_path, monkeypatch, capsys):
    """5,000 lines, most of them damaged: one result a line, those that are good score as they do alone."""
    stream = random.Random(seed)
    lines, _ = golden.sample()
    (tmp_path / "tasks.json").write_text((golden.HERE / "golden_tasks.json").read_text())
    sent = []
    for number in range(5_000):
        text = json.dumps({**lines[number % len(lines)], "id": number}).encode()
        if number % 5:
            data = bytearray(text)
            for _ in range(stream.randint(1, 3)):
                start = stream.randrange(len(data))
                data[start : start + stream.randrange(6)] = bytes(
                    stream.choice(b'0123456789-.e[]{},:" \\naif\xff\x00') for _ in range(stream.randrange(6))
                ).replace(b"\n", b"n")
            text = bytes(data)
        sent.append(text)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n".join(sent))))
    assert main(["evaluate", "--tasks", str(tmp_path / "tasks.json"), "--registers", "6,9,3", "--memory"]) == 1
    results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(results) == sum(bool(line.strip()) for line in sent)
    for number in range(0, 5_000, 5):
        one, line = results[number], lines[number % len(lines)]
        assert one["id"] == number
        assert golden.agrees(line, one["fitness"], one["train_steps"], one["memory"])
    for one in results:
        assert "fitness" in one or one["error"]
