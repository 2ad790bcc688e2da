"""Random programs for property tests, with hypothesis."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from engine.algorithm import Algorithm, Instruction, Registers
from engine.canonical import output, reads
from engine.ops import OPS, Op

REGISTERS = Registers(5, 4, 2)
DETERMINISTIC = tuple(op for op in Op if op < Op.SCALAR_UNIFORM_SET)


@st.composite
def instructions(draw, ops=tuple(Op), registers=REGISTERS):
    info = OPS[draw(st.sampled_from(ops))]
    in1, in2 = ([draw(st.integers(0, getattr(registers, kind) - 1)) for kind in info.inputs] + [0, 0])[:2]
    out = draw(st.integers(info.output != "m", getattr(registers, info.output) - 1)) if info.output else 0
    fraction = st.floats(0, 1, exclude_max=True, width=32)
    value = st.floats(-2, 2, width=32)
    constants = tuple(draw(fraction if name in ("i", "j") else value) for name in info.constants)
    return Instruction(info.op, in1, in2, out, constants)


def algorithms(ops=tuple(Op), registers=REGISTERS, max_size=8):
    function = st.lists(instructions(ops, registers), max_size=max_size).map(tuple)
    return st.builds(Algorithm, function, function, function)


def random_instruction(source: random.Random, ops=tuple(Op), registers=REGISTERS) -> Instruction:
    """Return an instruction drawn as the reference draws them: op and addresses uniform."""
    info = OPS[source.choice(ops)]
    in1, in2 = ([source.randrange(getattr(registers, kind)) for kind in info.inputs] + [0, 0])[:2]
    out = source.randrange(info.output != "m", getattr(registers, info.output)) if info.output else 0
    bounds = {"i": (0, 1), "j": (0, 1), "sd": (0, 1)}
    constants = tuple(source.uniform(*bounds.get(name, (-1, 1))) for name in info.constants)
    return Instruction(info.op, in1, in2, out, constants)


def random_algorithm(source: random.Random, sizes=(7, 11, 23), ops=tuple(Op), registers=REGISTERS) -> Algorithm:
    """Return a program of the given function lengths, every instruction drawn at random."""
    return Algorithm(*(tuple(random_instruction(source, ops, registers) for _ in range(size)) for size in sizes))


def permuted(algorithm: Algorithm, source: random.Random, registers=REGISTERS) -> Algorithm:
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


def with_dead_code(algorithm: Algorithm, source: random.Random, registers=REGISTERS) -> Algorithm:
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
        functions.append(tuple(lines))
    return algorithm.with_functions(functions)


def reordered(algorithm: Algorithm, source: random.Random, swaps=60) -> Algorithm:
    """Return the program with neighbouring lines swapped at random where neither needs the other."""
    functions = []
    for function in algorithm.functions:
        lines = list(function)
        for _ in range(swaps if len(lines) > 1 else 0):
            index = source.randrange(len(lines) - 1)
            first, second = lines[index : index + 2]
            conflict = output(first) in (*reads(second), output(second)) or output(second) in reads(first)
            if not conflict and not (first.info.is_random and second.info.is_random):
                lines[index : index + 2] = [second, first]
        functions.append(tuple(lines))
    return algorithm.with_functions(functions)


def rescaled(algorithm: Algorithm, source: random.Random) -> Algorithm:
    """Return the program with its non-zero scalar constants multiplied by something from 0.8 to 1."""

    def altered(one: Instruction) -> Instruction:
        if one.op != Op.SCALAR_CONST_SET:
            return one
        return Instruction(one.op, out=one.out, constants=(one.constants[0] * source.uniform(0.8, 1.0),))

    return algorithm.with_functions(map(altered, function) for function in algorithm.functions)


def disguised(algorithm: Algorithm, source: random.Random) -> Algorithm:
    """Return the program renamed, reordered, with other constants and with dead code."""
    used = algorithm.registers_used()
    room = Registers(*(count + 2 for count in used))
    return reordered(with_dead_code(permuted(rescaled(algorithm, source), source, room), source, room), source)
