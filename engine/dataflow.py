"""Where the values of a program come from: its live instructions as a graph, unrolled over the training loop.

Each read of a register is traced to its sources: instructions, or what is written from outside (features, label,
normalised prediction, the zeros of the start). A source has an age: of this training example (NOW), of an earlier one
(BEFORE), or of Setup and the start (INITIAL). Names of registers and the order of independent lines leave no trace here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.algorithm import FEATURES as FEATURES_ADDRESS
from engine.algorithm import Algorithm, Instruction
from engine.canonical import Register, live_mask, output, reads
from engine.core.tables import ZERO_IF_ALL, ZERO_IF_ANY
from engine.ops import Op

ZERO, FEATURES, LABEL, PREDICTION, RANDOM = -1, -2, -3, -4, -5
"""Sources that are no instruction. PREDICTION: s1 (v1 with vector labels) as Learn finds it. RANDOM: stands for the draws of a random op."""
NOW, BEFORE, INITIAL = 0, 1, 2
SETUP, PREDICT, LEARN = 0, 1, 2


class Source(NamedTuple):
    """One place a value may come from. node: position in Flow.nodes, or one of the constants below 0."""

    node: int
    age: int


Sources = frozenset[Source]
_FROM_START: Sources = frozenset({Source(ZERO, INITIAL)})


@dataclass(frozen=True)
class Node:
    """One live instruction. reads: the sources of each register it reads (its output last where that is changed in part)."""

    function: int
    position: int
    instruction: Instruction
    reads: tuple[Sources, ...]

    @property
    def op(self) -> Op:
        """The instruction's op."""
        return self.instruction.op


