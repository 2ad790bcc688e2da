"""Mutations that build: they follow what the prediction needs backwards, and write what is read and nothing writes yet.

A program whose prediction comes from a register that nothing writes is hungry there. `grow` puts an instruction before the
reader, or into another function, that writes the register; what that one reads may be hungry in turn. Like all kinds they know
nothing of learning: ops and registers are as random as elsewhere, only the place is not.
"""

from __future__ import annotations

import math

from engine.core.connected import (
    computed_register,
    draw_op_that_writes,
    graft_operand,
    input_type,
    make_room,
    ops_that_write,
    put_dead,
)
from engine.core.jit import inner
from engine.core.mutation import single
from engine.core.programs import find_live
from engine.core.random_stream import below, normal, unit
from engine.core.tables import (
    CONSTANT_COUNT,
    CONSTANT_KIND,
    ELEMENT_CONSTANT,
    IN1_TYPE,
    IN2_TYPE,
    INTERVAL,
    NO_CONSTANT,
    OUT_TYPE,
    SCALAR_CONSTANT,
)
from engine.core.validity import LABEL, prediction_sources

MOST_LINES = 8
"""Instructions that one mutation adds at most."""
GOES_ON = 0.75
"""How likely a mutation that has written one hungry register writes another."""
ORDERS = 3.0
"""Orders of magnitude that numbers are drawn from."""
HUNGRY = 2


@inner()
def _pick_hungry(state, space, code, lengths):
    """Return (type, register) of a random register that live instructions read, or the prediction, and nothing live writes;
    type -1 if there is none. Only right after find_live."""
    first, live, marks = space.first, space.analysis.live, space.analysis.names
    for register in range(marks.shape[0]):
        marks[register] = 0
    prediction = first[1] + 1 if first[3] else first[0] + 1
    label = first[1] + 2 if first[3] else first[0]
    marks[prediction] = HUNGRY
    for function in range(3):
        for row in range(space.starts[function], space.starts[function] + lengths[function]):
            if live[row]:
                op = code[row, 0]
                if IN1_TYPE[op] >= 0:
                    marks[first[IN1_TYPE[op]] + code[row, 1]] |= HUNGRY
                if IN2_TYPE[op] >= 0:
                    marks[first[IN2_TYPE[op]] + code[row, 2]] |= HUNGRY
                marks[first[OUT_TYPE[op]] + code[row, 3]] |= 1
    marks[first[1]] = marks[label] = 0
    count = 0
    for register in range(marks.shape[0]):
        count += marks[register] == HUNGRY
    if count == 0:
        return -1, 0
    choice = below(state, count)
    for register in range(marks.shape[0]):
        if marks[register] == HUNGRY:
            if choice == 0:
                kind = 2 if register >= first[2] else (1 if register >= first[1] else 0)
                return kind, register - first[kind]
            choice -= 1
    return -1, 0


@inner()
def _may_write(space, function, kind, register):
    """Whether the function's ops can write the type; Learn and Setup do not make predictions."""
    is_prediction = register == 1 and kind == (1 if space.first[3] else 0)
    return ops_that_write(space, function, kind) > 0 and (function == 1 or not is_prediction)


@inner()
def _reads(code, row, kind, register):
    op = code[row, 0]
    return (IN1_TYPE[op] == kind and code[row, 1] == register) or (IN2_TYPE[op] == kind and code[row, 2] == register)


@inner()
def _first_reader(space, code, lengths, function, kind, register):
    """Return the row of the first live instruction of a function that reads the register; the function's end if none does."""
    start = space.starts[function]
    for row in range(start, start + lengths[function]):
        if space.analysis.live[row] and _reads(code, row, kind, register):
            return row
    return start + lengths[function]


@inner()
def _draw_function(state, space, code, lengths, kind, register):
    """Return a random function searched that may write the register, in half of all cases one that reads it; -1 if none may."""
    near = below(state, 2) == 0
    for only_readers in range(1 if near else 0, -1, -1):
        count = 0
        choice = -1
        for turn in range(2):
            for k in range(space.searched.shape[0]):
                function = space.searched[k]
                if not _may_write(space, function, kind, register):
                    continue
                end = space.starts[function] + lengths[function]
                if only_readers and _first_reader(space, code, lengths, function, kind, register) == end:
                    continue
                if turn == 0:
                    count += 1
                elif choice == 0:
                    return function
                else:
                    choice -= 1
            if count == 0:
                break
            choice = below(state, count)
    return -1


@inner()
def _labelled_register(state, space, code, lengths, kind):
    """Return a random register of a type that depends on labels at the end of Learn; -1 if none does."""
    analysis = space.analysis
    sources = analysis.sets[2]
    prediction_sources(code, lengths, space.starts, space.first, analysis.names, sources)
    base = space.first[kind]
    count = 0
    for register in range(space.registers[kind]):
        count += (sources[base + register] & LABEL) != 0
    if count == 0:
        return -1
    choice = below(state, count)
    for register in range(space.registers[kind]):
        if sources[base + register] & LABEL:
            if choice == 0:
                return register
            choice -= 1
    return -1


