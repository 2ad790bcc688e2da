"""Exported code computes what the engine does; estimators pass scikit-learn's own checks."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import types
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from engine.algorithm import Algorithm, Instruction
from engine.baselines import BASELINES, bilinear, linear, neural_network
from engine.export import FORMATS, clean_name, export
from engine.export.latex import FORMULAS, formula
from engine.export.numpy_code import EXPRESSIONS
from engine.ops import Op
from engine.spec import TaskSpec
from engine.task_building import build_tasks
from tests.engine import golden, naive
from tests.engine.programs import random_algorithm, random_instruction
from tests.engine.test_many_classes import CHAOTIC, vector_algorithm
from tests.engine.test_many_classes import make_tasks as class_tasks


def load(source: str) -> types.ModuleType:
    module = types.ModuleType("exported")
    exec(compile(source, "exported.py", "exec"), module.__dict__)
    return module


def same(found, expected):
    return all(map(golden.close, found, expected))


def test_every_op_has_an_expression_and_a_formula():
    assert set(EXPRESSIONS) == set(Op) - {Op.NO_OP}
    assert set(FORMULAS) == set(Op)


def test_numpy_module_predicts_as_the_golden_programs_do():
    lines, tasks = golden.sample()
    failed = 0
    for line in lines:
        data = tasks[line["task"]]
        algorithm = Algorithm.from_json(line)
        run = naive.run(algorithm, SimpleNamespace(**data), golden.REGISTERS)
        kind = "classification" if data["eval_type"] == "ACCURACY" else "regression"
        module = load(export(algorithm, "python", task_type=kind))
        try:
            program = module.train(data["train_features"], data["train_labels"])
        except module.TrainingFailed:
            assert run.failed, line["id"]
            failed += 1
            continue
        assert not run.failed, line["id"]
        found = module.predict(program, data["valid_features"])
        assert same(found[: len(run.predictions)], run.predictions), line["id"]
    assert 5 < failed < len(lines) / 2


def test_numpy_module_with_random_ops():
    task = build_tasks(TaskSpec(kind="projected", dataset="digits", count=1, features=8, train_examples=240, pairs=((0, 1),)), seed=0, role="search")[0]  # fmt: skip
    for name in ("net", "bilinear"):
        module = load(export(BASELINES[name].build(), "python"))
        scores = [
            module.predict(module.train(task.train_features, task.train_labels, seed=seed), task.valid_features)
            for seed in (1, 1, 2)
        ]
        assert np.array_equal(scores[0], scores[1])
        assert not np.array_equal(scores[0], scores[2])
        assert np.mean((scores[0] > 0) == (task.valid_labels > 0.5)) > 0.85


def test_draws_have_the_stated_distribution_and_shape():
    programs = {
        op: Instruction(op, out=1, constants=constants)
        for op, constants in {
            Op.SCALAR_UNIFORM_SET: (2.0, 3.0), Op.VECTOR_UNIFORM_SET: (2.0, 3.0), Op.MATRIX_UNIFORM_SET: (2.0, 3.0),
            Op.SCALAR_GAUSSIAN_SET: (1.0, 2.0), Op.VECTOR_GAUSSIAN_SET: (1.0, 2.0), Op.MATRIX_GAUSSIAN_SET: (1.0, 2.0),
        }.items()
    }  # fmt: skip
    to_s1 = {"s": (), "v": (Instruction(Op.VECTOR_MEAN, 1, 0, 1),), "m": (Instruction(Op.MATRIX_MEAN, 1, 0, 1),)}
    for op, one in programs.items():
        module = load(export(Algorithm(predict=(one, *to_s1[one.info.output])), "python"))
        program = module.Program(40, seed=1)
        for _ in range(40):
            program.predict_one(np.zeros(40))
        drawn = np.asarray(getattr(program, f"{one.info.output}1"))
        assert drawn.shape == {"s": (), "v": (40,), "m": (40, 40)}[one.info.output]
        if one.info.output == "m":
            assert drawn.mean() == pytest.approx(2.5 if "UNIFORM" in op.name else 1.0, abs=0.2)
            assert drawn.std() == pytest.approx(1 / math.sqrt(12) if "UNIFORM" in op.name else 2.0, rel=0.1)
    lower = Instruction(Op.SCALAR_UNIFORM_SET, out=1, constants=(0.5, -0.5))
    assert load(export(Algorithm(predict=(lower,)), "python")).Program(2).predict_one(np.zeros(2)) == 0.5


def test_dead_lines_are_left_out_and_said_so():
    algorithm = Algorithm((*linear().setup, Instruction(Op.SCALAR_SIN, 2, 0, 3)), linear().predict, linear().learn)
    source = export(algorithm, "python")
    assert "1 line that cannot reach the prediction is left out" in source
    assert "np.sin" not in source


def test_infinite_constants_survive():
    values = (math.inf, -math.inf, math.nan, -0.0, 1e-320)
    for value in values:
        algorithm = Algorithm(predict=(Instruction(Op.SCALAR_CONST_SET, out=1, constants=(value,)),))
        found = load(export(algorithm, "python")).Program(2).predict_one(np.zeros(2))
        assert golden.close([found], [value])


@pytest.mark.parametrize("to", FORMATS)
def test_names_cannot_break_out(to):
    name = '""" + __import__("os") \\ \n } @program@ \N{HANGUL SYLLABLE GA} % end{tabular}'
    source = export(linear(), to, name=name)
    assert '""" +' not in source
    assert "@" not in source.replace("@{", "").replace("}@", "")
    if to in ("python", "sklearn"):
        load(source)
    assert clean_name(name) == clean_name(clean_name(name))


