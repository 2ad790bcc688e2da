"""Scores algorithms on a fixed list of tasks, exactly as the reference does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.algorithm import VECTOR_LABEL, Algorithm, ProgramError, Registers
from engine.compile_cache import compiling
from engine.core import context as at
from engine.core import evaluation, programs
from engine.core.assembly import assemble
from engine.core.frame import layout
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
    width: lanes of the vectors in machine code, 8 or 4 (default: as many as this processor has); 0: programs are interpreted.
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
        self._place: Place | None = None
        self._shape = Shape(
            self.features,
            self.padded_lanes,
            width,
            first.eval_type != "RMS_ERROR" and not self.vector_labels,
            self.vector_labels,
        )
        self._rows = rows
        self.loaded = 0
        """How many programs have been loaded: who keeps one sees whether another came in between."""
        self.group = self._build()
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Let random ops draw from other streams from now on: those of an evaluator made with this seed."""
        self.seed = seed
        for g, lane in np.ndindex(self.group.seeds.shape):
            # By the task, not the place: how far groups are padded depends on the machine.
            task = g * self.lanes + lane
            self.group.seeds[g, lane] = mix(np.uint64(seed % 2**64) ^ mix(np.uint64(task + 1)))

    def _build(self) -> evaluation.Group:
        self._blocks: list[np.ndarray] = []  # keeps alive what contexts point at
        self._features: list[np.ndarray] = []
        features, stride, lanes, count = self.features, self.lanes, self.padded_lanes, len(self.tasks)
        first = self.tasks[0]
        groups = math.ceil(count / stride)
        train_count, valid_count = len(first.train_labels), len(first.valid_labels)
        s, v, m = self.registers
        self._bank_words = (s + v * features + m * features**2) * lanes
        machine, parts = self._machine(first)
        kernel = 0
        if self._place is None:
            with compiling(f"kernel-{features}-{lanes}-{int(self.vector_labels)}"):
                kernel = kernel_address(features, lanes, self.vector_labels)
        group = evaluation.Group(
            contexts=_aligned((groups, at.WORDS), np.int64),
            addresses=np.zeros(groups, np.int64),
            kernel=np.array([kernel], np.int64),
            tasks=np.array([min(stride, count - g * stride) for g in range(groups)], np.int64),
            active=_aligned((groups, lanes), np.int64),
            steps=_aligned((groups, lanes), np.int64),
            fitness=_aligned((groups, lanes), np.float64),
            hashes=parts["hashes"],
            hash_address=np.array([_address(parts["hashes"])], np.int64),
            random=parts["random"],
            lane_steps=np.zeros(lanes, np.int64),
            lane_fitness=np.zeros(lanes),
            seeds=np.zeros((groups, lanes), np.uint64),
            full=np.array([train_count, valid_count, self.epochs], np.int64),
            machine=machine,
            frame=parts["frame"],
            alive=parts["alive"],
            totals=parts["totals"],
            lost=parts["steps"],
            trained=np.zeros(lanes, np.int64),
        )
        self.bank = parts["bank"]
        self.zeros = _aligned((features * lanes,), np.float64)
        scratch = _aligned((features**2 * lanes,), np.float64)
        alive = _aligned((2, lanes), np.int64)
        totals = _aligned((lanes,), np.float64)
        orders = _orders(train_count, self.epochs)
        self._blocks += [scratch, alive, totals, orders]
        for g in range(groups):
            tasks = self.tasks[g * stride : (g + 1) * stride]
            group.active[g, : len(tasks)] = -1
            data = {
                at.TRAIN_FEATURES: _in_lanes([task.train_features for task in tasks], lanes),
                at.TRAIN_LABELS: _in_lanes([labels_seen(task, task.train_labels) for task in tasks], lanes),
                at.VALID_FEATURES: _in_lanes([task.valid_features for task in tasks], lanes),
                at.VALID_LABELS: _in_lanes([labels_seen(task, task.valid_labels) for task in tasks], lanes),
            }
            self._blocks += data.values()
            self._features += [data[at.TRAIN_FEATURES], data[at.VALID_FEATURES]]
            ctx = group.contexts[g]
            for word, block in data.items():
                ctx[word] = _address(block)
            ctx[at.BANK], ctx[at.SCRATCH], ctx[at.RANDOM] = map(_address, (self.bank, scratch, group.random))
            ctx[at.ORDERS], ctx[at.ORDER_STRIDE] = _address(orders) + 8 * train_count, train_count
            ctx[at.IS_ACCURACY] = first.eval_type != "RMS_ERROR"
            ctx[at.CLASSES] = first.classes if self.vector_labels else 0
            ctx[at.MAX_ABS_ERROR] = np.float64(self.max_abs_error).view(np.int64)
            ctx[at.ACTIVE], ctx[at.STEPS] = _address(group.active[g]), _address(group.steps[g])
            ctx[at.ALIVE], ctx[at.TOTALS], ctx[at.FITNESS] = (
                _address(alive),
                _address(totals),
                _address(group.fitness[g]),
            )
            group.addresses[g] = _address(ctx)
        return group

    def _machine(self, first: Task) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return a machine for programs of self._rows instructions, and the arrays that machine code and interpreter work on."""
        lanes = self.padded_lanes
        if self._shape.width:
            with compiling(f"stencils-{'-'.join(str(int(one)) for one in self._shape)}"):
                self._place = new_place(
                    self._shape,
                    self._bank_words,
                    self._rows,
                    self.max_abs_error,
                    first.classes if self.vector_labels else 0,
                )
        if self._place is None:
            return np.zeros(0, np.int64), {
                "hashes": _aligned((lanes,), np.uint64), "random": _aligned((4, lanes), np.uint64), "frame": np.zeros(0, np.int64),
                "alive": np.zeros(0, np.int64), "totals": np.zeros(0), "steps": np.zeros(0, np.int64),
                "bank": _aligned((self._bank_words,), np.float64),
            }  # fmt: skip
        frame, places = self._place.frame, layout(self.features, lanes)

        def part(place: int, words: int, kind: type) -> np.ndarray:
            return frame[place // 8 : place // 8 + words].view(kind)

        return self._place.machine, {
            "hashes": part(places.hashes, lanes, np.uint64), "random": part(places.random, 4 * lanes, np.uint64).reshape(4, lanes),
            "frame": frame, "alive": part(places.alive, lanes, np.int64), "totals": part(places.totals, lanes, np.float64),
            "steps": part(places.steps, lanes, np.int64), "bank": part(places.bank, self._bank_words, np.float64),
        }  # fmt: skip

    def reserve(self, rows: int) -> None:
        """Make room for programs of so many instructions, Setup, Predict and Learn together."""
        if rows > self._rows:
            self._rows = rows
            self.group = self._build()
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
        if self._place is not None:
            assemble(self.group.machine, compact, compact.constants.view(np.int64), self.features, self.padded_lanes)
            return is_random
        self._decoded = programs.new_decoded(len(algorithm))
        attach(self, self._decoded)
        for ctx in self.group.contexts:
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
        saved = self.group.full[0]
        self.group.full[0] = min(saved, train_examples) if train_examples is not None else saved
        scores = np.zeros(len(self.tasks))
        try:
            evaluation.evaluate(self.group, is_random, scores)
        finally:
            self.group.full[0] = saved
        steps = np.concatenate([row[:n] for row, n in zip(self.group.steps, self.group.tasks)])
        return Evaluation(scores, steps.copy(), self._memory() if memory else None)

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
        last = int(self.group.contexts[0, at.LAST_FEATURES])
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
    for ctx in evaluator.group.contexts:
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
    """Return (epochs, N) int64: the order of the training examples in each epoch, in the first their own."""
    natural = np.arange(train_count)[None]
    return natural if epochs == 1 else np.concatenate([natural, epoch_orders(train_count, epochs)])
