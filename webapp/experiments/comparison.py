"""Programs side by side: their canonical forms aligned line by line, so that only what differs stands out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from engine.algorithm import COMPONENT_FUNCTIONS, Algorithm, Instruction
from webapp.experiments.code import TITLES, Piece, pieces, with_op


@dataclass(frozen=True, slots=True)
class Cell:
    """A program's line in a row of the comparison. differs: from what stands in the row's first program that has one."""

    pieces: list[Piece]
    differs: bool


@dataclass(frozen=True, slots=True)
class Row:
    """Lines that correspond, None where a program has none. is_common: whether all have the same."""

    cells: list[Cell | None]
    is_common: bool


@dataclass(frozen=True, slots=True)
class Section:
    """One component function."""

    name: str
    title: str
    rows: list[Row]


def align(programs: Sequence[Algorithm], *, features_size: int | None) -> list[Section]:
    """Align programs, as given or in canonical form. Lines correspond that apply the same op in the same order."""
    sections = []
    for index, name in enumerate(COMPONENT_FUNCTIONS):
        table = _aligned([one.functions[index] for one in programs])
        sections.append(Section(name, TITLES[name], [_row(line, features_size) for line in table]))
    return sections


def _aligned(functions: Sequence[Sequence[Instruction]]) -> list[list[Instruction | None]]:
    """Return rows of corresponding instructions: each function in turn is laid beside the rows of those before it."""
    rows: list[list[Instruction | None]] = []
    for column, function in enumerate(functions):
        known = [_first(row).op for row in rows]
        matcher = SequenceMatcher(None, known, [one.op for one in function], autojunk=False)
        merged: list[list[Instruction | None]] = []
        for kind, a, b, c, d in matcher.get_opcodes():
            if kind == "equal":
                merged += [[*row, one] for row, one in zip(rows[a:b], function[c:d], strict=True)]
            else:
                merged += [[*row, None] for row in rows[a:b]]
                merged += [[None] * column + [one] for one in function[c:d]]
        rows = merged
    return rows


def _first(row: Sequence[Instruction | None]) -> Instruction:
    return next(one for one in row if one is not None)


def _row(line: Sequence[Instruction | None], features_size: int | None) -> Row:
    texts = [None if one is None else one.text(features_size=features_size, digits=4) for one in line]
    first = next(text for text in texts if text is not None)
    cells = [
        None if one is None or text is None else Cell(with_op(pieces(text), one.op), text != first)
        for one, text in zip(line, texts, strict=True)
    ]
    return Row(cells, all(text == first for text in texts))
