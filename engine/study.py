"""A study: repeats of several arms, each a search with equal time or programs, interleaved, resumable when cut.

Everything lies in one folder, every file replaced atomically: study.json (what is run), runs/ARM-REPEAT.json (what came
out of each run), runs/ARM-REPEAT.bin (of a run at hand). So a study that was cut, at whatever moment, goes on where it was.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.algorithm import ProgramError
from engine.baselines import BASELINES
from engine.checkpoint import CheckpointError, pack, unpack
from engine.motifs import MOTIFS
from engine.presets import preset
from engine.spec import SearchSpec, SpecError, StopSpec

_ARM_FIELDS = ("name", "against", "preset", "changes", "everywhere", "without")
"""Of an arm in a file. changes: laid over the preset; everywhere: the same, and its stages say nothing else; without: fields
that neither it nor a stage sets."""
_SLICE_SECONDS = 2.0
_SAVE_SECONDS = 10.0
_MANY = 10**12


class StudyError(ValueError):
    """A study that is not valid, or a folder it cannot use; the message names the field or the file."""


@dataclass(frozen=True)
class Arm:
    """One of the things compared: a name and a specification. against: the arm that its success is compared with."""

    name: str
    spec: SearchSpec
    against: str | None = None


@dataclass(frozen=True)
class Study:
    """What is compared, and how often. seconds, individuals: the budget of every run, one of the two.

    Repeat k of every arm has seed `seed` + k, so all arms meet the same tasks. baselines: hand-designed algorithms that the
    selected ones are held against on the same select tasks, and final tasks, each in the arms whose labels it can learn:
    numbers or, of many classes, vectors. motifs: that are counted among the selected programs, and compared with those of
    the arm that an arm is against. confidence: of the intervals.
    """

    name: str
    arms: tuple[Arm, ...]
    repeats: int = 10
    seed: int = 0
    seconds: float | None = None
    individuals: int | None = None
    baselines: tuple[str, ...] = ()
    motifs: tuple[str, ...] = ()
    confidence: float = 0.95
    title: str = ""

    def runs(self) -> Iterator[tuple[int, int]]:
        """Yield (arm, repeat) in the order of running: repeat by repeat, each beginning with another arm."""
        for repeat in range(self.repeats):
            for place in range(len(self.arms)):
                yield (place + repeat) % len(self.arms), repeat

    def to_json(self) -> dict[str, Any]:
        """Return what the study's runs follow from, as plain JSON values."""
        arms = [{"name": arm.name, "spec": arm.spec.to_json(), "against": arm.against} for arm in self.arms]
        data = {**asdict(replace(self, arms=())), "arms": arms, "baselines": list(self.baselines)}
        # Counted afterwards: a study may be asked for others later.
        del data["motifs"]
        return data


@dataclass
class Run:
    """What came out of one run. curve: rows (seconds, individuals, best T_select score so far).

    baselines, final_baselines: scores of the hand-designed algorithms on the run's select tasks, and on its final tasks.
    """

    arm: str
    repeat: int
    seed: int
    solved: bool = False
    finish_reason: str = ""
    seconds: float = 0.0
    individuals: int = 0
    evaluations: int = 0
    train_steps: int = 0
    experiments: int = 0
    cut: int = 0
    search_fitness: float = 0.0
    select_fitness: float = 0.0
    final_fitness: float | None = None
    program: dict[str, Any] = field(default_factory=dict)
    baselines: dict[str, float] = field(default_factory=dict)
    final_baselines: dict[str, float] = field(default_factory=dict)
    curve: list[list[float]] = field(default_factory=list)


# --- reading ------------------------------------------------------------------------------------------------------------


