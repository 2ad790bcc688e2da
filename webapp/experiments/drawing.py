"""What charts are drawn with: shapes, marks and labels, and where to put labels so that they do not cover each other."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Shape:
    """Size and margins of one drawing, in SVG units (one CSS pixel at its natural width)."""

    name: str
    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    x_ticks: int
    y_ticks: int

    @property
    def right_edge(self) -> int:
        return self.width - self.right

    @property
    def bottom_edge(self) -> int:
        return self.height - self.bottom


WIDE = Shape("wide", 1152, 384, left=56, right=140, top=32, bottom=52, x_ticks=8, y_ticks=6)
MEDIUM = Shape("wide", 760, 400, left=48, right=132, top=32, bottom=52, x_ticks=6, y_ticks=6)
SMALL = Shape("wide", 520, 300, left=40, right=124, top=32, bottom=48, x_ticks=4, y_ticks=5)
NARROW = Shape("narrow", 358, 288, left=40, right=88, top=32, bottom=48, x_ticks=3, y_ticks=5)


@dataclass
class Tick:
    at: float
    text: str


@dataclass
class Line:
    kind: str
    path: str


@dataclass
class Label:
    kind: str
    text: str
    value: str
    x: float
    y: float
    end_y: float = 0.0


@dataclass
class Mark:
    x: float
    y: float
    title: str
    href: str = ""
    callout: str = ""
    callout_x: float = 0.0
    callout_y: float = 0.0
    anchor: str = "end"
    kind: str = "gain"
    leader: str = ""


@dataclass
class Drawing:
    """One shape, ready for the template."""

    shape: Shape
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line] = field(default_factory=list)
    threads: str = ""
    band: str = ""
    baselines: list[Label] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)


def uncrowded(placed: Iterable[tuple[float, float, Any]]) -> list[tuple[float, float, Any]]:
    """Leave out of (x, y, point) the points that would cover the one before, except those with a call-out."""
    kept: list[tuple[float, float, Any]] = []
    for x, y, one in placed:
        if kept and not one.callout and math.hypot(x - kept[-1][0], y - kept[-1][1]) < 9:
            continue
        kept.append((x, y, one))
    return kept


CALLOUT_PLACES = (
    ("end", -6, -10), ("start", 10, 20), ("end", -6, -28), ("start", 10, 38), ("end", -6, -46), ("start", 10, 56),
    ("end", -6, -64), ("start", 10, 74), ("end", -6, -82), ("start", 10, 92),
)  # fmt: skip
"""Where a rising line leaves room for a call-out: above and left of its mark, else below and right, near before far."""


def text_width(text: str) -> float:
    """Return about how wide a text is drawn; Hangul and the like take twice the room."""
    return 7.4 * sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def place_callouts(drawing: Drawing) -> None:
    """Put call-outs beside their marks where they cover neither each other nor an edge; the rest is left to the table."""
    shape = drawing.shape
    taken: list[tuple[float, float, float]] = []
    for mark in (one for one in drawing.marks if one.callout):
        width = text_width(mark.callout) + 6
        for anchor, right, down in CALLOUT_PLACES:
            x, y = mark.x + right, mark.y + down
            left = x - width if anchor == "end" else x
            inside = left >= shape.left and left + width <= shape.right_edge
            inside = inside and shape.top + 4 <= y <= shape.bottom_edge - 4
            if inside and not any(left < b and a < left + width and abs(y - height) < 16 for a, b, height in taken):
                mark.anchor, mark.callout_x, mark.callout_y = anchor, round(x, 1), round(y, 1)
                if abs(down) > 20:
                    mark.leader = f"M{mark.x:g} {mark.y:g}L{x:g} {y - 4:g}"
                taken.append((left, left + width, y))
                break
        else:
            mark.callout = ""


def spread(labels: list[Label], *, low: float, high: float, apart: float) -> None:
    """Move labels up and down until none covers another."""
    labels.sort(key=lambda label: label.end_y)
    previous = low - apart
    for label in labels:
        label.y = max(label.end_y, previous + apart)
        previous = label.y
    limit = high
    for label in reversed(labels):
        label.y = round(min(label.y, limit), 1)
        limit = label.y - apart
