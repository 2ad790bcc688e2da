"""Random programs for property tests, with hypothesis."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from engine import alarms
from engine.alarms import disguised as disguised
from engine.algorithm import Algorithm, Instruction, Registers
from engine.canonical import output, reads
from engine.core.jit import compiled
from engine.ops import OPS, Op

REGISTERS = Registers(5, 4, 2)
DETERMINISTIC = tuple(op for op in Op if op < Op.SCALAR_UNIFORM_SET)


def from_python(function):
    """Return a function that Python may call for one of the engine's that only compiled code calls."""
    return compiled(cache=False)(lambda *arguments: function(*arguments))


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
    """Return an instruction drawn as the reference draws them."""
    return alarms.random_instruction(source, ops, registers)


def random_algorithm(source: random.Random, sizes=(7, 11, 23), ops=tuple(Op), registers=REGISTERS) -> Algorithm:
    """Return a program of the given function lengths, every instruction drawn at random."""
    return alarms.random_algorithm(source, sizes, ops, registers)


def permuted(algorithm: Algorithm, source: random.Random, registers=REGISTERS) -> Algorithm:
    """Return the same program with registers renamed and commutative inputs swapped at random."""
    return alarms.permuted(algorithm, source, registers)


def with_dead_code(algorithm: Algorithm, source: random.Random, registers=REGISTERS) -> Algorithm:
    """Return the program with instructions inserted that write registers it does not use, or nothing."""
    return alarms.with_dead_code(algorithm, source, registers)


def reordered(algorithm: Algorithm, source: random.Random, swaps=60) -> Algorithm:
    """Return the program with neighbouring lines swapped at random where neither needs the other.

    By a rule of its own: engine.ordering's is what it tests.
    """
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
