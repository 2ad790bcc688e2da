"""Mutations that follow the data flow: what they add is read, what they read is computed, what they change is live.

Most random edits of a learner touch instructions that nothing reads, or read registers that hold nothing. These kinds look at
which instructions are live first (backward data flow, `programs.find_live`), and change only what reaches the prediction.
They know nothing of learning: which op is put where is as random as in the other kinds.
"""

from __future__ import annotations

from engine.core.jit import inner
from engine.core.mutation import alter_constant, clear_row, copy_row, random_operands, write_address
from engine.core.programs import find_live, needed_before
from engine.core.random_stream import below
from engine.core.tables import CONSTANT_KIND, IN1_TYPE, IN2_TYPE, KEEPS_OUTPUT, NO_CONSTANT, OUT_TYPE


@inner()
def input_type(op, slot):
    """Return the type of an op's first or second operand, -1 if it has none."""
    return IN1_TYPE[op] if slot == 0 else IN2_TYPE[op]


@inner()
def pick_live(state, space, code, lengths, live, with_inputs):
    """Return (function, row) of a random live instruction of a random function searched that has one; row -1 if none has."""
    found = 0
    function = row = -1
    for k in range(space.searched.shape[0]):
        candidate = space.searched[k]
        place = _live_row(state, space, code, lengths, live, with_inputs, candidate)
        if place >= 0:
            found += 1
            if below(state, found) == 0:
                function, row = candidate, place
    return function, row


@inner()
def _live_row(state, space, code, lengths, live, with_inputs, function):
    """Return a random row of a function that is live, with_inputs: and reads something; -1 if there is none."""
    start = space.starts[function]
    count = 0
    for row in range(start, start + lengths[function]):
        count += live[row] and (not with_inputs or IN1_TYPE[code[row, 0]] >= 0)
    if count == 0:
        return -1
    choice = below(state, count)
    for row in range(start, start + lengths[function]):
        if live[row] and (not with_inputs or IN1_TYPE[code[row, 0]] >= 0):
            if choice == 0:
                return row
            choice -= 1
    return -1


@inner()
def computed_register(state, space, code, lengths, live, kind):
    """Return a random register of a type among those that hold something: example, prediction, what live lines write."""
    marks = space.analysis.names
    base = space.first[kind]
    for register in range(space.registers[kind]):
        marks[base + register] = 0
    if kind == 1:
        marks[base] = 1
    if kind == space.first[3]:
        # Label and prediction: s0 and s1, or v2 and v1.
        marks[base + 1] = marks[base + 2 * kind] = 1
    for function in range(3):
        for row in range(space.starts[function], space.starts[function] + lengths[function]):
            if live[row] and OUT_TYPE[code[row, 0]] == kind:
                marks[base + code[row, 3]] = 1
    count = 0
    for register in range(space.registers[kind]):
        count += marks[base + register]
    if count == 0:
        return below(state, space.registers[kind])
    choice = below(state, count)
    for register in range(space.registers[kind]):
        if marks[base + register]:
            if choice == 0:
                return register
            choice -= 1
    return 0


@inner()
def free_register(state, space, needed, kind):
    """Return a random register of a type that may be written and that nothing needs; any writable one if there is none."""
    base = space.first[kind]
    lowest = 0 if kind == 2 else 1
    count = 0
    for register in range(lowest, space.registers[kind]):
        if not needed[base + register]:
            count += 1
    if count == 0:
        return write_address(state, space, kind)
    choice = below(state, count)
    for register in range(lowest, space.registers[kind]):
        if not needed[base + register]:
            if choice == 0:
                return register
            choice -= 1
    return lowest


@inner()
def make_room(state, space, function, row, code, constants, lengths, live):
    """Return where `row` stands after a dead instruction has been removed if the function is full; -1 if none is dead."""
    if lengths[function] < space.max_sizes[function]:
        return row
    start, end = space.starts[function], space.starts[function] + lengths[function]
    dead = 0
    for other in range(start, end):
        if not live[other]:
            dead += 1
    if dead == 0:
        return -1
    choice = below(state, dead)
    for other in range(start, end):
        if not live[other]:
            if choice == 0:
                for k in range(other, end - 1):
                    copy_row(code, constants, k + 1, k)
                    live[k] = live[k + 1]
                clear_row(code, constants, end - 1)
                lengths[function] -= 1
                return row - 1 if other < row else row
            choice -= 1
    return -1


@inner()
def ops_that_write(space, function, kind):
    """Return how many of the ops that a function may have write a type."""
    count = 0
    for k in range(space.ops_start[function], space.ops_start[function + 1]):
        count += OUT_TYPE[space.ops[k]] == kind
    return count


