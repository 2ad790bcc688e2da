"""``python -m engine bench``: what the engine does in a second, beside figures of the published C++ code.

Unless it says otherwise a row is the median of several runs in this process, compiled beforehand. The calibration rows time a fixed NumPy matrix
product and a fixed chain of dependent scalar operations in the same run, so that figures of two machines can be compared.
The reference's figures are of another machine (docs/performance.md): ratios of runs side by side are what counts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from engine import bench_processes, bench_reference, bench_scaling
from engine.alarms import random_algorithm
from engine.algorithm import Algorithm, Instruction, Registers
from engine.baselines import linear, neural_network
from engine.bench_work import PROGRAMS, breed, demo_search, prepared, random_island
from engine.core import context
from engine.core.jit import compiled
from engine.evaluator import Evaluator
from engine.ops import OPS, Op
from engine.presets import preset
from engine.search import Search
from engine.task import Task


@dataclass(frozen=True)
class Row:
    """One measurement: its median, smallest and largest value, and the reference's figure where there is one."""

    name: str
    unit: str
    median: float
    low: float
    high: float
    reference: float | None = None
    higher_is_better: bool = True

    @property
    def ratio(self) -> float | None:
        """How many times better than the reference's figure."""
        if self.reference is None:
            return None
        return self.median / self.reference if self.higher_is_better else self.reference / self.median


def main(args: argparse.Namespace) -> int:
    """Print the table, or with --json one object."""
    if args.chart and not args.scaling:
        print("bench: --chart needs --scaling", file=sys.stderr)
        return 2
    if args.reference:
        return _beside_the_reference(args)
    rows = processes()  # before this process is pinned to a core
    pin_to_one_core()
    for measure in (calibration, demo, random_programs, known_programs, long_programs):
        _announce(measure.__name__.replace("_", " "))
        rows += measure()
    if args.ops:
        rows += each_op()
    if args.seeds:
        rows += time_to_solve(args.seeds)
    if args.scaling:
        points = bench_scaling.curves(_announce)
        rows += [
            Row(f"{name} {value}", "µs an individual", cost, cost, cost, None, False)
            for name, curve in points.items()
            for value, cost in curve
        ]
        if args.chart:
            bench_scaling.write_chart(points, Path(args.chart))
    if args.json:
        print(json.dumps({"rows": [{**asdict(row), "ratio": row.ratio} for row in rows]}))
        return 0
    if args.markdown:
        print("| row | median | unit | reference | times better |\n| --- | --- | --- | --- | --- |")
        for row in rows:
            reference, ratio = ("", "") if row.reference is None else (_short(row.reference), f"{row.ratio:.1f}")
            print(f"| {row.name} | {_short(row.median)} | {row.unit} | {reference} | {ratio} |")
        return 0
    width = max(len(row.name) for row in rows)
    print(f"{'':{width}}  {'median':>10} {'low':>10} {'high':>10}  unit                      reference  times better")
    for row in rows:
        reference = "" if row.reference is None else f"{_short(row.reference):>9}  {row.ratio:.1f}"
        numbers = " ".join(f"{_short(value):>10}" for value in (row.median, row.low, row.high))
        print(f"{row.name:{width}}  {numbers}  {row.unit:<24}  {reference}".rstrip())
    return 0


def _beside_the_reference(args: argparse.Namespace) -> int:
    """Print ratios of runs side by side."""
    pin_to_one_core()
    _announce("by turns with the reference")
    try:
        pairs = bench_reference.pairs(*args.reference)
    except bench_reference.ReferenceFailed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps({"pairs": [{**pair._asdict(), "ratios": pair.ratios} for pair in pairs]}))
        return 0
    if args.markdown:
        print("| row | ours | reference | unit | times better (quartiles) |\n| --- | --- | --- | --- | --- |")
    width = max(len(pair.name) for pair in pairs)
    for pair in pairs:
        values = [_short(statistics.median(values)) for values in (pair.ours, pair.reference)]
        low, median, high = pair.ratios
        better = f"{median:.1f} ({low:.1f}–{high:.1f})"
        if args.markdown:
            print(f"| {pair.name} | {values[0]} | {values[1]} | {pair.unit} | {better} |")
        else:
            print(
                f"{pair.name:{width}}  {values[0]:>9}  reference {values[1]:>9}  {pair.unit:<16}  {better} times better"
            )
    return 0


