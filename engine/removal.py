"""Programs with something taken out: one line, or an idea (a motif), so that what it is worth can be measured.

A line is deleted. A motif is bypassed: what it makes of a value is replaced by the value itself (a ReLU by its input, a
clipped error by the error, a divided gradient by the gradient), a noise by zeros, a decaying rate by its first value, a
rate made of the weights by what the starting weights give, an update by what was there before; the rest of the program
stays. All from data flow, so that names and order of lines
do not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from engine.algorithm import Algorithm, Instruction, Registers
from engine.dataflow import (
    BEFORE,
    DIFFERENCES,
    DIVISIONS,
    FEATURES,
    LABEL,
    NOW,
    PREDICT,
    RECIPROCALS,
    SETUP,
    SUMS,
    Flow,
    Source,
    Sources,
)
from engine.learner import MAXIMA, MINIMA, STEPS, Learner, Update
from engine.motifs import MOTIFS, course, find_motifs
from engine.ops import Op

_COPIES = {"s": Op.SCALAR_MAX, "v": Op.VECTOR_MAX, "m": Op.MATRIX_MAX}
"""The maximum of a value and itself is the value, bit for bit: the op set has no copy."""

SPARE = 2
"""Registers of each type that a program without a motif may need beyond its own: of zeros, and of ones; or of starting weights."""


def room(algorithm: Algorithm) -> Registers:
    """Return registers that hold the program with any motif taken out."""
    return Registers(*(count + SPARE for count in algorithm.registers_used()))


def without_line(algorithm: Algorithm, function: int, position: int) -> Algorithm:
    """Return the program without one line. function: 0 setup, 1 predict, 2 learn. Raises IndexError."""
    functions = list(algorithm.functions)
    lines = functions[function]
    if not 0 <= position < len(lines):
        raise IndexError(f"function {function} has {len(lines)} lines, no line {position}")
    functions[function] = (*lines[:position], *lines[position + 1 :])
    return algorithm.with_functions(functions)


def without_motif(algorithm: Algorithm, name: str) -> Algorithm:
    """Return the program with a motif bypassed. It may need up to SPARE more registers of each type: see `room`.

    name: a key of motifs.MOTIFS. Raises ValueError if the program does not contain it.
    """
    learner = Learner(Flow(algorithm))
    found = {motif.name: motif.nodes for motif in find_motifs(learner)}
    if name not in found:
        known = "" if name in MOTIFS else f"; known are {', '.join(MOTIFS)}"
        raise ValueError(f'motif: "{name}" is not in this program{known}')
    edit = _Edit(algorithm, learner, found[name])
    REMOVALS[name](edit)
    return edit.result()


class _Edit:
    """Changes to the lines of a program, collected by node. nodes: of the motif to take out, in order."""

    def __init__(self, algorithm: Algorithm, learner: Learner, nodes: frozenset[int]):
        self.algorithm, self.learner, self.flow = algorithm, learner, learner.flow
        self.nodes = sorted(nodes)
        self.zeros = algorithm.registers_used()
        self.lines: dict[int, Instruction] = {}
        self.needs_ones = False
        self.starts: dict[tuple[str, int], int] = {}

    def line(self, node: int) -> Instruction:
        """Return a node's instruction as changed so far."""
        return self.lines.get(node, self.flow.nodes[node].instruction)

    def keep(self, node: int, slot: int) -> None:
        """Let a line hand on one of its inputs; slot: 0 for in1, 1 for in2."""
        one = self.line(node)
        source = (one.in1, one.in2)[slot]
        assert one.info.inputs[slot] == one.info.output, "a value is handed on as the type it has"
        self.lines[node] = Instruction(_COPIES[one.info.output], source, source, one.out)

    def fill(self, node: int, value: int) -> None:
        """Let a line give zeros or ones."""
        one = self.line(node)
        source = self._filled(one.info.output, value)
        self.lines[node] = Instruction(_COPIES[one.info.output], source, source, one.out)

    def set_input(self, node: int, slot: int, value: int) -> None:
        """Let a line read zeros or ones in place of one of its inputs."""
        one = self.line(node)
        source = self._filled(one.info.inputs[slot], value)
        self.lines[node] = replace(one, in1=source) if slot == 0 else replace(one, in2=source)

    def set_input_to_start(self, node: int, slot: int, register: int) -> None:
        """Let a line read what a register holds after Setup in place of one of its inputs; of SPARE registers of a type at most."""
        one = self.line(node)
        kind = one.info.inputs[slot]
        if (kind, register) not in self.starts:
            taken = sum(known == kind for known, _ in self.starts)
            if taken == SPARE:
                return
            self.starts[kind, register] = getattr(self.zeros, kind) + taken
        source = self.starts[kind, register]
        self.lines[node] = replace(one, in1=source) if slot == 0 else replace(one, in2=source)

    def set_constant(self, node: int, value: float) -> None:
        """Let a line of scalars give a constant."""
        self.lines[node] = Instruction(Op.SCALAR_CONST_SET, out=self.line(node).out, constants=(value,))

    def _filled(self, kind: str, value: int) -> int:
        self.needs_ones |= value == 1
        return getattr(self.zeros, kind) + value

    def result(self) -> Algorithm:
        """Return the changed program."""
        functions = [list(function) for function in self.algorithm.functions]
        for node, one in self.lines.items():
            place = self.flow.nodes[node]
            functions[place.function][place.position] = one
        if self.needs_ones:
            s, v, m = (count + 1 for count in self.zeros)
            functions[SETUP] += [
                Instruction(Op.SCALAR_CONST_SET, out=s, constants=(1.0,)),
                Instruction(Op.SCALAR_BROADCAST, s, out=v),
                Instruction(Op.VECTOR_COLUMN_BROADCAST, v, out=m),
            ]
        functions[SETUP] += [
            Instruction(_COPIES[kind], register, register, spare) for (kind, register), spare in self.starts.items()
        ]
        return self.algorithm.with_functions(functions)


