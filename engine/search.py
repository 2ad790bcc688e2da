"""A search: experiments of regularized evolution, selection on unseen tasks, the final score; resumable to the bit."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.algorithm import Algorithm
from engine.checkpoint import CheckpointError, pack, unpack
from engine.core.evolution import STEPS_SPENT, TARGET_REACHED
from engine.island import Island, next_point
from engine.records import (
    Counters,
    CurvePoint,
    Departure,
    Find,
    IndividualRecord,
    Migrant,
    Result,
    SliceReport,
    apply_change,
)
from engine.spec import SearchSpec, StopSpec
from engine.task import Task
from engine.task_building import build_tasks
from engine.unseen import Chosen, Selector, final_scores, stable_seed, standard_error

__all__ = ["CheckpointError", "Search", "SliceReport", "apply_change", "stable_seed"]

_CHUNK_SECONDS = 0.1
"""How long compiled code runs before the clock and `should_stop` are looked at."""


class Search:
    """Evolution of one island. Deterministic: the same specification and seed give the same individuals, scores,
    curves and ancestry, however the search is cut into slices; only times differ (and, with max_seconds, where it ends).

    Make one with `start` or `restore`.
    """

    def __init__(self, spec: SearchSpec, seed: int, *, index: int = 0):
        self.spec, self.seed, self.index = spec, seed, index
        self.exchange: Callable[[Departure], Sequence[Migrant]] | None = None
        """Asked at each exchange: takes what leaves, returns what arrives. None: nothing comes or goes.

        A search that is to be resumed to the bit must be given the same arrivals under the same number again.
        """
        self.exchanges = 0
        self.experiment = 0
        self.seconds = 0.0
        self.compile_seconds = 0.0
        """Spent compiling or loading kernels; not part of `seconds`."""
        self.finished = False
        self.finish_reason = ""
        self.result: Result | None = None
        self._selected: Chosen | None = None
        self._fresh: Chosen | None = None
        """The best on the select tasks of the experiments that began from the initial program, since one last began from such a find."""
        self._recent: Chosen | None = None
        """The best on the select tasks since an experiment last began from a recent one."""
        self._selector: Selector | None = None
        self._totals = Counters()
        self._points: list[CurvePoint] = []
        self._finds: list[Find] = []
        self._records: list[IndividualRecord] = []
        self._next_point = 1
        self._speed = 1000.0
        self._last_find_births = 0
        self._best_score = -1.0
        self._latest_finds: list[Find] = []
        self._new_island()
        began = time.perf_counter()
        self.island.compile()
        self.compile_seconds += time.perf_counter() - began

    @classmethod
    def start(cls, spec: SearchSpec, seed: int, *, index: int = 0) -> Search:
        """Begin a search: build its tasks, compile or load the kernels. Raises SpecError or TaskError.

        index: the island's, where several exchange migrants; `spec` is then SearchSpec.for_island's, `seed` island_seed's.
        """
        return cls(spec.check(), seed, index=index)

    # running -------------------------------------------------------------------------------------------------------

    def run(self, *, seconds: float, should_stop: Callable[[], bool] | None = None) -> SliceReport:
        """Search on for about `seconds`, or until the end, and report what is new. Releases the interpreter lock.

        should_stop: asked every 0.1 s or so; when it returns True the slice ends there.
        """
        began = time.perf_counter()
        while not self.finished:
            chunk_began = time.perf_counter()
            ended = self._advance()
            if ended:
                self._end_experiment(ended)
            now = time.perf_counter()
            self.seconds += now - chunk_began
            if now - began >= seconds or (should_stop is not None and should_stop()):
                break
        return self._report()

    def _advance(self) -> str:
        """Breed until the next moment of interest; return why the experiment ends, or ""."""
        stop, island = self._stage.stop, self.island
        size = self._stage.population_size
        until_point = self._next_point * size - island.births
        count = max(1, min(until_point, int(self._speed * _CHUNK_SECONDS)))
        if stop.max_individuals:
            count = min(count, stop.max_individuals - island.individuals)
        if stop.max_total_individuals:
            count = min(count, stop.max_total_individuals - self._totals.individuals - island.individuals)
        if self._exchanges_here():
            count = min(count, self._next_exchange - island.individuals)
        if stop.stagnation:
            count = min(count, self._last_find_births + stop.stagnation - island.births)
        before, began = island.births, time.perf_counter()
        status = island.breed(count, target=np.inf if stop.sufficient_fitness is None else stop.sufficient_fitness)
        elapsed = max(time.perf_counter() - began, 1e-6)
        # Smoothed, and bounded so that one lucky chunk does not make the next one far too long.
        self._speed = min(0.5 * self._speed + 0.5 * (island.births - before) / elapsed, 4.0 * self._speed)
        finds = self._collect()
        if island.births >= self._next_point * size:
            self._points.append(island.point(self.seconds + elapsed, self.experiment))
            self._next_point = next_point(self._next_point)
        if status == TARGET_REACHED:
            self._consider(finds[-1:])
            if self._is_solved():
                return "solved"
        if status == STEPS_SPENT:
            return "max_train_steps"
        if self._all_tried():
            return "max_total_individuals"
        if stop.max_individuals and island.individuals >= stop.max_individuals:
            return "max_individuals"
        if stop.stagnation and island.births - self._last_find_births >= stop.stagnation:
            return "stagnation"
        if stop.max_seconds and self.seconds + elapsed >= stop.max_seconds:
            return "max_seconds"
        if self._exchanges_here() and island.individuals >= self._next_exchange:
            self._migrate()
        return ""

    def _exchanges_here(self) -> bool:
        return self.exchange is not None and self.spec.migration is not None

    def _migrate(self) -> None:
        assert self.spec.migration is not None and self.exchange is not None
        seed = stable_seed(self.seed, "emigrants", self.exchanges)
        migrants, records = self.island.emigrate(self.spec.migration.count, seed, self.index)
        self._records += records
        for migrant in self.exchange(Departure(self.exchanges, self.experiment, tuple(migrants))):
            if self.island.admit(migrant):
                self._collect()
        self.exchanges += 1
        self._next_exchange = self.island.individuals + self.spec.migration.every

    def _collect(self) -> list[Find]:
        """Take over the finds since the last call; return them."""
        finds, records = self.island.collect_finds(self.seconds, self.experiment)
        self._records += records
        for find in finds:
            self._last_find_births = find.individuals - self.island.first_birth
            if self.spec.select_candidates:
                self._latest_finds = [*self._latest_finds, find][-self.spec.select_candidates :]
            if find.score > self._best_score:
                self._best_score = find.score
                self._finds.append(find)
        return finds

    def _end_experiment(self, reason: str) -> None:
        """Select among the experiment's candidates, then begin the next experiment or finish."""
        if reason != "solved":
            self._consider(self._candidates())
        stop = self.spec.stop
        solved = self._is_solved()
        spent = reason == "max_seconds" or self._all_tried()
        last = stop.max_experiments is not None and self.experiment + 1 >= stop.max_experiments
        # Without an unseen score to reach, one experiment is the search, unless there is a number of programs to try.
        if solved or spent or last or not stop.goes_on:
            self._finish("solved" if solved else reason)
            return
        self._totals = self._counters()
        births, steps = self.island.first_birth + self.island.births, self.island.train_steps
        self._records += self.island.settle()
        self.experiment += 1
        self._next_point, self._last_find_births, self._latest_finds = 1, 0, []
        self._new_island(births, steps, self._start_of_stage())
        self.island.begin()
        self._collect()

    def _all_tried(self) -> bool:
        most = self.spec.stop.max_total_individuals
        return bool(most) and self._totals.individuals + self.island.individuals >= most

    def _candidates(self) -> list[Find]:
        """Return what selection looks at: the latest finds, and the population's best."""
        slot = self.island.best_slot()
        self._records += self.island.line_records(slot)
        return [*self._latest_finds, self.island.find(slot, self.seconds, self.experiment)]

    def _consider(self, candidates: Sequence[Find]) -> None:
        """Select the best of the candidates, if it is at least as good as what is selected."""
        experiment = self._task_experiment()
        if self._selector is None or self._selector.experiment != experiment:
            self._selector = Selector(self.spec, self.seed, experiment)
        best = self._selector.choose(candidates)
        if self._selected is None or best.fitness >= self._selected.fitness:
            self._selected = best
        if self.island.start is None and (self._fresh is None or best.fitness >= self._fresh.fitness):
            self._fresh = best
        if self._recent is None or best.fitness >= self._recent.fitness:
            self._recent = best

    def _is_solved(self) -> bool:
        sufficient = self.spec.stop.sufficient_fitness
        return sufficient is not None and self._selected is not None and self._selected.fitness > sufficient

    def _finish(self, reason: str) -> None:
        assert self._selected is not None
        fitness, find, scores = self._selected
        final = final_scores(self.spec, self.seed, find.algorithm)
        self.result = Result(
            algorithm=find.algorithm,
            birth=find.birth,
            search_fitness=find.score,
            select_fitness=fitness if self.spec.select_tasks else None,
            final_fitness=float(np.mean(final)) if final else None,
            select_scores=scores,
            final_scores=final,
            solved=self._is_solved(),
            experiment=find.experiment,
            select_error=standard_error(scores),
            final_error=standard_error(final),
            final_seeds=self.spec.final_seeds,
        )
        self._records += self.island.settle()
        self.finished, self.finish_reason = True, reason

    def conclude(self, reason: str = "stopped") -> SliceReport:
        """End the search where it is: select, score on the final tasks, report. Does nothing to a finished one."""
        if not self.finished and self.island.births:
            began = time.perf_counter()
            self._consider(self._candidates())
            self._finish(reason)
            self.seconds += time.perf_counter() - began
        return self._report()

    def set_stop(self, stop: StopSpec) -> None:
        """Go on under other limits; what has been bred stays as it is. Raises SpecError; does nothing to a finished search."""
        if not self.finished and stop != self.spec.stop:
            self.spec = replace(self.spec, stop=stop).check()
            self._stage, _ = self.spec.for_experiment(self.experiment)
            self.island.spec = self._stage

    # parts ---------------------------------------------------------------------------------------------------------

    def _new_island(self, births: int = 0, train_steps: int = 0, start: Migrant | None = None) -> None:
        """Begin an experiment, from its stage's initial program or from an individual of an earlier one."""
        self._stage, _ = self.spec.for_experiment(self.experiment)
        tasks = build_tasks(self.spec.search_tasks, seed=self.seed, role="search", experiment=self._task_experiment())
        self._tasks_digest = _digest(tasks)
        seed = stable_seed(self.seed, "island", self.experiment)
        self.island = Island(self._stage, tasks, seed=seed, births=births, train_steps=train_steps, start=start)
        # Not before the population is full.
        self._next_exchange = max(self.spec.migration.every, self._stage.population_size) if self.spec.migration else 0

    def _start_of_stage(self) -> Migrant | None:
        """Return what the experiment begins from, None for its initial program: there is nothing yet, or it does not fit."""
        stage, start = self.spec.for_experiment(self.experiment)
        chosen = {"initial": None, "fresh": self._fresh, "recent": self._recent, "best": self._selected}[start]
        if start == "fresh":
            self._fresh = None
        if start == "recent":
            self._recent = None
        if chosen is None or not stage.has_room_for(chosen.find.algorithm):
            return None
        return Migrant(self.index, chosen.find.birth, chosen.find.algorithm)

    def _task_experiment(self) -> int:
        return self.experiment if self.spec.fresh_tasks else 0

    def _counters(self) -> Counters:
        now, before = self.island.counters_now(), self._totals
        return Counters(
            individuals=before.individuals + now.individuals,
            evaluations=before.evaluations + now.evaluations,
            train_steps=now.train_steps,
            fec_hits=before.fec_hits + now.fec_hits,
            cache_hits=before.cache_hits + now.cache_hits,
            rejected=before.rejected + now.rejected,
            short_runs=before.short_runs + now.short_runs,
            cut=before.cut + now.cut,
            experiments=self.experiment + 1,
            seconds=self.seconds,
            immigrants=before.immigrants + now.immigrants,
        )

    def _report(self) -> SliceReport:
        population_best = None
        if self.island.births:
            slot = self.island.best_slot()
            self._records += self.island.line_records(slot)
            population_best = self.island.find(slot, self.seconds, self.experiment)
        self._records += self.island.settle()
        report = SliceReport(
            counters=self._counters(),
            points=tuple(self._points),
            individuals=tuple(self._records),
            finds=tuple(self._finds),
            population_best=population_best,
            finished=self.finished,
            finish_reason=self.finish_reason,
            result=self.result,
        )
        self._points, self._finds, self._records = [], [], []
        return report

    # checkpoints ---------------------------------------------------------------------------------------------------

    def checkpoint(self) -> bytes:
        """Return everything needed to continue bit for bit. Call it right after `run` (whose report is not in it)."""
        values, arrays = self.island.state()
        values |= {
            "spec": self._spec_digest(),
            "seed": self.seed,
            "tasks": self._tasks_digest,
            "experiment": self.experiment,
            "seconds": self.seconds,
            "next_point": self._next_point,
            "last_find_births": self._last_find_births,
            "totals": vars(self._totals),
            "best_score": self._best_score,
            "latest_finds": [_find_to_json(find) for find in self._latest_finds],
            "selected": _chosen_to_json(self._selected),
            "fresh": _chosen_to_json(self._fresh),
            "recent": _chosen_to_json(self._recent),
            "start_individual": None
            if self.island.start is None
            else [self.island.start.birth, self.island.start.algorithm.to_json()],
            "exchanges": self.exchanges,
            "next_exchange": self._next_exchange,
            "finished": self.finished,
            "finish_reason": self.finish_reason,
        }
        return pack(values, arrays)

    @classmethod
    def restore(cls, spec: SearchSpec, seed: int, data: bytes, *, index: int = 0) -> Search:
        """Continue from a checkpoint. Raises CheckpointError if it is damaged or of another search, version or data set."""
        values, arrays = unpack(data)
        search = cls.__new__(cls)
        search.__init__(spec, seed, index=index)  # type: ignore[misc]
        if values["spec"] != search._spec_digest() or values["seed"] != seed:
            raise CheckpointError("checkpoint: of another search (its specification or seed differs)")
        if values["experiment"] != search.experiment:
            search.experiment = values["experiment"]
            start = values.get("start_individual")
            search._new_island(start=start and Migrant(index, start[0], Algorithm.from_json(start[1])))
        if values["tasks"] != search._tasks_digest:
            raise CheckpointError("checkpoint: the data that its tasks were made of has changed")
        search.island.load(values, arrays)
        search.seconds = values["seconds"]
        search._next_point, search._last_find_births = values["next_point"], values["last_find_births"]
        search._totals = Counters(**values["totals"])
        search._best_score = values["best_score"]
        search.exchanges = values.get("exchanges", 0)
        search._next_exchange = values.get("next_exchange", search._next_exchange)
        search._latest_finds = [_find_from_json(find) for find in values["latest_finds"]]
        search._selected = _chosen_from_json(values["selected"])
        search._fresh = _chosen_from_json(values.get("fresh"))
        search._recent = _chosen_from_json(values.get("recent"))
        if values["finished"]:
            search._finish(values["finish_reason"])
        return search

    def _spec_digest(self) -> str:
        """Return a digest of the specification, less what may change while a search runs: names and limits."""
        same = replace(self.spec, name="", title="", description="", stop=type(self.spec.stop)())
        return hashlib.sha256(json.dumps(same.to_json(), sort_keys=True).encode()).hexdigest()


def _digest(tasks: Sequence[Task]) -> str:
    digest = hashlib.sha256()
    for task in tasks:
        for part in (task.train_features, task.train_labels, task.valid_features, task.valid_labels):
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def _find_to_json(find: Find) -> dict[str, Any]:
    data = {**vars(find), "algorithm": find.algorithm.to_json()}
    del data["made_by"]
    return data


def _find_from_json(data: dict[str, Any]) -> Find:
    return Find(**{**data, "algorithm": Algorithm.from_json(data["algorithm"])})


def _chosen_to_json(chosen: Chosen | None) -> list | None:
    return None if chosen is None else [chosen.fitness, _find_to_json(chosen.find), list(chosen.scores)]


def _chosen_from_json(data: list | None) -> Chosen | None:
    if data is None:
        return None
    fitness, find, scores = data
    return Chosen(fitness, _find_from_json(find), tuple(scores))
