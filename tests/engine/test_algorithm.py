"""Instructions and algorithms: JSON both ways with its refusals, printing, digests."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings

from engine.algorithm import Algorithm, Instruction, ProgramError, Registers, element_index, number_from_json
from engine.baselines import linear
from engine.ops import Op
from tests.engine.programs import REGISTERS, algorithms, random_algorithm


@settings(max_examples=200, deadline=None)
@given(algorithms())
def test_json_both_ways(algorithm):
    read = Algorithm.from_json(json.loads(algorithm.dumps()), registers=REGISTERS)
    assert read == algorithm
    assert read.digest() == algorithm.digest()


def test_constants_are_rounded_as_the_reference_stores_them():
    read = Instruction.from_json({"op": "VECTOR_CONST_SET", "out": 1, "constants": [0.1, 0.1]})
    assert read.constants == (float(np.float32(0.1)),) * 2
    assert Instruction.from_json({"op": "SCALAR_CONST_SET", "out": 1, "constants": [0.1]}).constants == (0.1,)
    assert Instruction.from_json({"op": "SCALAR_UNIFORM_SET", "out": 1, "constants": [-1e300, 1e300]}).constants == (
        -math.inf,
        math.inf,
    )


def test_infinite_and_missing_numbers():
    one = Instruction(Op.SCALAR_CONST_SET, out=1, constants=(math.nan,))
    assert one.to_json()["constants"] == ["nan"]
    assert [number_from_json(text) for text in ("inf", "-inf")] == [math.inf, -math.inf]
    for value in ("NaN", "1", True, None, [1]):
        with pytest.raises(ValueError, match="expected a number"):
            number_from_json(value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"op": "MAGIC"}, 'predict[0].op: unknown op "MAGIC"; allowed are the names of `python -m engine ops`'),
        ({}, "predict[0].op: unknown op null"),
        ("s1 = s2", 'predict[0]: expected an object like {"op": "SCALAR_SUM", …}, got "s1 = s2"'),
        ({"op": "SCALAR_ABS", "out": 1}, "predict[0].in1: missing; SCALAR_ABS needs a register of type s"),
        ({"op": "SCALAR_ABS", "in1": 5, "out": 1}, "predict[0].in1: register s5 out of range, allowed s0 to s4"),
        ({"op": "SCALAR_ABS", "in1": -1, "out": 1}, "predict[0].in1: register s-1 out of range, allowed s0 to s4"),
        ({"op": "SCALAR_ABS", "in1": "s1", "out": 1}, "predict[0].in1: expected an address of type s as a whole number"),
        ({"op": "SCALAR_ABS", "in1": True, "out": 1}, "predict[0].in1: expected an address of type s"),
        ({"op": "SCALAR_ABS", "in1": 1.0, "out": 1}, "predict[0].in1: expected an address of type s"),
        ({"op": "SCALAR_ABS", "in1": 1, "out": 0}, "predict[0].out: register s0 out of range, allowed s1 to s4"),
        ({"op": "VECTOR_ABS", "in1": 0, "out": 0}, "predict[0].out: register v0 out of range, allowed v1 to v3"),
        ({"op": "SCALAR_ABS", "in1": 1, "in2": 3, "out": 1}, "predict[0].in2: SCALAR_ABS takes only in1, op, out"),
        ({"op": "SCALAR_ABS", "in1": 1, "out": 1, "constants": [1]}, "predict[0].constants: SCALAR_ABS takes only"),
        ({"op": "SCALAR_CONST_SET", "out": 1}, "predict[0].constants: SCALAR_CONST_SET needs 1 (c), got none"),
        ({"op": "SCALAR_CONST_SET", "out": 1, "constants": []}, "predict[0].constants: SCALAR_CONST_SET needs 1 (c), got []"),
        ({"op": "SCALAR_CONST_SET", "out": 1, "constants": ["x"]}, "predict[0].constants: c: expected a number, got"),
        ({"op": "VECTOR_CONST_SET", "out": 1, "constants": [1.0, 0]}, "predict[0].constants: i: index fraction 1.0 out of"),
        ({"op": "VECTOR_CONST_SET", "out": 1, "constants": ["nan", 0]}, "predict[0].constants: i: index fraction"),
        ({"op": "VECTOR_CONST_SET", "out": 1, "constants": [0.99999999999, 0]}, "predict[0].constants: i: index fraction"),
    ],
)  # fmt: skip
def test_refuses_instructions(line, message):
    with pytest.raises(ProgramError) as caught:
        Algorithm.from_json({"setup": [], "predict": [line], "learn": []}, registers=REGISTERS)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_refuses_matrices_where_there_are_none():
    line = {"op": "MATRIX_ABS", "in1": 0, "out": 0}
    with pytest.raises(
        ProgramError, match=r"predict\[0\].in1: MATRIX_ABS needs a register of type m, and there is none"
    ):
        Algorithm.from_json({"setup": [], "predict": [line], "learn": []}, registers=Registers(4, 3, 0))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "program: expected an object with setup, predict and learn, got null"),
        ({"setup": []}, "predict: missing; a program has setup, predict and learn"),
        ({"setup": {}, "predict": [], "learn": []}, "setup: expected a list of instructions, got {}"),
        (
            {"setup": [{"op": "NO_OP"}] * 1001, "predict": [], "learn": []},
            "setup: 1001 instructions, allowed are up to 1000",
        ),
    ],
)
def test_refuses_programs(data, message):
    with pytest.raises(ProgramError) as caught:
        Algorithm.from_json(data)
    assert str(caught.value) == message


def test_pseudocode():
    assert linear().pseudocode() == (
        "def Setup():\n  s2 = 0.01\ndef Predict():\n  s1 = dot(v1, v0)\n"
        "def Learn():\n  s3 = s0 - s1\n  s3 = s2 * s3\n  v2 = s3 * v0\n  v1 = v1 + v2\n"
    )
    assert Algorithm().pseudocode() == "def Setup():\n  pass\ndef Predict():\n  pass\ndef Learn():\n  pass\n"
    element = Instruction(Op.MATRIX_CONST_SET, out=1, constants=(0.5, 0.25, -0.75))
    assert element.text(features_size=8) == "m1[4, 2] = -0.75"
    assert element.text() == "m1[0.5*F, 0.25*F] = -0.75"


@pytest.mark.parametrize("size", [2, 4, 7, 8, 16, 32, 257])
def test_element_index_is_the_inverse_of_the_middle_of_each_element(size):
    assert [element_index((index + 0.5) / size, size) for index in range(size)] == list(range(size))
    largest = float(np.nextafter(np.float32(1), np.float32(0)))
    assert element_index(0.0, size) == 0
    assert element_index(largest, size) == size - 1


def test_registers():
    assert Registers.parse("6,9,3") == (6, 9, 3)
    for text in ("6,9", "6,9,x", "", "1,9,3", "6,0,3", "6,9,-1", "6,9,1001"):
        with pytest.raises(ProgramError, match=r"^registers: "):
            Registers.parse(text)
    assert Algorithm().registers_used() == (2, 1, 0)
    assert linear().registers_used() == (4, 3, 0)


def test_digest_is_of_the_program_exactly_as_found():
    source = random.Random(1)
    programs = [random_algorithm(source) for _ in range(50)]
    assert len({one.digest() for one in programs}) == 50
    assert Algorithm((Instruction(Op.NO_OP),)).digest() != Algorithm((), (Instruction(Op.NO_OP),)).digest()
    assert linear().digest().hex()[:16] == PINNED


PINNED = "748357f25bb648b4"
"""Permalinks are made of digests and never change: raise OP_SET_VERSION if ops change their meaning."""
