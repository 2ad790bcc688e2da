"""Programs run with NumPy and BLAS, one example after the other: for many features, where matrices do the work.

The semantics are the evaluator's (tests/engine/test_scale.py holds one against the other), but for two things: sums are
added in BLAS's order, and random ops draw from a NumPy generator. An outer product is kept as its two vectors until a
whole matrix is needed, so that adding one to a matrix is a rank-one update in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.linalg.blas import dger

from engine.algorithm import (
    FEATURES,
    LABEL,
    PREDICTION,
    VECTOR_LABEL,
    VECTOR_PREDICTION,
    Algorithm,
    Instruction,
    element_index,
)
from engine.canonical import without_dead_code
from engine.export.numpy_code import EXPRESSIONS
from engine.ops import OPS, Op

_IN_PLACE: dict[Op, Callable] = {
    Op.MATRIX_SUM: np.add, Op.MATRIX_DIFF: np.subtract, Op.MATRIX_PRODUCT: np.multiply, Op.MATRIX_DIVISION: np.divide,
    Op.MATRIX_ABS: np.abs, Op.SCALAR_MATRIX_PRODUCT: np.multiply,
}  # fmt: skip
"""Ops on whole matrices that write where their output already is."""

_OWN = {Op.NO_OP, Op.SCALAR_BROADCAST, Op.VECTOR_COLUMN_BROADCAST, Op.VECTOR_ROW_BROADCAST, Op.MATRIX_TRANSPOSE}
_FUNCTIONS: dict[Op, Callable[..., Any]] = {
    info.op: eval(f"lambda a, b=None: {EXPRESSIONS[info.op].format(a='a', b='b')}", {"np": np})  # noqa: S307  # noqa: S307  (our own table)
    for info in OPS
    if info.op not in _OWN and not info.constants
}
"""The other ops without constants: the expressions that exported code has."""


class Machine:
    """A program and its memory: scalars, vectors, matrices of float64, all zero. Raises nothing: infinities and NaN flow.

    features: F. seed: of the generator that random ops draw from. Dead instructions are left out.
    """

    def __init__(self, algorithm: Algorithm, features: int, seed: int):
        self.algorithm, self.features = algorithm, features
        self.generator = np.random.Generator(np.random.PCG64(seed))
        counts = algorithm.registers_used()
        self.s = [np.float64(0.0)] * counts.s
        self.v = [np.zeros(features) for _ in range(counts.v)]
        self.m = [np.zeros((features, features)) for _ in range(counts.m)]
        self.outer: list[tuple[np.ndarray, np.ndarray] | None] = [None] * counts.m
        """Matrices that are the outer product of two finite vectors; the array in `m` is then out of date."""
        self._code = [[self._step(one) for one in function] for function in without_dead_code(algorithm).functions]

    def setup(self) -> None:
        """Run Setup."""
        self._run(0)

    def predict(self, features: np.ndarray) -> None:
        """Run Predict on an example's features, (F,)."""
        self._show(features, None)
        self._run(1)

    def learn(self, features: np.ndarray, label: Any) -> None:
        """Run Learn on an example; label: a number, or (F,) where labels are vectors."""
        self._show(features, label)
        self._run(2)

    def _show(self, features: np.ndarray, label: Any) -> None:
        self.v[FEATURES], self.s[LABEL] = features, np.float64(0.0)
        if self.algorithm.vector_labels:
            self.v[VECTOR_LABEL] = np.zeros(self.features) if label is None else label
        elif label is not None:
            self.s[LABEL] = np.float64(label)

    @property
    def prediction(self) -> Any:
        """What Predict left: a number, or (F,) scores of classes."""
        return self.v[VECTOR_PREDICTION] if self.algorithm.vector_labels else self.s[PREDICTION]

    @prediction.setter
    def prediction(self, value: Any) -> None:
        if self.algorithm.vector_labels:
            self.v[VECTOR_PREDICTION] = value
        else:
            self.s[PREDICTION] = np.float64(value)

    def _run(self, function: int) -> None:
        for step in self._code[function]:
            step()

    # one instruction as a function without arguments; vectors are never changed in place, matrices are ----------------

    def _step(self, one: Instruction) -> Callable[[], None]:
        if one.op in _MATRIX_STEPS:
            return lambda: _MATRIX_STEPS[one.op](self, one)
        compute = self._computation(one)
        out, kind = one.out, one.info.output
        if kind == "m":
            return lambda: self._set_matrix(out, compute())
        bank: list[Any] = self.s if kind == "s" else self.v

        def store() -> None:
            bank[out] = compute()

        return store

    def _computation(self, one: Instruction) -> Callable[[], Any]:
        op, n, constants = one.op, self.features, one.constants
        if op == Op.SCALAR_BROADCAST:
            return lambda: np.full(n, self.s[one.in1])
        if op == Op.VECTOR_COLUMN_BROADCAST:
            return lambda: np.repeat(self.v[one.in1], n).reshape(n, n)
        if op == Op.VECTOR_ROW_BROADCAST:
            return lambda: np.tile(self.v[one.in1], (n, 1))
        if op == Op.MATRIX_TRANSPOSE:
            return lambda: self.matrix(one.in1).T.copy()
        if op == Op.SCALAR_CONST_SET:
            return lambda: np.float64(constants[0])
        if op in (Op.VECTOR_CONST_SET, Op.MATRIX_CONST_SET):
            return lambda: self._with_element(one)
        if one.info.is_random:
            return lambda: self._drawn(one)
        function, kinds = _FUNCTIONS[op], one.info.inputs
        if len(kinds) == 1:
            return lambda: function(self._read(kinds[0], one.in1))
        return lambda: function(self._read(kinds[0], one.in1), self._read(kinds[1], one.in2))

    def _read(self, kind: str, address: int) -> Any:
        return self.s[address] if kind == "s" else self.v[address] if kind == "v" else self.matrix(address)

    def _with_element(self, one: Instruction) -> np.ndarray:
        *fractions, value = one.constants
        index = tuple(element_index(fraction, self.features) for fraction in fractions)
        array = (self.v[one.out] if one.info.output == "v" else self.matrix(one.out)).copy()
        array[index] = value
        return array

    def _drawn(self, one: Instruction) -> Any:
        first, second = one.constants
        shape = (self.features,) * "svm".index(one.info.output)
        if one.op >= Op.SCALAR_GAUSSIAN_SET:
            return first + second * self.generator.standard_normal(shape)
        return np.full(shape, first) if first > second else self.generator.uniform(first, second, shape)

    # matrices --------------------------------------------------------------------------------------------------------

    def matrix(self, address: int) -> np.ndarray:
        """Return a matrix register as an array."""
        outer = self.outer[address]
        if outer is not None:
            np.multiply.outer(*outer, out=self.m[address])
            self.outer[address] = None
        return self.m[address]

    def _set_matrix(self, address: int, value: np.ndarray) -> None:
        self.m[address], self.outer[address] = value, None

    def _set_outer(self, address: int, a: np.ndarray, b: np.ndarray) -> None:
        if np.isfinite(a).all() and np.isfinite(b).all():
            self.outer[address] = (a, b)
        else:  # zero times infinity has to be NaN where it is
            self.outer[address] = None
            np.multiply.outer(a, b, out=self.m[address])

    def _outer_product(self, one: Instruction) -> None:
        self._set_outer(one.out, self.v[one.in1], self.v[one.in2])

    def _scale(self, one: Instruction) -> None:
        outer = self.outer[one.in2]
        if outer is not None:
            self._set_outer(one.out, self.s[one.in1] * outer[0], outer[1])
        else:
            self._elementwise(one)

    def _elementwise(self, one: Instruction) -> None:
        operands = [self._read(kind, at) for kind, at in zip(one.info.inputs, (one.in1, one.in2), strict=False)]
        self.outer[one.out] = None
        _IN_PLACE[one.op](*operands, out=self.m[one.out])

    def _add(self, one: Instruction) -> None:
        sign = 1.0 if one.op == Op.MATRIX_SUM else -1.0
        for kept, added in ((one.in1, one.in2), (one.in2, one.in1)):
            outer = self.outer[added]
            if outer is not None and kept != added and (sign > 0 or added == one.in2):
                target = self.matrix(kept)
                if kept != one.out:
                    np.copyto(self.m[one.out], target)
                    self.outer[one.out] = None
                dger(sign, outer[1], outer[0], a=self.m[one.out].T, overwrite_a=1)
                return
        self._elementwise(one)

    def _norm(self, one: Instruction) -> None:
        outer = self.outer[one.in1]
        flat = self.m[one.in1].reshape(-1)
        self.s[one.out] = np.sqrt(
            np.dot(flat, flat) if outer is None else np.dot(outer[0], outer[0]) * np.dot(outer[1], outer[1])
        )

    def _times_vector(self, one: Instruction) -> None:
        outer = self.outer[one.in1]
        vector = self.v[one.in2]
        self.v[one.out] = np.dot(self.m[one.in1], vector) if outer is None else outer[0] * np.dot(outer[1], vector)


_MATRIX_STEPS: dict[Op, Callable[[Machine, Instruction], None]] = {
    **dict.fromkeys(_IN_PLACE, Machine._elementwise),
    Op.VECTOR_OUTER_PRODUCT: Machine._outer_product,
    Op.SCALAR_MATRIX_PRODUCT: Machine._scale,
    Op.MATRIX_SUM: Machine._add,
    Op.MATRIX_DIFF: Machine._add,
    Op.MATRIX_NORM: Machine._norm,
    Op.MATRIX_VECTOR_PRODUCT: Machine._times_vector,
}


def matrix_bytes(algorithm: Algorithm, features: int) -> int:
    """Return the memory that a program's matrices take at F features: F * F * 8 bytes each, and as much for one in the making."""
    count = without_dead_code(algorithm).registers_used().m
    return (count + 1) * features**2 * 8 if count else 0


def softmax(scores: Sequence[float]) -> np.ndarray:
    """Return exponentials over their sum, the largest score subtracted first."""
    powers = np.exp(np.asarray(scores) - np.fmax.reduce(scores))
    return powers / powers.sum()
