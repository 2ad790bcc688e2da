"""What each line of a program does in the learner, derived from data flow; a title in words; the motifs it contains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.algorithm import COMPONENT_FUNCTIONS, Algorithm
from engine.dataflow import (
    BEFORE,
    DIFFERENCES,
    FEATURES,
    INITIAL,
    LABEL,
    MAXIMA,
    MINIMA,
    NOW,
    PREDICT,
    PRODUCTS,
    RANDOM,
    SETUP,
    SUMS,
    Flow,
    Source,
    is_copy,
)
from engine.learner import STEPS, Learner
from engine.motifs import Motif, find_motifs, learning_rates
from engine.ops import Op
from engine.titles import learning_of, model_of, title_of

ROLES = (
    "weights", "bias", "input", "prediction", "non-linearity", "error", "gradient", "learning rate", "update",
    "accumulation", "normalisation", "noise", "constant", "dead",
)  # fmt: skip
"""Every role a line can have. "input": computed from the features alone; "constant": any other value without data."""

_LINEAR = PRODUCTS | SUMS | DIFFERENCES | {
    Op.SCALAR_BROADCAST, Op.VECTOR_COLUMN_BROADCAST, Op.VECTOR_ROW_BROADCAST, Op.MATRIX_TRANSPOSE,
    Op.VECTOR_MEAN, Op.MATRIX_MEAN, Op.MATRIX_ROW_MEAN, Op.VECTOR_CONST_SET, Op.MATRIX_CONST_SET,
    Op.SCALAR_DIVISION, Op.VECTOR_DIVISION, Op.MATRIX_DIVISION,
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One line of a program. function: "setup", "predict" or "learn". motifs: names of those it is part of."""

    function: str
    position: int
    text: str
    role: str
    note: str = ""
    motifs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """A program explained. model, learning: names of engine.titles."""

    model: str
    learning: str
    lines: tuple[Line, ...]
    motifs: tuple[str, ...]

    @property
    def title(self) -> str:
        """Return what it is in words, for example "A linear model that learns by gradient descent"."""
        return self.titled()

    def titled(self, task_type: str = "") -> str:
        """Return the title; task_type: "classification" or "regression", where it is known what is predicted."""
        return title_of(self.model, self.learning, self.motifs, task_type)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "title": self.title,
            "motifs": list(self.motifs),
            "lines": [{**vars(line), "motifs": list(line.motifs)} for line in self.lines],
        }

    def text(self, task_type: str = "") -> str:
        """Return the program with each line's role beside it."""
        width = max((len(line.text) for line in self.lines), default=0)
        rows = [self.titled(task_type)]
        rows += [f"Motifs: {', '.join(self.motifs)}"] if self.motifs else []
        for name in COMPONENT_FUNCTIONS:
            rows.append(f"def {name.capitalize()}():")
            own = [line for line in self.lines if line.function == name]
            for line in own:
                note = f": {line.note}" if line.note else ""
                rows.append(f"  {line.text:{width}}  # {line.role}{note}")
            rows += [] if own else ["  pass"]
        return "\n".join(rows) + "\n"


def explain(algorithm: Algorithm, *, features_size: int | None = None) -> Explanation:
    """Explain a program. features_size: makes the indexes of single elements exact."""
    learner = Learner(Flow(algorithm))
    motifs = find_motifs(learner)
    roles = _Roles(learner, motifs)
    lines = []
    for function, name in enumerate(COMPONENT_FUNCTIONS):
        for position, one in enumerate(algorithm.functions[function]):
            node = learner.flow.node_at(function, position)
            role, note = ("dead", "cannot reach the prediction") if node is None else roles.of(node)
            names = tuple(motif.name for motif in motifs if node in motif.nodes)
            lines.append(Line(name, position, one.text(features_size=features_size), role, note, names))
    bent = any(line.role == "non-linearity" for line in lines if line.function == "predict")
    names = tuple(motif.name for motif in motifs)
    return Explanation(model_of(learner, names, bent), learning_of(learner, names), tuple(lines), names)