def study_from_toml(data: Any) -> Study:
    """Read a study as TOML gives it and check it. Raises StudyError or SpecError naming the field."""
    if not isinstance(data, Mapping):
        raise StudyError("study: expected a table of fields")
    allowed = {
        "name": str, "title": str, "repeats": int, "seed": int, "seconds": (int, float), "individuals": int,
        "baselines": list, "motifs": list, "confidence": float, "base": dict, "arms": list,
    }  # fmt: skip
    for key, value in data.items():
        if key not in allowed:
            raise StudyError(f"study.{key}: unknown field, allowed: {', '.join(allowed)}")
        if isinstance(value, bool) or not isinstance(value, allowed[key]):
            raise StudyError(f"study.{key}: {value!r:.60} is not of the right kind")
    if ("seconds" in data) == ("individuals" in data):
        raise StudyError("study: needs either seconds or individuals, the budget of every run")
    if not data.get("arms"):
        raise StudyError("study.arms: none given, at least one is needed")
    for key, low, high in (
        ("repeats", 1, 10_000),
        ("seed", 0, 2**62),
        ("seconds", 0.1, 1e7),
        ("individuals", 1, 10**15),
    ):
        if key in data and not low <= data[key] <= high:
            raise StudyError(f"study.{key}: {data[key]} is not allowed, numbers from {low:,} to {high:,} are")
    if not 0.5 <= data.get("confidence", 0.95) < 1:
        raise StudyError("study.confidence: numbers from 0.5 to below 1 are allowed")
    for name in data.get("baselines", ()):
        if name not in BASELINES:
            raise StudyError(f'study.baselines: "{name}" is not known, allowed: {", ".join(BASELINES)}')
    for name in data.get("motifs", ()):
        if name not in MOTIFS:
            raise StudyError(f'study.motifs: "{name}" is not known, allowed: {", ".join(MOTIFS)}')
    budget = StopSpec(max_seconds=data.get("seconds"), max_total_individuals=data.get("individuals"))
    arms = tuple(_arm(one, f"arms[{place}]", data.get("base", {}), budget) for place, one in enumerate(data["arms"]))
    for name in data.get("baselines", ()):
        if not any(fits(name, arm) for arm in arms):
            raise StudyError(f'study.baselines: "{name}" learns labels of another kind than those of any arm')
    names = [arm.name for arm in arms]
    for arm in arms:
        if names.count(arm.name) > 1 or (arm.against is not None and arm.against not in names):
            raise StudyError(f'study.arms: "{arm.name}" is there twice, or is against an arm that is not there')
    plain = {key: value for key, value in data.items() if key not in ("base", "arms", "baselines", "motifs")}
    lists = {key: tuple(data.get(key, ())) for key in ("baselines", "motifs")}
    return Study(**{"name": "study", **plain}, arms=arms, **lists)


def _arm(data: Any, place: str, base: Mapping[str, Any], budget: StopSpec) -> Arm:
    if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
        raise StudyError(f"study.{place}: expected a table with a name")
    if not (data["name"].isprintable() and 0 < len(data["name"]) <= 80 and "|" not in data["name"]):
        raise StudyError(f"study.{place}.name: 1 to 80 printable characters other than | are allowed")
    merged: dict[str, Any] = {}
    for part, where in ((base, "base"), (data, place)):
        for key in part:
            if key not in _ARM_FIELDS:
                raise StudyError(f"study.{where}.{key}: unknown field, allowed: {', '.join(_ARM_FIELDS)}")
        for key in ("changes", "everywhere"):
            if not isinstance(part.get(key, {}), Mapping):
                raise StudyError(f"study.{where}.{key}: expected a table of fields")
        if "preset" in part:
            merged = preset(part["preset"]).to_json()
        everywhere, without = part.get("everywhere", {}), part.get("without", ())
        merged = _overlaid(_overlaid(merged, part.get("changes", {})), everywhere)
        merged = {key: value for key, value in merged.items() if key not in without}
        if "stages" in merged and (everywhere or without):
            merged["stages"] = [
                {key: value for key, value in stage.items() if key not in everywhere and key not in without}
                for stage in merged["stages"]
            ]
    if not merged:
        raise StudyError(f"study.{place}.preset: missing, here and in study.base")
    stop = {
        key: value for key, value in merged.get("stop", {}).items() if key not in ("max_seconds", "max_experiments")
    }
    limits = {key: value for key, value in asdict(budget).items() if value is not None}
    if merged.get("stop", {}).get("max_experiments"):
        stop["max_experiments"] = _MANY  # as many as the budget allows
    try:
        spec = SearchSpec.from_json({**merged, "stop": {**stop, **limits}})
    except SpecError as error:
        raise StudyError(f"study.{place}: {error}") from None
    if spec.select_tasks is None:
        raise StudyError(f"study.{place}: needs select_tasks, which the arms are compared on")
    if spec.islands > 1:
        raise StudyError(f"study.{place}: islands: {spec.islands}, studies run searches of one island")
    return Arm(data["name"], spec, data.get("against"))


