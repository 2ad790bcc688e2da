"""`make load`: fifty readers and two searches on one machine, over a database full of made-up searches.

Readers are threads of this process, each with a connection of its own: it opens a page, reads for a while (drawn from an exponential
distribution), follows a link to the next. Some watch one of the running searches: they open its page and then ask for news as the page's
script does. The searches run all the time; windows with and without readers alternate, so that a search that becomes slower by itself
is not put down to them.
"""

from __future__ import annotations

import argparse
import collections
import gzip
import http.client
import json
import os
import random
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.product import ROOT, Product, given_servers

PAGES = {
    "home": (2, "/"),
    "discoveries": (3, "/discoveries/"),
    "discoveries, chosen": (3, "/discoveries/?{choice}"),
    "searches": (2, "/searches/"),
    "search": (3, "/searches/{search}/"),
    "algorithm": (6, "/a/{algorithm}"),
    "ancestry": (2, "/a/{algorithm}/ancestry"),
    "tree": (1, "/searches/{search}/tree/"),
    "download": (1, "/a/{algorithm}/program.py"),
    "API": (1, "/api/v1/algorithms/{algorithm}"),
}
"""Kinds of pages: how often, and their addresses."""

CHOICES = (
    "all=1", "all=1&sort=found", "all=1&op=MATRIX_VECTOR_PRODUCT", "all=1&q=linear+digits", "all=1&motif=relu", "data=digits",
)  # fmt: skip
POLL_SECONDS = 2.0
TIMEOUT = 30.0

SAMPLE = """(lambda models: {
    "searches": list(models.Search.objects.filter(visibility="public", spec_name="synthetic").order_by("?").values_list("pk", flat=True)[:300]),
    "algorithms": list(models.Algorithm.objects.filter(published_at__isnull=False).order_by("?").values_list("permalink", flat=True)[:2000]),
    "counts": [models.Search.objects.count(), models.Algorithm.objects.count()],
})(__import__("importlib").import_module("webapp.experiments.models"))"""

LAUNCH = """(lambda launch, spec, preset: [launch.launch_search(seed=seed, title="Measured under load", spec=spec.SearchSpec.from_json(
    preset.preset("digits").to_json() | {"stop": {"max_seconds": 36000.0}, "stages": []})).pk for seed in (1, 2)])(
    *map(__import__("importlib").import_module, ("webapp.experiments.services.launch", "engine.spec", "engine.presets")))"""

STOP = """(lambda models, steer: [steer.stop_search(search_id=pk).pk for pk in models.Search.objects.filter(
    title="Measured under load").values_list("pk", flat=True)])(
    *map(__import__("importlib").import_module, ("webapp.experiments.models", "webapp.experiments.services.steer")))"""

PROGRESS = """list(__import__("webapp.experiments.models", fromlist=["x"]).Search.objects.filter(pk__in={ids}).order_by("pk").values_list(
    "individuals", flat=True))"""


