"""The inside of a chart's SVG, as text.

Plain strings take a tenth of the time of a template here, and a page has six of these drawings.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from webapp.experiments.charts import Chart
from webapp.experiments.drawing import Drawing, Label, Mark, Shape


def inside(chart: Chart, drawing: Drawing) -> str:
    """Return all that stands within the <svg> of a drawing."""
    return "\n".join(_parts(chart, drawing))


def _parts(chart: Chart, drawing: Drawing) -> Iterator[str]:
    shape = drawing.shape
    left, right, bottom = shape.left, shape.right_edge, shape.bottom_edge
    yield f'<text class="axis-title" x="0" y="14">{escape(chart.y_title)}</text>'
    for tick in drawing.y_ticks:
        yield (
            f'<line class="grid" x1="{left}" x2="{right}" y1="{tick.at:.1f}" y2="{tick.at:.1f}"/>'
            f'<text class="tick tick-y" x="{left - 8}" y="{tick.at:.1f}" dy=".35em">{escape(tick.text)}</text>'
        )
    for tick in drawing.x_ticks:
        yield (
            f'<line class="tick-mark" x1="{tick.at:.1f}" x2="{tick.at:.1f}" y1="{bottom}" y2="{bottom + 5}"/>'
            f'<text class="tick tick-x" x="{tick.at:.1f}" y="{bottom + 20}">{escape(tick.text)}</text>'
        )
    yield f'<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>'
    yield f'<text class="axis-title axis-title-x" x="{right}" y="{bottom + 42}">{escape(chart.x_title)}</text>'
    for label in drawing.baselines:
        yield f'<line class="baseline" x1="{left}" x2="{right}" y1="{label.end_y:.1f}" y2="{label.end_y:.1f}"/>'
    if drawing.threads:
        yield f'<path class="threads" d="{drawing.threads}"/>'
    if drawing.band:
        yield f'<path class="band" d="{drawing.band}"/>'
    for line in drawing.lines:
        yield f'<path class="line line-{line.kind}" d="{line.path}"/>'
    yield from (_mark(one) for one in drawing.marks)
    yield from (_callout(one) for one in drawing.marks if one.callout or one.leader)
    yield from (_label(one, shape) for one in [*drawing.labels, *drawing.baselines])


def _mark(one: Mark) -> str:
    circle = (
        f'<circle class="mark mark-{one.kind}" cx="{one.x:.1f}" cy="{one.y:.1f}" r="{4.5 if one.callout else 3:g}">'
        f"<title>{escape(one.title)}</title></circle>"
    )
    return f'<a href="{escape(one.href)}" tabindex="-1">{circle}</a>' if one.href else circle


def _callout(one: Mark) -> str:
    leader = f'<path class="leader" d="{one.leader}"/>' if one.leader else ""
    if not one.callout:
        return leader
    return (
        f'{leader}<text class="callout callout-{one.anchor} callout-{one.kind}" x="{one.callout_x:.1f}" '
        f'y="{one.callout_y:.1f}">{escape(one.callout)}</text>'
    )


def _label(one: Label, shape: Shape) -> str:
    """Return the label at a line's end; on narrow drawings its value stands under it."""
    head = f'<text class="label label-{one.kind}" x="{one.x:.1f}" y="{one.y:.1f}"'
    text, value = escape(one.text), escape(one.value)
    if shape.name == "narrow":
        return (
            f'{head}><tspan x="{one.x:.1f}" dy="-.15em">{text}</tspan>'
            f'<tspan x="{one.x:.1f}" dy="1.15em" class="value">{value}</tspan></text>'
        )
    return f'{head} dy=".35em">{text} <tspan class="value">{value}</tspan></text>'
