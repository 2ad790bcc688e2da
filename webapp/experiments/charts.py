"""Charts as numbers for an SVG template: scales, ticks, thinned lines, labels that do not cover each other.

A chart is drawn in two shapes, for wide and for narrow screens, since text in a scaled SVG scales with it; the style
sheet shows one. Nothing here knows models, requests or HTML.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from webapp.experiments.drawing import (
    NARROW,
    WIDE,
    Drawing,
    Label,
    Line,
    Mark,
    Shape,
    Tick,
    place_callouts,
    spread,
    text_width,
    uncrowded,
)

Points = Sequence[tuple[float, float | None]]


@dataclass(frozen=True)
class Series:
    """A line. kind is its style class: "best", "mean" or "score"; label stands at its end, if it has one."""

    kind: str
    label: str
    points: Points
    step: bool = False


@dataclass(frozen=True)
class Baseline:
    """A dashed line across the chart, labelled at its end."""

    label: str
    value: float


@dataclass(frozen=True)
class Milestone:
    """A point on the best line. callout: text beside it, "" for none; href: where it leads, "" for nowhere.

    title: says what it is, and is asked of those points alone that are drawn: most of many would cover each other.
    kind: "gain", or "motif" for what first appears there: the style of its call-out.
    """

    x: float
    y: float
    title: Callable[[], str]
    callout: str = ""
    href: str = ""
    kind: str = "gain"


@dataclass
class Chart:
    """A chart for the template: both drawings, and the words around them."""

    id: str
    title: str
    description: str
    x_title: str
    y_title: str
    drawings: list[Drawing]
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


def build(
    *,
    id: str,
    title: str,
    description: str,
    x_title: str,
    y_title: str,
    series: Sequence[Series],
    band: Sequence[tuple[float, float, float]] = (),
    baselines: Sequence[Baseline] = (),
    milestones: Sequence[Milestone] = (),
    x_range: tuple[float, float],
    y_floor: float,
    y_ceiling: float | None = None,
    columns: Sequence[str] = (),
    rows: Sequence[Sequence[str]] = (),
    log_x: bool = False,
    threads: Sequence[Points] = (),
    shapes: Sequence[Shape] = (WIDE, NARROW),
) -> Chart:
    """Lay out a chart of scores in [0, 1]. band: (x, low, high) triples. Values below y_floor are drawn on it.

    log_x: whether the axis is logarithmic; values below its beginning are drawn on that. threads: thin lines without labels
    behind the others, such as those of single tasks.
    """
    highest = max(
        [y for one in series for _, y in one.points if y is not None] + [line.value for line in baselines] + [y_floor]
    )
    top = min(1.0, highest + 0.06 * max(highest - y_floor, 0.05)) if y_ceiling is None else y_ceiling
    top = max(top, y_floor + 0.05)
    return Chart(
        id=id, title=title, description=description, x_title=x_title, y_title=y_title,
        drawings=[
            _draw(shape, series, band, baselines, milestones, x_range, (y_floor, top), log_x, threads) for shape in shapes
        ],
        columns=list(columns), rows=[list(row) for row in rows],
    )  # fmt: skip


def _draw(shape, series, band, baselines, milestones, x_range, y_range, log_x=False, threads=()) -> Drawing:
    left, right = x_range
    bottom, top = y_range
    right = max(right, left + 1)

    x_scale = (shape.right_edge - shape.left) / (math.log(right / left) if log_x else right - left)
    y_scale = (shape.bottom_edge - shape.top) / (top - bottom)

    def at_x(value: float) -> float:
        way = math.log(max(value, left) / left) if log_x else value - left
        return round(shape.left + way * x_scale, 1)

    def at_y(value: float) -> float:
        return round(shape.bottom_edge - (min(max(value, bottom), top) - bottom) * y_scale, 1)

    ticks = log_ticks(left, right, shape.x_ticks) if log_x else nice_ticks(left, right, shape.x_ticks)
    drawing = Drawing(
        shape,
        x_ticks=[Tick(at_x(value), compact(value)) for value in ticks],
        y_ticks=[Tick(at_y(value), text) for value, text in score_ticks(bottom, top, shape.y_ticks)],
    )
    width = shape.right_edge - shape.left
    lines = [_corners(one.points) if one.step else one.points for one in series]
    drawn = [[(at_x(x), at_y(y)) for x, y in line if y is not None] for line in lines]
    levels = [at_y(line.value) for line in baselines if bottom <= line.value <= top]
    for one, points in zip(series, drawn, strict=True):
        path = _path(thin(points, width // 2), step=one.step)
        if path:
            drawing.lines.append(Line(one.kind, path))
        if points and one.label:
            value = [y for _, y in one.points if y is not None][-1]
            x, y = points[-1]
            # A line that ends below the axis lies on it; the arrow says so.
            text = score_text(value) + (" ↓" if value < bottom else "")
            wide = text_width(f"{one.label} {text}")
            others = [(line, other.step) for other, line in zip(series, drawn, strict=True) if line is not points]
            if shape is NARROW or _is_crossed(x, y, wide, others, levels, shape.right_edge):
                x = shape.right_edge  # beside all lines
            drawing.labels.append(Label(one.kind, one.label, text, x + 8, y, y))
    drawing.threads = "".join(_path([(at_x(x), at_y(y)) for x, y in one if y is not None]) for one in threads)
    if band:
        upper = thin([(at_x(x), at_y(high)) for x, _, high in band], width // 3)
        lower = thin([(at_x(x), at_y(low)) for x, low, _ in band], width // 3)
        drawing.band = _path(upper) + "".join(f"L{x:g} {y:g}" for x, y in reversed(lower)) + "Z"
    for line in baselines:
        if bottom <= line.value <= top:
            y = at_y(line.value)
            drawing.baselines.append(Label("baseline", line.label, score_text(line.value), shape.right_edge + 8, y, y))
    placed = ((at_x(one.x), at_y(one.y), one) for one in milestones if one.y >= bottom)
    drawing.marks = [Mark(x, y, one.title(), one.href, one.callout, kind=one.kind) for x, y, one in uncrowded(placed)]
    place_callouts(drawing)
    spread(
        [*drawing.labels, *drawing.baselines],
        low=shape.top,
        high=shape.bottom_edge,
        apart=32 if shape is NARROW else 17,
    )
    return drawing


def _corners(points: Points) -> Points:
    """Return those points of a line of steps that it cannot be drawn without: the first, the last, and where it rises or falls."""
    changed = [point for before, point in pairwise(points) if point[1] != before[1]]
    last = [] if not points or (changed and changed[-1] is points[-1]) else [points[-1]]
    return [*points[:1], *changed, *last]


def _is_crossed(
    x: float,
    y: float,
    width: float,
    lines: Sequence[tuple[Sequence[tuple[float, float]], bool]],
    levels: Sequence[float],
    edge: float,
) -> bool:
    """Whether a label at the end of a line, before the edge, would lie on others. lines: with whether each is one of steps."""
    if x >= edge - 1:
        return False
    heights = list(levels)
    for line, step in lines:
        heights += [height for at, height in line if x < at < x + 8 + width]
        heights += [height for at in (x + 8, x + 8 + width) if (height := _height(line, at, step)) is not None]
    return any(abs(height - y) < 12 for height in heights)


def _height(line: Sequence[tuple[float, float]], x: float, step: bool) -> float | None:
    """Return where a line is at x; None where it is not."""
    after = next((index for index, (at, _) in enumerate(line) if at >= x), None)
    if not after:
        return None
    (x1, y1), (x2, y2) = line[after - 1], line[after]
    return y1 if step else y1 + (x - x1) / (x2 - x1) * (y2 - y1)


def _path(points: Sequence[tuple[float, float]], *, step: bool = False) -> str:
    if not points:
        return ""
    parts = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for x, y in points[1:]:
        parts.append(f"H{x:g}V{y:g}" if step else f"L{x:g} {y:g}")
    return "".join(parts)


def thin(points: Sequence[tuple[float, float]], bins: int) -> list[tuple[float, float]]:
    """Keep of each of `bins` stretches of x the first, lowest, highest and last point: no extreme is lost."""
    if len(points) <= 2 * bins or bins < 1:
        return list(points)
    low, high = points[0][0], points[-1][0]
    size = (high - low) / bins or 1.0
    kept: dict[int, None] = {}
    start = 0
    while start < len(points):
        this = int((points[start][0] - low) / size)
        end = start
        while end < len(points) and int((points[end][0] - low) / size) == this:
            end += 1
        stretch = range(start, end)
        chosen = {start, end - 1, min(stretch, key=lambda i: points[i][1]), max(stretch, key=lambda i: points[i][1])}
        kept.update(dict.fromkeys(sorted(chosen)))
        start = end
    return [points[index] for index in kept]


def nice_ticks(low: float, high: float, about: int) -> list[float]:
    """Return about `about` round numbers from low to high."""
    if not high > low:
        return [low]
    rough = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def log_ticks(low: float, high: float, about: int) -> list[float]:
    """Return at most about `about` round numbers from low to high for a logarithmic axis: 1, 2, 5, 10, … or fewer."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = [low]
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [one * 10.0**power for power in powers for one in factors if low <= one * 10.0**power <= high]
        if len(found) <= about:
            break
    return found[:: math.ceil(len(found) / about)] if found else [low]