def fits(baseline: str, arm: Arm) -> bool:
    """Whether a hand-designed algorithm takes labels as an arm's tasks have them: numbers or vectors."""
    return BASELINES[baseline].build().vector_labels == arm.spec.vector_labels


def _overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table with the values of another laid over it, tables within tables too; weights are taken whole."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        whole = key in ("mutations", "program") or not (isinstance(value, Mapping) and isinstance(old, Mapping))
        result[key] = value if whole else _overlaid(old, value)  # type: ignore[arg-type]
    return result


# --- running ------------------------------------------------------------------------------------------------------------


class Folder:
    """Where a study lies. Raises StudyError if it holds another one."""

    def __init__(self, path: Path, study: Study):
        self.path, self.study = path, study
        (path / "runs").mkdir(parents=True, exist_ok=True)
        known = path / "study.json"
        definition = study.to_json()
        if known.exists():
            before = json.loads(known.read_text())
            # More repeats may be added to a study; nothing else may change.
            if {**before, "repeats": 0} != json.loads(json.dumps({**definition, "repeats": 0})):
                raise StudyError(f"{path}: holds another study; give a folder of its own with --out")
        write(known, json.dumps(definition, indent=1).encode())

    def place(self, arm: Arm, repeat: int) -> Path:
        """Return the file of a run that has ended: arms are counted from 1, repeats from 0."""
        return self.path / "runs" / f"{self.study.arms.index(arm) + 1}-{repeat}.json"

    def finished(self) -> list[Run]:
        """Return the runs that have ended, arm by arm."""
        places = [self.place(arm, repeat) for arm in self.study.arms for repeat in range(self.study.repeats)]
        return [Run(**json.loads(place.read_text())) for place in places if place.exists()]

    def save(self, arm: Arm, run: Run, checkpoint: bytes) -> None:
        """Keep a run at hand."""
        write(
            self._at_hand(arm, run.repeat), pack({"run": asdict(run)}, {"state": np.frombuffer(checkpoint, np.uint8)})
        )

    def saved(self, arm: Arm, repeat: int) -> tuple[Run, bytes] | None:
        """Return a run at hand, None if there is none that can be read."""
        try:
            values, arrays = unpack(self._at_hand(arm, repeat).read_bytes())
        except (FileNotFoundError, CheckpointError):
            return None
        return Run(**values["run"]), arrays["state"].tobytes()

    def end(self, arm: Arm, run: Run) -> None:
        """Keep what came out of a run."""
        write(self.place(arm, run.repeat), json.dumps(asdict(run)).encode())
        self._at_hand(arm, run.repeat).unlink(missing_ok=True)

    def _at_hand(self, arm: Arm, repeat: int) -> Path:
        return self.place(arm, repeat).with_suffix(".bin")


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def run_study(
    study: Study,
    folder: Folder,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[Run, bool], None] = lambda run, ended: None,
    slice_seconds: float = _SLICE_SECONDS,
    workers: int = 1,
) -> list[Run]:
    """Run what has not been run yet and return all runs that have ended.

    should_stop: asked several times a second; when it says so, the runs at hand are kept as they stand. on_progress: called after
    each slice with the run, and whether it has ended, one call at a time. workers: runs at hand at a time, on a thread each.
    """
    waiting = (run for run in study.runs() if not folder.place(study.arms[run[0]], run[1]).exists())
    lock, failed = threading.Lock(), threading.Event()

    def stop() -> bool:
        return failed.is_set() or should_stop()

    def tell(run: Run, ended: bool) -> None:
        with lock:
            on_progress(run, ended)

    def work() -> None:
        try:
            while not stop():
                with lock:
                    position, repeat = next(waiting, (-1, 0))
                if position < 0:
                    break
                _run(study, study.arms[position], repeat, folder, stop, tell, slice_seconds)
        except BaseException:
            failed.set()
            raise

    if workers == 1:
        work()
    else:
        with ThreadPoolExecutor(workers) as pool:
            for one in [pool.submit(work) for _ in range(workers)]:
                one.result()
    return folder.finished()


