"""Programs that are known to contain each motif: what recognising motifs is measured and tested on."""

from __future__ import annotations

from engine.algorithm import Algorithm, Instruction
from engine.baselines import BASELINES, linear
from engine.motifs import MOTIFS
from engine.ops import Op


def one(op: str, in1: int = 0, in2: int = 0, out: int = 0, constants: tuple[float, ...] = ()) -> Instruction:
    """Return an instruction by the name of its op."""
    return Instruction(Op[op], in1, in2, out, constants)


def const(out: int, value: float) -> Instruction:
    """Return the instruction that sets a scalar."""
    return one("SCALAR_CONST_SET", out=out, constants=(value,))


LINEAR = linear()
DOT, ERROR, RATE, SCALE, ADD = (*LINEAR.predict, *LINEAR.learn)
"""The linear model's lines."""

# A linear model with one idea more in each: registers s4.., v3.. are free.
_VARIANTS = {
    "learning-rate decay": Algorithm((*LINEAR.setup, const(4, 0.99)), LINEAR.predict, (*LINEAR.learn, one("SCALAR_PRODUCT", 2, 4, 2))),
    "learning-rate decay by counting": Algorithm(
        (*LINEAR.setup, const(4, 1.0)),
        LINEAR.predict,
        (one("SCALAR_SUM", 5, 4, 5), one("SCALAR_DIVISION", 2, 5, 6), ERROR, one("SCALAR_PRODUCT", 3, 6, 3), SCALE, ADD),
    ),
    "learning-rate decay by arctan": Algorithm(LINEAR.setup, LINEAR.predict, (*LINEAR.learn, one("SCALAR_ARCTAN", 2, 0, 2))),
    "weight-dependent learning rate": Algorithm(
        LINEAR.setup, LINEAR.predict,
        (ERROR, RATE, one("VECTOR_MEAN", 1, out=4), one("SCALAR_COS", 4, out=4), one("SCALAR_PRODUCT", 4, 3, 3), SCALE, ADD),
    ),
    "weight-dependent learning rate by the norm": Algorithm(
        (*LINEAR.setup, const(5, 1.0)), LINEAR.predict,
        (ERROR, RATE, one("VECTOR_NORM", 1, out=4), one("SCALAR_SUM", 4, 5, 4), one("SCALAR_DIVISION", 3, 4, 3), SCALE, ADD),
    ),
    "loss clipping": Algorithm((*LINEAR.setup, const(4, 0.5)), LINEAR.predict, (ERROR, one("SCALAR_MIN", 3, 4, 3), RATE, SCALE, ADD)),
    "input normalisation": Algorithm(
        LINEAR.setup,
        (one("VECTOR_NORM", 0, out=4), one("SCALAR_RECIPROCAL", 4, out=4), one("SCALAR_VECTOR_PRODUCT", 4, 0, 3), one("VECTOR_INNER_PRODUCT", 1, 3, 1)),
        (ERROR, RATE, one("SCALAR_VECTOR_PRODUCT", 3, 3, 2), ADD),
    ),
    "input normalisation by the mean": Algorithm(
        LINEAR.setup,
        (one("VECTOR_MEAN", 0, out=4), one("SCALAR_BROADCAST", 4, out=3), one("VECTOR_DIFF", 0, 3, 3), one("VECTOR_INNER_PRODUCT", 1, 3, 1)),
        (ERROR, RATE, one("SCALAR_VECTOR_PRODUCT", 3, 3, 2), ADD),
    ),
    "normalised gradient": Algorithm(
        LINEAR.setup, LINEAR.predict,
        (ERROR, one("SCALAR_VECTOR_PRODUCT", 3, 0, 2), one("VECTOR_NORM", 2, out=4), one("SCALAR_DIVISION", 2, 4, 4), one("SCALAR_VECTOR_PRODUCT", 4, 2, 2), ADD),
    ),
    "random initialisation": Algorithm((*LINEAR.setup, one("VECTOR_GAUSSIAN_SET", out=1, constants=(0.0, 0.5))), LINEAR.predict, LINEAR.learn),
    "noisy input": Algorithm(
        LINEAR.setup,
        (one("VECTOR_UNIFORM_SET", out=3, constants=(-0.5, 0.5)), one("VECTOR_SUM", 3, 0, 3), one("VECTOR_INNER_PRODUCT", 1, 3, 1)),
        (ERROR, RATE, one("SCALAR_VECTOR_PRODUCT", 3, 3, 2), ADD),
    ),
    "weight accumulation": Algorithm(
        (*LINEAR.setup, const(4, 1.0)),
        (DOT, one("SCALAR_VECTOR_PRODUCT", 4, 3, 1)),
        (ERROR, RATE, SCALE, one("VECTOR_SUM", 5, 2, 5), one("VECTOR_SUM", 3, 5, 3), one("SCALAR_VECTOR_PRODUCT", 4, 5, 1)),
    ),
}  # fmt: skip

_NET = BASELINES["net-without-bias"].build()
_OF_BASELINES = {
    "linear": ("gradient descent",),
    "affine": ("gradient descent",),
    "net": ("gradient descent", "ReLU", "random initialisation"),
    "net-without-bias": ("gradient descent", "ReLU", "random initialisation"),
    "bilinear": ("gradient descent", "normalised gradient", "bilinear form", "weight accumulation", "noisy input"),
    "softmax-linear": ("gradient descent",),
    "softmax-net": ("gradient descent", "ReLU", "random initialisation"),
}

EXAMPLES: dict[str, tuple[Algorithm, tuple[str, ...]]] = {
    **{name: (BASELINES[name].build(), motifs) for name, motifs in _OF_BASELINES.items()},
    "net with noisy ReLU": (
        Algorithm(_NET.setup, (one("VECTOR_GAUSSIAN_SET", out=1, constants=(0.0, 0.5)), *_NET.predict), _NET.learn),
        ("gradient descent", "noisy ReLU", "random initialisation"),
    ),
    "net with weight-dependent learning rate": (
        Algorithm(
            _NET.setup[:2],
            _NET.predict,
            (one("MATRIX_MEAN", 0, out=2), one("SCALAR_ABS", 2, out=2), one("SCALAR_SIN", 2, out=2), *_NET.learn),
        ),
        ("gradient descent", "ReLU", "weight-dependent learning rate", "random initialisation"),
    ),  # as the paper found it in searches with many classes (section 4.3)
    **{
        name: (algorithm, ("gradient descent", *(motif for motif in MOTIFS if name.startswith(motif))))
        for name, algorithm in _VARIANTS.items()
    },
}
"""Programs and their motifs, by name: the known models, and linear models with one idea more."""
