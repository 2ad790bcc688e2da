"""Scores algorithms on a fixed list of tasks, exactly as the reference does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.algorithm import VECTOR_LABEL, Algorithm, ProgramError, Registers
from engine.compile_cache import compiling
from engine.core import assembly, evaluation, programs
from engine.core import context as at
from engine.core.assembly import assemble
from engine.core.frame import AHEAD, layout
from engine.core.fusion import fuse
from engine.core.kernel import kernel_address
from engine.core.lanes import WIDTH
from engine.core.machine import Place, new_place
from engine.core.random_stream import mix
from engine.core.stencils import Shape, vector_width
from engine.epochs import epoch_orders
from engine.task import Task

MAX_LANES = 16
"""Task lanes of one group at most: more would not fit the processor's registers."""
BANK_BYTES = 48 * 1024
"""Memory of one group's programs above which groups have half as many lanes: matrices of 16 lanes and 16 features fall out of
the first-level cache, and programs that work on them took 1.4 to 2.7 times as long for the same 16 tasks."""


NARROW_LANES = (2, 4)
"""Lanes of the last group where it has so few tasks: ten tasks of programs with matrices are 8 and 2, and 16 lanes took a third more
time than 12, 12 a twentieth more than 10."""


class Evaluation(NamedTuple):
    """What an algorithm did on each of D tasks.

    fitness: (D,) float64 in [0, 1]; 0 where training failed. train_steps: (D,) int64, the failing step included.
    memory: registers of the first task after training and validation: {"s": (S,), "v": (V, F), "m": (M, F, F)}, or None.
    """

    fitness: np.ndarray
    train_steps: np.ndarray
    memory: dict[str, np.ndarray] | None


