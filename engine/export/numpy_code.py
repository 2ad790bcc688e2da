"""A program as the source of a Python class on NumPy: one line of code an instruction."""

from __future__ import annotations

import math

from engine.algorithm import COMPONENT_FUNCTIONS, Algorithm, Instruction
from engine.canonical import special
from engine.explain import Explanation, explain
from engine.ops import Op

EXPRESSIONS: dict[Op, str] = {
    Op.SCALAR_SUM: "{a} + {b}", Op.SCALAR_DIFF: "{a} - {b}", Op.SCALAR_PRODUCT: "{a} * {b}", Op.SCALAR_DIVISION: "{a} / {b}",
    Op.SCALAR_ABS: "np.abs({a})", Op.SCALAR_RECIPROCAL: "1.0 / {a}", Op.SCALAR_SIN: "np.sin({a})",
    Op.SCALAR_COS: "np.cos({a})", Op.SCALAR_TAN: "np.tan({a})", Op.SCALAR_ARCSIN: "np.arcsin({a})",
    Op.SCALAR_ARCCOS: "np.arccos({a})", Op.SCALAR_ARCTAN: "np.arctan({a})", Op.SCALAR_EXP: "np.exp({a})",
    Op.SCALAR_LOG: "np.log({a})", Op.SCALAR_HEAVYSIDE: "np.float64({a} >= 0.0)",
    Op.VECTOR_HEAVYSIDE: "np.where({a} > 0.0, 1.0, 0.0)", Op.MATRIX_HEAVYSIDE: "np.where({a} > 0.0, 1.0, 0.0)",
    Op.SCALAR_VECTOR_PRODUCT: "{a} * {b}", Op.SCALAR_BROADCAST: "np.full(self.n_features, {a})",
    Op.VECTOR_RECIPROCAL: "1.0 / {a}", Op.VECTOR_NORM: "np.sqrt(np.dot({a}, {a}))", Op.VECTOR_ABS: "np.abs({a})",
    Op.VECTOR_SUM: "{a} + {b}", Op.VECTOR_DIFF: "{a} - {b}", Op.VECTOR_PRODUCT: "{a} * {b}",
    Op.VECTOR_DIVISION: "{a} / {b}", Op.VECTOR_INNER_PRODUCT: "np.dot({a}, {b})", Op.VECTOR_OUTER_PRODUCT: "np.outer({a}, {b})",
    Op.SCALAR_MATRIX_PRODUCT: "{a} * {b}", Op.MATRIX_RECIPROCAL: "1.0 / {a}", Op.MATRIX_VECTOR_PRODUCT: "np.dot({a}, {b})",
    Op.VECTOR_COLUMN_BROADCAST: "np.tile({a}[:, None], (1, self.n_features))",
    Op.VECTOR_ROW_BROADCAST: "np.tile({a}, (self.n_features, 1))",
    Op.MATRIX_NORM: "np.sqrt(np.sum({a} * {a}))", Op.MATRIX_COLUMN_NORM: "np.sqrt(np.sum({a} * {a}, axis=0))",
    Op.MATRIX_ROW_NORM: "np.sqrt(np.sum({a} * {a}, axis=1))", Op.MATRIX_TRANSPOSE: "{a}.T", Op.MATRIX_ABS: "np.abs({a})",
    Op.MATRIX_SUM: "{a} + {b}", Op.MATRIX_DIFF: "{a} - {b}", Op.MATRIX_PRODUCT: "{a} * {b}", Op.MATRIX_DIVISION: "{a} / {b}",
    Op.MATRIX_MATRIX_PRODUCT: "np.matmul({a}, {b})",
    Op.SCALAR_MIN: "{b} if {b} < {a} else {a}", Op.SCALAR_MAX: "{b} if {a} < {b} else {a}",
    Op.VECTOR_MIN: "np.where({b} < {a}, {b}, {a})", Op.VECTOR_MAX: "np.where({a} < {b}, {b}, {a})",
    Op.MATRIX_MIN: "np.where({a} < {b}, {a}, {b})", Op.MATRIX_MAX: "np.where({a} > {b}, {a}, {b})",
    Op.VECTOR_MEAN: "np.mean({a})", Op.MATRIX_MEAN: "np.mean({a})", Op.MATRIX_ROW_MEAN: "np.mean({a}, axis=1)",
    Op.MATRIX_ROW_ST_DEV: "np.sqrt(np.mean({a} * {a}, axis=1) - np.square(np.mean({a}, axis=1)))",
    Op.VECTOR_ST_DEV: "np.sqrt(np.mean({a} * {a}) - np.square(np.mean({a})))",
    Op.MATRIX_ST_DEV: "np.sqrt(np.mean({a} * {a}) - np.square(np.mean({a})))",
    Op.SCALAR_CONST_SET: "np.float64({c})",
    Op.VECTOR_CONST_SET: "self._with_element({o}, {c}, {i})", Op.MATRIX_CONST_SET: "self._with_element({o}, {c}, {i}, {j})",
    Op.SCALAR_UNIFORM_SET: "self._uniform({lo}, {hi}, ())", Op.VECTOR_UNIFORM_SET: "self._uniform({lo}, {hi}, n)",
    Op.MATRIX_UNIFORM_SET: "self._uniform({lo}, {hi}, (n, n))",
    Op.SCALAR_GAUSSIAN_SET: "self._gaussian({mu}, {sd}, ())", Op.VECTOR_GAUSSIAN_SET: "self._gaussian({mu}, {sd}, n)",
    Op.MATRIX_GAUSSIAN_SET: "self._gaussian({mu}, {sd}, (n, n))",
}  # fmt: skip
"""Every op but NO_OP. {a}, {b}, {o} are attributes like self.s2; nothing is changed in place, so copies can be shallow."""

