"""How often motifs are recognised where they are, and where they are not: ``python -m engine motifs``.

Known programs carry motifs that are known; each is renamed, reordered, rescaled and padded with dead code at random, and then
changed as a search does. Programs drawn at random show how often a motif is seen where nobody put one.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from engine.algorithm import Algorithm, Instruction, Registers
from engine.explain import explain
from engine.motif_examples import EXAMPLES
from engine.motifs import MOTIFS
from engine.ops import OPS, Op
from engine.ordering import independent

SIZES = (7, 11, 23)
"""Lines of a random program's functions, as in the published baseline script."""
ROOM = Registers(5, 9, 2)
DEMO_OPS = (Op.SCALAR_CONST_SET, Op.VECTOR_INNER_PRODUCT, Op.SCALAR_DIFF, Op.SCALAR_PRODUCT, Op.SCALAR_VECTOR_PRODUCT, Op.VECTOR_SUM)  # fmt: skip


@dataclass(frozen=True)
class Recall:
    """variants: how many of each kind were tried. Of how many disguised ones the motifs were exactly those put in; of how
    many with a random line added, and with one line exchanged for a random one, all of those were still seen."""

    name: str
    motifs: tuple[str, ...]
    variants: int
    disguised: int
    added: int
    exchanged: int


@dataclass(frozen=True)
class Alarms:
    """programs: random ones, of `what`. alarms: motifs seen in them, by name. any: programs with at least one."""

    what: str
    programs: int
    any: int
    alarms: dict[str, int]


def measure(*, programs: int = 2000, variants: int = 200, seed: int = 1) -> tuple[list[Recall], list[Alarms]]:
    """Return how well motifs are recognised and how often they are seen by mistake; deterministic given the seed.

    Where a line added or exchanged breaks the idea, not seeing it any more is right, so these shares are lower bounds of what
    is recognised; programs without a line to spare are broken by most exchanges.
    """
    source = random.Random(seed)
    recalls = []
    for name, (algorithm, motifs) in EXAMPLES.items():
        expected = set(motifs)
        same = sum(set(explain(disguised(algorithm, source)).motifs) == expected for _ in range(variants))
        added = sum(expected <= set(explain(with_a_line(algorithm, source)).motifs) for _ in range(variants))
        exchanged = sum(expected <= set(explain(mutant(algorithm, source)).motifs) for _ in range(variants))
        recalls.append(Recall(name, motifs, variants, same, added, exchanged))
    alarms = []
    for what, sizes, ops in (("all ops", SIZES, tuple(Op)), ("the ops of linear-demo", (10, 2, 8), DEMO_OPS)):
        seen: Counter[str] = Counter()
        some = 0
        for _ in range(programs):
            found = explain(random_algorithm(source, sizes, ops)).motifs
            seen.update(found)
            some += bool(found)
        alarms.append(Alarms(what, programs, some, {name: seen[name] for name in MOTIFS if seen[name]}))
    return recalls, alarms


def report(recalls: list[Recall], alarms: list[Alarms]) -> str:
    """Return the measurement as Markdown tables."""
    rows = [
        "| program | motifs | disguised: same motifs | a random line added: all still seen | a line exchanged |",
        "| --- | --- | --- | --- | --- |",
    ]
    rows += [
        f"| {one.name} | {', '.join(one.motifs)} | {one.disguised / one.variants:.1%} | {one.added / one.variants:.0%} "
        f"| {one.exchanged / one.variants:.0%} |"
        for one in recalls
    ]
    rows += ["", "| random programs of | programs | with a motif | which |", "| --- | --- | --- | --- |"]
    for group in alarms:
        which = ", ".join(f"{name} {count}" for name, count in group.alarms.items()) or "none"
        rows.append(f"| {group.what} | {group.programs:,} | {group.any} ({group.any / group.programs:.2%}) | {which} |")
    return "\n".join(rows) + "\n"


def as_json(recalls: list[Recall], alarms: list[Alarms]) -> dict[str, Any]:
    """Return the measurement as plain JSON values."""
    return {
        "recall": [{**vars(one), "motifs": list(one.motifs)} for one in recalls],
        "alarms": [vars(one) for one in alarms],
    }


# --- variants of programs -----------------------------------------------------------------------------------------------


def random_instruction(
    source: random.Random, ops: tuple[Op, ...] = tuple(Op), registers: Registers = ROOM
) -> Instruction:
    """Return an instruction drawn as the reference draws them: op and addresses uniform."""
    info = OPS[source.choice(ops)]
    in1, in2 = ([source.randrange(getattr(registers, kind)) for kind in info.inputs] + [0, 0])[:2]
    out = source.randrange(info.output != "m", getattr(registers, info.output)) if info.output else 0
    bounds = {"i": (0, 1), "j": (0, 1), "sd": (0, 1)}
    constants = tuple(source.uniform(*bounds.get(name, (-1, 1))) for name in info.constants)
    return Instruction(info.op, in1, in2, out, constants)


