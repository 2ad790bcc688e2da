"""From an object file to stencils: where each stands, and what has to be written into it when it is copied.

Reads the few parts of the ELF format that the compiler uses for functions, constants and calls on x86-64.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from engine.core import tables

OP_COUNT = len(tables.OUT_TYPE)
ENTER, EXIT, TRAIN_BEGIN, AFTER_TRAIN, TRAIN_END, VALID_BEGIN, AFTER_VALID, VALID_END = range(OP_COUNT, OP_COUNT + 8)
"""Stencils that are no ops, with numbers after theirs."""
NUMBERS = VALID_END + 1
HELD_A, HELD_B = NUMBERS, 2 * NUMBERS
"""Added to a number: the variant that finds its first, or second, scalar input in registers, left there by the one before."""
COUNT = 4 * NUMBERS

START, SIZE, A, B, OUT, OTHER, FIRST, PATCHES, IS_CALL = range(9)
"""Columns of Stencils.table: the stencil in the image; offsets of the operands' displacements in it, where it has none somewhere
behind its end; which patches are its own. OTHER: in3 or the constants. A variant that does not exist has size -1. IS_CALL: what
was computed last is lost."""
RELATIVE, LOOP, DONE = range(3)
"""What a patch writes, a distance: to something in the image, to the loop's head, to its end."""

_OPERANDS = {"A": A, "B": B, "OUT": OUT, "THIRD": OTHER, "CONSTANTS": OTHER}
_BEHIND = 16
"""Where operands are written that a stencil does not have: so many bytes after its end, where the next one will stand."""
LIBRARY = ("sin", "cos", "tan", "asin", "acos", "atan", "memset", "memcpy")
_BASE_REGISTER = 7  # rdi, in the low bits of the byte before a displacement


class Stencils(NamedTuple):
    """The machine code of one shape, ready to be loaded somewhere in memory.

    image: (bytes,) uint8, all functions and their constants, patched for distances within. table: (COUNT, 9) int64, columns as
    above. patches: (P, 3) int64 rows (offset in the stencil, what, addend).
    imports: (M,) int64 offsets of the 8-byte slots for the addresses of the C library's functions in LIBRARY order.
    """

    image: np.ndarray
    table: np.ndarray
    patches: np.ndarray
    imports: np.ndarray


_RELATIVE_TYPES = (2, 4)  # R_X86_64_PC32, R_X86_64_PLT32
_ABSOLUTE_TYPE = 11  # R_X86_64_32S
_JUMP = 0xE9


class _Section(NamedTuple):
    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int