def pin_to_one_core() -> None:
    """Keep this process on one core, where the system allows it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def calibration() -> list[Row]:
    """Time a 512 x 512 matrix product, a chain of 10 million dependent multiplications and additions, and reading what the evaluations
    of known programs read."""
    matrix = np.random.default_rng(0).normal(size=(512, 512))
    examples = np.ones(10 * 16 * 9000)
    _chain(1.0, 10)
    return [
        _row("NumPy 512 x 512 product", "ms", 1e3, lambda: matrix @ matrix, runs=9, higher=False),
        _row(
            "scalar multiply-add chain", "ns a step", 1e9 / 1e7, lambda: _chain(1.0, 10_000_000), runs=5, higher=False
        ),
        _row("NumPy sum of 11.5 MB", "ms", 1e3, examples.sum, runs=9, higher=False),
    ]


@compiled()
def _chain(x, count):
    for _ in range(count):
        x = x * 0.999999 + 1e-7
    return x


def demo() -> list[Row]:
    """Count individuals a second over a whole experiment of the linear demo (200 million training steps)."""
    rates = []
    for seed in (1, 2, 3):
        search = demo_search(seed, 200_000_000)
        counters = search.run(seconds=1e9).counters
        rates.append(counters.individuals / counters.seconds)
    return [_summary("linear-demo, FEC on: individuals", "a second", rates, 45_000)]


def random_programs() -> list[Row]:
    """Count task-training-steps a second of random programs of the linear demo, each evaluated in full, without FEC."""
    rates, individuals = [], []
    for seed in (1, 2, 3):
        island = random_island(seed)
        began = time.perf_counter()
        breed(island, PROGRAMS)
        seconds = time.perf_counter() - began
        rates.append(island.train_steps / seconds)
        individuals.append(island.births / seconds)
    return [
        _summary("random demo programs, FEC off: steps", "task-steps a second", rates, 37e6),
        _summary("random demo programs, FEC off: programs", "a second", individuals),
    ]


def known_programs() -> list[Row]:
    """Time an evaluation of the linear model and the 2-layer net on 10 classification tasks, F=16, 8000 + 1000 examples."""
    evaluator = Evaluator(synthetic_tasks(10, 16, 8000, 1000), Registers(5, 9, 2))
    rows = []
    for name, algorithm, reference in (("linear model", linear(), 3.1), ("2-layer net", neural_network(), 22.6)):
        run = prepared(evaluator, algorithm)
        rows.append(
            _row(
                f"{name}, F=16, D=10, 8000 + 1000",
                "ms an evaluation",
                1e3,
                run,
                runs=7,
                higher=False,
                reference=reference,
            )
        )
    return rows


def long_programs() -> list[Row]:
    """Count task-training-steps a second of random programs of section 4.2's sizes, every op as likely, F=16, D=10.

    100 programs of 21, 21 and 45 instructions over 10, 16 and 4 registers, dead instructions removed, 200 + 100 examples."""
    evaluator = Evaluator(synthetic_tasks(10, 16, 200, 100), Registers(10, 16, 4))
    source = random.Random(1)
    ops = [info.op for info in OPS if info.op != Op.NO_OP]
    chosen = [random_algorithm(source, (21, 21, 45), ops, Registers(10, 16, 4)) for _ in range(100)]
    rates = []
    for _ in range(5):
        steps, seconds = 0, 0.0
        for algorithm in chosen:
            run = prepared(evaluator, algorithm)
            began = time.perf_counter()
            steps += run()
            seconds += time.perf_counter() - began
        rates.append(steps / seconds)
    return [_summary("random programs of section 4.2's sizes, all ops, F=16", "task-steps a second", rates)]


def processes() -> list[Row]:
    """Time the start of a search with and without compiled code on disk, two searches on two cores, and measure memory."""
    _announce("compiling, memory, two cores")
    cold, cached = bench_processes.start_seconds()
    rows = [
        Row("start of a search, nothing compiled", "s", cold, cold, cold, None, False),
        Row("start of a search, compiled before", "s", cached, cached, cached, None, False),
    ]
    megabytes = bench_processes.memory()
    rows.append(Row("memory, P=1000, programs of section 4.2", "MB", megabytes, megabytes, megabytes, None, False))
    both = bench_processes.two_cores()
    if both is not None:
        ratio = both[1] / both[0]
        rows.append(Row("two linear-demos on two cores", "times one on one", ratio, ratio, ratio))
    return rows


def time_to_solve(seeds: int) -> list[Row]:
    """Time the linear demo until it is solved, for seeds 1, 2, … one after the other; every seed, then the median."""
    times = []
    rows = []
    for seed in range(1, seeds + 1):
        _announce(f"linear-demo until solved, seed {seed}")
        search = Search.start(preset("linear-demo"), seed)
        report = search.run(seconds=1e9)
        name = f"linear-demo, seed {seed}: {report.finish_reason} in experiment {report.counters.experiments}"
        times.append(report.counters.seconds)
        rows.append(Row(name, "s", times[-1], times[-1], times[-1], None, False))
    return [*rows, _summary(f"linear-demo until solved, {seeds} seeds", "s", times, 62.0, higher=False)]


def each_op() -> list[Row]:
    """Time every op on F=16, D=10: 64 times the op in Learn, less an empty program, in ns an instruction and all tasks.

    The share of the cache's rate counts operands read and written once, in all lanes, those without a task too."""
    tasks = synthetic_tasks(10, 16, 200, 1)
    evaluator = Evaluator(tasks, Registers(5, 4, 3))
    lanes = int(evaluator.groups.contexts[:, context.LANES].sum())
    empty = _best(prepared(evaluator, Algorithm(), keep=True))
    limit = _stream_rate()
    rows = [Row("sum of two arrays in the first-level cache", "bytes a ns", limit, limit, limit)]
    for info in OPS:
        if info.op == Op.NO_OP:
            continue
        constants = tuple(
            {"i": 0.3, "j": 0.6, "lo": -0.5, "hi": 0.5, "sd": 0.1}.get(name, 0.25) for name in info.constants
        )
        out = {"s": 2, "v": 1, "m": 0}[info.output]
        first = {"s": 3, "v": 2, "m": 1}.get(info.inputs[:1], 0)
        second = {"s": 4, "v": 3, "m": 2}.get(info.inputs[1:2], 0)
        line = Instruction(info.op, first, second, out, constants)
        seconds = _best(prepared(evaluator, Algorithm((), (), (line,) * 64), keep=True)) - empty
        cost = seconds / 200 / 64 * 1e9
        moved = sum({"s": 1, "v": 16, "m": 256}[kind] for kind in info.inputs + info.output) * 8 * lanes
        share = moved / max(cost, 1e-9) / limit
        name = f"{info.op.name} ({100 * share:.0f}% of the first-level cache's bytes)"
        rows.append(Row(name, "ns an instruction, 10 tasks", cost, cost, cost, None, False))
    return rows


