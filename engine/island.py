"""One experiment's evolution: the arrays behind a population, and what is read from them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.algorithm import Algorithm, Instruction
from engine.baselines import BASELINES, neural_network
from engine.compile_cache import compiling, remove_old_versions
from engine.core import evolution, population, programs
from engine.core.fec import fec_entries, fec_restore, new_fec, new_memo
from engine.core.hurdle import RUNS, Hurdle, new_hurdle
from engine.core.mutation import Space
from engine.core.random_stream import mix, seed_state
from engine.evaluator import Encoded, Evaluator, attach
from engine.kinds import VALIDITIES
from engine.ops import OPS, Op
from engine.records import Change, Counters, CurvePoint, Find, IndividualRecord, Migrant
from engine.spec import CONSTANT_RULES, FITNESS_COMBINATIONS, MUTATIONS, SELECTIONS, SearchSpec
from engine.task import Task

POINTS_PER_OCTAVE = 128
"""Curve points between any number of generations and its double; before that many generations, one a generation."""

_KIND_NAMES = (*MUTATIONS, "copy", "initial", "migrate")
"""The last three count from the end: evolution.COPY, INITIAL, MIGRANT."""
_EARLIER = -1
"""Where an immigrant comes from that is a copy of an individual of this island's earlier experiments."""
_MAX_FINDS = 256
_SHORTEST_TRUNK = 64
"""Individuals that a trunk must have to be settled while the pool has several roots."""
_KEPT = (
    "code", "constants", "lengths", "scores", "merits", "births", "parent_births", "holders", "kinds", "stored",
)  # fmt: skip
"""Arrays of the pool that a checkpoint holds as they are."""
_HURDLE = {"hurdle_recent": "recent", "hurdle_whole": "whole", "hurdle_levels": "levels"}


def next_point(generation: int) -> int:
    """Return the generation of the curve point after the one at `generation`: thinning, the same whenever it is asked."""
    return generation + max(1, 1 << max(generation.bit_length() - POINTS_PER_OCTAVE.bit_length(), 0))