_CLASS = '''\
class Program:
    """The evolved program and its memory: scalars s0.., vectors v0.., matrices m0.., all zero at the start.

    @special@. Every assignment makes a new value, so `copy.copy` is a full copy.
    """

    def __init__(self, n_features, seed=0):
        self.n_features = n_features
        self.rng = np.random.default_rng(seed)
@registers@

@functions@
@interface@@helpers@'''

_NUMBERS = '''\
    def predict_one(self, features):
        """Run Predict on one example, shape (n_features,), and return s1."""
        self.v0, self.s0 = features, np.float64(0.0)
        self.predict()
        return self.s1

    def learn_one(self, features, label):
        """Run Learn on the example that Predict has just seen."""
        self.v0, self.s0 = features, np.float64(label)
        self.learn()
'''
_VECTORS = '''\
    def predict_one(self, features):
        """Run Predict on one example, shape (n_features,), and return v1."""
        self.v0, self.v2 = features, np.zeros(self.n_features)
        self.predict()
        return self.v1

    def learn_one(self, features, label):
        """Run Learn on the example that Predict has just seen; label: (n_features,), 1 for its class."""
        self.v0, self.v2 = features, label
        self.learn()
'''
_SPECIAL = {
    False: "s0 is the label, s1 the prediction, v0 the features",
    True: "v0 is the features, v1 the prediction (a score for each class), v2 the label",
}

_ELEMENT = '''
    def _with_element(self, array, value, *fractions):
        """Return a copy with one element set; its indexes are given as fractions of n_features."""
        index = tuple(int(np.float32(self.n_features) * np.float32(one)) for one in fractions)
        array = array.copy()
        array[index] = value
        return array
'''
_UNIFORM = '''
    def _uniform(self, low, high, shape):
        """Draw independent numbers from (low, high); all are `low` where low > high."""
        drawn = np.full(shape, low) if low > high else self.rng.uniform(low, high, shape)
        return np.float64(drawn) if shape == () else drawn
'''
_GAUSSIAN = '''
    def _gaussian(self, mean, deviation, shape):
        """Draw independent Gaussian numbers."""
        drawn = mean + deviation * self.rng.standard_normal(shape)
        return np.float64(drawn) if shape == () else drawn
'''


