"""Motifs: ideas of machine learning that recur in evolved programs, recognised in the data flow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from engine.dataflow import (
    BEFORE,
    DIFFERENCES,
    DIVISIONS,
    FEATURES,
    INITIAL,
    LABEL,
    MAXIMA,
    MINIMA,
    NOW,
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
    terms,
)
from engine.learner import MEANS, NORMS, SPREADS, STEPS, Learner
from engine.ops import Op


@dataclass(frozen=True)
class Motif:
    """A motif found. nodes: its lines, as positions in Flow.nodes."""

    name: str
    nodes: frozenset[int]


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
                    yield from (node for node in learner.computed_from(sources) if LABEL in learner.flow.now[node])


def _normalised_gradient(learner: Learner) -> Iterable[int]:
    for gradients in learner.gradients.values():
        for one in gradients:
            for factor in one.rest:
                norm = learner.measure(factor.sources, NORMS) if factor.power == -1 else None
                # One in the prediction normalises the input; one of weights depends on examples only as they do.
                if norm is None or norm in learner.in_prediction | learner.weight_sizes:
                    continue
                if learner.flow.now[norm] & {FEATURES, LABEL}:
                    yield norm
                    yield from _dividers(learner, factor.sources)


def _dividers(learner: Learner, below: Sources) -> Iterable[int]:
    """Return the lines that divide by a value, or take its reciprocal."""
    for index, node in enumerate(learner.flow.nodes):
        if (node.op in DIVISIONS and node.reads[1] == below) or (node.op in RECIPROCALS and node.reads[0] == below):
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
                        one.node for one in flow.closure(other)
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
                one.node for one in learner.flow.closure(factor.sources)
                if one.node >= 0 and learner.flow.nodes[one.node].function != SETUP
            )  # fmt: skip


def learning_rates(learner: Learner) -> list[Factor]:
    """Return the factors of gradients that depend on no data: constants, and what changes by itself."""
    return [
        factor for gradients in learner.gradients.values() for one in gradients for factor in one.rest
        if not learner.flow.ever_of(factor.sources)
    ]  # fmt: skip


def _weight_dependent_learning_rate(learner: Learner) -> Iterable[int]:
    flow = learner.flow
    # Where the prediction is scaled by it, too, it belongs into the gradient: backpropagation, not a rate.
    sizes = learner.weight_sizes - learner.in_prediction
    for gradients in learner.gradients.values():
        for factor in (factor for one in gradients for factor in one.rest):
            # Weights through which the error passes back are vectors or matrices: a rate is one number.
            lines = learner.lines_from_weights(factor.sources) if _is_scalar(flow, factor.sources) else None
            if lines is not None and lines & sizes:
                yield from (
                    line for line in lines
                    if flow.nodes[line].function != SETUP and flow.nodes[line].instruction.info.output == "s"
                )  # fmt: skip


def _is_scalar(flow: Flow, sources: Sources) -> bool:
    return all(flow.nodes[one.node].instruction.info.output == "s" for one in sources if one.node >= 0)


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
                above = [factor for factor in one.factors if factor.power == 1 and learner.is_input(factor.sources)]
                for factor in one.factors:
                    size = learner.measure(factor.sources, NORMS | SPREADS | MEANS) if factor.power == -1 else None
                    if above and size is not None and learner.is_input(factor.sources):
                        yield size
                        yield from _dividers(learner, factor.sources)
        elif node.op in DIFFERENCES and learner.is_input(node.reads[0]):
            below = learner.computed_from(node.reads[1])
            means = [one for one in below if flow.nodes[one].op in MEANS and flow.nodes[one].reads[0] == node.reads[0]]
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
    "weight-dependent learning rate": _weight_dependent_learning_rate,
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
    try:
        sizes = [
            abs(_latest(values, factor.sources, step)) ** factor.power
            for step, values in enumerate(course(learner, factor.sources, steps))
        ]
    except (ArithmeticError, ValueError, KeyError):
        return False
    first, last = sizes[0], sizes[-1]
    return last < 0.999 * first and all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(sizes))


def course(learner: Learner, sources: Sources, steps: int) -> Iterator[dict[Source, float]]:
    """Yield, after each of the first examples, the values of all that an autonomous scalar is computed from.

    The dictionary is one and the same, changed from step to step. Raises KeyError where it is not made of scalars only,
    ArithmeticError or ValueError where Python's arithmetic does.
    """
    flow = learner.flow
    involved = sorted({one.node for one in flow.closure(sources)})
    values: dict[Source, float] = {Source(ZERO, INITIAL): 0.0}
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
        yield values
        values |= {Source(one.node, BEFORE): value for one, value in values.items() if one.age == NOW}


def _latest(values: dict[Source, float], sources: Sources, step: int) -> float:
    """Return the value of a read: this example's, else the one before's, else the start's."""
    for age in (NOW, BEFORE, INITIAL):
        for one in sources:
            if one.age == age and one in values and (age != BEFORE or step):
                return values[one]
    raise KeyError(sources)
