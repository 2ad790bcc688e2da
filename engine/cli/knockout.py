"""``knockout``: what each line and each motif of a program is worth on the tasks of a preset."""

from __future__ import annotations

import argparse
from typing import Any

from engine.algorithm import Algorithm, Registers
from engine.baselines import BASELINES
from engine.cli.common import Refusal, dump_json, read_algorithm
from engine.presets import preset
from engine.spec import SearchSpec


def main(args: argparse.Namespace) -> int:
    """Measure and print. Raises Refusal, ProgramError, SpecError or TaskError before anything is written."""
    spec = preset(args.preset)
    algorithm = _algorithm(args)
    if algorithm.vector_labels != spec.vector_labels:
        kind = {False: "two classes or numbers (labels in s0)", True: "many classes (labels in v2)"}
        raise Refusal(
            f"program: it learns {kind[algorithm.vector_labels]}, the tasks of preset {spec.name} are {kind[spec.vector_labels]}"
        )
    from engine.knockout import knock_outs
    from engine.removal import room

    registers = room(algorithm)
    other = "search" if args.role != "search" else "select"
    evaluator = _evaluator(spec, args.role, registers, args.seed, "--role")
    tuning = _evaluator(spec, other, registers, args.seed, "--retune") if args.retune else None
    outcome = knock_outs(algorithm, evaluator, tuning, trials=args.retune or 0)
    assert outcome is not None
    print(dump_json(outcome.to_json(), indent=2) if args.json else _text(algorithm, outcome))
    return 0


def _algorithm(args: argparse.Namespace) -> Algorithm:
    if args.baseline is None:
        return read_algorithm(args.file)
    if args.baseline not in BASELINES:
        raise Refusal(f'--baseline: "{args.baseline}" is not known, allowed: {", ".join(BASELINES)}')
    return BASELINES[args.baseline].build()


def _evaluator(spec: SearchSpec, role: str, registers: Registers, seed: int, option: str) -> Any:
    from engine.evaluator import Evaluator
    from engine.task_building import build_tasks

    part = getattr(spec, f"{role}_tasks")
    if part is None:
        raise Refusal(f"{option}: preset {spec.name} has no {role} tasks")
    tasks = build_tasks(part, seed=seed, role=role)
    return Evaluator(tasks, registers, seed=seed, epochs=part.epochs, max_abs_error=spec.max_abs_error)


def _text(algorithm: Algorithm, outcome: Any) -> str:
    tuned = outcome.retuned_fitness is not None
    whole = f"Whole program: {outcome.fitness:.4f}"
    if tuned:
        whole += f", with re-tuned constants {outcome.retuned_fitness:.4f} ({outcome.trials} trials)"
    lines = [f"{whole}; mean over {outcome.tasks} task(s)", ""]
    lines.append(
        f"{'change without it':>20}  {'both re-tuned':>20}  line" if tuned else f"{'change without it':>20}  line"
    )
    source = [text for text in algorithm.pseudocode().splitlines() if not text.startswith("def ") and text != "  pass"]
    for one, text in zip(outcome.lines, source, strict=True):
        lines.append(f"{_changes(one, tuned)}  {one.function}: {text.strip()}")
    lines += [f"{_changes(one, tuned)}  motif: {one.motif}" for one in outcome.motifs]
    return "\n".join(lines)


def _changes(one: Any, tuned: bool) -> str:
    return f"{_change(one.change):>20}" + (f"  {_change(one.retuned):>20}" if tuned else "")


def _change(change: Any) -> str:
    return f"{change.mean:+.4f}" + ("" if change.error is None else f" ± {change.error:.4f}")
