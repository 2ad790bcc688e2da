"""Runs decoded programs on all groups of task lanes: full evaluations, and the short probe of the equivalence cache."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types, uint64
from numba.extending import intrinsic

from engine.core import assembly as code
from engine.core import context as at
from engine.core.frame import LAST_FEATURES, TRAIN_COUNT, TRAIN_FEATURES, TRAIN_LABELS
from engine.core.jit import compiled, inner
from engine.core.kernel import TWO_OVER_PI, zero_words
from engine.core.lanes import I64
from engine.core.random_stream import mix


class Group(NamedTuple):
    """Arrays of all lane groups: G groups of L lanes; lane l of group g is task g * L + l while that is below D."""

    contexts: np.ndarray  # (G, WORDS) int64
    addresses: np.ndarray  # (G,) int64: of each context
    kernel: np.ndarray  # (1,) int64: address of the compiled kernel
    tasks: np.ndarray  # (G,) int64: lanes in use
    active: np.ndarray  # (G, L) int64: 0 or -1
    steps: np.ndarray  # (G, L) int64
    fitness: np.ndarray  # (G, L) float64
    hashes: np.ndarray  # (L,) uint64: of the errors of a probe
    hash_address: np.ndarray  # (1,) int64: of hashes
    random: np.ndarray  # (4, L) uint64
    lane_steps: np.ndarray  # (L,) int64: scratch
    lane_fitness: np.ndarray  # (L,) float64: scratch
    seeds: np.ndarray  # (G, L) uint64: of each task's random stream
    full: np.ndarray  # (3,) int64: train examples, valid examples, epochs of a full evaluation
    machine: np.ndarray  # (assembly.WORDS,) int64; without stencils it is empty, and the kernel interprets
    frame: np.ndarray  # (words,) int64: what machine code works on; hashes, random and the next three are parts of it
    alive: np.ndarray  # (L,) int64
    totals: np.ndarray  # (L,) float64
    lost: np.ndarray  # (L,) int64
    trained: np.ndarray  # (L,) int64: scratch


PROBE_STREAM = 235732282
"""Separates the probe's random streams from those of the evaluation."""


@intrinsic
def call_kernel(typing_context, kernel, context_address):
    """Call void kernel(int64 context) at an address."""

    def generate(context, builder, signature, arguments):
        function_type = ir.FunctionType(ir.VoidType(), [I64])
        function = builder.inttoptr(arguments[0], function_type.as_pointer())
        builder.call(function, [arguments[1]])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@inner()
def _seed_lanes(random, seeds, purpose):
    """Seed each lane's stream, as pure functions of the task's seed and the purpose."""
    for lane in range(seeds.shape[0]):
        counter = mix(seeds[lane] ^ mix(uint64(purpose)))
        for word in range(4):
            counter += uint64(0x9E3779B97F4A7C15)
            random[word, lane] = mix(counter)


@inner()
def _run(group, g, hashing):
    """Run the loaded program on group g, as machine code or by the interpreter; hashing: errors are, and nothing is scored."""
    if group.machine.shape[0] == 0:
        group.contexts[g][at.HASHES] = group.hash_address[0] if hashing else 0
        call_kernel(group.kernel[0], group.addresses[g])
    else:
        _run_machine(group, g, hashing)


