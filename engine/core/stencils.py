"""Machine code to copy: every op compiled once for a shape, so that a program becomes code by copying and patching.

A stencil is a piece of machine code that does one thing (an op, the end of a loop) and then falls through to whatever stands
behind it. It is compiled as a function whose last act is a tail call of a function that does not exist; the jump is cut off, and
where it stood the next stencil is put. All stencils have the same arguments, which therefore stay in the same registers from one
to the next. Operands are displacements from `base`, unknown symbols to the compiler, written in when the stencil is copied
(`engine/core/assembly.py`). The op bodies are those of the interpreter (`engine/core/op_bodies.py`).

Method: Xu and Kjolstad 2021, "Copy-and-patch compilation".
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from engine.core import CACHE_DIRECTORY, endings, tables, vector_math
from engine.core import context as at
from engine.core import frame as at_frame
from engine.core.kernel import POSITIVE_LOGIT
from engine.core.lanes import DOUBLE, I32, I64, POINTER, Held, Lanes, Value
from engine.core.linking import (
    AFTER_TRAIN,
    AFTER_VALID,
    ENTER,
    EXIT,
    HELD_A,
    HELD_B,
    OP_COUNT,
    TRAIN_BEGIN,
    TRAIN_END,
    VALID_BEGIN,
    VALID_END,
    Stencils,
    link,
)
from engine.core.op_bodies import BODIES, Extra
from engine.ops import OPS, Op

INLINE_VECTORS = 32
"""Ops that touch more machine vectors than this, and long formulas, are called instead of copied."""

SMALL_EXAMPLE, MOST_PREFETCHED = 512, 4096
"""Bytes: examples up to this are not fetched ahead, since few of them fit the first-level cache and asking costs instructions; of
larger ones so much is."""


class Shape(NamedTuple):
    """What stencils are compiled for: F features, L lanes (a multiple of width), kind of score or labels."""

    features: int
    lanes: int
    width: int
    is_accuracy: bool
    vector_labels: bool


@cache
def vector_width() -> int:
    """Return the lanes of the widest vectors that this processor runs, 8 or 4; 0 where stencils are not supported.

    $ABOVO_VECTOR_WIDTH may say less: 4, or 0 for the interpreter.
    """
    if platform.machine() not in ("x86_64", "AMD64") or not sys.platform.startswith("linux"):
        return 0
    has = llvm.get_host_cpu_features()
    widest = 4 if has.get("avx2") else 0
    if widest and all(has.get(name) for name in ("avx512f", "avx512dq", "avx512vl", "avx512bw")):
        widest = 8
    wanted = os.environ.get("ABOVO_VECTOR_WIDTH") or "8"
    if wanted not in ("0", "4", "8"):
        raise ValueError(f"ABOVO_VECTOR_WIDTH: {wanted!r} is none of 0, 4, 8")
    return min(widest, int(wanted))


@cache
def stencils(shape: Shape) -> Stencils:
    """Return the stencils of a shape, compiled now or read from the cache on disk."""
    name = f"stencils-{'-'.join(str(int(one)) for one in shape)}-{_processor()}.npz"
    path = CACHE_DIRECTORY / name
    try:
        with np.load(path) as stored:
            return Stencils(*(stored[field] for field in Stencils._fields))
    except (OSError, KeyError, ValueError):
        made = link(_compile(shape))
    _keep(path, made)
    return made


def _keep(path: Path, made: Stencils) -> None:
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.npz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(temporary, **made._asdict())
        os.replace(temporary, path)
    except OSError:  # a cache that others filled and nobody may write to
        temporary.unlink(missing_ok=True)


def _features() -> str:
    # Without "vzeroupper", which would stand at the end of every stencil; the last one runs it.
    return llvm.get_host_cpu_features().flatten() + ",-vzeroupper"


@cache
def _processor() -> str:
    return hashlib.sha256(f"{llvm.get_host_cpu_name()} {_features()}".encode()).hexdigest()[:12]


# emitting ---------------------------------------------------------------------------------------------------------


class _Module:
    """Emits the functions of a shape."""

    def __init__(self, shape: Shape):
        self.shape = shape
        self.layout = at_frame.layout(shape.features, shape.lanes)
        self.module = ir.Module("stencils")
        self.module.triple = llvm.get_process_triple()
        vector = ir.VectorType(DOUBLE, shape.width)
        chunks = shape.lanes // shape.width
        # base, features, labels, examples left, order of examples, whether errors are hashed; totals of validation, and
        # the scalar that was computed last.
        self.type = ir.FunctionType(ir.VoidType(), [POINTER] * 3 + [I64, POINTER, I64] + [vector] * 2 * chunks)
        self.targets = {name: ir.Function(self.module, self.type, name) for name in ("next", "loop", "done")}
        self.symbols = {
            name: ir.GlobalVariable(self.module, ir.IntType(8), name)
            for name in ("A", "B", "OUT", "THIRD", "CONSTANTS")
        }
        # base, features, labels (where they are anyway); in1, in2, out, and in3 or the constants.
        self.body_type = ir.FunctionType(ir.VoidType(), [POINTER] * 7)

    def stencil(self, number: int, emit: Callable[[_Stencil], None]) -> None:
        """Emit one stencil; emit must end it."""
        emit(_Stencil(self, ir.Function(self.module, self.type, f"stencil_{number}")))

    def op(self, number: int) -> None:
        """Emit the stencil of an op: its body, or a call of it."""
        if not self._is_called(number):
            scalars = [tables.IN1_TYPE[number] == tables.SCALAR, tables.IN2_TYPE[number] == tables.SCALAR]
            self.stencil(number, lambda one: one.run(number))
            if scalars[0]:
                self.stencil(number + HELD_A, lambda one: one.run(number, held_a=True))
            if scalars[1]:
                self.stencil(number + HELD_B, lambda one: one.run(number, held_b=True))
            if all(scalars):
                self.stencil(number + HELD_A + HELD_B, lambda one: one.run(number, held_a=True, held_b=True))
            return
        body = ir.Function(self.module, self.body_type, f"body_{number}")
        body.attributes.add("noinline")
        builder = ir.IRBuilder(body.append_basic_block("entry"))
        base, _, _, a, b, out, other = body.args
        shape = self.shape
        lanes = Lanes(builder, shape.features, shape.lanes, shape.width)
        scratch, random = (
            builder.gep(base, [ir.Constant(I64, place)], source_etype=ir.IntType(8))
            for place in (self.layout.scratch, self.layout.random)
        )
        BODIES[number](lanes, a, b, out, Extra(other, scratch, random, other))
        builder.ret_void()

        def call(one: _Stencil) -> None:
            operands = [one.operand(name) for name in ("A", "B", "OUT", "CONSTANTS" if number < len(OPS) else "THIRD")]
            one.builder.call(body, [one.base, one.features, one.labels, *operands])
            # What was computed last is not kept across a call.
            one.go("next", last=[ir.Constant(one.lanes.vector, ir.Undefined)] * one.lanes.chunks)

        self.stencil(number, call)

    def _is_called(self, number: int) -> bool:
        if number in _LONG:
            return True
        kinds = (tables.IN1_TYPE[number], tables.IN2_TYPE[number], tables.OUT_TYPE[number])
        elements = self.shape.features ** max(0, *(int(kind) for kind in kinds))
        return elements * (self.shape.lanes // self.shape.width) > INLINE_VECTORS


_LONG = {
    int(info.op)
    for info in OPS
    if info.is_random
    or info.op
    in (Op.SCALAR_EXP, Op.SCALAR_LOG, Op.SCALAR_SIN, Op.SCALAR_COS, Op.SCALAR_TAN, Op.SCALAR_ARCSIN, Op.SCALAR_ARCCOS, Op.SCALAR_ARCTAN)
}  # fmt: skip


class _Stencil:
    """The function of one stencil, while it is emitted."""

    def __init__(self, module: _Module, function: ir.Function):
        self.module, self.function = module, function
        shape = module.shape
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.lanes = Lanes(self.builder, shape.features, shape.lanes, shape.width)
        self.base, self.features, self.labels, self.left, self.order, self.hashing = function.args[:6]
        self.totals = list(function.args[6 : 6 + self.lanes.chunks])
        self.last = list(function.args[6 + self.lanes.chunks :])

    def operand(self, name: str) -> Value:
        """Return an operand's address: `base` and an unknown displacement."""
        offset = self.module.symbols[name].ptrtoint(I64)
        address = self.builder.gep(self.base, [offset], source_etype=ir.IntType(8))
        # Through an empty piece of assembly, so that the sum is computed once, in one place to patch.
        opaque = ir.InlineAsm(ir.FunctionType(POINTER, [POINTER]), "", "=r,0", side_effect=False)
        return self.builder.call(opaque, [address])

    def fixed(self, offset: int) -> Value:
        """Return the address of something that stands at the same distance from `base` for all programs."""
        return self.builder.gep(self.base, [ir.Constant(I64, offset)], source_etype=ir.IntType(8))

    def word(self, number: int, kind: ir.Type = I64) -> Value:
        """Load a word of the frame's head."""
        return self.builder.load(self.fixed(8 * number), typ=kind)

    def run(self, number: int, *, held_a: bool = False, held_b: bool = False) -> None:
        """Emit an op's body and go on. held_a, held_b: an input is the scalar that was computed last."""
        layout = self.module.layout
        extra = Extra(
            self.operand("CONSTANTS"), self.fixed(layout.scratch), self.fixed(layout.random), self.operand("THIRD")
        )
        a = Held(self.last) if held_a else self.operand("A")
        b = Held(self.last) if held_b else self.operand("B")
        out = self.operand("OUT")
        if tables.OUT_TYPE[number] == tables.SCALAR:
            held = Held([None] * self.lanes.chunks, out)
            BODIES[number](self.lanes, a, b, held, extra)
            self.go("next", last=held.values)
        else:
            BODIES[number](self.lanes, a, b, out, extra)
            self.go("next")

    def go(self, target: str, **changed: Value | list[Value]) -> None:
        """End the block by going to the next stencil, to the head of the loop, or behind it."""
        arguments = [
            changed.get(name, getattr(self, name))
            for name in ("base", "features", "labels", "left", "order", "hashing")
        ] + [*changed.get("totals", self.totals), *changed.get("last", self.last)]
        self.builder.call(self.module.targets[target], arguments, tail="musttail")
        self.builder.ret_void()

    def go_if(self, condition: Value, target: str, otherwise: str, **changed: Value | list[Value]) -> None:
        """End the block by going to one of two places."""
        blocks = [self.function.append_basic_block(name) for name in (target, otherwise)]
        self.builder.cbranch(condition, *blocks)
        for block, name in zip(blocks, (target, otherwise)):
            self.builder.position_at_end(block)
            self.go(name, **changed)


