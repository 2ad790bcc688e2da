"""Ideas of machine learning recognised in a program's data flow: how it updates what it learns, and known motifs.

Works on the graph of engine/dataflow.py and on values written out as sums of products, so that neither names, nor the
order of independent lines, nor the way a product or difference is computed matters.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from engine.dataflow import (
    BEFORE,
    DIFFERENCES,
    DIVISIONS,
    FEATURES,
    INITIAL,
    LABEL,
    NOW,
    PREDICT,
    PREDICTION,
    PRODUCTS,
    RANDOM,
    RECIPROCALS,
    SETUP,
    SUMS,
    ZERO,
    Factor,
    Flow,
    Source,
    Sources,
    Term,
    terms,
)  # fmt: skip
from engine.ops import Op

MINIMA = {Op.SCALAR_MIN, Op.VECTOR_MIN, Op.MATRIX_MIN}
MAXIMA = {Op.SCALAR_MAX, Op.VECTOR_MAX, Op.MATRIX_MAX}
STEPS = {Op.SCALAR_HEAVYSIDE, Op.VECTOR_HEAVYSIDE, Op.MATRIX_HEAVYSIDE}
NORMS = {Op.VECTOR_NORM, Op.MATRIX_NORM, Op.MATRIX_COLUMN_NORM, Op.MATRIX_ROW_NORM}
SPREADS = {Op.VECTOR_ST_DEV, Op.MATRIX_ST_DEV, Op.MATRIX_ROW_ST_DEV}
MEANS = {Op.VECTOR_MEAN, Op.MATRIX_MEAN, Op.MATRIX_ROW_MEAN}
_SCALINGS = {Op.SCALAR_PRODUCT, Op.SCALAR_VECTOR_PRODUCT, Op.SCALAR_MATRIX_PRODUCT}


class Update(NamedTuple):
    """A value kept from example to example, to which something is added.

    node: the instruction whose result is kept. path: the lines between the old value and the new. increments: what is
    added, with its sign.
    """

    node: int
    path: tuple[int, ...]
    increments: tuple[tuple[int, Sources], ...]


class Gradient(NamedTuple):
    """One increment of the form error times something. sign: 1, -1, or 0 if not known, of label minus prediction."""

    sign: int
    rest: tuple[Factor, ...]


@dataclass(frozen=True)
class Motif:
    """A motif found. nodes: its lines, as positions in Flow.nodes."""

    name: str
    nodes: frozenset[int]


@dataclass
class Learner:
    """A program's graph, and what it is as a learner."""

    flow: Flow
    updates: dict[int, Update] = field(init=False)

    def __post_init__(self) -> None:
        found = (self._update(node) for node in sorted(self.flow.carried))
        self.updates = {one.node: one for one in found if one is not None}

    # updates -------------------------------------------------------------------------------------------------------

    def _update(self, node: int) -> Update | None:
        """Find the shortest way from a kept value to its next, through sums (and rescaling or clipping on the way)."""
        flow, old = self.flow, Source(node, BEFORE)
        pending = deque([(node, (node,), ())])
        seen = {node}
        while pending:
            current, path, increments = pending.popleft()
            one = flow.nodes[current]
            for slot, read in enumerate(one.reads):
                others = [other for place, other in enumerate(one.reads) if place != slot]
                added = increments
                if one.op in SUMS | DIFFERENCES:
                    sign = -1 if one.op in DIFFERENCES and slot == 0 else 1
                    added = (*increments, (sign, others[0]))
                elif not (
                    one.op in PRODUCTS | DIVISIONS | MINIMA | MAXIMA or one.instruction.info.keeps_output
                ) or any(LABEL in flow.now_of(other) for other in others):
                    continue
                if old in read:
                    return Update(node, path, added) if added else None
                before = flow.single(read)
                if before is not None and before not in seen and len(path) < 8:
                    seen.add(before)
                    pending.append((before, (*path, before), added))
        return None

    def parameter_of(self, sources: Sources, depth: int = 8) -> int | None:
        """Return the update whose value this is, but for a constant factor; None if it is no such value."""
        for source in sources:
            if source.node in self.updates:
                return source.node
        for source in sources:
            if source.node < 0 or source.age == INITIAL or not depth:
                continue
            node = self.flow.nodes[source.node]
            if node.op in _SCALINGS:
                for read, other in (node.reads, node.reads[::-1]):
                    if self.flow.is_constant(other) and not self.flow.is_constant(read):
                        return self.parameter_of(read, depth - 1)
        return None

    @cached_property
    def weights_in_use(self) -> frozenset[int]:
        """Updates whose values Predict reads."""
        reads = (read for node in self.flow.nodes if node.function == PREDICT for read in node.reads)
        return frozenset(one for one in map(self.parameter_of, reads) if one is not None)

    @cached_property
    def in_prediction(self) -> frozenset[int]:
        """The lines that the prediction is computed from, of the same example."""
        return self.computed_from(self.flow.prediction)

    def computed_from(self, sources: Sources) -> frozenset[int]:
        """Return the lines of this example that a value is computed from."""
        found: set[int] = set()
        pending = [one.node for one in sources if one.age == NOW and one.node >= 0]
        while pending:
            node = pending.pop()
            if node not in found:
                found.add(node)
                pending += [
                    one.node
                    for read in self.flow.nodes[node].reads
                    for one in read
                    if one.age == NOW and one.node >= 0
                ]
        return frozenset(found)

    # errors and gradients ------------------------------------------------------------------------------------------

    def has_error(self, sources: Sources) -> bool:
        """Whether a value depends on both the label and the prediction of this example."""
        return {LABEL, PREDICTION} <= self.flow.now_of(sources)

    @cached_property
    def errors(self) -> frozenset[int]:
        """Lines where label and prediction meet."""
        return frozenset(
            index
            for index, node in enumerate(self.flow.nodes)
            if {LABEL, PREDICTION} <= self.flow.now[index] and not any(map(self.has_error, node.reads))
        )

    def increment_terms(self, update: Update) -> list[Term]:
        """Return what an update adds, as signed products."""
        return [
            Term(sign * one.sign, one.factors)
            for sign, sources in update.increments
            for one in terms(self.flow, sources)
        ]

    @cached_property
    def gradients(self) -> dict[int, list[Gradient]]:
        """For each update, the increments that are an error times something."""
        found = {}
        for node, update in self.updates.items():
            if not self._is_parameter_sum(update):
                found[node] = list(self._gradients(self.increment_terms(update)))
        return {node: some for node, some in found.items() if some}

    def _gradients(self, parts: list[Term]) -> Iterable[Gradient]:
        label, prediction = (Factor(frozenset({Source(atom, NOW)}), 1) for atom in (LABEL, PREDICTION))
        for one in parts:
            if label in one.factors:
                rest = one.without(label)
                if any(
                    other.sign == -one.sign
                    and prediction in other.factors
                    and other.without(prediction) == rest
                    for other in parts
                ):
                    yield Gradient(one.sign * self._sign(rest), rest)
            for factor in one.factors:
                if factor.power == 1 and self.has_error(factor.sources):
                    rest = one.without(factor)
                    yield Gradient(one.sign * self._error_sign(factor.sources) * self._sign(rest), rest)

    def _error_sign(self, sources: Sources) -> int:
        """Return the sign of the label in a clipped error; 0 if not known."""
        index = self.flow.single(sources)
        if index is None or self.flow.nodes[index].op not in MINIMA | MAXIMA | {Op.SCALAR_ARCTAN}:
            return 0
        for read in self.flow.nodes[index].reads:
            for one in terms(self.flow, read):
                if any(factor.sources == frozenset({Source(LABEL, NOW)}) for factor in one.factors):
                    return one.sign * self._sign(one.factors)
        return 0

    def _sign(self, factors: Iterable[Factor]) -> int:
        """Return the sign of the constants among some factors."""
        sign = 1
        for factor in factors:
            nodes = [one.node for one in factor.sources]
            if len(nodes) == 1 and nodes[0] >= 0 and self.flow.nodes[nodes[0]].op == Op.SCALAR_CONST_SET:
                sign *= -1 if self.flow.nodes[nodes[0]].instruction.constants[0] < 0 else 1
        return sign

    def _use_sign(self, parameter: int) -> int:
        """Return the sign with which a parameter enters the prediction; 0 if not known."""
        for one in terms(self.flow, self.flow.prediction):
            if any(self.parameter_of(factor.sources) == parameter for factor in one.factors):
                return one.sign * self._sign(one.factors)
        return 0

    def descends(self, parameter: int, gradient: Gradient) -> bool:
        """Whether a gradient, as far as signs are known, moves the prediction towards the label."""
        return gradient.sign * self._use_sign(parameter) >= 0

    def _is_parameter_sum(self, update: Update) -> bool:
        return any(self.accumulated(update, sources) is not None for _, sources in update.increments)

    def accumulated(self, update: Update, sources: Sources) -> int | None:
        """Return the other update whose whole value is an increment of this one."""
        other = self.parameter_of(sources)
        return other if other is not None and other != update.node else None

    # small questions -----------------------------------------------------------------------------------------------

    def is_noise(self, sources: Sources) -> bool:
        """Whether a value is drawn anew for each example and depends on no data."""
        ever = self.flow.ever_of(sources)
        if RANDOM not in ever or ever & {FEATURES, LABEL, PREDICTION}:
            return False
        return any(
            one.node >= 0
            and self.flow.nodes[one.node].instruction.info.is_random
            and self.flow.nodes[one.node].function != SETUP
            for one in self.flow._closure(sources)
        )

    def is_input(self, sources: Sources) -> bool:
        """Whether a value is computed from this example's features and from nothing learned."""
        return FEATURES in self.flow.now_of(sources) and LABEL not in self.flow.ever_of(sources)

    def measure(self, sources: Sources, ops: set[Op]) -> int | None:
        """Return the line that takes a norm (mean, deviation: any of `ops`), perhaps kept from 0 by adding or a maximum."""
        index = self.flow.single(sources)
        if index is None:
            return None
        node = self.flow.nodes[index]
        if node.op in ops:
            return index
        if node.op in SUMS | MAXIMA:
            for read, other in (node.reads, node.reads[::-1]):
                if self.flow.is_constant(other):
                    return self.measure(read, ops)
        return None


