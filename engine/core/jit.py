"""How the search's own loops are compiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from numba import njit, types

from engine.core.ingredients import IngredientCompiler, PlainCompiler

_options = {"nogil": True, "error_model": "numpy", "_nrt": False, "forceinline": False}
"""Options of both. forceinline is said since numba hands it on to whatever a function with it calls: the choice of a mutation has
it (engine/core/choice.py), and every kind in full, in each place, made the demo's search a quarter slower."""

compiled = partial(njit, cache=True, no_cfunc_wrapper=True, pipeline_class=PlainCompiler, **_options)
"""Decorator (called without arguments: ``@compiled()``) for code that allocates nothing and that Python calls.

Without numba's runtime no array argument is reference-counted: a count is an atomic operation for each array at each
call, which cost more than the work itself (a decode: 530 ns with, see docs/performance.md), and most of the compile time.
"""

_inner_options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": IngredientCompiler}


def inner(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """The same for code that only compiled code calls: it lives in its callers' machine code, so it needs neither a way in
    from Python nor a place in the cache (together a quarter of the compile time), nor machine code of its own (half of what was
    left: engine/core/ingredients.py)."""

    def decorate(function: Callable[..., Any]) -> Any:
        made = njit(**(_options | _inner_options | options))(function)
        made.get_call_template = partial(_call_template, made.get_call_template)
        # It has no address that Python could call: numba would jump to 0.
        made._insert = lambda *of_an_overload, **named: None
        made._compile_for_args = partial(_refuse, function.__qualname__)
        return made

    return decorate


def _refuse(name, *arguments, **named):
    raise TypeError(f"{name}: only compiled code can call it")


def _call_template(usual, args, kws):
    # numba would type and lower a function anew for each constant that it is called with, a tenth of the compile time; where it
    # is inlined LLVM sees the constant all the same.
    return usual([types.unliteral(arg) for arg in args], {name: types.unliteral(arg) for name, arg in kws.items()})
