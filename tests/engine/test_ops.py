"""The op table: complete, consistent, and documented."""

from __future__ import annotations

import re

import pytest

from engine.ops import OPS, Op
from engine.search_space import search_space_markdown
from tests.engine import golden, naive

PAGE = golden.HERE.parents[1] / "docs" / "search-space.md"
COMMUTING_SAMPLES = (0.5, -1.25, 3.0, float("inf"), -0.0)


def test_one_row_an_op_in_order():
    assert [info.op for info in OPS] == list(Op)
    assert list(Op) == list(range(65))
    assert all(info.meaning and info.cost > 0 for info in OPS)


@pytest.mark.parametrize("info", OPS, ids=lambda info: info.op.name)
def test_notation_names_exactly_what_the_op_uses(info):
    fields = set(re.findall(r"{(\w+)}", info.notation))
    expected = {name for name, _ in zip("ab", info.inputs, strict=False)} | set(info.constants)
    assert fields == expected | ({"o"} if info.output else set())
    for letter, kind in zip("ab", info.inputs, strict=False):
        assert f"{kind}{{{letter}}}" in info.notation
    assert info.notation.startswith(f"{info.output}{{o}}") or info.op == Op.NO_OP


def test_kinds_of_ops():
    assert {info.op for info in OPS if info.is_random} == set(range(59, 65))
    assert {info.op for info in OPS if info.keeps_output} == {57, 58}
    assert {info.op for info in OPS if info.constants} == set(range(56, 65))
    for info in OPS:
        assert not (info.is_commutative and len(info.inputs) != 2)
        if info.is_commutative:
            assert info.inputs[0] == info.inputs[1]


def test_commutative_ops_commute_bit_for_bit():
    for info in OPS:
        if info.is_commutative:
            for x in COMMUTING_SAMPLES:
                for y in COMMUTING_SAMPLES:
                    a, b = (
                        {"s": one, "v": [one, 2.0], "m": [[one, 1.0], [2.0, 3.0]]}[info.inputs[0]] for one in (x, y)
                    )
                    assert repr(naive.BODIES[info.op](a, b)) == repr(naive.BODIES[info.op](b, a))


def test_costs_are_those_of_the_reference():
    assert OPS[Op.NO_OP].cost == 3.01
    assert OPS[Op.MATRIX_GAUSSIAN_SET].cost == 277.69
    assert sum(info.cost for info in OPS) == pytest.approx(1081.32, abs=0.005)


def test_every_op_is_documented():
    text = PAGE.read_text()
    for info in OPS:
        assert f"`{info.op.name}`" in text
        assert info.meaning.split("|")[0] in text


def test_the_page_is_as_generated():
    assert PAGE.read_text() == search_space_markdown(), "run: python -m engine ops --markdown > docs/search-space.md"
