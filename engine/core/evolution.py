"""Regularized evolution: the loop that breeds, scores and buries individuals, without ever leaving compiled code."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.core.evaluation import evaluate, probe
from engine.core.fec import fec_get, fec_put
from engine.core.fusion import fuse
from engine.core.jit import compiled, inner
from engine.core.mutation import COPY, INITIAL, mutate, randomize_function
from engine.core.population import copy_program, release, take_slot
from engine.core.programs import compact_hash, cost, decode, find_live, make_compact
from engine.core.random_stream import below, unit

# Counters of a search, all of int64.
BIRTHS, TRAIN_STEPS, EVALUATIONS, FEC_HITS, MEMO_HITS, REJECTED, BEST_BIRTH, FINDS = range(8)
COUNTERS = 8

# Why evolve() came back.
DONE, POOL_FULL, FINDS_FULL, STEPS_SPENT = 0, 1, 2, 3


class Scoring(NamedTuple):
    """Everything that turns a program into a score."""

    group: tuple  # evaluation.Group
    compact: tuple  # programs.Compact
    constant_bits: np.ndarray  # compact.constants as uint64
    constant_words: np.ndarray  # compact.constants as int64
    decoded: tuple  # programs.Decoded
    addresses: np.ndarray  # (4,) int64: decoded.words, register bank, zeros, hashes
    shape: np.ndarray  # (2,) int64: features, lanes
    scores: np.ndarray  # (D,) float64: of the last evaluation
    scratch: np.ndarray  # (D,) float64
    probe: np.ndarray  # (2,) int64: train and valid examples of the probe; 0 train examples: no equivalence cache
    budget: np.ndarray  # (2,) float64: largest cost allowed (inf: any), train examples
    median: np.ndarray  # (1,) bool: combine tasks by median instead of mean


@inner()
def _upper_median(scores, ordered):
    for k in range(ordered.shape[0]):
        value, place = scores[k], k
        while place > 0 and ordered[place - 1] > value:
            ordered[place] = ordered[place - 1]
            place -= 1
        ordered[place] = value
    return ordered[ordered.shape[0] // 2]


@inner()
def combine(scores, median, scratch):
    """Return the mean, or the (upper) median, of the tasks' scores (D,); scratch: (D,)."""
    if median:
        return _upper_median(scores, scratch)
    total = 0.0
    for task in range(scores.shape[0]):
        total += scores[task]
    return total / scores.shape[0]


@inner()
def _prepare(scoring, is_random):
    """Fuse the compact program and decode it for all groups."""
    fuse(scoring.compact)
    for g in range(scoring.group.contexts.shape[0]):
        decode(
            scoring.compact,
            scoring.constant_words,
            scoring.shape[0],
            scoring.shape[1],
            scoring.decoded,
            scoring.addresses[0],
            scoring.addresses[1],
            scoring.addresses[2],
            scoring.group.contexts[g],
        )


@inner()
def score(scoring, space, fec, memo, code, constants, lengths, counters):
    """Return the fitness of a program, from the caches where they know it."""
    if cost(code, lengths, space.starts, scoring.budget[1]) > scoring.budget[0]:
        counters[REJECTED] += 1
        return 0.0
    compact = scoring.compact
    find_live(code, lengths, space.starts, space.first, compact)
    is_random = make_compact(code, constants, lengths, space.starts, space.first, True, compact)
    key = compact_hash(compact, scoring.constant_bits)
    place = np.int64(key & np.uint64(memo.keys.shape[0] - 1))
    known = memo.keys[place] == key
    use_fec = scoring.probe[0] > 0
    if known:
        counters[MEMO_HITS] += 1
    else:
        _prepare(scoring, is_random)
        memo.keys[place] = key
        memo.scores[place] = -1.0
        if use_fec:
            memo.probe_keys[place], memo.probe_steps[place] = probe(
                scoring.group,
                is_random,
                scoring.probe[0],
                scoring.probe[1],
                scoring.addresses[3],
            )
    if use_fec:
        counters[TRAIN_STEPS] += memo.probe_steps[place]
        kept = fec_get(fec, memo.probe_keys[place])
        if kept >= 0.0:
            counters[FEC_HITS] += 1
            return kept
    if memo.scores[place] < 0.0:
        if known:
            _prepare(scoring, is_random)
        memo.steps[place] = evaluate(scoring.group, is_random, scoring.scores)
        memo.scores[place] = combine(scoring.scores, scoring.median[0], scoring.scratch)
        counters[EVALUATIONS] += 1
    counters[TRAIN_STEPS] += memo.steps[place]
    if use_fec:
        fec_put(fec, memo.probe_keys[place], memo.scores[place])
    return memo.scores[place]


