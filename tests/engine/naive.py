"""A deliberately naive interpreter, the oracle of every kernel: plain Python floats and lists, one instruction at a time.

Follows the semantics of the published reference: training with early stop, validation on the live memory, epochs with
the best of them, and every rule for NaN and infinity. Slow, and meant to be: nothing here is shared with the engine but
the op table. Values are never changed in place, so an instruction always reads its inputs before it writes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.ops import Op

TWO_OVER_PI = 0.63661977236758138243


class Draw(NamedTuple):
    """What a random instruction asks for: `count` independent numbers, row-major.

    first, second: its constants (lo and hi, or mu and sd). function: 0 setup, 1 predict, 2 learn. index: position in that
    function. execution: how often this instruction has run before in this evaluation.
    """

    op: Op
    first: float
    second: float
    count: int
    function: int
    index: int
    execution: int


@dataclass
class Run:
    """The outcome of one algorithm on one task.

    train_errors, valid_errors: absolute errors of all epochs in order (0 or 1 in validation for ACCURACY); the error that
    ends a run is not among them, as in the reference. train_steps counts the step that failed.
    """

    fitness: float = 0.0
    train_steps: int = 0
    failed: bool = False
    memory: dict[str, list] = field(default_factory=dict)
    train_errors: list[float] = field(default_factory=list)
    valid_errors: list[float] = field(default_factory=list)
    predictions: list[float] = field(default_factory=list)
    """s1 after Predict for each validation example of the last epoch: the raw logit for ACCURACY."""


def run(
    algorithm,
    task,
    registers,
    *,
    max_abs_error: float = 100.0,
    epochs: int = 1,
    epoch_orders: Sequence[Sequence[int]] | None = None,
    random: Callable[[Draw], Sequence[float]] | None = None,
    train_examples: int | None = None,
    valid_examples: int | None = None,
) -> Run:
    """Train and validate `algorithm` on `task`, on a memory that starts at zero.

    epoch_orders: for each epoch, the order of the training examples (natural where None). random: draws for ops 59 to
    64. train_examples: steps granted over all epochs (None: all; 0: fitness 0). valid_examples: validate on the first so
    many only, still dividing by the task's full number.
    """
    size = task.features_size
    machine = Machine(registers, size, random)
    result = Run()
    features, labels = _lists(task.train_features), _lists(task.train_labels)
    granted = len(labels) * epochs
    if train_examples is not None:
        granted = min(granted, train_examples)
    machine.execute(algorithm, 0)
    for epoch in range(epochs):
        remaining = granted - result.train_steps
        if remaining <= 0:
            break
        order = list(range(len(labels))) if epoch_orders is None else list(epoch_orders[epoch])
        for example in order[:remaining]:
            result.train_steps += 1
            _show(machine, task, features[example], None)
            machine.execute(algorithm, 1)
            errors = _training_errors(machine, task, labels[example])
            if any(math.isnan(error) or error > max_abs_error for error in errors):
                result.failed = True
                break
            result.train_errors += errors
            _show(machine, task, features[example], labels[example])
            machine.execute(algorithm, 2)
        if result.failed:
            break
        fitness = _validate(algorithm, task, machine, result, max_abs_error, valid_examples)
        result.fitness = max(result.fitness, fitness)
    result.memory = {"s": machine.s, "v": machine.v, "m": machine.m}
    return result


def _validate(algorithm, task, machine: Machine, result: Run, max_abs_error: float, count: int | None) -> float:
    features, labels = _lists(task.valid_features), _lists(task.valid_labels)
    result.predictions = []
    total = 0.0
    for x, label in list(zip(features, labels, strict=True))[:count]:
        _show(machine, task, x, None)
        machine.execute(algorithm, 1)
        result.predictions.append(machine.v[1] if task.eval_type == "MULTICLASS" else machine.s[1])
        if task.eval_type == "MULTICLASS":
            said = 0
            for k in range(1, task.classes):
                if machine.v[1][k] > machine.v[1][said]:
                    said = k
            error = 0.0 if said == label else 1.0
            total += error
        elif task.eval_type == "ACCURACY":
            error = 0.0 if (label > 0.5) == (sigmoid(machine.s[1]) > 0.5) else 1.0
            total += error
        else:
            error = abs(label - machine.s[1])
            if math.isnan(error) or error > max_abs_error:
                return 0.0
            total += error * error
        result.valid_errors.append(error)
    if task.eval_type != "RMS_ERROR":
        return 1.0 - total / len(labels)
    rmse = math.sqrt(total / len(labels))
    return 1.0 - TWO_OVER_PI * math.atan(rmse) if math.isfinite(rmse) else 0.0


def _show(machine: Machine, task, features: list[float], label: float | None) -> None:
    """Put features and label where programs find them; no label: zeros."""
    machine.v[0], machine.s[0] = features, 0.0
    if task.eval_type == "MULTICLASS":
        machine.v[2] = [1.0 if k == label else 0.0 for k in range(machine.size)]
    elif label is not None:
        machine.s[0] = label


def _training_errors(machine: Machine, task, label: float) -> list[float]:
    """Normalise the prediction in memory, and return its distance to the label: one number, or one for each class."""
    if task.eval_type == "MULTICLASS":
        chances = softmax(machine.v[1][: task.classes])
        machine.v[1] = chances + [0.0] * (machine.size - task.classes)
        return [abs((1.0 if k == label else 0.0) - chance) for k, chance in enumerate(chances)]
    if task.eval_type == "ACCURACY":
        machine.s[1] = sigmoid(machine.s[1])
    return [abs(label - machine.s[1])]


class Machine:
    """The typed memory, and the execution of a component function on it."""

    def __init__(self, registers, size: int, random: Callable[[Draw], Sequence[float]] | None = None):
        self.size, self.random = size, random
        self.s = [0.0] * registers.s
        self.v = [[0.0] * size for _ in range(registers.v)]
        self.m = [[[0.0] * size for _ in range(size)] for _ in range(registers.m)]
        self.executions: dict[tuple[int, int], int] = {}

    def execute(self, algorithm, function: int) -> None:
        """Run component function 0, 1 or 2."""
        for index, one in enumerate(algorithm.functions[function]):
            info = one.info
            if one.op == Op.NO_OP:
                continue
            banks = {"s": self.s, "v": self.v, "m": self.m}
            inputs = [banks[kind][address] for kind, address in zip(info.inputs, (one.in1, one.in2), strict=False)]
            if one.op in BODIES:
                value = BODIES[one.op](*inputs)
            elif one.op == Op.SCALAR_BROADCAST:
                value = [inputs[0]] * self.size
            elif one.op == Op.VECTOR_COLUMN_BROADCAST:
                value = [[x] * self.size for x in inputs[0]]
            elif one.op == Op.VECTOR_ROW_BROADCAST:
                value = [list(inputs[0]) for _ in range(self.size)]
            elif one.op == Op.SCALAR_CONST_SET:
                value = one.constants[0]
            elif one.op == Op.VECTOR_CONST_SET:
                value = list(self.v[one.out])
                value[self._index(one.constants[0])] = float32(one.constants[1])
            elif one.op == Op.MATRIX_CONST_SET:
                value = [list(row) for row in self.m[one.out]]
                value[self._index(one.constants[0])][self._index(one.constants[1])] = float32(one.constants[2])
            else:
                value = self._draw(one, function, index)
            banks[info.output][one.out] = value

    def _index(self, fraction: float) -> int:
        """Return trunc(float32(F) * float32(fraction)), the product rounded to float32."""
        return math.trunc(float32(float32(self.size) * float32(fraction)))

    def _draw(self, one, function: int, index: int):
        kind = one.info.output
        count = {"s": 1, "v": self.size, "m": self.size * self.size}[kind]
        first, second = float32(one.constants[0]), float32(one.constants[1])
        if one.op <= Op.MATRIX_UNIFORM_SET and first > second:
            numbers = [first] * count
        else:
            if self.random is None:
                raise ValueError(f"{one.op.name}: a program with random ops needs `random`")
            execution = self.executions.get((function, index), 0)
            self.executions[function, index] = execution + 1
            numbers = list(self.random(Draw(one.op, first, second, count, function, index, execution)))
        if kind == "s":
            return numbers[0]
        if kind == "v":
            return numbers
        return [numbers[row * self.size : (row + 1) * self.size] for row in range(self.size)]


def float32(value: float) -> float:
    """Round to float32."""
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


# --- IEEE arithmetic where Python would raise ---------------------------------------------------------------------------


def divide(a: float, b: float) -> float:
    """a / b as IEEE 754 has it."""
    if b != 0:
        return a / b
    if a == 0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def _nan_outside(function: Callable[[float], float]) -> Callable[[float], float]:
    def guarded(x: float) -> float:
        try:
            return function(x)
        except ValueError:
            return math.nan

    return guarded


def exp(x: float) -> float:
    """e to the x; infinity where it overflows."""
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def log(x: float) -> float:
    """Natural logarithm: -inf at 0, NaN below."""
    if x == 0:
        return -math.inf
    return math.nan if x < 0 else math.log(x)


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), not stabilised."""
    return divide(1.0, 1.0 + exp(-x))