def _example_bytes(shape: Shape) -> tuple[int, int]:
    features = 8 * shape.features * shape.lanes
    return features, features if shape.vector_labels else 8 * shape.lanes


def _enter(one: _Stencil) -> None:
    undefined = ir.Constant(one.lanes.vector, ir.Undefined)
    one.go("next", totals=[one.lanes.splat(0.0)] * one.lanes.chunks, last=[undefined] * one.lanes.chunks)


def _exit(one: _Stencil) -> None:
    one.builder.store(one.features, one.fixed(8 * at_frame.LAST_FEATURES))
    for chunk, total in enumerate(one.totals):
        one.lanes.store(total, one.fixed(one.module.layout.totals), chunk)
    one.builder.asm(ir.FunctionType(ir.VoidType(), []), "vzeroupper", "", [], True)
    one.builder.ret_void()


def _zero_labels(one: _Stencil) -> None:
    if one.module.shape.vector_labels:
        out = one.operand("OUT")
        one.lanes.repeat(
            one.lanes.features * one.lanes.chunks, lambda index: one.lanes.store(one.lanes.splat(0.0), out, index)
        )


def _fetch_ahead(one: _Stencil, features: Value, labels: Value) -> None:
    """Ask for an example to be in the second-level cache when it comes: a search's examples fill many times that, and all but the
    first epoch take them in random order."""
    b, (size, label_size) = one.builder, _example_bytes(one.module.shape)
    if size <= SMALL_EXAMPLE:
        return
    prefetch = one.lanes.declare("llvm.prefetch.p0", ir.FunctionType(ir.VoidType(), [POINTER, *[I32] * 3]))
    read, second_level, data = (ir.Constant(I32, value) for value in (0, 2, 1))
    for place, most in ((features, min(size, MOST_PREFETCHED)), (labels, min(label_size, MOST_PREFETCHED))):
        for offset in range(0, most, 64):
            address = b.gep(place, [ir.Constant(I64, offset)], source_etype=ir.IntType(8))
            b.call(prefetch, [address, read, second_level, data])


