"""The kinds of mutation (engine.kinds.MUTATIONS; semantics section 10).

Each is (state, space, code, constants, lengths) -> None and changes a program in place. Every function has one spare row
beyond its largest size.
"""

from __future__ import annotations

from engine.core.jit import inner
from engine.core.mutation import (
    alter_instruction,
    insert_instruction,
    random_instruction,
    randomize_function,
    remove_instruction,
)
from engine.core.random_stream import below


@inner()
def random_function(state, space):
    """Return one of the functions that may change."""
    return space.searched[below(state, space.searched.shape[0])]


@inner()
def alter_parameter(state, space, code, constants, lengths):
    """Redraw one address, or alter one constant, of an instruction; its op stays."""
    function = random_function(state, space)
    if lengths[function] > 0:
        row = space.starts[function] + below(state, lengths[function])
        alter_instruction(state, space, code, constants, row)


@inner()
def randomize_instruction(state, space, code, constants, lengths):
    """Draw an instruction anew, its op included."""
    function = random_function(state, space)
    if lengths[function] > 0:
        row = space.starts[function] + below(state, lengths[function])
        random_instruction(state, space, function, code, constants, row)


@inner()
def randomize_one_function(state, space, code, constants, lengths):
    """Draw every instruction of one function anew; its length stays."""
    randomize_function(state, space, random_function(state, space), code, constants, lengths)


@inner()
def identity(state, space, code, constants, lengths):
    """Change nothing."""


@inner()
def insert(state, space, code, constants, lengths):
    """Add a random instruction, where the function may grow."""
    function = random_function(state, space)
    if lengths[function] < space.max_sizes[function]:
        insert_instruction(state, space, function, code, constants, lengths)


@inner()
def remove(state, space, code, constants, lengths):
    """Take an instruction out, where the function may shrink."""
    function = random_function(state, space)
    if lengths[function] > space.min_sizes[function]:
        remove_instruction(state, space, function, code, constants, lengths)


@inner()
def trade(state, space, code, constants, lengths):
    """Add a random instruction and take one out, so that the length stays."""
    function = random_function(state, space)
    insert_instruction(state, space, function, code, constants, lengths)
    remove_instruction(state, space, function, code, constants, lengths)


@inner()
def randomize_algorithm(state, space, code, constants, lengths):
    """Draw every instruction of every searched function anew; their lengths stay."""
    for k in range(space.searched.shape[0]):
        randomize_function(state, space, space.searched[k], code, constants, lengths)
