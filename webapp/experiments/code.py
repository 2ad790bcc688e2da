"""Programs as people read them: pseudocode in coloured pieces, and diffs of a few lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from django.utils.translation import get_language, gettext

from engine.algorithm import COMPONENT_FUNCTIONS, Algorithm, Instruction
from webapp.experiments.annotation import Annotation, Keyed, Role, annotate
from webapp.experiments.models import Algorithm as Row

TITLES = dict(zip(COMPONENT_FUNCTIONS, ("Setup", "Predict", "Learn"), strict=True))
KEPT = 256
COMMENTS = {"predict": "v0: features", "learn": "s0: label"}

_TOKEN = re.compile(
    r"(?P<register>\b[svm]\d+\b)|(?P<number>(?<![\w.])-?(?:\d+\.?\d*(?:e[+-]?\d+)?|inf|nan)\b)|(?P<name>[A-Za-z_]\w*)"
)

_OPERATOR = re.compile(r"[=+\-*/]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a line. kind: "register", "number", "name", or "" for the rest. op: which op it stands for, 0 for none."""

    kind: str
    text: str
    op: int = 0


@dataclass(frozen=True, slots=True)
class Knock:
    """What the score does without a line. error: the standard error of the change. share: of the largest loss, 0 to 100.

    retuned: the change with constants tuned anew; None where that was not measured.
    """

    change: float
    error: float | None
    share: float
    retuned: float | None = None

    @property
    def is_clear(self) -> bool:
        """Whether the change is more than two standard errors away from none."""
        return self.error is not None and abs(self.change) > 2 * self.error


@dataclass(frozen=True, slots=True)
class CodeLine:
    """One instruction. live: whether it can change a prediction. role: what it is in the learner, where that is known.

    shape: of the register it writes, in words.
    """

    number: int
    pieces: list[Piece]
    live: bool = True
    role: Role | None = None
    shape: str = ""
    knock: Knock | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """One component function."""

    name: str
    title: str
    comment: str
    lines: list[CodeLine]

    @property
    def live_lines(self) -> list[CodeLine]:
        return [line for line in self.lines if line.live]


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A removed or added instruction. sign: "−" or "+"."""

    sign: str
    function: str
    pieces: list[Piece]


def listings(program: Mapping[str, Any] | Algorithm, *, features_size: int | None, digits: int = 4) -> list[Listing]:
    """Return the three functions ready to print, instructions without effect marked."""
    algorithm = program if isinstance(program, Algorithm) else Algorithm.from_json(program)
    masks = _live_masks(algorithm)
    return [
        Listing(
            name,
            TITLES[name],
            COMMENTS.get(name, ""),
            [
                CodeLine(number, pieces(line.text(features_size=features_size, digits=digits)), live)
                for number, (line, live) in enumerate(zip(function, mask, strict=True), start=1)
            ],
        )
        for name, function, mask in zip(COMPONENT_FUNCTIONS, algorithm.functions, masks, strict=True)
    ]


def annotated(
    row: Row, *, features_size: int | None, knockouts: Mapping[str, Any] | None = None
) -> tuple[list[Listing], Annotation | None]:
    """Return a stored program ready to print, with roles beside its live lines, ops marked, and the whole annotation.

    knockouts: as a measurement has them.
    """
    functions, annotation = _annotated(Keyed(bytes(row.digest), row), features_size, get_language())
    return _with_knocks(functions, knockouts), annotation


@lru_cache(maxsize=KEPT)
def _annotated(stored: Keyed[Row], features_size: int | None, _language: str | None):
    """Return a program's listings, which nobody may change, and its annotation. _language: that the shapes are named in."""
    algorithm = Algorithm.from_json(stored.program.program)
    masks = _live_masks(algorithm)
    annotation = annotate(stored.program, algorithm, masks)
    functions = []
    for index, (name, function, mask) in enumerate(zip(COMPONENT_FUNCTIONS, algorithm.functions, masks, strict=True)):
        roles = iter(annotation.roles[index] if annotation else ())
        lines = [
            CodeLine(
                number,
                with_op(pieces(one.text(features_size=features_size, digits=4)), one.op),
                live,
                next(roles, None) if live else None,
                shape_words(one.info.output, features_size),
            )
            for number, (one, live) in enumerate(zip(function, mask, strict=True), start=1)
        ]
        functions.append(Listing(name, TITLES[name], COMMENTS.get(name, ""), lines))
    return functions, annotation


