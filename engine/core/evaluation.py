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
from engine.core.kernel import TWO_OVER_PI, load_double, load_word, store_double, store_word, zero_words
from engine.core.lanes import I64
from engine.core.random_stream import mix


class Groups(NamedTuple):
    """The groups of lanes that an evaluator's tasks are divided into, in the tasks' order. What belongs to one hangs from its context."""

    contexts: np.ndarray  # (G, context.WORDS) int64
    machines: np.ndarray  # (M, assembly.WORDS) int64: one for each width of groups; none: programs are interpreted
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
def _context(groups, g):
    """Return the address of a group's context. All below get it."""
    return groups.contexts.ctypes.data + 8 * at.WORDS * g


@inner()
def _get(ctx, word):
    return load_word(ctx + 8 * word)


@inner()
def _set(ctx, word, value):
    store_word(ctx + 8 * word, value)


@inner()
def _seed_lanes(ctx, purpose):
    """Seed each lane's stream, as pure functions of the task's seed and the purpose."""
    lanes, seeds, random = _get(ctx, at.LANES), _get(ctx, at.SEEDS), _get(ctx, at.RANDOM)
    for lane in range(lanes):
        counter = mix(uint64(load_word(seeds + 8 * lane)) ^ mix(uint64(purpose)))
        for word in range(4):
            counter += uint64(0x9E3779B97F4A7C15)
            store_word(random + 8 * (word * lanes + lane), np.int64(mix(counter)))


@inner()
def _run(ctx, hashing):
    """Run the loaded program on a group, as machine code or by the interpreter; hashing: errors are, and nothing is scored."""
    if _get(ctx, at.MACHINE) == 0:
        _set(ctx, at.HASHES, _get(ctx, at.HASH_PLACE) if hashing else 0)
        call_kernel(_get(ctx, at.KERNEL), ctx)
    else:
        _run_machine(ctx, _get(ctx, at.MACHINE), hashing)


@inner()
def _run_machine(ctx, machine, hashing):
    """Do for copied code what the kernel (engine/core/kernel.py) does for interpreted code."""
    alive, totals, lost, trained = _get(ctx, at.ALIVE), _get(ctx, at.TOTALS), _get(ctx, at.LOST), _get(ctx, at.SPARE)
    active, steps, fitness = _get(ctx, at.ACTIVE), _get(ctx, at.STEPS), _get(ctx, at.FITNESS)
    base = _get(machine, code.FRAME)
    _set(ctx, at.PARTIAL_FAILURE, 0)
    _set(base, LAST_FEATURES, 0)
    _set(base, TRAIN_FEATURES, _get(ctx, at.TRAIN_FEATURES))
    _set(base, TRAIN_LABELS, _get(ctx, at.TRAIN_LABELS))
    zero_words(base + _get(machine, code.BANK), _get(machine, code.BANK_BYTES) >> 3)
    end = 8 * _get(ctx, at.LANES)
    running = 0
    for lane in range(0, end, 8):
        on = load_word(active + lane)
        running -= on
        store_word(alive + lane, on)
        store_word(steps + lane, 0)
        store_double(fitness + lane, 0.0)
    if _get(machine, code.SETUP) != 0:
        code.call_code(_get(machine, code.SETUP), base, 0, 0, 0, 0, 0)
    train_count, valid_count, epochs = _get(ctx, at.TRAIN_COUNT), _get(ctx, at.VALID_COUNT), _get(ctx, at.EPOCHS)
    _set(base, TRAIN_COUNT, train_count)
    for epoch in range(epochs):
        for lane in range(0, end, 8):
            store_word(lost + lane, 0)
        if train_count > 0:
            order = _get(ctx, at.ORDERS) + 8 * (epoch - 1) * _get(ctx, at.ORDER_STRIDE)
            code.call_code(_get(machine, code.TRAIN), base, 0, 0, train_count, order, hashing)
        left = 0
        for lane in range(0, end, 8):
            on, more = load_word(alive + lane), load_word(lost + lane)
            if on != 0:
                more += train_count
                left += 1
            store_word(steps + lane, load_word(steps + lane) + more)
            store_word(trained + lane, on)
        if left == 0:
            break
        if valid_count == 0:
            continue
        features, labels = _get(ctx, at.VALID_FEATURES), _get(ctx, at.VALID_LABELS)
        code.call_code(_get(machine, code.VALID), base, features, labels, valid_count, 0, hashing)
        if hashing:
            break
        for lane in range(0, end, 8):
            if load_word(trained + lane) == 0:
                continue
            if load_word(alive + lane) == 0:
                if epoch + 1 < epochs and running > 1:
                    _set(ctx, at.PARTIAL_FAILURE, 1)
                store_word(alive + lane, load_word(trained + lane))
                continue
            total = load_double(totals + lane)
            if _get(ctx, at.IS_ACCURACY) != 0:
                score = 1.0 - total / valid_count
            else:
                score = 1.0 - TWO_OVER_PI * math.atan(math.sqrt(total / valid_count))
            if score > load_double(fitness + lane):
                store_double(fitness + lane, score)
    _set(ctx, at.LAST_FEATURES, _get(base, LAST_FEATURES))


