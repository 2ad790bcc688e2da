"""What mutations are made of: drawing and altering instructions (reference/ops.md gives every distribution).

The kinds of mutation are in engine/core/mutation_kinds.py.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from engine.core.jit import inner
from engine.core.random_stream import below, normal, unit
from engine.core.tables import (
    CONSTANT_COUNT,
    CONSTANT_KIND,
    ELEMENT_CONSTANT,
    GAUSSIAN,
    IN1_TYPE,
    IN2_TYPE,
    INTERVAL,
    NO_CONSTANT,
    OUT_TYPE,
    SCALAR_CONSTANT,
)


class Space(NamedTuple):
    """The programs that mutation may reach."""

    starts: np.ndarray  # (3,) int64: first row of each function
    min_sizes: np.ndarray  # (3,) int64
    max_sizes: np.ndarray  # (3,) int64: a function has at most so many instructions
    ops: np.ndarray  # (total,) int64: ops of the three functions, one after the other
    ops_start: np.ndarray  # (4,) int64
    searched: np.ndarray  # (n,) int64: functions that mutation may choose
    registers: np.ndarray  # (3,) int64: s, v, m
    first: np.ndarray  # (3,) int64: position of each type's register 0 among all
    kinds: np.ndarray  # (n,) int64: mutation kinds with a weight
    cumulative: np.ndarray  # (n,) float64: running sum of their probabilities
    probability: np.ndarray  # (3,) float64: of mutating at all; of another mutation after each; of a newcomer
    analysis: tuple  # programs.Compact: buffers of the kinds that look at what is live
    paper_constants: np.ndarray  # (1,) bool: alter constants by the paper's rule, not the reference's
    validity: (
        np.ndarray
    )  # (2,) int64: sources that the prediction must have (engine.core.validity); tries at such a child


@inner()
def single(value):
    """Return a number rounded to float32."""
    return np.float64(np.float32(value))


@inner()
def _read_address(state, space, kind):
    return below(state, space.registers[kind])


@inner()
def write_address(state, space, kind):
    """Return a random register of a type that instructions may write."""
    # s0 and v0 belong to label and features.
    if kind == 2:
        return below(state, space.registers[kind])
    return 1 + below(state, space.registers[kind] - 1)


@inner()
def _fraction(state):
    """A float32 uniform over [0, 1): 24 random bits, so that rounding never reaches 1."""
    return np.float64(np.int64(unit(state) * 16777216.0)) / 16777216.0


@inner()
def _signed(state):
    """A float32 uniform over [-1, 1)."""
    return 2.0 * _fraction(state) - 1.0


@inner()
def random_operands(state, space, code, constants, row):
    """Draw addresses and constants of the op at a row, in the reference's order; unused fields are zeroed."""
    op = code[row, 0]
    clear_row(code, constants, row)
    code[row, 0] = op
    if IN1_TYPE[op] >= 0:
        code[row, 1] = _read_address(state, space, IN1_TYPE[op])
    if IN2_TYPE[op] >= 0:
        code[row, 2] = _read_address(state, space, IN2_TYPE[op])
    if OUT_TYPE[op] >= 0:
        code[row, 3] = write_address(state, space, OUT_TYPE[op])
    kind = CONSTANT_KIND[op]
    if kind == SCALAR_CONSTANT:
        constants[row, 0] = 2.0 * unit(state) - 1.0
    elif kind == ELEMENT_CONSTANT:
        last = CONSTANT_COUNT[op] - 1
        for k in range(last):
            constants[row, k] = _fraction(state)
        constants[row, last] = _signed(state)
    elif kind == INTERVAL:
        constants[row, 0] = _signed(state)
        constants[row, 1] = _signed(state)
    elif kind == GAUSSIAN:
        constants[row, 0] = _signed(state)
        constants[row, 1] = _fraction(state)


@inner()
def random_instruction(state, space, function, code, constants, row):
    """Draw an instruction anew: one of the function's ops, and all its operands."""
    begin = space.ops_start[function]
    code[row, 0] = space.ops[begin + below(state, space.ops_start[function + 1] - begin)]
    random_operands(state, space, code, constants, row)


@inner()
def randomize_function(state, space, function, code, constants, lengths):
    """Draw every instruction of a function anew; its length stays."""
    for row in range(space.starts[function], space.starts[function] + lengths[function]):
        random_instruction(state, space, function, code, constants, row)