def _other(slot: int) -> int:
    return 1 - slot


def _old_slots(edit: _Edit, update: Update) -> list[tuple[int, int]]:
    """Return (node, slot of the old value) for each line on the path of an update."""
    found = []
    for place, node in enumerate(update.path):
        for slot, read in enumerate(edit.flow.nodes[node].reads):
            last = place + 1 == len(update.path)
            if (Source(update.node, BEFORE) in read) if last else edit.flow.single(read) == update.path[place + 1]:
                found.append((node, slot))
                break
    return found


def _gradient_descent(edit: _Edit) -> None:
    flow = edit.flow
    for parameter in edit.learner.gradients:
        for node, slot in _old_slots(edit, edit.learner.updates[parameter]):
            one = flow.nodes[node]
            if one.op in SUMS | DIFFERENCES and LABEL in flow.now_of(one.reads[_other(slot)]):
                edit.keep(node, slot)


def _weight_accumulation(edit: _Edit) -> None:
    for update in edit.learner.updates.values():
        if update.node in edit.nodes:
            for node, slot in _old_slots(edit, update):
                one = edit.flow.nodes[node]
                added = one.reads[_other(slot)]
                if one.op in SUMS | DIFFERENCES and edit.learner.accumulated(update, added) is not None:
                    edit.keep(node, _other(slot))


def _dividers(edit: _Edit) -> None:
    for node in edit.nodes:
        op = edit.flow.nodes[node].op
        if op in RECIPROCALS:
            edit.fill(node, 1)
        elif op in DIVISIONS or op in DIFFERENCES:
            edit.keep(node, 0)


def _relu(edit: _Edit) -> None:
    flow = edit.flow
    for node in edit.nodes:
        one = flow.nodes[node]
        if one.op in STEPS:  # x times step(x): the step gives ones
            _flatten_slopes(edit, (one.reads[0],))
        elif one.op in MAXIMA | MINIMA:
            slot = next(slot for slot, read in enumerate(one.reads) if FEATURES in flow.now_of(read))
            edit.keep(node, slot)
            _flatten_slopes(edit, (one.reads[slot], frozenset({Source(node, NOW)})))


