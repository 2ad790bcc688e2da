"""What a search reports: counters, curve points, ancestry, finds and the result; and changes between programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.algorithm import Algorithm, Instruction


@dataclass(frozen=True)
class Counters:
    """Totals since the search began. train_steps: as the reference counts them, summed over tasks, probes included.

    evaluations: in full. short_runs, cut: programs that ran up to the hurdle, and those of them that ended there.
    immigrants: taken in from other islands; they are scored here, and counted as individuals only where they were born.
    """

    individuals: int = 0
    evaluations: int = 0
    train_steps: int = 0
    fec_hits: int = 0
    cache_hits: int = 0
    rejected: int = 0
    short_runs: int = 0
    cut: int = 0
    experiments: int = 0
    seconds: float = 0.0
    immigrants: int = 0


@dataclass(frozen=True)
class CurvePoint:
    """The population at one moment. deviation: population standard deviation of its scores.

    distinct: different scores in it, that is behaviours that can be told apart.
    """

    individuals: int
    train_steps: int
    seconds: float
    experiment: int
    best: float
    mean: float
    median: float
    deviation: float
    best_so_far: float
    distinct: int = 0


@dataclass(frozen=True)
class IndividualRecord:
    """One individual of the ancestry. parent: its birth number, None for an initial individual.

    change: {"program": …} for an initial individual, else {"edits": [[function, start, removed, [instruction, …]], …]}.
    parent_island: the index of the island that an immigrant's parent lives on; None: the same island.
    """

    birth: int
    parent: int | None
    score: float
    mutation: str
    change: dict[str, Any]
    parent_island: int | None = None


@dataclass(frozen=True)
class Migrant:
    """A copy of an individual that travels. island, birth: where it lived, by index, and its number there."""

    island: int
    birth: int
    algorithm: Algorithm


@dataclass(frozen=True)
class Departure:
    """What an island sends out at an exchange. number: of the exchange, from 0 on. Their lines are in the next report."""

    number: int
    experiment: int
    migrants: tuple[Migrant, ...]


@dataclass(frozen=True)
class Change:
    """The mutation that made a program of the one before it. edits: as in IndividualRecord."""

    mutation: str
    before: Algorithm
    edits: list[list]


@dataclass(frozen=True)
class Find:
    """An individual worth keeping: the best so far when it was born, or the best of the population.

    made_by: the last mutation in its line that changed the program, while the engine remembers; not kept in checkpoints.
    """

    birth: int
    score: float
    algorithm: Algorithm
    individuals: int
    train_steps: int
    seconds: float
    experiment: int
    made_by: Change | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Result:
    """What the search chose: by its score on the select tasks, then scored once on the final tasks.

    select_scores, final_scores: of each task (final ones: the mean over final_seeds evaluations). select_error,
    final_error: standard errors of the means over tasks; None for a single task.
    """

    algorithm: Algorithm
    birth: int
    search_fitness: float
    select_fitness: float | None
    final_fitness: float | None
    select_scores: tuple[float, ...]
    final_scores: tuple[float, ...]
    solved: bool
    experiment: int = 0
    select_error: float | None = None
    final_error: float | None = None
    final_seeds: int = 1


@dataclass(frozen=True)
class SliceReport:
    """What is new since the last report; see the fields' own types. `individuals` has parents before children."""

    counters: Counters
    points: tuple[CurvePoint, ...] = ()
    individuals: tuple[IndividualRecord, ...] = ()
    finds: tuple[Find, ...] = ()
    population_best: Find | None = None
    finished: bool = False
    finish_reason: str = ""
    result: Result | None = None


def apply_change(parent: Algorithm | None, change: dict[str, Any]) -> Algorithm:
    """Return the child's program from the parent's and a record's change. Raises ProgramError if damaged."""
    if "program" in change:
        return Algorithm.from_json(change["program"])
    assert parent is not None, "only an initial individual has no parent"
    functions = [list(function) for function in parent.functions]
    for position, start, removed, inserted in change["edits"]:
        functions[position][start : start + removed] = [Instruction.from_json(one) for one in inserted]
    return parent.with_functions(functions)
