"""Where the lineages of a search's tree are drawn: births to the right, each lineage on a lane, islands in blocks."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from webapp.experiments import charts
from webapp.experiments.drawing import Tick
from webapp.experiments.tree import Node, Path, Tree

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 1152, 88, 72, 16, 48
LANE, BLOCK_GAP, GAP = 16, 20, 36
COLOURS = 6
"""Style classes island-0 to island-5; islands beyond take turns, and each block is labelled."""


@dataclass
class Twig:
    """A lineage as drawn: its line, how it leaves another, and its finds."""

    colour: int
    path: str
    source: str
    is_migrant: bool
    is_chosen: bool
    marks: list[tuple[float, float, str, str]]
    label: str
    label_x: float
    label_y: float


@dataclass
class TreeDrawing:
    """All of a tree for the template."""

    width: int
    height: int
    twigs: list[Twig] = field(default_factory=list)
    blocks: list[tuple[str, int, float]] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    base: float = 0.0
    right_edge: int = WIDTH - RIGHT
    left_edge: int = LEFT


def draw(tree: Tree) -> TreeDrawing:
    """Lay out a tree. A lineage takes the first lane of its island's block that is free from where it begins."""
    last = max((node.key[1] for path in tree.paths for node in path.nodes), default=1) or 1

    def at_x(birth: int) -> float:
        return round(LEFT + birth / last * (WIDTH - LEFT - RIGHT), 1)

    lanes: dict[int, list[float]] = {}
    lane_of: dict[int, int] = {}
    # The chosen line first, so that it runs straight along the top of its block.
    for path in sorted(tree.paths, key=lambda one: (not one.is_chosen, one.nodes[0].key[1])):
        start = at_x(path.source.key[1] if path.source and not path.is_migrant else path.nodes[0].key[1])
        block = lanes.setdefault(path.island, [])
        lane = next((number for number, end in enumerate(block) if end + GAP <= start), len(block))
        if lane == len(block):
            block.append(0.0)
        block[lane] = at_x(path.nodes[-1].key[1])
        lane_of[id(path)] = lane
    tops: dict[int, float] = {}
    y = float(TOP)
    for island in sorted(lanes):
        tops[island] = y
        y += len(lanes[island]) * LANE + BLOCK_GAP
    drawing = TreeDrawing(WIDTH, round(y + BOTTOM - BLOCK_GAP), base=y - BLOCK_GAP + 8)
    owner = {id(node): path for path in tree.paths for node in path.nodes}

    def at_y(path: Path) -> float:
        return tops[path.island] + lane_of[id(path)] * LANE + LANE / 2

    for path in tree.paths:
        drawing.twigs.append(_twig(path, at_x, at_y(path), at_y(owner[id(path.source)]) if path.source else None))
    drawing.blocks = [
        (_("island %(n)d") % {"n": island + 1}, island % COLOURS, tops[island] + LANE / 2) for island in sorted(lanes)
    ]
    drawing.ticks = [Tick(at_x(round(value)), charts.compact(value)) for value in charts.nice_ticks(0, last, 8)]
    return drawing


def _twig(path: Path, at_x, y: float, source_y: float | None) -> Twig:
    first, last = path.nodes[0], path.nodes[-1]
    start, end = at_x(first.key[1]), at_x(last.key[1])
    source = ""
    if path.source is not None and source_y is not None:
        x = at_x(path.source.key[1])
        source = f"M{x:g} {source_y:g}L{start:g} {y:g}" if path.is_migrant else f"M{x:g} {source_y:g}V{y:g}H{start:g}"
    marks = [(at_x(node.key[1]), y, _title(node), node.permalink) for node in path.nodes if node.permalink]
    best = path.best
    label = charts.score_text(best.score) if path.is_chosen and best.score is not None else ""
    return Twig(
        colour=path.island % COLOURS,
        path=f"M{start:g} {y:g}H{max(end, start + 1):g}",
        source=source,
        is_migrant=path.is_migrant,
        is_chosen=path.is_chosen,
        marks=_uncrowded(marks),
        label=label,
        label_x=end + 8,
        label_y=y,
    )


def _title(node: Node) -> str:
    return _("birth %(birth)s: %(score)s, a/%(permalink)s") % {
        "birth": node.key[1], "score": charts.score_text(node.score), "permalink": node.permalink,
    }  # fmt: skip


def _uncrowded(marks: list[tuple[float, float, str, str]]) -> list[tuple[float, float, str, str]]:
    """Leave out marks that later ones of the line cover."""
    kept: list[tuple[float, float, str, str]] = []
    for mark in reversed(marks):
        if not kept or kept[-1][0] - mark[0] >= 7:
            kept.append(mark)
    return kept[::-1]