@inner()
def _born(pool, slot, population, finds, counters, best):
    """Give a scored individual its birth number and its place; note it if it is the best so far."""
    birth = counters[BIRTHS]
    pool.births[slot] = birth
    place = birth % population.shape[0]
    if pool.scores[slot] > best[0]:
        best[0] = pool.scores[slot]
        counters[BEST_BIRTH] = birth
        # Pinned until it has been reported.
        pool.holders[slot] += 1
        finds[counters[FINDS], 0] = slot
        finds[counters[FINDS], 1] = counters[TRAIN_STEPS]
        counters[FINDS] += 1
    dead = population[place]
    population[place] = slot
    counters[BIRTHS] += 1
    if dead >= 0:
        release(pool, dead)


@inner()
def _tournament(state, scores, population, size):
    """Return the slot of the best of `size` draws with replacement; the first of equals."""
    parent = population[below(state, population.shape[0])]
    for _ in range(size - 1):
        other = population[below(state, population.shape[0])]
        if scores[other] > scores[parent]:
            parent = other
    return parent


@inner()
def _conceive(state, pool, population, breeding, space, initial):
    """Return the slot of a new individual: an initial one, or the child of a tournament's winner."""
    parent = breeding[1] if initial else _tournament(state, pool.scores, population, breeding[0])
    slot = take_slot(pool)
    copy_program(pool, parent, slot)
    code, constants, lengths = pool.code[slot], pool.constants[slot], pool.lengths[slot]
    mutated = unit(state) < space.probability[0]
    if initial:
        # The draw above is spent, as in the reference, but initial individuals are not mutated.
        if breeding[2]:
            for k in range(space.searched.shape[0]):
                randomize_function(state, space, space.searched[k], code, constants, lengths)
        pool.kinds[slot] = INITIAL
        pool.parents[slot] = pool.parent_births[slot] = -1
    else:
        pool.kinds[slot] = mutate(state, space, code, constants, lengths) if mutated else COPY
        pool.parents[slot], pool.parent_births[slot] = parent, pool.births[parent]
        pool.holders[parent] += 1
    return slot


@compiled()
def evolve(count, state, pool, population, breeding, space, scoring, fec, memo, finds, counters, best, step_limit):
    """Bear up to `count` individuals and return why it stopped: DONE or what the caller has to see to.

    While there are empty places these are initial individuals: copies of the program in slot breeding[1], random ones
    if breeding[2]. Then each is the mutated child of a tournament winner, breeding[0] draws, and replaces the oldest.
    breeding[3]: slot of an immigrant that is born next, as it is; -1: none.
    step_limit: training steps (of the counter) at which it stops, looked at once in a generation.
    Source: semantics section 10. Tournaments draw among all, the one about to be replaced included.
    """
    size = population.shape[0]
    for _ in range(count):
        if counters[BIRTHS] % size == 0 and counters[BIRTHS] > 0 and counters[TRAIN_STEPS] >= step_limit:
            return STEPS_SPENT
        if pool.free_count[0] == 0:
            return POOL_FULL
        if counters[FINDS] == finds.shape[0]:
            return FINDS_FULL
        slot = breeding[3]
        if slot >= 0:
            breeding[3] = -1
        else:
            slot = _conceive(state, pool, population, breeding, space, counters[BIRTHS] < size)
        code, constants, lengths = pool.code[slot], pool.constants[slot], pool.lengths[slot]
        pool.scores[slot] = score(scoring, space, fec, memo, code, constants, lengths, counters)
        _born(pool, slot, population, finds, counters, best)
    return DONE