def _train_places(one: _Stencil, ahead: int) -> tuple[Value, Value]:
    """Return where features and labels of the training example are that comes so many examples after this one."""
    b = one.builder
    index = b.load(b.gep(one.order, [ir.Constant(I64, ahead)], source_etype=I64), typ=I64)
    features, labels = (
        b.gep(one.word(word, POINTER), [b.mul(index, ir.Constant(I64, size))], source_etype=ir.IntType(8))
        for word, size in zip((at_frame.TRAIN_FEATURES, at_frame.TRAIN_LABELS), _example_bytes(one.module.shape))
    )
    return features, labels


def _valid_places(one: _Stencil, ahead: int) -> tuple[Value, Value]:
    """Return where features and labels of the validation example are that comes so many examples after this one."""
    features, labels = (
        one.builder.gep(pointer, [ir.Constant(I64, ahead * size)], source_etype=ir.IntType(8))
        for pointer, size in zip((one.features, one.labels), _example_bytes(one.module.shape))
    )
    return features, labels


def _train_begin(one: _Stencil) -> None:
    features, labels = _train_places(one, 0)
    _fetch_ahead(one, *_train_places(one, at_frame.AHEAD))
    _zero_labels(one)
    one.go("next", features=features, labels=labels)


def _train_end(one: _Stencil) -> None:
    b = one.builder
    left = b.sub(one.left, ir.Constant(I64, 1))
    order = b.gep(one.order, [ir.Constant(I64, 1)], source_etype=I64)
    one.go_if(b.icmp_unsigned("!=", left, ir.Constant(I64, 0)), "loop", "next", left=left, order=order)