@inner()
def _feed(state, space, code, constants, lengths, kind, register):
    """Insert an instruction that writes the register, in most cases right before the first live one of its function that reads
    it, where there is none, at the end. Returns whether there was room.

    In Learn an operand of the register's own type is in two of three cases the register itself (it accumulates), and another
    is one that depends on labels; most other operands hold something.
    """
    function = _draw_function(state, space, code, lengths, kind, register)
    if function < 0:
        return False
    live = space.analysis.live
    start = space.starts[function]
    row = _first_reader(space, code, lengths, function, kind, register)
    if below(state, 4) == 0:
        row = start + below(state, row - start + 1)
    row = make_room(state, space, function, row, code, constants, lengths, live)
    if row < start:
        return False
    op = draw_op_that_writes(state, space, function, kind)
    inputs = (1 if IN1_TYPE[op] >= 0 else 0) + (1 if IN2_TYPE[op] >= 0 else 0)
    labelled = -1
    driven = below(state, inputs) if inputs > 0 else -1
    own = -1
    if function == 2 and inputs == 2 and below(state, 3) > 0:
        own = below(state, 2)
        own = own if input_type(op, own) == kind else -1
        driven = 1 - own if own >= 0 else driven
    if function == 2 and driven >= 0 and below(state, 2) == 0:
        labelled = _labelled_register(state, space, code, lengths, input_type(op, driven))
    put_dead(state, space, function, row, op, code, constants, lengths, live)
    if CONSTANT_KIND[op] == SCALAR_CONSTANT:
        constants[row, 0] *= 10.0 ** (-ORDERS * unit(state))
    for k in range(inputs):
        if k == own:
            code[row, 1 + k] = register
        elif k == driven and labelled >= 0:
            code[row, 1 + k] = labelled
        elif below(state, 3) > 0:
            code[row, 1 + k] = computed_register(state, space, code, lengths, live, input_type(op, k))
    code[row, 3] = register
    return True


@inner()
def _feed_all(state, space, code, constants, lengths, lines):
    """Write hungry registers, one after the other, until none is left or chance ends it; return how many were."""
    fed = 0
    while fed < lines:
        find_live(code, lengths, space.starts, space.first, space.analysis)
        kind, register = _pick_hungry(state, space, code, lengths)
        if kind < 0 or not _feed(state, space, code, constants, lengths, kind, register):
            break
        fed += 1
        if unit(state) >= GOES_ON:
            break
    return fed


@inner()
def grow(state, space, code, constants, lengths):
    """Write what is read and nothing writes; where there is nothing of that kind, branch."""
    if _feed_all(state, space, code, constants, lengths, MOST_LINES) == 0:
        branch(state, space, code, constants, lengths)


@inner()
def branch(state, space, code, constants, lengths):
    """Graft an instruction whose other operand is any register, then write that one if nothing does."""
    if graft_operand(state, space, code, constants, lengths, True):
        _feed_all(state, space, code, constants, lengths, MOST_LINES - 1)


@inner()
def tune(state, space, code, constants, lengths):
    """Scale one constant of a live instruction, in half of all cases a little; signs, and which element is set, stay."""
    live = space.analysis.live
    find_live(code, lengths, space.starts, space.first, space.analysis)
    count = 0
    for k in range(space.searched.shape[0]):
        function = space.searched[k]
        for row in range(space.starts[function], space.starts[function] + lengths[function]):
            count += live[row] and CONSTANT_KIND[code[row, 0]] != NO_CONSTANT
    if count == 0:
        return
    choice = below(state, count)
    for k in range(space.searched.shape[0]):
        function = space.searched[k]
        for row in range(space.starts[function], space.starts[function] + lengths[function]):
            if live[row] and CONSTANT_KIND[code[row, 0]] != NO_CONSTANT:
                if choice == 0:
                    _scale_one(state, code[row, 0], constants, row)
                    return
                choice -= 1


@inner()
def _scale_one(state, op, constants, row):
    place = CONSTANT_COUNT[op] - 1
    if CONSTANT_KIND[op] != ELEMENT_CONSTANT:
        place = below(state, CONSTANT_COUNT[op])
    spread = 0.2 if below(state, 2) == 0 else 1.0
    scaled = constants[row, place] * math.exp(spread * normal(state))
    # As programs store them: what is written down and read again must be the same program.
    constants[row, place] = scaled if CONSTANT_KIND[op] == SCALAR_CONSTANT else single(scaled)
    if CONSTANT_KIND[op] == INTERVAL and constants[row, 0] > constants[row, 1]:
        constants[row, 0], constants[row, 1] = constants[row, 1], constants[row, 0]