class Flow:
    """The graph of a program.

    nodes: live instructions, in order of setup, predict, learn. prediction: sources of s1 (v1) after Predict. now: for each node,
    what of this example it is computed from (FEATURES, LABEL, PREDICTION, RANDOM). ever: the same over all examples.
    carried: nodes whose value some instruction reads at a later example. zeros: nodes that always compute 0, out of zeros; who reads
    them reads the zeros of the start.
    """

    def __init__(self, algorithm: Algorithm):
        self.algorithm = algorithm
        self.live = live_mask(algorithm)
        self._index: dict[tuple[int, int], int] = {}
        for function, mask in enumerate(self.live):
            for position, live in enumerate(mask):
                if live:
                    self._index[function, position] = len(self._index)
        self._reads: dict[int, tuple[Sources, ...]] = {}
        self.prediction: Sources = _FROM_START
        self.zeros: frozenset[int] = frozenset()
        self._trace()
        self.zeros = self._find_zeros()
        if self.zeros:
            self._trace()
        self.nodes = tuple(
            Node(function, position, algorithm.functions[function][position], self._reads[node])
            for (function, position), node in self._index.items()
        )
        self.now = self._reach({NOW})
        self.ever = self._reach({NOW, BEFORE, INITIAL})
        self.carried = {
            source.node for node in self.nodes for read in node.reads for source in read
            if source.age == BEFORE and source.node >= 0
        }  # fmt: skip

    def node_at(self, function: int, position: int) -> int | None:
        """Return the node of a line, or None if it is dead."""
        return self._index.get((function, position))

    # tracing -------------------------------------------------------------------------------------------------------

    def _trace(self) -> None:
        memory: dict[Register, Sources] = {
            ("v", FEATURES_ADDRESS): _FROM_START,
            self.algorithm.label: _FROM_START,
        }
        self._run(SETUP, memory)
        start = {key: frozenset(Source(one.node, INITIAL) for one in value) for key, value in memory.items()}
        entry = start
        while True:
            memory = dict(entry)
            memory["v", FEATURES_ADDRESS] = frozenset({Source(FEATURES, NOW)})
            memory[self.algorithm.label] = _FROM_START
            self._run(PREDICT, memory)
            self.prediction = memory.get(self.algorithm.prediction, _FROM_START)
            memory[self.algorithm.prediction] = frozenset({Source(PREDICTION, NOW)})
            memory[self.algorithm.label] = frozenset({Source(LABEL, NOW)})
            self._run(LEARN, memory)
            after = {
                key: frozenset(Source(one.node, BEFORE if one.age == NOW else one.age) for one in value)
                for key, value in memory.items()
            }
            joined = {
                key: start.get(key, _FROM_START) | after.get(key, _FROM_START) | entry.get(key, frozenset())
                for key in {*start, *after}
            }
            if joined == entry:
                return
            entry = joined

    def _run(self, function: int, memory: dict[Register, Sources]) -> None:
        for position, one in enumerate(self.algorithm.functions[function]):
            node = self._index.get((function, position))
            if node is not None:
                self._reads[node] = tuple(memory.get(register, _FROM_START) for register in reads(one))
                target = output(one)
                assert target is not None, "a live instruction writes"
                memory[target] = _FROM_START if node in self.zeros else frozenset({Source(node, NOW)})

    def _find_zeros(self) -> frozenset[int]:
        """Return the nodes that compute 0 as long as all of them do; finite values are taken for granted."""
        functions = self.algorithm.functions
        ops = {node: functions[function][position].op for (function, position), node in self._index.items()}
        zeros = {node for node, op in ops.items() if ZERO_IF_ANY[op] or ZERO_IF_ALL[op]}
        while True:
            sound = {
                node for node in zeros
                if (any if ZERO_IF_ANY[ops[node]] else all)(
                    all(one.node == ZERO or one.node in zeros for one in read) for read in self._reads[node]
                )
            }  # fmt: skip
            if sound == zeros:
                return frozenset(zeros)
            zeros = sound

    def _reach(self, ages: set[int]) -> list[frozenset[int]]:
        found: list[frozenset[int]] = [frozenset()] * len(self.nodes)
        from_prediction: frozenset[int] = frozenset()
        changed = True
        while changed:
            changed = False
            for index, node in enumerate(self.nodes):
                reached = {RANDOM} if node.instruction.info.is_random else set()
                for source in (one for read in node.reads for one in read if one.age in ages):
                    if source.node >= 0:
                        reached |= found[source.node]
                    elif source.node != ZERO:
                        reached.add(source.node)
                        if source.node == PREDICTION:
                            reached |= from_prediction
                if reached != found[index]:
                    found[index], changed = frozenset(reached), True
            reached_now = self._union(found, self.prediction, ages)
            if reached_now != from_prediction:
                from_prediction, changed = reached_now, True
        return found

    @staticmethod
    def _union(found: Sequence[frozenset[int]], sources: Iterable[Source], ages: set[int]) -> frozenset[int]:
        parts = [found[one.node] if one.node >= 0 else frozenset({one.node}) for one in sources if one.age in ages]
        return frozenset().union(*parts) - {ZERO}

    # questions -----------------------------------------------------------------------------------------------------

    def now_of(self, sources: Sources) -> frozenset[int]:
        """Return what of this example a read value is computed from."""
        return self._union(self.now, sources, {NOW})

    def ever_of(self, sources: Sources) -> frozenset[int]:
        """Return what of any example a read value is computed from."""
        return self._union(self.ever, sources, {NOW, BEFORE, INITIAL})

    def single(self, sources: Sources) -> int | None:
        """Return the one instruction of this example that a read value comes from, if it is so."""
        (one, *others) = sources
        return one.node if not others and one.age == NOW and one.node >= 0 else None

    def is_learned(self, sources: Sources) -> bool:
        """Whether a read value is kept from earlier examples and depends on their labels: a parameter."""
        return any(one.age == BEFORE and one.node >= 0 and LABEL in self.ever[one.node] for one in sources)

    def is_constant(self, sources: Sources) -> bool:
        """Whether a read value depends on no data and no chance."""
        return not self.ever_of(sources)

    def is_autonomous(self, sources: Sources) -> bool:
        """Whether a read value changes from example to example by itself: without data, and without chance."""
        return not self.ever_of(sources) and any(self._is_cyclic(one.node) for one in self.closure(sources))

    def _is_cyclic(self, node: int) -> bool:
        if node < 0:
            return False
        reads_of_it = frozenset().union(*self.nodes[node].reads) if self.nodes[node].reads else frozenset()
        return any(one.node == node for one in self.closure(reads_of_it))

    def closure(self, sources: Sources) -> set[Source]:
        """Return everything a read value is computed from, at any age."""
        found, pending = set(), list(sources)
        while pending:
            one = pending.pop()
            if one not in found:
                found.add(one)
                if one.node >= 0:
                    pending += [source for read in self.nodes[one.node].reads for source in read]
        return found


# --- sums of products ---------------------------------------------------------------------------------------------------