def _valid_begin(one: _Stencil) -> None:
    _fetch_ahead(one, *_valid_places(one, at_frame.AHEAD))
    _zero_labels(one)
    one.go("next")


def _valid_end(one: _Stencil) -> None:
    b = one.builder
    left = b.sub(one.left, ir.Constant(I64, 1))
    features, labels = _valid_places(one, 1)
    more = b.icmp_unsigned("!=", left, ir.Constant(I64, 0))
    blocks = [one.function.append_basic_block(name) for name in ("more", "end")]
    b.cbranch(more, *blocks)
    b.position_at_end(blocks[0])
    one.go("loop", left=left, features=features, labels=labels)
    b.position_at_end(blocks[1])
    one.go("next", left=left)  # `features` still names the last example


def _hash(one: _Stencil, errors: list[Value], alive: list[Value]) -> None:
    """Mix a vector of errors for each chunk into the lanes' hashes, if errors are hashed; failed lanes mix FAILED_ERROR."""
    b, lanes = one.builder, one.lanes
    with b.if_then(b.icmp_unsigned("!=", one.hashing, ir.Constant(I64, 0))):
        pointer = one.fixed(one.module.layout.hashes)
        for chunk, (error, good) in enumerate(zip(errors, alive)):
            value = b.select(good, error, lanes.splat(at.FAILED_ERROR))
            mixed = b.xor(lanes.load(pointer, chunk, lanes.bits), lanes.to_bits(value))
            mixed = b.mul(mixed, lanes.splat_bits(0xD6E8FEB86659FD93))
            lanes.store(b.xor(mixed, b.lshr(mixed, lanes.splat_bits(32))), pointer, chunk)


