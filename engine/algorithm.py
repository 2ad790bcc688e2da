"""Algorithms: three straight-line programs over a small typed memory, and how they are read and printed."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.ops import OP_SET_VERSION, OPS, Op, OpInfo

COMPONENT_FUNCTIONS = ("setup", "predict", "learn")

LABEL, PREDICTION, FEATURES = 0, 1, 0
"""Special addresses: s0 holds the label, s1 the prediction, v0 the features."""

VECTOR_PREDICTION, VECTOR_LABEL = 1, 2
"""Of programs with vector labels: v1 holds the prediction (a score for each class, their softmax in Learn), v2 the label
(1 for the class of the example, else 0); s0 is always 0, s1 a register like any other."""


class ProgramError(ValueError):
    """A program that is not valid; the message names the place and what is allowed there."""


class Registers(NamedTuple):
    """How many registers of each type the memory has: scalars, vectors, matrices."""

    s: int
    v: int
    m: int

    @classmethod
    def parse(cls, text: str) -> Registers:
        """Read "S,V,M", for example "6,9,3". Raises ProgramError."""
        try:
            counts = [int(part) for part in text.split(",")]
        except ValueError:
            counts = []
        if len(counts) != 3:
            raise ProgramError(f'registers: expected three numbers "S,V,M", for example "6,9,3", got "{text}"')
        return cls(*counts).checked()

    def checked(self) -> Registers:
        """Return self if s0, s1 and v0 exist. Raises ProgramError."""
        for name, count, low in (("s", self.s, 2), ("v", self.v, 1), ("m", self.m, 0)):
            if not low <= count <= MAX_REGISTERS:
                raise ProgramError(f"registers: {count} of type {name}, allowed {low} to {MAX_REGISTERS}")
        return self


MAX_REGISTERS = 1000
MAX_INSTRUCTIONS = 1000
"""Longest component function, as in the reference."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: an op, its addresses (0 where the op has none) and its constants.

    constants: float64; those of ops 57 to 64 are rounded to float32, as the reference stores them.
    """

    op: Op
    in1: int = 0
    in2: int = 0
    out: int = 0
    constants: tuple[float, ...] = ()

    @property
    def info(self) -> OpInfo:
        """The op's row of the table."""
        return OPS[self.op]

    def to_json(self) -> dict[str, Any]:
        """Return the instruction as the JSON object of the command-line contract."""
        info = self.info
        result: dict[str, Any] = {"op": self.op.name}
        for name, _ in zip(("in1", "in2"), info.inputs):
            result[name] = getattr(self, name)
        if info.output:
            result["out"] = self.out
        if info.constants:
            result["constants"] = [_to_json_number(value) for value in self.constants]
        return result

    @classmethod
    def from_json(cls, data: Any, *, registers: Registers | None = None, place: str = "instruction") -> Instruction:
        """Read and check one instruction; `place` begins the error message. Raises ProgramError."""
        if not isinstance(data, Mapping):
            raise ProgramError(f'{place}: expected an object like {{"op": "SCALAR_SUM", …}}, got {_shown(data)}')
        name = data.get("op")
        if not isinstance(name, str) or name not in Op.__members__:
            raise ProgramError(
                f"{place}.op: unknown op {_shown(name)}; allowed are the names of `python -m engine ops`"
            )
        info = OPS[Op[name]]
        allowed = {"op", *("in1", "in2")[: len(info.inputs)]}
        allowed |= {"out"} if info.output else set()
        allowed |= {"constants"} if info.constants else set()
        for key in data:
            unused = (key in ("in1", "in2", "out") and data[key] == 0) or (key == "constants" and data[key] == [])
            if key not in allowed and not unused:
                raise ProgramError(f"{place}.{key}: {name} takes only {', '.join(sorted(allowed))}")
        addresses = {}
        for key, kind in zip(("in1", "in2"), info.inputs):
            addresses[key] = _address(data, key, kind, 0, registers, place, name)
        if info.output:
            lowest = 0 if info.output == "m" else 1
            addresses["out"] = _address(data, "out", info.output, lowest, registers, place, name)
        return cls(info.op, **addresses, constants=_constants(data, info, place))

    def text(self, *, features_size: int | None = None, digits: int = 6) -> str:
        """Print as the paper does, ``s1 = dot(v0, v2)``; the index of a set element needs features_size to be exact."""
        info = self.info
        values = dict(zip(info.constants, self.constants))
        shown = {name: _significant(value, digits) for name, value in values.items()}
        for name in {"i", "j"} & set(values):
            size = features_size
            shown[name] = str(element_index(values[name], size)) if size else f"{_significant(values[name], 3)}*F"
        return info.notation.format(a=self.in1, b=self.in2, o=self.out, **shown)


@dataclass(frozen=True, slots=True)
class Algorithm:
    """Setup, Predict and Learn: what a search finds.

    vector_labels: whether it tells many classes apart, with prediction and label in v1 and v2, not s1 and s0.
    """

    setup: tuple[Instruction, ...] = ()
    predict: tuple[Instruction, ...] = ()
    learn: tuple[Instruction, ...] = ()
    vector_labels: bool = False

    @property
    def functions(self) -> tuple[tuple[Instruction, ...], ...]:
        """The three component functions in order."""
        return (self.setup, self.predict, self.learn)

    @property
    def label(self) -> tuple[str, int]:
        """The register that Learn finds the label in."""
        return ("v", VECTOR_LABEL) if self.vector_labels else ("s", LABEL)

    @property
    def prediction(self) -> tuple[str, int]:
        """The register that Predict leaves the prediction in."""
        return ("v", VECTOR_PREDICTION) if self.vector_labels else ("s", PREDICTION)

    def with_functions(self, functions: Iterable[Iterable[Instruction]]) -> Algorithm:
        """Return the program with other component functions."""
        setup, predict, learn = map(tuple, functions)
        return Algorithm(setup, predict, learn, self.vector_labels)

    def __len__(self) -> int:
        return sum(map(len, self.functions))

    def to_json(self) -> dict[str, Any]:
        """Return {"setup": […], "predict": […], "learn": […]} of the command-line contract, and "labels" if they are vectors."""
        functions = {
            name: [instruction.to_json() for instruction in function]
            for name, function in zip(COMPONENT_FUNCTIONS, self.functions)
        }
        return {"labels": "vector", **functions} if self.vector_labels else functions

    @classmethod
    def from_json(cls, data: Any, *, registers: Registers | None = None) -> Algorithm:
        """Read and check a program; register ranges are checked where `registers` is given. Raises ProgramError."""
        if not isinstance(data, Mapping):
            raise ProgramError(f"program: expected an object with setup, predict and learn, got {_shown(data)}")
        labels = data.get("labels", "number")
        if labels not in ("number", "vector"):
            raise ProgramError(f'labels: {_shown(labels)} is not allowed, "number" (the default) and "vector" are')
        functions: dict[str, tuple[Instruction, ...]] = {}
        for name in COMPONENT_FUNCTIONS:
            if name not in data:
                raise ProgramError(f"{name}: missing; a program has setup, predict and learn")
            lines = data[name]
            if not isinstance(lines, (list, tuple)):
                raise ProgramError(f"{name}: expected a list of instructions, got {_shown(lines)}")
            if len(lines) > MAX_INSTRUCTIONS:
                raise ProgramError(f"{name}: {len(lines)} instructions, allowed are up to {MAX_INSTRUCTIONS}")
            functions[name] = tuple(
                Instruction.from_json(line, registers=registers, place=f"{name}[{index}]")
                for index, line in enumerate(lines)
            )
        return cls(**functions, vector_labels=labels == "vector")

    def pseudocode(self, *, features_size: int | None = None, digits: int = 6) -> str:
        """Print the three functions as the paper does, one instruction a line."""
        lines = []
        for title, function in zip(("Setup", "Predict", "Learn"), self.functions):
            lines.append(f"def {title}():")
            lines += [f"  {one.text(features_size=features_size, digits=digits)}" for one in function] or ["  pass"]
        return "\n".join(lines) + "\n"

    def registers_used(self) -> Registers:
        """Return the smallest register counts that hold every address of the program (and the special ones)."""
        highest = {"s": 1, "v": VECTOR_LABEL if self.vector_labels else 0, "m": -1}
        for function in self.functions:
            for one in function:
                info = one.info
                for kind, address in [*zip(info.inputs, (one.in1, one.in2)), *zip(info.output, (one.out,))]:
                    highest[kind] = max(highest[kind], address)
        return Registers(*(highest[kind] + 1 for kind in "svm"))

    def to_bytes(self) -> bytes:
        """Serialise the program exactly as found: the bytes behind its digest."""
        parts = [struct.pack("<HHHH", OP_SET_VERSION, *map(len, self.functions))]
        for function in self.functions:
            for one in function:
                parts.append(struct.pack("<BHHH", one.op, one.in1, one.in2, one.out))
                parts.append(struct.pack(f"<{len(one.constants)}d", *one.constants))
        return b"".join([*parts, b"vector labels"] if self.vector_labels else parts)

    def digest(self) -> bytes:
        """Return the 32-byte digest of (op-set version, the program exactly as found); permalinks are made of it."""
        return hashlib.sha256(self.to_bytes()).digest()

    def dumps(self) -> str:
        """Return the program as compact JSON text."""
        return json.dumps(self.to_json(), separators=(",", ":"))


