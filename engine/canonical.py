"""What of a program matters, and one form for all programs that are the same algorithm.

Liveness is computed over the whole life of a program: Setup once, then Predict and Learn for each training example, then
Predict for each validation example, over again in each epoch. Between the functions the memory is written from outside:
v0 and s0 before Predict and before Learn, s1 (its sigmoid) after Predict. What is read at the end is s1 after Predict,
for the error in training and for the score in validation. With vector labels, v2 is in s0's place and v1 in s1's.

Canonical form, version 2:
1. dead instructions and NO_OPs are dropped;
2. lines that do not need each other are put in one order, which names of registers have no part in (engine/ordering.py);
3. s0, s1 and v0 keep their names (with vector labels s0, v0, v1 and v2); the other registers of each type are renamed to the lowest addresses left (s2.., v1..,
   m0..) in order of their occurrences, in the order setup, predict, learn, instruction by instruction, in1, in2, out, where
   the two inputs of a commutative op count as one place;
4. inputs of commutative ops are put in order of address.

Two registers can have the same occurrences only if they are always the two inputs of the same commutative instructions
and never written: then swapping them gives the same program, and rule 4 makes it look the same. So the form depends neither on
names, nor on the order of commutative inputs, nor (but for rare ties, see ordering) on that of independent lines, and it is a
fixed point of itself. Version 1 was without rule 2.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator

from engine.algorithm import FEATURES, LABEL, Algorithm, Instruction
from engine.ops import Op
from engine.ordering import Register, inputs, line_order, output, reads

__all__ = [
    "CANONICAL_VERSION", "Register", "canonical", "canonical_digest", "canonical_order", "inputs", "live_mask",
    "output", "reads", "special", "without_dead_code",
]  # fmt: skip

CANONICAL_VERSION = 2
"""Raised whenever the canonical form of any program changes; stored beside every canonical digest."""


def special(algorithm: Algorithm) -> tuple[Register, ...]:
    """Return the registers that are written or read from outside, the lowest of their types; they keep their names."""
    if algorithm.vector_labels:
        return (("s", LABEL), ("v", FEATURES), algorithm.prediction, algorithm.label)
    return (algorithm.label, algorithm.prediction, ("v", FEATURES))


# --- liveness -----------------------------------------------------------------------------------------------------------


def live_mask(algorithm: Algorithm) -> tuple[tuple[bool, ...], tuple[bool, ...], tuple[bool, ...]]:
    """Return, for setup, predict and learn, whether each instruction can reach a prediction.

    Taking out all the others at once changes no error, no score and no count of steps.
    """
    written_outside = {algorithm.label, ("v", FEATURES)}
    before_predict: set[Register] = set()
    before_learn: set[Register] = set()
    while True:
        # Predict is followed by Learn (training) or by Predict (validation); Learn by Predict.
        after_predict = {algorithm.prediction} | ((before_learn | before_predict) - written_outside)
        after_learn = before_predict - written_outside
        predict, predict_mask = _backwards(algorithm.predict, after_predict)
        learn, learn_mask = _backwards(algorithm.learn, after_learn)
        if (predict, learn) == (before_predict, before_learn):
            break
        before_predict, before_learn = predict, learn
    _, setup_mask = _backwards(algorithm.setup, before_predict - written_outside)
    return setup_mask, predict_mask, learn_mask


def _backwards(function: Iterable[Instruction], live: set[Register]) -> tuple[set[Register], tuple[bool, ...]]:
    """Return the registers live before a function, given those live after it, and which instructions are live."""
    live = set(live)
    mask = []
    for one in reversed(tuple(function)):
        target = output(one)
        needed = target in live
        mask.append(needed)
        if needed:
            live.discard(target)
            live.update(reads(one))
    return live, tuple(reversed(mask))


def without_dead_code(algorithm: Algorithm) -> Algorithm:
    """Return the program with its live instructions only, otherwise as it is."""
    functions = (
        tuple(one for one, live in zip(function, mask, strict=True) if live)
        for function, mask in zip(algorithm.functions, live_mask(algorithm), strict=True)
    )
    return algorithm.with_functions(functions)


# --- canonical form -----------------------------------------------------------------------------------------------------


def canonical(algorithm: Algorithm, order: tuple[tuple[int, ...], ...] | None = None) -> Algorithm:
    """Return the canonical form: computes the same predictions, bit for bit, also where random numbers are drawn.

    order: the algorithm's canonical_order, which takes nearly all of the time, where it is known already.
    """
    live = without_dead_code(algorithm)
    if order is None:
        order = line_order(live, special(live))
    live = live.with_functions(
        (function[position] for position in positions)
        for function, positions in zip(live.functions, order, strict=True)
    )
    names = _names(live)
    return live.with_functions((_renamed(one, names) for one in function) for function in live.functions)


def canonical_order(algorithm: Algorithm) -> tuple[tuple[int, ...], ...]:
    """Return, for each function, where the lines of the canonical form stand among the program's live lines."""
    live = without_dead_code(algorithm)
    return line_order(live, special(live))


def canonical_digest(algorithm: Algorithm) -> bytes:
    """Return the 32-byte digest of (canonical version, canonical form): equal for programs found to be the same."""
    data = struct.pack("<H", CANONICAL_VERSION) + canonical(algorithm).to_bytes()
    return hashlib.sha256(data).digest()


def _names(algorithm: Algorithm) -> dict[Register, int]:
    """Return the new address of every register of the program."""
    occurrences: dict[Register, list[tuple[int, int, int]]] = {}
    for register, place in _places(algorithm):
        occurrences.setdefault(register, []).append(place)
    names = {register: register[1] for register in special(algorithm)}
    free = {kind: sum(register[0] == kind for register in names) for kind in "svm"}
    for register in sorted(occurrences, key=occurrences.__getitem__):
        if register not in names:
            kind = register[0]
            names[register] = free[kind]
            free[kind] += 1
    return names


def _places(algorithm: Algorithm) -> Iterator[tuple[Register, tuple[int, int, int]]]:
    """Yield every occurrence of a register with its place (function, instruction, slot), in order of place."""
    for function_index, function in enumerate(algorithm.functions):
        for index, one in enumerate(function):
            for slot, register in enumerate(inputs(one)):
                yield register, (function_index, index, 0 if one.info.is_commutative else slot)
            if (target := output(one)) is not None:
                yield target, (function_index, index, 2)


def _renamed(one: Instruction, names: dict[Register, int]) -> Instruction:
    """Rename registers and order commutative inputs; fields that the op does not use become 0."""
    addresses = [names[register] for register in inputs(one)]
    if one.info.is_commutative:
        addresses.sort()
    in1, in2 = (*addresses, 0, 0)[:2]
    target = output(one)
    return Instruction(Op(one.op), in1, in2, 0 if target is None else names[target], one.constants)
