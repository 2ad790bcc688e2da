"""Who has a child, and who dies for it (engine.kinds.SELECTIONS).

Every scheme is (state, scores, births, population, tournament_size, birth) -> (slot of the parent or -1, place that the child
takes). scores, births: of all slots; population: slot at each place, all taken; birth: the child's number.
"""

from __future__ import annotations

from engine.core.jit import inner
from engine.core.random_stream import below


@inner()
def tournament(state, scores, population, size):
    """Return the slot of the best of `size` draws with replacement; the first of equals."""
    parent = population[below(state, population.shape[0])]
    for _ in range(size - 1):
        other = population[below(state, population.shape[0])]
        if scores[other] > scores[parent]:
            parent = other
    return parent


@inner()
def regularized(state, scores, births, population, tournament_size, birth):
    """A tournament's winner, among all; the oldest dies. As in the reference: the oldest may still win."""
    return tournament(state, scores, population, tournament_size), birth % population.shape[0]


@inner()
def regularized_paper(state, scores, births, population, tournament_size, birth):
    """As in the paper: the oldest dies first, and the tournament is among the others."""
    size = population.shape[0]
    oldest = birth % size
    parent = -1
    for _ in range(tournament_size):
        other = population[(oldest + 1 + below(state, size - 1)) % size]
        if parent < 0 or scores[other] > scores[parent]:
            parent = other
    return parent, oldest


@inner()
def elitist(state, scores, births, population, tournament_size, birth):
    """A tournament's winner; the worst dies, of equals the oldest, so that neutral changes still spread."""
    parent = tournament(state, scores, population, tournament_size)
    worst = 0
    for place in range(1, population.shape[0]):
        one, other = population[place], population[worst]
        if scores[one] < scores[other] or (scores[one] == scores[other] and births[one] < births[other]):
            worst = place
    return parent, worst


@inner()
def random_search(state, scores, births, population, tournament_size, birth):
    """No parent: every child is a random program of the same space."""
    return -1, birth % population.shape[0]


@inner()
def ring(state, scores, births, population, tournament_size, birth):
    """Places stand in a ring, and the oldest's neighbours, twice the tournament's size to each side, compete to replace it.

    What is good spreads from neighbour to neighbour, so that several lines have time to become good in their own ways.
    """
    size = population.shape[0]
    oldest = birth % size
    reach = min(2 * tournament_size, (size - 1) // 2)
    parent = population[oldest]
    for draw in range(tournament_size):
        other = population[(oldest + size - reach + below(state, 2 * reach + 1)) % size]
        if draw == 0 or scores[other] > scores[parent]:
            parent = other
    return parent, oldest
