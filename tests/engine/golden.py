"""The golden vectors: the whole set beside the checkout where it exists, else the committed sample of it."""

from __future__ import annotations

import json
import math
from pathlib import Path

from engine.algorithm import Registers

HERE = Path(__file__).parent
WHOLE = HERE.parents[2] / "shared" / "golden"
REGISTERS = Registers(6, 9, 3)


def sample() -> tuple[list[dict], list[dict]]:
    """Return (lines, tasks) of the committed sample: about 180 programs that cover every deterministic op."""
    return _read(HERE / "golden_sample.jsonl"), json.loads((HERE / "golden_tasks.json").read_text())


def whole() -> tuple[list[dict], list[dict]]:
    """Return (lines, tasks) of the whole set, or of the sample where it is not at hand."""
    if not (WHOLE / "golden.jsonl").exists():
        return sample()
    return _read(WHOLE / "golden.jsonl"), json.loads((WHOLE / "tasks.json").read_text())


def close(found, expected) -> bool:
    """Whether nested lists of numbers agree to 1e-6 (absolutely 1e-9); NaN agrees with NaN; "nan", "inf", "-inf" are read."""
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(close, found, expected))
    a, b = float(found), float(expected)
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= max(1e-9, 1e-6 * max(abs(a), abs(b)))


def agrees(line: dict, fitness: float, train_steps: int, memory: dict) -> bool:
    """Whether a result is that of a golden line."""
    return (
        close(fitness, line["fitness"])
        and train_steps == line["train_steps"]
        and all(close(memory[kind], values) for kind, values in line["memory"].items())
    )


def _read(path: Path) -> list[dict]:
    return [json.loads(text) for text in path.read_text().splitlines() if text]