def link(code: bytes) -> Stencils:
    """Lay out an object file (ELF, 64 bits) in one image, and list what has to be patched in each stencil."""
    (table,) = struct.unpack_from("<Q", code, 40)
    size, count, names_at = struct.unpack_from("<HHH", code, 58)
    raw = [struct.unpack_from("<IIQQQQIIQQ", code, table + size * k) for k in range(count)]
    names = raw[names_at][4]

    def text_at(place: int) -> str:
        return code[place : code.index(b"\0", place)].decode()

    sections = [
        _Section(text_at(names + one[0]), one[1], one[2], one[4], one[5], one[6], one[7], one[8]) for one in raw
    ]
    image, places = bytearray(), {}
    for number, section in enumerate(sections):
        if section.flags & 2 and section.kind == 1:  # allocated, with contents
            image += bytes(-len(image) % max(section.alignment, 64))
            places[number] = len(image)
            image += code[section.offset : section.offset + section.size]
    image += bytes(-len(image) % 64)
    symbols = []
    table_of_symbols = next(section for section in sections if section.kind == 2)
    strings = sections[table_of_symbols.link].offset
    for place in range(table_of_symbols.offset, table_of_symbols.offset + table_of_symbols.size, 24):
        name, _, _, section_number, value, length = struct.unpack_from("<IBBHQQ", code, place)
        symbols.append((text_at(strings + name), section_number, value, length))
    # The C library is far away: calls go through jumps at the end of the image, "jmp [rip + 0]" and the address.
    imports, thunks = [], {}
    for name in LIBRARY:
        thunks[name] = len(image)
        image += b"\xff\x25\0\0\0\0" + bytes(8)
        imports.append(len(image) - 8)
    starts, sizes = np.zeros(COUNT, np.int64), np.full(COUNT, -1, np.int64)
    for name, section_number, value, length in symbols:
        if name.startswith("stencil_"):
            number = int(name.removeprefix("stencil_"))
            starts[number], sizes[number] = places[section_number] + value, length
    order = np.flatnonzero(sizes >= 0)
    order = order[np.argsort(starts[order])]
    operands = np.full((COUNT, 9), -1, np.int64)
    patches: list[list[tuple[int, int, int]]] = [[] for _ in starts]
    jumps: list[tuple[int, int]] = []
    for section in sections:
        if section.kind != 4 or section.info not in places:  # relocations with addends, of what is in the image
            continue
        for at_place in range(section.offset, section.offset + section.size, 24):
            offset, info, addend = struct.unpack_from("<QQq", code, at_place)
            name, symbol_section, value, _ = symbols[info >> 32]
            place = places[section.info] + offset
            owner = int(order[np.searchsorted(starts[order], place, side="right") - 1])
            inside = int(place - starts[owner])
            if inside >= sizes[owner] or place < starts[owner]:
                owner = -1
            kind = info & 0xFFFFFFFF
            if kind == _ABSOLUTE_TYPE and name in _OPERANDS and owner >= 0:
                column = _OPERANDS[name]
                assert image[place - 1] & 7 == _BASE_REGISTER and addend == 0, "an operand is not relative to base"
                assert operands[owner, column] == -1, "an operand has two places"
                operands[owner, column] = inside
            elif kind in _RELATIVE_TYPES and name == "next" and owner >= 0:
                jumps.append((owner, inside))
            elif kind in _RELATIVE_TYPES and name in ("loop", "done") and owner >= 0:
                patches[owner].append((inside, LOOP if name == "loop" else DONE, addend))
            elif kind in _RELATIVE_TYPES and (symbol_section in places or name in thunks):
                target = places[symbol_section] + value if symbol_section in places else thunks[name]
                struct.pack_into("<i", image, place, target + addend - place)
                if owner >= 0:
                    patches[owner].append((inside, RELATIVE, 0))
            else:
                raise RuntimeError(f"stencils: a relocation of type {kind} for {name!r} that nobody expected")
    # Falling through: the last jump to "next" is cut off, the others jump to where it stood.
    for owner, inside in sorted(jumps, reverse=True):
        if inside + 4 == sizes[owner] and image[starts[owner] + inside - 1] == _JUMP:
            sizes[owner] -= 5
        else:
            struct.pack_into("<i", image, starts[owner] + inside, sizes[owner] - inside - 4)
    table_of_stencils = np.where(operands < 0, sizes[:, None] + _BEHIND, operands)
    table_of_stencils[:, START], table_of_stencils[:, SIZE] = starts, sizes
    table_of_stencils[:, PATCHES] = [len(one) for one in patches]
    table_of_stencils[:, FIRST] = np.cumsum(table_of_stencils[:, PATCHES]) - table_of_stencils[:, PATCHES]
    table_of_stencils[:, IS_CALL] = 0
    bodies = [int(name.removeprefix("body_")) for name, *_ in symbols if name.startswith("body_")]
    table_of_stencils[bodies, IS_CALL] = 1
    rows = [row for one in patches for row in one]
    return Stencils(
        np.frombuffer(bytes(image), np.uint8), table_of_stencils, np.array(rows, np.int64).reshape(-1, 3),
        np.array(imports, np.int64),
    )  # fmt: skip
