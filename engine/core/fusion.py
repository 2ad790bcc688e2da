"""Fused instructions: a product and the sum that consumes it, run as one, without the register in between.

Learners live on accumulation: ``m1 = outer(v7, v0); m0 = m0 + m1`` writes and reads a whole matrix that nobody else looks at.
Fusing changes no result: the product is still rounded before it is added.
"""

from __future__ import annotations

from engine.core.jit import compiled, inner
from engine.core.tables import (
    IN1_TYPE,
    IN2_TYPE,
    MATRIX_SCALE_DIFF,
    MATRIX_SCALE_SUM,
    OUT_TYPE,
    OUTER_DIFF,
    OUTER_SUM,
    VECTOR_SCALE_DIFF,
    VECTOR_SCALE_SUM,
)
from engine.ops import Op

_OUTER, _SCALE_VECTOR, _SCALE_MATRIX = (
    int(op) for op in (Op.VECTOR_OUTER_PRODUCT, Op.SCALAR_VECTOR_PRODUCT, Op.SCALAR_MATRIX_PRODUCT)
)
_SUMS = (int(Op.VECTOR_SUM), int(Op.MATRIX_SUM))
_DIFFS = (int(Op.VECTOR_DIFF), int(Op.MATRIX_DIFF))


@compiled()
def fuse(compact):
    """Replace products and the sums or differences that alone consume them by fused instructions, in place.

    compact: a compact program (its hash no longer agrees afterwards). A product is fused into a later instruction of the
    same function if nothing else ever reads it and its operands do not change on the way.
    """
    begin = 0
    for function in range(3):
        count = compact.counts[function]
        row = begin
        while row < begin + count:
            op = compact.code[row, 0]
            if op in _SUMS or op in _DIFFS:
                producer = _fusible(compact, begin, row)
                if producer >= 0:
                    _merge(compact, producer, row)
                    _delete(compact, producer)
                    compact.counts[function] -= 1
                    count -= 1
                    row -= 1
            row += 1
        begin += count


@inner()
def _fusible(compact, begin, row):
    """Return the row of the product that can be fused into the sum at `row`, -1 if there is none."""
    op = compact.code[row, 0]
    kind = OUT_TYPE[op]
    for operand in range(2, 0, -1):
        if operand == 1 and op in _DIFFS:
            break
        register = compact.code[row, operand]
        if compact.code[row, 3 - operand] == register or _reads(compact, kind, register) != 1:
            continue
        if compact.registers[3] and kind == 1 and register == 1:  # the prediction of vector labels is read from outside
            continue
        for candidate in range(row - 1, begin - 1, -1):
            other = compact.code[candidate, 0]
            if OUT_TYPE[other] == kind and compact.code[candidate, 3] == register:
                if other in (_OUTER, _SCALE_VECTOR, _SCALE_MATRIX) and _unchanged(compact, candidate, row):
                    return candidate
                break
    return -1


@inner()
def _reads(compact, kind, register):
    """Count the operands in the whole program that read a register (elements set one by one keep, thus read, it)."""
    count = 0
    for row in range(compact.counts[0] + compact.counts[1] + compact.counts[2]):
        op = compact.code[row, 0]
        if IN1_TYPE[op] == kind and compact.code[row, 1] == register:
            count += 1
        if IN2_TYPE[op] == kind and compact.code[row, 2] == register:
            count += 1
        if op > 64 and OUT_TYPE[op] == kind and compact.code[row, 4] == register:
            count += 1
        if (op == 57 or op == 58) and OUT_TYPE[op] == kind and compact.code[row, 3] == register:
            count += 1
    return count


@inner()
def _unchanged(compact, producer, row):
    """Whether no instruction between writes an operand of the product."""
    op = compact.code[producer, 0]
    for between in range(producer + 1, row):
        kind, out = OUT_TYPE[compact.code[between, 0]], compact.code[between, 3]
        if (kind == IN1_TYPE[op] and out == compact.code[producer, 1]) or (
            kind == IN2_TYPE[op] and out == compact.code[producer, 2]
        ):
            return False
    # The product may write its own operand (v1 = s2 * v1): then it is not there any more for the sum.
    return not (
        (OUT_TYPE[op] == IN1_TYPE[op] and compact.code[producer, 3] == compact.code[producer, 1])
        or (OUT_TYPE[op] == IN2_TYPE[op] and compact.code[producer, 3] == compact.code[producer, 2])
    )


@inner()
def _merge(compact, producer, row):
    op, product = compact.code[row, 0], compact.code[producer, 0]
    register = compact.code[producer, 3]
    other = compact.code[row, 1] if compact.code[row, 2] == register else compact.code[row, 2]
    difference = op in _DIFFS
    if product == _OUTER:
        compact.code[row, 0] = OUTER_DIFF if difference else OUTER_SUM
    elif product == _SCALE_VECTOR:
        compact.code[row, 0] = VECTOR_SCALE_DIFF if difference else VECTOR_SCALE_SUM
    else:
        compact.code[row, 0] = MATRIX_SCALE_DIFF if difference else MATRIX_SCALE_SUM
    compact.code[row, 1], compact.code[row, 2] = compact.code[producer, 1], compact.code[producer, 2]
    compact.code[row, 4] = other


@inner()
def _delete(compact, row):
    for k in range(row, compact.counts[0] + compact.counts[1] + compact.counts[2] - 1):
        for column in range(5):
            compact.code[k, column] = compact.code[k + 1, column]
        for column in range(3):
            compact.constants[k, column] = compact.constants[k + 1, column]