def softmax(scores: Sequence[float]) -> list[float]:
    """Exponentials over their sum, the largest score subtracted first; comparisons with NaN are false."""
    largest = scores[0]
    for one in scores:
        largest = one if one > largest else largest
    powers = [exp(one - largest) for one in scores]
    return [divide(one, _sum(powers)) for one in powers]


sqrt = _nan_outside(math.sqrt)


def _sum(numbers) -> float:
    """Add up from the left (the built-in sum compensates rounding in newer Pythons)."""
    total = 0.0
    for number in numbers:
        total += number
    return total


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    """Sum of products."""
    return _sum(x * y for x, y in zip(a, b, strict=True))


def _mean(a):
    return _sum(a) / len(a)


def _st_dev(a):
    mean = _mean(a)
    return sqrt(dot(a, a) / len(a) - mean * mean)


def _norm(a):
    return sqrt(dot(a, a))


def _flat(m):
    return [x for row in m for x in row]


def _columns(m):
    return [list(column) for column in zip(*m, strict=True)]


def _each_v(function):
    return lambda *vectors: [function(*xs) for xs in zip(*vectors, strict=True)]


def _each_m(function):
    return lambda *matrices: [[function(*xs) for xs in zip(*rows, strict=True)] for rows in zip(*matrices, strict=True)]


