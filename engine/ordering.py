"""One order for the lines of all programs that differ only in the order of lines that do not need each other.

Two lines may change places where neither reads or writes what the other writes, and not both draw random numbers (they
share one stream). Every order that keeps the order of all other pairs computes the same, bit for bit, whatever is
chosen; the choice is made by what lines compute and who uses it, never by names of registers:

1. lines and registers get colours, refined until they tell no more apart: a line's is made of its function, op,
   constants, of what its inputs come from (a line before it in the same function, or the register's value at entry) and
   of who reads its result; a register's of the lines that write it last and those that read its entry value;
2. of the lines whose predecessors have been placed, the one of lowest colour follows; of equals, the one whose inputs
   were placed or seen first; of equals still (lines that do the same to things that are alike), the first as given.

So the order is the same for all programs that differ by such exchanges, but for rare ones with parts that refinement cannot
tell apart although they differ; these are taken for different algorithms, never the other way round.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

from engine.algorithm import Algorithm, Instruction

Register = tuple[str, int]


def line_order(algorithm: Algorithm, special: Sequence[Register]) -> tuple[tuple[int, ...], ...]:
    """Return, for each function, the positions of its lines in canonical order. special: registers that keep their names.

    Every line should be live, as in canonical.without_dead_code.
    """
    graph = _Graph(algorithm, special)
    graph.refine()
    return graph.order()


def inputs(one: Instruction) -> tuple[Register, ...]:
    """Return the registers an instruction names as inputs: none, in1, or in1 and in2."""
    return tuple(zip(one.info.inputs, (one.in1, one.in2), strict=False))


def output(one: Instruction) -> Register | None:
    """Return the register an instruction writes, or None (NO_OP)."""
    return (one.info.output, one.out) if one.info.output else None


def reads(one: Instruction) -> tuple[Register, ...]:
    """Return the registers whose values an instruction uses: its inputs, and its output where that is changed in part."""
    return (*inputs(one), (one.info.output, one.out)) if one.info.keeps_output else inputs(one)


def independent(first: Instruction, second: Instruction) -> bool:
    """Whether two neighbouring lines may change places."""
    one, other = output(first), output(second)
    if first.info.is_random and second.info.is_random:
        return False
    return not (
        (one is not None and (one == other or one in reads(second))) or (other is not None and other in reads(first))
    )


Line = tuple[int, int]
"""A line: function and position."""


class _Graph:
    """The lines of a program with the sources of what they read: ("line", Line), or ("entry", Register)."""

    def __init__(self, algorithm: Algorithm, special: Sequence[Register]):
        self.lines: dict[Line, Instruction] = {}
        self.sources: dict[Line, list[tuple[str, Line | Register]]] = {}
        self.users: dict[Line, list[tuple[int, Line]]] = {}
        self.entry_users: dict[Register, list[tuple[int, Line]]] = {}
        self.last_writers: dict[Register, list[Line]] = {}
        self.sizes = [len(function) for function in algorithm.functions]
        for number, function in enumerate(algorithm.functions):
            written: dict[Register, Line] = {}
            for position, one in enumerate(function):
                line = (number, position)
                self.lines[line], self.sources[line] = one, []
                self.users.setdefault(line, [])
                for slot, register in enumerate(reads(one)):
                    place = 0 if one.info.is_commutative else slot
                    if register in written:
                        self.sources[line].append(("line", written[register]))
                        self.users[written[register]].append((place, line))
                    else:
                        self.sources[line].append(("entry", register))
                        self.entry_users.setdefault(register, []).append((place, line))
                target = output(one)
                if target is not None:
                    written[target] = line
            for register, line in written.items():
                self.last_writers.setdefault(register, []).append(line)
        registers = {*self.entry_users, *self.last_writers}
        registers |= {target for one in self.lines.values() if (target := output(one)) is not None}
        self.line_colours = {
            line: _digest(b"line", line[0], int(one.op), *one.constants) for line, one in self.lines.items()
        }
        self.register_colours = {
            one: _digest(b"register", "svm".index(one[0]), one[1] if one in special else -1) for one in registers
        }

    def refine(self) -> None:
        """Refine the colours until there are no more of them than before."""
        count = 0
        while True:
            now = len({*self.line_colours.values()}) + len({*self.register_colours.values()})
            if now == count:
                return
            count = now
            self.line_colours, self.register_colours = (
                {line: self._line_colour(line) for line in self.line_colours},
                {register: self._register_colour(register) for register in self.register_colours},
            )

    def _line_colour(self, line: Line) -> bytes:
        one = self.lines[line]
        colours = [self._source_colour(source) for source in self.sources[line]]
        if one.info.is_commutative:
            colours.sort()
        target = output(one)
        written = self.register_colours[target] if target is not None else b""
        return _digest(self.line_colours[line], written, *colours, b"used", *self._users(self.users[line]))

    def _source_colour(self, source: tuple[str, Line | Register]) -> bytes:
        kind, what = source
        return b"l" + self.line_colours[what] if kind == "line" else b"e" + self.register_colours[what]  # type: ignore[index]

    def _users(self, users: list[tuple[int, Line]]) -> list[bytes]:
        return sorted(bytes([slot]) + self.line_colours[line] for slot, line in users)

    def _register_colour(self, register: Register) -> bytes:
        writers = [self.line_colours[line] for line in self.last_writers.get(register, ())]
        readers = self._users(self.entry_users.get(register, []))
        return _digest(self.register_colours[register], *writers, b"read", *readers)

    def order(self) -> tuple[tuple[int, ...], ...]:
        """Return the positions of each function's lines in order."""
        ranks: dict[Register, int] = {}
        return tuple(self._order_of(function, ranks) for function in range(len(self.sizes)))

    def _order_of(self, function: int, ranks: dict[Register, int]) -> tuple[int, ...]:
        size = self.sizes[function]
        ones = [self.lines[function, position] for position in range(size)]
        waits = [{i for i in range(j) if not independent(ones[i], ones[j])} for j in range(size)]
        placed: dict[int, int] = {}
        while len(placed) < size:
            ready = [one for one in range(size) if one not in placed and waits[one] <= placed.keys()]
            chosen = min(ready, key=lambda one: self._rank((function, one), placed, ranks))
            placed[chosen] = len(placed)
            for kind, what in self.sources[function, chosen]:
                if kind == "entry":
                    ranks.setdefault(what, len(ranks))  # type: ignore[arg-type]
            target = output(ones[chosen])
            if target is not None:
                ranks.setdefault(target, len(ranks))
        return tuple(placed)

    def _rank(self, line: Line, placed: dict[int, int], ranks: dict[Register, int]) -> tuple:
        unseen = len(self.register_colours)
        seen = [
            (0, placed[what[1]]) if kind == "line" else (1, ranks.get(what, unseen))  # type: ignore[index, arg-type]
            for kind, what in self.sources[line]
        ]
        one = self.lines[line]
        if one.info.is_commutative:
            seen.sort()
        target = output(one)
        return self.line_colours[line], seen, unseen if target is None else ranks.get(target, unseen), line[1]


def _digest(*parts: bytes | int | float) -> bytes:
    """Return 8 bytes that depend on nothing but the parts, on every machine and in every release of Python."""
    packed = [
        part if isinstance(part, bytes) else struct.pack("<q" if isinstance(part, int) else "<d", part)
        for part in parts
    ]
    return hashlib.blake2b(b"".join(struct.pack("<H", len(one)) + one for one in packed), digest_size=8).digest()