class Island:
    """A population, its ancestors, caches and random stream, bred on given tasks.

    seed: of everything random. births, steps: counters to begin with, so that several experiments number on. start: an
    individual of an earlier experiment that this one starts from instead of the specification's initial program; see `begin`.
    """

    def __init__(
        self, spec: SearchSpec, tasks: Sequence[Task], *, seed: int, births: int = 0, train_steps: int = 0,
        start: Migrant | None = None,
    ):  # fmt: skip
        self.spec, self.start = spec, start
        fec = spec.fec
        self.evaluator = Evaluator(
            tasks,
            spec.registers,
            max_abs_error=spec.max_abs_error,
            seed=seed,
            epochs=spec.search_tasks.epochs,
        )
        self._initial = initial_program(spec) if start is None else start.algorithm
        self._capacities = [
            max(bounds.max_size, len(function)) + 1 for bounds, function in zip(spec.functions, self._initial.functions)
        ]
        self._rows = sum(self._capacities)
        self.space = _space(spec, self._capacities)
        self.scoring = _scoring(spec, self.evaluator, self._rows)
        self.random = np.zeros(4, np.uint64)
        seed_state(self.random, np.uint64(mix(np.uint64(seed % 2**64))))
        size = spec.population_size
        self.pool = population.new_pool(4 * size + 64, self._rows)
        self.population = np.full(size, -1, np.int64)
        self.fec = new_fec(fec.size if fec else 1, fec.forget_every if fec else 0)
        self.memo = new_memo()
        self.finds = np.zeros((_MAX_FINDS, 2), np.int64)  # slot, training steps when born
        self.counters = np.zeros(evolution.COUNTERS, np.int64)
        self.counters[evolution.TRAIN_STEPS] = train_steps
        self.first_birth = births
        self.first_steps = train_steps
        self.best = np.array([-1.0])
        self.immigrants = 0
        """How many of this experiment's births came from other islands."""
        self._origins: dict[int, int] = {}
        """Of immigrants that are not yet reported: the slot, and the index of the island that they came from, or _EARLIER."""
        self._breeding = np.array(
            [
                spec.tournament_size, 0, spec.initial == "random", -1, SELECTIONS.index(spec.selection),
                spec.selection == "random", 0,
            ],
            np.int64,
        )  # fmt: skip
        self._place_initial()

    def compile(self) -> None:
        """Compile, or load from the cache on disk, all that breeding will run. Takes seconds the first time."""
        remove_old_versions()
        with compiling("search"):
            evolution.evolve(
                0, self.random, self.pool, self.population, self._breeding, self.space, self.scoring, self.fec, self.memo,
                self.finds, self.counters, self.best, 0, np.inf,
            )  # fmt: skip
            nobody = np.zeros(0, np.int64)
            population.unstored_line(self.pool, -1, nobody)
            population.settled_lines(
                self.pool, np.zeros(1, np.int64), 0, np.zeros(len(self.pool.scores), np.int64), nobody, nobody
            )
            population.drop_trunk(self.pool, nobody, 0, 0)
            fec_restore(new_fec(1, 0), fec_entries(new_fec(1, 0)))
            population.release(self.pool, -1)
            one = self.pool.code[0], self.pool.constants[0], self.pool.lengths[0]
            population.difference(*one, *one, self.space.starts, np.zeros((3, 3), np.int64))

    # breeding ------------------------------------------------------------------------------------------------------

    @property
    def births(self) -> int:
        """Individuals born in this experiment, immigrants included: birth numbers count them, too."""
        return int(self.counters[evolution.BIRTHS])

    @property
    def individuals(self) -> int:
        """Individuals of this experiment that were bred here."""
        return self.births - self.immigrants

    @property
    def train_steps(self) -> int:
        """Training steps of the whole search so far."""
        return int(self.counters[evolution.TRAIN_STEPS])

    @property
    def generation(self) -> int:
        """Completed sweeps of the population."""
        return self.births // self.spec.population_size

    def breed(self, count: int, *, target: float = np.inf) -> int:
        """Bear up to `count` individuals; return why it stopped (engine.core.evolution): DONE, STEPS_SPENT (the experiment's
        training steps are), FINDS_FULL (collect the finds and call again), or TARGET_REACHED (the last individual is
        the best so far and scores above `target`).
        """
        limit = self.spec.stop.max_train_steps
        step_limit = self.first_steps + limit if limit else np.iinfo(np.int64).max
        end = self.births + count
        while self.births < end:
            status = evolution.evolve(
                end - self.births, self.random, self.pool, self.population, self._breeding, self.space, self.scoring,
                self.fec, self.memo, self.finds, self.counters, self.best, step_limit, target,
            )  # fmt: skip
            if status == evolution.POOL_FULL:
                self.pool = population.grown(self.pool, 2 * len(self.pool.scores))
            elif status != evolution.DONE:
                return status
        return evolution.DONE

    def _place_initial(self) -> None:
        """Put the initial program into a slot of its own, which copies are made from."""
        slot = int(population.take_slot(self.pool))
        encoded = Encoded.of(self._initial, self._capacities)
        self.pool.code[slot], self.pool.constants[slot] = encoded.code, encoded.constants
        self.pool.lengths[slot] = encoded.lengths
        self.pool.births[slot] = -1
        # Not an ancestor of anybody: a parent "outside" keeps it from being taken for a root.
        self.pool.parents[slot] = slot
        self._breeding[1] = slot

    def begin(self) -> None:
        """Let what the experiment starts from be born, if it is an individual: an immigrant from earlier, and the first
        individuals and newcomers are its children, so that their ancestry goes on."""
        if self.start is None:
            return
        slot = int(self._breeding[1])
        self.pool.kinds[slot] = evolution.MIGRANT
        self.pool.parents[slot], self.pool.parent_births[slot] = -1, self.start.birth
        # Held besides by its place: children come from it as long as the experiment runs.
        self.pool.holders[slot] += 1
        self._breeding[6] = 1
        self._bear(slot, _EARLIER)

    # reading -------------------------------------------------------------------------------------------------------

    def algorithm(self, slot: int) -> Algorithm:
        """Return the program of a slot."""
        code, constants = self.pool.code[slot], self.pool.constants[slot]
        functions = []
        for start, length in zip(self.space.starts, self.pool.lengths[slot]):
            functions.append(tuple(_instruction(code[row], constants[row]) for row in range(start, start + length)))
        return Algorithm(*functions, vector_labels=self.spec.vector_labels)

    def point(self, seconds: float, experiment: int) -> CurvePoint:
        """Return the population's curve point now."""
        scores = self.pool.scores[self.population[self.population >= 0]]
        return CurvePoint(
            self.first_birth + self.births, self.train_steps, seconds, experiment, float(scores.max()), float(scores.mean()),
            float(np.median(scores)), float(scores.std()), float(self.best[0]),
            distinct=len(np.unique(scores)),
        )  # fmt: skip

    def best_slot(self) -> int:
        """Return the population's best individual: the first of equals, in the order of places."""
        living = self.population[self.population >= 0]
        return int(living[np.argmax(self.pool.scores[living])])

    def find(
        self, slot: int, seconds: float, experiment: int, train_steps: int | None = None, made_by: Change | None = None
    ) -> Find:
        """Return an individual as a find; train_steps: when it was born (default: now)."""
        birth = self.first_birth + int(self.pool.births[slot])
        score = float(self.pool.scores[slot])
        steps = self.train_steps if train_steps is None else train_steps
        return Find(birth, score, self.algorithm(slot), birth + 1, steps, seconds, experiment, made_by)

    def counters_now(self) -> Counters:
        """Return this experiment's counters (train_steps: of the whole search)."""
        c = self.counters
        return Counters(
            individuals=self.individuals,
            evaluations=int(c[evolution.EVALUATIONS]),
            train_steps=int(c[evolution.TRAIN_STEPS]),
            fec_hits=int(c[evolution.FEC_HITS]),
            cache_hits=int(c[evolution.MEMO_HITS]),
            rejected=int(c[evolution.REJECTED]),
            short_runs=int(self.scoring.hurdle.whole[RUNS]),
            cut=int(c[evolution.CUT]),
            immigrants=self.immigrants,
        )

    # ancestry ------------------------------------------------------------------------------------------------------

    def collect_finds(self, seconds: float, experiment: int) -> tuple[list[Find], list[IndividualRecord]]:
        """Return the finds since the last call, in order of birth, and those of their lines not yet reported."""
        finds, records = [], []
        for slot, steps in self.finds[: self.counters[evolution.FINDS]]:
            made_by = self._made_by(int(slot))
            finds.append(self.find(int(slot), seconds, experiment, int(steps), made_by))
            records += self.line_records(int(slot))
            population.release(self.pool, slot)
        self.counters[evolution.FINDS] = 0
        return finds, records

    def line_records(self, slot: int) -> list[IndividualRecord]:
        """Return the not yet reported part of an individual's line of ancestors, parents first, and mark it reported."""
        slots = np.zeros(len(self.pool.scores), np.int64)
        count = population.unstored_line(self.pool, slot, slots)
        return [self._record(int(one)) for one in slots[:count][::-1]]

    def settle(self) -> list[IndividualRecord]:
        """Take the trunks that all living individuals of a root share out of the pool, but for their last individuals;
        return what of them is not yet reported."""
        if self.births < self.spec.population_size:
            return []
        size = len(self.pool.scores)
        slots, ends, children = np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size, np.int64)
        trunks = population.settled_lines(self.pool, self.population, _SHORTEST_TRUNK, children, slots, ends)
        records, begin = [], 0
        for end in map(int, ends[:trunks]):
            unreported = slots[begin:end][self.pool.stored[slots[begin:end]] == 0]
            records += [self._record(int(slot)) for slot in unreported]
            self.pool.stored[unreported] = 1
            population.drop_trunk(self.pool, slots, begin, end)
            begin = end
        return records

    def _record(self, slot: int) -> IndividualRecord:
        pool = self.pool
        parent_birth = int(pool.parent_births[slot])
        change: dict[str, Any] = {"edits": []}
        mutation = _KIND_NAMES[pool.kinds[slot]]
        parent: int | None = self.first_birth + parent_birth
        island = None
        if pool.kinds[slot] == evolution.MIGRANT:
            parent, island = parent_birth, self._origins.pop(slot)
            if island == _EARLIER:
                island, mutation = None, "copy"
        elif parent_birth < 0:
            parent, change = None, {"program": self.algorithm(slot).to_json()}
        else:
            before = int(pool.parents[slot])
            assert before >= 0, "what is settled has been reported"
            change = {"edits": self._edits((pool.code[before], pool.constants[before], pool.lengths[before]), slot)}
        return IndividualRecord(
            birth=self.first_birth + int(pool.births[slot]),
            parent=parent,
            score=float(pool.scores[slot]),
            mutation=mutation,
            change=change,
            parent_island=island,
        )

    def _made_by(self, slot: int) -> Change | None:
        """Return the last mutation that changed the program; None where it came from outside the pool, or is settled."""
        pool = self.pool
        while (parent := int(pool.parents[slot])) >= 0:
            if edits := self._edits((pool.code[parent], pool.constants[parent], pool.lengths[parent]), slot):
                return Change(_KIND_NAMES[pool.kinds[slot]], self.algorithm(parent), edits)
            slot = parent
        return None

    def _edits(self, before: tuple[np.ndarray, np.ndarray, np.ndarray], slot: int) -> list[list]:
        """Return what turns the program `before` into that of a slot: [[function, start, removed, [instruction, …]], …]."""
        code, constants = self.pool.code[slot], self.pool.constants[slot]
        edits = np.zeros((3, 3), np.int64)
        population.difference(*before, code, constants, self.pool.lengths[slot], self.space.starts, edits)
        result = []
        for function, (start, removed, inserted) in enumerate(edits.tolist()):
            if removed or inserted:
                first = int(self.space.starts[function]) + start
                rows = range(first, first + inserted)
                lines = [_instruction(code[row], constants[row]).to_json() for row in rows]
                result.append([function, start, removed, lines])
        return result

    # migration -----------------------------------------------------------------------------------------------------

    def emigrate(self, count: int, seed: int, island: int) -> tuple[list[Migrant], list[IndividualRecord]]:
        """Return copies of up to `count` random living individuals, and those of their lines not yet reported.

        seed: of the choice alone, so that who leaves changes nothing for those who stay. island: this one's index.
        """
        migrants, records = [], []
        for place in draw(seed, len(self.population), count):
            slot = int(self.population[place])
            records += self.line_records(slot)
            birth = self.first_birth + int(self.pool.births[slot])
            migrants.append(Migrant(island, birth, self.algorithm(slot)))
        return migrants, records

    def admit(self, migrant: Migrant) -> bool:
        """Let an immigrant be born: it is scored on this island's tasks and takes the place of whom the selection lets die.

        Returns whether it fits: a program with registers, or lengths, that are not allowed here is turned away. The
        population must be full, and the finds collected.
        """
        if not self._fits(migrant.algorithm):
            return False
        if self.pool.free_count[0] < 2:  # one for the immigrant, and evolve() asks for another
            self.pool = population.grown(self.pool, 2 * len(self.pool.scores))
        slot = int(population.take_slot(self.pool))
        encoded = Encoded.of(migrant.algorithm, self._capacities)
        self.pool.code[slot], self.pool.constants[slot] = encoded.code, encoded.constants
        self.pool.lengths[slot] = encoded.lengths
        self.pool.kinds[slot] = evolution.MIGRANT
        self.pool.parents[slot], self.pool.parent_births[slot] = -1, migrant.birth
        self._bear(slot, migrant.island)
        return True

    def _bear(self, slot: int, island: int) -> None:
        """Let the immigrant in a slot be born, which comes from the island of an index."""
        self._origins[slot] = island
        self._breeding[3] = slot
        evolution.evolve(
            1, self.random, self.pool, self.population, self._breeding, self.space, self.scoring, self.fec, self.memo,
            self.finds, self.counters, self.best, np.iinfo(np.int64).max, np.inf,
        )  # fmt: skip
        assert self._breeding[3] == -1, "the pool has room, and so have the finds"
        self.immigrants += 1

    def _fits(self, algorithm: Algorithm) -> bool:
        if any(there < wanted for there, wanted in zip(self.spec.registers, algorithm.registers_used())):
            return False
        functions = zip(self.spec.functions, algorithm.functions, self._initial.functions)
        if any(not bounds.searched and function != own for bounds, function, own in functions):
            return False
        return self.spec.has_room_for(algorithm)

    # state ---------------------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Return (values, arrays) from which `load` continues bit for bit. Finds must have been collected."""
        assert self.counters[evolution.FINDS] == 0, "collect the finds first"
        placed = -1 if self._breeding[6] else self._breeding[1]
        held = np.flatnonzero((self.pool.holders > 0) & (np.arange(len(self.pool.scores)) != placed))
        held = held[np.argsort(self.pool.births[held], kind="stable")]
        new_place = np.full(len(self.pool.scores) + 1, -1, np.int64)
        new_place[held] = np.arange(len(held))
        arrays = {name: getattr(self.pool, name)[held] for name in _KEPT}
        arrays["parents"] = new_place[self.pool.parents[held]]
        arrays["population"] = np.where(self.population >= 0, new_place[self.population], -1)
        arrays |= {"random": self.random, "counters": self.counters, "best": self.best, "fec": fec_entries(self.fec)}
        arrays |= {name: getattr(self.scoring.hurdle, part) for name, part in _HURDLE.items()}
        migrants = [slot for slot in held if self.pool.kinds[slot] == evolution.MIGRANT and not self.pool.stored[slot]]
        self._origins = {int(slot): self._origins[slot] for slot in migrants}
        origins = [(new_place[slot], island) for slot, island in self._origins.items()]
        arrays["origins"] = np.array(origins, np.int64).reshape(-1, 2)
        start = int(new_place[self._breeding[1]]) if self._breeding[6] else None
        values = {
            "start": start,
            "first_birth": self.first_birth,
            "first_steps": self.first_steps,
            "immigrants": self.immigrants,
        }
        return values, arrays

    def load(self, values: dict, arrays: dict[str, np.ndarray]) -> None:
        """Continue from what `state` returned."""
        count = len(arrays["scores"])
        self.pool = population.new_pool(max(4 * self.spec.population_size + 64, 2 * count), self._rows)
        if values.get("start") is None:
            self._place_initial()
        slots = np.array([population.take_slot(self.pool) for _ in range(count)], np.int64)
        place = np.append(slots, -1)
        if values.get("start") is not None:
            self._breeding[1], self._breeding[6] = slots[values["start"]], 1
        # Before version 4 the merit was the score.
        arrays.setdefault("merits", arrays["scores"])
        for name in _KEPT:
            getattr(self.pool, name)[slots] = arrays[name]
        self.pool.parents[slots] = place[arrays["parents"]]
        self.population[:] = place[arrays["population"]]
        self.random[:], self.best[:] = arrays["random"], arrays["best"]
        self.counters[: len(arrays["counters"])] = arrays["counters"]
        fec_restore(self.fec, arrays["fec"])
        if "hurdle_whole" in arrays:
            for name, part in _HURDLE.items():
                getattr(self.scoring.hurdle, part)[:] = arrays[name]
        else:
            # Before version 3 there were eight kinds of mutation, and what no mutation made was numbered on from them.
            later = self.pool.kinds >= 8
            self.pool.kinds[later] -= 11
        self.first_birth, self.first_steps = values["first_birth"], values["first_steps"]
        self.immigrants = values.get("immigrants", 0)
        self._origins = {int(slots[place]): int(island) for place, island in arrays.get("origins", ())}
        if values.get("trunk") is not None:
            self._load_trunk(values["trunk"], arrays)

    def _load_trunk(self, birth: int, arrays: dict[str, np.ndarray]) -> None:
        """Make the last settled individual, which checkpoints of version 1 kept by itself, the pool's root."""
        slot = int(population.take_slot(self.pool))
        self.pool.code[slot], self.pool.constants[slot] = arrays["trunk_code"], arrays["trunk_constants"]
        self.pool.lengths[slot] = arrays["trunk_lengths"]
        self.pool.births[slot], self.pool.stored[slot] = birth, 1
        self.pool.parents[slot] = self.pool.parent_births[slot] = -1
        children = (self.pool.holders > 0) & (self.pool.parents < 0) & (self.pool.parent_births == birth)
        children[slot] = False
        self.pool.parents[children] = slot
        self.pool.holders[slot] = np.count_nonzero(children)


