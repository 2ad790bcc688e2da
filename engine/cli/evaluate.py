"""``evaluate``: programs as JSON lines on standard input, their results as JSON lines on standard output."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from engine.algorithm import Algorithm, ProgramError, Registers
from engine.baselines import BASELINES
from engine.cli.common import Refusal, dump_json, read_text
from engine.presets import preset
from engine.task import Task, build_tasks, tasks_from_text

MAX_REGISTER_VALUES = 10_000_000
"""Numbers that the registers of one task may hold together; the interpreter keeps up to 16 tasks at once."""


def main(args: argparse.Namespace) -> int:
    """Score every line; return 1 if any was refused. Raises Refusal, SpecError or TaskError before anything is written."""
    bench = _Bench(args)
    failed = False
    for line, problem in _lines(args):
        result = {"id": line.get("id")} if line is not None else {"id": None}
        try:
            if line is None:
                raise ProgramError(problem)
            result |= bench.score(line)
        except ProgramError as error:
            result["error"] = " ".join(str(error).split())
            failed = True
        print(dump_json(result), flush=True)
    return int(failed)


class _Bench:
    """The tasks, and one evaluator for each of them (or one for all), made when first needed."""

    def __init__(self, args: argparse.Namespace):
        self.memory, self.seed = args.memory, args.seed
        if args.tasks is not None:
            if args.registers is None:
                raise Refusal('--registers: needed with --tasks, as "S,V,M", for example "6,9,3"')
            self.tasks: list[Task] = tasks_from_text(read_text(args.tasks, "--tasks"))
            self.registers: Registers = args.registers
            self.options: dict[str, Any] = {"epochs": args.epochs or 1}
        else:
            spec = preset(args.preset)
            part = getattr(spec, f"{args.role}_tasks")
            if part is None:
                raise Refusal(f"--role: preset {args.preset} has no {args.role} tasks")
            self.tasks = build_tasks(part, seed=args.seed, role=args.role)
            self.registers = args.registers or spec.registers
            self.options = {"epochs": args.epochs or part.epochs, "max_abs_error": spec.max_abs_error}
        self.all_by_default = args.tasks is None
        if args.memory and self.all_by_default and len(self.tasks) > 1:
            raise Refusal("--memory: only with --tasks, where a program runs on one task")
        for name in args.baseline or ():
            if name not in BASELINES:
                raise Refusal(f'--baseline: "{name}" is not known, allowed: {", ".join(BASELINES)}')
            self.registers = Registers(*map(max, self.registers, BASELINES[name].registers))
        self._check_memory()
        self._evaluators: dict[int | None, Any] = {}

    def score(self, line: dict[str, Any]) -> dict[str, Any]:
        """Return fitness and train_steps (and the fitness of each task, where there are several). Raises ProgramError."""
        index = self._task_index(line)
        algorithm = Algorithm.from_json(line, registers=self.registers)
        outcome = self._evaluator(index).evaluate(algorithm, memory=self.memory)
        result: dict[str, Any] = {
            "fitness": float(outcome.fitness.mean()),
            "train_steps": int(outcome.train_steps.sum()),
        }
        if index is None:
            result["task_fitness"] = outcome.fitness
        if self.memory:
            result["memory"] = outcome.memory
        return result

    def _check_memory(self) -> None:
        scalars, vectors, matrices = self.registers
        for size in {task.features_size for task in self.tasks}:
            needed = scalars + vectors * size + matrices * size**2
            if needed > MAX_REGISTER_VALUES:
                raise Refusal(
                    f"--registers: {needed:,} numbers at {size} features, allowed are up to {MAX_REGISTER_VALUES:,}"
                )

    def _task_index(self, line: dict[str, Any]) -> int | None:
        index = line.get("task")
        if index is None and (self.all_by_default or len(self.tasks) == 1):
            return None if self.all_by_default else 0
        if type(index) is not int or not 0 <= index < len(self.tasks):
            shown = "missing" if index is None else f"{json.dumps(index)[:60]} is not allowed"
            raise ProgramError(f"task: {shown}; whole numbers from 0 to {len(self.tasks) - 1} are allowed")
        return index

    def _evaluator(self, index: int | None):
        if index not in self._evaluators:
            from engine.evaluator import Evaluator  # compiles: only once the input has been found good

            tasks = self.tasks if index is None else [self.tasks[index]]
            self._evaluators[index] = Evaluator(tasks, self.registers, seed=self.seed, **self.options)
        return self._evaluators[index]


def _lines(args: argparse.Namespace) -> Iterator[tuple[dict[str, Any] | None, str]]:
    """Yield (object, "") for each line of input, or (None, what is wrong with it)."""
    if args.baseline:
        for name in args.baseline:
            yield {"id": name, **BASELINES[name].build().to_json()}, ""
        return
    for number, raw in enumerate(sys.stdin.buffer, 1):
        if not raw.strip():
            continue
        try:
            data = json.loads(raw)
        except json.JSONDecodeError as error:
            yield None, f"line {number}: not valid JSON, column {error.colno}: {error.msg}"
        except (UnicodeDecodeError, RecursionError, ValueError):
            yield None, f"line {number}: not valid JSON"
        else:
            if isinstance(data, dict):
                yield data, ""
            else:
                yield None, f"line {number}: expected an object with setup, predict and learn"
