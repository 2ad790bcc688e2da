"""What follows Predict where labels are vectors: softmax, errors, misclassification, over the classes' elements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from llvmlite import ir
from numba.core import cgutils

from engine.core import vector_math
from engine.core.lanes import I64, Lanes, Value


@contextmanager
def each_class(lanes: Lanes, classes: Value, chunk: int) -> Iterator[Value]:
    """Emit a loop over the classes' elements; yields the index of the element's vector of this chunk."""
    with cgutils.for_range(lanes.builder, classes) as loop:
        yield lanes.add(lanes.multiply(loop.index, lanes.chunks), chunk)


def softmax(lanes: Lanes, prediction: Value, label: Value, limit: Value, classes: Value) -> list[Value]:
    """Replace the prediction's first `classes` elements by their softmax; return where all are near the label, as i1 vectors.

    The largest exponent is subtracted first, so that only NaN and infinite scores fail.
    """
    builder, result = lanes.builder, []
    for chunk in range(lanes.chunks):
        largest = cgutils.alloca_once_value(builder, lanes.load(prediction, chunk))
        total = cgutils.alloca_once_value(builder, lanes.splat(0.0))
        good = cgutils.alloca_once_value(builder, lanes.splat_bits(-1))
        with each_class(lanes, classes, chunk) as place:
            value, before = lanes.load(prediction, place), builder.load(largest, typ=lanes.vector)
            builder.store(builder.select(builder.fcmp_ordered(">", value, before), value, before), largest)
        with each_class(lanes, classes, chunk) as place:
            shifted = builder.fsub(lanes.load(prediction, place), builder.load(largest, typ=lanes.vector))
            value = vector_math.exp(lanes, shifted)
            lanes.store(value, prediction, place)
            builder.store(builder.fadd(builder.load(total, typ=lanes.vector), value), total)
        with each_class(lanes, classes, chunk) as place:
            value = builder.fdiv(lanes.load(prediction, place), builder.load(total, typ=lanes.vector))
            lanes.store(value, prediction, place)
            error = lanes.intrinsic("fabs", builder.fsub(lanes.load(label, place), value))
            near = builder.sext(builder.fcmp_ordered("<=", error, limit), lanes.bits)
            builder.store(builder.and_(builder.load(good, typ=lanes.bits), near), good)
        result.append(builder.trunc(builder.load(good, typ=lanes.bits), lanes.mask))
    return result


@contextmanager
def class_errors(lanes: Lanes, prediction: Value, label: Value, classes: Value) -> Iterator[list[Value]]:
    """Emit a loop over the classes; yields |label - prediction| of one class, a vector for each chunk."""
    with cgutils.for_range(lanes.builder, classes) as loop:
        errors = []
        for chunk in range(lanes.chunks):
            place = lanes.add(lanes.multiply(loop.index, lanes.chunks), chunk)
            difference = lanes.builder.fsub(lanes.load(label, place), lanes.load(prediction, place))
            errors.append(lanes.intrinsic("fabs", difference))
        yield errors


def zero_beyond(lanes: Lanes, vector: Value, classes: Value) -> None:
    """Zero the elements of a vector register that stand for no class."""
    end = ir.Constant(I64, lanes.features)
    with cgutils.for_range_slice(lanes.builder, classes, end, ir.Constant(I64, 1)) as (one, _):
        for chunk in range(lanes.chunks):
            lanes.store(lanes.splat(0.0), vector, lanes.add(lanes.multiply(one, lanes.chunks), chunk))


def misclassified(lanes: Lanes, prediction: Value, label: Value, classes: Value) -> list[Value]:
    """Return 1.0 where not the label's class scores highest, else 0.0. Of equals the first counts; NaN is never higher."""
    builder, result = lanes.builder, []
    for chunk in range(lanes.chunks):
        largest = cgutils.alloca_once_value(builder, lanes.load(prediction, chunk))
        right = cgutils.alloca_once_value(builder, lanes.load(label, chunk))
        with each_class(lanes, classes, chunk) as place:
            value, before = lanes.load(prediction, place), builder.load(largest, typ=lanes.vector)
            better = builder.fcmp_ordered(">", value, before)
            builder.store(builder.select(better, value, before), largest)
            kept = builder.load(right, typ=lanes.vector)
            builder.store(builder.select(better, lanes.load(label, place), kept), right)
        result.append(builder.fsub(lanes.splat(1.0), builder.load(right, typ=lanes.vector)))
    return result
