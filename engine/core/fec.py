"""Caches of scores: the functional equivalence cache (part of a search's state) and a memo of pure results.

The equivalence cache maps the key of a program's errors on a few examples to a score, least recently hit out first
(semantics section 7). The memo maps the hash of a canonical program to what its probe, its short run and its evaluation gave; all are
pure functions of the program, so the memo changes no result, only the time, and is not part of a checkpoint.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import uint64

from engine.core.jit import compiled, inner
from engine.core.random_stream import mix


class Fec(NamedTuple):
    """A hash table with chained buckets whose entries also form a list by last hit."""

    keys: np.ndarray  # (N,) uint64
    scores: np.ndarray  # (N,) float64
    counts: np.ndarray  # (N,) int64: 1 + hits
    buckets: np.ndarray  # (power of two,) int32: first entry, -1 if none
    chain: np.ndarray  # (N,) int32: next entry of the same bucket
    newer: np.ndarray  # (N + 1,) int32: list by last hit; entry N is its sentinel
    older: np.ndarray  # (N + 1,) int32
    free: np.ndarray  # (N,) int32: stack of unused entries
    state: np.ndarray  # (2,) int64: unused entries, forget_every


def new_fec(size: int, forget_every: int) -> Fec:
    """Return an empty cache of `size` entries."""
    buckets = 1 << max(int(size * 1.5).bit_length(), 4)
    newer, older = np.zeros(size + 1, np.int32), np.zeros(size + 1, np.int32)
    newer[size] = older[size] = size
    return Fec(
        np.zeros(size, np.uint64), np.zeros(size), np.zeros(size, np.int64), np.full(buckets, -1, np.int32),
        np.full(size, -1, np.int32), newer, older, np.arange(size - 1, -1, -1, dtype=np.int32),
        np.array([size, forget_every], np.int64),
    )  # fmt: skip


@inner()
def _bucket(fec, key):
    return np.int64(mix(key) & uint64(fec.buckets.shape[0] - 1))


@inner()
def _unlink(fec, entry):
    newer, older = fec.newer[entry], fec.older[entry]
    fec.older[newer] = older
    fec.newer[older] = newer


@inner()
def _make_newest(fec, entry):
    sentinel = fec.keys.shape[0]
    newest = fec.older[sentinel]
    fec.newer[entry], fec.older[entry] = sentinel, newest
    fec.newer[newest] = entry
    fec.older[sentinel] = entry


@inner()
def _drop(fec, entry):
    bucket = _bucket(fec, fec.keys[entry])
    if fec.buckets[bucket] == entry:
        fec.buckets[bucket] = fec.chain[entry]
    else:
        before = fec.buckets[bucket]
        while fec.chain[before] != entry:
            before = fec.chain[before]
        fec.chain[before] = fec.chain[entry]
    _unlink(fec, entry)
    fec.free[fec.state[0]] = entry
    fec.state[0] += 1


@inner()
def fec_get(fec, key):
    """Return the score kept under a key and count the hit; -1.0 if there is none."""
    entry = fec.buckets[_bucket(fec, key)]
    while entry >= 0 and fec.keys[entry] != key:
        entry = fec.chain[entry]
    if entry < 0:
        return -1.0
    score = fec.scores[entry]
    fec.counts[entry] += 1
    if fec.state[1] > 0 and fec.counts[entry] >= fec.state[1]:
        _drop(fec, entry)
    else:
        _unlink(fec, entry)
        _make_newest(fec, entry)
    return score


@inner()
def fec_put(fec, key, score):
    """Keep a score under a key that is not there, making room if need be."""
    if fec.state[0] == 0:
        _drop(fec, fec.newer[fec.keys.shape[0]])
    fec.state[0] -= 1
    entry = fec.free[fec.state[0]]
    bucket = _bucket(fec, key)
    fec.keys[entry], fec.scores[entry], fec.counts[entry] = key, score, 1
    fec.chain[entry] = fec.buckets[bucket]
    fec.buckets[bucket] = entry
    _make_newest(fec, entry)


@compiled()
def _by_age(fec, entries):
    """Write the entries from the longest unhit to the newest into `entries`; return how many."""
    sentinel = fec.keys.shape[0]
    count = 0
    entry = fec.newer[sentinel]
    while entry != sentinel:
        entries[count] = entry
        count += 1
        entry = fec.newer[entry]
    return count


def fec_entries(fec: Fec) -> np.ndarray:
    """Return (n, 3) uint64 rows (key, bits of the score, count), from the longest unhit to the newest."""
    index = np.zeros(len(fec.keys), np.int64)
    index = index[: _by_age(fec, index)]
    return np.stack([fec.keys[index], fec.scores[index].view(np.uint64), fec.counts[index].view(np.uint64)], 1)


def fec_restore(fec: Fec, entries: np.ndarray) -> None:
    """Fill an empty cache with rows of fec_entries."""
    _refill(
        fec,
        np.ascontiguousarray(entries[:, 0]),
        entries[:, 1].copy().view(np.float64),
        entries[:, 2].copy().view(np.int64),
    )


@compiled()
def _refill(fec, keys, scores, counts):
    for row in range(keys.shape[0]):
        fec_put(fec, keys[row], scores[row])
        fec.counts[fec.older[fec.keys.shape[0]]] = counts[row]


KEY, PROBE_KEY, PROBE_STEPS, STEPS, SHORT_STEPS, SCORE, SHORT_SCORE = range(7)
"""Columns of Memo: hash of the program (0: empty); what the probe gave; training steps of the evaluation and of the hurdle's short run;
and, float64, their scores (-1: not run)."""


class Memo(NamedTuple):
    """A direct-mapped table: a newer program replaces an older one in its place. A row is a line of the processor's cache."""

    words: np.ndarray  # (size, 8) uint64
    scores: np.ndarray  # the same memory as float64


def new_memo(size: int = 1 << 17) -> Memo:
    """Return an empty memo; size: a power of two."""
    raw = np.zeros(8 * size + 8, np.uint64)
    words = raw[-raw.ctypes.data % 64 // 8 :][: 8 * size].reshape(size, 8)
    return Memo(words, words.view(np.float64))