@inner()
def _scaled(state, space, value):
    """Multiply the magnitude, by exp(N(0, 1)) in the reference, by U[0.5, 2] in the paper; the sign stays."""
    if space.paper_constants[0]:
        return value * (0.5 + 1.5 * unit(state))
    return value * math.exp(normal(state))


@inner()
def _scaled_or_flipped(state, space, value):
    """Change the sign with probability 0.1: instead of scaling in the reference, besides it in the paper."""
    flipped = unit(state) < 0.1
    if flipped and not space.paper_constants[0]:
        return -value
    scaled = _scaled(state, space, value)
    return -scaled if flipped else scaled


@inner()
def alter_constant(state, space, op, constants, row):
    """Alter one constant of an op that has some: fractions (of an index) are drawn anew, all others scaled."""
    kind = CONSTANT_KIND[op]
    if kind == SCALAR_CONSTANT:
        constants[row, 0] = _scaled_or_flipped(state, space, constants[row, 0])
    elif kind == ELEMENT_CONSTANT:
        last = CONSTANT_COUNT[op] - 1
        choice = below(state, last + 1)
        if choice < last:
            constants[row, choice] = _fraction(state)
        else:
            constants[row, last] = single(_scaled_or_flipped(state, space, constants[row, last]))
    elif kind == INTERVAL:
        choice = below(state, 2)
        constants[row, choice] = single(_scaled_or_flipped(state, space, constants[row, choice]))
        low, high = constants[row, 0], constants[row, 1]
        if low > high:
            constants[row, 0], constants[row, 1] = high, low
    elif kind == GAUSSIAN:
        if below(state, 2) == 0:
            constants[row, 0] = single(_scaled_or_flipped(state, space, constants[row, 0]))
        else:
            constants[row, 1] = single(_scaled(state, space, constants[row, 1]))


@inner()
def alter_instruction(state, space, code, constants, row):
    """Redraw one address, or alter one constant, of the instruction at a row; the op stays."""
    op = code[row, 0]
    if OUT_TYPE[op] < 0:
        return
    if CONSTANT_KIND[op] != NO_CONSTANT:
        if below(state, 2) == 0:
            code[row, 3] = write_address(state, space, OUT_TYPE[op])
        else:
            alter_constant(state, space, op, constants, row)
        return
    inputs = 2 if IN2_TYPE[op] >= 0 else 1
    choice = below(state, inputs + 1)
    if choice == inputs:
        code[row, 3] = write_address(state, space, OUT_TYPE[op])
    elif choice == 0:
        code[row, 1] = _read_address(state, space, IN1_TYPE[op])
    else:
        code[row, 2] = _read_address(state, space, IN2_TYPE[op])


@inner()
def copy_row(code, constants, source, target):
    """Copy an instruction to another row."""
    for k in range(4):
        code[target, k] = code[source, k]
    for k in range(3):
        constants[target, k] = constants[source, k]


@inner()
def clear_row(code, constants, row):
    """Make a row as if nothing had ever stood there."""
    for k in range(4):
        code[row, k] = 0
    for k in range(3):
        constants[row, k] = 0.0


@inner()
def insert_instruction(state, space, function, code, constants, lengths):
    """Put a random instruction at a random place. The function must have a row to spare."""
    start = space.starts[function]
    row = start + below(state, lengths[function] + 1)
    for k in range(start + lengths[function], row, -1):
        copy_row(code, constants, k - 1, k)
    random_instruction(state, space, function, code, constants, row)
    lengths[function] += 1


@inner()
def remove_instruction(state, space, function, code, constants, lengths):
    """Take a random instruction out. The function must have one."""
    start = space.starts[function]
    for k in range(start + below(state, lengths[function]), start + lengths[function] - 1):
        copy_row(code, constants, k + 1, k)
    lengths[function] -= 1
    clear_row(code, constants, start + lengths[function])


@inner()
def random_program(state, space, code, constants, lengths):
    """Draw every searched function anew: its length uniformly over those it may take, then its instructions."""
    for k in range(space.searched.shape[0]):
        function = space.searched[k]
        low, high = space.min_sizes[function], space.max_sizes[function]
        size = low if low == high else low + below(state, high - low + 1)
        for row in range(space.starts[function] + size, space.starts[function] + lengths[function]):
            clear_row(code, constants, row)
        lengths[function] = size
        randomize_function(state, space, function, code, constants, lengths)