class Evaluator:
    """Scores algorithms on a fixed list of tasks; pure: the same algorithm, tasks and seed give the same scores.

    tasks: D tasks alike in features, type and numbers of examples. registers: how many the programs may address.
    seed: of the random ops' streams, one for each task. epochs: passes over the training examples; the best counts.
    width: lanes of the vectors in machine code, 8 or 4 (default: as many as this processor has), but for the last few tasks; 0: programs
    are interpreted.
    Results are the same. rows: instructions that there is room for in the beginning.
    Raises ValueError if the tasks differ in shape or there are none.
    Source: Real et al. 2020, section 3.1, and the reference code (epochs, NaN rules).
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        registers: Registers,
        *,
        max_abs_error: float = 100.0,
        seed: int = 0,
        epochs: int = 1,
        width: int | None = None,
        rows: int = 128,
    ):
        if not tasks:
            raise ValueError("tasks: none given, at least one is needed")
        first = tasks[0]
        for task in tasks[1:]:
            if _shape(task) != _shape(first):
                raise ValueError(f"tasks: all must be alike, but {_shape(task)} differs from {_shape(first)}")
        self.tasks, self.registers = tuple(tasks), registers
        self.features = first.features_size
        self.vector_labels = first.eval_type == "MULTICLASS"
        if self.vector_labels and registers.v <= VECTOR_LABEL:
            raise ValueError(f"registers: {registers.v} vectors, vector labels need {VECTOR_LABEL + 1}")
        self.epochs, self.max_abs_error = epochs, max_abs_error
        count = len(tasks)
        s, v, m = registers
        words = s + v * self.features + m * self.features**2
        groups = math.ceil(count / (MAX_LANES if words * MAX_LANES * 8 <= BANK_BYTES else MAX_LANES // 2))
        self.lanes = math.ceil(math.ceil(count / groups) / WIDTH) * WIDTH
        """Tasks of a group: the same on every machine, since what fails together is seen in the keys of the equivalence cache."""
        width = vector_width() if width is None else width
        self.padded_lanes = math.ceil(self.lanes / (width or WIDTH)) * (width or WIDTH)
        self._width = width
        self._is_scalar = first.eval_type != "RMS_ERROR" and not self.vector_labels
        self._rows = rows
        self.loaded = 0
        """How many programs have been loaded: who keeps one sees whether another came in between."""
        self.groups = self._build()
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Let random ops draw from other streams from now on: those of an evaluator made with this seed."""
        self.seed = seed
        # By the task, not the place: how groups are padded depends on the machine.
        for task, place in enumerate(one for seeds in self._seeds for one in seeds):
            place[...] = mix(np.uint64(seed % 2**64) ^ mix(np.uint64(task + 1)))

    def _build(self) -> evaluation.Groups:
        """Lay out memory for programs of self._rows instructions."""
        self._blocks: list[np.ndarray] = []  # keeps alive what contexts point at
        self._features: list[np.ndarray] = []
        self._steps: list[np.ndarray] = []
        self._seeds: list[np.ndarray] = []
        first, count, lanes = self.tasks[0], len(self.tasks), self.padded_lanes
        self._places = self._new_places(lanes, self._width)
        wide, rest = count, count % self.lanes
        few = next((one for one in NARROW_LANES if 0 < rest <= one < min(lanes, count)), 0)
        if self._places and few:
            narrow = self._new_places(few, few)
            wide -= rest if narrow else 0
            self._places += narrow
        machines = np.array([place.machine for place in self._places], np.int64).reshape(-1, assembly.WORDS)
        memory = self._memory_of(lanes, 0)
        self.bank, self.zeros = memory["bank"], _aligned((self.features * lanes,), np.float64)
        orders = _orders(len(first.train_labels), self.epochs)
        self._blocks.append(orders)
        starts = range(0, wide, self.lanes)
        contexts = _aligned((len(starts) + (wide < count), at.WORDS), np.int64)
        contexts[:, at.ORDERS], contexts[:, at.ORDER_STRIDE] = (
            _address(orders) + 8 * len(first.train_labels),
            len(first.train_labels),
        )
        for ctx, start in zip(contexts, starts):
            self._point(ctx, self.tasks[start : start + self.lanes], lanes, memory)
            ctx[at.MACHINE] = _address(machines[0]) if len(machines) else 0
        if wide < count:
            self._point(contexts[-1], self.tasks[wide:], few, self._memory_of(few, 1))
            contexts[-1, at.MACHINE] = _address(machines[1])
        if not len(machines):
            with compiling(f"kernel-{self.features}-{lanes}-{int(self.vector_labels)}"):
                contexts[:, at.KERNEL] = kernel_address(self.features, lanes, self.vector_labels)
        full = np.array([len(first.train_labels), len(first.valid_labels), self.epochs], np.int64)
        return evaluation.Groups(contexts, machines, full)

    def _new_places(self, lanes: int, width: int) -> list[Place]:
        """Return a machine for vectors of `width`; none: programs are to be interpreted."""
        if not width:
            return []
        shape = Shape(self.features, lanes, width, self._is_scalar, self.vector_labels)
        classes = self.tasks[0].classes if self.vector_labels else 0
        with compiling(f"stencils-{'-'.join(str(int(one)) for one in shape)}"):
            place = new_place(shape, self._bank_words(lanes), self._rows, self.max_abs_error, classes)
        return [] if place is None else [place]

    def _bank_words(self, lanes: int) -> int:
        s, v, m = self.registers
        return (s + v * self.features + m * self.features**2) * lanes

    def _memory_of(self, lanes: int, place: int) -> dict[str, np.ndarray]:
        """Return what groups of so many lanes share: registers, and what is noted of each lane while a program runs.

        place: of their machine in self._places. Machine code has all of it in its frame.
        """
        own = {"scratch": _aligned((self.features**2 * lanes,), np.float64), "spare": _aligned((3, lanes), np.int64)}
        if self._places:
            frame, places = self._places[place].frame, layout(self.features, lanes)

            def part(displacement: int, words: int) -> np.ndarray:
                return frame[displacement // 8 : displacement // 8 + words]

            memory = own | {
                "hashes": part(places.hashes, lanes), "random": part(places.random, 4 * lanes), "alive": part(places.alive, lanes),
                "totals": part(places.totals, lanes), "lost": part(places.steps, lanes),
                "bank": part(places.bank, self._bank_words(lanes)).view(np.float64),
            }  # fmt: skip
        else:
            memory = own | {
                "hashes": _aligned((lanes,), np.int64), "random": _aligned((4, lanes), np.int64),
                "alive": _aligned((2, lanes), np.int64), "totals": _aligned((lanes,), np.int64), "lost": _aligned((lanes,), np.int64),
                "bank": _aligned((self._bank_words(lanes),), np.float64),
            }  # fmt: skip
        self._blocks += memory.values()
        return memory

    def _point(self, ctx: np.ndarray, tasks: Sequence[Task], lanes: int, memory: dict[str, np.ndarray]) -> None:
        """Fill in the context of a group of tasks."""
        first = tasks[0]
        active, steps = _aligned((lanes,), np.int64), _aligned((lanes,), np.int64)
        seeds, fitness = np.zeros(lanes, np.uint64), _aligned((lanes,), np.float64)
        active[: len(tasks)] = -1
        blocks = {
            at.TRAIN_FEATURES: _in_lanes([task.train_features for task in tasks], lanes),
            at.TRAIN_LABELS: _in_lanes([labels_seen(task, task.train_labels) for task in tasks], lanes),
            at.VALID_FEATURES: _in_lanes([task.valid_features for task in tasks], lanes),
            at.VALID_LABELS: _in_lanes([labels_seen(task, task.valid_labels) for task in tasks], lanes),
            at.ACTIVE: active, at.STEPS: steps, at.FITNESS: fitness, at.SEEDS: seeds,
            at.ALIVE: memory["alive"], at.TOTALS: memory["totals"], at.LOST: memory["lost"], at.SPARE: memory["spare"],
            at.BANK: memory["bank"], at.SCRATCH: memory["scratch"], at.RANDOM: memory["random"], at.HASH_PLACE: memory["hashes"],
        }  # fmt: skip
        for word, block in blocks.items():
            ctx[word] = _address(block)
        self._blocks += blocks.values()
        self._features += [blocks[at.TRAIN_FEATURES], blocks[at.VALID_FEATURES]]
        self._steps.append(steps[: len(tasks)])
        self._seeds.append(seeds[: len(tasks), None])
        ctx[at.LANES], ctx[at.TASKS] = lanes, len(tasks)
        ctx[at.IS_ACCURACY] = first.eval_type != "RMS_ERROR"
        ctx[at.CLASSES] = first.classes if self.vector_labels else 0
        ctx[at.MAX_ABS_ERROR] = np.float64(self.max_abs_error).view(np.int64)

    def reserve(self, rows: int) -> None:
        """Make room for programs of so many instructions, Setup, Predict and Learn together."""
        if rows > self._rows:
            self._rows = rows
            self.groups = self._build()
            self.reseed(self.seed)

    def load(self, algorithm: Algorithm, *, keep_dead: bool = False) -> bool:
        """Decode an algorithm for every group of lanes; return whether one of its ops draws random numbers.

        keep_dead: run it exactly as written, instructions that cannot reach the prediction included and nothing fused. It
        stays loaded until the next. Raises ProgramError if an address is out of range, or labels are of the other kind.
        """
        if algorithm.vector_labels != self.vector_labels:
            kinds = {False: "numbers (label in s0)", True: "vectors (label in v2)"}
            raise ProgramError(
                f"program: its labels are {kinds[algorithm.vector_labels]}, the tasks' {kinds[self.vector_labels]}"
            )
        needed = algorithm.registers_used()
        for kind, there, wanted in zip("svm", self.registers, needed):
            if wanted > there:
                raise ProgramError(f"program: needs {wanted} registers of type {kind}, there are {there}")
        self.reserve(len(algorithm))
        encoded = Encoded.of(algorithm)
        first = np.array([0, self.registers.s, self.registers.s + self.registers.v, self.vector_labels], np.int64)
        compact = programs.new_compact(len(algorithm), tuple(self.registers))
        if keep_dead:
            programs.keep_all(encoded.lengths, encoded.starts, compact)
        else:
            programs.find_live(encoded.code, encoded.lengths, encoded.starts, first, compact)
        is_random = programs.make_compact(
            encoded.code, encoded.constants, encoded.lengths, encoded.starts, first, not keep_dead, compact
        )
        if not keep_dead:
            fuse(compact)
        self.loaded += 1
        if self._places:
            for machine in self.groups.machines:
                assemble(machine, compact, compact.constants.view(np.int64))
            return is_random
        self._decoded = programs.new_decoded(len(algorithm))
        attach(self, self._decoded)
        for ctx in self.groups.contexts:
            programs.decode(
                compact, compact.constants.view(np.int64), self.features, self.padded_lanes, self._decoded,
                _address(self._decoded.words), _address(self.bank), _address(self.zeros), ctx,
            )  # fmt: skip
        return is_random

    def evaluate(self, algorithm: Algorithm, *, train_examples: int | None = None, memory: bool = False) -> Evaluation:
        """Score an algorithm on every task; train_examples: only the first so many. memory: also return the registers.

        With memory the program runs exactly as written; without, instructions that cannot reach the prediction are left
        out, which changes no score. Raises ProgramError if an address is out of range.
        """
        is_random = self.load(algorithm, keep_dead=memory)
        full = self.groups.full
        saved = full[0]
        full[0] = min(saved, train_examples) if train_examples is not None else saved
        scores = np.zeros(len(self.tasks))
        try:
            evaluation.evaluate(self.groups, is_random, scores)
        finally:
            full[0] = saved
        return Evaluation(scores, np.concatenate(self._steps), self._memory() if memory else None)

    def _memory(self) -> dict[str, np.ndarray]:
        """Return the first task's registers; label and features, which the kernel keeps elsewhere, are put in place."""
        if len(self.tasks) != 1:
            raise ValueError("memory: only for an evaluator of one task")
        s, v, m = self.registers
        size, lanes = self.features, self.padded_lanes
        lane = self.bank.reshape(-1, lanes)[:, 0]
        scalars, vectors = lane[:s].copy(), lane[s : s + v * size].reshape(v, size).copy()
        matrices = lane[s + v * size : s + v * size + m * size**2].reshape(m, size, size).copy()
        scalars[0] = 0.0
        last = int(self.groups.contexts[0, at.LAST_FEATURES])
        for block in self._features:
            row = (last - _address(block)) // (8 * size * lanes)
            if 0 <= row < len(block):
                vectors[0] = block[row, :, 0]
        return {"s": scalars, "v": vectors, "m": matrices}


class Encoded(NamedTuple):
    """An algorithm as arrays: see engine/core/programs.py."""

    code: np.ndarray
    constants: np.ndarray
    lengths: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, algorithm: Algorithm, capacities: Sequence[int] | None = None) -> Encoded:
        """Encode an algorithm; capacities: rows kept for each function (default: as many as it has)."""
        lengths = np.array([len(function) for function in algorithm.functions], np.int32)
        room = np.array(capacities if capacities is not None else lengths, np.int64)
        starts = np.concatenate([[0], np.cumsum(room)[:-1]]).astype(np.int64)
        size = max(int(room.sum()), 1)
        code, constants = np.zeros((size, 4), np.int16), np.zeros((size, 3))
        for start, function in zip(starts, algorithm.functions):
            for row, one in enumerate(function, start):
                code[row] = one.op, one.in1, one.in2, one.out
                constants[row, : len(one.constants)] = one.constants
        return cls(code, constants, lengths, starts)


def attach(evaluator: Evaluator, decoded: programs.Decoded) -> None:
    """Point every context of an evaluator at a decoded program's arrays."""
    for ctx in evaluator.groups.contexts:
        ctx[at.CODE], ctx[at.PATCHES] = _address(decoded.words), _address(decoded.feature_patches)
        ctx[at.LABEL_PATCHES] = _address(decoded.label_patches)


def labels_seen(task: Task, labels: np.ndarray) -> np.ndarray:
    """Return labels (N,) as programs see them: as they are, or (N, F) with 1 for the class and else 0."""
    if task.eval_type != "MULTICLASS":
        return labels
    vectors = np.zeros((len(labels), task.features_size))
    vectors[np.arange(len(labels)), labels.astype(np.int64)] = 1.0
    return vectors


def _shape(task: Task) -> tuple[int, int, int, str, int]:
    return task.features_size, len(task.train_labels), len(task.valid_labels), task.eval_type, task.classes


def _in_lanes(parts: Sequence[np.ndarray], lanes: int) -> np.ndarray:
    """Interleave the tasks' arrays, (N, …) each, into (N, …, lanes); lanes without a task hold zeros."""
    block = _aligned((*parts[0].shape, lanes), np.float64)
    for lane, part in enumerate(parts):
        block[..., lane] = part
    return block


def _aligned(shape: tuple[int, ...], kind: type) -> np.ndarray:
    """Return a zeroed C-contiguous array of 8-byte elements that begins at a multiple of 64 bytes."""
    size = int(np.prod(shape))
    raw = np.zeros(size + 8, kind)
    offset = -_address(raw) % 64 // 8
    return raw[offset : offset + size].reshape(shape)


def _address(array: np.ndarray) -> int:
    return array.ctypes.data


def _orders(train_count: int, epochs: int) -> np.ndarray:
    """Return (epochs * N + AHEAD,) int64: the order of the training examples in each epoch, in the first their own; then zeros."""
    later = epoch_orders(train_count, epochs).ravel() if epochs > 1 else np.zeros(0, np.int64)
    return np.concatenate([np.arange(train_count), later, np.zeros(AHEAD, np.int64)])