def _plus(a, b):
    return a + b


def _minus(a, b):
    return a - b


def _times(a, b):
    return a * b


def _reciprocal(a):
    return divide(1.0, a)


def _first_min(a, b):
    return b if b < a else a


def _first_max(a, b):
    return b if a < b else a


def _second_min(a, b):
    return a if a < b else b


def _second_max(a, b):
    return a if a > b else b


def _step(x):
    return 1.0 if x > 0 else 0.0


BODIES: dict[Op, Callable] = {
    Op.SCALAR_SUM: _plus,
    Op.SCALAR_DIFF: _minus,
    Op.SCALAR_PRODUCT: _times,
    Op.SCALAR_DIVISION: divide,
    Op.SCALAR_ABS: abs,
    Op.SCALAR_RECIPROCAL: _reciprocal,
    Op.SCALAR_SIN: _nan_outside(math.sin),
    Op.SCALAR_COS: _nan_outside(math.cos),
    Op.SCALAR_TAN: _nan_outside(math.tan),
    Op.SCALAR_ARCSIN: _nan_outside(math.asin),
    Op.SCALAR_ARCCOS: _nan_outside(math.acos),
    Op.SCALAR_ARCTAN: math.atan,
    Op.SCALAR_EXP: exp,
    Op.SCALAR_LOG: log,
    Op.SCALAR_HEAVYSIDE: lambda a: 1.0 if a >= 0 else 0.0,
    Op.VECTOR_HEAVYSIDE: _each_v(_step),
    Op.MATRIX_HEAVYSIDE: _each_m(_step),
    Op.SCALAR_VECTOR_PRODUCT: lambda a, b: [a * x for x in b],
    Op.VECTOR_RECIPROCAL: _each_v(_reciprocal),
    Op.VECTOR_NORM: _norm,
    Op.VECTOR_ABS: _each_v(abs),
    Op.VECTOR_SUM: _each_v(_plus),
    Op.VECTOR_DIFF: _each_v(_minus),
    Op.VECTOR_PRODUCT: _each_v(_times),
    Op.VECTOR_DIVISION: _each_v(divide),
    Op.VECTOR_INNER_PRODUCT: dot,
    Op.VECTOR_OUTER_PRODUCT: lambda a, b: [[x * y for y in b] for x in a],
    Op.SCALAR_MATRIX_PRODUCT: lambda a, b: [[a * x for x in row] for row in b],
    Op.MATRIX_RECIPROCAL: _each_m(_reciprocal),
    Op.MATRIX_VECTOR_PRODUCT: lambda a, b: [dot(row, b) for row in a],
    Op.MATRIX_NORM: lambda a: _norm(_flat(a)),
    Op.MATRIX_COLUMN_NORM: lambda a: [_norm(column) for column in _columns(a)],
    Op.MATRIX_ROW_NORM: lambda a: [_norm(row) for row in a],
    Op.MATRIX_TRANSPOSE: _columns,
    Op.MATRIX_ABS: _each_m(abs),
    Op.MATRIX_SUM: _each_m(_plus),
    Op.MATRIX_DIFF: _each_m(_minus),
    Op.MATRIX_PRODUCT: _each_m(_times),
    Op.MATRIX_DIVISION: _each_m(divide),
    Op.MATRIX_MATRIX_PRODUCT: lambda a, b: [[dot(row, column) for column in _columns(b)] for row in a],
    Op.SCALAR_MIN: _first_min,
    Op.VECTOR_MIN: _each_v(_first_min),
    Op.MATRIX_MIN: _each_m(_second_min),
    Op.SCALAR_MAX: _first_max,
    Op.VECTOR_MAX: _each_v(_first_max),
    Op.MATRIX_MAX: _each_m(_second_max),
    Op.VECTOR_MEAN: _mean,
    Op.MATRIX_MEAN: lambda a: _mean(_flat(a)),
    Op.MATRIX_ROW_MEAN: lambda a: [_mean(row) for row in a],
    Op.MATRIX_ROW_ST_DEV: lambda a: [_st_dev(row) for row in a],
    Op.VECTOR_ST_DEV: _st_dev,
    Op.MATRIX_ST_DEV: lambda a: _st_dev(_flat(a)),
}
"""The arithmetic of ops 1 to 55, but for the broadcasts, which need to know F."""


def _lists(array):
    return array.tolist() if hasattr(array, "tolist") else list(array)