@dataclass
class Log:
    """What readers saw: seconds of each page, and everything that was not an answer."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: collections.defaultdict(list))
    errors: list[str] = field(default_factory=list)
    bytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Reader(threading.Thread):
    """One of them. watches: the search that it watches; else it goes from page to page."""

    def __init__(
        self, port: int, log: Log, places: dict, think: float, end: threading.Event, watches: int | None = None
    ):
        super().__init__(daemon=True)
        self.port, self.log, self.places, self.think, self.end, self.watches = port, log, places, think, end, watches
        self.random = random.Random(id(self))
        self.connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        # They do not all come in the same moment.
        self.end.wait(self.random.uniform(0, self.think))
        while not self.end.is_set():
            if self.watches is None:
                kind = self.random.choices(list(PAGES), [weight for weight, _address in PAGES.values()])[0]
                address = PAGES[kind][1].format(
                    choice=self.random.choice(CHOICES), search=self.random.choice(self.places["searches"]),
                    algorithm=self.random.choice(self.places["algorithms"]),
                )  # fmt: skip
                self.ask(kind, address)
                self.end.wait(self.random.expovariate(1 / self.think) if self.think else 0)
            else:
                self.watch(self.ask("search that runs", f"/searches/{self.watches}/"))

    def watch(self, page: str) -> None:
        while not self.end.wait(POLL_SECONDS):
            found = re.search(r'data-polls hx-get="([^"]+)"', page)
            if not found:
                return
            page = self.ask("news of a search", found.group(1).replace("&amp;", "&"), {"HX-Request": "true"})

    def ask(self, kind: str, address: str, headers: dict | None = None) -> str:
        began, problem, body = time.perf_counter(), "", b""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
            self.connection.request("GET", address, headers={"Accept-Encoding": "gzip", **(headers or {})})
            answer = self.connection.getresponse()
            body = answer.read()
            if answer.status not in (200, 204, 286):
                problem = f"status {answer.status}"
            if answer.headers.get("Connection", "").lower() == "close":
                self.close()
            text = gzip.decompress(body) if answer.headers.get("Content-Encoding") == "gzip" else body
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            # The server may close what has been silent, as with any browser: once more, on a new one.
            fresh = time.perf_counter() - began
            self.close()
            if fresh < 1.0 and not (headers or {}).get("X-Again"):
                return self.ask(kind, address, {**(headers or {}), "X-Again": "1"})
            problem, text = f"{type(error).__name__}: {error}", b""
        except (OSError, http.client.HTTPException) as error:
            self.close()
            problem, text = f"{type(error).__name__}: {error}", b""
        took = time.perf_counter() - began
        with self.log.lock:
            self.log.seconds[kind].append(took)
            self.log.bytes += len(body)
            if problem:
                self.log.errors.append(f"{address}: {problem} after {took:.1f} s")
        return text.decode(errors="replace")

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


@dataclass
class Window:
    """A stretch of time: seconds, programs that the searches tried, seconds of processor time by kind of process."""

    seconds: float
    individuals: int
    cpu: dict[str, float]


KINDS = {
    "gunicorn": "web", "postgres": "database", "beam.smp": "broker", "slices": "searches", "default": "scheduler"
}  # fmt: skip
READING = ("web", "readers", "database", "broker")
"""What readers take: the database and the broker work for searches, too, with readers a little less than without."""
SERVERS = ("postgres", "beam.smp")
"""Names of processes that name neither the product's home nor its settings: all of the machine's count."""


def cpu(product: Product) -> dict[str, float]:
    """Seconds of processor time that the product's processes have had, by kind."""
    total: dict[str, float] = collections.defaultdict(float)
    found = product.processes()
    servers = [one for one in psutil.process_iter() if name_of(one) in SERVERS]
    for process in {*found, psutil.Process(), *servers, *(child for one in found for child in children(one))}:
        try:
            words = " ".join([process.name(), *process.cmdline()])
            kind = next((kind for word, kind in KINDS.items() if word in words), "rest")
            times = process.cpu_times()
            total["readers" if process.pid == os.getpid() else kind] += times.user + times.system
        except psutil.Error:
            continue
    return total


def name_of(process: psutil.Process) -> str:
    """Return a process's name, nothing if it has gone."""
    try:
        return process.name()
    except psutil.Error:
        return ""


def children(process: psutil.Process) -> list[psutil.Process]:
    """Return all processes beneath one."""
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def watch_window(product: Product, searches: list[int], seconds: float, log: Log | None, options) -> Window:
    """Let time pass, with readers if there is a log for them."""
    end = threading.Event()
    readers = []
    if log is not None:
        watchers = [searches[number % len(searches)] for number in range(options.watchers)]
        wanted = [*watchers, *[None] * (options.readers - len(watchers))]
        readers = [Reader(product.port, log, options.places, options.think, end, watches) for watches in wanted]
    before, cpu_before, began = sum(product.query(PROGRESS.format(ids=searches))), cpu(product), time.monotonic()
    for reader in readers:
        reader.start()
    end.wait(seconds)
    # What they have begun belongs to it; a query of ours does not.
    cpu_after, passed = cpu(product), time.monotonic() - began
    end.set()
    for reader in readers:
        reader.join(TIMEOUT + 5)
    after = sum(product.query(PROGRESS.format(ids=searches)))
    passed_all = time.monotonic() - began
    used = {kind: cpu_after[kind] - cpu_before.get(kind, 0.0) for kind in cpu_after}
    return Window(passed, round((after - before) * passed / passed_all), used)


