"""Regularized evolution: the loop that breeds, scores and buries individuals, without ever leaving compiled code."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.core import fec as at_memo
from engine.core import hurdle as at
from engine.core.assembly import assemble
from engine.core.choice import choice
from engine.core.evaluation import evaluate, evaluate_briefly, probe
from engine.core.fec import fec_get, fec_put
from engine.core.fusion import fuse
from engine.core.hurdle import clears
from engine.core.jit import compiled, inner
from engine.core.mutation import random_program, randomize_function
from engine.core.population import copy_program, release, take_slot
from engine.core.price import price
from engine.core.programs import compact_hash, cost, decode, find_live, make_compact
from engine.core.random_stream import unit
from engine.core.variation import is_valid, vary
from engine.kinds import FITNESS_COMBINATIONS, SELECTIONS

# Counters of a search, all of int64.
BIRTHS, TRAIN_STEPS, EVALUATIONS, FEC_HITS, MEMO_HITS, REJECTED, BEST_BIRTH, FINDS, CUT = range(9)
COUNTERS = 9

# Why evolve() came back.
DONE, POOL_FULL, FINDS_FULL, STEPS_SPENT, TARGET_REACHED = range(5)

COPY, INITIAL, MIGRANT = -3, -2, -1
"""Kinds of individuals that no mutation made."""

_selection = choice(SELECTIONS.values())
_combination = choice(FITNESS_COMBINATIONS.values())


class Scoring(NamedTuple):
    """Everything that turns a program into a score."""

    groups: tuple  # evaluation.Groups
    compact: tuple  # programs.Compact
    constant_bits: np.ndarray  # compact.constants as uint64
    constant_words: np.ndarray  # compact.constants as int64
    decoded: tuple  # programs.Decoded
    addresses: np.ndarray  # (3,) int64: decoded.words, register bank, zeros
    shape: np.ndarray  # (2,) int64: features, lanes
    scores: np.ndarray  # (D,) float64: of the last evaluation
    scratch: np.ndarray  # (D,) float64
    probe: np.ndarray  # (2,) int64: train and valid examples of the probe; 0 train examples: no equivalence cache
    budget: np.ndarray  # (2,) float64: largest cost allowed (inf: any), train examples
    combination: np.ndarray  # (1,) int64: of the tasks' scores, its place in FITNESS_COMBINATIONS
    hurdle: tuple  # hurdle.Hurdle
    prices: np.ndarray  # (2,) float64: of a unit of live cost an example, and of a live instruction, in selection


@inner()
def _prepare(scoring, is_random):
    """Fuse the compact program and make it ready to run, as machine code or decoded for all groups."""
    fuse(scoring.compact)
    machines = scoring.groups.machines
    if machines.shape[0] > 0:
        for k in range(machines.shape[0]):
            assemble(machines[k], scoring.compact, scoring.constant_words)
        return
    for g in range(scoring.groups.contexts.shape[0]):
        decode(
            scoring.compact,
            scoring.constant_words,
            scoring.shape[0],
            scoring.shape[1],
            scoring.decoded,
            scoring.addresses[0],
            scoring.addresses[1],
            scoring.addresses[2],
            scoring.groups.contexts[g],
        )


@inner()
def score(scoring, space, fec, memo, code, constants, lengths, counters):
    """Return the fitness of a program, from the caches where they know it."""
    if cost(code, lengths, space.starts, scoring.budget[1]) > scoring.budget[0] or not is_valid(space, code, lengths):
        counters[REJECTED] += 1
        return 0.0
    compact = scoring.compact
    find_live(code, lengths, space.starts, space.first, compact)
    is_random = make_compact(code, constants, lengths, space.starts, space.first, True, compact)
    key = compact_hash(compact, scoring.constant_bits)
    place = np.int64(key & np.uint64(memo.words.shape[0] - 1))
    row, scores = memo.words[place], memo.scores[place]
    known = row[at_memo.KEY] == key
    use_fec = scoring.probe[0] > 0
    if known:
        counters[MEMO_HITS] += 1
    else:
        _prepare(scoring, is_random)
        row[at_memo.KEY] = key
        scores[at_memo.SCORE] = scores[at_memo.SHORT_SCORE] = -1.0
        if use_fec:
            row[at_memo.PROBE_KEY], row[at_memo.PROBE_STEPS] = probe(
                scoring.groups,
                is_random,
                scoring.probe[0],
                scoring.probe[1],
            )
    if use_fec:
        counters[TRAIN_STEPS] += np.int64(row[at_memo.PROBE_STEPS])
        kept = fec_get(fec, row[at_memo.PROBE_KEY])
        if kept >= 0.0:
            counters[FEC_HITS] += 1
            return kept
    decoded = not known
    if scoring.hurdle.whole[at.TRAIN] > 0:
        if scores[at_memo.SHORT_SCORE] < 0.0:
            if not decoded:
                _prepare(scoring, is_random)
                decoded = True
            _run_briefly(scoring, is_random, row, scores)
        counters[TRAIN_STEPS] += np.int64(row[at_memo.SHORT_STEPS])
        if not clears(scoring.hurdle, scores[at_memo.SHORT_SCORE]):
            counters[CUT] += 1
            # Never above what a full evaluation has reached: a find has been evaluated in full.
            reached = min(scores[at_memo.SHORT_SCORE], scoring.hurdle.levels[at.HIGHEST])
            if use_fec:
                fec_put(fec, row[at_memo.PROBE_KEY], reached)
            return reached
    if scores[at_memo.SCORE] < 0.0:
        if not decoded:
            _prepare(scoring, is_random)
        row[at_memo.STEPS] = evaluate(scoring.groups, is_random, scoring.scores)
        scores[at_memo.SCORE] = _combination(scoring.combination[0], scoring.scores, scoring.scratch)
        counters[EVALUATIONS] += 1
    counters[TRAIN_STEPS] += np.int64(row[at_memo.STEPS])
    fitness = scores[at_memo.SCORE]
    if fitness > scoring.hurdle.levels[at.HIGHEST]:
        scoring.hurdle.levels[at.HIGHEST] = fitness
    if use_fec:
        fec_put(fec, row[at_memo.PROBE_KEY], fitness)
    return fitness


@inner()
def _run_briefly(scoring, is_random, row, kept):
    """Run the decoded program up to the hurdle and note what came out."""
    sizes = scoring.hurdle.whole
    row[at_memo.SHORT_STEPS] = evaluate_briefly(
        scoring.groups, is_random, sizes[at.TRAIN], sizes[at.VALID], sizes[at.GROUPS], scoring.scores
    )
    scores = scoring.scores[: sizes[at.TASKS]]
    kept[at_memo.SHORT_SCORE] = _combination(scoring.combination[0], scores, scoring.scratch)


@inner()
def _born(pool, slot, place, population, finds, counters, best):
    """Give a scored individual its birth number and its place; note it if it is the best so far, and return whether it is."""
    birth = counters[BIRTHS]
    pool.births[slot] = birth
    is_best = False
    if pool.scores[slot] > best[0]:
        best[0] = pool.scores[slot]
        counters[BEST_BIRTH] = birth
        # Pinned until it has been reported.
        pool.holders[slot] += 1
        finds[counters[FINDS], 0] = slot
        finds[counters[FINDS], 1] = counters[TRAIN_STEPS]
        counters[FINDS] += 1
        is_best = True
    dead = population[place]
    population[place] = slot
    counters[BIRTHS] += 1
    if dead >= 0:
        release(pool, dead)
    return is_best


@inner()
def _conceive(state, pool, parent, newcomer, breeding, space):
    """Return the slot of a new individual: the child of the parent in a slot, or an initial one where that is -1.

    newcomer: the initial one is mutated. Where the initial program is an individual itself, initial ones are its children.
    """
    slot = take_slot(pool)
    copy_program(pool, parent if parent >= 0 else breeding[1], slot)
    code, constants, lengths = pool.code[slot], pool.constants[slot], pool.lengths[slot]
    mutated = unit(state) < space.probability[0]
    if parent < 0 and breeding[6] and not breeding[5]:
        parent, mutated = breeding[1], newcomer
    if parent < 0:
        # The draw above is spent, as in the reference, but nothing is mutated.
        if breeding[5]:
            random_program(state, space, code, constants, lengths)
        elif breeding[2]:
            for k in range(space.searched.shape[0]):
                randomize_function(state, space, space.searched[k], code, constants, lengths)
        elif newcomer:
            first = breeding[1]
            vary(state, space, (pool.code[first], pool.constants[first], pool.lengths[first]), code, constants, lengths)
        pool.kinds[slot] = INITIAL
        pool.parents[slot] = pool.parent_births[slot] = -1
    else:
        pool.kinds[slot] = COPY
        if mutated:
            before = pool.code[parent], pool.constants[parent], pool.lengths[parent]
            pool.kinds[slot] = vary(state, space, before, code, constants, lengths)
        pool.parents[slot], pool.parent_births[slot] = parent, pool.births[parent]
        pool.holders[parent] += 1
    return slot


@compiled()
def evolve(
    count, state, pool, population, breeding, space, scoring, fec, memo, finds, counters, best, step_limit, target
):
    """Bear up to `count` individuals and return why it stopped: DONE or what the caller has to see to.

    breeding: draws of a tournament; slot of the initial program; whether initial individuals are random; slot of an
    immigrant that is born next, as it is, or -1; the selection's place in SELECTIONS; whether no child has a parent; whether the
    initial program is an individual that was born.
    While there are empty places the children are initial individuals. step_limit: training steps (of the counter) at
    which it stops, looked at once in a generation. target: it stops after a best so far with a higher score.
    Source: semantics section 10.
    """
    size = population.shape[0]
    for _ in range(count):
        birth = counters[BIRTHS]
        if birth % size == 0 and birth > 0 and counters[TRAIN_STEPS] >= step_limit:
            return STEPS_SPENT
        if pool.free_count[0] == 0:
            return POOL_FULL
        if counters[FINDS] == finds.shape[0]:
            return FINDS_FULL
        parent, place = np.int64(-1), birth
        if birth >= size:
            parent, place = _selection(breeding[4], state, pool.merits, pool.births, population, breeding[0], birth)
        newcomer = space.probability[2] > 0.0 and parent >= 0 and unit(state) < space.probability[2]
        if newcomer:
            parent = -1
        slot = breeding[3]
        if slot >= 0:
            breeding[3] = -1
        else:
            slot = _conceive(state, pool, parent, newcomer, breeding, space)
        code, constants, lengths = pool.code[slot], pool.constants[slot], pool.lengths[slot]
        pool.scores[slot] = score(scoring, space, fec, memo, code, constants, lengths, counters)
        pool.merits[slot] = pool.scores[slot]
        if scoring.prices[0] > 0.0 or scoring.prices[1] > 0.0:
            pool.merits[slot] -= price(space, scoring.prices, code, lengths)
        if _born(pool, slot, place, population, finds, counters, best) and best[0] > target:
            return TARGET_REACHED
    return DONE
