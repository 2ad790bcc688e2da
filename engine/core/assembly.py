"""Programs as machine code: stencils copied one behind the other, operands written in, and the code run.

A program becomes three functions: Setup; the loop over training examples (Predict, what follows it, Learn); the loop over
validation examples (Predict, what follows it). They are called with the address of the frame (``engine/core/frame.py``).
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from engine.core import linking as at
from engine.core.jit import compiled, inner
from engine.core.kernel import load_word, store_word
from engine.core.lanes import I32, I64, POINTER
from engine.core.tables import CONSTANT_COUNT, IN1_TYPE, IN2_TYPE, IN3_TYPE, OUT_TYPE
from engine.ops import OPS

# A machine is an array of int64 words. Functions get its address.
IMAGE, BEGIN, END, POSITION, ROOM = range(5)
"""Addresses of the image, of the room for programs, of its end, of the next program; the largest program's bytes."""
FRAME, TABLE, PATCHES = range(5, 8)
"""Addresses of the frame and of the stencils' table and patches."""
ZEROS, BANK, CONSTANTS = range(8, 11)
"""Displacements in the frame."""
SETUP, TRAIN, VALID, BANK_BYTES = range(11, 15)
"""Addresses of the functions of the program that is loaded (SETUP: 0 if there is nothing to do), and the size of its registers."""
_FIRST, _STRIDE, _LOWEST = 16, 20, 24
"""For scalars, vectors, matrices and nothing: displacement of register 0, bytes of a register, and what stands for register 0 in
the function that is copied."""
FEATURES, LANES = 28, 29
"""The shape."""
WORDS = 30

_FEATURES, _LABELS = 6 << 40, 2 << 40
"""Operands that are relative to the example's features (in rsi) or labels (in rdx), not to the frame: the register's number."""
_FIRST_FUSED = len(OPS)
_COLUMNS = at.IS_CALL + 1


_COPIED_AT_ONCE = 4
"""Blocks of 64 bytes that are copied of every stencil, since a loop that ends now here, now there costs more."""


@intrinsic
def _copy_code(typing_context, target, source, size):
    """Copy `size` bytes and some hundred more."""

    def generate(context, builder, signature, arguments):
        block = ir.VectorType(I64, 8)
        target, source = (builder.inttoptr(one, POINTER) for one in arguments[:2])

        def copy(index):
            value = builder.load(builder.gep(source, [index], source_etype=block), typ=block, align=1)
            builder.store(value, builder.gep(target, [index], source_etype=block), align=1)

        for index in range(_COPIED_AT_ONCE):
            copy(ir.Constant(I64, index))
        blocks = builder.lshr(builder.add(arguments[2], ir.Constant(I64, 63)), ir.Constant(I64, 6))
        with cgutils.for_range_slice(builder, ir.Constant(I64, _COPIED_AT_ONCE), blocks, ir.Constant(I64, 1)) as (
            index,
            _,
        ):
            copy(index)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def _load_int32(typing_context, address):
    """Return the int32 at an address, as int64."""

    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], POINTER)
        return builder.sext(builder.load(pointer, typ=I32, align=1), I64)

    return types.int64(types.int64), generate


