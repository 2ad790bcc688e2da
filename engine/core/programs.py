"""Programs as arrays: which instructions matter, their canonical hash, and their decoding for the kernel.

A program is code (S, 4) int16 rows (op, in1, in2, out), constants (S, 3) float64 and lengths (3,) int32; its
functions begin at rows starts[0], starts[1], starts[2]. A *compact* program has its live instructions only, one after
the other, as code (S, 5) int64, constants (S, 3) and counts (3,), with registers renumbered from the lowest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import uint64

from engine.core import context as at
from engine.core.jit import compiled, inner
from engine.core.random_stream import mix
from engine.core.tables import (
    CONSTANT_COUNT,
    COST,
    IN1_TYPE,
    IN2_TYPE,
    IN3_TYPE,
    IS_COMMUTATIVE,
    IS_RANDOM,
    KEEPS_OUTPUT,
    OUT_TYPE,
)


class Compact(NamedTuple):
    """Buffers for one compact program and what is found on the way to it."""

    code: np.ndarray  # (S, 5) int64: op, in1, in2, out, and in3 of fused instructions
    constants: np.ndarray  # (S, 3) float64
    counts: np.ndarray  # (3,) int64: instructions of each function
    registers: np.ndarray  # (4,) int64: registers of each type in use, and whether labels are vectors
    live: np.ndarray  # (S,) uint8: which rows of the program are live
    sets: np.ndarray  # (3, R) uint8: register sets of the analysis
    names: np.ndarray  # (R,) int64: new address of each register, -1 while unnamed


def new_compact(size: int, registers: tuple[int, int, int]) -> Compact:
    """Allocate buffers for programs of up to `size` instructions over `registers` (s, v, m)."""
    total = sum(registers)
    return Compact(
        np.zeros((max(size, 1), 5), np.int64), np.zeros((max(size, 1), 3)), np.zeros(3, np.int64), np.zeros(4, np.int64),
        np.zeros(max(size, 1), np.uint8), np.zeros((3, total), np.uint8), np.zeros(total, np.int64),
    )  # fmt: skip


@inner()
def _backward(code, start, length, first, needed, live):
    """Walk a function backwards: `needed` goes from the registers needed after it to those needed before it."""
    for row in range(start + length - 1, start - 1, -1):
        op = code[row, 0]
        kind = OUT_TYPE[op]
        if kind < 0:
            continue
        out = first[kind] + code[row, 3]
        if needed[out] == 0:
            continue
        live[row] = 1
        if not KEEPS_OUTPUT[op]:
            needed[out] = 0
        if IN1_TYPE[op] >= 0:
            needed[first[IN1_TYPE[op]] + code[row, 1]] = 1
        if IN2_TYPE[op] >= 0:
            needed[first[IN2_TYPE[op]] + code[row, 2]] = 1


@compiled()
def find_live(code, lengths, starts, first, compact):
    """Mark in compact.live the instructions that can reach the prediction at the end of some Predict.

    Backward data flow over Setup, (Predict, Learn)*, Predict*, to a fixpoint. first: (4,) position of each type's
    register 0 among all registers, and whether labels are vectors (prediction in v1, label in v2; else s1 and s0). Label and
    features are overwritten before each function, so nothing flows through them.
    """
    live, before_predict, needed = compact.live, compact.sets[0], compact.sets[1]
    size = before_predict.shape[0]
    for row in range(live.shape[0]):
        live[row] = 0
    for register in range(size):
        before_predict[register] = 0
    features = first[1]
    label, prediction = (first[1] + 2, first[1] + 1) if first[3] else (first[0], first[0] + 1)
    while True:
        for register in range(size):
            needed[register] = before_predict[register]
        _backward(code, starts[2], lengths[2], first, needed, live)
        # After Predict comes Learn, or in validation the next Predict.
        for register in range(size):
            needed[register] |= before_predict[register]
        needed[prediction] = 1
        needed[label] = 0
        needed[features] = 0
        _backward(code, starts[1], lengths[1], first, needed, live)
        needed[label] = 0
        needed[features] = 0
        grown = False
        for register in range(size):
            if needed[register] and not before_predict[register]:
                before_predict[register] = 1
                grown = True
        if not grown:
            break
    for register in range(size):
        needed[register] = before_predict[register]
    _backward(code, starts[0], lengths[0], first, needed, live)


@inner()
def needed_before(code, lengths, starts, first, compact, function, row):
    """Write into compact.sets[1] the registers that something reads after the point before a row of a function.

    Only right after find_live, whose fixpoint is in compact.sets[0].
    """
    before_predict, needed = compact.sets[0], compact.sets[1]
    size = before_predict.shape[0]
    features = first[1]
    label, prediction = (first[1] + 2, first[1] + 1) if first[3] else (first[0], first[0] + 1)
    for register in range(size):
        needed[register] = before_predict[register]
    if function == 1:
        _backward(code, starts[2], lengths[2], first, needed, compact.live)
        for register in range(size):
            needed[register] |= before_predict[register]
        needed[prediction] = 1
        needed[label] = 0
        needed[features] = 0
    _backward(code, row, starts[function] + lengths[function] - row, first, needed, compact.live)


@compiled()
def keep_all(lengths, starts, compact):
    """Mark every instruction as live."""
    for function in range(3):
        for row in range(starts[function], starts[function] + lengths[function]):
            compact.live[row] = 1


@inner()
def _name(kind, address, first, names, registers):
    place = first[kind] + address
    if names[place] < 0:
        names[place] = registers[kind]
        registers[kind] += 1
    return names[place]


@compiled()
def make_compact(code, constants, lengths, starts, first, rename, compact):
    """Copy the live instructions into compact.code, renaming registers by first use if `rename`.

    s0, s1 and v0 keep their names, with vector labels v1 and v2 too. Operands of commutative ops are put in order. Returns whether an op draws random numbers.
    """
    names, registers = compact.names, compact.registers
    registers[3] = first[3]
    if rename:
        for register in range(names.shape[0]):
            names[register] = -1
        registers[0], registers[1], registers[2] = 2, 3 if first[3] else 1, 0
        names[first[0]], names[first[0] + 1] = 0, 1
        for address in range(registers[1]):
            names[first[1] + address] = address
    else:
        registers[0], registers[1], registers[2] = first[1], first[2] - first[1], names.shape[0] - first[2]
        for kind in range(3):
            for address in range(registers[kind]):
                names[first[kind] + address] = address
    is_random = False
    used = 0
    for function in range(3):
        begin = used
        for row in range(starts[function], starts[function] + lengths[function]):
            if compact.live[row] == 0:
                continue
            op = code[row, 0]
            compact.code[used, 0] = op
            first_kind, second_kind, out_kind = IN1_TYPE[op], IN2_TYPE[op], OUT_TYPE[op]
            in1 = in2 = out = 0
            if second_kind >= 0:
                a, b = code[row, 1], code[row, 2]
                if IS_COMMUTATIVE[op]:
                    # An operand that has a name goes before one that has none.
                    old_a, old_b = names[first[first_kind] + a], names[first[first_kind] + b]
                    if old_b >= 0 and (old_a < 0 or old_b < old_a):
                        a, b = b, a
                in1 = _name(first_kind, a, first, names, registers)
                in2 = _name(second_kind, b, first, names, registers)
            elif first_kind >= 0:
                in1 = _name(first_kind, code[row, 1], first, names, registers)
            if out_kind >= 0:
                out = _name(out_kind, code[row, 3], first, names, registers)
            compact.code[used, 1], compact.code[used, 2], compact.code[used, 3] = in1, in2, out
            for k in range(CONSTANT_COUNT[op]):
                compact.constants[used, k] = constants[row, k]
            is_random |= IS_RANDOM[op]
            used += 1
        compact.counts[function] = used - begin
    return is_random


@inner()
def compact_hash(compact, bits):
    """Return a 64-bit hash of a compact program; bits: compact.constants seen as uint64."""
    value = uint64(0x243F6A8885A308D3)
    row = 0
    for function in range(3):
        value = mix(value ^ uint64(compact.counts[function] + 1))
        for _ in range(compact.counts[function]):
            op = compact.code[row, 0]
            word = uint64(op) | uint64(compact.code[row, 1]) << uint64(8) | uint64(compact.code[row, 2]) << uint64(24)
            value = mix(value ^ word ^ uint64(compact.code[row, 3]) << uint64(40))
            for k in range(CONSTANT_COUNT[op]):
                value = mix(value ^ bits[row, k])
            row += 1
    return value


@inner()
def cost(code, lengths, starts, train_examples):
    """Return the cost model's value of a whole program, dead instructions included (semantics section 8)."""
    setup = per_example = 0.0
    for function in range(3):
        for row in range(starts[function], starts[function] + lengths[function]):
            if function == 0:
                setup += COST[code[row, 0]]
            else:
                per_example += COST[code[row, 0]]
    return setup + train_examples * per_example


