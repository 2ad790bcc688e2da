"""The engine and the published C++ search by turns on one core: ratios of runs side by side."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from engine.algorithm import Algorithm, Registers
from engine.baselines import linear, neural_network
from engine.bench_work import PROGRAMS, breed, demo_search, prepared, random_island
from engine.evaluator import Evaluator
from engine.spec import TaskSpec
from engine.task_building import build_tasks

ROUNDS = 15
STEPS = 50_000_000
"""Training steps of the demo's experiment: a quarter of the preset's."""
RATE = "a second"
_DATA = TaskSpec(kind="linear", count=10, features=16, train_examples=8000, valid_examples=1000)


class ReferenceFailed(RuntimeError):
    """The reference could not be run, or said no."""


class Pair(NamedTuple):
    """One measurement of both, in processor time: a value of each round."""

    name: str
    unit: str
    ours: list[float]
    reference: list[float]

    @property
    def ratios(self) -> tuple[float, float, float]:
        """How many times better ours is: of the rounds' ratios the first quartile, the median and the third."""
        higher = self.unit == RATE
        first, median, third = statistics.quantiles(
            [a / b if higher else b / a for a, b in zip(self.ours, self.reference)], n=4, method="inclusive"
        )
        return first, median, third


def pairs(demo: str, baseline: str) -> list[Pair]:
    """Measure both by turns.

    demo, baseline: paths of its program run_search_experiment, built for the registers of its scripts run_demo.sh (4/3/1) and
    run_baseline.sh (5/9/2). Raises ReferenceFailed, with what it said last, if one of them fails.
    """
    for program in (demo, baseline):
        if not os.path.isfile(program) or not os.access(program, os.X_OK):
            raise ReferenceFailed(f"{program}: no program that can be run")
    ours: list[tuple[Pair, Callable[[int], float], Callable[[int], float]]] = [
        (Pair("linear-demo, FEC on: individuals", RATE, [], []), _our_demo, partial(_individuals_a_second, demo)),
        (Pair("random demo programs, FEC off: programs", RATE, [], []), _our_programs, partial(_programs_a_second, demo)),
    ]  # fmt: skip
    for name, algorithm, hardcoded, count in (
        ("linear model", linear(), "LINEAR_ALGORITHM", 150),
        ("2-layer net", neural_network(), "NEURAL_NET_ALGORITHM", 30),
    ):
        pair = Pair(f"{name}, F=16, D=10, 8000 + 1000", "ms an evaluation", [], [])
        ours.append((pair, _our_evaluation(algorithm), partial(_milliseconds, baseline, hardcoded, count)))
    for seed in range(1, ROUNDS + 1):
        for pair, measure, measure_reference in ours:
            pair.ours.append(measure(seed))
            pair.reference.append(measure_reference(seed))
    return [pair for pair, _, _ in ours]


# ours -------------------------------------------------------------------------------------------------------------


def _our_demo(seed: int) -> float:
    search = demo_search(seed, STEPS)
    began = time.process_time()
    individuals = search.run(seconds=1e9).counters.individuals
    return individuals / (time.process_time() - began)


def _our_programs(seed: int) -> float:
    island = random_island(seed)
    began = time.process_time()
    breed(island, PROGRAMS)
    return PROGRAMS / (time.process_time() - began)


def _our_evaluation(algorithm: Algorithm) -> Callable[[int], float]:
    evaluate = prepared(Evaluator(build_tasks(_DATA, seed=1, role="search"), Registers(5, 9, 2)), algorithm)

    def run(seed: int) -> float:
        count = 100
        began = time.process_time()
        for _ in range(count):
            steps = evaluate()
        seconds = (time.process_time() - began) / count
        assert steps == _DATA.count * _DATA.train_examples, "it stopped early"
        return seconds * 1e3

    return run


# the reference ----------------------------------------------------------------------------------------------------