def _run(study: Study, arm: Arm, repeat: int, folder: Folder, should_stop, on_progress, slice_seconds: float) -> None:
    from engine.search import Search

    run = Run(arm.name, repeat, study.seed + repeat)
    kept = folder.saved(arm, repeat)
    try:
        search = Search.restore(arm.spec, run.seed, kept[1]) if kept else Search.start(arm.spec, run.seed)
        run = kept[0] if kept else run
    except CheckpointError:  # of another version: this run begins anew
        search = Search.start(arm.spec, run.seed)
    last_saved = search.seconds
    scorer = _Scorer(arm.spec, run.seed)
    while not search.finished:
        report = search.run(seconds=slice_seconds, should_stop=should_stop)
        _note(run, report, scorer)
        stopping = should_stop() and not search.finished
        if stopping or (not search.finished and search.seconds - last_saved >= _SAVE_SECONDS):
            folder.save(arm, run, search.checkpoint())
            last_saved = search.seconds
        on_progress(run, search.finished)
        if stopping:
            return
    _conclude(run, study, arm, search.result, search.finish_reason)
    folder.end(arm, run)


class _Scorer:
    """Scores finds on the select tasks of their experiments."""

    def __init__(self, spec: SearchSpec, seed: int):
        self._spec, self._seed, self._selector = spec, seed, None

    def __call__(self, find) -> float:
        from engine.unseen import Selector

        experiment = find.experiment if self._spec.fresh_tasks else 0
        if self._selector is None or self._selector.experiment != experiment:
            self._selector = Selector(self._spec, self._seed, experiment)
        return self._selector.choose([find]).fitness


def _note(run: Run, report, scorer: _Scorer) -> None:
    """Take over a slice's counters, and the scores of its finds on the select tasks, which cost the run no time."""
    counters = report.counters
    run.seconds, run.individuals, run.evaluations = counters.seconds, counters.individuals, counters.evaluations
    run.train_steps, run.experiments, run.cut = counters.train_steps, counters.experiments, counters.cut
    best = run.curve[-1][2] if run.curve else -1.0
    for find in report.finds:
        score = scorer(find)
        if score > best:
            best = score
            run.curve.append([round(find.seconds, 4), find.individuals, score])


def _conclude(run: Run, study: Study, arm: Arm, result, finish_reason: str) -> None:
    from engine.unseen import evaluator_of

    run.solved, run.finish_reason = result.solved, finish_reason
    run.search_fitness, run.select_fitness = result.search_fitness, result.select_fitness
    run.final_fitness, run.program = result.final_fitness, result.algorithm.to_json()
    if not run.curve or run.select_fitness > run.curve[-1][2]:
        run.curve.append([round(run.seconds, 4), run.individuals, run.select_fitness])
    experiment = result.experiment if arm.spec.fresh_tasks else 0
    for name in (one for one in study.baselines if fits(one, arm)):
        known = BASELINES[name].build()
        spec = replace(arm.spec, registers=known.registers_used())
        for tasks, scores, parts in (
            (spec.select_tasks, run.baselines, ("select", experiment)),
            (spec.final_tasks, run.final_baselines, ("final", 0)),
        ):
            if tasks is None:
                continue
            try:
                evaluator = evaluator_of(spec, tasks, run.seed, *parts)
                scores[name] = float(np.mean(evaluator.evaluate(known).fitness))
            except ProgramError as error:
                raise StudyError(f"study.baselines: {name}: {error}") from None
