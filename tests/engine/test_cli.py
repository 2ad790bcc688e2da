"""The command line: what it prints, and how it refuses."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from engine.algorithm import Algorithm
from engine.baselines import BASELINES, linear
from engine.cli import search as search_command
from engine.cli.main import main
from engine.ops import OPS
from engine.presets import preset
from engine.records import Counters
from tests.engine import golden

TINY_SPEC = """
name = "tiny"
registers = [4, 3, 1]
population_size = 20
tournament_size = 3
initial = "random"
search_tasks = {kind = "linear", count = 2, features = 4, train_examples = 20, valid_examples = 10}
setup = {ops = ["SCALAR_CONST_SET"], min_size = 2, max_size = 2}
predict = {ops = ["VECTOR_INNER_PRODUCT"], min_size = 1, max_size = 1}
learn = {ops = ["SCALAR_DIFF", "SCALAR_PRODUCT", "SCALAR_VECTOR_PRODUCT", "VECTOR_SUM"], min_size = 4, max_size = 4}
stop = {max_individuals = 500, max_experiments = 1}
"""


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command; return (exit status, standard output, standard error)."""

    def run(*arguments, text: str | bytes = ""):
        data = text.encode() if isinstance(text, str) else text
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        try:
            status = main(list(map(str, arguments)))
        except SystemExit as end:
            status = end.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def tasks(tmp_path):
    path = tmp_path / "tasks.json"
    path.write_text((golden.HERE / "golden_tasks.json").read_text())
    return path


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(TINY_SPEC)
    return path


# --- evaluate -----------------------------------------------------------------------------------------------------------


def test_evaluate_agrees_with_the_golden_sample(run, tasks):
    lines, _ = golden.sample()
    text = "\n".join(map(json.dumps, lines))
    status, out, err = run("evaluate", "--tasks", tasks, "--registers", "6,9,3", "--memory", text=text)
    results = [json.loads(line) for line in out.splitlines()]
    assert (status, err) == (0, "")
    assert [one["id"] for one in results] == [one["id"] for one in lines]
    for line, one in zip(lines, results, strict=True):
        assert golden.agrees(line, one["fitness"], one["train_steps"], one["memory"]), line["id"]


@pytest.mark.slow
def test_evaluate_agrees_with_every_golden_line(run, tmp_path):
    lines, tasks = golden.whole()
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(tasks))
    text = "\n".join(map(json.dumps, lines))
    status, out, err = run("evaluate", "--tasks", path, "--registers", "6,9,3", "--memory", text=text)
    results = [json.loads(line) for line in out.splitlines()]
    assert (status, err, len(results)) == (0, "", len(lines))
    wrong = [
        line["id"]
        for line, one in zip(lines, results, strict=True)
        if not golden.agrees(line, one["fitness"], one["train_steps"], one["memory"])
    ]
    assert wrong == []


def test_evaluate_refuses_lines_and_runs_the_others(run, tasks):
    good = {"id": "good", "task": 0, **linear().to_json()}
    lines = [
        json.dumps(good),
        "{not json",
        "",
        json.dumps({**good, "id": "op", "predict": [{"op": "MAGIC"}]}),
        json.dumps({**good, "id": "range", "predict": [{"op": "SCALAR_ABS", "in1": 6, "out": 1}]}),
        json.dumps({**good, "id": "label", "predict": [{"op": "SCALAR_ABS", "in1": 1, "out": 0}]}),
        json.dumps({**good, "id": "constant", "setup": [{"op": "SCALAR_CONST_SET", "out": 2}]}),
        json.dumps({**good, "id": "task", "task": 77}),
        json.dumps({**good, "id": "no task", "task": None}),
        "[1]",
        json.dumps({"id": "bare", "task": 0}),
        json.dumps({**good, "id": "again"}),
    ]
    status, out, _ = run("evaluate", "--tasks", tasks, "--registers", "6,9,3", text="\n".join(lines))
    results = [json.loads(line) for line in out.splitlines()]
    assert status == 1
    assert [one["id"] for one in results] == [
        "good", None, "op", "range", "label", "constant", "task", "no task", None, "bare", "again",
    ]  # fmt: skip
    errors = [one.get("error") for one in results]
    assert [error is None for error in errors] == [True, *[False] * 9, True]
    assert errors[1].startswith("line 2: not valid JSON, column 2")
    assert errors[2] == 'predict[0].op: unknown op "MAGIC"; allowed are the names of `python -m engine ops`'
    assert errors[3] == "predict[0].in1: register s6 out of range, allowed s0 to s5"
    assert errors[4] == "predict[0].out: register s0 out of range, allowed s1 to s5"
    assert errors[5] == "setup[0].constants: SCALAR_CONST_SET needs 1 (c), got none"
    assert errors[6] == "task: 77 is not allowed; whole numbers from 0 to 4 are allowed"
    assert errors[7] == "task: missing; whole numbers from 0 to 4 are allowed"
    assert errors[8] == "line 10: expected an object with setup, predict and learn"
    assert errors[9] == "setup: missing; a program has setup, predict and learn"
    assert results[0]["fitness"] == results[-1]["fitness"] > 0
    assert all("fitness" not in one for one in results[1:-1])