def random_algorithm(
    source: random.Random, sizes: tuple[int, ...] = SIZES, ops: tuple[Op, ...] = tuple(Op), registers: Registers = ROOM
) -> Algorithm:
    """Return a program of the given function lengths, every instruction drawn at random."""
    return Algorithm(*(tuple(random_instruction(source, ops, registers) for _ in range(size)) for size in sizes))


def mutant(algorithm: Algorithm, source: random.Random) -> Algorithm:
    """Return the program with one line exchanged for a random one, over the registers it uses."""
    functions = [list(function) for function in algorithm.functions]
    function = source.choice([one for one in functions if one])
    function[source.randrange(len(function))] = random_instruction(source, registers=_room(algorithm))
    return algorithm.with_functions(functions)


def with_a_line(algorithm: Algorithm, source: random.Random) -> Algorithm:
    """Return the program with a random line more, over the registers it uses and one more of each type."""
    functions = [list(function) for function in algorithm.functions]
    function = source.choice(functions)
    room = Registers(*(count + 1 for count in _room(algorithm)))
    function.insert(source.randrange(len(function) + 1), random_instruction(source, registers=room))
    return algorithm.with_functions(functions)


def _room(algorithm: Algorithm) -> Registers:
    """Return the registers of a program, at least so many that every op has one to write."""
    return Registers(*map(max, algorithm.registers_used(), (2, 2, 1)))


def disguised(algorithm: Algorithm, source: random.Random) -> Algorithm:
    """Return the program renamed, reordered, with other constants and with dead code."""
    used = algorithm.registers_used()
    room = Registers(*(count + 2 for count in used))
    return reordered(with_dead_code(permuted(rescaled(algorithm, source), source, room), source, room), source)


def permuted(algorithm: Algorithm, source: random.Random, registers: Registers) -> Algorithm:
    """Return the same program with registers renamed at random (not the special ones) and commutative inputs swapped at random."""
    names = {}
    for kind, fixed in (("s", 1), ("v", 3), ("m", 0)) if algorithm.vector_labels else (("s", 2), ("v", 1), ("m", 0)):
        addresses = list(range(fixed, getattr(registers, kind)))
        source.shuffle(addresses)
        names[kind] = [*range(fixed), *addresses]

    def renamed(one: Instruction) -> Instruction:
        info = one.info
        read = [names[kind][address] for kind, address in zip(info.inputs, (one.in1, one.in2), strict=False)]
        if info.is_commutative and source.random() < 0.5:
            read.reverse()
        in1, in2 = ([*read, 0, 0])[:2]
        out = names[info.output][one.out] if info.output else 0
        return Instruction(one.op, in1, in2, out, one.constants)

    return algorithm.with_functions(map(renamed, function) for function in algorithm.functions)


def with_dead_code(algorithm: Algorithm, source: random.Random, registers: Registers) -> Algorithm:
    """Return the program with instructions inserted that write registers it does not use, or nothing."""
    used = algorithm.registers_used()
    spare = Registers(*(max(a, b) + 1 for a, b in zip(used, registers, strict=True)))
    functions = []
    for function in algorithm.functions:
        lines = list(function)
        for _ in range(source.randrange(4)):
            one = random_instruction(source, registers=spare)
            if one.info.output:
                out = getattr(spare, one.info.output) - 1
                one = Instruction(one.op, one.in1, one.in2, out, one.constants)
            lines.insert(source.randrange(len(lines) + 1), one)
        functions.append(lines)
    return algorithm.with_functions(functions)


def reordered(algorithm: Algorithm, source: random.Random, swaps: int = 60) -> Algorithm:
    """Return the program with neighbouring lines swapped at random where neither needs the other."""
    functions = []
    for function in algorithm.functions:
        lines = list(function)
        for _ in range(swaps if len(lines) > 1 else 0):
            index = source.randrange(len(lines) - 1)
            first, second = lines[index : index + 2]
            if independent(first, second):
                lines[index : index + 2] = [second, first]
        functions.append(lines)
    return algorithm.with_functions(functions)


def rescaled(algorithm: Algorithm, source: random.Random) -> Algorithm:
    """Return the program with its non-zero scalar constants multiplied by something from 0.8 to 1."""

    def altered(one: Instruction) -> Instruction:
        if one.op != Op.SCALAR_CONST_SET:
            return one
        return Instruction(one.op, out=one.out, constants=(one.constants[0] * source.uniform(0.8, 1.0),))

    return algorithm.with_functions(map(altered, function) for function in algorithm.functions)
