"""A program as a learner: what it keeps and updates, where its error is, what its gradients are.

Works on the graph of engine/dataflow.py and on values written out as sums of products, so that neither names, nor the
order of independent lines, nor the way a product or difference is computed matters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
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
    MAXIMA,
    MINIMA,
    NOW,
    PREDICT,
    PREDICTION,
    PRODUCTS,
    RANDOM,
    SETUP,
    SUMS,
    Factor,
    Flow,
    Source,
    Sources,
    Term,
    terms,
)  # fmt: skip
from engine.ops import Op

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
                elif not (one.op in PRODUCTS | DIVISIONS | MINIMA | MAXIMA or one.instruction.info.keeps_output) or any(
                    LABEL in flow.now_of(other) for other in others
                ):
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
    def weight_lines(self) -> dict[int, int]:
        """Lines that hold learned weights that Predict uses, between their old value and their new: the update of each."""
        in_use = [one for one in self.weights_in_use if LABEL in self.flow.ever[one]]
        return {line: one for one in in_use for line in self.updates[one].path}

    def lines_from_weights(self, sources: Sources) -> frozenset[int] | None:
        """Return the lines between weights in use and a value made of nothing else but constants and chance; None for others."""
        found: set[int] = set()
        reached = False
        pending = list(sources)
        while pending:
            node = pending.pop().node
            if node in self.weight_lines:
                reached = True  # what they are made of, examples too, is the weights' affair
            elif node in (FEATURES, LABEL, PREDICTION):
                return None
            elif node >= 0 and node not in found:
                found.add(node)
                pending += [source for read in self.flow.nodes[node].reads for source in read]
        return frozenset(found) if reached else None

    @cached_property
    def weight_sizes(self) -> frozenset[int]:
        """Lines that take the mean, norm or deviation of weights in use, or of a value made of them alone, as one number."""
        return frozenset(
            index
            for index, node in enumerate(self.flow.nodes)
            if node.op in MEANS | NORMS | SPREADS
            and node.instruction.info.output == "s"
            and self.lines_from_weights(node.reads[0]) is not None
        )

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
                    one.node for read in self.flow.nodes[node].reads for one in read if one.age == NOW and one.node >= 0
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
            for one in terms(self.flow, sources, closed=self.weight_sizes)
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
                    other.sign == -one.sign and prediction in other.factors and other.without(prediction) == rest
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
            for one in self.flow.closure(sources)
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