def test_random_programs_export_to_code_that_runs():
    source = random.Random(5)
    for _ in range(40):
        algorithm = random_algorithm(source)
        for kind in ("classification", "regression"):
            program = load(export(algorithm, "python", task_type=kind)).Program(4)
            with np.errstate(all="ignore"):
                program.setup()
                program.predict_one(np.ones(4))
                program.learn_one(np.ones(4), 1.0)
            compile(export(algorithm, "sklearn", task_type=kind), "exported.py", "exec")


def test_python_export_needs_numpy_only(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(export(neural_network(), "python"))
    code = (
        "import sys, numpy as np, model\n"
        "x = np.random.default_rng(0).standard_normal((300, 3)); y = (x.sum(axis=1) > 0) * 1.0\n"
        "program = model.train(x, y, epochs=20)\n"
        "print(np.mean((model.predict(program, x) > 0) == y) > 0.8, 'sklearn' in sys.modules, 'engine' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.split() == ["True", "False", "False"]


# --- scikit-learn -------------------------------------------------------------------------------------------------------

ESTIMATORS = [
    ("linear", "classification", "LinearClassifier"), ("affine", "classification", "AffineClassifier"),
    ("net", "classification", "NetClassifier"), ("net-without-bias", "classification", "NetWithoutBiasClassifier"),
    ("bilinear", "classification", "BilinearClassifier"), ("linear", "regression", "LinearRegressor"),
    ("affine", "regression", "AffineRegressor"), ("net", "regression", "NetRegressor"),
    ("softmax-linear", "classification", "SoftmaxLinearClassifier"),
    ("softmax-net", "classification", "SoftmaxNetClassifier"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "task_type", "class_name"), ESTIMATORS)
def test_estimators_pass_the_checks_of_scikit_learn(name, task_type, class_name):
    from sklearn.utils.estimator_checks import check_estimator

    module = load(export(BASELINES[name].build(), "sklearn", name=name, task_type=task_type))
    sys.modules["exported"] = module  # pickling looks it up there
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = check_estimator(getattr(module, class_name)(), on_fail=None)
    finally:
        del sys.modules["exported"]
    failed = {one["check_name"]: repr(one["exception"]) for one in results if one["status"] == "failed"}
    assert not failed
    assert sum(one["status"] == "passed" for one in results) > 40


@pytest.mark.parametrize("name", ["linear", "net"])
def test_estimator_predicts_as_the_module_does(name):
    task = build_tasks(TaskSpec(kind="projected", dataset="digits", count=1, features=8, train_examples=240), seed=3, role="search")[0]  # fmt: skip
    algorithm = BASELINES[name].build()
    model = load(export(algorithm, "sklearn")).EvolvedClassifier(epochs=1, standardize=False, random_state=0)
    model.fit(task.train_features, task.train_labels)
    module = load(export(algorithm, "python"))
    program = module.train(task.train_features, task.train_labels, seed=model.seed_)
    expected = module.predict(program, task.valid_features)
    assert np.allclose(model.decision_function(task.valid_features), expected)
    assert np.allclose(model.predict_proba(task.valid_features)[:, 1], 1 / (1 + np.exp(-expected)))
    assert np.array_equal(model.predict(task.valid_features), (expected > 0).astype(float))


@pytest.mark.parametrize("name", ["softmax-linear", "softmax-net"])
def test_estimators_of_many_classes(name):
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    model = load(export(BASELINES[name].build(), "sklearn")).EvolvedClassifier(epochs=3, random_state=0)
    assert model.fit(x[:700], y[:700]).score(x[700:1000], y[700:1000]) > 0.8
    assert model.predict_proba(x[:5]).shape == model.decision_function(x[:5]).shape == (5, 10)
    assert np.allclose(model.predict_proba(x[:5]).sum(axis=1), 1)
    few = model.fit(x[:300, 20:24], np.array(list("abcdefghij"))[y[:300]])  # fewer columns than classes
    assert set(few.predict(x[:300, 20:24])) <= set("abcdefghij")
    assert few.program_.n_features == 10


@pytest.mark.parametrize("seed", range(60))
def test_module_of_many_classes_predicts_as_the_naive_interpreter_does(seed):
    source = random.Random(seed)
    algorithm = vector_algorithm(source)
    (task,) = class_tasks(1, 4, 3)
    run = naive.run(algorithm, task, algorithm.registers_used())
    module = load(export(algorithm, "python"))
    try:
        program = module.train(task.train_features, task.train_labels, classes=3)
    except module.TrainingFailed:
        assert run.failed
        return
    assert not run.failed
    with np.errstate(all="ignore"):
        found = module.predict(program, task.valid_features)
    if not any(one.op in CHAOTIC for function in algorithm.functions for one in function):
        np.testing.assert_allclose(found, np.array(run.predictions)[:, :3], rtol=1e-4, atol=1e-6)


def test_more_classes_than_features_are_refused():
    module = load(export(BASELINES["softmax-linear"].build(), "python"))
    with pytest.raises(ValueError, match="3 classes, allowed are up to the number of features, 2"):
        module.train(np.zeros((3, 2)), [0, 1, 2])
    with pytest.raises(
        ValueError, match='task_type: "regression" is not allowed, the labels of this program are vectors'
    ):
        export(BASELINES["softmax-linear"].build(), "python", task_type="regression")


def test_estimator_of_the_bilinear_model_predicts_with_the_accumulated_weights():
    task = build_tasks(TaskSpec(kind="projected", dataset="digits", count=1, features=8, train_examples=240), seed=3, role="search")[0]  # fmt: skip
    model = load(export(bilinear(), "sklearn")).EvolvedClassifier(epochs=1, standardize=False, random_state=0)
    model.fit(task.train_features, task.train_labels)
    (program,) = model.programs_
    assert np.array_equal(program.m0, program.m2)
    assert model.score(task.valid_features, task.valid_labels) > 0.8


def test_many_classes_are_learned_one_against_the_rest():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    model = load(export(linear(), "sklearn")).EvolvedClassifier(epochs=2, random_state=0)
    assert model.fit(x[:600], y[:600]).score(x[600:900], y[600:900]) > 0.8
    assert model.predict_proba(x[:5]).shape == (5, 10)
    assert np.allclose(model.predict_proba(x[:5]).sum(axis=1), 1)


# --- JSON and LaTeX -----------------------------------------------------------------------------------------------------


def test_json_is_the_program_as_found():
    source = random.Random(2)
    for _ in range(20):
        algorithm = random_algorithm(source)
        data = json.loads(export(algorithm, "json", name="x"))
        read = Algorithm.from_json(data)
        assert read == Algorithm.from_json(algorithm.to_json())
        assert data["digest"] == algorithm.digest().hex()


def test_latex_is_balanced():
    source = random.Random(3)
    for op in Op:
        text = formula(random_instruction(source, [op]))
        assert text.count("{") == text.count("}"), text
        assert "{{" not in text
    text = export(neural_network(), "latex", name="A net")
    assert text.startswith("% A net: A 2-layer net")
    assert text.count("$") % 2 == 0
    assert r"s_{4} \gets s_{0} - s_{1}" in text
    assert r"\mathbf{M}_{1} \gets \mathbf{v}_{7} \mathbf{v}_{0}^\top" in text
    assert text.endswith("\\end{tabular}\n")


def test_refuses_other_formats():
    with pytest.raises(ValueError, match='to: "java" is not allowed, one of python, sklearn, json, latex is'):
        export(linear(), "java")
    with pytest.raises(ValueError, match='task_type: "ranking" is not allowed'):
        export(linear(), "python", task_type="ranking")
