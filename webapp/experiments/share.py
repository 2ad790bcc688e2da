"""What others show of a link to an algorithm: words, a picture of its code and curve, a frame."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.utils.translation import override

from engine.spec import SearchSpec
from webapp.experiments import charts, code, describe, figures, lineage, svg, words
from webapp.experiments.drawing import Shape
from webapp.experiments.models import Algorithm, Find, Measurement
from webapp.experiments.specs import read_spec
from webapp.experiments.views.downloads import absolute_url

WIDTH, HEIGHT = 1200, 630
"""Of the picture, as the programs expect that show links."""

EMBED_WIDTH, EMBED_HEIGHT = 720, 640
_CHART = Shape("wide", 400, 262, left=36, right=120, top=30, bottom=48, x_ticks=4, y_ticks=5)
_CHART_SCALE = 1.36
_CODE_TOP, _CODE_BOTTOM = 214, 574
_CODE_WIDTH, _FULL_WIDTH = 520, 1104
_LARGEST, _SMALLEST = 20.0, 13.5
_LINE, _ADVANCE = 1.4, 0.6
"""Height of a line and width of a character, in sizes of the type."""
_TITLE_CHARACTERS, _WORDS_CHARACTERS = 52, 104


@dataclass(frozen=True, slots=True)
class Sharing:
    """Addresses of what others may show, and the words beside it."""

    address: str
    picture: str
    embed: str
    oembed: str
    title: str
    words: str
    picture_words: str

    @classmethod
    def of(cls, request, row: Algorithm, *, title: str, words: str) -> Sharing:
        """Return an algorithm's."""
        address = absolute_url(request, row)
        root = address.removesuffix(row.get_absolute_url())
        return cls(
            address=address,
            picture=root + reverse("experiments:picture", args=[row.permalink]),
            embed=root + reverse("experiments:embed", args=[row.permalink]),
            oembed=root + reverse("experiments:oembed"),
            title=title,
            words=words,
            picture_words=f"a/{row.permalink}: {title}",
        )

    @property
    def frame(self) -> str:
        """Return the HTML of a frame that shows the algorithm in another page."""
        return frame(self.embed, self.title, EMBED_WIDTH, EMBED_HEIGHT)


def frame(address: str, title: str, width: int, height: int) -> str:
    """Return the HTML of a frame."""
    context = {"address": address, "title": title, "width": width, "height": height}
    return render_to_string("experiments/_frame.html", context).strip()


def picture(row: Algorithm, finds: Sequence[Find], measurement: Measurement | None) -> str:
    """Return the picture as SVG: title, verdict, the lines that matter, and the learning curve, or else the ancestry.

    In English always: who fetches it for a chat says nothing of who will read it.
    """
    with override("en"):
        find = finds[0] if finds else None
        spec = read_spec(find.search.spec) if find else None
        functions, annotation = code.annotated(row, features_size=spec.search_tasks.features if spec else None)
        chart = _chart(find, spec, measurement)
        title = words.title(row, annotation, spec)
        said = describe.verdict(find, spec) if find and spec else " ".join(words.sentences(annotation))
        lines, size = _code(functions, _CODE_WIDTH if chart else _FULL_WIDTH)
        context = {
            "title_lines": [
                (48, 76 + 46 * number, line)
                for number, line in enumerate(textwrap.wrap(title, _TITLE_CHARACTERS, max_lines=2, placeholder="…"))
            ],
            "word_lines": textwrap.wrap(said, _WORDS_CHARACTERS, max_lines=2, placeholder="…"),
            "permalink": row.permalink,
            "lines": lines,
            "size": size,
            "chart": chart,
            "drawing": chart.drawings[0] if chart else None,
            "shape": _CHART,
            "scale": _CHART_SCALE,
            "style": mark_safe(svg.STYLE),
        }
        context["words_top"] = 76 + 46 * len(context["title_lines"]) - 6
        return render_to_string("experiments/picture.svg", context)


def _chart(find: Find | None, spec: SearchSpec | None, measurement: Measurement | None) -> charts.Chart | None:
    if measurement and measurement.data:
        return figures.learning(measurement, shapes=(_CHART,))
    if find is None or spec is None:
        return None
    step_count, events = lineage.story(find.island_id, find.birth)
    return figures.ancestry(find, spec, step_count, events, None, shapes=(_CHART,)) if step_count else None


def _code(functions: Sequence[code.Listing], width: int) -> tuple[list[dict[str, Any]], float]:
    """Return the lines of code with their places, and the size of their type: as large as fits, but readable.

    Of what does not fit, the lines of Setup give way first, then the last lines.
    """
    height = _CODE_BOTTOM - _CODE_TOP
    room = int(height / (_SMALLEST * _LINE))
    rows = _code_rows(functions)
    if len(rows) > room:
        rows = _code_rows(functions, folded=("setup",))
    if len(rows) > room:
        left_out = len(rows) - room + 1
        rows = [*rows[: room - 1], (rows[room - 1][0], 0, [code.Piece("comment", f"… {left_out} more lines")])]
    longest = max(indent + sum(len(piece.text) for piece in pieces) for _, indent, pieces in rows)
    size = max(min(height / len(rows) / _LINE, width / (_ADVANCE * longest), _LARGEST), _SMALLEST)
    fits = int(width / (_ADVANCE * size))
    lines = [
        {
            "function": name,
            "x": round(48 + indent * _ADVANCE * size, 1),
            "y": round(_CODE_TOP + (number + 1) * size * _LINE, 1),
            "pieces": _cut(pieces, fits - indent),
        }
        for number, (name, indent, pieces) in enumerate(rows)
    ]
    return lines, round(size, 1)


def _code_rows(
    functions: Sequence[code.Listing], *, folded: Sequence[str] = ()
) -> list[tuple[str, int, list[code.Piece]]]:
    """Return (function, indent, pieces) of each line to draw. folded: functions of which only the number of lines is said."""
    rows: list[tuple[str, int, list[code.Piece]]] = []
    for function in functions:
        head = [code.Piece("keyword", "def "), code.Piece("name", function.title), code.Piece("", "():")]
        live = function.live_lines
        if function.name in folded and len(live) > 1:
            rows.append((function.name, 0, [*head, code.Piece("comment", f"  # {len(live)} lines")]))
        else:
            rows.append((function.name, 0, head))
            rows += [(function.name, 2, line.pieces) for line in live] or [
                (function.name, 2, [code.Piece("comment", "pass")])
            ]
    return rows


def _cut(pieces: Sequence[code.Piece], most: int) -> list[code.Piece]:
    """Return the pieces of a line, cut after so many characters."""
    kept: list[code.Piece] = []
    for piece in pieces:
        if len(piece.text) > most:
            return [*kept, code.Piece(piece.kind, piece.text[: max(most - 1, 0)] + "…")]
        kept.append(piece)
        most -= len(piece.text)
    return kept