def report(log: Log, alone: list[Window], read: list[Window], options) -> dict:
    """All that was measured, as one object."""

    def rate(windows):
        return sum(one.individuals for one in windows) / sum(one.seconds for one in windows)

    def share(windows, *kinds):
        cores = len(os.sched_getaffinity(0)) * sum(one.seconds for one in windows)
        return sum(one.cpu.get(kind, 0.0) for one in windows for kind in kinds) / cores

    everything = sorted(second for seconds in log.seconds.values() for second in seconds)
    return {
        "readers": options.readers, "of them watching": options.watchers, "mean seconds on a page": options.think,
        "searches stored": options.places["counts"][0], "algorithms stored": options.places["counts"][1],
        "cores": len(os.sched_getaffinity(0)), "seconds with readers": round(sum(one.seconds for one in read)),
        "requests": len(everything), "a second": round(len(everything) / sum(one.seconds for one in read), 1),
        "errors": log.errors,
        "milliseconds": {
            kind: {"requests": len(seconds), **quantiles(seconds)} for kind, seconds in {**log.seconds, "all": everything}.items()
        },
        "programs a second alone": round(rate(alone)), "programs a second with readers": round(rate(read)),
        "searches slowed by": round(1 - rate(read) / rate(alone), 3),
        # Of all cores: what web server, readers and the database took more than without them.
        "readers' share of the processors": round(
            share(read, *READING) - share(alone, *READING), 3),
        "shares alone": {kind: round(share(alone, kind), 3) for kind in sorted(alone[0].cpu)},
        "shares with readers": {kind: round(share(read, kind), 3) for kind in sorted(read[0].cpu)},
    }  # fmt: skip


def quantiles(seconds: list[float]) -> dict[str, int]:
    ordered = sorted(seconds)
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(ordered[min(int(part * len(ordered)), len(ordered) - 1)] * 1000) for name, part in at.items()}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make load", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--watchers", type=int, default=10, help="readers of these who watch a search that runs")
    parser.add_argument("--think", type=float, default=5.0, help="mean seconds that somebody stays on a page")
    parser.add_argument("--seconds", type=float, default=40.0, help="of each window")
    parser.add_argument(
        "--windows", type=int, default=3, help="with readers; before, between and after them one without"
    )
    parser.add_argument("--searches", type=int, default=1000)
    parser.add_argument("--algorithms", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    home = Path(os.environ.get("ABOVO_HOME") or ROOT / "var" / "load")
    variables = {"ABOVO_WORKERS": str(len(os.sched_getaffinity(0))), **given_servers()}
    product = Product(home, variables).without_first_search()
    say(f"starting on {home}")
    product.start()
    try:
        if not product.query(SAMPLE)["searches"]:
            say(f"storing {options.searches} searches and {options.algorithms} algorithms, once; takes minutes")
            product.manage(
                "fill_synthetic", f"--searches={options.searches}", f"--algorithms={options.algorithms}",
                "--beside-real-searches",
            )  # fmt: skip
            product.query(
                "[__import__('django').db.connection.cursor().execute(f'ANALYZE') for _ in range(1)] and None"
            )
        options.places = product.query(SAMPLE)
        searches = product.query(LAUNCH)
        while not all(product.query(PROGRESS.format(ids=searches))):
            time.sleep(0.5)
        time.sleep(10)  # compiled, and past their short first slices
        log, alone, read = Log(), [], []
        for number in range(options.windows):
            say(f"window {2 * number + 1} of {2 * options.windows + 1}: the searches alone")
            alone.append(watch_window(product, searches, options.seconds, None, options))
            say(f"window {2 * number + 2}: with {options.readers} readers")
            read.append(watch_window(product, searches, options.seconds, log, options))
        say(f"window {2 * options.windows + 1}: the searches alone")
        alone.append(watch_window(product, searches, options.seconds, None, options))
        result = report(log, alone, read, options)
        show(result, options.json)
        return 1 if log.errors else 0
    finally:
        product.query(STOP)
        product.stop()
        product.clean_up()


def say(text: str) -> None:
    print(f"load: {text}", file=sys.stderr, flush=True)


def show(result: dict, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result, indent=1))
        return
    for name, value in result.items():
        if name == "milliseconds":
            print(f"{'':24}{'requests':>9}{'p50 ms':>8}{'p95':>7}{'p99':>7}{'max':>7}")
            for kind, row in value.items():
                print(f"{kind:24}{row['requests']:>9}{row['p50']:>8}{row['p95']:>7}{row['p99']:>7}{row['max']:>7}")
        elif name == "errors":
            print(f"errors: {len(value)}", *value[:10], sep="\n  ")
        else:
            print(f"{name}: {value}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