def _alive(one: _Stencil) -> list[Value]:
    """Load which lanes go on, as i1 vectors."""
    pointer, lanes = one.fixed(one.module.layout.alive), one.lanes
    return [
        one.builder.icmp_signed("<", lanes.load(pointer, chunk, lanes.bits), lanes.splat_bits(0))
        for chunk in range(lanes.chunks)
    ]


def _either(one: _Stencil, masks: list[Value]) -> Value:
    together = masks[0]
    for mask in masks[1:]:
        together = one.builder.or_(together, mask)
    return one.lanes.any(together)


def _end_failed(
    one: _Stencil, alive: list[Value], good: list[Value], errors: list[Value] | None, training: bool, **changed
) -> None:
    """End the lanes that are alive but not good, and the loop if none is left; in training note at which step. errors: to be hashed."""
    b, lanes, layout = one.builder, one.lanes, one.module.layout
    now = [b.and_(before, fine) for before, fine in zip(alive, good)]
    if errors is not None:
        _hash(one, errors, now)
    failed = [b.and_(before, b.not_(fine)) for before, fine in zip(alive, good)]
    slow, fast = one.function.append_basic_block("failed"), one.function.append_basic_block("fine")
    b.cbranch(_either(one, failed), slow, fast)
    b.position_at_end(fast)
    one.go("next", **changed)
    b.position_at_end(slow)
    executed = b.add(b.sub(one.word(at_frame.TRAIN_COUNT), one.left), ir.Constant(I64, 1))
    for chunk, (lost, kept) in enumerate(zip(failed, now)):
        lanes.store(b.sext(kept, lanes.bits), one.fixed(layout.alive), chunk)
        if training:
            steps = lanes.load(one.fixed(layout.steps), chunk, lanes.bits)
            added = b.and_(b.sext(lost, lanes.bits), lanes._splat(executed, lanes.bits))
            lanes.store(b.add(steps, added), one.fixed(layout.steps), chunk)
    one.go_if(_either(one, now), "next", "done", **changed)


def _after_train(one: _Stencil, held: bool = False) -> None:
    """Normalise the prediction (for classification), and end the lanes whose |label - prediction| is NaN or too large.

    held: the prediction is the scalar that was computed last; what comes out is held in any case."""
    b, lanes = one.builder, one.lanes
    prediction = Held(one.last, one.operand("A")) if held else Held([], one.operand("A"))
    if not held:
        prediction.values = [lanes.load(prediction.address, chunk) for chunk in range(lanes.chunks)]
    limit = lanes.splat(one.word(at_frame.MAX_ABS_ERROR, DOUBLE))
    errors, good = [], []
    for chunk in range(lanes.chunks):
        value = lanes.load(prediction, chunk)
        if one.module.shape.is_accuracy:
            value = vector_math.sigmoid(lanes, value)
            lanes.store(value, prediction, chunk)
        error = lanes.intrinsic("fabs", b.fsub(lanes.load(one.labels, chunk), value))
        errors.append(error)
        good.append(b.fcmp_ordered("<=", error, limit))
    _end_failed(one, _alive(one), good, errors, True, last=prediction.values)