def test_evaluate_writes_any_id_back_whatever_the_locale(tmp_path):
    """Half a character cannot be written as UTF-8, only escaped; what is nested too deeply cannot be written at all."""
    lines = [
        *(b'{"id": %s, "setup": [], "predict": [], "learn": []}' % one for one in (b'"\\ud800"', b'[1, "\xc3\xa9"]')),
        b'{"id": %s, "setup": [], "predict": [], "learn": []}' % (b"[" * 900 + b"]" * 900),
        b'{"id": "last", "setup": [], "predict": [], "learn": []}',
    ]
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(json.loads((golden.HERE / "golden_tasks.json").read_text())[:1]))
    command = [sys.executable, "-m", "engine", "evaluate", "--tasks", str(path), "--registers", "6,9,3"]
    ended = subprocess.run(
        command, input=b"\n".join(lines), capture_output=True, cwd=golden.HERE.parents[1],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"}, check=False,
    )  # fmt: skip
    results = [json.loads(line) for line in ended.stdout.decode().splitlines()]
    assert (ended.returncode, ended.stderr) == (1, b"")
    assert [one["id"] for one in results] == ["\ud800", [1, "é"], None, "last"]
    assert [one.get("error") for one in results] == [None, None, "id: nested too deeply", None]


def test_evaluate_survives_bytes_that_are_no_text(run, tasks):
    status, out, _ = run(
        "evaluate", "--tasks", tasks, "--registers", "6,9,3", text=b'{"id": "\xff"}\n' + b"[" * 100_000
    )
    assert status == 1
    assert [json.loads(line)["id"] for line in out.splitlines()] == [None, None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "{tasks}"], '--registers: needed with --tasks, as "S,V,M", for example "6,9,3"'),
        (["--tasks", "{tasks}", "--registers", "6,9"], '--registers: expected three numbers "S,V,M"'),
        (["--tasks", "{tasks}", "--registers", "1,9,3"], "--registers: 1 of type s, allowed 2 to 1000"),
        (
            ["--tasks", "{tasks}", "--registers", "1000,1000,1000000"],
            "--registers: 1000000 of type m, allowed 0 to 1000",
        ),
        (
            ["--tasks", "/nowhere.json", "--registers", "6,9,3"],
            "--tasks: cannot read /nowhere.json: No such file",
        ),
        (["--preset", "nope"], 'preset: "nope" is not known, allowed: linear-demo, digits'),
        (["--preset", "digits", "--memory"], "--memory: only with --tasks"),
        (
            ["--preset", "digits", "--baseline", "svm"],
            '--baseline: "svm" is not known, allowed: linear, affine, net',
        ),
        (["--preset", "digits", "--tasks", "x"], "--tasks: not allowed with argument --preset"),
        ([], "one of the arguments --tasks --preset is required"),
        (
            ["--preset", "digits", "--epochs", "0"],
            '--epochs: "0" is not allowed, whole numbers from 1 to 1,000 are',
        ),
    ],
)
def test_evaluate_refuses_its_options_in_one_line(run, tasks, arguments, message):
    status, out, err = run("evaluate", *(one.format(tasks=tasks) for one in arguments))
    assert (status, out) == (2, "")
    assert err.startswith(f"python -m engine evaluate: {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{]", "tasks: not valid JSON, line 1 column 3"),
        ("[]", "tasks: empty"),
        ('[{"features_size": 2}]', "tasks[0].eval_type: missing"),
    ],
)
def test_evaluate_refuses_tasks(run, tmp_path, text, message):
    path = tmp_path / "bad.json"
    path.write_text(text)
    status, out, err = run("evaluate", "--tasks", path, "--registers", "6,9,3", text="{}")
    assert (status, out) == (2, "")
    assert err.startswith(f"python -m engine evaluate: {message}")


