"""What to search, and how: frozen specifications, their checks, and their JSON/TOML form.

One source of truth for the command line, the web forms and the stored searches. Every check raises SpecError, which
names the field (dotted path) and says what is allowed there.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any

from engine import kinds
from engine.algorithm import (
    COMPONENT_FUNCTIONS,
    MAX_INSTRUCTIONS,
    VECTOR_LABEL,
    Algorithm,
    ProgramError,
    Registers,
)
from engine.baselines import BASELINES
from engine.ops import OPS, Op

SPEC_VERSION = 1
LATER_FIELDS = (
    "islands", "migration", "island_groups", "select_rounds", "final_seeds", "selection", "constant_rule", "hurdle",
    "more_mutations", "validity", "validity_tries", "price", "length_price", "newcomers", "stages",
)  # fmt: skip
"""Fields that the first specifications did not have. At their defaults they are left out of the JSON form, so that what
was stored before them, checkpoints above all, is still of the same specification. New fields belong here."""
ISLAND_FIELDS = (
    "search_tasks", "setup", "predict", "learn", "initial", "program", "population_size", "tournament_size",
    "mutation_probability", "mutations", "fitness_combination", "max_abs_error", "fec", "train_budget", "selection",
    "constant_rule", "hurdle", "more_mutations", "validity", "validity_tries", "price", "length_price", "newcomers",
)  # fmt: skip
"""What may differ between the islands of a search: all that selection and the exchange of algorithms do not rely on."""

STAGE_FIELDS = (
    "setup", "predict", "learn", "population_size", "tournament_size", "mutation_probability", "mutations", "selection",
    "constant_rule", "hurdle", "more_mutations", "validity", "validity_tries", "price", "length_price", "newcomers", "stop",
)  # fmt: skip
"""What may differ between the experiments of a search: scores of all of them must mean the same."""
MAX_STAGES = 100
"""Each that differs is checked as a specification of its own."""
STAGE_LIMITS = ("stagnation", "max_individuals", "max_train_steps")
"""Of `stop`: the limits of one experiment."""
STARTS = ("initial", "fresh", "recent", "best")
"""What an experiment begins from: the initial program; the best on the select tasks of the experiments that began from the initial program,
since one last began from a fresh find; the best of all experiments since one last began from a recent find; the best of all so far."""

TASK_KINDS = ("linear", "affine", "net", "regression", "projected", "classes")
DATASET_KINDS = {"regression": "diabetes", "projected": "digits", "classes": "digits"}
"""Kinds of tasks that need a data set, each with one to name as an example."""
MUTATIONS, SELECTIONS = tuple(kinds.MUTATIONS), tuple(kinds.SELECTIONS)
FITNESS_COMBINATIONS, CONSTANT_RULES = tuple(kinds.FITNESS_COMBINATIONS), kinds.CONSTANT_RULES
VALIDITIES = tuple(kinds.VALIDITIES)
"""Names, whose places in these tuples are their numbers in compiled code."""
INITIAL_PROGRAMS = ("random", "empty", *BASELINES, "program")
"""What the first individuals are: random programs, empty ones, a known algorithm, or the one given as `program`."""


class SpecError(ValueError):
    """A specification that is not valid. `field` is the dotted path of the field at fault."""

    def __init__(self, field: str, message: str):
        super().__init__(f"{field}: {message}")
        self.field, self.message = field, message


@dataclass(frozen=True)
class TaskSpec:
    """A family of learning tasks, `count` of which make one evaluation.

    kind: "linear" (labels w.x), "affine" (labels w.x + b), "net" (labels of a random 2-layer net) and "regression" (the
    numbers that go with the rows of `dataset`, projected to F dimensions), all scored by RMS error; "projected" (pairs of
    classes of `dataset`, projected to F dimensions), scored by accuracy; "classes" (all classes of `dataset`, at most F,
    with vector labels and softmax), scored by accuracy. pairs: "search" (all but the held-out pairs),
    "held_out", or explicit pairs. seeds: of each task, cycled over; empty: derived from the search's seed.
    """

    kind: str = "linear"
    count: int = 10
    features: int = 4
    train_examples: int = 100
    valid_examples: int = 100
    epochs: int = 1
    dataset: str = ""
    pairs: str | tuple[tuple[int, int], ...] = "search"
    held_out_pairs: tuple[tuple[int, int], ...] = ()
    seeds: tuple[int, ...] = ()

    @property
    def is_accuracy(self) -> bool:
        """Whether the score is the share of examples that are classified right."""
        return self.kind in ("projected", "classes")

    def check(self, path: str) -> None:
        """Raise SpecError at the first field out of range."""
        _one_of(path, "kind", self.kind, TASK_KINDS)
        _whole(path, "count", self.count, 1, 10_000)
        _whole(path, "features", self.features, 2, 256)
        _whole(path, "train_examples", self.train_examples, 10, 1_000_000)
        _whole(path, "valid_examples", self.valid_examples, 1, 1_000_000)
        _whole(path, "epochs", self.epochs, 1, 1000)
        example = DATASET_KINDS.get(self.kind)
        if example and not self.dataset:
            raise SpecError(f"{path}.dataset", f'needed when kind is "{self.kind}", for example "{example}"')
        if isinstance(self.pairs, str):
            _one_of(path, "pairs", self.pairs, ("search", "held_out"))
        for name in ("pairs", "held_out_pairs"):
            value = getattr(self, name)
            for pair in () if isinstance(value, str) else value:
                if len(pair) != 2 or pair[0] == pair[1] or min(pair) < 0:
                    raise SpecError(
                        f"{path}.{name}", f"expected pairs of two different classes like [3, 5], got {list(pair)}"
                    )
        for seed in self.seeds:
            _whole(path, "seeds", seed, 0, 2**63)
        if self.pairs == "held_out" and not self.held_out_pairs:
            raise SpecError(f"{path}.pairs", '"held_out" needs held_out_pairs')


@dataclass(frozen=True)
class FunctionSpec:
    """One component function: which ops mutation may draw, and its bounds.

    min_size to max_size: lengths it may take (equal: fixed). initial_size: length of a random initial program.
    searched: False keeps the given program's function as it is ("learning part only").
    """

    ops: tuple[str, ...] = ()
    min_size: int = 1
    max_size: int = 10
    initial_size: int | None = None
    searched: bool = True

    def check(self, path: str) -> None:
        """Raise SpecError at the first field out of range."""
        for op in self.ops:
            if op not in Op.__members__:
                raise SpecError(f"{path}.ops", f'unknown op "{op}"; allowed are the names of `python -m engine ops`')
        if len(set(self.ops)) != len(self.ops):
            raise SpecError(f"{path}.ops", "an op is listed twice")
        _whole(path, "max_size", self.max_size, 0, MAX_INSTRUCTIONS)
        _whole(path, "min_size", self.min_size, 0, self.max_size)
        if self.initial_size is not None:
            _whole(path, "initial_size", self.initial_size, self.min_size, self.max_size)


@dataclass(frozen=True)
class FecSpec:
    """Functional equivalence cache: programs whose errors on a few examples agree share one score.

    size: entries kept (least recently hit goes first). train_examples, valid_examples: length of the probe.
    forget_every: an entry is dropped when it has been counted so often; 0 = never.
    """

    size: int = 100_000
    train_examples: int = 10
    valid_examples: int = 10
    forget_every: int = 100

    def check(self, path: str) -> None:
        """Raise SpecError at the first field out of range."""
        _whole(path, "size", self.size, 1, 10_000_000)
        _whole(path, "train_examples", self.train_examples, 1, 100)
        _whole(path, "valid_examples", self.valid_examples, 1, 100)
        _whole(path, "forget_every", self.forget_every, 0, 2**31 - 1)


@dataclass(frozen=True)
class HurdleSpec:
    """A hurdle: programs that do badly in a short run keep its score and are not evaluated in full.

    train_examples, valid_examples: of the short run, the first of each task, one epoch. tasks: how many tasks it has, from the
    first; None: all (tasks run in groups of up to 16 at once, and whole groups are taken). percentile: the threshold, among
    the different scores of the last `window` short runs. period: short runs from one threshold to the next; nothing is cut in
    the first period.
    """

    train_examples: int = 100
    valid_examples: int = 100
    tasks: int | None = None
    percentile: float = 75.0
    window: int = 1000
    period: int = 100

    def check(self, path: str) -> None:
        """Raise SpecError at the first field out of range."""
        _whole(path, "train_examples", self.train_examples, 1, 1_000_000)
        _whole(path, "valid_examples", self.valid_examples, 1, 1_000_000)
        if self.tasks is not None:
            _whole(path, "tasks", self.tasks, 1, 10_000)
        _number(path, "percentile", self.percentile, 0.0, 100.0)
        _whole(path, "window", self.window, 1, 1_000_000)
        _whole(path, "period", self.period, 1, 1_000_000)


@dataclass(frozen=True)
class StopSpec:
    """When an experiment ends, and when the search does; None or 0: no such limit.

    An experiment ends at max_individuals or max_train_steps (cache probes included, summed over tasks), or after
    `stagnation` individuals without a better one. Then its candidates are scored on the select tasks, and the next
    experiment begins, until the best score there exceeds sufficient_fitness, or max_experiments have run, or max_seconds
    of engine time have passed, or max_total_individuals have been tried in all experiments. An individual whose own score is the best so far and exceeds sufficient_fitness is
    scored on the select tasks at once, so that a search that has succeeded does not go on.
    """

    max_individuals: int | None = None
    max_train_steps: int | None = None
    max_seconds: float | None = None
    max_experiments: int | None = None
    max_total_individuals: int | None = None
    sufficient_fitness: float | None = None
    stagnation: int | None = None

    @property
    def goes_on(self) -> bool:
        """Whether an experiment is followed by another, as far as its limits allow."""
        return any((self.max_experiments, self.sufficient_fitness is not None, self.max_total_individuals))

    def check(self, path: str) -> None:
        """Raise SpecError at the first field out of range."""
        for name in ("max_individuals", "max_train_steps", "max_experiments", "max_total_individuals", "stagnation"):
            if getattr(self, name) is not None:
                _whole(path, name, getattr(self, name), 1, 10**15)
        for name, high in (("max_seconds", 1e9), ("sufficient_fitness", 1.0)):
            if getattr(self, name) is not None:
                _number(path, name, getattr(self, name), 0.0, high)
        if not any((self.max_individuals, self.max_train_steps, self.max_seconds, self.max_total_individuals)):
            raise SpecError(
                path, "no limit: set max_individuals, max_train_steps, max_seconds or max_total_individuals"
            )
        if not (self.max_seconds or self.max_experiments or self.max_total_individuals):
            raise SpecError(path, "no end: set max_experiments, max_seconds or max_total_individuals")


@dataclass(frozen=True)
class MigrationSpec:
    """How islands exchange algorithms: each time an island has tried `every` more programs, it sends copies of `count`
    random living ones to other islands, and takes in up to `count` that others have sent.

    Source: Real 2020, section 3.2 (every 100 to 10,000 evaluations, 50 algorithms, under once a second).
    """

    every: int = 10_000
    count: int = 50

    def check(self, path: str) -> None:
        """Raise SpecError at the first field out of range."""
        _whole(path, "every", self.every, 10, 10**9)
        _whole(path, "count", self.count, 0, 1000)


@dataclass(frozen=True)
class SearchSpec:
    """Everything a search needs but its seed.

    search_tasks guide evolution (T_search), select_tasks pick among experiments (T_select), final_tasks are scored once
    (T_test). train_budget: programs whose cost exceeds this factor times the 2-layer net's score 0; None: no budget.
    select_candidates: how many of an experiment's latest finds are scored on the select tasks besides the population's
    best (0: that one only, as the reference does). select_rounds: with more than one, selection is a funnel: the first round
    takes half of the select tasks and of their examples for each round that follows, and the better half of the candidates
    goes on to the next, twice as large; the last round is the select tasks in full. final_seeds: evaluations of the selected
    algorithm on the final tasks, each with its own random numbers.
    selection: "regularized": a tournament's winner has a child and the oldest dies; "regularized_paper": the same, the
    oldest dying before the tournament instead of after it; "elitist": the worst dies; "ring": places stand in a ring, and the
    oldest's neighbours, twice the tournament's size to each side, compete to replace it; "random": random search, every
    individual is drawn anew from the space, `initial` and mutations play no part. mutations: weight of each kind;
    graft, bypass, rewire, grow, branch, tune and train follow the data flow (engine/core/connected.py, growth.py), the others are the
    reference's. more_mutations: how likely a mutation is followed by another in the same child. validity: what the prediction
    has to depend on, told from the data flow alone: "any": nothing in particular; "learns": on the features, and through Learn on
    the labels; "corrects": on its own predictions in training, too. Other programs score 0 without being run; a child is
    mutated anew until it is valid, up to validity_tries times (one of an invalid parent is mutated on and on).
    newcomers: share of children that are mutants of the initial program instead of a living one: what grows anew has to be better
    than what has been improved for long, but a search that began in a dead end gets out of it.
    price: what a program pays from its score, in selection alone, for live instructions that cost as much an example as the
    2-layer net's; cheaper ones pay in proportion. length_price: what it pays for each live instruction of Predict and Learn.
    constant_rule: how a constant is altered: "reference": times exp(N(0, 1)) or, in one of ten cases, its sign changed
    instead; "paper": times U[0.5, 2], and in one of ten cases its sign changed too. program: the initial program, or
    the functions given where `searched` is False.
    islands: populations that search side by side. migration: what they exchange; None: nothing. island_groups: changes
    laid over this specification for some of the islands; island k gets number k modulo their count (see `for_island`).
    stages: changes laid over it for one experiment after the other, over and over, and under "start" what the experiment begins
    from, one of STARTS (see `for_experiment`).
    """

    name: str = "custom"
    title: str = ""
    description: str = ""
    search_tasks: TaskSpec = field(default_factory=TaskSpec)
    select_tasks: TaskSpec | None = None
    final_tasks: TaskSpec | None = None
    fresh_tasks: bool = False
    select_candidates: int = 0
    select_rounds: int = 1
    final_seeds: int = 1
    registers: Registers = field(default_factory=lambda: Registers(4, 3, 1))
    setup: FunctionSpec = field(default_factory=FunctionSpec)
    predict: FunctionSpec = field(default_factory=FunctionSpec)
    learn: FunctionSpec = field(default_factory=FunctionSpec)
    initial: str = "random"
    program: Mapping[str, Any] | None = None
    selection: str = "regularized"
    population_size: int = 100
    tournament_size: int = 10
    mutation_probability: float = 0.9
    mutations: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(MUTATIONS[:3], 1.0))
    constant_rule: str = "reference"
    more_mutations: float = 0.0
    validity: str = "any"
    validity_tries: int = 100
    price: float = 0.0
    length_price: float = 0.0
    newcomers: float = 0.0
    fitness_combination: str = "mean"
    max_abs_error: float = 100.0
    fec: FecSpec | None = None
    hurdle: HurdleSpec | None = None
    train_budget: float | None = None
    stop: StopSpec = field(default_factory=lambda: StopSpec(max_seconds=60.0))
    islands: int = 1
    migration: MigrationSpec | None = None
    island_groups: tuple[Mapping[str, Any], ...] = ()
    stages: tuple[Mapping[str, Any], ...] = ()

    @property
    def functions(self) -> tuple[FunctionSpec, FunctionSpec, FunctionSpec]:
        """The three component functions' bounds in order."""
        return (self.setup, self.predict, self.learn)

    @property
    def vector_labels(self) -> bool:
        """Whether labels are vectors, one element a class: then v1 holds the prediction and v2 the label."""
        return self.search_tasks.kind == "classes"

    def check(self) -> SearchSpec:
        """Return self if every field is valid. Raises SpecError."""
        for name in (
            "search_tasks", "select_tasks", "final_tasks", *COMPONENT_FUNCTIONS, "fec", "hurdle", "stop", "migration",
        ):  # fmt: skip
            part = getattr(self, name)
            if part is not None:
                part.check(name)
        try:
            self.registers.checked()
        except ProgramError as error:
            raise SpecError("registers", str(error).removeprefix("registers: ")) from None
        for name, tasks in (("select_tasks", self.select_tasks), ("final_tasks", self.final_tasks)):
            if tasks is not None and tasks.features != self.search_tasks.features:
                raise SpecError(
                    f"{name}.features", f"{tasks.features}, but search_tasks have {self.search_tasks.features}"
                )
            if tasks is not None and (tasks.kind == "classes") != self.vector_labels:
                raise SpecError(
                    f"{name}.kind",
                    f'"{tasks.kind}", but search_tasks are "{self.search_tasks.kind}": labels are vectors in one only',
                )
        if self.vector_labels and self.registers.v <= VECTOR_LABEL:
            raise SpecError(
                "registers", f'{list(self.registers)}, but kind "classes" needs {VECTOR_LABEL + 1} vectors (v0 to v2)'
            )
        _whole("", "population_size", self.population_size, 2, 1_000_000)
        _whole("", "tournament_size", self.tournament_size, 1, self.population_size)
        _whole("", "select_candidates", self.select_candidates, 0, 1000)
        _whole("", "select_rounds", self.select_rounds, 1, 10)
        _whole("", "final_seeds", self.final_seeds, 1, 1000)
        _number("", "mutation_probability", self.mutation_probability, 0.0, 1.0)
        _number("", "max_abs_error", self.max_abs_error, 0.0, math.inf)
        _one_of("", "fitness_combination", self.fitness_combination, FITNESS_COMBINATIONS)
        _one_of("", "selection", self.selection, SELECTIONS)
        _one_of("", "constant_rule", self.constant_rule, CONSTANT_RULES)
        _one_of("", "validity", self.validity, VALIDITIES)
        _whole("", "validity_tries", self.validity_tries, 1, 100_000)
        _number("", "price", self.price, 0.0, 1.0)
        _number("", "length_price", self.length_price, 0.0, 1.0)
        _number("", "newcomers", self.newcomers, 0.0, 1.0)
        _number("", "more_mutations", self.more_mutations, 0.0, 0.9)
        _one_of("", "initial", self.initial, INITIAL_PROGRAMS)
        for kind, weight in self.mutations.items():
            if kind not in MUTATIONS:
                raise SpecError("mutations", f'unknown kind "{kind}", allowed: {", ".join(MUTATIONS)}')
            _number("mutations", kind, weight, 0.0, 1e9)
        if not sum(self.mutations.values()) > 0:
            raise SpecError("mutations", "all weights are 0")
        if self.train_budget is not None:
            _number("", "train_budget", self.train_budget, 0.0, 1e9)
        for part, what in (("fec", self.fec), ("hurdle", self.hurdle)):
            for size in ("train_examples", "valid_examples"):
                most = getattr(self.search_tasks, size)
                if what is not None and getattr(what, size) > most:
                    raise SpecError(f"{part}.{size}", f"more than search_tasks.{size} ({most})")
        if self.hurdle and (self.hurdle.tasks or 0) > self.search_tasks.count:
            raise SpecError("hurdle.tasks", f"more than search_tasks.count ({self.search_tasks.count})")
        for name, function in zip(COMPONENT_FUNCTIONS, self.functions):
            self._check_function(name, function)
        if not any(function.searched and function.ops for function in self.functions):
            raise SpecError("setup", "nothing to search: no component function is searched and has ops")
        self._check_program()
        self._check_islands()
        self._check_stages()
        return self

    def for_island(self, index: int) -> SearchSpec:
        """Return what one island searches: this specification with its group's changes, as a search of one island.

        A table in a group changes the fields that it names; anything else takes the place of what was there.
        Raises SpecError naming the group.
        """
        alone = replace(self, islands=1, island_groups=())
        if not self.island_groups:
            return alone
        number = index % len(self.island_groups)
        return alone._with_laid_over(self.island_groups[number], f"island_groups[{number}]")

    def for_experiment(self, number: int) -> tuple[SearchSpec, str]:
        """Return what the experiment of a number searches, as a specification without stages, and what it begins from (STARTS).

        Raises SpecError naming the stage.
        """
        alone = replace(self, stages=())
        if not self.stages:
            return alone, STARTS[0]
        place = number % len(self.stages)
        changes = dict(self.stages[place])
        start = changes.pop("start", STARTS[0])
        return alone._with_laid_over(changes, f"stages[{place}]"), start

    def _with_laid_over(self, changes: Mapping[str, Any], where: str) -> SearchSpec:
        data = self.to_json()
        for key, value in changes.items():
            inside = value.items() if isinstance(value, Mapping) else ()
            for path, one in ((key, value), *((f"{key}.{name}", one) for name, one in inside)):
                if one is None:  # it would be lost where the specification is stored
                    raise SpecError(f"{where}.{path}", "must not be empty")
            merges = isinstance(value, Mapping) and isinstance(data.get(key), Mapping) and key != "program"
            data[key] = {**data[key], **value} if merges else value
        try:
            return SearchSpec.from_json(data)
        except SpecError as error:
            raise SpecError(f"{where}.{error.field}", error.message) from None

    def has_room_for(self, algorithm: Algorithm) -> bool:
        """Whether every function of the algorithm has an allowed length."""
        bounds = zip(self.functions, algorithm.functions)
        return all(not one.searched or one.min_size <= len(function) <= one.max_size for one, function in bounds)

    def _check_stages(self) -> None:
        if len(self.stages) > MAX_STAGES:
            raise SpecError("stages", f"{len(self.stages)} given, at most {MAX_STAGES} are allowed")
        # Each that differs once, at its first place; as text, since True and 1.0 equal 1.
        first = {repr(stage): number for number, stage in reversed(list(enumerate(self.stages)))}
        for number in sorted(first.values()):
            stage, where = self.stages[number], f"stages[{number}]"
            for name in stage:
                if name not in (*STAGE_FIELDS, "start"):
                    raise SpecError(f"{where}.{name}", f"cannot differ, allowed: {', '.join(('start', *STAGE_FIELDS))}")
            _one_of(where, "start", stage.get("start", STARTS[0]), STARTS)
            stop = stage.get("stop", {})
            for name in _expect(isinstance(stop, Mapping), stop, f"{where}.stop", "a table"):
                if name not in STAGE_LIMITS:
                    raise SpecError(f"{where}.stop.{name}", f"cannot differ, allowed: {', '.join(STAGE_LIMITS)}")
            self.for_experiment(number)
        if len(self.stages) > 1 and not self.stop.goes_on:
            raise SpecError("stages", "the search has one experiment only: set stop.max_experiments")

    def _check_islands(self) -> None:
        _whole("", "islands", self.islands, 1, 10_000)
        for number, group in enumerate(self.island_groups):
            for name in group:
                if name not in ISLAND_FIELDS:
                    raise SpecError(
                        f"island_groups[{number}].{name}", f"cannot differ, allowed: {', '.join(ISLAND_FIELDS)}"
                    )
            self.for_island(number)

    def _check_function(self, name: str, function: FunctionSpec) -> None:
        if not function.searched and self.program is None:
            raise SpecError(f"{name}.searched", "a function that is not searched needs `program`")
        if function.ops and max(function.max_size, function.initial_size or 0) == 0:
            raise SpecError(f"{name}.max_size", "0, although ops are given")
        for op in function.ops:
            info = OPS[Op[op]]
            for kind in info.inputs + info.output:
                if getattr(self.registers, kind) == 0:
                    raise SpecError(f"{name}.ops", f"{op} needs a register of type {kind}, and registers has none")
            if info.output in ("s", "v") and getattr(self.registers, info.output) < 2:
                raise SpecError(f"{name}.ops", f"{op} needs a second register of type {info.output} to write")

    def _check_program(self) -> None:
        if self.initial == "program" and self.program is None:
            raise SpecError("program", 'needed when initial is "program"')
        if self.initial in BASELINES:
            self._check_baseline(BASELINES[self.initial].build())
        if self.program is None:
            return
        try:
            algorithm = Algorithm.from_json(self.program, registers=self.registers)
        except ProgramError as error:
            raise SpecError("program", str(error)) from None
        self._check_labels("program", algorithm)
        for name, function, bounds in zip(COMPONENT_FUNCTIONS, algorithm.functions, self.functions):
            if bounds.searched and len(function) > bounds.max_size:
                raise SpecError(f"program.{name}", f"{len(function)} instructions, allowed are up to {bounds.max_size}")

    def _check_labels(self, name: str, algorithm: Algorithm) -> None:
        if algorithm.vector_labels != self.vector_labels:
            kinds = {False: "numbers (label in s0)", True: "vectors (label in v2)"}
            raise SpecError(
                name,
                f"its labels are {kinds[algorithm.vector_labels]}, those of search_tasks {kinds[self.vector_labels]}",
            )

    def _check_baseline(self, algorithm: Algorithm) -> None:
        self._check_labels("initial", algorithm)
        needed = algorithm.registers_used()
        if any(there < wanted for there, wanted in zip(self.registers, needed)):
            raise SpecError("registers", f'{list(self.registers)}, but initial "{self.initial}" needs {list(needed)}')
        for name, function, bounds in zip(COMPONENT_FUNCTIONS, algorithm.functions, self.functions):
            if bounds.searched and len(function) > bounds.max_size:
                raise SpecError(
                    f"{name}.max_size",
                    f'{bounds.max_size}, but initial "{self.initial}" has {len(function)} instructions',
                )

    def to_json(self) -> dict[str, Any]:
        """Return the specification as plain JSON values; `from_json` reads it back."""
        defaults = {one.name: one.default for one in fields(self) if one.name in LATER_FIELDS}
        data = {
            key: value
            for key, value in asdict(self).items()
            if value is not None and not (key in defaults and value == defaults[key])
        }
        data["registers"] = list(self.registers)
        data["version"] = SPEC_VERSION
        return _plain(data)

    @classmethod
    def from_json(cls, data: Any) -> SearchSpec:
        """Read a specification and check it. Raises SpecError naming the field."""
        if not isinstance(data, Mapping):
            raise SpecError("specification", "expected a table of fields")
        data = dict(data)
        version = data.pop("version", SPEC_VERSION)
        if version != SPEC_VERSION:
            raise SpecError("version", f"{version!r} is not known here, allowed: {SPEC_VERSION}")
        parts = {
            "search_tasks": TaskSpec, "select_tasks": TaskSpec, "final_tasks": TaskSpec,
            "setup": FunctionSpec, "predict": FunctionSpec, "learn": FunctionSpec, "fec": FecSpec, "hurdle": HurdleSpec,
            "stop": StopSpec, "migration": MigrationSpec,
        }  # fmt: skip
        values = {}
        for key, value in data.items():
            if key in parts:
                values[key] = None if value is None else _from_mapping(parts[key], value, key)
            elif key == "registers":
                values[key] = _registers(value)
            elif key == "program" and isinstance(value, Mapping):
                # As it is stored: a null says nothing, in what an export has beside the functions, too.
                values[key] = _plain(value)
            else:
                values[key] = value
        return _build(cls, values, "").check()

    def with_changes(self, **changes: Any) -> SearchSpec:
        """Return a checked copy with some fields replaced. Raises SpecError."""
        return replace(self, **changes).check()