def score_ticks(low: float, high: float, about: int) -> list[tuple[float, str]]:
    """Return ticks of a score axis, all with as many digits as the finest needs."""
    ticks = nice_ticks(low, high, about)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 0.1
    digits = max(1, min(6, -math.floor(math.log10(step) + 1e-9)))
    if abs(step * 10**digits - round(step * 10**digits)) > 1e-6:
        digits += 1
    return [(value, score_text(value, digits)) for value in ticks]


def compact(value: float) -> str:
    """Print a count briefly: 0, 800, 12k, 1.5M."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"


def score_text(value: float | None, digits: int = 3) -> str:
    """Print a score as tables do, .721; more digits where three would round a score below 1 up to 1."""
    if value is None or not math.isfinite(value):
        return "–"
    while round(value, digits) == 1.0 and value < 1.0:
        if digits == MOST_DIGITS:
            return ">.99999"
        digits += 1
    text = f"{abs(value):.{digits}f}"
    text = text[1:] if text.startswith("0") else text
    return f"−{text}" if value < 0 and float(f"{value:.{digits}f}") else text


def error_text(value: float | None) -> str:
    """Print a standard error, .012; with more digits where three are not enough to tell it from none."""
    digits = 3
    while value and math.isfinite(value) and round(value, digits) == 0 and digits < MOST_DIGITS:
        digits += 1
    return "<.00001" if value and 0 < value < 0.5 * 10**-MOST_DIGITS else score_text(value, digits)


MOST_DIGITS = 5


def signed(value: float | None, digits: int = 3) -> str:
    """Print a gain or loss with its sign, +.012 or −.004, tiny ones as +2e−7."""
    if value is None or not math.isfinite(value):
        return "–"
    while value and round(value, digits) == 0 and digits < MOST_DIGITS:
        digits += 1
    if value and round(value, digits) == 0:
        mantissa, exponent = f"{abs(value):.0e}".split("e")
        return f"{'−' if value < 0 else '+'}{mantissa}e−{abs(int(exponent))}"
    text = score_text(value, digits)
    return text if value < 0 else f"+{text}"


@dataclass
class Strip:
    """Scores of single tasks as dots along an axis, those that would cover each other stacked; models as lines.

    interval: two standard errors to both sides of the mean.
    """

    dots: list[tuple[float, float, str]]
    marks: list[Label]
    ticks: list[Tick]
    interval: tuple[float, float] | None = None
    left: int = 4
    right: int = 356
    width: int = 360
    height: int = 88
    base: int = 66


def strip(scores: Sequence[float | None], models: Sequence[tuple[str, str, float]], *, floor: float) -> Strip | None:
    """Lay out the scores of tasks. models: (kind, label, mean score), drawn as upright lines; None without scores."""
    known = sorted(score for score in scores if score is not None)
    if not known:
        return None
    result = Strip([], [], [])
    low = min(floor, math.floor(known[0] * 10) / 10) if known[0] < floor else floor

    def at_x(value: float) -> float:
        return round(result.left + (min(max(value, low), 1.0) - low) / (1.0 - low) * (result.right - result.left), 1)

    piles: dict[int, int] = {}
    apart = min(6.0, 32.0 / max(Counter(int(at_x(score) // 6) for score in known).values()))
    for score in known:
        column = int(at_x(score) // 6)
        result.dots.append((at_x(score), round(result.base - 5 - apart * piles.get(column, 0), 1), score_text(score)))
        piles[column] = piles.get(column, 0) + 1
    result.marks = [Label(kind, label, score_text(value), at_x(value), 0.0) for kind, label, value in models]
    mean, error = mean_and_error(scores)
    if mean is not None and error is not None:
        result.interval = (at_x(mean - 2 * error), at_x(mean + 2 * error))
    result.ticks = [Tick(at_x(value), score_text(value, 1)) for value in nice_ticks(low, 1.0, 5)]
    return result


def mean_and_error(scores: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Return the mean over tasks and its standard error; None for what the numbers do not allow."""
    known = [score for score in scores if score is not None]
    if not known or len(known) < len(scores):
        return None, None
    mean = sum(known) / len(known)
    if len(known) < 2:
        return mean, None
    return mean, math.sqrt(sum((score - mean) ** 2 for score in known) / (len(known) - 1) / len(known))


@dataclass
class Sparkline:
    """A line a word high."""

    path: str
    end_x: float
    end_y: float
    width: int = 120
    height: int = 28


def sparkline(points: Points, *, x_end: float, y_floor: float) -> Sparkline | None:
    """Draw steps of a score within a small box; None without points."""
    known = [(x, y) for x, y in points if y is not None]
    if not known:
        return None
    width, height, margin = 120, 28, 3
    top = max(max(y for _, y in known), y_floor + 0.05)
    x_end = max(x_end, known[-1][0], 1)

    def place(x: float, y: float) -> tuple[float, float]:
        share = (max(y, y_floor) - y_floor) / (top - y_floor)
        return round(margin + x / x_end * (width - 2 * margin), 1), round(
            height - margin - share * (height - 2 * margin), 1
        )

    placed = [place(x, y) for x, y in known]
    end = place(x_end, known[-1][1])
    return Sparkline(_path([*thin(placed, 40), end], step=True), *end)