# --- motifs -------------------------------------------------------------------------------------------------------------


def _relu(learner: Learner) -> Iterable[int]:
    flow = learner.flow
    for index in learner.in_prediction:
        node = flow.nodes[index]
        if node.op in MAXIMA | MINIMA:
            for read, other in (node.reads, node.reads[::-1]):
                if FEATURES in flow.now_of(read) and _is_zero(flow, other):
                    yield index
        elif node.op in PRODUCTS:
            for read, other in (node.reads, node.reads[::-1]):
                step = flow.single(read)
                if step is not None and flow.nodes[step].op in STEPS and flow.nodes[step].reads[0] == other:
                    yield from (index, step)


def _is_zero(flow: Flow, sources: Sources) -> bool:
    """Whether a value is a constant near 0: never written, or set to one."""
    for one in sources:
        if one.node == ZERO:
            continue
        node = flow.nodes[one.node] if one.node >= 0 else None
        if node is None or node.op != Op.SCALAR_CONST_SET or abs(node.instruction.constants[0]) > 0.01:
            return False
    return True


def _gradient_descent(learner: Learner) -> Iterable[int]:
    for parameter, gradients in learner.gradients.items():
        if parameter not in learner.weights_in_use:
            # With momentum, the gradient goes to a velocity, which is added to the weights.
            users = [one for one in learner.updates.values() if any(
                learner.accumulated(one, sources) == parameter for _, sources in one.increments)]  # fmt: skip
            if not any(one.node in learner.weights_in_use for one in users):
                continue
        for one in gradients:
            if learner.descends(parameter, one) and any(
                factor.power == 1 and FEATURES in learner.flow.now_of(factor.sources)
                and not learner.flow.now_of(factor.sources) & {LABEL, PREDICTION}
                for factor in one.rest
            ):  # fmt: skip
                yield parameter
                for _, sources in learner.updates[parameter].increments:
                    yield from (
                        node for node in learner.computed_from(sources) if LABEL in learner.flow.now[node]
                    )