def _with_knocks(functions: Sequence[Listing], knockouts: Mapping[str, Any] | None) -> list[Listing]:
    """Return the listings with what is known of each line's knock-out beside it, but for lines without effect."""
    if knockouts is None or any(len(knockouts.get(one.name, ())) != len(one.lines) for one in functions):
        return list(functions)
    largest = max((-row[0] for name in COMPONENT_FUNCTIONS for row in knockouts[name]), default=0.0)

    def knock(row: Sequence) -> Knock:
        return Knock(row[0], row[1], round(100 * max(-row[0], 0.0) / largest, 1) if largest > 0 else 0.0, *row[2:3])

    return [
        replace(
            one,
            lines=[
                replace(line, knock=knock(row)) if line.live else line
                for line, row in zip(one.lines, knockouts[one.name])
            ],
        )
        for one in functions
    ]


def shape_words(kind: str, features_size: int | None) -> str:
    """Return the shape of a register of this type: "scalar", "vector of 8", "8 × 8 matrix"."""
    size = str(features_size) if features_size else "F"
    match kind:
        case "s":
            return gettext("scalar")
        case "v":
            return gettext("vector of %(n)s") % {"n": size}
        case "m":
            return gettext("%(n)s × %(n)s matrix") % {"n": size}
    return ""


def with_op(line: Sequence[Piece], op: int) -> list[Piece]:
    """Mark the piece of a printed instruction that stands for its op: the function's name, the operator, or the "="."""
    at = next((index for index, piece in enumerate(line) if piece.kind == "name"), None)
    if at is not None:
        return [*line[:at], Piece("name", line[at].text, op), *line[at + 1 :]]
    for index in reversed(range(len(line))):
        piece = line[index]
        match = _OPERATOR.search(piece.text) if not piece.kind else None
        if match:
            parts = (
                Piece("", piece.text[: match.start()]),
                Piece("operator", match.group(), op),
                Piece("", piece.text[match.end() :]),
            )
            return [*line[:index], *(part for part in parts if part.text), *line[index + 1 :]]
    return list(line)


def dead_count(functions: Sequence[Listing]) -> int:
    """Return how many instructions have no effect."""
    return sum(not line.live for function in functions for line in function.lines)


def _live_masks(algorithm: Algorithm) -> Sequence[Sequence[bool]]:
    from engine.canonical import live_mask

    return live_mask(algorithm)


def pieces(text: str) -> list[Piece]:
    """Cut a line of pseudocode into pieces."""
    result: list[Piece] = []
    end = 0
    for match in _TOKEN.finditer(text):
        if match.start() > end:
            result.append(Piece("", text[end : match.start()]))
        result.append(Piece(match.lastgroup or "", match.group()))
        end = match.end()
    if end < len(text):
        result.append(Piece("", text[end:]))
    return result


def diff_lines(
    diff: Sequence[Mapping[str, Any]], *, features_size: int | None, limit: int | None = None
) -> list[DiffLine]:
    """Print a stored diff, removed lines before added ones; at most `limit` lines."""
    result = []
    for hunk in diff:
        for sign, key in (("−", "removed"), ("+", "added")):
            for line in hunk[key]:
                if limit is not None and len(result) >= limit:
                    return result
                text = Instruction.from_json(line).text(features_size=features_size, digits=4)
                result.append(DiffLine(sign, hunk["function"], pieces(text)))
    return result


def first_lines(lines: Sequence[DiffLine], limit: int) -> tuple[list[DiffLine], list[DiffLine]]:
    """Return the lines of a diff to show at first, added ones before removed ones, and the rest; both in order."""
    order = sorted(range(len(lines)), key=lambda index: (lines[index].sign != "+", index))
    shown = set(order[:limit])
    return (
        [line for index, line in enumerate(lines) if index in shown],
        [line for index, line in enumerate(lines) if index not in shown],
    )


def diff_size(diff: Sequence[Mapping[str, Any]]) -> int:
    """Return how many lines a diff has."""
    return sum(len(hunk["removed"]) + len(hunk["added"]) for hunk in diff)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The first live lines of a function, and how many more there are."""

    name: str
    title: str
    lines: list[CodeLine]
    more: int


def excerpt(functions: Sequence[Listing], *, limit: int = 3) -> list[Excerpt]:
    """Return the beginnings of Predict and Learn, as a picture of the program: without links."""
    result = []
    for function in functions[1:]:
        lines = function.live_lines
        shown = [replace(one, pieces=[Piece(part.kind, part.text) for part in one.pieces]) for one in lines[:limit]]
        result.append(Excerpt(function.name, function.title, shown, max(len(lines) - limit, 0)))
    return result
