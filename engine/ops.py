"""The instruction set: the 65 ops of AutoML-Zero, their operands, notation and cost.

One row an op; everything that is said of an op anywhere (validation, printing, documentation, mutation, the train
budget) reads this table. The arithmetic itself is in ``engine/core/op_bodies.py``.
Source: Real et al. 2020, table S1, and the open reference code where the two differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

OP_SET_VERSION = 1
"""Raised whenever the meaning of any op changes: permalinks name the op set they were made with."""

REGISTER_TYPES = "svm"
"""Register types: scalar (float64), vector (F float64), matrix (F x F float64, row-major)."""


class Op(IntEnum):
    """Op ids; ``OPn`` in the paper's table S1 is the op with id n."""

    NO_OP = 0
    SCALAR_SUM = 1
    SCALAR_DIFF = 2
    SCALAR_PRODUCT = 3
    SCALAR_DIVISION = 4
    SCALAR_ABS = 5
    SCALAR_RECIPROCAL = 6
    SCALAR_SIN = 7
    SCALAR_COS = 8
    SCALAR_TAN = 9
    SCALAR_ARCSIN = 10
    SCALAR_ARCCOS = 11
    SCALAR_ARCTAN = 12
    SCALAR_EXP = 13
    SCALAR_LOG = 14
    SCALAR_HEAVYSIDE = 15
    VECTOR_HEAVYSIDE = 16
    MATRIX_HEAVYSIDE = 17
    SCALAR_VECTOR_PRODUCT = 18
    SCALAR_BROADCAST = 19
    VECTOR_RECIPROCAL = 20
    VECTOR_NORM = 21
    VECTOR_ABS = 22
    VECTOR_SUM = 23
    VECTOR_DIFF = 24
    VECTOR_PRODUCT = 25
    VECTOR_DIVISION = 26
    VECTOR_INNER_PRODUCT = 27
    VECTOR_OUTER_PRODUCT = 28
    SCALAR_MATRIX_PRODUCT = 29
    MATRIX_RECIPROCAL = 30
    MATRIX_VECTOR_PRODUCT = 31
    VECTOR_COLUMN_BROADCAST = 32
    VECTOR_ROW_BROADCAST = 33
    MATRIX_NORM = 34
    MATRIX_COLUMN_NORM = 35
    MATRIX_ROW_NORM = 36
    MATRIX_TRANSPOSE = 37
    MATRIX_ABS = 38
    MATRIX_SUM = 39
    MATRIX_DIFF = 40
    MATRIX_PRODUCT = 41
    MATRIX_DIVISION = 42
    MATRIX_MATRIX_PRODUCT = 43
    SCALAR_MIN = 44
    VECTOR_MIN = 45
    MATRIX_MIN = 46
    SCALAR_MAX = 47
    VECTOR_MAX = 48
    MATRIX_MAX = 49
    VECTOR_MEAN = 50
    MATRIX_MEAN = 51
    MATRIX_ROW_MEAN = 52
    MATRIX_ROW_ST_DEV = 53
    VECTOR_ST_DEV = 54
    MATRIX_ST_DEV = 55
    SCALAR_CONST_SET = 56
    VECTOR_CONST_SET = 57
    MATRIX_CONST_SET = 58
    SCALAR_UNIFORM_SET = 59
    VECTOR_UNIFORM_SET = 60
    MATRIX_UNIFORM_SET = 61
    SCALAR_GAUSSIAN_SET = 62
    VECTOR_GAUSSIAN_SET = 63
    MATRIX_GAUSSIAN_SET = 64


@dataclass(frozen=True)
class OpInfo:
    """What is known of one op.

    notation: template with {a}, {b}, {o} for addresses and the constants' names.
    inputs: types of in1 and in2, each of "s", "v", "m". output: type written, "" for NO_OP.
    constants: names in storage order. cost: weight in the train budget's cost model (reference, arbitrary units).
    """

    op: Op
    notation: str
    inputs: str
    output: str
    constants: tuple[str, ...]
    cost: float
    meaning: str

    @property
    def is_random(self) -> bool:
        """Whether the op draws random numbers."""
        return self.op >= Op.SCALAR_UNIFORM_SET

    @property
    def keeps_output(self) -> bool:
        """Whether the op writes one element only, so that it also reads its output register."""
        return self.op in (Op.VECTOR_CONST_SET, Op.MATRIX_CONST_SET)

    @property
    def is_commutative(self) -> bool:
        """Whether swapping in1 and in2 gives bit for bit the same result (min and max do not: NaN picks a side)."""
        return self.op in _COMMUTATIVE


