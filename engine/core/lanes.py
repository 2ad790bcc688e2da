"""Emits LLVM code over task lanes: the small vocabulary in which the op bodies are written.

Memory layout: element e of a register holds one float64 for each task lane, lanes contiguous. With W lanes in a machine
vector an element is `chunks` vectors, a scalar register is one element, a vector register F elements, a matrix F*F
(row-major). So an elementwise op is one flat run over vectors, whatever the number of tasks, and no op branches on a lane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

WIDTH = 4
"""Lanes in one machine vector of the interpreter: 256 bits, which every recent x86-64 has."""

I1, I32, I64, DOUBLE = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.DoubleType()
POINTER = ir.PointerType()
VECTOR = ir.VectorType(DOUBLE, WIDTH)
MASK = ir.VectorType(I1, WIDTH)
BITS = ir.VectorType(I64, WIDTH)

Value = ir.Value
Index = "int | ir.Value"


class Held:
    """A register whose vectors are at hand: read from them; written to them, and to memory where it has an address."""

    def __init__(self, values: Sequence[Value | None], address: Value | None = None):
        self.values, self.address = list(values), address


class Lanes:
    """A builder that knows the shape: F features and a number of lanes that is a multiple of a vector's width."""

    def __init__(self, builder: ir.IRBuilder, features: int, lanes: int, width: int = WIDTH):
        assert lanes % width == 0
        self.builder, self.features, self.lanes, self.width = builder, features, lanes, width
        self.chunks = lanes // width
        self.vector, self.mask, self.bits = (ir.VectorType(kind, width) for kind in (DOUBLE, I1, I64))
        self.module = builder.module

    # constants -----------------------------------------------------------------------------------------------------

    def splat(self, value: float | Value) -> Value:
        """Return a vector with `value` in every lane."""
        if isinstance(value, (int, float)):
            return ir.Constant(self.vector, [float(value)] * self.width)
        return self._splat(value, self.vector)

    def splat_bits(self, value: int) -> Value:
        """Return an integer vector with `value` in every lane."""
        return ir.Constant(self.bits, [value] * self.width)

    def _splat(self, value: Value, kind: ir.VectorType) -> Value:
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, self.width), [0] * self.width)
        return self.builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)

    # memory --------------------------------------------------------------------------------------------------------

    def index(self, value: int | Value) -> Value:
        """Return an index as an IR value."""
        return ir.Constant(I64, value) if isinstance(value, int) else value

    def add(self, a: int | Value, b: int | Value) -> int | Value:
        """Add two indices, folding constants."""
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if isinstance(b, int) and b == 0:
            return a
        if isinstance(a, int) and a == 0:
            return b
        return self.builder.add(self.index(a), self.index(b))

    def multiply(self, a: int | Value, b: int) -> int | Value:
        """Multiply an index by a constant."""
        return a * b if isinstance(a, int) else self.builder.mul(a, ir.Constant(I64, b))

    def at(self, pointer: Value, index: int | Value, kind: ir.Type | None = None) -> Value:
        """Return the address of the index-th vector behind `pointer`."""
        kind = kind or self.vector
        return self.builder.gep(pointer, [self.index(index)], source_etype=kind)

    def load(self, pointer: Value | Held, index: int | Value, kind: ir.Type | None = None) -> Value:
        """Load the index-th vector behind `pointer`, which is aligned to a vector's size."""
        if isinstance(pointer, Held):
            return pointer.values[index]
        kind = kind or self.vector
        return self.builder.load(self.at(pointer, index, kind), typ=kind, align=8 * self.width)

    def store(self, value: Value, pointer: Value | Held, index: int | Value) -> None:
        """Store a vector as the index-th behind `pointer`, which is aligned to a vector's size."""
        if isinstance(pointer, Held):
            pointer.values[index] = value
            pointer = pointer.address
        self.builder.store(value, self.at(pointer, index, value.type), align=8 * self.width)

    # control -------------------------------------------------------------------------------------------------------

    def repeat(self, count: int, body: Callable, state: Sequence[Value] = (), *, unroll: int = 8) -> list[Value]:
        """Emit body(index, *state) -> new state for each index in [0, count); return the last state.

        Short loops are unrolled whole (index is then an int), longer ones by the largest factor up to `unroll`.
        """
        state = list(state)
        if count <= 2 * unroll:
            for index in range(count):
                state = list(body(index, *state) or ())
            return state
        factor = next(one for one in range(unroll, 0, -1) if count % one == 0)
        builder, before = self.builder, self.builder.block
        loop = builder.append_basic_block("loop")
        builder.branch(loop)
        builder.position_at_end(loop)
        counter = builder.phi(I64)
        counter.add_incoming(ir.Constant(I64, 0), before)
        phis = [builder.phi(value.type) for value in state]
        for phi, value in zip(phis, state):
            phi.add_incoming(value, before)
        current = list(phis)
        for step in range(factor):
            current = list(body(self.add(counter, step), *current) or ())
        following = builder.add(counter, ir.Constant(I64, factor))
        end = builder.block
        counter.add_incoming(following, end)
        for phi, value in zip(phis, current):
            phi.add_incoming(value, end)
        done = builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed("<", following, ir.Constant(I64, count)), loop, done)
        builder.position_at_end(done)
        return current

    # arithmetic ----------------------------------------------------------------------------------------------------

    def intrinsic(self, name: str, *arguments: Value) -> Value:
        """Call an LLVM intrinsic on vectors, for example "sqrt"."""
        kind = arguments[0].type
        suffix = f"v{self.width}f64" if kind == self.vector else "f64"
        function_type = ir.FunctionType(kind, [kind] * len(arguments))
        return self.builder.call(self.declare(f"llvm.{name}.{suffix}", function_type), arguments)

    def libm(self, name: str, value: Value) -> Value:
        """Call a function of the C mathematics library lane by lane."""
        function = self.declare(name, ir.FunctionType(DOUBLE, [DOUBLE]))
        result: Value = ir.Constant(self.vector, ir.Undefined)
        for lane in range(self.width):
            position = ir.Constant(I32, lane)
            one = self.builder.call(function, [self.builder.extract_element(value, position)])
            result = self.builder.insert_element(result, one, position)
        return result

    def declare(self, name: str, function_type: ir.FunctionType) -> ir.Function:
        """Return the function of this name, declared where it was not."""
        existing = self.module.globals.get(name)
        return existing or ir.Function(self.module, function_type, name)

    def polynomial(self, x: Value, coefficients: Sequence[float]) -> Value:
        """Evaluate by Horner's rule, highest coefficient first."""
        result = self.splat(coefficients[0])
        for coefficient in coefficients[1:]:
            result = self.builder.fadd(self.builder.fmul(result, x), self.splat(coefficient))
        return result

    def to_bits(self, value: Value) -> Value:
        """Reinterpret doubles as integers."""
        return self.builder.bitcast(value, self.bits)

    def from_bits(self, value: Value) -> Value:
        """Reinterpret integers as doubles."""
        return self.builder.bitcast(value, self.vector)

    def any(self, mask: Value) -> Value:
        """Return an i1: whether any lane of an i1 vector is set."""
        packed = self.builder.bitcast(mask, ir.IntType(self.width))
        return self.builder.icmp_unsigned("!=", packed, ir.Constant(ir.IntType(self.width), 0))