def draw(seed: int, size: int, count: int) -> list[int]:
    """Return up to `count` different numbers below `size`, at random; the same for the same seed, whatever the platform."""
    words = random.Random(seed)
    numbers = list(range(size))
    for place in range(min(count, size)):
        # Only random() itself is promised to stay the same from one Python to the next.
        other = place + int(words.random() * (size - place))
        numbers[place], numbers[other] = numbers[other], numbers[place]
    return numbers[: min(count, size)]


def initial_program(spec: SearchSpec) -> Algorithm:
    """Return the program every initial individual starts as (its lengths, where the start is random).

    Functions shorter than their smallest size are filled with NO_OP, as in the reference.
    """
    given = Algorithm.from_json(spec.program) if spec.program is not None else None
    if spec.initial == "program" and given is not None:
        start = given
    else:  # of the other kinds, only known algorithms have lines of their own
        start = BASELINES[spec.initial].build() if spec.initial in BASELINES else Algorithm()
    no_op = Instruction(Op.NO_OP)
    functions = []
    for position, bounds in enumerate(spec.functions):
        function = start.functions[position]
        if not bounds.searched and given is not None:
            function = given.functions[position]
        elif spec.initial == "random":
            function = (no_op,) * (bounds.max_size if bounds.initial_size is None else bounds.initial_size)
        elif len(function) < bounds.min_size:
            function += (no_op,) * (bounds.min_size - len(function))
        functions.append(function)
    return Algorithm(*functions, vector_labels=spec.vector_labels)