OPS: tuple[OpInfo, ...] = (
    OpInfo(Op.NO_OP, "NoOp()", "", "", (), 3.01, "does nothing"),
    OpInfo(Op.SCALAR_SUM, "s{o} = s{a} + s{b}", "ss", "s", (), 4.7, "sum"),
    OpInfo(Op.SCALAR_DIFF, "s{o} = s{a} - s{b}", "ss", "s", (), 5.1, "difference"),
    OpInfo(Op.SCALAR_PRODUCT, "s{o} = s{a} * s{b}", "ss", "s", (), 4.42, "product"),
    OpInfo(Op.SCALAR_DIVISION, "s{o} = s{a} / s{b}", "ss", "s", (), 3.96, "quotient, IEEE: x/0 is inf or NaN"),
    OpInfo(Op.SCALAR_ABS, "s{o} = abs(s{a})", "s", "s", (), 3.68, "absolute value"),
    OpInfo(Op.SCALAR_RECIPROCAL, "s{o} = 1 / s{a}", "s", "s", (), 4.21, "reciprocal, IEEE"),
    OpInfo(Op.SCALAR_SIN, "s{o} = sin(s{a})", "s", "s", (), 7.54, "sine, radians"),
    OpInfo(Op.SCALAR_COS, "s{o} = cos(s{a})", "s", "s", (), 7.45, "cosine, radians"),
    OpInfo(Op.SCALAR_TAN, "s{o} = tan(s{a})", "s", "s", (), 7.58, "tangent, radians"),
    OpInfo(Op.SCALAR_ARCSIN, "s{o} = arcsin(s{a})", "s", "s", (), 9.15, "inverse sine, NaN outside [-1, 1]"),
    OpInfo(Op.SCALAR_ARCCOS, "s{o} = arccos(s{a})", "s", "s", (), 7.67, "inverse cosine, NaN outside [-1, 1]"),
    OpInfo(Op.SCALAR_ARCTAN, "s{o} = arctan(s{a})", "s", "s", (), 9.27, "inverse tangent"),
    OpInfo(Op.SCALAR_EXP, "s{o} = exp(s{a})", "s", "s", (), 11.76, "exponential"),
    OpInfo(Op.SCALAR_LOG, "s{o} = log(s{a})", "s", "s", (), 11.63, "natural logarithm; log(0) = -inf, NaN below"),
    OpInfo(Op.SCALAR_HEAVYSIDE, "s{o} = heaviside(s{a}, 1.0)", "s", "s", (), 4.06, "1 if a >= 0, else 0 (NaN gives 0)"),
    OpInfo(Op.VECTOR_HEAVYSIDE, "v{o} = heaviside(v{a}, 1.0)", "v", "v", (), 3.97, "per element 1 if x > 0, else 0"),
    OpInfo(Op.MATRIX_HEAVYSIDE, "m{o} = heaviside(m{a}, 1.0)", "m", "m", (), 6.73, "per element 1 if x > 0, else 0"),
    OpInfo(Op.SCALAR_VECTOR_PRODUCT, "v{o} = s{a} * v{b}", "sv", "v", (), 3.71, "vector scaled by a scalar"),
    OpInfo(Op.SCALAR_BROADCAST, "v{o} = bcast(s{a})", "s", "v", (), 4.17, "every element set to a scalar"),
    OpInfo(Op.VECTOR_RECIPROCAL, "v{o} = 1 / v{a}", "v", "v", (), 6.31, "reciprocal of each element"),
    OpInfo(Op.VECTOR_NORM, "s{o} = norm(v{a})", "v", "s", (), 4.81, "Euclidean norm"),
    OpInfo(Op.VECTOR_ABS, "v{o} = abs(v{a})", "v", "v", (), 3.71, "absolute value of each element"),
    OpInfo(Op.VECTOR_SUM, "v{o} = v{a} + v{b}", "vv", "v", (), 4.7, "elementwise sum"),
    OpInfo(Op.VECTOR_DIFF, "v{o} = v{a} - v{b}", "vv", "v", (), 4.17, "elementwise difference"),
    OpInfo(Op.VECTOR_PRODUCT, "v{o} = v{a} * v{b}", "vv", "v", (), 4.5, "elementwise product"),
    OpInfo(Op.VECTOR_DIVISION, "v{o} = v{a} / v{b}", "vv", "v", (), 4.56, "elementwise quotient, IEEE"),
    OpInfo(Op.VECTOR_INNER_PRODUCT, "s{o} = dot(v{a}, v{b})", "vv", "s", (), 4.29, "dot product"),
    OpInfo(
        Op.VECTOR_OUTER_PRODUCT, "m{o} = outer(v{a}, v{b})", "vv", "m", (), 9.83, "outer product, m[i, j] = a[i] b[j]"
    ),
    OpInfo(Op.SCALAR_MATRIX_PRODUCT, "m{o} = s{a} * m{b}", "sm", "m", (), 5.99, "matrix scaled by a scalar"),
    OpInfo(Op.MATRIX_RECIPROCAL, "m{o} = 1 / m{a}", "m", "m", (), 24.34, "reciprocal of each element"),
    OpInfo(Op.MATRIX_VECTOR_PRODUCT, "v{o} = dot(m{a}, v{b})", "mv", "v", (), 9.31, "matrix times column vector"),
    OpInfo(
        Op.VECTOR_COLUMN_BROADCAST,
        "m{o} = bcast(v{a}, axis=0)",
        "v",
        "m",
        (),
        10.99,
        "every column is the vector, m[i, j] = a[i]",
    ),
    OpInfo(
        Op.VECTOR_ROW_BROADCAST,
        "m{o} = bcast(v{a}, axis=1)",
        "v",
        "m",
        (),
        11.09,
        "every row is the vector, m[i, j] = a[j]",
    ),
    OpInfo(Op.MATRIX_NORM, "s{o} = norm(m{a})", "m", "s", (), 6.42, "Frobenius norm"),
    OpInfo(Op.MATRIX_COLUMN_NORM, "v{o} = norm(m{a}, axis=0)", "m", "v", (), 6.68, "Euclidean norm of each column"),
    OpInfo(Op.MATRIX_ROW_NORM, "v{o} = norm(m{a}, axis=1)", "m", "v", (), 13.35, "Euclidean norm of each row"),
    OpInfo(Op.MATRIX_TRANSPOSE, "m{o} = transpose(m{a})", "m", "m", (), 9.39, "transpose"),
    OpInfo(Op.MATRIX_ABS, "m{o} = abs(m{a})", "m", "m", (), 4.63, "absolute value of each element"),
    OpInfo(Op.MATRIX_SUM, "m{o} = m{a} + m{b}", "mm", "m", (), 5.58, "elementwise sum"),
    OpInfo(Op.MATRIX_DIFF, "m{o} = m{a} - m{b}", "mm", "m", (), 5.43, "elementwise difference"),
    OpInfo(Op.MATRIX_PRODUCT, "m{o} = m{a} * m{b}", "mm", "m", (), 5.48, "elementwise (Hadamard) product"),
    OpInfo(Op.MATRIX_DIVISION, "m{o} = m{a} / m{b}", "mm", "m", (), 18.23, "elementwise quotient, IEEE"),
    OpInfo(Op.MATRIX_MATRIX_PRODUCT, "m{o} = matmul(m{a}, m{b})", "mm", "m", (), 14.52, "matrix product"),
    OpInfo(Op.SCALAR_MIN, "s{o} = minimum(s{a}, s{b})", "ss", "s", (), 3.68, "smaller of two; a when either is NaN"),
    OpInfo(
        Op.VECTOR_MIN, "v{o} = minimum(v{a}, v{b})", "vv", "v", (), 3.99, "elementwise smaller; a when either is NaN"
    ),
    OpInfo(
        Op.MATRIX_MIN, "m{o} = minimum(m{a}, m{b})", "mm", "m", (), 5.46, "elementwise smaller; b when either is NaN"
    ),
    OpInfo(Op.SCALAR_MAX, "s{o} = maximum(s{a}, s{b})", "ss", "s", (), 4.57, "larger of two; a when either is NaN"),
    OpInfo(
        Op.VECTOR_MAX, "v{o} = maximum(v{a}, v{b})", "vv", "v", (), 3.97, "elementwise larger; a when either is NaN"
    ),
    OpInfo(
        Op.MATRIX_MAX, "m{o} = maximum(m{a}, m{b})", "mm", "m", (), 5.84, "elementwise larger; b when either is NaN"
    ),
    OpInfo(Op.VECTOR_MEAN, "s{o} = mean(v{a})", "v", "s", (), 4.28, "mean of the elements"),
    OpInfo(Op.MATRIX_MEAN, "s{o} = mean(m{a})", "m", "s", (), 4.6, "mean of the elements"),
    OpInfo(Op.MATRIX_ROW_MEAN, "v{o} = mean(m{a}, axis=1)", "m", "v", (), 9.76, "mean of each row"),
    OpInfo(
        Op.MATRIX_ROW_ST_DEV,
        "v{o} = std(m{a}, axis=1)",
        "m",
        "v",
        (),
        16.77,
        "population standard deviation of each row",
    ),
    OpInfo(
        Op.VECTOR_ST_DEV, "s{o} = std(v{a})", "v", "s", (), 5.59, "population standard deviation, sqrt(E[x^2] - E[x]^2)"
    ),
    OpInfo(Op.MATRIX_ST_DEV, "s{o} = std(m{a})", "m", "s", (), 10.64, "population standard deviation of all elements"),
    OpInfo(Op.SCALAR_CONST_SET, "s{o} = {c}", "", "s", ("c",), 3.69, "set to a constant"),
    OpInfo(Op.VECTOR_CONST_SET, "v{o}[{i}] = {c}", "", "v", ("i", "c"), 3.99, "one element set, the others kept"),
    OpInfo(
        Op.MATRIX_CONST_SET, "m{o}[{i}, {j}] = {c}", "", "m", ("i", "j", "c"), 3.69, "one element set, the others kept"
    ),
    OpInfo(
        Op.SCALAR_UNIFORM_SET,
        "s{o} = uniform({lo}, {hi})",
        "",
        "s",
        ("lo", "hi"),
        26.61,
        "uniform draw from (lo, hi); lo when lo > hi",
    ),
    OpInfo(
        Op.VECTOR_UNIFORM_SET,
        "v{o} = uniform({lo}, {hi}, n_features)",
        "",
        "v",
        ("lo", "hi"),
        57.82,
        "independent uniform draws from (lo, hi); lo when lo > hi",
    ),
    OpInfo(
        Op.MATRIX_UNIFORM_SET,
        "m{o} = uniform({lo}, {hi}, (n_features, n_features))",
        "",
        "m",
        ("lo", "hi"),
        208.34,
        "independent uniform draws from (lo, hi); lo when lo > hi",
    ),
    OpInfo(
        Op.SCALAR_GAUSSIAN_SET,
        "s{o} = gaussian({mu}, {sd})",
        "",
        "s",
        ("mu", "sd"),
        20.78,
        "Gaussian draw of mean mu, deviation sd",
    ),
    OpInfo(
        Op.VECTOR_GAUSSIAN_SET,
        "v{o} = gaussian({mu}, {sd}, n_features)",
        "",
        "v",
        ("mu", "sd"),
        77.48,
        "independent Gaussian draws of mean mu, deviation sd",
    ),
    OpInfo(
        Op.MATRIX_GAUSSIAN_SET,
        "m{o} = gaussian({mu}, {sd}, (n_features, n_features))",
        "",
        "m",
        ("mu", "sd"),
        277.69,
        "independent Gaussian draws of mean mu, deviation sd",
    ),
)
"""The table, indexed by op id."""

_COMMUTATIVE = frozenset(
    {
        Op.SCALAR_SUM,
        Op.SCALAR_PRODUCT,
        Op.VECTOR_SUM,
        Op.VECTOR_PRODUCT,
        Op.VECTOR_INNER_PRODUCT,
        Op.MATRIX_SUM,
        Op.MATRIX_PRODUCT,
    }
)