class Decoded(NamedTuple):
    """What the kernel executes."""

    words: np.ndarray  # (S, INSTRUCTION_WORDS) int64
    feature_patches: np.ndarray  # (3 S,) int64: addresses of operands that follow the example's features
    label_patches: np.ndarray  # (3 S,) int64: and its label


def new_decoded(size: int) -> Decoded:
    """Allocate room for a decoded program of up to `size` instructions."""
    size = max(size, 1)
    return Decoded(
        np.zeros((size, at.INSTRUCTION_WORDS), np.int64), np.zeros(3 * size, np.int64), np.zeros(3 * size, np.int64)
    )


@compiled()
def decode(compact, bits, features, lanes, decoded, words, bank, zeros, ctx):
    """Fill `decoded` and the program's part of a context from a compact program.

    bits: compact.constants seen as int64. words, bank, zeros: addresses of decoded.words, of the register bank and of a
    vector register of zeros (which stands for label and features where a program cannot see them). ctx[CLASSES] says
    whether labels are vectors.
    """
    scalar_bytes = 8 * lanes
    vector_bytes = scalar_bytes * features
    vectors = bank + compact.registers[0] * scalar_bytes
    matrices = vectors + compact.registers[1] * vector_bytes
    row = feature_patches = label_patches = 0
    for function in range(3):
        ctx[at.SETUP_COUNT + function] = compact.counts[function]
        for _ in range(compact.counts[function]):
            op = compact.code[row, 0]
            decoded.words[row, at.OP] = op
            for operand in range(4 if IN3_TYPE[op] >= 0 else 3):
                kind, word = OUT_TYPE[op], at.OUT
                if operand == 0:
                    kind, word = IN1_TYPE[op], at.IN1
                elif operand == 1:
                    kind, word = IN2_TYPE[op], at.IN2
                elif operand == 3:
                    kind, word = IN3_TYPE[op], at.IN3
                address = compact.code[row, 1 + operand]
                slot = words + 8 * (row * at.INSTRUCTION_WORDS + word)
                place = zeros
                if kind == 2:
                    place = matrices + address * vector_bytes * features
                elif address > 0 and kind == 1:
                    place = vectors + address * vector_bytes
                elif address > 0:
                    place = bank + address * scalar_bytes
                elif kind == 1 and function > 0:
                    decoded.feature_patches[feature_patches] = slot
                    feature_patches += 1
                elif kind == 0 and function == 2 and ctx[at.CLASSES] == 0:
                    decoded.label_patches[label_patches] = slot
                    label_patches += 1
                decoded.words[row, word] = place
            for k in range(CONSTANT_COUNT[op]):
                decoded.words[row, at.CONSTANTS + k] = bits[row, k]
            row += 1
        if function == 1:
            ctx[at.PREDICT_FEATURES] = feature_patches
    ctx[at.LEARN_FEATURES] = feature_patches - ctx[at.PREDICT_FEATURES]
    ctx[at.LEARN_LABELS] = label_patches
    ctx[at.BANK_WORDS] = (matrices + compact.registers[2] * vector_bytes * features - bank) // 8
    ctx[at.PREDICTION] = vectors + vector_bytes if ctx[at.CLASSES] else bank + scalar_bytes
    ctx[at.VECTOR_LABEL] = vectors + 2 * vector_bytes
