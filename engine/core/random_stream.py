"""The search's random stream: xoshiro256++ with an explicit state of four uint64, seeded by splitmix64."""

from __future__ import annotations

import math

import numpy as np
from numba import uint64

from engine.core.jit import compiled, inner

_GOLDEN = uint64(0x9E3779B97F4A7C15)


@compiled()
def mix(value):
    """Return a thoroughly mixed uint64 (splitmix64's finaliser)."""
    z = uint64(value)
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31))


@compiled()
def seed_state(state, seed):
    """Fill a state of uint64 words from a seed."""
    counter = uint64(seed)
    for word in range(state.shape[0]):
        counter += _GOLDEN
        state[word] = mix(counter)


@inner()
def _rotate(value, count):
    return (value << uint64(count)) | (value >> uint64(64 - count))


@inner()
def next_word(state):
    """Return the next uint64 of the stream."""
    result = _rotate(state[0] + state[3], 23) + state[0]
    shifted = state[1] << uint64(17)
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= shifted
    state[3] = _rotate(state[3], 45)
    return result


@inner()
def below(state, count):
    """Return an integer uniform over [0, count), count < 2**31."""
    return np.int64(((next_word(state) >> uint64(32)) * uint64(count)) >> uint64(32))


@inner()
def unit(state):
    """Return a float64 uniform over [0, 1), a multiple of 2**-53."""
    return np.float64(next_word(state) >> uint64(11)) * 2.0**-53


@inner()
def normal(state):
    """Return a standard normal float64 (Box-Muller, one of the pair)."""
    radius = math.sqrt(-2.0 * math.log(1.0 - unit(state)))
    return radius * math.cos(2.0 * math.pi * unit(state))
