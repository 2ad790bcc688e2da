"""Mutations that build: they write what is read and nothing writes yet, so that what belongs together comes in one child.

A program whose prediction comes from a register that nothing writes is hungry there. Whatever these kinds put in may leave other
registers hungry, which are fed in turn: by an instruction of the function that reads them, by one of Setup that draws it, or,
where Predict reads them, by Learn, which then mostly accumulates, out of something that depends on labels. Like all kinds they
know nothing of learners: ops are as random as elsewhere, and so are registers among those that hold something; only the place
where an instruction stands is not.
"""

from __future__ import annotations

import math

from engine.core.connected import (
    computed_register,
    draw_op_that_writes,
    free_register,
    graft_operand,
    input_type,
    make_room,
    ops_that_write,
    put_dead,
)
from engine.core.jit import inner
from engine.core.mutation import single
from engine.core.programs import find_live, needed_before
from engine.core.random_stream import below, normal, unit
from engine.core.tables import (
    CONSTANT_COUNT,
    CONSTANT_KIND,
    ELEMENT_CONSTANT,
    IN1_TYPE,
    IN2_TYPE,
    INTERVAL,
    KEEPS_OUTPUT,
    NO_CONSTANT,
    OUT_TYPE,
    SCALAR_CONSTANT,
)

MOST_LINES = 8
"""Instructions that one mutation adds at most."""
GOES_ON = 0.9
"""How likely a mutation that has fed one hungry register feeds another."""
ORDERS = 3.0
"""Orders of magnitude that numbers are drawn from."""
RESCALE_HIGH, RESCALE_RANGE = 0.3, 1.8
"""Orders of magnitude by which a number is scaled at most where instructions have been added: up, and from there down."""
HUNGRY = 2
NEW, REST = 3, 1
"""How often in four cases an operand is a register that holds nothing yet: of what a branch begins with, of what feeds it."""
SETUP, PREDICT, LEARN = range(3)
WAYS = 4
ACCUMULATE = 3
"""Ways to feed a register: an instruction in Setup, Predict or Learn (their numbers), or one in Learn that reads it, too."""


@inner()
def _mark_hungry(code, lengths, space):
    """Mark as HUNGRY, in analysis.names, registers that live instructions read, or the prediction, and nothing live writes.

    Only right after find_live.
    """
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


@inner()
def _draw_marked(state, space, mark):
    """Return (type, register) of a random register with this mark in analysis.names; type -1 if there is none."""
    first, marks = space.first, space.analysis.names
    count = 0
    for register in range(marks.shape[0]):
        count += marks[register] == mark
    if count == 0:
        return -1, 0
    choice = below(state, count)
    for register in range(marks.shape[0]):
        if marks[register] == mark:
            if choice == 0:
                kind = 2 if register >= first[2] else (1 if register >= first[1] else 0)
                return kind, register - first[kind]
            choice -= 1
    return -1, 0


@inner()
def _is_prediction(space, kind, register):
    return register == 1 and kind == (1 if space.first[3] else 0)


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
def _is_read_in(space, code, lengths, function, kind, register):
    end = space.starts[function] + lengths[function]
    return _first_reader(space, code, lengths, function, kind, register) < end


@inner()
def _is_searched(space, function):
    found = 0
    for k in range(space.searched.shape[0]):
        found += space.searched[k] == function
    return found > 0


@inner()
def _ops_that_keep(space, function, kind):
    """Return how many of a function's ops write a type that they also read."""
    count = 0
    for k in range(space.ops_start[function], space.ops_start[function + 1]):
        op = space.ops[k]
        count += OUT_TYPE[op] == kind and (IN1_TYPE[op] == kind or IN2_TYPE[op] == kind)
    return count


@inner()
def _draw_op_that_keeps(state, space, function, kind):
    """Return a random one of them. There must be one."""
    choice = below(state, _ops_that_keep(space, function, kind))
    for k in range(space.ops_start[function], space.ops_start[function + 1]):
        op = space.ops[k]
        if OUT_TYPE[op] == kind and (IN1_TYPE[op] == kind or IN2_TYPE[op] == kind):
            if choice == 0:
                return op
            choice -= 1
    return 0


@inner()
def _draw_way(state, space, code, lengths, kind, register):
    """Return how a hungry register is fed; -1 if no op can.

    Where Predict reads it: there, or by what Learn accumulates, equally likely; half as likely in Setup. Where only Learn reads
    it: there; a quarter as likely in Setup. Other functions than these now and then.
    """
    in_predict = _is_prediction(space, kind, register) or _is_read_in(space, code, lengths, PREDICT, kind, register)
    in_learn = _is_read_in(space, code, lengths, LEARN, kind, register)
    total = 0.0
    chosen = -1
    for way in range(WAYS):
        function = way if way < ACCUMULATE else LEARN
        if not _is_searched(space, function):
            continue
        if way == ACCUMULATE:
            possible = _ops_that_keep(space, LEARN, kind) > 0
        else:
            possible = ops_that_write(space, function, kind) > 0
        # Setup and Learn do not make predictions.
        if not possible or (function != PREDICT and _is_prediction(space, kind, register)):
            continue
        if way == SETUP:
            weight = 0.5 if in_predict else (0.25 if in_learn else 4.0)
        elif way == PREDICT:
            weight = 1.0 if in_predict else 0.1
        elif way == LEARN:
            weight = 0.1 if in_predict else 1.0
        else:
            weight = 1.0 if in_predict else 0.1
        total += weight
        if unit(state) * total < weight:
            chosen = way
    return chosen


