"""How the cost of a search grows: with features, tasks, program length, examples and population; and the chart of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from engine.algorithm import Registers
from engine.bench_work import breed, compiled_island
from engine.presets.common import op_names
from engine.spec import FecSpec, FunctionSpec, SearchSpec, TaskSpec

_OPS = op_names(1, 2, 3, 4, 5, 15, 16, 18, 23, 24, 25, 27, 44, 47, 56, 57)
"""Arithmetic on scalars and vectors, as the op mix of these curves."""


def _spec(*, features=4, tasks=8, length=10, examples=100, population=1000) -> SearchSpec:
    function = FunctionSpec(_OPS, length, length)
    return SearchSpec(
        name="scaling",
        title="Scaling",
        search_tasks=TaskSpec(kind="linear", count=tasks, features=features, train_examples=examples, valid_examples=100),
        registers=Registers(6, 6, 1),
        setup=replace(function, min_size=5, max_size=5), predict=function, learn=function,
        initial="random", population_size=population, tournament_size=10,
        mutations={"alter_parameter": 1.0, "randomize_instruction": 1.0, "randomize_function": 1.0},
        fec=FecSpec(),
    )  # fmt: skip


SEEDS = 9
"""Searches of each point: what a search meets, and so what its programs cost, differs from seed to seed."""


def _microseconds(spec: SearchSpec, count: int) -> float:
    """Return the processor time of one individual, in searches with their equivalence cache, after a first generation: the median."""
    return statistics.median(_one_search(spec, count, seed) for seed in range(1, SEEDS + 1))


def _one_search(spec: SearchSpec, count: int, seed: int) -> float:
    island = compiled_island(spec, seed)
    breed(island, spec.population_size)
    began = time.process_time()
    breed(island, count)
    return (time.process_time() - began) / count * 1e6


CURVES: dict[str, tuple[str, Sequence[int]]] = {
    "features": ("features F", (2, 4, 8, 16, 32)),
    "tasks": ("tasks D", (1, 4, 8, 16, 32)),
    "length": ("instructions in Predict and in Learn", (2, 5, 10, 20, 40)),
    "examples": ("training examples", (50, 100, 400, 1600)),
    "population": ("population size P", (100, 1000, 10000)),
}
"""What each curve varies, and the values; everything else is F=4, D=8, 5 + 10 + 10 instructions, 100 + 100 examples, P=1000."""


def curves(report: Callable[[str], None], count: int = 20_000) -> dict[str, list[tuple[int, float]]]:
    """Measure every curve: points (value, microseconds an individual). report: called with the name of each before it."""
    result = {}
    for name, (_, values) in CURVES.items():
        report(name)
        result[name] = [(value, _microseconds(_spec(**{name: value}), count)) for value in values]
    return result


def chart(points: dict[str, list[tuple[int, float]]]) -> str:
    """Return an SVG with one small diagram for each curve, microseconds an individual from 0 up."""
    width, height, left, top, gap, head = 190, 130, 44, 34, 36, 26
    parts = [f'<text x="{left}" y="{head - 8}" font-size="12" font-weight="600">Microseconds an individual</text>']
    for place, (name, values) in enumerate(points.items()):
        x0, y0 = left + place % 3 * (width + left), head + top + place // 3 * (height + top + gap)
        largest = max(value for _, value in values) * 1.15
        spots = [
            (x0 + 12 + (width - 24) * k / max(len(values) - 1, 1), y0 + height * (1 - value / largest))
            for k, (_, value) in enumerate(values)
        ]
        parts.append(f'<text x="{x0}" y="{y0 - 12}">by {CURVES[name][0]}</text>')
        parts.append(f'<path class="axis" d="M{x0} {y0}V{y0 + height}H{x0 + width}"/>')
        parts.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in spots)}"/>')
        for (x, y), (at, value) in zip(spots, values, strict=True):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
            parts.append(f'<text class="value" x="{x:.1f}" y="{y - 8:.1f}">{value:.3g}</text>')
            parts.append(f'<text class="value" x="{x:.1f}" y="{y0 + height + 16}">{at}</text>')
    rows = (len(points) + 2) // 3
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {3 * (width + left) + 20} {head + rows * (height + top + gap) + 10}" '
        'font-family="sans-serif" font-size="11" role="img"><title>Cost of an individual</title><style>'
        "svg{background:#fff}text{fill:#222}.value{text-anchor:middle;font-size:10px;fill:#555}"
        ".axis{fill:none;stroke:#999}polyline{fill:none;stroke:#1f5fa8;stroke-width:2}circle{fill:#1f5fa8}</style>"
        + "".join(parts)
        + "</svg>\n"
    )


def write_chart(points: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """Write the chart to a file."""
    path.write_text(chart(points))
