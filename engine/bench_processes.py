"""Rows of the benchmark that need processes of their own: compiling, memory, two cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

_START = """
import time
began = time.perf_counter()
from engine.presets import preset
from engine.search import Search
Search.start(preset("linear-demo"), 1)
answer = time.perf_counter() - began
"""
_MEMORY = """
import resource
from dataclasses import replace
from engine.presets import preset
from engine.search import Search
spec = replace(preset("cifar10-from-scratch"), population_size=1000, final_tasks=None, select_tasks=None, select_candidates=0, hurdle=None)
tasks = replace(spec.search_tasks, dataset="digits", train_examples=200, valid_examples=100)
search = Search.start(replace(spec, search_tasks=tasks), 1)
search.run(seconds={seconds})
answer = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
"""
_DEMO = """
import time
from dataclasses import replace
from engine.presets import preset
from engine.search import Search
from engine.spec import StopSpec
spec = replace(preset("linear-demo"), select_tasks=None, final_tasks=None, stop=StopSpec(max_individuals=10**12, max_experiments=1))
search = Search.start(spec, {seed})
time.sleep(max(0.0, {begin} - time.time()))
counters = search.run(seconds=10.0).counters
answer = counters.individuals / counters.seconds
"""


def _start(program: str, core: int | None = None, **environment: str) -> subprocess.Popen[str]:
    pin = "" if core is None else f"import os; os.sched_setaffinity(0, {{{core}}})\n"
    return subprocess.Popen(
        [sys.executable, "-c", pin + program + "\nimport json; print(json.dumps(answer))"],
        env=_environment() | environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _environment() -> dict[str, str]:
    """Return the environment as `make` has it: Python may keep its bytecode, without which a start takes twice as long."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _answer(process: subprocess.Popen[str]) -> Any:
    text, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"bench: a process ended with status {process.returncode}")
    return json.loads(text.splitlines()[-1])


def start_seconds() -> tuple[float, float]:
    """Return the seconds from the first import to a search ready to run: with an empty cache on disk, and with a filled one."""
    with tempfile.TemporaryDirectory() as folder:
        cold = _answer(_start(_START, ABOVO_NUMBA_CACHE=folder))
        return cold, _answer(_start(_START, ABOVO_NUMBA_CACHE=folder))


def memory() -> float:
    """Return the megabytes that a process needs at most for a population of 1000 programs of the paper's section 4.2.

    Everything is compiled beforehand, as for a worker."""
    _answer(_start(_MEMORY.format(seconds=0.1)))
    return _answer(_start(_MEMORY.format(seconds=10.0)))


def two_cores() -> tuple[float, float] | None:
    """Return individuals a second of one linear-demo on one core, and of two on two cores; None if there is one core only."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        return None
    one = _answer(_start(_DEMO.format(seed=1, begin=0), cores[0]))
    begin = time.time() + 5.0
    both = [_start(_DEMO.format(seed=1, begin=begin), core) for core in cores[:2]]
    return one, sum(map(_answer, both))
