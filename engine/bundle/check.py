"""Check a search of a bundle against itself, and its scores against the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.bundle.form import EVALUATION_VERSION, BundledFind, BundleError, Head, IslandState
from engine.bundle.read import Section
from engine.datasets import DatasetError
from engine.spec import SearchSpec, island_seed
from engine.task import TaskError
from engine.task_building import build_tasks

TOLERANCE = 1e-9
"""Scores on the tasks are the same to the bit; their mean may be summed in another order."""

SAMPLE = 12

MOST_BYTES = 1 << 30
"""Features of all tasks of a role above which scores are not computed anew: nobody should run out of memory by an import."""

MOST_WORK = 3e9
"""Instructions times examples of one evaluation above which scores are not computed anew."""


@dataclass(frozen=True)
class Checked:
    """What was looked at in a section that is sound."""

    head: Head
    islands: list[IslandState]
    finds: list[BundledFind]
    individuals: int
    points: int
    events: int


@dataclass(frozen=True)
class ScoreCheck:
    """How many scores were computed anew and came out the same; reason: why others, or all, were not."""

    search: int = 0
    select: int = 0
    final: int = 0
    reason: str = ""

    @property
    def done(self) -> bool:
        """Whether everything was computed that can be."""
        return not self.reason


def check_section(section: Section) -> Checked:
    """Check everything that needs no evaluation: every line, every digest, every step of the ancestry.

    Raises BundleError with the place.
    """
    head = section.head()
    islands = section.islands(head)
    finds = list(section.finds(head))
    waiting = {(find.island, find.birth): find for find in finds}
    if head.result is not None and head.result not in waiting:
        raise BundleError(f"line {section.first}: result: birth {head.result[1]} of island {head.result[0]} is no find")
    individuals = 0
    for row, program in section.ancestry(head):
        individuals += 1
        find = waiting.pop((row.island, row.birth), None)
        if find is not None and (program.digest() != find.algorithm.digest() or row.score != find.score):
            what = "score" if row.score != find.score else "program"
            raise BundleError(
                f"find: birth {find.birth} of island {find.island}: its {what} is not that of its ancestry's last step"
            )
    if waiting:
        island, birth = next(iter(waiting))
        raise BundleError(f"find: birth {birth} of island {island} has no ancestry")
    points = sum(1 for _ in section.points(head))
    events = sum(1 for _ in section.events())
    return Checked(head, islands, finds, individuals, points, events)


def check_scores(
    head: Head, finds: Sequence[BundledFind], *, sample: int = SAMPLE, between: Callable[[], object] = lambda: None
) -> ScoreCheck:
    """Compute scores anew, of the search's result and of a sample of finds; they must be the same.

    between: called before each program is evaluated; what it raises ends the check.

    Evaluation is a pure function of program, tasks and seed, so that there is nothing to allow for (but see TOLERANCE). Finds
    that were not the best of their experiment so far may have the score of a functionally equivalent program, and are not
    sampled. Raises BundleError where a score is another.
    """
    if head.evaluation_version != EVALUATION_VERSION:
        return ScoreCheck(
            reason=f"scored by evaluation version {head.evaluation_version}, this is version {EVALUATION_VERSION}"
        )
    if reason := _too_much(head, finds):
        return ScoreCheck(reason=reason)
    counts = {"search": 0, "select": 0, "final": 0}
    try:
        for find in _sample(finds, sample):
            between()
            _compare(find, "score", find.score, _search_score(head, find))
            counts["search"] += 1
        for find in finds:
            between()
            if find.select_scores and find.select_score is not None:
                _compare_all(find, "select_scores", find.select_scores, _unseen_scores(head, find, "select"))
                counts["select"] += 1
            if find.final_scores and find.final_score is not None:
                _compare_all(find, "final_scores", find.final_scores, _unseen_scores(head, find, "final"))
                counts["final"] += 1
    except (DatasetError, TaskError) as error:
        return ScoreCheck(**counts, reason=str(error))
    return ScoreCheck(**counts)


def _too_much(head: Head, finds: Sequence[BundledFind]) -> str:
    """Return why scores are too costly to be computed anew; "" if they are not."""
    longest = max((len(find.algorithm) for find in finds), default=0)
    for index in range(min(head.spec.islands, max(len(head.spec.island_groups), 1))):
        spec = head.spec.for_island(index)
        for role in ("search", "select", "final"):
            tasks = getattr(spec, f"{role}_tasks")
            if tasks is None:
                continue
            examples = tasks.count * (tasks.train_examples * tasks.epochs + tasks.valid_examples)
            if examples * tasks.features * 8 > MOST_BYTES or examples * longest > MOST_WORK:
                return f"its {role}_tasks are too large to be computed anew on import"
    return ""


def _sample(finds: Sequence[BundledFind], count: int) -> list[BundledFind]:
    """Return finds whose score was computed for them: evenly spaced ones, the best among them.

    A score of 0 may be that of a program that the search refused to run.
    """
    best: dict[tuple[int, int], float] = {}
    improved = []
    for find in sorted(finds, key=lambda one: (one.island, one.experiment, one.birth)):
        place = (find.island, find.experiment)
        if find.score is not None and find.score > best.get(place, 0.0):
            best[place] = find.score
            improved.append(find)
    if len(improved) <= count:
        return improved
    top = max(improved, key=lambda one: one.score or 0.0)
    spaced = [improved[round(step * (len(improved) - 1) / (count - 1))] for step in range(count)]
    return spaced if top in spaced else [*spaced[1:], top]


def _island(head: Head, find: BundledFind) -> tuple[SearchSpec, int]:
    return head.spec.for_island(find.island), island_seed(head.seed, find.island)


def _search_score(head: Head, find: BundledFind) -> float:
    from engine.evaluator import Evaluator
    from engine.unseen import stable_seed

    spec, seed = _island(head, find)
    tasks = build_tasks(
        spec.search_tasks, seed=seed, role="search", experiment=find.experiment if spec.fresh_tasks else 0
    )
    evaluator = Evaluator(
        tasks, spec.registers, max_abs_error=spec.max_abs_error, seed=stable_seed(seed, "island", find.experiment),
        epochs=spec.search_tasks.epochs,
    )  # fmt: skip
    scores = evaluator.evaluate(find.algorithm).fitness
    if spec.fitness_combination == "minimum":
        return float(scores.min())
    if spec.fitness_combination == "median":
        return float(np.sort(scores)[len(scores) // 2])
    return float(scores.mean())


def _unseen_scores(head: Head, find: BundledFind, role: str) -> list[float]:
    from engine.unseen import evaluator_of, final_scores

    spec, seed = _island(head, find)
    tasks = getattr(spec, f"{role}_tasks")
    if tasks is None:
        raise BundleError(
            f"find: birth {find.birth} of island {find.island}: {role}_scores, but there are no such tasks"
        )
    if role == "final":
        return list(final_scores(spec, seed, find.algorithm))
    experiment = find.experiment if spec.fresh_tasks else 0
    return list(map(float, evaluator_of(spec, tasks, seed, role, experiment).evaluate(find.algorithm).fitness))


def _compare_all(find: BundledFind, what: str, given: Sequence[float | None], computed: Sequence[float]) -> None:
    if len(given) != len(computed):
        raise BundleError(
            f"find: birth {find.birth} of island {find.island}: {what}: {len(given)} scores, there are {len(computed)} tasks"
        )
    for one, other in zip(given, computed, strict=True):
        _compare(find, what, one, other)


def _compare(find: BundledFind, what: str, given: float | None, computed: float) -> None:
    """Raise BundleError unless two scores are the same; None stands for one that is no finite number."""
    known = computed if np.isfinite(computed) else None
    if known is None or given is None:
        same = known is None and given is None
    else:
        same = abs(known - given) <= TOLERANCE
    if not same:
        raise BundleError(
            f"find: birth {find.birth} of island {find.island}: {what}: {given} is claimed, computed anew it is {known}; "
            "is the data set of that name the same here?"
        )