def test_evaluate_bounds_the_memory_of_wide_tasks(run, tmp_path):
    path = tmp_path / "wide.json"
    row = [0.0] * 3000
    task = {"features_size": 3000, "eval_type": "RMS_ERROR"}
    task |= {
        f"{part}_{kind}": [value] for part in ("train", "valid") for kind, value in (("features", row), ("labels", 0))
    }
    path.write_text(json.dumps([task]))
    status, _, err = run("evaluate", "--tasks", path, "--registers", "6,9,3")
    assert status == 2
    assert "--registers: 27,027,006 numbers at 3000 features, allowed are up to 10,000,000" in err


def test_evaluate_baselines_on_a_preset(run):
    status, out, _ = run("evaluate", "--preset", "digits", "--baseline", "linear", "--baseline", "bilinear")
    first, second = map(json.loads, out.splitlines())
    assert status == 0
    assert (first["id"], second["id"]) == ("linear", "bilinear")
    tasks = preset("digits").search_tasks
    assert first["train_steps"] == tasks.count * tasks.train_examples
    assert first["fitness"] == pytest.approx(sum(first["task_fitness"]) / tasks.count)
    assert first["fitness"] > 0.8


# --- search -------------------------------------------------------------------------------------------------------------


def test_search_prints_one_object(run, spec):
    status, out, err = run("search", "--spec", spec, "--seed", 3, "--json")
    assert status == 0, err
    result = json.loads(out)
    assert set(result) >= {
        "solved", "experiments", "individuals", "train_steps", "seconds", "compile_seconds", "search_fitness",
        "select_fitness", "final_fitness", "program", "pseudocode",
    }  # fmt: skip
    assert (result["experiments"], result["individuals"], result["finish_reason"]) == (
        1,
        500,
        "max_individuals",
    )
    assert set(result["program"]) == {"setup", "predict", "learn"}
    assert "compiling" in err
    _, again, _ = run("search", "--spec", spec, "--seed", 3, "--json")
    assert json.loads(again)["program"] == result["program"]


def test_search_with_workers_takes_the_best(run, spec):
    status, out, err = run("search", "--spec", spec, "--workers", 2)
    assert status == 0, err
    assert out.startswith("Ended (max_individuals) after ")
    assert "1,000 programs in 2 experiment(s)" in out
    assert "def Predict():" in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("registers = [4, 3]", "registers: expected three whole numbers"),
        ("population_size = 1", "population_size: 1 is not allowed, whole numbers from 2 to 1,000,000 are"),
        ("population = 1", "population: unknown field, allowed: name, title"),
        ("setup = {ops = ['MAGIC']}", 'setup.ops: unknown op "MAGIC"'),
        ("x = ", "--spec: not valid TOML: "),
    ],
)
def test_search_refuses_a_specification(run, tmp_path, text, message):
    path = tmp_path / "spec.toml"
    path.write_text(text)
    status, out, err = run("search", "--spec", path)
    assert (status, out) == (2, "")
    assert err.startswith(f"python -m engine search: {message}")
    assert err.count("\n") == 1


def test_search_refuses_options(run):
    for arguments, message in (
        (["--preset", "nope"], 'preset: "nope" is not known'),
        (["--preset", "digits", "--seed", "x"], '--seed: "x" is not allowed, whole numbers from 0 to'),
        (
            ["--preset", "digits", "--max-seconds", "-1"],
            '--max-seconds: "-1" is not allowed, numbers above 0',
        ),
        (
            ["--preset", "digits", "--max-seconds", "nan"],
            '--max-seconds: "nan" is not allowed, numbers above 0',
        ),
        (
            ["--preset", "digits", "--workers", "0"],
            '--workers: "0" is not allowed, whole numbers from 1 to 256 are',
        ),
    ):
        status, out, err = run("search", *arguments)
        assert (status, out) == (2, "")
        assert err.startswith(f"python -m engine search: {message}")


