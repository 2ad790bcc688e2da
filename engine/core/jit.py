"""How the search's own loops are compiled."""

from __future__ import annotations

from functools import partial

from numba import njit

compiled = partial(njit, nogil=True, cache=True, error_model="numpy", _nrt=False)
"""Decorator (called without arguments: ``@compiled()``) for code that allocates nothing.

Without numba's runtime no array argument is reference-counted: a count is an atomic operation for each array at each
call, which cost more than the work itself (a decode: 530 ns with, see docs/performance.md), and most of the compile time.
"""
