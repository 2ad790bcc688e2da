"""`make storing`: what it costs a search to be a job that stores everything in PostgreSQL, against the engine alone.

The same search (specification and seed) runs by turns in a bare process of the engine and in the worker of a product as `make run`
starts it: with slices, heartbeats, progress, checkpoints, ancestry, curves and finds. Both are kept on one core, at the same priority,
and the worker's processes on no other; database, web server and scheduler are wherever the system puts them. Compared is the time from
the first program to the end on the clock, each run against its neighbour, and what both found must be the same.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from tests.load import cpu
from tests.product import ROOT, Product, given_servers

SPEC = """
from dataclasses import replace
from engine.presets import preset
from engine.spec import StopSpec
spec = replace(preset({preset!r}), stages=(), stop=StopSpec(max_seconds=36000.0, max_individuals={individuals}, max_experiments=1))
"""

ALONE = """
import json, os, sys, time
os.sched_setaffinity(0, {{{core}}})
os.nice({nice})
from engine.search import Search
for line in sys.stdin:
    began, used = time.time(), time.process_time()
    search = Search.start(spec, {seed})
    report = search.run(seconds=float("inf"))
    seconds = time.time() - began
    used = time.process_time() - used
    print(json.dumps([seconds, used, report.counters.seconds, report.counters.individuals, report.counters.train_steps, report.result.search_fitness]), flush=True)
"""

RUN = """
    SELECT extract(epoch FROM s.finished_at - s.started_at)::float, s.seconds, s.individuals, s.train_steps, f.score, s.state
    FROM experiments_search s LEFT JOIN experiments_find f ON f.id = s.result_id WHERE s.id = %s"""

MEASURED = """
    SELECT m.data IS NOT NULL FROM experiments_search s JOIN experiments_measurement m ON m.find_id = s.result_id WHERE s.id = %s"""

STORED = """
    SELECT (SELECT sum(slice_number) FROM experiments_island WHERE search_id = %(search)s) AS "slices",
      (SELECT count(*) FROM experiments_individual r JOIN experiments_island i ON i.id = r.island_id WHERE search_id = %(search)s) AS "rows of ancestry",
      (SELECT count(*) FROM experiments_curvepoint r JOIN experiments_island i ON i.id = r.island_id WHERE search_id = %(search)s) AS "curve points",
      (SELECT count(*) FROM experiments_find WHERE search_id = %(search)s) AS "finds",
      (SELECT max(length(data)) FROM experiments_checkpoint c JOIN experiments_island i ON i.id = c.island_id WHERE search_id = %(search)s)
        AS "bytes of a checkpoint" """


class Alone:
    """A process of the engine that runs the search whenever it is asked."""

    def __init__(self, options: argparse.Namespace, spec: str):
        program = spec + ALONE.format(core=options.core, seed=options.seed, nice=options.nice)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self) -> list[float]:
        """Return seconds, processor seconds, seconds of the search loop, programs, training steps, score."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        self.process.communicate()


class Job:
    """The product; its worker runs the search whenever it is asked."""

    def __init__(self, product: Product, options: argparse.Namespace, spec: str):
        self.product, self.options = product, options
        self.spec = spec
        self.database = product.database_url
        self.search = 0
        self.cpu: dict[str, float] = {}

    def run(self) -> list[float]:
        """Return as the engine alone does; waits until the short jobs about the result are done, too."""
        worker = self.product.child("slices")
        for process in [worker, *worker.children(recursive=True)]:
            process.cpu_affinity([self.options.core])
        before = cpu(self.product)
        self.search = self.product.launch(self.spec, seed=self.options.seed)
        with psycopg.connect(self.database, autocommit=True) as connection:
            while (row := connection.execute(RUN, [self.search]).fetchone())[0] is None:
                time.sleep(0.5)
            assert row[5] == "finished", f"the search ended as {row[5]}:\n{self.product.output()}"
            after = cpu(self.product)
            self.cpu = {kind: after[kind] - before.get(kind, 0.0) for kind in ("searches", "database")}
            while connection.execute(MEASURED, [self.search]).fetchone() != (True,):
                time.sleep(0.5)
        return [row[0], self.cpu["searches"], *row[1:5]]

    def stored(self) -> dict[str, int]:
        """Return what the last search left in the database."""
        with psycopg.connect(self.database, row_factory=psycopg.rows.dict_row) as connection:
            return {
                name: int(value)
                for name, value in connection.execute(STORED, {"search": self.search}).fetchone().items()
            }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make storing", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--preset", default="linear-demo")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--individuals", type=int, default=10_000_000, help="programs of each run")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    spec = SPEC.format(preset=options.preset, individuals=options.individuals)
    with tempfile.TemporaryDirectory(prefix="abovo-storing-", ignore_cleanup_errors=True) as folder:
        product = Product(Path(folder), {"ABOVO_NUMBA_CACHE": str(ROOT / "var" / "numba"), **given_servers()})
        Path(folder).chmod(0o755)
        say("starting")
        product.without_first_search().start()
        try:
            worker = product.child("slices")
            options.nice = max((one.nice() for one in [worker, *worker.children(recursive=True)]), default=0)
            return measure(product, options, spec)
        finally:
            product.stop()
            product.clean_up()


def measure(product: Product, options: argparse.Namespace, spec: str) -> int:
    """Run the pairs, print them; returns 1 if one of the two found something else."""
    alone, job = Alone(options, spec), Job(product, options, spec)
    pairs = []
    try:
        for number in range(options.pairs + 1):
            say("once each, not counted" if number == 0 else f"pair {number} of {options.pairs}")
            # Whoever is first one time is second the next.
            results = {one: one.run() for one in ((alone, job) if number % 2 else (job, alone))}
            if results[alone][3:] != results[job][3:]:
                print(f"storing: alone {results[alone][3:]}, as a job {results[job][3:]}", file=sys.stderr)
                return 1
            if number:
                pairs.append((results[alone][:3], results[job][:3]))
    finally:
        alone.end()
    by_clock, by_processor, by_loop = (
        sorted(100 * one[kind] / other[kind] for one, other in pairs) for kind in range(3)
    )
    rate_alone, rate_as_job = (
        options.individuals / statistics.median(pair[side][0] for pair in pairs) for side in (0, 1)
    )
    result = {
        "preset": options.preset, "programs": options.individuals,
        "seconds, processor seconds and seconds of the search loop of each pair, alone and as a job": pairs,
        "programs a second alone": round(rate_alone), "programs a second as a job": round(rate_as_job),
        "speed of the job, % of the engine alone": round(statistics.median(by_clock), 1),
        "lowest and highest": [round(by_clock[0], 1), round(by_clock[-1], 1)],
        "the same by processor time of the worker": round(statistics.median(by_processor), 1),
        "lowest and highest by processor time": [round(by_processor[0], 1), round(by_processor[-1], 1)],
        "the same by the time of the search loop alone": round(statistics.median(by_loop), 1),
        "processor seconds of the last job": {kind: round(seconds, 1) for kind, seconds in job.cpu.items()},
        "stored by it": job.stored(),
    }  # fmt: skip
    if options.json:
        print(json.dumps(result))
        return 0
    for name, value in result.items():
        if isinstance(value, dict):
            value = ", ".join(f"{amount:,} {kind}" for kind, amount in value.items())
        elif name.startswith("seconds"):
            value = "; ".join(", ".join(f"{one:.1f}" for side in pair for one in side) for pair in pairs)
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        print(f"{name}: {value}")
    return 0


def say(text: str) -> None:
    print(f"storing: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
