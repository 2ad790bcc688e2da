"""The op table as arrays, for compiled code. Types: 0 scalar, 1 vector, 2 matrix, -1 none."""

from __future__ import annotations

import numpy as np

from engine.ops import OPS, REGISTER_TYPES

NONE, SCALAR, VECTOR, MATRIX = -1, 0, 1, 2


def _type(letters: str, position: int) -> int:
    return REGISTER_TYPES.index(letters[position]) if len(letters) > position else NONE


# Fused instructions, which only decoding makes (engine/core/fusion.py): out = in3 + in1 * in2, or out = in3 - in1 * in2.
OUTER_SUM, OUTER_DIFF, VECTOR_SCALE_SUM, VECTOR_SCALE_DIFF, MATRIX_SCALE_SUM, MATRIX_SCALE_DIFF = range(65, 71)
_FUSED = ("vvmm", "vvmm", "svvv", "svvv", "smmm", "smmm")  # types of in1, in2, in3, out

IN1_TYPE = np.array([_type(one, 0) for one in [info.inputs for info in OPS] + [*_FUSED]], np.int8)
IN2_TYPE = np.array([_type(one, 1) for one in [info.inputs for info in OPS] + [*_FUSED]], np.int8)
IN3_TYPE = np.array([NONE] * len(OPS) + [_type(one, 2) for one in _FUSED], np.int8)
OUT_TYPE = np.array([_type(info.output, 0) for info in OPS] + [_type(one, 3) for one in _FUSED], np.int8)
CONSTANT_COUNT = np.array([len(info.constants) for info in OPS] + [0] * len(_FUSED), np.int8)
KEEPS_OUTPUT = np.array([info.keeps_output for info in OPS])
IS_COMMUTATIVE = np.array([info.is_commutative for info in OPS])
IS_RANDOM = np.array([info.is_random for info in OPS])
COST = np.array([info.cost for info in OPS])

# Kinds of constants, for drawing and altering them: see engine/core/mutation.py.
NO_CONSTANT, SCALAR_CONSTANT, ELEMENT_CONSTANT, INTERVAL, GAUSSIAN = range(5)
CONSTANT_KIND = np.array(
    [
        {(): NO_CONSTANT, ("c",): SCALAR_CONSTANT, ("i", "c"): ELEMENT_CONSTANT, ("i", "j", "c"): ELEMENT_CONSTANT,
         ("lo", "hi"): INTERVAL, ("mu", "sd"): GAUSSIAN}[info.constants]
        for info in OPS
    ],
    np.int8,
)  # fmt: skip

# What zeros do to a result: 0 if any operand is 0; if all are; a sum with 0 is its other operand.
_PRODUCTS = ("SCALAR_PRODUCT", "SCALAR_VECTOR_PRODUCT", "VECTOR_PRODUCT", "VECTOR_INNER_PRODUCT", "VECTOR_OUTER_PRODUCT",
             "SCALAR_MATRIX_PRODUCT", "MATRIX_VECTOR_PRODUCT", "MATRIX_PRODUCT", "MATRIX_MATRIX_PRODUCT")  # fmt: skip
_SUMS = ("SCALAR_SUM", "SCALAR_DIFF", "VECTOR_SUM", "VECTOR_DIFF", "MATRIX_SUM", "MATRIX_DIFF")
_KEEP_ZERO = (
    *_SUMS, "SCALAR_ABS", "SCALAR_SIN", "SCALAR_TAN", "SCALAR_ARCSIN", "SCALAR_ARCTAN", "VECTOR_HEAVYSIDE", "MATRIX_HEAVYSIDE",
    "SCALAR_BROADCAST", "VECTOR_NORM", "VECTOR_ABS", "VECTOR_COLUMN_BROADCAST", "VECTOR_ROW_BROADCAST", "MATRIX_NORM",
    "MATRIX_COLUMN_NORM", "MATRIX_ROW_NORM", "MATRIX_TRANSPOSE", "MATRIX_ABS", "SCALAR_MIN", "VECTOR_MIN", "MATRIX_MIN",
    "SCALAR_MAX", "VECTOR_MAX", "MATRIX_MAX", "VECTOR_MEAN", "MATRIX_MEAN", "MATRIX_ROW_MEAN", "MATRIX_ROW_ST_DEV",
    "VECTOR_ST_DEV", "MATRIX_ST_DEV",
)  # fmt: skip
ZERO_IF_ANY = np.array([info.op.name in _PRODUCTS for info in OPS])
ZERO_IF_ALL = np.array([info.op.name in _KEEP_ZERO for info in OPS])
COPIES_BESIDE_ZERO = np.array([info.op.name in _SUMS for info in OPS])
