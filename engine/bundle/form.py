"""What a bundle holds: the records of each kind of line, and how they are read and checked.

A bundle is JSON Lines, plain or gzipped: one or several searches, each a section of lines in this order:

    search     what was searched, with which seed, how it ended, where it comes from
    island     one for each population
    find       algorithms exactly as found, with scores and, where there is one, a measurement
    ancestry   rows of individuals, parents before children, every line complete to its first ancestor
    curve      rows of points of an island's curve
    event      the log
    end        how many lines came before it in this section, and their SHA-256

Nothing in a bundle depends on the installation that wrote it: the same search gives the same bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.algorithm import Algorithm, ProgramError
from engine.canonical import CANONICAL_VERSION, canonical_digest
from engine.evaluation_version import EVALUATION_VERSION
from engine.ops import OP_SET_VERSION
from engine.spec import SearchSpec, SpecError

FORMAT_VERSION = 1

KINDS = ("search", "island", "find", "ancestry", "curve", "event", "end")
STATES = ("finished", "stopped", "failed")

MOST = 2**63 - 1
MOST_TEXT = 4000
MOST_SCORES = 10_000
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")

COUNTERS = (
    "individuals", "evaluations", "train_steps", "fec_hits", "cache_hits", "rejected", "cut", "experiments",
)  # fmt: skip

POINT = (
    "individuals", "experiment", "train_steps", "seconds", "best", "mean", "median", "deviation", "best_so_far",
    "distinct", "evaluations", "fec_hits", "cache_hits", "rejected", "cut",
)  # fmt: skip
"""Columns of a curve's row. Scores are None where they are no finite numbers; the last six are None where not counted."""

_POINT_SCORES = ("best", "mean", "median", "deviation", "best_so_far")


class BundleError(ValueError):
    """A bundle that cannot be used: one line that says where and what is wrong."""


@dataclass(frozen=True)
class Limits:
    """How much a bundle may hold. bytes: unpacked; line: bytes of one line."""

    bytes: int = 1 << 30
    line: int = 4 << 20
    searches: int = 1000
    islands: int = 1000
    finds: int = 20_000
    individuals: int = 1_000_000
    points: int = 2_000_000
    events: int = 100_000


@dataclass(frozen=True)
class Origin:
    """Where a search was run. instance: its address, "" for the command line; author: whose it was there."""

    instance: str = ""
    author: str = ""
    version: str = ""


@dataclass(frozen=True)
class BundledStudy:
    """The study that a search belongs to. values: the search's own, of the fields that differ within the study."""

    uid: UUID
    title: str
    varied: list[str]
    values: dict[str, Any]
    created_at: datetime | None = None


