"""The page on the search space, docs/search-space.md, generated from the op table: ``python -m engine ops --markdown``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from engine.ops import OP_SET_VERSION, OPS, OpInfo

_KINDS = {"s": "scalar", "v": "vector", "m": "matrix", "": "nothing"}

_INTRODUCTION = f"""\
# The search space

<!-- Generated: python -m engine ops --markdown > docs/search-space.md -->

A program is three lists of instructions, *Setup*, *Predict* and *Learn*, over a small memory of scalars `s0, s1, …`
(float64), vectors `v0, v1, …` (F numbers, one for each feature) and matrices `m0, m1, …` (F × F). There are no loops and no
branches, no derivatives, and no notion of learning: only the {len(OPS)} ops below (op-set version {OP_SET_VERSION}).

## How a program runs

1. The memory is set to zero, and Setup runs once.
2. For each training example: the features go to `v0`, and 0 to `s0`; Predict runs. For classification `s1` becomes its
   sigmoid. If the error |label − `s1`| is NaN or above the limit (100 by default), the program ends with score 0. Then the
   features go to `v0` again, the label to `s0`, and Learn runs.
3. For each validation example: the features go to `v0`, and 0 to `s0`; Predict runs on the memory as it is. The score is
   the share of right answers (`s1` above 0 means class 1), or 1 − 2/π · arctan(root mean square error).
4. With several epochs, steps 2 and 3 are repeated on the same memory; the best score counts.

`s0` (label) and `v0` (features) can be read everywhere and written nowhere; `s1` (prediction) can be written everywhere.

## Notation

`a` and `b` are the addresses read, `o` is the address written; other letters are constants. An instruction reads all its
inputs before it writes, so that addresses may coincide. All arithmetic is IEEE 754 float64: division by zero gives an infinity or
NaN, and both go on being computed with.

| constant | meaning | a new instruction draws it from |
| --- | --- | --- |
| `c` | value; float64 for `SCALAR_CONST_SET`, else float32 | (−1, 1) |
| `i`, `j` | position as a fraction of F: element number trunc(F · i); float32 | [0, 1) |
| `lo`, `hi` | bounds; not ordered: with `lo` > `hi` every number drawn is `lo`; float32 | [−1, 1) each |
| `mu`, `sd` | mean and deviation; float32 | [−1, 1), [0, 1) |

A mutation of a constant flips its sign with probability 0.1, and else multiplies it by exp(N(0, 1)); positions are drawn anew.
"""

_GROUPS = (
    ("Nothing", lambda info: info.op == 0),
    ("Scalars", lambda info: info.output == "s" and set(info.inputs) == {"s"}),
    ("Vectors", lambda info: info.output == "v" and "v" in info.inputs and "m" not in info.inputs),
    ("Matrices", lambda info: info.output == "m" and "m" in info.inputs),
    ("Between types", lambda info: bool(info.inputs)),
    ("Constants", lambda info: not info.is_random),
    ("Random numbers", lambda info: info.is_random),
)


@cache
def op_groups() -> tuple[tuple[str, tuple[OpInfo, ...]], ...]:
    """Return (title, ops) of each group of the reference; every op is in one."""
    rest, groups = list(OPS), []
    for title, belongs in _GROUPS:
        chosen = [info for info in rest if belongs(info)]
        rest = [info for info in rest if info not in chosen]
        groups.append((title, tuple(chosen)))
    return tuple(groups)


def search_space_markdown() -> str:
    """Return the page."""
    parts = [_INTRODUCTION, "## Ops\n\nCost is the op's weight in the train budget.\n"]
    parts += [f"### {title}\n\n" + _table(chosen) for title, chosen in op_groups()]
    return "\n".join(parts)


def _table(chosen: Sequence[OpInfo]) -> str:
    rows = ["| id | op | code | reads | writes | meaning | cost |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for info in chosen:
        code = info.notation.format(a="a", b="b", o="o", **{name: name for name in info.constants})
        read = ", ".join(_KINDS[kind] for kind in info.inputs) or "nothing"
        meaning = info.meaning.replace("|", "\\|") + ("; order of inputs does not count" if info.is_commutative else "")
        rows.append(
            f"| {int(info.op)} | `{info.op.name}` | `{code}` | {read} | {_KINDS[info.output]} | {meaning} | {info.cost:g} |"
        )
    return "\n".join(rows) + "\n"