def _after_valid(one: _Stencil, held: bool = False) -> None:
    """Add the example's squared error, or 1 if it is misclassified, to each lane's total."""
    b, lanes = one.builder, one.lanes
    prediction = Held(one.last) if held else one.operand("A")
    limit = lanes.splat(one.word(at_frame.MAX_ABS_ERROR, DOUBLE))
    alive, totals, errors, good = _alive(one), [], [], []
    for chunk in range(lanes.chunks):
        value, label = lanes.load(prediction, chunk), lanes.load(one.labels, chunk)
        if one.module.shape.is_accuracy:
            said = b.fcmp_ordered(">", value, lanes.splat(POSITIVE_LOGIT))
            truth = b.fcmp_ordered(">", label, lanes.splat(0.5))
            wrong = b.uitofp(b.xor(said, truth), lanes.vector)
            errors.append(wrong)
            totals.append(b.fadd(one.totals[chunk], wrong))
        else:
            error = b.fsub(label, value)
            totals.append(b.fadd(one.totals[chunk], b.fmul(error, error)))
            errors.append(lanes.intrinsic("fabs", error))
            good.append(b.fcmp_ordered("<=", errors[-1], limit))
    if good:
        _end_failed(one, alive, good, errors, False, totals=totals)
    else:
        _hash(one, errors, alive)
        one.go("next", totals=totals)


# vector labels: the first so many elements of v1 and v2 are the classes ---------------------------------------------


def _after_train_classes(one: _Stencil) -> None:
    """Do as _after_train, for vector labels, which Learn then sees."""
    b, lanes = one.builder, one.lanes
    prediction, out = one.operand("A"), one.operand("OUT")
    limit, classes = lanes.splat(one.word(at_frame.MAX_ABS_ERROR, DOUBLE)), one.word(at_frame.CLASSES)
    good = endings.softmax(lanes, prediction, one.labels, limit, classes)
    alive = _alive(one)
    now = [b.and_(before, fine) for before, fine in zip(alive, good)]
    hashed = b.icmp_unsigned("!=", one.hashing, ir.Constant(I64, 0))
    with b.if_then(hashed), endings.class_errors(lanes, prediction, one.labels, classes) as errors:
        _hash(one, errors, now)
    endings.zero_beyond(lanes, prediction, classes)
    lanes.repeat(lanes.features * lanes.chunks, lambda index: lanes.store(lanes.load(one.labels, index), out, index))
    _end_failed(one, alive, good, None, True)


def _after_valid_classes(one: _Stencil) -> None:
    """Add 1 to the total of each lane whose highest score is not that of its class."""
    b, lanes = one.builder, one.lanes
    wrong = endings.misclassified(lanes, one.operand("A"), one.labels, one.word(at_frame.CLASSES))
    _hash(one, wrong, _alive(one))
    one.go("next", totals=[b.fadd(total, value) for total, value in zip(one.totals, wrong)])


# compiling and linking --------------------------------------------------------------------------------------------


def _compile(shape: Shape) -> bytes:
    """Return an object file with the stencils of a shape."""
    module = _Module(shape)
    for number in range(OP_COUNT):
        module.op(number)
    specials: dict[int, Callable[[_Stencil], None]] = {
        ENTER: _enter,
        EXIT: _exit,
        TRAIN_BEGIN: _train_begin,
        AFTER_TRAIN: _after_train_classes if shape.vector_labels else _after_train,
        TRAIN_END: _train_end,
        VALID_BEGIN: _valid_begin,
        AFTER_VALID: _after_valid_classes if shape.vector_labels else _after_valid,
        VALID_END: _valid_end,
    }
    if not shape.vector_labels:
        specials[AFTER_TRAIN + HELD_A] = lambda one: _after_train(one, held=True)
        specials[AFTER_VALID + HELD_A] = lambda one: _after_valid(one, held=True)
    for number, emit in specials.items():
        module.stencil(number, emit)
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=_features(), opt=3, reloc="static", codemodel="small"
    )
    # Undefined symbols are taken for what they are: near, and not in another library.
    text = re.sub(r"^(@\"?\w+\"? = external )global", r"\1dso_local global", str(module.module), flags=re.MULTILINE)
    text = re.sub(r"^declare (?!.*@\"?llvm)", "declare dso_local ", text, flags=re.MULTILINE)
    parsed = llvm.parse_assembly(text)
    parsed.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(parsed, builder)
    return machine.emit_object(parsed)
