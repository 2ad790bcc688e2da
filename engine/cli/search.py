"""``search``: evolve an algorithm, with progress on standard error; Ctrl-C ends it with what it has, and status 130."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from engine.bundle.collect import Collector
from engine.cli.common import Refusal, dump_json, parse_json, parse_toml, read_text
from engine.presets import preset
from engine.spec import MigrationSpec, SearchSpec

_SLICE_SECONDS = 1.0
_LINE_SECONDS = 10.0
_WORKER_SEED_STEP = 1_000_003


def main(args: argparse.Namespace) -> int:
    """Search, then print the result. Raises Refusal, SpecError, TaskError or ProgramError before anything is written."""
    spec = _spec(args)
    _check_tasks(spec, args.seed)
    seeds = [args.seed + worker * _WORKER_SEED_STEP for worker in range(args.workers)]
    progress = Progress(sys.stderr)
    record = Record(args.record, spec) if args.record else None
    with interruptible() as stop:
        progress.say("compiling, or loading what an earlier run compiled …")
        began = time.perf_counter()
        _warm_up(spec, args.seed)
        compile_seconds = time.perf_counter() - began
        progress.say(f"ready after {compile_seconds:.1f} s; searching with seed {args.seed}")
        if spec.islands > 1:
            outcomes = _run_islands(spec, args.seed, args.workers, stop, progress, record)
        else:
            outcomes = _run_all(spec, seeds, stop, progress, record)
    progress.end()
    if not outcomes:
        print("python -m engine search: interrupted before there was anything to keep", file=sys.stderr)
        return 130
    summary = _summary(outcomes, compile_seconds)
    if record is not None:
        record.write(summary["seed"])
        progress.say(f"recorded in {args.record}")
    print(dump_json(summary) if args.json else _text(summary))
    return 130 if stop.is_set() else 0


def _spec(args: argparse.Namespace) -> SearchSpec:
    spec = read_spec(args.spec) if args.preset is None else preset(args.preset)
    if args.islands is not None:
        spec = spec.with_changes(islands=args.islands, migration=spec.migration or MigrationSpec())
    if args.max_seconds is not None:
        spec = spec.with_changes(stop=replace(spec.stop, max_seconds=args.max_seconds))
    if args.max_individuals is not None:
        # A limit in programs is exact, one in seconds is not: together they would not be.
        stop = replace(spec.stop, max_total_individuals=args.max_individuals, max_seconds=args.max_seconds)
        spec = spec.with_changes(stop=stop)
    return spec


def _check_tasks(spec: SearchSpec, seed: int) -> None:
    """Raise TaskError now if data is missing or too little, not when minutes have been spent on compiling and searching."""
    from engine.task_building import check_tasks

    for island in {index % max(len(spec.island_groups), 1) for index in range(spec.islands)}:
        check_tasks(spec.for_island(island).search_tasks, seed=seed, role="search")
    for part, role in ((spec.select_tasks, "select"), (spec.final_tasks, "final")):
        if part is not None:
            check_tasks(part, seed=seed, role=role)


def read_spec(path: str) -> SearchSpec:
    """Read a specification: TOML where the name ends in .toml, else JSON. Raises Refusal or SpecError."""
    text = read_text(path, "--spec")
    return SearchSpec.from_json(parse_toml(text, "--spec") if path.endswith(".toml") else parse_json(text, "--spec"))


class Record:
    """A bundle of the search that is reported, written when it has ended. Raises Refusal if the file cannot be."""

    def __init__(self, path: str, spec: SearchSpec):
        self.path, self.spec = Path(path), spec
        self._collectors: dict[int, Collector] = {}
        if self.path.is_dir() or not self.path.resolve().parent.is_dir():
            raise Refusal(f"--record: {path} is no file that can be written")

    def of(self, seed: int) -> Collector:
        """Return the collector of the search with this seed."""
        return self._collectors.setdefault(seed, Collector(self.spec, seed))

    def write(self, seed: int) -> None:
        """Write the search with this seed, whole or not at all."""
        part = self.path.with_name(self.path.name + ".part")
        try:
            with part.open("wb") as raw:
                packs = self.path.name.endswith(".gz")
                with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if packs else contextlib.nullcontext(raw) as file:
                    self.of(seed).write(file)
            part.replace(self.path)
        except OSError as error:
            raise Refusal(f"--record: cannot write {self.path}: {error.strerror}") from None


def _warm_up(spec: SearchSpec, seed: int) -> None:
    """Go through all that a search does with one that is thrown away, so that nothing is left to compile."""
    from engine.search import Search

    search = Search.start(spec.for_island(0), seed)
    search.run(seconds=0.0)
    search.conclude()
    search.checkpoint()


def _run_all(
    spec: SearchSpec, seeds: list[int], stop: threading.Event, progress: Progress, record: Record | None
) -> list[tuple[int, Any]]:
    """Run one search a seed, each in its own thread (compiled code releases the interpreter lock).

    When one is solved, the others end too. Returns (seed, last report) of those that have a result.
    """
    from engine.search import Search

    collectors = [record.of(seed) if record else None for seed in seeds]
    over = threading.Event()

    def ends() -> bool:
        return stop.is_set() or over.is_set()

    def run(position: int) -> Any:
        search, collector = Search.start(spec, seeds[position]), collectors[position]
        report = None
        while not search.finished and not ends():
            report = search.run(seconds=_SLICE_SECONDS, should_stop=ends)
            progress.update(position, report)
            if collector is not None:
                collector.take(0, report)
        if not search.finished:
            report = search.conclude("interrupted" if stop.is_set() else "solved elsewhere")
            if collector is not None and report.result is not None:
                collector.take(0, report)
        if report is not None and report.result is not None and report.result.solved:
            over.set()
        return report

    with ThreadPoolExecutor(len(seeds)) as pool:
        futures = [pool.submit(run, position) for position in range(len(seeds))]
        while not all(future.done() for future in futures):
            time.sleep(0.02)  # short sleeps let a signal reach Python
            if any(future.done() and future.exception() for future in futures):
                over.set()
        reports = [future.result() for future in futures]
    return [(seed, one) for seed, one in zip(seeds, reports, strict=True) if one is not None and one.result is not None]


def _run_islands(
    spec: SearchSpec, seed: int, workers: int, stop: threading.Event, progress: Progress, record: Record | None
) -> list[tuple[int, Any]]:
    """Run a search of several islands; returns (seed, last report) of those that have a result."""
    from engine.archipelago import Archipelago

    collector = record.of(seed) if record else None

    def on_report(index: int, report: Any) -> None:
        progress.update(index, report)
        if collector is not None:
            collector.take(index, report)

    reports = Archipelago(spec, seed).run(workers=workers, should_stop=stop.is_set, on_report=on_report)
    return [(seed, report) for report in reports]


@contextlib.contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C (or a request to end) into an event; a second one interrupts as usual."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, _frame: Any) -> None:
        stop.set()
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _summary(outcomes: list[tuple[int, Any]], compile_seconds: float) -> dict[str, Any]:
    """Return the object that --json prints: the best result, and the totals of all workers."""

    def merit(outcome: tuple[int, Any]) -> tuple[float, float]:
        result = outcome[1].result
        return (
            result.search_fitness if result.select_fitness is None else result.select_fitness,
            result.search_fitness,
        )

    seed, report = max(outcomes, key=merit)
    result, counters = report.result, [one.counters for _, one in outcomes]
    return {
        "solved": result.solved,
        "experiments": sum(one.experiments for one in counters),
        "individuals": sum(one.individuals for one in counters),
        "train_steps": sum(one.train_steps for one in counters),
        "seconds": max(one.seconds for one in counters),
        "compile_seconds": compile_seconds,
        "search_fitness": result.search_fitness,
        "select_fitness": result.select_fitness,
        "final_fitness": result.final_fitness,
        "select_error": result.select_error,
        "final_error": result.final_error,
        "cut": sum(one.cut for one in counters) / max(sum(one.short_runs for one in counters), 1),
        "seed": seed,
        "finish_reason": report.finish_reason,
        "program": result.algorithm.to_json(),
        "pseudocode": result.algorithm.pseudocode(),
    }


def _text(summary: dict[str, Any]) -> str:
    scores = [
        f"{name} {summary[key]:.6f}" + (f" ± {summary[f'{name}_error']:.6f}" if summary.get(f"{name}_error") else "")
        for name, key in (
            ("search", "search_fitness"),
            ("select", "select_fitness"),
            ("final", "final_fitness"),
        )
        if summary[key] is not None
    ]
    return (
        f"{'Solved' if summary['solved'] else 'Ended'} ({summary['finish_reason']}) after {summary['seconds']:.1f} s: "
        f"{summary['individuals']:,} programs in {summary['experiments']} experiment(s), seed {summary['seed']}\n"
        f"Fitness: {', '.join(scores)}\n\n{summary['pseudocode']}"
    )


class Progress:
    """Status on a stream: one line that rewrites itself on a terminal, a line every ten seconds elsewhere."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.rewrites = stream.isatty()
        self._reports: dict[int, Any] = {}
        self._last = time.monotonic()
        self._open = False
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """Print a line of its own."""
        self.end()
        print(text, file=self.stream, flush=True)

    def update(self, position: int, report: Any) -> None:
        """Take a worker's report, and show the state of all if it is time to."""
        with self._lock:
            self._reports[position] = report
            now = time.monotonic()
            if now - self._last < (_SLICE_SECONDS * 0.9 if self.rewrites else _LINE_SECONDS):
                return
            self._last = now
            text = self._line()
            if self.rewrites:
                self.stream.write(f"\r\x1b[K{text[:200]}")
                self.stream.flush()
                self._open = True
            else:
                print(text, file=self.stream, flush=True)

    def end(self) -> None:
        """Close the line that rewrites itself."""
        if self._open:
            print(file=self.stream, flush=True)
            self._open = False

    def _line(self) -> str:
        counters = [report.counters for report in self._reports.values()]
        individuals = sum(one.individuals for one in counters)
        seconds = max(one.seconds for one in counters)
        rate = sum(one.individuals / one.seconds for one in counters if one.seconds > 0)
        bests = [report.population_best.score for report in self._reports.values() if report.population_best]
        best = f", best of the population {max(bests):.4f}" if bests else ""
        experiments = sum(one.experiments for one in counters)
        return f"{seconds:7.1f} s  experiment {experiments}: {individuals:,} programs, {rate:,.0f} a second{best}"
