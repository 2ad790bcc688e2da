"""The living and their ancestors: a pool of individuals that keeps exactly what a living one descends from.

An individual is a slot of the pool. It is held by its place in the population, by each of its children, and by pins (of
individuals that are to be stored); when nothing holds it any more its slot is free again, and its parent loses a child.
So the pool's size depends on the population and on how far back its lines meet, not on how long the search has run.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from engine.core.jit import compiled, inner
from engine.core.kernel import copy_words


class Pool(NamedTuple):
    """N slots; see engine/core/programs.py for the form of programs."""

    code: np.ndarray  # (N, S, 4) int16
    constants: np.ndarray  # (N, S, 3) float64
    lengths: np.ndarray  # (N, 3) int32
    scores: np.ndarray  # (N,) float64
    merits: np.ndarray  # (N,) float64: what selection compares: the score less what the program's cost takes from it
    births: np.ndarray  # (N,) int64: serial number in the island
    parents: np.ndarray  # (N,) int64: slot, -1 where the parent is settled, on another island, or there is none
    parent_births: np.ndarray  # (N,) int64: -1 for an initial individual; an immigrant's: on the island it came from
    holders: np.ndarray  # (N,) int32: population place + children + pins; 0: free
    kinds: np.ndarray  # (N,) int8: mutation kind
    stored: np.ndarray  # (N,) uint8: whether it has been reported
    free: np.ndarray  # (N,) int32: stack of free slots
    free_count: np.ndarray  # (1,) int64


def new_pool(size: int, rows: int) -> Pool:
    """Return an empty pool of `size` slots for programs of `rows` rows."""
    return Pool(
        np.zeros((size, rows, 4), np.int16), np.zeros((size, rows, 3)), np.zeros((size, 3), np.int32), np.zeros(size), np.zeros(size),
        np.zeros(size, np.int64), np.full(size, -1, np.int64), np.full(size, -1, np.int64), np.zeros(size, np.int32),
        np.zeros(size, np.int8), np.zeros(size, np.uint8), np.arange(size - 1, -1, -1, dtype=np.int32),
        np.array([size], np.int64),
    )  # fmt: skip


def grown(pool: Pool, size: int) -> Pool:
    """Return the pool with room for `size` slots, all slots as they were."""
    old = len(pool.scores)
    larger = new_pool(size, pool.code.shape[1])
    for name in Pool._fields[:-2]:
        getattr(larger, name)[:old] = getattr(pool, name)
    used = int(pool.free_count[0])
    added = size - old
    larger.free[:added] = np.arange(size - 1, old - 1, -1)
    larger.free[added : added + used] = pool.free[:used]
    larger.free_count[0] = added + used
    return larger


@compiled()
def take_slot(pool):
    """Return a free slot, held once. There must be one."""
    pool.free_count[0] -= 1
    slot = pool.free[pool.free_count[0]]
    pool.holders[slot] = 1
    pool.stored[slot] = 0
    return slot


@inner()
def copy_program(pool, source, target):
    """Copy the program of one slot to another."""
    before = pool.code[source], pool.constants[source], pool.lengths[source]
    copy_over(before, pool.code[target], pool.constants[target], pool.lengths[target])


@inner()
def copy_over(before, code, constants, lengths):
    """Copy the program `before` (code, constants, lengths) over another of the same space."""
    rows = code.shape[0]
    # A row of code is one word, its constants are three.
    copy_words(code.ctypes.data, before[0].ctypes.data, rows)
    copy_words(constants.ctypes.data, before[1].ctypes.data, 3 * rows)
    for function in range(3):
        lengths[function] = before[2][function]


@compiled()
def release(pool, slot):
    """Let go of an individual once; frees it, and then its ancestors, as far as nothing else holds them."""
    while slot >= 0:
        pool.holders[slot] -= 1
        if pool.holders[slot] > 0:
            return
        pool.free[pool.free_count[0]] = slot
        pool.free_count[0] += 1
        slot = pool.parents[slot]


@compiled()
def unstored_line(pool, slot, slots):
    """Write into `slots` the individual and its ancestors back to the last one stored, mark them stored; return how many."""
    count = 0
    while slot >= 0 and not pool.stored[slot]:
        pool.stored[slot] = 1
        slots[count] = slot
        count += 1
        slot = pool.parents[slot]
    return count


@compiled()
def settled_lines(pool, population, shortest, children, slots, ends):
    """Write into `slots` the trunks of the pool's roots, one after the other, each in order of birth, and where they end
    into `ends`; return how many trunks.

    A trunk is a root and those after it that are dead and have one child each: what all living ones of that root descend
    from. While there are several roots, trunks with fewer than `shortest` individuals are left alone: most roots die out.
    children: (N,) int64 of scratch.
    """
    alive = pool.births[population[0]]
    for place in range(1, population.shape[0]):
        alive = min(alive, pool.births[population[place]])
    roots = 0
    for slot in range(pool.scores.shape[0]):
        parent = pool.parents[slot]
        if pool.holders[slot] > 0:
            if parent < 0:
                roots += 1
            else:
                children[parent] = slot
    count = trunks = 0
    for root in range(pool.scores.shape[0]):
        if pool.holders[root] <= 0 or pool.parents[root] >= 0:
            continue
        begin = count
        slot = np.int64(root)
        while pool.holders[slot] == 1 and pool.births[slot] < alive:
            slots[count] = slot
            count += 1
            slot = children[slot]
        if count - begin < (2 if roots == 1 else shortest):
            count = begin
        else:
            ends[trunks] = count
            trunks += 1
    return trunks


@compiled()
def drop_trunk(pool, slots, begin, end):
    """Free a settled trunk but for its last individual, which is a root from now on."""
    for k in range(begin, end - 1):
        pool.parents[slots[k + 1]] = -1
        release(pool, slots[k])


@compiled()
def difference(old_code, old_constants, old_lengths, new_code, new_constants, new_lengths, starts, edits):
    """Compare two programs of the same space function by function: edits (3, 3) int64 rows (start, removed, inserted).

    Outside that one stretch the functions are the same; removed and inserted are 0 where nothing differs.
    """
    for function in range(3):
        base, old, new = starts[function], old_lengths[function], new_lengths[function]
        shorter = min(old, new)
        begin = 0
        while begin < shorter and _same_row(
            old_code, old_constants, base + begin, new_code, new_constants, base + begin
        ):
            begin += 1
        end = 0
        while end < shorter - begin and _same_row(
            old_code, old_constants, base + old - 1 - end, new_code, new_constants, base + new - 1 - end
        ):
            end += 1
        edits[function, 0], edits[function, 1], edits[function, 2] = begin, old - end - begin, new - end - begin


@inner()
def _same_row(code, constants, row, other_code, other_constants, other_row):
    for k in range(4):
        if code[row, k] != other_code[other_row, k]:
            return False
    for k in range(3):
        a, b = constants[row, k], other_constants[other_row, k]
        if a != b or (a == 0.0 and math.copysign(1.0, a) != math.copysign(1.0, b)):
            return False
    return True