@inner()
def _run_machine(group, g, hashing):
    """Do for copied code what the kernel (engine/core/kernel.py) does for interpreted code."""
    ctx, machine, frame, alive = group.contexts[g], group.machine, group.frame, group.alive
    steps, fitness = group.steps[g], group.fitness[g]
    base = machine[code.FRAME]
    lanes = alive.shape[0]
    ctx[at.PARTIAL_FAILURE] = 0
    frame[LAST_FEATURES] = 0
    frame[TRAIN_FEATURES], frame[TRAIN_LABELS] = ctx[at.TRAIN_FEATURES], ctx[at.TRAIN_LABELS]
    zero_words(base + machine[code.BANK], machine[code.BANK_BYTES] >> 3)
    running = 0
    for lane in range(lanes):
        alive[lane] = group.active[g, lane]
        running -= alive[lane]
        steps[lane] = 0
        fitness[lane] = 0.0
    if machine[code.SETUP] != 0:
        code.call_code(machine[code.SETUP], base, 0, 0, 0, 0, 0)
    train_count, valid_count, epochs = ctx[at.TRAIN_COUNT], ctx[at.VALID_COUNT], ctx[at.EPOCHS]
    frame[TRAIN_COUNT] = train_count
    for epoch in range(epochs):
        for lane in range(lanes):
            group.lost[lane] = 0
        if train_count > 0:
            order = ctx[at.ORDERS] + 8 * (epoch - 1) * ctx[at.ORDER_STRIDE]
            code.call_code(machine[code.TRAIN], base, 0, 0, train_count, order, hashing)
        left = 0
        for lane in range(lanes):
            steps[lane] += group.lost[lane]
            if alive[lane] != 0:
                steps[lane] += train_count
                left += 1
            group.trained[lane] = alive[lane]
        if left == 0:
            break
        if valid_count == 0:
            continue
        code.call_code(machine[code.VALID], base, ctx[at.VALID_FEATURES], ctx[at.VALID_LABELS], valid_count, 0, hashing)
        if hashing:
            break
        for lane in range(lanes):
            if group.trained[lane] == 0:
                continue
            if alive[lane] == 0:
                if epoch + 1 < epochs and running > 1:
                    ctx[at.PARTIAL_FAILURE] = 1
                alive[lane] = group.trained[lane]
                continue
            total = group.totals[lane]
            if ctx[at.IS_ACCURACY] != 0:
                score = 1.0 - total / valid_count
            else:
                score = 1.0 - TWO_OVER_PI * math.atan(math.sqrt(total / valid_count))
            if score > fitness[lane]:
                fitness[lane] = score
    ctx[at.LAST_FEATURES] = frame[LAST_FEATURES]


@inner()
def _run_group(group, g):
    """Run the program on group g, and lane by lane where lanes differ in a way that one run cannot follow."""
    ctx = group.contexts[g]
    _run(group, g, 0)
    if ctx[at.PARTIAL_FAILURE] == 0:
        return
    # Some lanes failed a validation that others passed, with epochs to follow: the failed ones should have stopped
    # there and then, since validation writes to live memory. Alone, each lane does.
    lanes = group.active.shape[1]
    steps, fitness = group.lane_steps, group.lane_fitness
    for lane in range(group.tasks[g]):
        for other in range(lanes):
            group.active[g, other] = -1 if other == lane else 0
        _run(group, g, 0)
        steps[lane], fitness[lane] = group.steps[g, lane], group.fitness[g, lane]
    for lane in range(group.tasks[g]):
        group.active[g, lane] = -1
        group.steps[g, lane], group.fitness[g, lane] = steps[lane], fitness[lane]


@inner()
def _evaluate(group, is_random, train_examples, valid_examples, epochs, groups, scores):
    steps = 0
    task = 0
    for g in range(groups):
        ctx = group.contexts[g]
        ctx[at.TRAIN_COUNT], ctx[at.VALID_COUNT], ctx[at.EPOCHS] = train_examples, valid_examples, epochs
        if is_random:
            _seed_lanes(group.random, group.seeds[g], 0)
        _run_group(group, g)
        for lane in range(group.tasks[g]):
            steps += group.steps[g, lane]
            scores[task] = group.fitness[g, lane]
            task += 1
    return steps


@compiled()
def evaluate(group, is_random, scores):
    """Evaluate the decoded program on every task into scores (D,); return the training steps, summed over tasks."""
    full = group.full
    return _evaluate(group, is_random, full[0], full[1], full[2], group.contexts.shape[0], scores)


@inner()
def evaluate_briefly(group, is_random, train_examples, valid_examples, groups, scores):
    """Evaluate as `evaluate` does, but with the first examples only, one epoch, and the first groups of tasks."""
    return _evaluate(group, is_random, train_examples, valid_examples, 1, groups, scores)


@inner()
def probe(group, is_random, train_examples, valid_examples):
    """Run the first few examples and return (key of the errors, training steps).

    Programs with the same absolute errors on the same examples, on every task, share a
    key; a lane's errors end with its failure.
    """
    steps = 0
    key = uint64(0)
    for g in range(group.contexts.shape[0]):
        ctx = group.contexts[g]
        ctx[at.TRAIN_COUNT], ctx[at.VALID_COUNT], ctx[at.EPOCHS] = train_examples, valid_examples, 1
        for lane in range(group.hashes.shape[0]):
            group.hashes[lane] = uint64(0x9E3779B97F4A7C15)
        if is_random:
            _seed_lanes(group.random, group.seeds[g], PROBE_STREAM)
        _run(group, g, 1)
        for lane in range(group.tasks[g]):
            steps += group.steps[g, lane]
            key = mix(key ^ group.hashes[lane])
    return key, steps