def _normalised_gradient(learner: Learner) -> Iterable[int]:
    for gradients in learner.gradients.values():
        for one in gradients:
            for factor in one.rest:
                norm = learner.measure(factor.sources, NORMS) if factor.power == -1 else None
                if norm is not None and learner.flow.now[norm] & {FEATURES, LABEL}:
                    yield norm
                    yield from _dividers(learner, factor.sources)


def _dividers(learner: Learner, below: Sources) -> Iterable[int]:
    """Return the lines that divide by a value, or take its reciprocal."""
    for index, node in enumerate(learner.flow.nodes):
        if (node.op in DIVISIONS and node.reads[1] == below) or (
            node.op in RECIPROCALS and node.reads[0] == below
        ):
            yield index


def _bilinear_form(learner: Learner) -> Iterable[int]:
    flow = learner.flow
    for one in terms(flow, flow.prediction):
        inputs = [factor for factor in one.factors if factor.power == 1 and learner.is_input(factor.sources)]
        weights = [factor for factor in one.factors if factor.power == 1 and flow.is_learned(factor.sources)]
        if len(inputs) == 2 and len(weights) == 1 and _is_matrix(flow, weights[0].sources):
            yield from (
                index for index in learner.in_prediction
                if flow.nodes[index].op in PRODUCTS and FEATURES in flow.now[index] and LABEL in flow.ever[index]
            )  # fmt: skip