def _stream_rate() -> float:
    """Return the bytes that a sum of two arrays of 8 kB reads and writes in a nanosecond: what an op can reach at best."""
    a, b, c = (np.ones(1024) for _ in range(3))
    seconds = _best(lambda: _sums(a, b, c, 20_000))
    return 3 * a.nbytes * 20_000 / seconds / 1e9


@compiled()
def _sums(a, b, c, count):
    for round_ in range(count):
        for k in range(a.shape[0]):
            c[k] = a[k] + b[k]
        a[round_ % a.shape[0]] = c[0] * 0.5


def synthetic_tasks(count: int, features: int, train: int, valid: int) -> list[Task]:
    """Return two-class tasks with labels of random linear rules, a tenth of them wrong."""
    source = np.random.Generator(np.random.PCG64(7))
    tasks = []
    for _ in range(count):
        x = source.normal(size=(train + valid, features))
        y = ((x @ source.normal(size=features) > 0) ^ (source.random(train + valid) < 0.1)).astype(np.float64)
        tasks.append(Task(features, "ACCURACY", x[:train], y[:train], x[train:], y[train:]))
    return tasks


def _announce(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


def _times(run: Callable[[], object], runs: int) -> list[float]:
    """Return the seconds that each of several runs takes, after one that does not count."""
    run()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return times


def _best(run: Callable[[], object], runs: int = 5) -> float:
    return min(_times(run, runs))


def _row(name, unit, scale, run, *, runs, higher, reference=None) -> Row:
    return _summary(name, unit, [seconds * scale for seconds in _times(run, runs)], reference, higher)


def _summary(name: str, unit: str, values: list[float], reference: float | None = None, higher: bool = True) -> Row:
    return Row(name, unit, statistics.median(values), min(values), max(values), reference, higher)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