@inner()
def _labelled_register(state, space, code, lengths, row, kind, other):
    """Return a random register of a type, but not `other`, that depends on the example's label before a row of Learn; -1 if none does."""
    marks, base = space.analysis.names, space.first[kind]
    for register in range(marks.shape[0]):
        marks[register] = 0
    marks[space.first[1] + 2 if space.first[3] else space.first[0]] = 1
    for before in range(space.starts[LEARN], row):
        op = code[before, 0]
        if space.analysis.live[before]:
            out = space.first[OUT_TYPE[op]] + code[before, 3]
            found = marks[out] if KEEPS_OUTPUT[op] else 0
            if IN1_TYPE[op] >= 0:
                found |= marks[space.first[IN1_TYPE[op]] + code[before, 1]]
            if IN2_TYPE[op] >= 0:
                found |= marks[space.first[IN2_TYPE[op]] + code[before, 2]]
            marks[out] = found
    count = 0
    for register in range(space.registers[kind]):
        count += register != other and marks[base + register]
    if count == 0:
        return -1
    choice = below(state, count)
    for register in range(space.registers[kind]):
        if register != other and marks[base + register]:
            if choice == 0:
                return register
            choice -= 1
    return -1


@inner()
def _operand(state, space, code, lengths, function, row, kind, labelled, own, hunger):
    """Return a register for a new instruction at a row: one that holds something, or, `hunger` times in four, one that will be hungry.

    labelled: in Learn, rather one that depends on the label. own: the register it writes, or -1; not meant as its input.
    """
    if below(state, 4) >= hunger:
        if labelled and function == LEARN:
            register = _labelled_register(state, space, code, lengths, row, kind, own)
            if register >= 0:
                return register
        elif kind == 1 and below(state, 3) == 0:
            return 0
        else:
            return computed_register(state, space, code, lengths, space.analysis.live, kind)
    needed_before(code, lengths, space.starts, space.first, space.analysis, function, row)
    return free_register(state, space, space.analysis.sets[1], kind)


@inner()
def _feeding_operand(state, space, code, lengths, function, row, op, slot, labelled, register):
    """Return a register for an operand of an op that will write `register` at a row."""
    kind = input_type(op, slot)
    own = register if kind == OUT_TYPE[op] else -1
    return _operand(state, space, code, lengths, function, row, kind, labelled, own, REST)


@inner()
def _feed(state, space, code, constants, lengths, kind, register):
    """Insert an instruction that writes the register, in most cases right before the first live one of its function that reads
    it, where there is none, at the end. Returns whether there was room."""
    way = _draw_way(state, space, code, lengths, kind, register)
    if way < 0:
        return False
    return _put(state, space, code, constants, lengths, kind, register, way)


@inner()
def _put(state, space, code, constants, lengths, kind, register, way):
    """Insert an instruction that writes the register in the given way; return whether there was room.

    In Learn one of its operands depends on labels, in most cases.
    """
    function = way if way < ACCUMULATE else LEARN
    live = space.analysis.live
    start = space.starts[function]
    row = _first_reader(space, code, lengths, function, kind, register)
    if way == ACCUMULATE:
        row = start + lengths[function]
    if below(state, 4) == 0:
        row = start + below(state, row - start + 1)
    row = make_room(state, space, function, row, code, constants, lengths, live)
    if row < start:
        return False
    if way == ACCUMULATE:
        op = _draw_op_that_keeps(state, space, function, kind)
    else:
        op = draw_op_that_writes(state, space, function, kind)
    inputs = (1 if IN1_TYPE[op] >= 0 else 0) + (1 if IN2_TYPE[op] >= 0 else 0)
    own = -1
    if way == ACCUMULATE:
        own = below(state, 2) if inputs == 2 else 0
        if input_type(op, own) != kind:
            own = 1 - own
    driven = -1
    if function == LEARN and inputs > 0 and below(state, 8) > 0:
        driven = 1 - own if own >= 0 else below(state, inputs)
    # Drawn before the instruction stands there: they are about the program as it is.
    one = two = register
    if inputs > 0 and own != 0:
        one = _feeding_operand(state, space, code, lengths, function, row, op, 0, driven == 0, register)
    if inputs > 1 and own != 1:
        two = _feeding_operand(state, space, code, lengths, function, row, op, 1, driven == 1, register)
    put_dead(state, space, function, row, op, code, constants, lengths, live)
    if CONSTANT_KIND[op] == SCALAR_CONSTANT:
        constants[row, 0] *= 10.0 ** (-ORDERS * unit(state))
    if inputs > 0:
        code[row, 1] = one
    if inputs > 1:
        code[row, 2] = two
    code[row, 3] = register
    return True