def island_seed(search_seed: int, index: int) -> int:
    """Return an island's own seed; that of the first island is the search's."""
    if index == 0:
        return search_seed
    digest = hashlib.sha256(f"{search_seed}/{index}".encode()).digest()
    return int.from_bytes(digest[:6], "little")


def _from_mapping(cls, value, path):
    if not isinstance(value, Mapping):
        raise SpecError(path, f"expected a table with {', '.join(f.name for f in fields(cls))}")
    return _build(cls, dict(value), path)


def _build(cls, values, path):
    known = {one.name: one for one in fields(cls)}
    for key, value in values.items():
        place = f"{path}.{key}" if path else key
        if key not in known:
            raise SpecError(place, f"unknown field, allowed: {', '.join(known)}")
        values[key] = _typed(known[key].type, value, place)
    return cls(**values)


def _typed(annotation: str, value: Any, place: str) -> Any:
    """Check a JSON value against the field's annotation, turning lists into tuples."""
    if value is None or is_dataclass(value) or isinstance(value, Registers):
        if value is None and "None" not in annotation:
            raise SpecError(place, "must not be empty")
        return value
    if annotation.startswith("bool"):
        return _expect(isinstance(value, bool), value, place, "true or false")
    if annotation.startswith("str"):
        if "tuple" in annotation and isinstance(value, (list, tuple)):
            return _pairs(value, place)
        return _expect(isinstance(value, str), value, place, "text")
    if annotation.startswith(("int", "float")):
        _expect(_is_number(value), value, place, "a number")
        if annotation.startswith("int"):
            return int(_expect(value == int(value), value, place, "a whole number"))
        return float(value)
    if annotation.startswith("Mapping"):
        return dict(_expect(isinstance(value, Mapping), value, place, "a table"))
    if annotation.startswith("tuple[tuple"):
        return _pairs(value, place)
    if annotation.startswith("tuple[Mapping"):
        tables = isinstance(value, (list, tuple)) and all(isinstance(one, Mapping) for one in value)
        return tuple(dict(one) for one in _expect(tables, value, place, "a list of tables"))
    if annotation.startswith("tuple[str"):
        _expect(
            isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value),
            value,
            place,
            "a list of texts",
        )
        return tuple(value)
    if annotation.startswith("tuple[int"):
        whole = isinstance(value, (list, tuple)) and all(type(one) is int for one in value)
        return tuple(_expect(whole, value, place, "a list of whole numbers"))
    return value


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def _pairs(value, place):
    good = isinstance(value, (list, tuple)) and all(
        isinstance(pair, (list, tuple)) and all(type(one) is int for one in pair) for pair in value
    )
    return tuple(tuple(pair) for pair in _expect(good, value, place, "a list of pairs like [[3, 5]]"))


def _registers(value) -> Registers:
    if not (isinstance(value, (list, tuple)) and len(value) == 3 and all(type(one) is int for one in value)):
        raise SpecError("registers", f"expected three whole numbers [scalars, vectors, matrices], got {value!r}")
    return Registers(*value)


def _expect(good: bool, value: Any, place: str, what: str) -> Any:
    if not good:
        raise SpecError(place, f"expected {what}, got {value!r:.60}")
    return value


def _whole(path: str, name: str, value: Any, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise SpecError(
            f"{path}.{name}".lstrip("."), f"{value!r} is not allowed, whole numbers from {low:,} to {high:,} are"
        )


def _number(path: str, name: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise SpecError(f"{path}.{name}".lstrip("."), f"{value!r} is not allowed, numbers from {low:g} to {high:g} are")


def _one_of(path: str, name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SpecError(f"{path}.{name}".lstrip("."), f'"{value}" is not allowed, one of {", ".join(allowed)} is')


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value
