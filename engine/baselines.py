"""Known algorithms, written in the op set: where searches may start, and what their results are shown against."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from engine.algorithm import Algorithm, Instruction, Registers
from engine.ops import Op


class Baseline(NamedTuple):
    """A known algorithm: its title, and how to build it with its default constants."""

    title: str
    build: Callable[[], Algorithm]

    @property
    def registers(self) -> Registers:
        """The registers it needs."""
        return self.build().registers_used()


def linear(learning_rate: float = 0.01) -> Algorithm:
    """Return a linear model that learns by stochastic gradient descent; registers 4/3/0.

    Source: the reference code's linear regressor.
    """
    return Algorithm(
        setup=(_constant(2, learning_rate),),
        predict=(_one(Op.VECTOR_INNER_PRODUCT, 1, 0, out=1),),
        learn=(
            _one(Op.SCALAR_DIFF, 0, 1, out=3),
            _one(Op.SCALAR_PRODUCT, 2, 3, out=3),
            _one(Op.SCALAR_VECTOR_PRODUCT, 3, 0, out=2),
            _one(Op.VECTOR_SUM, 1, 2, out=1),
        ),
    )


def affine(learning_rate: float = 0.01) -> Algorithm:
    """Return a linear model with a bias that learns by stochastic gradient descent; registers 5/3/0.

    Source: Real et al. 2020, section 4.1.
    """
    return Algorithm(
        setup=(_constant(2, learning_rate),),
        predict=(_one(Op.VECTOR_INNER_PRODUCT, 1, 0, out=1), _one(Op.SCALAR_SUM, 1, 4, out=1)),
        learn=(
            _one(Op.SCALAR_DIFF, 0, 1, out=3),
            _one(Op.SCALAR_PRODUCT, 2, 3, out=3),
            _one(Op.SCALAR_SUM, 3, 4, out=4),
            _one(Op.SCALAR_VECTOR_PRODUCT, 3, 0, out=2),
            _one(Op.VECTOR_SUM, 1, 2, out=1),
        ),
    )


def neural_network(learning_rate: float = 0.01, initial_deviation: float = 0.1) -> Algorithm:
    """Return a 2-layer ReLU net with biases that learns by backpropagation; registers 5/9/2.

    The output weights are updated before the error is passed back through them, as in the reference code.
    """
    return Algorithm(
        setup=(
            _gaussian(Op.VECTOR_GAUSSIAN_SET, 2, initial_deviation),
            _gaussian(Op.MATRIX_GAUSSIAN_SET, 0, initial_deviation),
            _constant(3, learning_rate),
        ),
        predict=(
            _one(Op.MATRIX_VECTOR_PRODUCT, 0, 0, out=3),
            _one(Op.VECTOR_SUM, 3, 1, out=3),
            _one(Op.VECTOR_MAX, 3, 5, out=4),
            _one(Op.VECTOR_INNER_PRODUCT, 4, 2, out=1),
            _one(Op.SCALAR_SUM, 1, 2, out=1),
        ),
        learn=(
            _one(Op.SCALAR_DIFF, 0, 1, out=4),
            _one(Op.SCALAR_PRODUCT, 3, 4, out=4),
            _one(Op.SCALAR_SUM, 2, 4, out=2),
            _one(Op.SCALAR_VECTOR_PRODUCT, 4, 4, out=6),
            _one(Op.VECTOR_SUM, 2, 6, out=2),
            _one(Op.SCALAR_VECTOR_PRODUCT, 4, 2, out=7),
            _one(Op.VECTOR_HEAVYSIDE, 3, out=8),
            _one(Op.VECTOR_PRODUCT, 8, 7, out=7),
            _one(Op.VECTOR_SUM, 1, 7, out=1),
            _one(Op.VECTOR_OUTER_PRODUCT, 7, 0, out=1),
            _one(Op.MATRIX_SUM, 0, 1, out=0),
        ),
    )


def neural_network_without_bias(learning_rate: float = 0.01, initial_deviation: float = 0.1) -> Algorithm:
    """Return a 2-layer ReLU net without biases that learns by backpropagation; registers 4/8/2.

    Source: the size and operations of Real et al. 2020, figure 5 (Predict 3, Learn 9 instructions).
    """
    return Algorithm(
        setup=(
            _gaussian(Op.VECTOR_GAUSSIAN_SET, 4, initial_deviation),
            _gaussian(Op.MATRIX_GAUSSIAN_SET, 0, initial_deviation),
            _constant(2, learning_rate),
        ),
        predict=(
            _one(Op.MATRIX_VECTOR_PRODUCT, 0, 0, out=2),
            _one(Op.VECTOR_MAX, 2, 1, out=3),
            _one(Op.VECTOR_INNER_PRODUCT, 3, 4, out=1),
        ),
        learn=(
            _one(Op.SCALAR_DIFF, 0, 1, out=3),
            _one(Op.SCALAR_PRODUCT, 2, 3, out=3),
            _one(Op.VECTOR_HEAVYSIDE, 2, out=5),
            _one(Op.SCALAR_VECTOR_PRODUCT, 3, 4, out=6),
            _one(Op.VECTOR_PRODUCT, 5, 6, out=6),
            _one(Op.VECTOR_OUTER_PRODUCT, 6, 0, out=1),
            _one(Op.MATRIX_SUM, 0, 1, out=0),
            _one(Op.SCALAR_VECTOR_PRODUCT, 3, 3, out=7),
            _one(Op.VECTOR_SUM, 4, 7, out=4),
        ),
    )


def bilinear(learning_rate: float = 0.3, noise: float = 0.7) -> Algorithm:
    """Return the bilinear classifier that evolved in section 4.2 of the paper, rebuilt; registers 6/5/3.

    x is split into a = x + u and b = x - u, with u uniform in (0, noise), drawn at each training example. The prediction
    is a'Wb; the gradient, error times a b', is divided by the norm of a b'. Predict ends by putting the sum of all training
    weights (m2) where it reads its weights (m0), and Learn puts the training weights (m1) back: so training uses W, and
    validation the sum, from its second example on.
    Source: the description in words, Real et al. 2020, section 4.2.
    """
    return Algorithm(
        setup=(_constant(2, learning_rate), _constant(5, 1.0)),
        predict=(
            _one(Op.VECTOR_SUM, 0, 1, out=2),
            _one(Op.VECTOR_DIFF, 0, 1, out=3),
            _one(Op.MATRIX_VECTOR_PRODUCT, 0, 3, out=4),
            _one(Op.VECTOR_INNER_PRODUCT, 2, 4, out=1),
            _one(Op.SCALAR_MATRIX_PRODUCT, 5, 2, out=0),
        ),
        learn=(
            _one(Op.SCALAR_DIFF, 0, 1, out=3),
            _one(Op.VECTOR_OUTER_PRODUCT, 2, 3, out=0),
            _one(Op.MATRIX_NORM, 0, out=4),
            _one(Op.SCALAR_DIVISION, 3, 4, out=3),
            _one(Op.SCALAR_PRODUCT, 2, 3, out=3),
            _one(Op.SCALAR_MATRIX_PRODUCT, 3, 0, out=0),
            _one(Op.MATRIX_SUM, 0, 1, out=1),
            _one(Op.MATRIX_SUM, 1, 2, out=2),
            _one(Op.SCALAR_MATRIX_PRODUCT, 5, 1, out=0),
            Instruction(Op.VECTOR_UNIFORM_SET, out=1, constants=(0.0, _float32(noise))),
        ),
    )


def softmax_linear(learning_rate: float = 0.01) -> Algorithm:
    """Return a linear model of many classes (softmax regression) that learns by stochastic gradient descent; registers 3/4/2."""
    return Algorithm(
        setup=(_constant(2, learning_rate),),
        predict=(_one(Op.MATRIX_VECTOR_PRODUCT, 0, 0, out=1),),
        learn=(
            _one(Op.VECTOR_DIFF, 2, 1, out=3),
            _one(Op.SCALAR_VECTOR_PRODUCT, 2, 3, out=3),
            _one(Op.VECTOR_OUTER_PRODUCT, 3, 0, out=1),
            _one(Op.MATRIX_SUM, 0, 1, out=0),
        ),
        vector_labels=True,
    )


def softmax_net(learning_rate: float = 0.01, initial_deviation: float = 0.1) -> Algorithm:
    """Return a 2-layer ReLU net of many classes, with biases, that learns by backpropagation; registers 3/10/4.

    As in `neural_network`, the output weights are updated before the error is passed back through them.
    """
    return Algorithm(
        setup=(
            _gaussian(Op.MATRIX_GAUSSIAN_SET, 0, initial_deviation),
            _gaussian(Op.MATRIX_GAUSSIAN_SET, 1, initial_deviation),
            _constant(2, learning_rate),
        ),
        predict=(
            _one(Op.MATRIX_VECTOR_PRODUCT, 0, 0, out=3),
            _one(Op.VECTOR_SUM, 3, 4, out=3),
            _one(Op.VECTOR_MAX, 3, 5, out=6),
            _one(Op.MATRIX_VECTOR_PRODUCT, 1, 6, out=1),
            _one(Op.VECTOR_SUM, 1, 7, out=1),
        ),
        learn=(
            _one(Op.VECTOR_DIFF, 2, 1, out=8),
            _one(Op.SCALAR_VECTOR_PRODUCT, 2, 8, out=8),
            _one(Op.VECTOR_SUM, 7, 8, out=7),
            _one(Op.VECTOR_OUTER_PRODUCT, 8, 6, out=2),
            _one(Op.MATRIX_SUM, 1, 2, out=1),
            _one(Op.MATRIX_TRANSPOSE, 1, out=3),
            _one(Op.MATRIX_VECTOR_PRODUCT, 3, 8, out=8),
            _one(Op.VECTOR_HEAVYSIDE, 3, out=9),
            _one(Op.VECTOR_PRODUCT, 9, 8, out=8),
            _one(Op.VECTOR_SUM, 4, 8, out=4),
            _one(Op.VECTOR_OUTER_PRODUCT, 8, 0, out=2),
            _one(Op.MATRIX_SUM, 0, 2, out=0),
        ),
        vector_labels=True,
    )


BASELINES: dict[str, Baseline] = {
    "linear": Baseline("Linear model", linear),
    "affine": Baseline("Affine model", affine),
    "net": Baseline("2-layer net", neural_network),
    "net-without-bias": Baseline("2-layer net without biases", neural_network_without_bias),
    "bilinear": Baseline("Bilinear model of the paper", bilinear),
    "softmax-linear": Baseline("Linear model of many classes", softmax_linear),
    "softmax-net": Baseline("2-layer net of many classes", softmax_net),
}
"""All known algorithms by name."""


def counterpart(name: str, *, vector_labels: bool) -> Baseline:
    """Return a known model ("linear", "net") as it is for numbers as labels, or for vectors. Raises KeyError."""
    return BASELINES[f"softmax-{name}" if vector_labels else name]


def _one(op: Op, in1: int, in2: int = 0, *, out: int) -> Instruction:
    return Instruction(op, in1, in2, out)


def _constant(out: int, value: float) -> Instruction:
    return Instruction(Op.SCALAR_CONST_SET, out=out, constants=(float(value),))


def _gaussian(op: Op, out: int, deviation: float) -> Instruction:
    return Instruction(op, out=out, constants=(0.0, _float32(deviation)))


def _float32(value: float) -> float:
    return struct.unpack("<f", struct.pack("<f", value))[0]