@inner()
def _feed_all(state, space, code, constants, lengths, lines):
    """Write hungry registers, one after the other, until none is left or chance ends it; return how many were."""
    fed = 0
    while fed < lines:
        find_live(code, lengths, space.starts, space.first, space.analysis)
        _mark_hungry(code, lengths, space)
        kind, register = _draw_marked(state, space, HUNGRY)
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
    """Graft an instruction, or add to the prediction; where its other operand holds nothing yet, as in most cases, write that one."""
    if below(state, 4) == 0:
        grafted = _add_to_prediction(state, space, code, constants, lengths)
    else:
        grafted = graft_operand(state, space, code, constants, lengths, NEW)
    if grafted:
        _feed_all(state, space, code, constants, lengths, MOST_LINES - 1)
        _rescale(state, space, code, constants, lengths)


@inner()
def _add_to_prediction(state, space, code, constants, lengths):
    """Let Predict end with an instruction that reads the prediction, and mostly a hungry register, and writes the prediction."""
    kind = 1 if space.first[3] else 0
    live = space.analysis.live
    find_live(code, lengths, space.starts, space.first, space.analysis)
    if not _is_searched(space, PREDICT) or _ops_that_keep(space, PREDICT, kind) == 0:
        return False
    end = space.starts[PREDICT] + lengths[PREDICT]
    row = make_room(state, space, PREDICT, end, code, constants, lengths, live)
    if row < 0:
        return False
    op = _draw_op_that_keeps(state, space, PREDICT, kind)
    own = 0 if IN1_TYPE[op] == kind else 1
    if IN1_TYPE[op] == kind and IN2_TYPE[op] == kind:
        own = below(state, 2)
    other = -1
    if input_type(op, 1 - own) >= 0:
        other = _operand(state, space, code, lengths, PREDICT, row, input_type(op, 1 - own), False, -1, NEW)
    put_dead(state, space, PREDICT, row, op, code, constants, lengths, live)
    code[row, 1 + own] = 1
    if other >= 0:
        code[row, 2 - own] = other
    code[row, 3] = 1
    return True


@inner()
def train(state, space, code, constants, lengths):
    """Let Learn accumulate in a register that live instructions of Predict read, out of something that depends on labels."""
    find_live(code, lengths, space.starts, space.first, space.analysis)
    if not _is_searched(space, LEARN):
        return
    first, marks = space.first, space.analysis.names
    for register in range(marks.shape[0]):
        marks[register] = 0
    for row in range(space.starts[PREDICT], space.starts[PREDICT] + lengths[PREDICT]):
        if space.analysis.live[row]:
            op = code[row, 0]
            if IN1_TYPE[op] >= 0 and _ops_that_keep(space, LEARN, IN1_TYPE[op]) > 0:
                marks[first[IN1_TYPE[op]] + code[row, 1]] = HUNGRY
            if IN2_TYPE[op] >= 0 and _ops_that_keep(space, LEARN, IN2_TYPE[op]) > 0:
                marks[first[IN2_TYPE[op]] + code[row, 2]] = HUNGRY
    # What Predict writes itself would be overwritten; features and label are never written.
    for row in range(space.starts[PREDICT], space.starts[PREDICT] + lengths[PREDICT]):
        if space.analysis.live[row]:
            marks[first[OUT_TYPE[code[row, 0]]] + code[row, 3]] = 0
    marks[first[1]] = marks[first[1] + 2 if first[3] else first[0]] = 0
    kind, register = _draw_marked(state, space, HUNGRY)
    if kind < 0:
        grow(state, space, code, constants, lengths)
        return
    if _put(state, space, code, constants, lengths, kind, register, ACCUMULATE):
        _feed_all(state, space, code, constants, lengths, MOST_LINES - 1)
        _rescale(state, space, code, constants, lengths)


@inner()
def _draw_constant(state, space, code, lengths):
    """Return the row of a random live instruction with a constant in a searched function; -1 if there is none."""
    live = space.analysis.live
    find_live(code, lengths, space.starts, space.first, space.analysis)
    chosen, count = -1, 0
    for k in range(space.searched.shape[0]):
        function = space.searched[k]
        for row in range(space.starts[function], space.starts[function] + lengths[function]):
            if live[row] and CONSTANT_KIND[code[row, 0]] != NO_CONSTANT:
                count += 1
                if below(state, count) == 0:
                    chosen = row
    return chosen


@inner()
def _rescale(state, space, code, constants, lengths):
    """In half of all cases, scale a number that is set: what was the best step for few changes is too long, mostly, for more."""
    if below(state, 2) == 0:
        return
    row = _draw_constant(state, space, code, lengths)
    if row >= 0 and CONSTANT_KIND[code[row, 0]] == SCALAR_CONSTANT:
        constants[row, 0] *= 10.0 ** (RESCALE_HIGH - RESCALE_RANGE * unit(state))


@inner()
def tune(state, space, code, constants, lengths):
    """Scale one constant of a live instruction, in half of all cases a little; signs, and which element is set, stay."""
    row = _draw_constant(state, space, code, lengths)
    if row >= 0:
        _scale_one(state, code[row, 0], constants, row)


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
