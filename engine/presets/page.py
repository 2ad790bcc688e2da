"""The page on the presets, docs/presets.md, generated from them: ``python -m engine presets --markdown``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from engine.algorithm import COMPONENT_FUNCTIONS
from engine.ops import Op
from engine.presets import preset, preset_names
from engine.spec import FunctionSpec, HurdleSpec, SearchSpec, TaskSpec

_INTRODUCTION = """\
# Presets

<!-- Generated: python -m engine presets --markdown > docs/presets.md -->

A preset is a ready specification of a search. It runs by its name, or is the beginning of one of your own:

    python -m engine search --preset linear-regressor --seed 1
    python -m engine evaluate --preset digits --baseline linear --baseline net
    python -m engine presets linear-regressor --toml > mine.toml
    python -m engine search --spec mine.toml

Sections, figures and supplements (S10) are those of Real et al. 2020, “AutoML-Zero”. Where the paper and the published code
differ, the small regressions and the baselines follow the code (mean over tasks, kinds of mutation equally likely), sections
4.2 and 4.3 the paper (median; an instruction is removed twice as often as added; constants times U[0.5, 2]; the oldest dies
before the tournament; hurdles). Data of CIFAR-10, MNIST and
Fashion-MNIST does not come with the program: see [datasets](datasets.md).
"""


def presets_markdown() -> str:
    """Return the page."""
    specs = [preset(name) for name in preset_names()]
    return "\n".join([_INTRODUCTION, _overview(specs), *(_section(spec) for spec in specs)])


def _overview(specs: Sequence[SearchSpec]) -> str:
    rows = [
        "| preset | registers s/v/m | sizes Setup/Predict/Learn | search tasks | population | start | ends after |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for spec in specs:
        sizes = "/".join(_size(function) for function in spec.functions)
        tasks = spec.search_tasks
        data = tasks.dataset or tasks.kind
        rows.append(
            f"| [{spec.name}](#{spec.name}) | {'/'.join(map(str, spec.registers))} | {sizes} "
            f"| {tasks.count} × {data}, F={tasks.features} | {spec.population_size:,} | {spec.initial} | {_ends(spec)} |"
        )
    return "\n".join(rows) + "\n"


def _section(spec: SearchSpec) -> str:
    lines = [f"## {spec.name}", "", f"**{spec.title}.** {spec.description}", ""]
    for role in ("search", "select", "final"):
        tasks = getattr(spec, f"{role}_tasks")
        if tasks is not None:
            lines.append(f"- {role.capitalize()} tasks: {_tasks(tasks)}")
    lines += [f"- {name.capitalize()}: {_function(one)}" for name, one in zip(COMPONENT_FUNCTIONS, spec.functions)]
    mutations = ", ".join(
        f"{kind.replace('_', ' ')} {weight:g}" for kind, weight in spec.mutations.items() if weight > 0
    )
    lines += [
        f"- Mutations: {mutations} (weights), with probability {spec.mutation_probability:g}"
        + (f", and each time another with probability {spec.more_mutations:g}" if spec.more_mutations else ""),
        f"- Population {spec.population_size:,}, tournaments of {spec.tournament_size}; {spec.fitness_combination} over tasks"
        + (f"; functional equivalence cache of {spec.fec.size:,}" if spec.fec else "")
        + (f"; {_SELECTIONS[spec.selection]}" if spec.selection in _SELECTIONS else "")
        + ("; constants altered by the paper’s rule" if spec.constant_rule == "paper" else "")
        + (f"; {_hurdle(spec.hurdle)}" if spec.hurdle else "")
        + (f"; {_VALIDITIES[spec.validity]}" if spec.validity in _VALIDITIES else "")
        + (f"; {spec.price:g} of its score as the price of a 2-layer net’s cost" if spec.price else "")
        + (f"; {spec.length_price:g} of its score for each live instruction" if spec.length_price else "")
        + (f"; {spec.newcomers:.0%} of the children from the first program" if spec.newcomers else "")
        + (f"; cost up to {spec.train_budget:g} times the 2-layer net’s" if spec.train_budget else ""),
        *_stages(spec.stages),
        f"- Ends: {_ends(spec)}",
    ]
    return "\n".join(lines) + "\n"


_STARTS = {
    "initial": "from the first program",
    "fresh": "from the best find of new beginnings",
    "recent": "from the best find since the last such stage",
    "best": "from the best find so far",
}


def _stages(stages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each stage; equal ones that follow each other share one."""
    number = 1
    for stage, same in groupby(stages):
        last = number + len(list(same)) - 1
        yield f"- {f'Stage {number}' if last == number else f'Stages {number} to {last}'}: {_stage(stage)}"
        number = last + 1