@inner()
def _run_group(ctx):
    """Run the program on a group, and lane by lane where lanes differ in a way that one run cannot follow."""
    _run(ctx, 0)
    if _get(ctx, at.PARTIAL_FAILURE) == 0:
        return
    # Some lanes failed a validation that others passed, with epochs to follow: the failed ones should have stopped
    # there and then, since validation writes to live memory. Alone, each lane does.
    lanes, tasks, active = _get(ctx, at.LANES), _get(ctx, at.TASKS), _get(ctx, at.ACTIVE)
    steps, fitness = _get(ctx, at.STEPS), _get(ctx, at.FITNESS)
    kept_steps = _get(ctx, at.SPARE) + 8 * lanes
    kept_fitness = kept_steps + 8 * lanes
    for lane in range(tasks):
        for other in range(lanes):
            store_word(active + 8 * other, -1 if other == lane else 0)
        _run(ctx, 0)
        store_word(kept_steps + 8 * lane, load_word(steps + 8 * lane))
        store_double(kept_fitness + 8 * lane, load_double(fitness + 8 * lane))
    for lane in range(tasks):
        store_word(active + 8 * lane, -1)
        store_word(steps + 8 * lane, load_word(kept_steps + 8 * lane))
        store_double(fitness + 8 * lane, load_double(kept_fitness + 8 * lane))


@inner()
def _evaluate(groups, is_random, train_examples, valid_examples, epochs, count, scores):
    steps = 0
    task = 0
    for g in range(count):
        ctx = _context(groups, g)
        _set(ctx, at.TRAIN_COUNT, train_examples)
        _set(ctx, at.VALID_COUNT, valid_examples)
        _set(ctx, at.EPOCHS, epochs)
        if is_random:
            _seed_lanes(ctx, 0)
        _run_group(ctx)
        for lane in range(0, 8 * _get(ctx, at.TASKS), 8):
            steps += load_word(_get(ctx, at.STEPS) + lane)
            scores[task] = load_double(_get(ctx, at.FITNESS) + lane)
            task += 1
    return steps


@compiled()
def evaluate(groups, is_random, scores):
    """Evaluate the decoded program on every task into scores (D,); return the training steps, summed over tasks."""
    full = groups.full
    return _evaluate(groups, is_random, full[0], full[1], full[2], groups.contexts.shape[0], scores)


@inner()
def evaluate_briefly(groups, is_random, train_examples, valid_examples, count, scores):
    """Evaluate as `evaluate` does, but with the first examples only, one epoch, and the first `count` groups of tasks."""
    return _evaluate(groups, is_random, train_examples, valid_examples, 1, count, scores)


@inner()
def probe(groups, is_random, train_examples, valid_examples):
    """Run the first few examples and return (key of the errors, training steps).

    Programs with the same absolute errors on the same examples, on every task, share a
    key; a lane's errors end with its failure.
    """
    steps = 0
    key = uint64(0)
    for g in range(groups.contexts.shape[0]):
        ctx = _context(groups, g)
        _set(ctx, at.TRAIN_COUNT, train_examples)
        _set(ctx, at.VALID_COUNT, valid_examples)
        _set(ctx, at.EPOCHS, 1)
        hashes = _get(ctx, at.HASH_PLACE)
        for lane in range(0, 8 * _get(ctx, at.LANES), 8):
            store_word(hashes + lane, np.int64(uint64(0x9E3779B97F4A7C15)))
        if is_random:
            _seed_lanes(ctx, PROBE_STREAM)
        _run(ctx, 1)
        for lane in range(0, 8 * _get(ctx, at.TASKS), 8):
            steps += load_word(_get(ctx, at.STEPS) + lane)
            key = mix(key ^ uint64(load_word(hashes + lane)))
    return key, steps