_OPS = "[SCALAR_CONST_SET_OP, VECTOR_INNER_PRODUCT_OP, SCALAR_DIFF_OP, SCALAR_PRODUCT_OP, SCALAR_VECTOR_PRODUCT_OP, VECTOR_SUM_OP]"


def _tasks(features: int, train: int, valid: int, count: int) -> str:
    return (
        f"tasks {{ scalar_linear_regression_task {{}} features_size: {features} num_train_examples: {train} "
        f"num_valid_examples: {valid} num_tasks: {count} eval_type: RMS_ERROR }}"
    )


def _fields(features: int, train: int, valid: int, **others: object) -> dict[str, object]:
    return {
        "setup_ops": _OPS, "predict_ops": _OPS, "learn_ops": _OPS, "search_tasks": f"{{ {_tasks(features, train, valid, 10)} }}",
        **others,
    }  # fmt: skip


def _demo_fields(steps: int) -> dict[str, object]:
    return _fields(
        4, 100, 100, setup_size_init=10, predict_size_init=2, learn_size_init=8,
        fec="{ num_train_examples: 10 num_valid_examples: 10 }", population_size=1000, tournament_size=10,
        initial_population="RANDOM_ALGORITHM", max_train_steps=steps, mutate_prob=0.9, progress_every=1000,
        allowed_mutation_types="{ mutation_types: [ALTER_PARAM_MUTATION_TYPE, RANDOMIZE_INSTRUCTION_MUTATION_TYPE, "
        "RANDOMIZE_COMPONENT_FUNCTION_MUTATION_TYPE] }",
    )  # fmt: skip


def _individuals_a_second(program: str, seed: int) -> float:
    seconds, said = _run(program, 4, _demo_fields(STEPS), seed)
    without, _ = _run(program, 4, _demo_fields(1), seed)
    return int(re.findall(r"indivs=(\d+)", said)[-1]) / (seconds - without)


def _programs_a_second(program: str, seed: int) -> float:
    fields = _demo_fields(1)
    del fields["fec"]
    few = 10
    seconds, _ = _run(program, 4, fields | {"population_size": PROGRAMS}, seed)
    without, _ = _run(program, 4, fields | {"population_size": few}, seed)
    return (PROGRAMS - few) / (seconds - without)


def _milliseconds(program: str, algorithm: str, count: int, seed: int) -> float:
    """Time copies of one algorithm: a population of one that is never mutated, and evaluated each time."""
    fields = _fields(
        _DATA.features, _DATA.train_examples, _DATA.valid_examples, setup_size_init=0, predict_size_init=0, learn_size_init=0,
        population_size=1, tournament_size=1, initial_population=algorithm, mutate_prob=0.0,
        allowed_mutation_types="{ mutation_types: [ALTER_PARAM_MUTATION_TYPE] }",
    )  # fmt: skip
    steps = _DATA.count * _DATA.train_examples
    seconds, _ = _run(program, _DATA.features, fields | {"max_train_steps": steps * count}, seed)
    without, _ = _run(program, _DATA.features, fields | {"max_train_steps": 1}, seed)
    return 1e3 * (seconds - without) / (count - 1)


def _run(program: str, features: int, fields: dict[str, object], seed: int) -> tuple[float, str]:
    """Return its processor seconds and what it printed."""
    spec = " ".join(f"{name}{'' if str(value).startswith('{') else ':'} {value}" for name, value in fields.items())
    few = _tasks(features, 10, 10, 1)
    command = [
        program, f"--search_experiment_spec={spec}", f"--select_tasks={few}", f"--final_tasks={few}",
        f"--random_seed={seed}", "--max_experiments=1", "--randomize_task_seeds",
    ]  # fmt: skip
    before = os.times()
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise ReferenceFailed(f"{program}: {error.strerror}") from None
    after = os.times()
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise ReferenceFailed(f"{program}: ended with status {done.returncode}, after it said: {said[-1]}")
    return after.children_user + after.children_system - before.children_user - before.children_system, done.stdout
