"""How functions are compiled, above all those that only compiled code calls: as ingredients of their callers, not as code of their own.

numba optimises every function together with all that it calls, and turns each of these wholes into machine code: what stands
eight calls deep is compiled nine times, and of these only the outermost is run. Functions that Python never calls stop before that
here: their code stays as it was lowered, the function that Python calls links all that it reaches, and there it is optimised and inlined.
Functions that call each other in a circle cannot be made so, since none has an address; one may call itself.

In both kinds an index below zero is not one from the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from numba import _dynfunc, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, Flags
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering
from numba.np import arrayobj


class _Ingredient(JITCodeLibrary):
    """Code that is linked into its callers' and never runs by itself: one function, without the code of those that it calls."""

    def finalize(self):
        self._raise_if_finalized()
        self._finalize_dynamic_globals()
        self._finalized = True

    def _get_module_for_linking(self):
        raise RuntimeError(f"{self.name}: only functions of engine.core.jit can call it")

    def alone(self):
        """Return the function's module without those that it calls."""
        return super()._get_module_for_linking()


class _Whole(JITCodeLibrary):
    """Code that Python calls, with copies of all that it calls.

    Nobody else calls those copies, so LLVM may inline what is called once, and passes on only the arguments that are read: of an
    array its address and perhaps a length, where numba's way of calling has seven words, and a search's tuples have hundreds of them.
    """

    def __init__(self, codegen, name):
        super().__init__(codegen, name)
        self._entrances = set()

    def add_llvm_module(self, ll_module):
        self._entrances.update(function.name for function in ll_module.functions if not function.is_declaration)
        super().add_llvm_module(ll_module)

    def finalize(self):
        self._raise_if_finalized()
        pending, linked = list(self._linking_libraries), set()
        while pending:
            library = pending.pop()
            if library in linked:
                continue
            linked.add(library)
            self._reload_init.update(library._reload_init)
            if isinstance(library, _Ingredient):
                pending += library._linking_libraries
                module = library.alone()
            else:
                module = library._get_module_for_linking()
            self._final_module.link_in(module, preserve=True)
        self._optimize_final_module()
        self._final_module.verify()
        self._finalize_final_module()

    def _optimize_final_module(self):
        for function in self._final_module.functions:
            if not function.is_declaration and function.name not in self._entrances:
                # Without a name in the object file: what is loaded later may look for others of that name, called in numba's way.
                function.linkage = "private"
        super()._optimize_final_module()


@contextmanager
def _indices_as_they_are() -> Iterator[None]:
    """Let numba emit no code for indices below zero, which count from the end in Python: nothing here has any, and asking at each access
    cost a tenth of a search's time. numba holds a lock while it compiles."""
    usual = arrayobj.fix_integer_index
    arrayobj.fix_integer_index = lambda context, builder, kind, index, size: context.cast(
        builder, index, kind, types.intp
    )
    try:
        yield
    finally:
        arrayobj.fix_integer_index = usual


@register_pass(mutates_CFG=True, analysis_only=False)
class _PlainLowering(NativeLowering):
    """numba's, but that an index below zero does not count from the end, and for the library that the code becomes."""

    _name = "plain_lowering"
    library = _Whole

    def run_pass(self, state):
        state.library = self.library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        with _indices_as_they_are():
            return super().run_pass(state)


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(_PlainLowering):
    """The same, and nothing is made of the code that comes out."""

    _name = "lowering_of_an_ingredient"
    library = _Ingredient

    def run_pass(self, state):
        state.flags.no_compile = True
        super().run_pass(state)
        lowered = state["cr"]
        # What callers know the function by; it has no address.
        name = lowered.fndesc.qualname.rpartition(".")[2]
        known_as = _dynfunc.make_function(lowered.fndesc.lookup_module(), name, "", 0, lowered.env, (state.library,))
        state.targetctx.insert_user_function(known_as, lowered.fndesc, [state.library])
        state.reload_init.extend(state.library._reload_init)
        state["cr"] = lowered._replace(cfunc=known_as)
        return True


class _Flags(Flags):
    """numba's, but quick to tell its values: whenever a type is inferred flags are compared."""

    _defaults = {name: option.default for name, option in Flags.options.items()}
    _hash = hash(Flags())

    def values(self):
        return self._defaults | self._values

    def __hash__(self):
        # All flags share one hash, that of their options' names.
        return self._hash


class PlainCompiler(Compiler):
    """numba's compiler with the last step and the flags replaced."""

    lowering = _PlainLowering

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.state.flags = _Flags(self.state.flags)

    def define_pipelines(self):
        managers = super().define_pipelines()
        for manager in managers:
            manager.passes = [(self.lowering if one is NativeLowering else one, text) for one, text in manager.passes]
            manager.finalize()
        return managers


class IngredientCompiler(PlainCompiler):
    """The compiler of ingredients."""

    lowering = _Lowering
