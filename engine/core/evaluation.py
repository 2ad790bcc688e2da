"""Runs decoded programs on all groups of task lanes: full evaluations, and the short probe of the equivalence cache."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types, uint64
from numba.extending import intrinsic

from engine.core import context as at
from engine.core.jit import compiled, inner
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
    random: np.ndarray  # (4, L) uint64
    lane_steps: np.ndarray  # (L,) int64: scratch
    lane_fitness: np.ndarray  # (L,) float64: scratch
    seeds: np.ndarray  # (G, L) uint64: of each task's random stream
    full: np.ndarray  # (3,) int64: train examples, valid examples, epochs of a full evaluation


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
def _run_group(group, g):
    """Run the kernel for group g, and lane by lane where lanes differ in a way that one run cannot follow."""
    ctx = group.contexts[g]
    call_kernel(group.kernel[0], group.addresses[g])
    if ctx[at.PARTIAL_FAILURE] == 0:
        return
    # Some lanes failed a validation that others passed, with epochs to follow: the failed ones should have stopped
    # there and then, since validation writes to live memory. Alone, each lane does.
    lanes = group.active.shape[1]
    steps, fitness = group.lane_steps, group.lane_fitness
    for lane in range(group.tasks[g]):
        for other in range(lanes):
            group.active[g, other] = -1 if other == lane else 0
        call_kernel(group.kernel[0], group.addresses[g])
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
        ctx[at.HASHES] = 0
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
def probe(group, is_random, train_examples, valid_examples, hashes):
    """Run the first few examples and return (key of the errors, training steps).

    hashes: address of group.hashes. Programs with the same absolute errors on the same examples, on every task, share a
    key; a lane's errors end with its failure.
    """
    steps = 0
    key = uint64(0)
    for g in range(group.contexts.shape[0]):
        ctx = group.contexts[g]
        ctx[at.TRAIN_COUNT], ctx[at.VALID_COUNT], ctx[at.EPOCHS] = train_examples, valid_examples, 1
        ctx[at.HASHES] = hashes
        for lane in range(group.hashes.shape[0]):
            group.hashes[lane] = uint64(0x9E3779B97F4A7C15)
        if is_random:
            _seed_lanes(group.random, group.seeds[g], PROBE_STREAM)
        call_kernel(group.kernel[0], group.addresses[g])
        for lane in range(group.tasks[g]):
            steps += group.steps[g, lane]
            key = mix(key ^ group.hashes[lane])
    return key, steps
