"""A program as LaTeX: a table of formulas with the role of each, for a paper. Needs amsmath."""

from __future__ import annotations

import math

from engine.algorithm import COMPONENT_FUNCTIONS, Algorithm, Instruction
from engine.explain import explain
from engine.export.numpy_code import left_out
from engine.ops import Op

_UNIFORM = r"\mathcal{{U}}({lo}, {hi})"
_GAUSSIAN = r"\mathcal{{N}}({mu}, {sd}^2)"
_NORM = r"\lVert {a} \rVert"
_STEP = r"H({a})"

FORMULAS: dict[Op, str] = {
    Op.NO_OP: r"\text{{no operation}}",
    Op.SCALAR_SUM: "{a} + {b}", Op.VECTOR_SUM: "{a} + {b}", Op.MATRIX_SUM: "{a} + {b}",
    Op.SCALAR_DIFF: "{a} - {b}", Op.VECTOR_DIFF: "{a} - {b}", Op.MATRIX_DIFF: "{a} - {b}",
    Op.SCALAR_PRODUCT: r"{a} \, {b}", Op.SCALAR_VECTOR_PRODUCT: r"{a} \, {b}", Op.SCALAR_MATRIX_PRODUCT: r"{a} \, {b}",
    Op.VECTOR_PRODUCT: r"{a} \odot {b}", Op.MATRIX_PRODUCT: r"{a} \odot {b}",
    Op.SCALAR_DIVISION: "{a} / {b}", Op.VECTOR_DIVISION: r"{a} \oslash {b}", Op.MATRIX_DIVISION: r"{a} \oslash {b}",
    Op.SCALAR_ABS: "|{a}|", Op.VECTOR_ABS: "|{a}|", Op.MATRIX_ABS: "|{a}|",
    Op.SCALAR_RECIPROCAL: "1 / {a}", Op.VECTOR_RECIPROCAL: r"1 \oslash {a}", Op.MATRIX_RECIPROCAL: r"1 \oslash {a}",
    Op.SCALAR_SIN: r"\sin {a}", Op.SCALAR_COS: r"\cos {a}", Op.SCALAR_TAN: r"\tan {a}",
    Op.SCALAR_ARCSIN: r"\arcsin {a}", Op.SCALAR_ARCCOS: r"\arccos {a}", Op.SCALAR_ARCTAN: r"\arctan {a}",
    Op.SCALAR_EXP: r"\exp {a}", Op.SCALAR_LOG: r"\ln {a}",
    Op.SCALAR_HEAVYSIDE: _STEP, Op.VECTOR_HEAVYSIDE: _STEP, Op.MATRIX_HEAVYSIDE: _STEP,
    Op.SCALAR_BROADCAST: r"{a} \mathbf{{1}}",
    Op.VECTOR_NORM: _NORM, Op.MATRIX_NORM: _NORM + r"_F",
    Op.MATRIX_COLUMN_NORM: _NORM + r"_{{\text{{columns}}}}", Op.MATRIX_ROW_NORM: _NORM + r"_{{\text{{rows}}}}",
    Op.VECTOR_INNER_PRODUCT: r"{a}^\top {b}", Op.VECTOR_OUTER_PRODUCT: r"{a} {b}^\top",
    Op.MATRIX_VECTOR_PRODUCT: "{a} {b}", Op.MATRIX_MATRIX_PRODUCT: "{a} {b}", Op.MATRIX_TRANSPOSE: r"{a}^\top",
    Op.VECTOR_COLUMN_BROADCAST: r"{a} \mathbf{{1}}^\top", Op.VECTOR_ROW_BROADCAST: r"\mathbf{{1}} {a}^\top",
    Op.SCALAR_MIN: r"\min({a}, {b})", Op.VECTOR_MIN: r"\min({a}, {b})", Op.MATRIX_MIN: r"\min({a}, {b})",
    Op.SCALAR_MAX: r"\max({a}, {b})", Op.VECTOR_MAX: r"\max({a}, {b})", Op.MATRIX_MAX: r"\max({a}, {b})",
    Op.VECTOR_MEAN: r"\operatorname{{mean}}({a})", Op.MATRIX_MEAN: r"\operatorname{{mean}}({a})",
    Op.MATRIX_ROW_MEAN: r"\operatorname{{mean}}_{{\text{{rows}}}}({a})",
    Op.MATRIX_ROW_ST_DEV: r"\operatorname{{std}}_{{\text{{rows}}}}({a})",
    Op.VECTOR_ST_DEV: r"\operatorname{{std}}({a})", Op.MATRIX_ST_DEV: r"\operatorname{{std}}({a})",
    Op.SCALAR_CONST_SET: "{c}", Op.VECTOR_CONST_SET: "{c}", Op.MATRIX_CONST_SET: "{c}",
    Op.SCALAR_UNIFORM_SET: _UNIFORM, Op.VECTOR_UNIFORM_SET: _UNIFORM, Op.MATRIX_UNIFORM_SET: _UNIFORM,
    Op.SCALAR_GAUSSIAN_SET: _GAUSSIAN, Op.VECTOR_GAUSSIAN_SET: _GAUSSIAN, Op.MATRIX_GAUSSIAN_SET: _GAUSSIAN,
}  # fmt: skip
"""The right-hand side of every op. H is the step function, a circled sign works element by element."""

_LETTERS = {"s": "s", "v": r"\mathbf{v}", "m": r"\mathbf{M}"}


def latex(algorithm: Algorithm, name: str, task_type: str) -> str:
    """Return a tabular environment: live lines, with their roles."""
    explanation = explain(algorithm)
    dead = sum(line.role == "dead" for line in explanation.lines)
    title = explanation.titled(task_type)
    rows = [f"% {name}: {title}." if name else f"% {title}."]
    rows += [f"% {left_out(dead)}"] if dead else []
    rows += [r"% Needs \usepackage{amsmath}.", r"\begin{tabular}{@{}l@{\qquad}l@{}}"]
    for function, title in enumerate(COMPONENT_FUNCTIONS):
        rows.append(rf"\textbf{{def}} \textsc{{{title.capitalize()}}}: & \\")
        body = [line for line in explanation.lines if line.function == title and line.role != "dead"]
        for line in body:
            one = algorithm.functions[function][line.position]
            rows.append(rf"\quad ${formula(one)}$ & \textit{{{line.role}}} \\")
        rows += [] if body else [r"\quad nothing & \\"]
    return "\n".join([*rows, r"\end{tabular}", ""])


def formula(one: Instruction) -> str:
    """Return an instruction in maths mode."""
    info = one.info
    registers = [
        f"{_LETTERS[kind]}_{{{address}}}" for kind, address in zip(info.inputs, (one.in1, one.in2), strict=False)
    ]
    a, b = ([*registers, "", ""])[:2]
    constants = {name: _number(value) for name, value in zip(info.constants, one.constants, strict=True)}
    right = FORMULAS[one.op].format(a=a, b=b, **constants)
    if not info.output:
        return right
    left = f"{_LETTERS[info.output]}_{{{one.out}}}"
    if info.keeps_output:
        places = [rf"\lfloor {constants[name]} F \rfloor" for name in ("i", "j") if name in constants]
        left = rf"{left}[{', '.join(places)}]"
    return rf"{left} \{'sim' if info.is_random else 'gets'} {right}"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return r"\text{NaN}" if math.isnan(value) else r"\infty" if value > 0 else r"-\infty"
    mantissa, _, exponent = f"{value:.4g}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa
