"""Mutations that follow the data flow: what they change reaches the prediction, whatever the program."""

import random

import pytest

from engine.algorithm import Algorithm, Registers
from engine.canonical import inputs, live_mask, output
from engine.ops import Op
from tests.engine.programs import random_algorithm
from tests.engine.test_core import island, mutants

REGISTERS = Registers(4, 3, 2)
FULL = [random_algorithm(random.Random(seed), (4, 4, 4), registers=REGISTERS) for seed in range(12)]
SHORT = [random_algorithm(random.Random(seed), (3, 2, 3), registers=REGISTERS) for seed in range(12)]


def without(function, place):
    return function[:place] + function[place + 1 :]


def differences(old, new) -> list[int]:
    return [place for place, (a, b) in enumerate(zip(old, new)) if a != b]


def is_graft(old, new, mask) -> bool:
    """Whether `new` is `old` with a line added before one that reads it; full functions give up a dead line for it."""
    starts = [old] if len(new) == len(old) + 1 else [without(old, k) for k, live in enumerate(mask) if not live]
    for start in starts:
        for added in range(len(new) - 1):
            rest = without(new, added)
            reader, line = rest[added], new[added]
            reads_it = reader.op == start[added].op and output(line) in inputs(reader)
            if reads_it and differences(start, rest) in ([], [added]):
                return True
    return False


@pytest.mark.parametrize("programs", [SHORT, FULL], ids=["with room", "full"])
def test_a_graft_adds_a_line_that_a_live_one_reads(programs):
    grafts = 0
    for parent in programs:
        for child in set(mutants("graft", parent, 60)):
            changed = [k for k in range(3) if parent.functions[k] != child.functions[k]]
            assert len(changed) <= 1
            for k in changed:
                grafts += 1
                assert is_graft(parent.functions[k], child.functions[k], live_mask(parent)[k])
                assert len(child.functions[k]) <= 4
    assert grafts > 50


def test_a_graft_needs_something_live():
    dead = Algorithm(setup=(), predict=(), learn=SHORT[0].learn)
    assert set(mutants("graft", dead, 20)) == {dead}


def test_grafts_draw_from_the_ops_allowed():
    ops = ("SCALAR_SUM", "SCALAR_DIFF", "VECTOR_INNER_PRODUCT", "VECTOR_SUM")
    for parent in SHORT:
        for child in set(mutants("graft", parent, 40, ops=ops)):
            for old, new in zip(parent.functions, child.functions):
                assert {one.op for one in new} <= {one.op for one in old} | {Op[name] for name in ops}


@pytest.mark.parametrize("kind", ["bypass", "rewire"])
def test_bypass_and_rewire_change_one_live_line(kind):
    seen = 0
    for parent in FULL:
        masks = live_mask(parent)
        for child in set(mutants(kind, parent, 60)):
            changed = [(k, row) for k in range(3) for row in differences(parent.functions[k], child.functions[k])]
            assert len(changed) <= 1 and [len(f) for f in child.functions] == [4, 4, 4]
            for k, row in changed:
                seen += 1
                old, new = parent.functions[k][row], child.functions[k][row]
                assert masks[k][row] and old.op == new.op
                if kind == "bypass":
                    assert (old.out, old.constants) == (new.out, new.constants)
                    assert (old.in1 != new.in1) + (old.in2 != new.in2) == 1
    assert seen > 40


def test_what_is_rewired_to_holds_something():
    held = {("s", 0), ("s", 1), ("v", 0)}
    for parent in FULL:
        masks = live_mask(parent)
        written = held | {output(one) for f, mask in zip(parent.functions, masks) for one, live in zip(f, mask) if live}
        for child in set(mutants("rewire", parent, 60)):
            for k in range(3):
                for row in differences(parent.functions[k], child.functions[k]):
                    old, new = parent.functions[k][row], child.functions[k][row]
                    kinds = {register[0] for register in written}
                    fresh = {one for one in inputs(new) if one not in inputs(old)}
                    assert all(one in written for one in fresh if one[0] in kinds)


def test_they_search_and_stay_within_bounds():
    one = island({"insert": 1.0, "graft": 1.0, "bypass": 1.0, "rewire": 1.0, "remove": 1.0}, initial="empty")
    one.breed(3000)
    for slot in one.population:
        assert all(1 <= len(function) <= 4 for function in one.algorithm(int(slot)).functions)