class _Roles:
    """Assigns roles to live lines: the first rule that fits decides."""

    def __init__(self, learner: Learner, motifs: list[Motif]):
        self.learner, self.flow = learner, learner.flow
        self.motifs = {motif.name: motif.nodes for motif in motifs}
        self.rate_lines = {
            one.node for factor in learning_rates(learner) for one in self.flow.closure(factor.sources) if one.node >= 0
        }
        self.gradient_lines = frozenset().union(
            *(
                learner.computed_from(sources)
                for update in learner.updates.values()
                for _, sources in update.increments
                if LABEL in self.flow.now_of(sources)
            )
        )
        self.rates_of_weights = self.motifs.get("weight-dependent learning rate", frozenset())
        self.accumulation = self.motifs.get("weight accumulation", frozenset())
        self.update_paths = {node: update for update in learner.updates.values() for node in update.path}
        self.normalisation = self.motifs.get("normalised gradient", frozenset()) | self.motifs.get(
            "input normalisation", frozenset()
        )
        self.readers: dict[int, list[tuple[int, frozenset[Source]]]] = {}
        for index, node in enumerate(self.flow.nodes):
            for read in node.reads:
                for one in read:
                    self.readers.setdefault(one.node, []).append((index, read))
        self.prediction = {one.node for one in self.flow.prediction}

    def of(self, node: int) -> tuple[str, str]:
        """Return a live line's role and a note on it (or "")."""
        if node in self.flow.zeros:
            return "constant", "always 0"
        if self.flow.nodes[node].function == SETUP:
            return self._in_setup(node)
        return self._kept(node) or self._by_data(node)

    def _in_setup(self, node: int) -> tuple[str, str]:
        starts = self._starting_value_of(node)
        if starts is not None:
            how = "drawn at random" if RANDOM in self.flow.ever[node] else "starting value"
            if starts in self.rates_of_weights:
                return "learning rate", how
            return ("bias" if self._is_bias(starts) else "weights"), how
        if node in self.rate_lines:
            return "learning rate", ""
        return "constant", "drawn once at random" if RANDOM in self.flow.ever[node] else ""

    def _starting_value_of(self, node: int) -> int | None:
        """Return the learned value that a line of Setup initialises, directly or through other lines of Setup."""
        for index, read in self.readers.get(node, ()):
            if self.flow.nodes[index].function == SETUP:
                found = self._starting_value_of(index)
                if found is not None and not self.flow.nodes[index].instruction.info.keeps_output:
                    return found
                if found is not None:
                    return found
            for one in read:
                if Source(node, INITIAL) in read and one.age == BEFORE and self._is_learned(one.node):
                    return one.node
        return None

    def _is_learned(self, node: int) -> bool:
        return node >= 0 and LABEL in self.flow.ever[node]

    def _is_bias(self, parameter: int) -> bool:
        """Whether Predict adds a learned value to something computed from the features, and does not multiply by it."""
        kinds = set()
        for index, read in self.readers.get(parameter, ()):
            node = self.flow.nodes[index]
            if node.function == PREDICT and any(one.node == parameter and one.age == BEFORE for one in read):
                kinds.add(node.op in SUMS | DIFFERENCES and FEATURES in self.flow.now[index])
        return kinds == {True}

    def _kept(self, node: int) -> tuple[str, str] | None:
        """Return the role of a line that computes a value kept for later examples."""
        if node in self.accumulation:
            return "accumulation", "adds up the weights of all examples"
        update = self.update_paths.get(node)
        if update is not None and LABEL in self.flow.ever[update.node]:
            what = "bias" if self._is_bias(update.node) else "weights"
            if update.node not in self.learner.weights_in_use:
                what = "a running value"
            elif update.node not in self.learner.gradients:
                what = "a learned value"
            return "update", f"of {what}"
        if update is not None and FEATURES in self.flow.ever[node]:
            return "accumulation", "of features"
        if self.learner.parameter_of(frozenset({Source(node, NOW)})) is not None:
            return "weights", "copied"
        return None

    def _by_data(self, node: int) -> tuple[str, str]:
        """Return the role of any other line, by what it is computed from."""
        flow, one = self.flow, self.flow.nodes[node]
        now, ever = flow.now[node], flow.ever[node]
        itself = frozenset({Source(node, NOW)})
        if self.learner.is_noise(itself):
            return "noise", "drawn anew for each example"
        if node in self.motifs.get("noisy input", frozenset()):
            return "noise", "added to the features"
        if node in self.learner.errors:
            return (
                "error",
                "label and prediction compared" if one.op in DIFFERENCES else "label and prediction combined",
            )
        if node in self.normalisation:
            return (
                "normalisation",
                "of the gradient" if LABEL in now or one.function != PREDICT else "of the input",
            )
        if node in self.rates_of_weights:
            return "learning rate", "derived from learned values"
        if LABEL in now:
            if node in self.motifs.get("loss clipping", frozenset()):
                return "error", "clipped"
            if any(map(self._is_rate, one.reads)) and one.op in PRODUCTS and node not in self.rate_lines:
                return "gradient", "scaled by the learning rate"
            return "gradient", ""
        if node in self.rate_lines or (not ever and flow.is_autonomous(itself)):
            return "learning rate", "changes from example to example" if flow.is_autonomous(itself) else ""
        if FEATURES in now and one.function == PREDICT:
            return self._in_prediction(node)
        if FEATURES in now and node not in self.gradient_lines:
            return ("weights", "derived from learned values") if LABEL in ever else ("input", "made from the features")
        if FEATURES in now:
            return "gradient", "slope of the non-linearity" if one.op in STEPS else "factor without the error"
        if LABEL in ever:
            return "weights", "copied" if is_copy(one) else "derived from learned values"
        if FEATURES in ever:
            return "input", "of earlier examples"
        return "constant", ""

    def _is_rate(self, read: frozenset[Source]) -> bool:
        return not self.flow.ever_of(read) or any(one.node in self.rates_of_weights for one in read)

    def _in_prediction(self, node: int) -> tuple[str, str]:
        flow, one = self.flow, self.flow.nodes[node]
        final = "the result" if node in self.prediction else ""
        learned = [read for read in one.reads if flow.is_learned(read)]
        if one.op in SUMS | DIFFERENCES and any(FEATURES not in flow.now_of(read) for read in learned):
            return "bias", "added to the prediction" if final else "added"
        if is_copy(one):
            return (
                ("prediction", final)
                if final
                else ("input" if LABEL not in flow.ever[node] else "prediction", "copied")
            )
        if one.op not in _LINEAR and node not in self.prediction:
            named = "ReLU" if node in self.motifs.get("ReLU", frozenset()) else ""
            return "non-linearity", named
        if final:
            return "prediction", final
        if one.op in MAXIMA | MINIMA:
            return "non-linearity", ""
        if LABEL not in flow.ever[node]:
            return "input", "made from the features"
        return "prediction", "weights applied" if learned else ""