@dataclass(frozen=True)
class Head:
    """A search without what it found. result: (island, birth) of the find that it chose."""

    uid: UUID
    title: str
    spec: SearchSpec
    seed: int
    state: str
    finish_reason: str = ""
    failure_reason: str = ""
    solved: bool = False
    result: tuple[int, int] | None = None
    baselines: dict[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    origin: Origin = Origin()
    study: BundledStudy | None = None
    evaluation_version: int = EVALUATION_VERSION
    canonical_version: int = CANONICAL_VERSION

    def to_json(self) -> dict[str, Any]:
        study = self.study
        return {
            "kind": "search",
            "format": FORMAT_VERSION,
            "uid": str(self.uid),
            "op_set_version": OP_SET_VERSION,
            "evaluation_version": self.evaluation_version,
            "canonical_version": self.canonical_version,
            "title": self.title,
            "origin": {**vars(self.origin)},
            "seed": self.seed,
            "state": self.state,
            "finish_reason": self.finish_reason,
            "failure_reason": self.failure_reason,
            "solved": self.solved,
            "result": list(self.result) if self.result else None,
            "baselines": self.baselines,
            "created_at": _moment(self.created_at),
            "started_at": _moment(self.started_at),
            "finished_at": _moment(self.finished_at),
            "study": study
            and {
                "uid": str(study.uid), "title": study.title, "varied": study.varied, "values": study.values,
                "created_at": _moment(study.created_at),
            },
            "spec": self.spec.to_json(),
        }  # fmt: skip


@dataclass(frozen=True)
class IslandState:
    """What an island counted."""

    index: int
    state: str
    counters: dict[str, int]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {"kind": "island", "index": self.index, "state": self.state, **self.counters, "seconds": self.seconds}


FIND_VALUES = (
    "score", "previous_score", "select_score", "final_score", "select_scores", "final_scores", "individuals", "train_steps",
    "experiment", "seconds",
)  # fmt: skip
"""Fields of a find that installations store under the same names."""


@dataclass(frozen=True)
class BundledFind:
    """A find with all that is known of it. Scores are None where they are no finite numbers."""

    island: int
    birth: int
    algorithm: Algorithm
    score: float | None
    individuals: int
    train_steps: int
    experiment: int
    seconds: float
    previous_score: float | None = None
    select_score: float | None = None
    final_score: float | None = None
    select_scores: list[float | None] | None = None
    final_scores: list[float | None] | None = None
    found_at: datetime | None = None
    measurement: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        row: dict[str, Any] = {
            "kind": "find",
            "island": self.island,
            "birth": self.birth,
            "digest": self.algorithm.digest().hex(),
            "canonical_digest": canonical_digest(self.algorithm).hex(),
        }
        for name in (
            "score", "previous_score", "select_score", "final_score", "individuals", "train_steps", "experiment", "seconds",
        ):  # fmt: skip
            row[name] = getattr(self, name)
        row["found_at"] = _moment(self.found_at)
        row["select_scores"], row["final_scores"] = self.select_scores, self.final_scores
        row["program"] = self.algorithm.to_json()
        row["measurement"] = self.measurement
        return row


@dataclass(frozen=True)
class Event:
    """A line of the log."""

    kind: str
    at: datetime | None
    island: int | None = None
    data: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "event", "event": self.kind, "at": _moment(self.at), "island": self.island, "data": self.data,
        }  # fmt: skip


# --- reading: every value is looked at; a path names it ----------------------------------------------------------------


def head_from_json(data: Mapping[str, Any]) -> Head:
    """Read a search's first line. Raises BundleError."""
    version = data.get("format")
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise BundleError(f"format: {_shown(version)} is not known here, allowed: {FORMAT_VERSION}")
    if data.get("op_set_version") != OP_SET_VERSION:
        raise BundleError(
            f"op_set_version: {_shown(data.get('op_set_version'))}, this installation has {OP_SET_VERSION}"
        )
    try:
        spec = SearchSpec.from_json(_table(data, "spec"))
    except SpecError as error:
        raise BundleError(f"spec: {error}") from None
    origin = _table(data, "origin")
    state = data.get("state")
    if state not in STATES:
        raise BundleError(f"state: {_shown(state)} is not allowed, one of {', '.join(STATES)} is")
    failure = text(data, "failure_reason")
    if state == "failed" and not failure:
        raise BundleError("failure_reason: missing, though the state is failed")
    if not isinstance(data.get("solved"), bool):
        raise BundleError("solved: expected true or false")
    result = data.get("result")
    if result is not None:
        if not isinstance(result, list) or len(result) != 2:
            raise BundleError("result: expected [island, birth] or null")
        result = (whole(result[0], "result", 0, MOST), whole(result[1], "result", 0, MOST))
    return Head(
        uid=_uid(data, "uid"),
        title=line(data, "title", most=200, empty=False),
        spec=spec,
        seed=whole(data.get("seed"), "seed", 0, MOST),
        state=state,
        finish_reason=line(data, "finish_reason", most=40),
        failure_reason=failure,
        solved=data["solved"],
        result=result,
        baselines=_baselines(data.get("baselines")),
        created_at=moment(data, "created_at"),
        started_at=moment(data, "started_at"),
        finished_at=moment(data, "finished_at"),
        origin=Origin(
            line(origin, "instance", most=200), line(origin, "author", most=150), line(origin, "version", most=40)
        ),
        study=_study(data.get("study")),
        evaluation_version=whole(data.get("evaluation_version"), "evaluation_version", 0, 10**6),
        canonical_version=whole(data.get("canonical_version"), "canonical_version", 0, 10**4),
    )


def island_from_json(data: Mapping[str, Any]) -> IslandState:
    """Read an island's line. Raises BundleError."""
    state = data.get("state")
    if state not in STATES:
        raise BundleError(f"state: {_shown(state)} is not allowed, one of {', '.join(STATES)} is")
    return IslandState(
        index=whole(data.get("index"), "index", 0, 10**6),
        state=state,
        counters={name: whole(data.get(name), name, 0, MOST) for name in COUNTERS},
        seconds=number(data.get("seconds"), "seconds", 0.0, 1e10),
    )


