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
