"""Presets for a first look: a few minutes each, on data that is always there."""

from __future__ import annotations

from dataclasses import replace

from engine.algorithm import Registers
from engine.presets.common import HELD_OUT_PAIRS, ab_ovo, op_names
from engine.spec import FecSpec, FunctionSpec, HurdleSpec, SearchSpec, StopSpec, TaskSpec


def linear_demo() -> SearchSpec:
    """Return the published code's demonstration."""
    ops = op_names(56, 27, 2, 3, 18, 23)
    tasks = TaskSpec(kind="linear", count=10, features=4, train_examples=100, valid_examples=100)
    unseen = TaskSpec(kind="linear", count=100, features=4, train_examples=1000, valid_examples=100)
    return SearchSpec(
        name="linear-demo",
        title="A linear regressor, from random programs",
        description="The five-minute demonstration of the published code: 10 linear regression tasks of 4 features. "
        "Ends when an algorithm solves 100 new tasks almost perfectly.",
        search_tasks=tasks, select_tasks=unseen, final_tasks=unseen, fresh_tasks=True,
        registers=Registers(4, 3, 1),
        setup=FunctionSpec(ops, 10, 10), predict=FunctionSpec(ops, 2, 2), learn=FunctionSpec(ops, 8, 8),
        initial="random", population_size=1000, tournament_size=10, mutation_probability=0.9,
        mutations={"alter_parameter": 1.0, "randomize_instruction": 1.0, "randomize_function": 1.0},
        fec=FecSpec(),
        stop=StopSpec(max_train_steps=200_000_000, max_experiments=None, max_seconds=3600.0, sufficient_fitness=0.9999),
    )  # fmt: skip


def digits() -> SearchSpec:
    """Return the search of a newcomer's first minute."""
    tasks = TaskSpec(
        kind="projected", dataset="digits", count=16, features=8, train_examples=240, valid_examples=100,
        held_out_pairs=HELD_OUT_PAIRS,
    )  # fmt: skip
    unseen = replace(tasks, count=36, pairs="held_out")
    arithmetic = op_names(1, 2, 3, 4, 5, 15, 16, 18, 21, 23, 24, 25, 27, 48, 50)
    return SearchSpec(
        name="digits",
        title="From nothing, on handwritten digits",
        description="Starts from empty programs and evolves a way to learn to tell handwritten digits apart, two at a "
        "time, from 15 ops on numbers and vectors (sums, products, norms, steps) and 4 that set constants. A learner "
        "usually appears within the first minute.",
        search_tasks=tasks, select_tasks=unseen, final_tasks=unseen, select_candidates=20,
        registers=Registers(5, 9, 2),
        setup=FunctionSpec(op_names(56, 57, 62, 63), 1, 7),
        predict=FunctionSpec(arithmetic, 1, 11),
        learn=FunctionSpec(arithmetic, 1, 23),
        initial="empty", mutation_probability=0.9, fec=FecSpec(),
        stop=StopSpec(max_seconds=180.0, stagnation=12_000, max_experiments=100_000),
        **ab_ovo(HurdleSpec(train_examples=100, valid_examples=60)),
    )  # fmt: skip


def digits_all_ops() -> SearchSpec:
    """Return the same with all ops."""
    base = digits()
    all_ops = op_names(range(56), 60, 61)
    return replace(
        base,
        name="digits-all-ops",
        title="From nothing, on handwritten digits, all ops",
        description="The same with every op of the paper's search from scratch: 58 for Predict and Learn, 9 for Setup. "
        "Harder: not every run finds a learner in ten minutes.",
        setup=replace(base.setup, ops=op_names(range(56, 65))),
        predict=replace(base.predict, ops=all_ops),
        learn=replace(base.learn, ops=all_ops),
        stop=replace(base.stop, max_seconds=600.0),
    )
