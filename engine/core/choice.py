"""A table of compiled functions, one of which is called by its number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module

from engine.core.jit import inner


def choice(places: Iterable[str]) -> Callable:
    """Return a compiled function (number, *arguments) that calls the function of that number and returns what it returns.

    places: "module:function" of each, all compiled and of one signature. Only conditional branches, which are predicted
    well, and calls that can be inlined: calling through pointers would cost more than most of these functions.
    """
    return _among([_function(place) for place in places], 0)


def _function(place: str) -> Callable:
    module, name = place.split(":")
    return getattr(import_module(module), name)


def _among(functions: Sequence[Callable], first: int) -> Callable:
    """Return the choice among functions that are numbered from `first` on. Each function that chooses has to be compiled, so it has four
    places where it can."""
    if len(functions) == 1:
        only = functions[0]

        @inner(forceinline=True)
        def call(number, *arguments):
            return only(*arguments)

        return call
    if len(functions) == 4:
        a, b, c, d = functions

        @inner(forceinline=True)
        def call_one_of_four(number, *arguments):
            if number < first + 2:
                if number < first + 1:
                    return a(*arguments)
                return b(*arguments)
            if number < first + 3:
                return c(*arguments)
            return d(*arguments)

        return call_one_of_four
    below_middle = 4 * math.ceil(len(functions) / 8) if len(functions) > 4 else len(functions) // 2
    middle = first + below_middle
    below, above = _among(functions[:below_middle], first), _among(functions[below_middle:], middle)

    @inner(forceinline=True)
    def choose(number, *arguments):
        if number < middle:
            return below(number, *arguments)
        return above(number, *arguments)

    return choose