@inner()
def draw_op_that_writes(state, space, function, kind):
    """Return a random one of them. There must be one."""
    choice = below(state, ops_that_write(space, function, kind))
    for k in range(space.ops_start[function], space.ops_start[function + 1]):
        if OUT_TYPE[space.ops[k]] == kind:
            if choice == 0:
                return space.ops[k]
            choice -= 1
    return 0


@inner()
def put_dead(state, space, function, row, op, code, constants, lengths, live):
    """Put an instruction with random operands at a row, marked as dead; what stood there and after it moves on."""
    for k in range(space.starts[function] + lengths[function], row, -1):
        copy_row(code, constants, k - 1, k)
        live[k] = live[k - 1]
    lengths[function] += 1
    code[row, 0] = op
    live[row] = 0
    random_operands(state, space, code, constants, row)


@inner()
def graft(state, space, code, constants, lengths):
    """Put an instruction on the way to an operand of a live one: what it reads, f(what it read, something computed)."""
    graft_operand(state, space, code, constants, lengths, 0)


@inner()
def graft_operand(state, space, code, constants, lengths, hunger):
    """Graft; `hunger` times in four the other operand is a register that holds nothing yet. Return whether there was a place."""
    analysis = space.analysis
    live = analysis.live
    find_live(code, lengths, space.starts, space.first, analysis)
    function, row = pick_live(state, space, code, lengths, live, True)
    if row < 0:
        return False
    slot = below(state, 2) if IN2_TYPE[code[row, 0]] >= 0 else 0
    kind = input_type(code[row, 0], slot)
    if ops_that_write(space, function, kind) == 0:
        return False
    row = make_room(state, space, function, row, code, constants, lengths, live)
    if row < 0:
        return False
    op = draw_op_that_writes(state, space, function, kind)
    needed_before(code, lengths, space.starts, space.first, analysis, function, row)
    out = free_register(state, space, analysis.sets[1], kind)
    old = code[row, 1 + slot]
    put_dead(state, space, function, row, op, code, constants, lengths, live)
    inputs = (1 if IN1_TYPE[op] >= 0 else 0) + (1 if IN2_TYPE[op] >= 0 else 0)
    through = -1
    matches = (1 if IN1_TYPE[op] == kind else 0) + (1 if IN2_TYPE[op] == kind else 0)
    if matches == 2:
        through = below(state, 2)
    elif matches == 1:
        through = 0 if IN1_TYPE[op] == kind else 1
    for k in range(inputs):
        if k == through:
            code[row, 1 + k] = old
        elif below(state, 4) < hunger:
            code[row, 1 + k] = free_register(state, space, analysis.sets[1], input_type(op, k))
        else:
            code[row, 1 + k] = computed_register(state, space, code, lengths, live, input_type(op, k))
    code[row, 3] = out
    code[row + 1, 1 + slot] = out
    return True


@inner()
def bypass(state, space, code, constants, lengths):
    """Let a live instruction read an input of what computes one of its operands, instead of that operand."""
    live = space.analysis.live
    find_live(code, lengths, space.starts, space.first, space.analysis)
    function, row = pick_live(state, space, code, lengths, live, True)
    if row < 0:
        return
    slot = below(state, 2) if IN2_TYPE[code[row, 0]] >= 0 else 0
    kind = input_type(code[row, 0], slot)
    register = code[row, 1 + slot]
    for source in range(row - 1, space.starts[function] - 1, -1):
        op = code[source, 0]
        if OUT_TYPE[op] != kind or code[source, 3] != register or KEEPS_OUTPUT[op]:
            continue
        matches = (1 if IN1_TYPE[op] == kind else 0) + (1 if IN2_TYPE[op] == kind else 0)
        if matches == 2:
            code[row, 1 + slot] = code[source, 1 + below(state, 2)]
        elif matches == 1:
            code[row, 1 + slot] = code[source, 1 if IN1_TYPE[op] == kind else 2]
        else:
            break
        return
    code[row, 1 + slot] = computed_register(state, space, code, lengths, live, kind)


@inner()
def rewire(state, space, code, constants, lengths):
    """Let a live instruction read another register that holds something, or alter its constant."""
    live = space.analysis.live
    find_live(code, lengths, space.starts, space.first, space.analysis)
    _, row = pick_live(state, space, code, lengths, live, False)
    if row < 0:
        return
    op = code[row, 0]
    if CONSTANT_KIND[op] != NO_CONSTANT:
        alter_constant(state, space, op, constants, row)
        return
    inputs = 2 if IN2_TYPE[op] >= 0 else 1
    choice = below(state, inputs + 1)
    if choice == inputs:
        code[row, 3] = write_address(state, space, OUT_TYPE[op])
    elif IN1_TYPE[op] >= 0:
        code[row, 1 + choice] = computed_register(state, space, code, lengths, live, input_type(op, choice))