def _instruction(code: np.ndarray, constants: np.ndarray) -> Instruction:
    op, in1, in2, out = map(int, code)
    return Instruction(Op(op), in1, in2, out, tuple(map(float, constants[: len(OPS[op].constants)])))


def _space(spec: SearchSpec, capacities: Sequence[int]) -> Space:
    ops = [[Op[name] for name in function.ops] for function in spec.functions]
    weights = {name: weight for name, weight in spec.mutations.items() if weight > 0}
    kinds = [kind for kind, name in enumerate(MUTATIONS) if name in weights]
    shares = np.array([weights[MUTATIONS[kind]] for kind in kinds])
    s, v, _ = spec.registers
    return Space(
        starts=np.concatenate([[0], np.cumsum(capacities)[:-1]]).astype(np.int64),
        min_sizes=np.array([function.min_size for function in spec.functions], np.int64),
        max_sizes=np.array([function.max_size for function in spec.functions], np.int64),
        ops=np.array([op for one in ops for op in one], np.int64),
        ops_start=np.concatenate([[0], np.cumsum([len(one) for one in ops])]).astype(np.int64),
        searched=np.array([k for k, one in enumerate(spec.functions) if one.searched and one.ops], np.int64),
        registers=np.array(spec.registers, np.int64),
        first=np.array([0, s, s + v, spec.vector_labels], np.int64),
        kinds=np.array(kinds, np.int64),
        cumulative=np.cumsum(shares) / shares.sum(),
        probability=np.array([spec.mutation_probability, spec.more_mutations, spec.newcomers]),
        analysis=programs.new_compact(sum(capacities), tuple(spec.registers)),
        paper_constants=np.array([spec.constant_rule == CONSTANT_RULES[1]]),
        validity=np.array([VALIDITIES[spec.validity], spec.validity_tries], np.int64),
    )