def _is_matrix(flow: Flow, sources: Sources) -> bool:
    return any(one.node >= 0 and flow.nodes[one.node].instruction.info.output == "m" for one in sources)


def _weight_accumulation(learner: Learner) -> Iterable[int]:
    for update in learner.updates.values():
        for _, sources in update.increments:
            other = learner.accumulated(update, sources)
            if (
                other in learner.gradients
                and other in learner.weights_in_use
                and update.node in learner.weights_in_use
                and not learner.has_error(frozenset({Source(other, BEFORE)}))
            ):
                yield from update.path


def _noisy_input(learner: Learner) -> Iterable[int]:
    flow = learner.flow
    for index in learner.in_prediction:
        node = flow.nodes[index]
        if node.op in SUMS | DIFFERENCES:
            for read, other in (node.reads, node.reads[::-1]):
                if learner.is_input(read) and RANDOM not in flow.ever_of(read) and learner.is_noise(other):
                    yield index
                    yield from (
                        one.node for one in flow._closure(other)
                        if one.node >= 0 and flow.nodes[one.node].instruction.info.is_random
                    )  # fmt: skip


def _noisy_relu(learner: Learner) -> Iterable[int]:
    flow = learner.flow
    for index in learner.in_prediction:
        node = flow.nodes[index]
        if node.op in MAXIMA:
            for read, other in (node.reads, node.reads[::-1]):
                if FEATURES in flow.now_of(read) and learner.is_noise(other):
                    yield index


def _learning_rate_decay(learner: Learner) -> Iterable[int]:
    for factor in learning_rates(learner):
        if learner.flow.is_autonomous(factor.sources) and shrinks(learner, factor):
            yield from (
                one.node for one in learner.flow._closure(factor.sources)
                if one.node >= 0 and learner.flow.nodes[one.node].function != SETUP
            )  # fmt: skip


def learning_rates(learner: Learner) -> list[Factor]:
    """Return the factors of gradients that depend on no data: constants, and what changes by itself."""
    return [
        factor for gradients in learner.gradients.values() for one in gradients for factor in one.rest
        if not learner.flow.ever_of(factor.sources)
    ]  # fmt: skip


def _random_initialisation(learner: Learner) -> Iterable[int]:
    for parameter in learner.gradients:
        for node in learner.flow.nodes:
            for read in node.reads:
                if Source(parameter, BEFORE) in read:
                    yield from (
                        one.node for one in read
                        if one.age == INITIAL and one.node >= 0 and RANDOM in learner.flow.ever[one.node]
                    )  # fmt: skip


def _loss_clipping(learner: Learner) -> Iterable[int]:
    flow = learner.flow
    used = frozenset().union(
        *(
            learner.computed_from(sources)
            for node in learner.gradients
            for _, sources in learner.updates[node].increments
        )
    )
    for index in used:
        node = flow.nodes[index]
        if node.op in MINIMA | MAXIMA:
            for read, other in (node.reads, node.reads[::-1]):
                if learner.has_error(read) and not flow.ever_of(other):
                    yield index


