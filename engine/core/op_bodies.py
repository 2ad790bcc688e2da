"""What each op computes: one emitter of LLVM code per op, over task lanes.

An emitter gets (lanes, a, b, out, extra): addresses of the operands' registers (in1, in2, out) and of the instruction's extras
(its constants, scratch memory, random state). Elementwise ops read and write vector by vector, so an output that is
also an input is safe; the others write to scratch first where the registers coincide.
Rules of NaN, zero and infinity: shared reference semantics, section 5; ``engine/ops.py`` has them in words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from llvmlite import ir

from engine.core import tables, vector_math
from engine.core.lanes import DOUBLE, I64, Lanes, Value
from engine.ops import Op

SMALL = 4
"""Partial sums of a reduction: enough independent chains to hide the latency of an addition."""


class Extra(NamedTuple):
    """Addresses an op may need besides its operands."""

    constants: Value
    scratch: Value
    random: Value
    third: Value
    """in3 of fused instructions."""


Emitter = Callable[[Lanes, Value, Value, Value, Extra], None]
BODIES: dict[int, Emitter] = {}


def _elements(lanes: Lanes, kind: str) -> int:
    return {"s": 1, "v": lanes.features, "m": lanes.features**2}[kind]


# elementwise -----------------------------------------------------------------------------------------------------


def _unary(op: Op, kind: str, compute: Callable[[Lanes, Value], Value]) -> None:
    def emit(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
        def one(index):
            lanes.store(compute(lanes, lanes.load(a, index)), out, index)

        lanes.repeat(_elements(lanes, kind) * lanes.chunks, one)

    BODIES[op] = emit


def _binary(op: Op, kind: str, compute: Callable[[Lanes, Value, Value], Value]) -> None:
    def emit(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
        def one(index):
            lanes.store(compute(lanes, lanes.load(a, index), lanes.load(b, index)), out, index)

        lanes.repeat(_elements(lanes, kind) * lanes.chunks, one)

    BODIES[op] = emit


def _step(comparison: str) -> Callable[[Lanes, Value], Value]:
    def compute(lanes: Lanes, x: Value) -> Value:
        above = lanes.builder.fcmp_ordered(comparison, x, lanes.splat(0.0))
        return lanes.builder.select(above, lanes.splat(1.0), lanes.splat(0.0))

    return compute


def _pick(comparison: str, swapped: bool) -> Callable[[Lanes, Value, Value], Value]:
    """Minimum or maximum: b if b <comparison> a else a; swapped: a if a <comparison> b else b. NaN takes the else."""

    def compute(lanes: Lanes, a: Value, b: Value) -> Value:
        if swapped:
            return lanes.builder.select(lanes.builder.fcmp_ordered(comparison, a, b), a, b)
        return lanes.builder.select(lanes.builder.fcmp_ordered(comparison, b, a), b, a)

    return compute


def _absolute(lanes: Lanes, x: Value) -> Value:
    return lanes.intrinsic("fabs", x)


def _reciprocal(lanes: Lanes, x: Value) -> Value:
    return lanes.builder.fdiv(lanes.splat(1.0), x)


def _libm(name: str) -> Callable[[Lanes, Value], Value]:
    return lambda lanes, x: lanes.libm(name, x)


for _kind, _ops in {
    "s": (Op.SCALAR_SUM, Op.SCALAR_DIFF, Op.SCALAR_PRODUCT, Op.SCALAR_DIVISION),
    "v": (Op.VECTOR_SUM, Op.VECTOR_DIFF, Op.VECTOR_PRODUCT, Op.VECTOR_DIVISION),
    "m": (Op.MATRIX_SUM, Op.MATRIX_DIFF, Op.MATRIX_PRODUCT, Op.MATRIX_DIVISION),
}.items():
    _binary(_ops[0], _kind, lambda lanes, a, b: lanes.builder.fadd(a, b))
    _binary(_ops[1], _kind, lambda lanes, a, b: lanes.builder.fsub(a, b))
    _binary(_ops[2], _kind, lambda lanes, a, b: lanes.builder.fmul(a, b))
    _binary(_ops[3], _kind, lambda lanes, a, b: lanes.builder.fdiv(a, b))

for _kind, _op in {"s": Op.SCALAR_ABS, "v": Op.VECTOR_ABS, "m": Op.MATRIX_ABS}.items():
    _unary(_op, _kind, _absolute)
for _kind, _op in {"s": Op.SCALAR_RECIPROCAL, "v": Op.VECTOR_RECIPROCAL, "m": Op.MATRIX_RECIPROCAL}.items():
    _unary(_op, _kind, _reciprocal)
for _op, _name in {
    Op.SCALAR_SIN: "sin",
    Op.SCALAR_COS: "cos",
    Op.SCALAR_TAN: "tan",
    Op.SCALAR_ARCSIN: "asin",
    Op.SCALAR_ARCCOS: "acos",
    Op.SCALAR_ARCTAN: "atan",
}.items():
    _unary(_op, "s", _libm(_name))
_unary(Op.SCALAR_EXP, "s", vector_math.exp)
_unary(Op.SCALAR_LOG, "s", vector_math.log)
_unary(Op.SCALAR_HEAVYSIDE, "s", _step(">="))
_unary(Op.VECTOR_HEAVYSIDE, "v", _step(">"))
_unary(Op.MATRIX_HEAVYSIDE, "m", _step(">"))
_binary(Op.SCALAR_MIN, "s", _pick("<", swapped=False))
_binary(Op.VECTOR_MIN, "v", _pick("<", swapped=False))
_binary(Op.MATRIX_MIN, "m", _pick("<", swapped=True))
_binary(Op.SCALAR_MAX, "s", _pick(">", swapped=False))
_binary(Op.VECTOR_MAX, "v", _pick(">", swapped=False))
_binary(Op.MATRIX_MAX, "m", _pick(">", swapped=True))


# broadcasts ------------------------------------------------------------------------------------------------------


def _scale(op: Op, kind: str) -> None:
    def emit(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
        factors = [lanes.load(a, chunk) for chunk in range(lanes.chunks)]

        def element(index):
            for chunk, factor in enumerate(factors):
                place = lanes.add(lanes.multiply(index, lanes.chunks), chunk)
                lanes.store(lanes.builder.fmul(factor, lanes.load(b, place)), out, place)

        lanes.repeat(_elements(lanes, kind), element)

    BODIES[op] = emit


_scale(Op.SCALAR_VECTOR_PRODUCT, "v")
_scale(Op.SCALAR_MATRIX_PRODUCT, "m")


def _scalar_broadcast(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
    values = [lanes.load(a, chunk) for chunk in range(lanes.chunks)]

    def element(index):
        for chunk, value in enumerate(values):
            lanes.store(value, out, lanes.add(lanes.multiply(index, lanes.chunks), chunk))

    lanes.repeat(lanes.features, element)


def _matrix_from_rows(lanes: Lanes, out: Value, left: Callable, combine: Callable) -> None:
    """Fill out[i, j] = combine(left(i, chunk), j, chunk)."""
    row_size = lanes.features * lanes.chunks

    def row(i):
        start = lanes.multiply(i, row_size)
        for chunk in range(lanes.chunks):
            held = left(i, chunk)

            def column(j, held=held, chunk=chunk):
                place = lanes.add(lanes.multiply(j, lanes.chunks), chunk)
                lanes.store(combine(held, place), out, lanes.add(start, place))

            lanes.repeat(lanes.features, column)

    lanes.repeat(lanes.features, row, unroll=2)


def _vector_at(lanes: Lanes, pointer: Value) -> Callable:
    return lambda i, chunk: lanes.load(pointer, lanes.add(lanes.multiply(i, lanes.chunks), chunk))


def _outer_product(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
    _matrix_from_rows(
        lanes, out, _vector_at(lanes, a), lambda left, place: lanes.builder.fmul(left, lanes.load(b, place))
    )


def _column_broadcast(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
    _matrix_from_rows(lanes, out, _vector_at(lanes, a), lambda left, place: left)


def _row_broadcast(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
    _matrix_from_rows(lanes, out, lambda i, chunk: None, lambda left, place: lanes.load(a, place))


BODIES[Op.SCALAR_BROADCAST] = _scalar_broadcast
BODIES[Op.VECTOR_OUTER_PRODUCT] = _outer_product
BODIES[Op.VECTOR_COLUMN_BROADCAST] = _column_broadcast
BODIES[Op.VECTOR_ROW_BROADCAST] = _row_broadcast


# reductions ------------------------------------------------------------------------------------------------------


def _reduce(lanes: Lanes, count: int, terms: Callable[[int], tuple[Value, ...]]) -> list[Value]:
    """Sum tuples of terms over `count` elements: four interleaved partial sums, then their sum in pairs."""
    builder = lanes.builder
    partial = min(SMALL, count)
    while count % partial:
        partial -= 1
    first = [terms(k) for k in range(partial)]
    width = len(first[0])
    state = [value for one in first for value in one]

    def add(step, *sums):
        result = []
        for k in range(partial):
            place = lanes.add(lanes.multiply(step, partial), partial + k)
            for position, value in enumerate(terms(place)):
                result.append(builder.fadd(sums[k * width + position], value))
        return result

    if count > partial:
        state = lanes.repeat(count // partial - 1, add, state, unroll=4)
    groups = [state[k * width : (k + 1) * width] for k in range(partial)]
    while len(groups) > 1:
        paired = [[builder.fadd(x, y) for x, y in zip(*groups[k : k + 2])] for k in range(0, len(groups) - 1, 2)]
        groups = paired + (groups[-1:] if len(groups) % 2 else [])
    return list(groups[0])


def _scaled(lanes: Lanes, value: Value, count: int) -> Value:
    return lanes.builder.fdiv(value, lanes.splat(float(count)))


def _mean(lanes: Lanes, count: int, element: Callable) -> Value:
    (total,) = _reduce(lanes, count, lambda k: (element(k),))
    return _scaled(lanes, total, count)


def _norm(lanes: Lanes, count: int, element: Callable) -> Value:
    def term(k):
        value = element(k)
        return (lanes.builder.fmul(value, value),)

    (total,) = _reduce(lanes, count, term)
    return lanes.intrinsic("sqrt", total)


def _deviation(lanes: Lanes, count: int, element: Callable) -> Value:
    def terms(k):
        value = element(k)
        return (value, lanes.builder.fmul(value, value))

    total, squares = _reduce(lanes, count, terms)
    mean = _scaled(lanes, total, count)
    variance = lanes.builder.fsub(_scaled(lanes, squares, count), lanes.builder.fmul(mean, mean))
    return lanes.intrinsic("sqrt", variance)


def _reduction(op: Op, kind: str, compute: Callable) -> None:
    """A register reduced to a scalar."""

    def emit(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
        for chunk in range(lanes.chunks):

            def element(k, chunk=chunk):
                return lanes.load(a, lanes.add(lanes.multiply(k, lanes.chunks), chunk))

            lanes.store(compute(lanes, _elements(lanes, kind), element), out, chunk)

    BODIES[op] = emit


def _row_reduction(op: Op, compute: Callable, *, columns: bool = False) -> None:
    """Each row (or column) of a matrix reduced to an element of a vector."""

    def emit(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
        size, chunks = lanes.features, lanes.chunks
        outer, inner = (chunks, size * chunks) if columns else (size * chunks, chunks)

        def row(i):
            for chunk in range(chunks):
                start = lanes.add(lanes.multiply(i, outer), chunk)

                def element(k, start=start):
                    return lanes.load(a, lanes.add(start, lanes.multiply(k, inner)))

                place = lanes.add(lanes.multiply(i, chunks), chunk)
                lanes.store(compute(lanes, size, element), out, place)

        lanes.repeat(size, row, unroll=2)

    BODIES[op] = emit


_reduction(Op.VECTOR_NORM, "v", _norm)
_reduction(Op.MATRIX_NORM, "m", _norm)
_reduction(Op.VECTOR_MEAN, "v", _mean)
_reduction(Op.MATRIX_MEAN, "m", _mean)
_reduction(Op.VECTOR_ST_DEV, "v", _deviation)
_reduction(Op.MATRIX_ST_DEV, "m", _deviation)
_row_reduction(Op.MATRIX_ROW_NORM, _norm)
_row_reduction(Op.MATRIX_ROW_MEAN, _mean)
_row_reduction(Op.MATRIX_ROW_ST_DEV, _deviation)
_row_reduction(Op.MATRIX_COLUMN_NORM, _norm, columns=True)


def _inner_product(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
    for chunk in range(lanes.chunks):

        def term(k, chunk=chunk):
            place = lanes.add(lanes.multiply(k, lanes.chunks), chunk)
            return (lanes.builder.fmul(lanes.load(a, place), lanes.load(b, place)),)

        (total,) = _reduce(lanes, lanes.features, term)
        lanes.store(total, out, chunk)


BODIES[Op.VECTOR_INNER_PRODUCT] = _inner_product


# products and transpose: outputs that may coincide with an input ---------------------------------------------------


def _through_scratch(
    lanes: Lanes, inputs: list[Value], out: Value, scratch: Value, elements: int, compute: Callable
) -> None:
    """Run compute(target), where target is scratch (copied to `out` afterwards) if `out` is one of the inputs."""
    builder = lanes.builder
    same = [builder.icmp_unsigned("==", builder.ptrtoint(one, I64), builder.ptrtoint(out, I64)) for one in inputs]
    aliased = same[0] if len(same) == 1 else builder.or_(*same)
    compute(builder.select(aliased, scratch, out))
    with builder.if_then(aliased, likely=False):
        lanes.repeat(elements * lanes.chunks, lambda index: lanes.store(lanes.load(scratch, index), out, index))


def _block(lanes: Lanes) -> int:
    return next(size for size in (4, 3, 2, 1) if lanes.features % size == 0)


def _matrix_vector_product(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
    size, chunks, block = lanes.features, lanes.chunks, _block(lanes)
    row_size = size * chunks

    def compute(target):
        # Rows in blocks: the vector's elements are loaded once for all rows of a block.
        def rows(i):
            first = lanes.multiply(i, block * row_size)
            for chunk in range(chunks):

                def products(j, first=first, chunk=chunk):
                    place = lanes.add(lanes.multiply(j, chunks), chunk)
                    factor = lanes.load(b, place)
                    return [
                        lanes.builder.fmul(lanes.load(a, lanes.add(lanes.add(first, row * row_size), place)), factor)
                        for row in range(block)
                    ]

                def add(j, *sums, products=products):
                    return [lanes.builder.fadd(x, y) for x, y in zip(sums, products(lanes.add(j, 1)))]

                sums = lanes.repeat(size - 1, add, products(0), unroll=15 if size <= 16 else 8)
                for row, total in enumerate(sums):
                    place = lanes.add(lanes.multiply(i, block * chunks), row * chunks + chunk)
                    lanes.store(total, target, place)

        lanes.repeat(size // block, rows, unroll=1)

    _through_scratch(lanes, [b], out, extra.scratch, size, compute)


def _matrix_product(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
    size, chunks, block = lanes.features, lanes.chunks, _block(lanes)
    row_size = size * chunks

    def compute(target):
        def row(i):
            start = lanes.multiply(i, row_size)

            def columns(k):
                left = lanes.multiply(k, block * chunks)
                for chunk in range(chunks):

                    def products(j, left=left, chunk=chunk):
                        factor = lanes.load(a, lanes.add(start, lanes.add(lanes.multiply(j, chunks), chunk)))
                        place = lanes.add(lanes.add(lanes.multiply(j, row_size), left), chunk)
                        return [
                            lanes.builder.fmul(factor, lanes.load(b, lanes.add(place, column * chunks)))
                            for column in range(block)
                        ]

                    def add(j, *sums, products=products):
                        return [lanes.builder.fadd(x, y) for x, y in zip(sums, products(lanes.add(j, 1)))]

                    sums = lanes.repeat(size - 1, add, products(0), unroll=5)
                    for column, total in enumerate(sums):
                        lanes.store(total, target, lanes.add(lanes.add(start, left), column * chunks + chunk))

            lanes.repeat(size // block, columns, unroll=1)

        lanes.repeat(size, row, unroll=1)

    _through_scratch(lanes, [a, b], out, extra.scratch, size * size, compute)


def _transpose(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
    size, chunks = lanes.features, lanes.chunks

    def compute(target):
        def row(i):
            def column(j):
                source = lanes.add(lanes.multiply(j, size * chunks), lanes.multiply(i, chunks))
                place = lanes.add(lanes.multiply(i, size * chunks), lanes.multiply(j, chunks))
                for chunk in range(chunks):
                    lanes.store(lanes.load(a, lanes.add(source, chunk)), target, lanes.add(place, chunk))

            lanes.repeat(size, column, unroll=4)

        lanes.repeat(size, row, unroll=1)

    _through_scratch(lanes, [a], out, extra.scratch, size * size, compute)


BODIES[Op.MATRIX_VECTOR_PRODUCT] = _matrix_vector_product
BODIES[Op.MATRIX_MATRIX_PRODUCT] = _matrix_product
BODIES[Op.MATRIX_TRANSPOSE] = _transpose


# constants and random numbers ------------------------------------------------------------------------------------


def _constant(lanes: Lanes, extra: Extra, position: int) -> Value:
    return lanes.builder.load(lanes.at(extra.constants, position, DOUBLE), typ=DOUBLE)


def _scalar_const_set(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
    value = lanes.splat(_constant(lanes, extra, 0))
    for chunk in range(lanes.chunks):
        lanes.store(value, out, chunk)


def _element_const_set(dimensions: int) -> Emitter:
    def emit(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
        builder = lanes.builder
        index: Value = ir.Constant(I64, 0)
        for position in range(dimensions):
            # trunc(float32(F) * float32 fraction): the product is rounded to float32 first, as the reference does.
            fraction = builder.fptrunc(_constant(lanes, extra, position), ir.FloatType())
            product = builder.fmul(fraction, ir.Constant(ir.FloatType(), float(lanes.features)))
            along = builder.fptosi(product, I64)
            index = builder.add(builder.mul(index, ir.Constant(I64, lanes.features)), along)
        value = lanes.splat(_constant(lanes, extra, dimensions))
        start = builder.mul(index, ir.Constant(I64, lanes.chunks))
        for chunk in range(lanes.chunks):
            lanes.store(value, out, lanes.add(start, chunk))

    return emit


BODIES[Op.SCALAR_CONST_SET] = _scalar_const_set
BODIES[Op.VECTOR_CONST_SET] = _element_const_set(1)
BODIES[Op.MATRIX_CONST_SET] = _element_const_set(2)


def _fill(lanes: Lanes, kind: str, out: Value, value: Callable[[int], Value]) -> None:
    def element(index):
        for chunk in range(lanes.chunks):
            place = lanes.add(lanes.multiply(index, lanes.chunks), chunk)
            lanes.store(value(chunk), out, place)

    lanes.repeat(_elements(lanes, kind), element, unroll=1)


def _uniform_set(op: Op, kind: str) -> None:
    def emit(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
        builder = lanes.builder
        low, high = _constant(lanes, extra, 0), _constant(lanes, extra, 1)
        # An empty or backwards interval gives its low end, without touching the random stream.
        ordered = builder.fcmp_ordered("<", low, high)
        start, span = lanes.splat(low), lanes.splat(builder.fsub(high, low))
        with builder.if_else(ordered) as (draw, fill):
            with draw:

                def sample(chunk):
                    u = vector_math.uniform(lanes, extra.random, chunk)
                    return builder.fadd(start, builder.fmul(span, u))

                _fill(lanes, kind, out, sample)
            with fill:
                _fill(lanes, kind, out, lambda chunk: start)

    BODIES[op] = emit


def _gaussian_set(op: Op, kind: str) -> None:
    def emit(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
        mean, scale = lanes.splat(_constant(lanes, extra, 0)), lanes.splat(_constant(lanes, extra, 1))

        def sample(chunk):
            z = vector_math.normal_quantile(lanes, vector_math.uniform(lanes, extra.random, chunk))
            return lanes.builder.fadd(mean, lanes.builder.fmul(scale, z))

        _fill(lanes, kind, out, sample)

    BODIES[op] = emit


_uniform_set(Op.SCALAR_UNIFORM_SET, "s")
_uniform_set(Op.VECTOR_UNIFORM_SET, "v")
_uniform_set(Op.MATRIX_UNIFORM_SET, "m")
_gaussian_set(Op.SCALAR_GAUSSIAN_SET, "s")
_gaussian_set(Op.VECTOR_GAUSSIAN_SET, "v")
_gaussian_set(Op.MATRIX_GAUSSIAN_SET, "m")

# fused instructions ----------------------------------------------------------------------------------------------


def _outer_added(subtract: bool) -> Emitter:
    def emit(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
        combine = lanes.builder.fsub if subtract else lanes.builder.fadd
        row_size = lanes.features * lanes.chunks

        def row(i):
            start = lanes.multiply(i, row_size)
            held = [lanes.load(a, lanes.add(lanes.multiply(i, lanes.chunks), chunk)) for chunk in range(lanes.chunks)]

            def column(j):
                for chunk, left in enumerate(held):
                    place = lanes.add(lanes.multiply(j, lanes.chunks), chunk)
                    product = lanes.builder.fmul(left, lanes.load(b, place))
                    place = lanes.add(start, place)
                    lanes.store(combine(lanes.load(extra.third, place), product), out, place)

            lanes.repeat(lanes.features, column)

        lanes.repeat(lanes.features, row, unroll=1)

    return emit


def _scale_added(kind: str, subtract: bool) -> Emitter:
    def emit(lanes: Lanes, a: Value, b: Value, out: Value, extra: Extra) -> None:
        combine = lanes.builder.fsub if subtract else lanes.builder.fadd
        factors = [lanes.load(a, chunk) for chunk in range(lanes.chunks)]

        def element(index):
            for chunk, factor in enumerate(factors):
                place = lanes.add(lanes.multiply(index, lanes.chunks), chunk)
                product = lanes.builder.fmul(factor, lanes.load(b, place))
                lanes.store(combine(lanes.load(extra.third, place), product), out, place)

        lanes.repeat(_elements(lanes, kind), element)

    return emit


BODIES[tables.OUTER_SUM], BODIES[tables.OUTER_DIFF] = _outer_added(False), _outer_added(True)
BODIES[tables.VECTOR_SCALE_SUM], BODIES[tables.VECTOR_SCALE_DIFF] = _scale_added("v", False), _scale_added("v", True)
BODIES[tables.MATRIX_SCALE_SUM], BODIES[tables.MATRIX_SCALE_DIFF] = _scale_added("m", False), _scale_added("m", True)

BODIES[Op.NO_OP] = lambda lanes, a, b, out, extra: None
assert set(BODIES) == set(range(len(tables.OUT_TYPE)))