def find_from_json(data: Mapping[str, Any], spec: SearchSpec, canonical_version: int) -> BundledFind:
    """Read a find's line; its digests are computed anew and compared. Raises BundleError."""
    try:
        algorithm = Algorithm.from_json(data.get("program"), registers=spec.registers)
    except ProgramError as error:
        raise BundleError(f"program: {error}") from None
    if algorithm.vector_labels != spec.vector_labels:
        raise BundleError("program: its labels are not of the kind of the specification's tasks")
    if data.get("digest") != algorithm.digest().hex():
        raise BundleError(f"digest: {_shown(data.get('digest'))} is not that of the program")
    if canonical_version == CANONICAL_VERSION and data.get("canonical_digest") != canonical_digest(algorithm).hex():
        raise BundleError(f"canonical_digest: {_shown(data.get('canonical_digest'))} is not that of the program")
    scores = {name: _scores(data, name) for name in ("select_scores", "final_scores")}
    measurement = data.get("measurement")
    if measurement is not None and not isinstance(measurement, dict):
        raise BundleError("measurement: expected a table or null")
    find = BundledFind(
        island=whole(data.get("island"), "island", 0, 10**6),
        birth=whole(data.get("birth"), "birth", 0, MOST),
        algorithm=algorithm,
        score=score(data.get("score"), "score"),
        previous_score=score(data.get("previous_score"), "previous_score"),
        select_score=score(data.get("select_score"), "select_score"),
        final_score=score(data.get("final_score"), "final_score"),
        individuals=whole(data.get("individuals"), "individuals", 0, MOST),
        train_steps=whole(data.get("train_steps"), "train_steps", 0, MOST),
        experiment=whole(data.get("experiment"), "experiment", 0, 2**31 - 1),
        seconds=number(data.get("seconds"), "seconds", 0.0, 1e10),
        found_at=moment(data, "found_at"),
        measurement=measurement,
        **scores,
    )
    for name in ("select", "final"):
        mean, parts = getattr(find, f"{name}_score"), getattr(find, f"{name}_scores")
        if mean is not None and parts and None not in parts and abs(math.fsum(parts) / len(parts) - mean) > 1e-9:
            raise BundleError(f"{name}_score: {mean} is not the mean of {name}_scores")
    return find


def point_from_json(values: Any) -> tuple:
    """Read a row of a curve line: the values of POINT. Raises BundleError."""
    if not isinstance(values, list) or len(values) != len(POINT):
        raise BundleError(f"points: expected rows of {len(POINT)} values")
    for name, value in zip(POINT, values):
        if name == "seconds":
            number(value, name, 0.0, 1e10)
        elif name in _POINT_SCORES:
            score(value, name)
        elif name in ("individuals", "experiment", "train_steps"):
            whole(value, name, 0, 2**31 - 1 if name == "experiment" else MOST)
        elif value is not None:
            whole(value, name, 0, 2**31 - 1 if name == "distinct" else MOST)
    return tuple(values)


def event_from_json(data: Mapping[str, Any]) -> Event:
    """Read a line of the log. Raises BundleError."""
    island = data.get("island")
    values = _table(data, "data")
    for key, value in values.items():
        if value is not None and not isinstance(value, (bool, int, float, str)):
            raise BundleError(f"data.{_shown(key)}: expected a number or a text")
        if isinstance(value, int):
            whole(int(value), f"data.{key}", -MOST, MOST)
        plain_text(str(value), "data")
        plain_text(key, "data")
    return Event(
        kind=name(data.get("event"), "event", most=30),
        at=moment(data, "at"),
        island=None if island is None else whole(island, "island", 0, 10**6),
        data=values,
    )


def whole(value: Any, place: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BundleError(f"{place}: {_shown(value)} is not allowed, whole numbers from {low} to {high} are")
    return value


def number(value: Any, place: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise BundleError(f"{place}: {_shown(value)} is not allowed, numbers from {low:g} to {high:g} are")
    return float(value)


def score(value: Any, place: str) -> float | None:
    return None if value is None else number(value, place, -1e9, 1e9)


def name(value: Any, place: str, *, most: int = 40) -> str:
    if not isinstance(value, str) or len(value) > most or not _NAME.fullmatch(value):
        raise BundleError(f"{place}: {_shown(value)} is not allowed, names of up to {most} small letters are")
    return value


def line(data: Mapping[str, Any], key: str, *, most: int, empty: bool = True) -> str:
    """Return a text of one line."""
    value = text(data, key, most=most, empty=empty)
    if "\n" in value or "\t" in value:
        raise BundleError(f"{key}: {_shown(value)} is not one line")
    return value


def text(data: Mapping[str, Any], key: str, *, most: int = MOST_TEXT, empty: bool = True) -> str:
    value = data.get(key)
    if not isinstance(value, str) or len(value) > most or (not value.strip() and not empty):
        raise BundleError(
            f"{key}: {_shown(value)} is not allowed, texts of {0 if empty else 1} to {most} characters are"
        )
    return plain_text(value, key)


def plain_text(value: str, place: str) -> str:
    """Return a text that every database and page can hold."""
    if any((ord(one) < 32 and one not in "\n\t") or 0xD800 <= ord(one) < 0xE000 for one in value):
        raise BundleError(f"{place}: has control characters")
    return value


def moment(data: Mapping[str, Any], key: str) -> datetime | None:
    value = data.get(key)
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is None or not 1970 <= found.year <= 9000:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise BundleError(f"{key}: {_shown(value)} is not a moment such as 2026-01-31T12:00:00+00:00") from None
    return found


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def _table(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    if not isinstance(value, dict):
        raise BundleError(f"{key}: expected a table, got {_shown(value)}")
    return value


def _scores(data: Mapping[str, Any], key: str) -> list[float | None] | None:
    values = data.get(key)
    if values is None:
        return None
    if not isinstance(values, list) or len(values) > MOST_SCORES:
        raise BundleError(f"{key}: expected a list of up to {MOST_SCORES} scores, or null")
    return [score(value, key) for value in values]


def _baselines(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) > 20:
        raise BundleError("baselines: expected a table of models")
    result: dict[str, Any] = {}
    for model, scores in value.items():
        name(model, "baselines")
        if not isinstance(scores, dict) or not set(scores) <= {"search", "select", "final"}:
            raise BundleError(f"baselines.{model}: expected a table of search, select and final")
        result[model] = {role: score(one, f"baselines.{model}.{role}") for role, one in scores.items()}
    return result


def _study(value: Any) -> BundledStudy | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise BundleError("study: expected a table or null")
    varied = value.get("varied")
    if (
        not isinstance(varied, list)
        or len(varied) > 50
        or not all(isinstance(one, str) and len(one) < 200 for one in varied)
    ):
        raise BundleError("study.varied: expected a list of field names")
    values = _table(value, "values")
    for key, one in values.items():
        plain(one, f"study.values.{_shown(key)}")
        plain_text(key, "study.values")
    return BundledStudy(
        uid=_uid(value, "uid"),
        title=line(value, "title", most=200, empty=False),
        varied=[plain_text(one, "study.varied") for one in varied],
        values=values,
        created_at=moment(value, "created_at"),
    )


def plain(value: Any, place: str, *, depth: int = 6) -> None:
    """Raise BundleError unless a value is plain, not too deep, and without numbers or texts that nothing can hold."""
    if isinstance(value, str):
        plain_text(value, place)
    elif isinstance(value, bool) or value is None:
        pass
    elif isinstance(value, int):
        whole(value, place, -MOST, MOST)
    elif isinstance(value, float):
        number(value, place, -1e308, 1e308)
    elif depth == 0:
        raise BundleError(f"{place}: nested too deeply")
    elif isinstance(value, Mapping):
        for key, one in value.items():
            plain_text(key, place)
            plain(one, place, depth=depth - 1)
    elif isinstance(value, Sequence):
        for one in value:
            plain(one, place, depth=depth - 1)


def _uid(data: Mapping[str, Any], key: str) -> UUID:
    value = data.get(key)
    try:
        if isinstance(value, str) and len(value) == 36:
            return UUID(value)
    except ValueError:
        pass
    raise BundleError(f"{key}: {_shown(value)} is not a UUID")


def _shown(value: Any) -> str:
    text = repr(value)[:60]
    return "".join(one if one.isprintable() else "?" for one in text)