@intrinsic
def _store_byte(typing_context, address, value):
    """Store the low 8 bits of a value."""

    def generate(context, builder, signature, arguments):
        byte = ir.IntType(8)
        builder.store(builder.trunc(arguments[1], byte), builder.inttoptr(arguments[0], POINTER), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def call_code(typing_context, code, frame, features, labels, examples, order, hashing):
    """Call a function of the loaded program."""

    def generate(context, builder, signature, arguments):
        code, frame, features, labels, examples, order, hashing = arguments
        kinds = [POINTER, POINTER, POINTER, I64, POINTER, I64]
        pointers = [builder.inttoptr(one, POINTER) for one in (frame, features, labels, order)]
        frame, features, labels, order = pointers
        function = builder.inttoptr(code, ir.FunctionType(ir.VoidType(), kinds).as_pointer())
        builder.call(function, [frame, features, labels, examples, order, hashing])
        return context.get_dummy_value()

    word = types.int64
    return types.void(word, word, word, word, word, word, word), generate


@intrinsic
def _store_int32(typing_context, address, value):
    """Store the low 32 bits of a value."""

    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], POINTER)
        builder.store(builder.trunc(arguments[1], I32), pointer, align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@inner()
def _column(machine, number, column):
    """Return an entry of the stencils' table."""
    return load_word(load_word(machine + 8 * TABLE) + 8 * (_COLUMNS * number + column))


@inner()
def _put(machine, number, place, loop, done):
    """Copy a stencil to an address and write its distances; return the address behind it."""
    source = load_word(machine + 8 * IMAGE) + _column(machine, number, at.START)
    size = _column(machine, number, at.SIZE)
    _copy_code(place, source, size)
    patch = load_word(machine + 8 * PATCHES) + 24 * _column(machine, number, at.FIRST)
    for _ in range(_column(machine, number, at.PATCHES)):
        offset, what = load_word(patch), load_word(patch + 8)
        if what == at.RELATIVE:
            # Read from the image: what has just been stored in blocks would have to be waited for.
            _store_int32(place + offset, _load_int32(source + offset) + source - place)
        else:
            target = loop if what == at.LOOP else done
            _store_int32(place + offset, target + load_word(patch + 16) - (place + offset))
        patch += 24
    return place + size


@inner()
def _write(machine, number, column, place, operand):
    """Write an operand into the stencil at an address: its displacement, and to which register it is relative."""
    offset = _column(machine, number, column)
    _store_int32(place + offset, operand)
    if operand >= _LABELS:
        before = _load_int32(load_word(machine + 8 * IMAGE) + _column(machine, number, at.START) + offset - 1)
        _store_byte(place + offset - 1, (before & 0xF8) | (operand >> 40))


@inner()
def _register(machine, kind, address):
    """Return where a register is: a displacement, marked if it is not from the frame. kind: -1 for no operand."""
    words = machine + 8 * (kind & 3)
    if address == 0:
        return load_word(words + 8 * _LOWEST)
    return load_word(words + 8 * _FIRST) + address * load_word(words + 8 * _STRIDE)


@inner()
def _put_op(machine, row, place, held, constants):
    """Copy the op at a row of a compact program's code (an address); return the address behind it."""
    op, in1, in2, out = load_word(row), load_word(row + 8), load_word(row + 16), load_word(row + 24)
    kind1, kind2 = np.int64(IN1_TYPE[op]), np.int64(IN2_TYPE[op])
    number = op
    if held >= 0:
        if kind1 == 0 and in1 == held:
            number += at.HELD_A
        if kind2 == 0 and in2 == held:
            number += at.HELD_B
        if _column(machine, number, at.SIZE) < 0:
            number = op
    behind = _put(machine, number, place, 0, 0)
    _write(machine, number, at.A, place, _register(machine, kind1, in1))
    _write(machine, number, at.B, place, _register(machine, kind2, in2))
    _write(machine, number, at.OUT, place, _register(machine, np.int64(OUT_TYPE[op]), out))
    if op >= _FIRST_FUSED:
        constants = _register(machine, np.int64(IN3_TYPE[op]), load_word(row + 32))
    _write(machine, number, at.OTHER, place, constants)
    return behind


@inner()
def _held_after(machine, row, held):
    """Return which scalar register is held after the op at a row: its output, or what was; -1 if none is."""
    op = load_word(row)
    if _column(machine, op, at.IS_CALL) != 0:
        return np.int64(-1)
    return load_word(row + 24) if OUT_TYPE[op] == 0 else held


@inner()
def _put_function(machine, row, first, count, place, held):
    """Copy `count` ops, from a row of a compact program's code on; return (address behind them, scalar held or -1).

    first: the row's number. held: the scalar register that was computed last and is still in the processor's registers.
    """
    constants = load_word(machine + 8 * CONSTANTS) + 24 * first
    row += 40 * first
    for _ in range(count):
        place = _put_op(machine, row, place, held, constants)
        held = _held_after(machine, row, held)
        row += 40
        constants += 24
    return place, held


@inner()
def _put_special(machine, number, place, loop, done, prediction, label):
    """Copy a stencil that is no op; return the address behind it."""
    behind = _put(machine, number, place, loop, done)
    _store_int32(place + _column(machine, number, at.A), prediction)
    _store_int32(place + _column(machine, number, at.OUT), label)
    return behind


@compiled()
def assemble(machine, compact, bits):
    """Turn a compact program into machine code, which stays until as much as there is room for (engine/core/machine.py) has come after it.

    machine: (WORDS,) int64. bits: compact.constants seen as int64.
    """
    here, code = machine.ctypes.data, compact.code.ctypes.data
    setup, predict, learn = compact.counts[0], compact.counts[1], compact.counts[2]
    vector_labels = compact.registers[3]
    if machine[POSITION] + machine[ROOM] > machine[END]:
        machine[POSITION] = machine[BEGIN]
    scalar_bytes = 8 * machine[LANES]
    vector_bytes = scalar_bytes * machine[FEATURES]
    matrix_bytes = vector_bytes * machine[FEATURES]
    vectors = machine[BANK] + compact.registers[0] * scalar_bytes
    matrices = vectors + compact.registers[1] * vector_bytes
    machine[_FIRST], machine[_FIRST + 1], machine[_FIRST + 2] = machine[BANK], vectors, matrices
    machine[_STRIDE], machine[_STRIDE + 1], machine[_STRIDE + 2] = scalar_bytes, vector_bytes, matrix_bytes
    # Setup and Predict cannot see the label, Setup no example.
    machine[_LOWEST], machine[_LOWEST + 1], machine[_LOWEST + 2] = machine[ZEROS], machine[ZEROS], matrices
    machine[BANK_BYTES] = matrices + compact.registers[2] * matrix_bytes - machine[BANK]
    for row in range(setup + predict + learn):
        for k in range(CONSTANT_COUNT[compact.code[row, 0]]):
            store_word(machine[FRAME] + machine[CONSTANTS] + 24 * row + 8 * k, bits[row, k])
    prediction, label = machine[BANK] + scalar_bytes, np.int64(0)
    if vector_labels:
        prediction = vectors + vector_bytes
        label = prediction + vector_bytes
    done = machine[POSITION]
    place = _put(here, at.EXIT, done, 0, 0)
    machine[SETUP] = 0
    if setup > 0:
        machine[SETUP] = place
        place = _put(here, at.ENTER, place, 0, 0)
        place, _ = _put_function(here, code, 0, setup, place, -1)
        place = _put(here, at.EXIT, place, 0, 0)
    machine[_LOWEST + 1] = _FEATURES
    machine[TRAIN] = place
    loop = _put(here, at.ENTER, place, 0, 0)
    place = _put_special(here, at.TRAIN_BEGIN, loop, loop, done, prediction, label)
    place, held = _put_function(here, code, setup, predict, place, -1)
    # The prediction is s1, and held afterwards; with vector labels nothing is.
    number = at.AFTER_TRAIN + (at.HELD_A if held == 1 and not vector_labels else 0)
    place = _put_special(here, number, place, loop, done, prediction, label)
    if not vector_labels:
        machine[_LOWEST] = _LABELS
    place, _ = _put_function(here, code, setup + predict, learn, place, -1 if vector_labels else 1)
    machine[_LOWEST] = machine[ZEROS]
    place = _put(here, at.TRAIN_END, place, loop, done)
    place = _put(here, at.EXIT, place, 0, 0)
    machine[VALID] = place
    loop = _put(here, at.ENTER, place, 0, 0)
    place = _put_special(here, at.VALID_BEGIN, loop, loop, done, prediction, label)
    place, held = _put_function(here, code, setup, predict, place, -1)
    number = at.AFTER_VALID + (at.HELD_A if held == 1 and not vector_labels else 0)
    place = _put_special(here, number, place, loop, done, prediction, label)
    place = _put(here, at.VALID_END, place, loop, done)
    place = _put(here, at.EXIT, place, 0, 0)
    machine[POSITION] = (place + 63) // 64 * 64