def _scoring(spec: SearchSpec, evaluator: Evaluator, rows: int) -> evolution.Scoring:
    evaluator.reserve(rows)
    compact = programs.new_compact(rows, tuple(spec.registers))
    decoded = programs.new_decoded(rows)
    attach(evaluator, decoded)
    train_examples = spec.search_tasks.train_examples
    largest = (
        np.inf if spec.train_budget is None else spec.train_budget * program_cost(neural_network(), train_examples)
    )
    fec = spec.fec
    return evolution.Scoring(
        groups=evaluator.groups,
        compact=compact,
        constant_bits=compact.constants.view(np.uint64),
        constant_words=compact.constants.view(np.int64),
        decoded=decoded,
        addresses=np.array(
            [one.ctypes.data for one in (decoded.words, evaluator.bank, evaluator.zeros)],
            np.int64,
        ),
        shape=np.array([evaluator.features, evaluator.padded_lanes], np.int64),
        scores=np.zeros(len(evaluator.tasks)),
        scratch=np.zeros(len(evaluator.tasks)),
        probe=np.array([fec.train_examples, fec.valid_examples] if fec else [0, 0], np.int64),
        budget=np.array([largest, float(train_examples)]),
        combination=np.array([FITNESS_COMBINATIONS.index(spec.fitness_combination)], np.int64),
        hurdle=_hurdle(spec, evaluator),
        prices=np.array([spec.price / program_cost(neural_network(), 1), spec.length_price]),
    )


def _hurdle(spec: SearchSpec, evaluator: Evaluator) -> Hurdle:
    hurdle = spec.hurdle
    if hurdle is None:
        return new_hurdle(0, 0, 0, 0, 1, 0.0, 1)
    count = len(evaluator.tasks)
    groups = -(-(hurdle.tasks or count) // evaluator.lanes)
    tasks = min(groups * evaluator.lanes, count)
    return new_hurdle(
        hurdle.train_examples, hurdle.valid_examples, groups, tasks, hurdle.period, hurdle.percentile, hurdle.window
    )  # fmt: skip


def program_cost(algorithm: Algorithm, train_examples: int) -> float:
    """Return the train budget's cost of a program: a weight for each op, Predict's and Learn's once an example."""
    setup, predict, learn = (sum(OPS[one.op].cost for one in function) for function in algorithm.functions)
    return setup + train_examples * (predict + learn)


assert _KIND_NAMES[evolution.COPY :] == ("copy", "initial", "migrate")