def test_search_without_its_data_says_so_before_it_compiles(run, tmp_path, monkeypatch):
    monkeypatch.setenv("ABOVO_DATA", str(tmp_path))
    status, out, err = run("search", "--preset", "cifar10-baseline", "--json")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(
        "python -m engine search: dataset: cifar10 is not there; fetch it with `python manage.py fetch_"
    )


def test_interrupted_search_ends_with_what_it_has(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(TINY_SPEC.replace("max_individuals = 500", "max_individuals = 1000000000"))
    command = [sys.executable, "-m", "engine", "search", "--spec", str(path), "--json"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=golden.HERE.parents[1],
        env=dict(os.environ),
    )
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True)
    reader.start()
    deadline = time.monotonic() + 120
    while not any("searching" in line for line in lines) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    out = process.stdout.read()
    assert process.wait(timeout=60) == 130, lines
    result = json.loads(out)
    assert result["finish_reason"] == "interrupted"
    assert result["individuals"] > 500


def test_progress_rewrites_a_terminal_and_adds_lines_elsewhere():
    report = SimpleNamespace(
        counters=Counters(individuals=1_204_000, experiments=1, seconds=10.0),
        population_best=SimpleNamespace(score=0.75),
    )
    terminal, file = io.StringIO(), io.StringIO()
    terminal.isatty = lambda: True
    for stream in (terminal, file):
        progress = search_command.Progress(stream)
        progress._last -= 60
        progress.update(0, report)
        progress.update(0, report)
        progress.end()
    line = "   10.0 s  experiment 1: 1,204,000 programs, 120,400 a second, best of the population 0.7500"
    assert terminal.getvalue() == f"\r\x1b[K{line}\n"
    assert file.getvalue() == f"{line}\n"


# --- lists --------------------------------------------------------------------------------------------------------------


def test_ops_and_presets(run):
    status, out, _ = run("ops")
    assert status == 0
    assert len(out.splitlines()) == 65
    assert all(info.op.name in out and info.meaning in out for info in OPS)
    assert [one["id"] for one in json.loads(run("ops", "--json")[1])] == list(range(65))
    assert re.search(r"^linear-demo +A linear regressor", run("presets")[1], re.MULTILINE)
    assert {one["name"] for one in json.loads(run("presets", "--json")[1])} >= {"linear-demo", "digits"}


def test_one_preset(run, tmp_path):
    assert run("presets", "digits")[1].startswith("digits  From nothing, on handwritten digits\n\nStarts from")
    assert json.loads(run("presets", "digits", "--json")[1])["name"] == "digits"
    assert run("presets", "--markdown")[1].startswith("# Presets")
    assert run("presets", "nope")[0] == 2
    status, out, err = run("presets", "--toml")
    assert (status, out, err) == (2, "", "python -m engine presets: --toml: needs the name of a preset before it\n")


def test_a_preset_as_toml_searches_the_same(run, tmp_path):
    text = run("presets", "linear-demo", "--toml")[1]
    text = text.replace("max_train_steps = 200000000", "max_individuals = 2000\nmax_experiments = 1")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace("train_examples = 1000\n", "train_examples = 100\n"))
    status, out, _ = run("search", "--spec", path, "--seed", 3, "--json")
    result = json.loads(out)
    assert (status, result["individuals"], result["experiments"]) == (0, 2000, 1)


def test_light_commands_do_not_import_heavy_modules():
    code = "import sys; from engine.cli.main import main; main(['ops']); print([m for m in ('numpy', 'numba') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=golden.HERE.parents[1], check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_unknown_command(run):
    status, out, err = run("frobnicate")
    assert (status, out) == (2, "")
    assert err.startswith("python -m engine: COMMAND: invalid choice: 'frobnicate'")


# --- explain and export -------------------------------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.json"
    path.write_text(json.dumps(linear().to_json()))
    return path


