"""Charts as SVG files that carry their style with them, and pictures made of SVG."""

from __future__ import annotations

from pathlib import Path

import resvg_py
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from webapp.experiments import charts

FONTS = Path(__file__).resolve().parent.parent / "fonts"
SANS, MONO = "Inter", "JetBrains Mono"

STYLE = """
text { font-family: Inter, system-ui, "Helvetica Neue", Arial, sans-serif; font-size: 13px; fill: #5f5a52; }
.paper { fill: #ffffff; }
.grid { stroke: #e3dfd6; stroke-width: 1; }
.axis, .tick-mark { stroke: #5f5a52; stroke-width: 1; }
.tick-y { text-anchor: end; } .tick-x { text-anchor: middle; } .axis-title-x { text-anchor: end; }
.line { fill: none; stroke-width: 1.5; stroke-linejoin: round; }
.line-best { stroke: #0b6b5d; stroke-width: 2.25; }
.line-mean { stroke: #1d1b18; stroke-opacity: .62; }
.line-baseline, .baseline { stroke: #5f5a52; stroke-dasharray: 5 5; }
.line-second { stroke: #0a4fa3; stroke-width: 2.25; } .line-third { stroke: #8a1f5c; stroke-width: 2.25; }
.line-fourth { stroke: #7a4a00; stroke-width: 2.25; }
.band { fill: #1d1b18; fill-opacity: .07; }
.threads { fill: none; stroke: #0b6b5d; stroke-opacity: .15; stroke-width: 1; }
.mark { fill: #ffffff; stroke: #0b6b5d; stroke-width: 2; }
.leader { fill: none; stroke: #5f5a52; stroke-width: 1; }
.callout-gain { fill: #1b6e2c; font-family: "JetBrains Mono", ui-monospace, monospace; }
.callout-motif { fill: #0b6b5d; }
.callout-end { text-anchor: end; }
.value { font-family: "JetBrains Mono", ui-monospace, monospace; }
.label-best, .label-best .value { fill: #0b6b5d; font-weight: 600; }
.label-second, .label-second .value { fill: #0a4fa3; font-weight: 600; }
.label-third, .label-third .value { fill: #8a1f5c; font-weight: 600; }
.label-fourth, .label-fourth .value { fill: #7a4a00; font-weight: 600; }
"""
"""The style sheet's rules for charts, light, for files that stand alone."""

TREE_STYLE = """
.twig { fill: none; stroke-width: 1.5; } .twig-source { fill: none; stroke-width: 1; stroke-opacity: .6; }
.twig-migrant { stroke-dasharray: 3 3; stroke-opacity: 1; } .twig-chosen { stroke-width: 3; }
.island-0 { stroke: #0b6b5d; } .island-1 { stroke: #0a4fa3; } .island-2 { stroke: #8a1f5c; } .island-3 { stroke: #7a4a00; }
.island-4 { stroke: #5b4bb5; } .island-5 { stroke: #5f5a52; }
.tree-mark { fill: #ffffff; stroke-width: 1.5; } .tree-label { font-family: "JetBrains Mono", ui-monospace, monospace; }
"""


def standalone(chart: charts.Chart, *, source: str = "") -> str:
    """Return a chart's widest drawing as an SVG file. source: where it is from, for its description."""
    context = {"chart": chart, "drawing": chart.drawings[0], "style": mark_safe(STYLE), "source": source}
    return render_to_string("experiments/chart.svg", context)


def response(text: str, name: str) -> HttpResponse:
    """Return an SVG file to download."""
    answer = HttpResponse(text, content_type="image/svg+xml; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    # Opened as a page it may use the style inside itself, and nothing else.
    answer["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    return answer


def png(text: str) -> bytes:
    """Return an SVG as PNG, set in the fonts that come with us."""
    return resvg_py.svg_to_bytes(
        svg_string=text,
        skip_system_fonts=True,
        font_files=[str(path) for path in sorted(FONTS.glob("*.ttf"))],
        font_family=SANS,
        sans_serif_family=SANS,
        monospace_family=MONO,
    )
