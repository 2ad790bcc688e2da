"""How functions are compiled that only compiled code calls: as ingredients of their callers, not as code of their own.

numba optimises every function together with all that it calls, and turns each of these wholes into machine code: what stands
eight calls deep is compiled nine times, and of these only the outermost is run. Functions that Python never calls stop before that
here: their code stays as it was lowered, callers link it in, and it is optimised and inlined where it is used.
"""

from __future__ import annotations

from numba import _dynfunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering


class _Ingredient(JITCodeLibrary):
    """Code that is linked into its callers' and never runs by itself."""

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):
    """numba's, but that nothing is made of the code that comes out."""

    _name = "lowering_of_an_ingredient"

    def run_pass(self, state):
        codegen = state.targetctx.codegen()
        state.library = _Ingredient(codegen, state.func_id.func_qualname)
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


class IngredientCompiler(Compiler):
    """numba's compiler with the last step replaced."""

    def define_pipelines(self):
        managers = super().define_pipelines()
        for manager in managers:
            manager.passes = [(_Lowering if one is NativeLowering else one, text) for one, text in manager.passes]
            manager.finalize()
        return managers