def program_class(algorithm: Algorithm) -> tuple[str, Explanation]:
    """Return the source of class Program, live lines only, and the explanation whose roles stand beside them."""
    explanation = explain(algorithm)
    live: dict[str, list[tuple[Instruction, str]]] = {name: [] for name in COMPONENT_FUNCTIONS}
    for line in explanation.lines:
        if line.role != "dead":
            one = algorithm.functions[COMPONENT_FUNCTIONS.index(line.function)][line.position]
            live[line.function].append((one, f"{line.role}: {line.note}" if line.note else line.role))
    functions = "\n".join(_function(algorithm, name, body) for name, body in live.items())
    ops = {one.op for body in live.values() for one, _ in body}
    helpers = ""
    for text, wanted in (
        (_ELEMENT, {Op.VECTOR_CONST_SET, Op.MATRIX_CONST_SET}),
        (_UNIFORM, {Op.SCALAR_UNIFORM_SET, Op.VECTOR_UNIFORM_SET, Op.MATRIX_UNIFORM_SET}),
        (_GAUSSIAN, {Op.SCALAR_GAUSSIAN_SET, Op.VECTOR_GAUSSIAN_SET, Op.MATRIX_GAUSSIAN_SET}),
    ):
        helpers += text if ops & wanted else ""
    source = _CLASS.replace("@registers@", _registers(algorithm, [one for body in live.values() for one, _ in body]))
    source = source.replace("@special@", _SPECIAL[algorithm.vector_labels])
    source = source.replace("@interface@", _VECTORS if algorithm.vector_labels else _NUMBERS)
    return source.replace("@functions@", functions).replace("@helpers@", helpers), explanation


def _registers(algorithm: Algorithm, instructions: list[Instruction]) -> str:
    used = set(special(algorithm))
    for one in instructions:
        used |= set(zip(one.info.inputs, (one.in1, one.in2), strict=False))
        used.add((one.info.output, one.out))
    zeros = {"s": "np.float64(0.0)", "v": "np.zeros(n_features)", "m": "np.zeros((n_features, n_features))"}
    rows = []
    for kind, zero in zeros.items():
        addresses = sorted(address for other, address in used if other == kind)
        rows += (
            [f"        {' = '.join(f'self.{kind}{address}' for address in addresses)} = {zero}"] if addresses else []
        )
    return "\n".join(rows)


def _function(algorithm: Algorithm, name: str, body: list[tuple[Instruction, str]]) -> str:
    truth, said = (f"{kind}{address}" for kind, address in (algorithm.label, algorithm.prediction))
    titles = {
        "setup": "Run once, before training.",
        "predict": f"Compute {said} from v0.",
        "learn": f"Learn from v0, {truth} (label) and {said} (prediction).",
    }
    code = [(_statement(one), comment) for one, comment in body]
    rows = [f"    def {name}(self):", f'        """{titles[name]}"""']
    if any(one.op >= Op.SCALAR_UNIFORM_SET and one.info.output != "s" for one, _ in body):
        rows.append("        n = self.n_features")
    width = min(max((len(text) for text, _ in code), default=0), 60)
    rows += [f"        {text:{width}}  # {comment}" for text, comment in code]
    return "\n".join(rows) + "\n"


def _statement(one: Instruction) -> str:
    info = one.info
    a, b = (
        [f"self.{kind}{address}" for kind, address in zip(info.inputs, (one.in1, one.in2), strict=False)] + ["", ""]
    )[:2]
    target = f"self.{info.output}{one.out}"
    constants = {name: number(value) for name, value in zip(info.constants, one.constants, strict=True)}
    return f"{target} = {EXPRESSIONS[one.op].format(a=a, b=b, o=target, **constants)}"


def left_out(dead: int) -> str:
    """Return what is said of lines that are not written out."""
    return (
        f"{dead} lines that cannot reach the prediction are left out."
        if dead > 1
        else "1 line that cannot reach the prediction is left out."
    )


def number(value: float) -> str:
    """Return a float as Python source that gives it back exactly."""
    return repr(value) if math.isfinite(value) else f'float("{value}")'