def _flatten_slopes(edit: _Edit, values: tuple[Sources, ...]) -> None:
    """Let steps of these values, the slope of the non-linearity, give ones."""
    for node, one in enumerate(edit.flow.nodes):
        if one.op in STEPS and one.reads[0] in values:
            edit.fill(node, 1)


def _without_noise(edit: _Edit) -> None:
    for node in edit.nodes:
        one = edit.flow.nodes[node]
        if one.op in SUMS | DIFFERENCES | MAXIMA:
            for slot, read in enumerate(one.reads):
                if edit.learner.is_noise(read):
                    edit.set_input(node, slot, 0)


def _bilinear_form(edit: _Edit) -> None:
    """Leave one of the two inputs out: the model becomes linear in the other."""
    flow, learner = edit.flow, edit.learner
    for node in edit.nodes:
        one = flow.nodes[node]
        for slot, read in enumerate(one.reads):
            other = one.reads[_other(slot)] if len(one.reads) == 2 else frozenset()
            if learner.is_input(read) and FEATURES in flow.now_of(other) and LABEL in flow.ever_of(other):
                edit.set_input(node, slot, 1)
                _leave_out_of_gradient(edit, read)
                return


def _leave_out_of_gradient(edit: _Edit, value: Sources) -> None:
    for node, one in enumerate(edit.flow.nodes):
        if one.op == Op.VECTOR_OUTER_PRODUCT and one.function != PREDICT and value in one.reads:
            slot = one.reads.index(value)
            if FEATURES in edit.flow.now_of(one.reads[_other(slot)]):
                edit.set_input(node, slot, 1)


def _random_initialisation(edit: _Edit) -> None:
    for node in edit.nodes:
        edit.fill(node, 0)


def _learning_rate_decay(edit: _Edit) -> None:
    for node in edit.nodes:
        itself = frozenset({Source(node, NOW)})
        if edit.flow.is_autonomous(itself) and edit.flow.nodes[node].instruction.info.output == "s":
            try:
                first = next(course(edit.learner, itself, 1))
            except (ArithmeticError, ValueError, KeyError):
                continue
            edit.set_constant(node, first[Source(node, NOW)])


def _weight_dependent_learning_rate(edit: _Edit) -> None:
    """Let the rate be made of the starting weights. A line of vectors or matrices on the way is so for all who read it."""
    flow, learner = edit.flow, edit.learner
    lines = set(edit.nodes)
    for node in edit.nodes:
        lines |= learner.lines_from_weights(frozenset({Source(node, NOW)})) or frozenset()
    for node in sorted(lines):
        one = flow.nodes[node]
        for slot, read in enumerate(one.reads[: len(one.instruction.info.inputs)]):
            for update in {learner.weight_lines[source.node] for source in read if source.node in learner.weight_lines}:
                weights = flow.nodes[update].instruction
                if weights.info.output == one.instruction.info.inputs[slot]:
                    edit.set_input_to_start(node, slot, weights.out)


def _loss_clipping(edit: _Edit) -> None:
    for node in edit.nodes:
        for slot, read in enumerate(edit.flow.nodes[node].reads):
            if edit.learner.has_error(read):
                edit.keep(node, slot)
                break


REMOVALS: dict[str, Callable[[_Edit], None]] = {
    "gradient descent": _gradient_descent,
    "normalised gradient": _dividers,
    "ReLU": _relu,
    "noisy ReLU": _without_noise,
    "bilinear form": _bilinear_form,
    "weight accumulation": _weight_accumulation,
    "noisy input": _without_noise,
    "input normalisation": _dividers,
    "learning-rate decay": _learning_rate_decay,
    "weight-dependent learning rate": _weight_dependent_learning_rate,
    "random initialisation": _random_initialisation,
    "loss clipping": _loss_clipping,
}
"""How each motif is bypassed. A new motif needs a row here too."""