def _input_normalisation(learner: Learner) -> Iterable[int]:
    flow = learner.flow
    for index in learner.in_prediction:
        node = flow.nodes[index]
        if node.op in DIVISIONS | PRODUCTS:
            for one in terms(flow, frozenset({Source(index, NOW)})):
                above = [
                    factor for factor in one.factors if factor.power == 1 and learner.is_input(factor.sources)
                ]
                for factor in one.factors:
                    size = (
                        learner.measure(factor.sources, NORMS | SPREADS | MEANS)
                        if factor.power == -1
                        else None
                    )
                    if above and size is not None and learner.is_input(factor.sources):
                        yield size
                        yield from _dividers(learner, factor.sources)
        elif node.op in DIFFERENCES and learner.is_input(node.reads[0]):
            below = learner.computed_from(node.reads[1])
            means = [
                one
                for one in below
                if flow.nodes[one].op in MEANS and flow.nodes[one].reads[0] == node.reads[0]
            ]
            if means and len(below - learner.computed_from(node.reads[0])) <= 2:
                yield from (index, *means)


MOTIFS: dict[str, Callable[[Learner], Iterable[int]]] = {
    "gradient descent": _gradient_descent,
    "normalised gradient": _normalised_gradient,
    "ReLU": _relu,
    "noisy ReLU": _noisy_relu,
    "bilinear form": _bilinear_form,
    "weight accumulation": _weight_accumulation,
    "noisy input": _noisy_input,
    "input normalisation": _input_normalisation,
    "learning-rate decay": _learning_rate_decay,
    "random initialisation": _random_initialisation,
    "loss clipping": _loss_clipping,
}
"""The motifs of the paper: each finds its lines, or none. A new motif is one function and one row here."""


def find_motifs(learner: Learner) -> list[Motif]:
    """Return the motifs of a program, in the order of the table."""
    found = [Motif(name, frozenset(find(learner))) for name, find in MOTIFS.items()]
    return [one for one in found if one.nodes]


# --- the course of an autonomous value -----------------------------------------------------------------------------------

_SCALAR: dict[Op, Callable[..., float]] = {
    Op.SCALAR_SUM: lambda a, b: a + b, Op.SCALAR_DIFF: lambda a, b: a - b, Op.SCALAR_PRODUCT: lambda a, b: a * b,
    Op.SCALAR_DIVISION: lambda a, b: a / b, Op.SCALAR_ABS: abs, Op.SCALAR_RECIPROCAL: lambda a: 1 / a,
    Op.SCALAR_SIN: math.sin, Op.SCALAR_COS: math.cos, Op.SCALAR_TAN: math.tan, Op.SCALAR_ARCSIN: math.asin,
    Op.SCALAR_ARCCOS: math.acos, Op.SCALAR_ARCTAN: math.atan, Op.SCALAR_EXP: math.exp, Op.SCALAR_LOG: math.log,
    Op.SCALAR_HEAVYSIDE: lambda a: float(a >= 0), Op.SCALAR_MIN: min, Op.SCALAR_MAX: max,
}  # fmt: skip


def shrinks(learner: Learner, factor: Factor, steps: int = 200) -> bool:
    """Whether a scalar factor that changes by itself shrinks towards 0 over the first examples; computed step by step.

    False also for values that are not made of scalars only.
    """
    flow = learner.flow
    involved = sorted({one.node for one in flow._closure(factor.sources)})
    values: dict[Source, float] = {Source(ZERO, INITIAL): 0.0}
    sizes = []
    try:
        for step in range(steps):
            for index in (one for one in involved if one >= 0):
                node = flow.nodes[index]
                if node.function == SETUP and step:
                    continue
                if node.op == Op.SCALAR_CONST_SET:
                    value = node.instruction.constants[0]
                else:
                    value = _SCALAR[node.op](*(_latest(values, read, step) for read in node.reads))
                values[Source(index, INITIAL if node.function == SETUP else NOW)] = value
                if node.function == SETUP:
                    values[Source(index, NOW)] = value
            sizes.append(abs(_latest(values, factor.sources, step)) ** factor.power)
            values |= {Source(one.node, BEFORE): value for one, value in values.items() if one.age == NOW}
    except (ArithmeticError, ValueError, KeyError):
        return False
    first, last = sizes[0], sizes[-1]
    return last < 0.9 * first and all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(sizes))


def _latest(values: dict[Source, float], sources: Sources, step: int) -> float:
    """Return the value of a read: this example's, else the one before's, else the start's."""
    for age in (NOW, BEFORE, INITIAL):
        for one in sources:
            if one.age == age and one in values and (age != BEFORE or step):
                return values[one]
    raise KeyError(sources)