def test_explain(run, program):
    status, out, _ = run("explain", program)
    assert status == 0
    assert out.startswith("A linear model that learns by gradient descent\nMotifs: gradient descent\ndef Setup():\n")
    assert "  v1 = v1 + v2      # update: of weights\n" in out
    data = json.loads(run("explain", program, "--json")[1])
    assert data["motifs"] == ["gradient descent"]
    assert [line["role"] for line in data["lines"]][-1] == "update"


def test_explain_reads_standard_input_and_the_result_of_a_search(run):
    text = json.dumps({"solved": True, "program": linear().to_json()})
    assert run("explain", "-", text=text)[1].startswith("A linear model")


def test_knockout(run, program):
    status, out, _ = run("knockout", program, "--preset", "linear-demo", "--role", "search", "--retune", 4)
    lines = out.splitlines()
    assert status == 0
    assert lines[0].startswith("Whole program: 0.") and "(4 trials); mean over 10 task(s)" in lines[0]
    assert [line.split("  ")[-1] for line in lines[3:]] == [
        "setup: s2 = 0.01", "predict: s1 = dot(v1, v0)", "learn: s3 = s0 - s1", "learn: s3 = s2 * s3", "learn: v2 = s3 * v0",
        "learn: v1 = v1 + v2", "motif: gradient descent",
    ]  # fmt: skip
    assert all(line.lstrip().startswith("-0.") and " ± 0." in line for line in lines[3:])
    data = json.loads(
        run("knockout", "--baseline", "linear", "--preset", "linear-demo", "--role", "search", "--json")[1]
    )
    assert len(data["lines"]) == 6 and data["retuned_fitness"] is None and data["motifs"][0]["change"]["mean"] < 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "digits"], "one of the arguments FILE --baseline is required"),
        (["--baseline", "svm", "--preset", "digits"], '--baseline: "svm" is not known, allowed: linear'),
        (["/nowhere", "--preset", "digits"], "program: cannot read /nowhere"),
        (["--baseline", "net", "--preset", "nope"], 'preset: "nope" is not known'),
        (
            ["--baseline", "softmax-net", "--preset", "digits"],
            "program: it learns many classes (labels in v2), the tasks of",
        ),
        (["--baseline", "net", "--preset", "digits", "--retune", "0"], '--retune: "0" is not allowed'),
    ],
)
def test_knockout_refuses_in_one_line(run, arguments, message):
    status, out, err = run("knockout", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"python -m engine knockout: {message}") and err.count("\n") == 1


def test_export(run, program):
    status, out, _ = run("export", program, "--to", "python", "--name", "My model")
    assert (status, out.splitlines()[0]) == (0, '"""My model: A linear classifier that learns by gradient descent.')
    assert (
        "class MyModelRegressor"
        in run("export", program, "--to", "sklearn", "--name", "My model", "--type", "regression")[1]
    )
    assert Algorithm.from_json(json.loads(run("export", program, "--to", "json")[1])) == linear()
    assert r"\begin{tabular}" in run("export", program, "--to", "latex")[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "program: not valid JSON, line 1 column 2: "),
        ("[]", "program: expected an object with setup, predict and learn, got []"),
        ('{"setup": [], "predict": []}', "learn: missing; a program has setup, predict and learn"),
        ('{"setup": [{"op": 3}], "predict": [], "learn": []}', "setup[0].op: unknown op 3"),
    ],
)
def test_explain_and_export_refuse(run, text, message):
    for arguments in (["explain", "-"], ["export", "-", "--to", "python"]):
        status, out, err = run(*arguments, text=text)
        assert (status, out) == (2, "")
        assert err.startswith(f"python -m engine {arguments[0]}: {message}")
        assert err.count("\n") == 1


def test_export_refuses_formats_and_missing_files(run, program):
    text = json.dumps(BASELINES["softmax-linear"].build().to_json())
    status, out, err = run("export", "-", "--to", "python", "--type", "regression", text=text)
    assert (status, out) == (2, "")
    assert err.startswith(
        'python -m engine export: --type: "regression" is not allowed, the labels of this program are'
    )
    status, _, err = run("export", program, "--to", "java")
    assert (status, err.count("\n")) == (2, 1)
    assert "--to: invalid choice: 'java' (choose from" in err
    status, _, err = run("export", "/nowhere", "--to", "json")
    assert (status, err) == (2, "python -m engine export: program: cannot read /nowhere: No such file or directory\n")