SUMS = {Op.SCALAR_SUM, Op.VECTOR_SUM, Op.MATRIX_SUM}
DIFFERENCES = {Op.SCALAR_DIFF, Op.VECTOR_DIFF, Op.MATRIX_DIFF}
PRODUCTS = {
    Op.SCALAR_PRODUCT, Op.SCALAR_VECTOR_PRODUCT, Op.VECTOR_PRODUCT, Op.VECTOR_INNER_PRODUCT, Op.VECTOR_OUTER_PRODUCT,
    Op.SCALAR_MATRIX_PRODUCT, Op.MATRIX_VECTOR_PRODUCT, Op.MATRIX_PRODUCT, Op.MATRIX_MATRIX_PRODUCT,
}  # fmt: skip
DIVISIONS = {Op.SCALAR_DIVISION, Op.VECTOR_DIVISION, Op.MATRIX_DIVISION}
RECIPROCALS = {Op.SCALAR_RECIPROCAL, Op.VECTOR_RECIPROCAL, Op.MATRIX_RECIPROCAL}
PASSED_ON = {
    Op.SCALAR_BROADCAST, Op.VECTOR_COLUMN_BROADCAST, Op.VECTOR_ROW_BROADCAST, Op.MATRIX_TRANSPOSE,
    Op.VECTOR_MEAN, Op.MATRIX_MEAN, Op.MATRIX_ROW_MEAN,
}  # fmt: skip
"""Ops that change a value's shape only, or average it: what it is made of stays."""
MINIMA = {Op.SCALAR_MIN, Op.VECTOR_MIN, Op.MATRIX_MIN}
MAXIMA = {Op.SCALAR_MAX, Op.VECTOR_MAX, Op.MATRIX_MAX}
_MAX_TERMS = 24


class Factor(NamedTuple):
    """One factor of a term. sources: the value. power: 1, or -1 where it divides."""

    sources: Sources
    power: int


class Term(NamedTuple):
    """A signed product of factors (their order does not count); the term of a sum."""

    sign: int
    factors: tuple[Factor, ...]

    def without(self, *gone: Factor) -> tuple[Factor, ...]:
        """Return the other factors."""
        rest = list(self.factors)
        for one in gone:
            rest.remove(one)
        return tuple(rest)


def is_copy(node: Node) -> bool:
    """Whether a line only copies a value: the larger or smaller of a value and itself."""
    return node.op in MINIMA | MAXIMA and node.reads[0] == node.reads[1]


def terms(flow: Flow, sources: Sources, depth: int = 16, closed: Collection[int] = ()) -> list[Term]:
    """Return a value as a sum of products, as far as its instructions of this example are sums and products.

    closed: lines whose values are factors as they are, whatever they are made of.
    """
    whole = [Term(1, (Factor(sources, 1),))]
    index = flow.single(sources)
    if index is None or depth == 0 or index in closed:
        return whole
    node = flow.nodes[index]
    if node.op in SUMS | DIFFERENCES:
        first, second = (terms(flow, read, depth - 1, closed) for read in node.reads)
        sign = 1 if node.op in SUMS else -1
        found = first + [Term(sign * one.sign, one.factors) for one in second]
    elif node.op in PRODUCTS:
        first, second = (terms(flow, read, depth - 1, closed) for read in node.reads)
        found = [_product(a, b) for a in first for b in second]
    elif node.op in DIVISIONS:
        below = _inverse(flow, node.reads[1], depth - 1, closed)
        found = [_product(one, below) for one in terms(flow, node.reads[0], depth - 1, closed)]
    elif node.op in RECIPROCALS:
        found = [_inverse(flow, node.reads[0], depth - 1, closed)]
    elif node.op in PASSED_ON or is_copy(node):
        found = terms(flow, node.reads[0], depth - 1, closed)
    else:
        return whole
    return found if len(found) <= _MAX_TERMS else whole


def _product(a: Term, b: Term) -> Term:
    return Term(a.sign * b.sign, tuple(sorted((*a.factors, *b.factors), key=_order)))


def _inverse(flow: Flow, sources: Sources, depth: int, closed: Collection[int]) -> Term:
    below = terms(flow, sources, depth, closed)
    if len(below) != 1:
        return Term(1, (Factor(sources, -1),))
    (one,) = below
    return Term(one.sign, tuple(Factor(factor.sources, -factor.power) for factor in one.factors))


def _order(factor: Factor) -> tuple[list[Source], int]:
    return sorted(factor.sources), factor.power