def _stage(stage: Mapping[str, Any]) -> str:
    changes = {key: value for key, value in stage.items() if key != "start"}
    if "mutations" in changes:
        weights = changes.pop("mutations").items()
        changes["mutations"] = ", ".join(
            f"{kind.replace('_', ' ')} {weight:g}" for kind, weight in weights if weight > 0
        )
    words = [_STARTS[stage.get("start", "initial")]]
    for key, value in changes.items():
        inner = ", ".join(f"{name} {one:g}" for name, one in value.items()) if isinstance(value, Mapping) else value
        words.append(f"`{key}` {inner}")
    return "; ".join(words)


_VALIDITIES = {
    "learns": "only programs whose prediction depends on features and labels are run",
    "corrects": "only programs whose prediction depends on features, labels and earlier predictions are run",
}
_SELECTIONS = {
    "regularized_paper": "the oldest dies before each tournament",
    "elitist": "the worst dies",
    "random": "random search",
    "ring": "the oldest’s neighbours in a ring compete to replace it",
}


def _hurdle(hurdle: HurdleSpec) -> str:
    return (
        f"hurdle at the {hurdle.percentile:g}th percentile after {hurdle.train_examples:,} examples "
        f"({hurdle.valid_examples:,} to validate on)"
    )


def _tasks(tasks: TaskSpec) -> str:
    kinds = {
        "linear": "linear regression",
        "affine": "affine regression",
        "net": "regression on the labels of random 2-layer nets",
        "projected": f"pairs of classes of {tasks.dataset}, projected at random",
        "classes": f"all classes of {tasks.dataset}, projected at random, with vector labels",
    }
    text = f"{tasks.count} of {kinds[tasks.kind]}, {tasks.features} features, {tasks.train_examples:,} training and "
    text += f"{tasks.valid_examples:,} validation examples"
    if tasks.epochs > 1:
        text += f", {tasks.epochs} epochs"
    if tasks.held_out_pairs and isinstance(tasks.pairs, str):
        text += ", held-out pairs only" if tasks.pairs == "held_out" else ", held-out pairs left out"
    return text


def _function(function: FunctionSpec) -> str:
    if not function.searched:
        return "given"
    return f"{_size(function)} instructions of {_ids([Op[name] for name in function.ops])}"


def _size(function: FunctionSpec) -> str:
    if not function.searched:
        return "given"
    if function.min_size == function.max_size:
        return str(function.max_size)
    return f"{function.min_size}–{function.max_size}"


def _ids(ops: Sequence[Op]) -> str:
    """Return op names; runs of four or more ids as a range."""
    runs: list[list[Op]] = []
    for op in sorted(ops):
        if runs and op == runs[-1][-1] + 1:
            runs[-1].append(op)
        else:
            runs.append([op])
    parts = []
    for run in runs:
        names = [f"`{op.name}`" for op in run]
        parts += [f"{names[0]} to {names[-1]} ({int(run[0])}–{int(run[-1])})"] if len(run) > 3 else names
    return ", ".join(parts)


def _ends(spec: SearchSpec) -> str:
    stop, parts = spec.stop, []
    if stop.sufficient_fitness is not None:
        parts.append(f"select fitness above {stop.sufficient_fitness:g}")
    if stop.max_seconds is not None:
        parts.append(f"{stop.max_seconds:,.0f} s")
    text = " or ".join(parts)
    limits = [
        f"{value:,} {unit}"
        for value, unit in (
            (stop.max_individuals, "programs"),
            (stop.max_train_steps, "training steps"),
            (stop.stagnation, "programs without a better one"),
        )
        if value
    ]
    return f"{text}; experiments of {' or '.join(limits)}" if limits else text
