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
from engine.scale import COMPILED_FEATURES, ScaledEvaluator, scaled_tasks, with_scale
from engine.spec import SearchSpec, TaskSpec
from engine.task import Task, tasks_from_text
from engine.task_building import build_tasks
from engine.tuning import Tuned, tune

MAX_REGISTER_VALUES = 10_000_000
"""Numbers that the registers of one task may hold together; the interpreter keeps up to 16 tasks at once."""


def main(args: argparse.Namespace) -> int:
    """Score every line; return 1 if any was refused. Raises Refusal, SpecError or TaskError before anything is written."""
    bench = _Bench(args)
    failed = False
    for line, problem in _lines(args):
        result: dict[str, Any] = {"id": None}
        try:
            if line is None:
                raise ProgramError(problem)
            result["id"] = _id(line)
            result |= bench.score(line)
        except ProgramError as error:
            result["error"] = " ".join(str(error).split())
            failed = True
        print(dump_json(result), flush=True)
    return int(failed)


def _id(line: dict[str, Any]) -> Any:
    """Return what names the program in the results: any value that can be written again. Raises ProgramError."""
    try:
        dump_json(line.get("id"))
    except RecursionError:
        raise ProgramError("id: nested too deeply") from None
    return line.get("id")


class _Bench:
    """The tasks, and one evaluator for each of them (or one for all), made when first needed."""

    def __init__(self, args: argparse.Namespace):
        self.memory, self.seed = args.memory, args.seed
        self._retune: _Retune | None = None
        self.scaled: ScaledEvaluator | None = None
        if args.tasks is not None:
            for name in ("features", "count", "train_examples", "valid_examples", "retune"):
                if getattr(args, name) is not None:
                    raise Refusal(f"--{name.replace('_', '-')}: only with --preset, which says how tasks are made")
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
            part = with_scale(
                part, features=args.features, count=args.count, train_examples=args.train_examples,
                valid_examples=args.valid_examples, epochs=args.epochs,
            )  # fmt: skip
            self.registers = args.registers or spec.registers
            self.options = {"epochs": part.epochs, "max_abs_error": spec.max_abs_error}
            if args.retune:
                self._retune = _Retune(args, spec, part)
            if part.features > COMPILED_FEATURES:
                self.tasks = []
                scaled = scaled_tasks(part, seed=args.seed, role=args.role)
                self.scaled = ScaledEvaluator(scaled, seed=args.seed, **self.options)
            else:
                self.tasks = build_tasks(part, seed=args.seed, role=args.role)
        self.all_by_default = args.tasks is None
        if args.memory and self.all_by_default and len(self.tasks) != 1:
            raise Refusal("--memory: only with --tasks, where a program runs on one task")
        for name in args.baseline or ():
            if name not in BASELINES:
                raise Refusal(f'--baseline: "{name}" is not known, allowed: {", ".join(BASELINES)}')
            self.registers = Registers(*map(max, self.registers, BASELINES[name].registers))
        self._check_memory()
        self._evaluators: dict[int | None, Any] = {}

    def score(self, line: dict[str, Any]) -> dict[str, Any]:
        """Return fitness and train_steps (and the fitness of each task, where there are several). Raises ProgramError."""
        if self.scaled is not None:
            return self._score_scaled(self.scaled, line)
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
        if self._retune is not None:
            tuned = self._retune.tuned(algorithm, self.registers)
            scores = self._evaluator(index).evaluate(tuned.algorithm).fitness
            result["retuned"] = _retuned(tuned, scores)
        return result

    def _score_scaled(self, evaluator: ScaledEvaluator, line: dict[str, Any]) -> dict[str, Any]:
        algorithm = Algorithm.from_json(line, registers=self.registers)
        outcome = evaluator.evaluate(algorithm)
        result: dict[str, Any] = {
            "fitness": float(outcome.fitness.mean()), "train_steps": int(outcome.train_steps.sum()),
            "task_fitness": outcome.fitness, "seconds": outcome.seconds.round(3),
        }  # fmt: skip
        if self._retune is not None:
            tuned = self._retune.tuned(algorithm, self.registers)
            result["retuned"] = _retuned(tuned, evaluator.evaluate(tuned.algorithm).fitness)
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


class _Retune:
    """Tunes constants on tasks of another role than those scored on, at the same scale but for their number of examples."""

    def __init__(self, args: argparse.Namespace, spec: SearchSpec, part: TaskSpec):
        role = "search" if args.role != "search" else "select"
        kin = getattr(spec, f"{role}_tasks")
        if kin is None:
            raise Refusal(f"--retune: preset {args.preset} has no {role} tasks to tune on")
        self.part = with_scale(
            kin, features=part.features, count=min(part.count, 4), epochs=1,
            train_examples=min(part.train_examples, args.retune_examples),
            valid_examples=min(part.valid_examples, args.retune_examples),
        )  # fmt: skip
        self.role, self.seed, self.trials, self.max_abs_error = role, args.seed, args.retune, spec.max_abs_error
        self._evaluator: Any = None

    def tuned(self, algorithm: Algorithm, registers: Registers) -> Tuned:
        """Return the program with the constants found. Raises ProgramError or TaskError."""
        if self._evaluator is None:
            self._evaluator = self._made(registers)
        return tune(
            algorithm,
            lambda one: float(self._evaluator.evaluate(one).fitness.mean()),
            trials=self.trials,
            seed=self.seed,
        )

    def _made(self, registers: Registers) -> Any:
        options = {"seed": self.seed, "epochs": self.part.epochs, "max_abs_error": self.max_abs_error}
        if self.part.features > COMPILED_FEATURES:
            return ScaledEvaluator(scaled_tasks(self.part, seed=self.seed, role=self.role), **options)
        from engine.evaluator import Evaluator

        return Evaluator(build_tasks(self.part, seed=self.seed, role=self.role), registers, **options)


def _retuned(tuned: Tuned, scores: Any) -> dict[str, Any]:
    return {
        "fitness": float(scores.mean()), "task_fitness": scores, "tuning_fitness": tuned.fitness,
        "program": tuned.algorithm.to_json(),
    }  # fmt: skip


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