def element_index(fraction: float, size: int) -> int:
    """Return the element that an index constant in [0, 1) names in a vector of `size`: trunc(float32(size) * fraction)."""
    return int(_float32(_float32(size) * _float32(fraction)))


def number_from_json(value: Any) -> float:
    """Read a JSON number, or one of "nan", "inf", "-inf". Raises ValueError."""
    if isinstance(value, str) and value in ("nan", "inf", "-inf"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"expected a number, got {_shown(value)}")
    return float(value)


def _address(data, key, kind, lowest, registers, place, name) -> int:
    if key not in data:
        raise ProgramError(f"{place}.{key}: missing; {name} needs a register of type {kind}")
    value = data[key]
    highest = (getattr(registers, kind) if registers else MAX_REGISTERS) - 1
    if isinstance(value, bool) or not isinstance(value, int):
        raise ProgramError(f"{place}.{key}: expected an address of type {kind} as a whole number, got {_shown(value)}")
    if not lowest <= value <= highest:
        if highest < lowest:
            raise ProgramError(f"{place}.{key}: {name} needs a register of type {kind}, and there is none to use")
        raise ProgramError(
            f"{place}.{key}: register {kind}{value} out of range, allowed {kind}{lowest} to {kind}{highest}"
        )
    return value


def _constants(data, info: OpInfo, place: str) -> tuple[float, ...]:
    if not info.constants:
        return ()
    names = ", ".join(info.constants)
    values = data.get("constants")
    if not isinstance(values, (list, tuple)) or len(values) != len(info.constants):
        got = "none" if values is None else _shown(values)
        raise ProgramError(f"{place}.constants: {info.op.name} needs {len(info.constants)} ({names}), got {got}")
    result = []
    for name, value in zip(info.constants, values):
        try:
            number = number_from_json(value)
            number = number if info.op == Op.SCALAR_CONST_SET else _float32(number)
        except (ValueError, OverflowError) as error:
            raise ProgramError(f"{place}.constants: {name}: {error}") from None
        if name in ("i", "j") and not 0 <= number < 1:
            raise ProgramError(
                f"{place}.constants: {name}: index fraction {_shown(value)} out of range, allowed [0, 1)"
            )
        result.append(number)
    return tuple(result)


def _float32(value: float) -> float:
    """Round to float32; values beyond its range become infinite, as a C cast makes them."""
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def _significant(value: float, digits: int) -> str:
    return f"{value:.{digits}g}"


def _to_json_number(value: float) -> float | str:
    if math.isnan(value):
        return "nan"
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 60 else text[:57] + "…"
