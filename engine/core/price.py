"""What a program pays, in selection, for the instructions that make a difference: for their cost, and for their number."""

from __future__ import annotations

from engine.core.jit import inner
from engine.core.programs import find_live
from engine.core.tables import (
    COPIES_BESIDE_ZERO,
    COST,
    IN1_TYPE,
    IN2_TYPE,
    KEEPS_OUTPUT,
    OUT_TYPE,
    ZERO_IF_ALL,
    ZERO_IF_ANY,
)


@inner()
def _sets_something(code, row, first, nonzero):
    """Whether an instruction's result may be other than 0, given which registers may be."""
    op = code[row, 0]
    one = IN1_TYPE[op] < 0 or nonzero[first[IN1_TYPE[op]] + code[row, 1]]
    other = IN2_TYPE[op] < 0 or nonzero[first[IN2_TYPE[op]] + code[row, 2]]
    if ZERO_IF_ANY[op]:
        return one and other
    if ZERO_IF_ALL[op]:
        return (IN1_TYPE[op] >= 0 and one) or (IN2_TYPE[op] >= 0 and other)
    return True


@inner()
def _forward(code, start, length, first, live, nonzero):
    for row in range(start, start + length):
        if live[row]:
            out = first[OUT_TYPE[code[row, 0]]] + code[row, 3]
            found = _sets_something(code, row, first, nonzero)
            nonzero[out] = found or (KEEPS_OUTPUT[code[row, 0]] and nonzero[out])


@inner()
def _price_of(code, start, length, first, live, nonzero, prices):
    """Walk a function and sum the prices of live instructions that do more than copy, or than compute 0 from 0."""
    total = 0.0
    for row in range(start, start + length):
        if live[row]:
            op = code[row, 0]
            both = IN2_TYPE[op] < 0 or (
                nonzero[first[IN1_TYPE[op]] + code[row, 1]] and nonzero[first[IN2_TYPE[op]] + code[row, 2]]
            )
            found = _sets_something(code, row, first, nonzero)
            # A maximum with 0 is something else than its operand; a sum is not.
            if found and (both or COPIES_BESIDE_ZERO[op] == 0):
                total += prices[0] * COST[op] + prices[1]
            out = first[OUT_TYPE[op]] + code[row, 3]
            nonzero[out] = found or (KEEPS_OUTPUT[op] and nonzero[out])
    return total


@inner()
def price(space, prices, code, lengths):
    """Return what a program pays for the live instructions of Predict and Learn.

    prices: (2,) float64, for what one example costs, a unit of the cost model, and for each instruction.

    Instructions that always compute 0, since they read what nothing writes, and sums with such a 0 are free: they change nothing
    yet, and what changes nothing is not to be selected against.
    """
    first, starts, live, analysis = space.first, space.starts, space.analysis.live, space.analysis
    find_live(code, lengths, starts, first, analysis)
    before, nonzero = analysis.sets[1], analysis.sets[2]
    features = first[1]
    label, prediction = (first[1] + 2, first[1] + 1) if first[3] else (first[0], first[0] + 1)
    for register in range(before.shape[0]):
        nonzero[register] = 0
    _forward(code, starts[0], lengths[0], first, live, nonzero)
    for register in range(before.shape[0]):
        before[register] = nonzero[register]
    while True:
        for register in range(before.shape[0]):
            nonzero[register] = before[register]
        nonzero[features], nonzero[label] = 1, 0
        total = _price_of(code, starts[1], lengths[1], first, live, nonzero, prices)
        nonzero[features], nonzero[label], nonzero[prediction] = 1, 1, 1
        total += _price_of(code, starts[2], lengths[2], first, live, nonzero, prices)
        grown = False
        for register in range(before.shape[0]):
            if nonzero[register] and not before[register]:
                before[register] = 1
                grown = True
        if not grown:
            return total
