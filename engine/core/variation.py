"""How a child comes to differ from its parent: random kinds of mutation, once or several times, until it is valid."""

from __future__ import annotations

from engine.core.choice import choice
from engine.core.jit import inner
from engine.core.population import copy_over
from engine.core.random_stream import unit
from engine.core.validity import prediction_sources
from engine.kinds import MUTATIONS

CHAIN = 16
"""Mutations of an invalid parent's child before it begins anew with a copy."""

_mutation = choice(MUTATIONS.values())


@inner()
def mutate(state, space, code, constants, lengths):
    """Change a program in place by one mutation of a random kind; return the kind, its place in MUTATIONS."""
    kind = space.kinds[space.kinds.shape[0] - 1]
    draw = unit(state)
    for k in range(space.kinds.shape[0]):
        if draw < space.cumulative[k]:
            kind = space.kinds[k]
            break
    _mutation(kind, state, space, code, constants, lengths)
    return kind


@inner()
def is_valid(space, code, lengths):
    """Whether the prediction depends on all sources that it has to."""
    wanted = space.validity[0]
    if wanted == 0:
        return True
    analysis = space.analysis
    found = prediction_sources(code, lengths, space.starts, space.first, analysis.names, analysis.sets[2])
    return found & wanted == wanted


@inner()
def vary(state, space, before, code, constants, lengths):
    """Mutate a copy of the program `before` (code, constants, lengths), in place, and again if it has become invalid; return
    the kind of the last mutation."""
    grows = space.validity[0] != 0 and not is_valid(space, before[0], before[2])
    kind = 0
    for attempt in range(space.validity[1]):
        if attempt > 0 and not (grows and attempt % CHAIN):
            copy_over(before, code, constants, lengths)
        kind = mutate(state, space, code, constants, lengths)
        while space.probability[1] > 0.0 and unit(state) < space.probability[1]:
            kind = mutate(state, space, code, constants, lengths)
        if is_valid(space, code, lengths):
            break
    return kind
