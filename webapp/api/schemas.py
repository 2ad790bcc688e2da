"""What goes in and out. Scores are null where they are not finite numbers; times are ISO 8601; seconds are the engine's."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from ninja import Field, Schema
from pydantic import ConfigDict

SearchState = Literal["queued", "starting", "running", "pausing", "paused", "stopping", "stopped", "finished", "failed"]
Visibility = Literal["public", "unlisted", "private"]


class ListOf(Schema):
    """A page of a list."""

    next_cursor: str | None
    next: str | None = Field(description="Address of the next page.")


class Strict(Schema):
    """What comes in: a field that nobody knows is a slip of the pen, not something to pass over."""

    model_config = ConfigDict(extra="forbid")


class FindOut(Schema):
    """An algorithm where a search found it."""

    permalink: str
    url: str
    api_url: str
    score: float | None = Field(description="On the search tasks (T_search).")
    select_score: float | None = Field(description="On the selection tasks (T_select), for a search's result.")
    final_score: float | None = Field(description="On the final tasks (T_test), for a search's result.")
    gain: float | None = Field(description="How much better than the best before it.")
    individuals: int = Field(description="Programs that the island had tried.")
    seconds: float
    found_at: datetime


class ImportedOut(Schema):
    """Where an imported search comes from, and what of it was checked here."""

    instance: str = Field(description="Host of the installation that ran it; empty for the command line.")
    author: str = Field(description="Whose it was there.")
    imported_at: datetime
    checked_at: datetime
    finds: int = Field(description="Programs that were checked against their digests.")
    individuals: int = Field(description="Steps of the ancestry that were made again.")
    scores: int = Field(description="Scores that were computed anew and came out the same.")
    waits_for: list[str] = Field(description="Data sets that the other scores wait for.")
    problem: str = Field(description="What is wrong with scores that were computed after the import.")


class ImportedSearchOut(Schema):
    """A search of a bundle."""

    search_id: int
    title: str
    known: bool = Field(description="Whether it was here already; then nothing was changed.")
    same: bool = Field(description="Whether what was here has the same content.")


class ImportOut(Schema):
    """A bundle of searches that was brought in."""

    id: int
    url: str
    name: str
    state: Literal["waiting", "done", "refused"]
    reason: str = Field(description="What is wrong with it, and where.")
    visibility: Visibility
    asked_at: datetime
    done_at: datetime | None
    searches: list[ImportedSearchOut]


class SearchOut(Schema):
    """A search."""

    id: int
    url: str
    title: str
    preset: str = Field(description='Name of the specification; "custom" for one of your own.')
    seed: int
    owner: str | None
    state: SearchState
    visibility: Visibility
    priority: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    finish_reason: str
    failure_reason: str
    individuals: int
    evaluations: int
    train_steps: int
    experiments: int
    seconds: float
    max_seconds: float | None = Field(description="The time limit.")
    progress: float | None = Field(
        description="Share of the limits used, 0 to 1; null where the search has no such end."
    )
    solved: bool
    best: FindOut | None = Field(description="The best so far on the search tasks.")
    result: FindOut | None = Field(description="What the search chose at its end.")


class SearchDetail(SearchOut):
    """A search with its specification."""

    spec: dict[str, Any]
    baselines: dict[str, Any] = Field(description="Scores of hand-designed models on the same tasks.")
    imported: ImportedOut | None = Field(description="Of a search that was run elsewhere.")


class LaunchIn(Strict):
    """A search to start: from a preset, a specification as JSON, or one as TOML; exactly one of them."""

    preset: str | None = Field(None, max_length=100)
    spec: dict[str, Any] | None = None
    toml: str | None = Field(None, max_length=200_000)
    changes: dict[str, Any] = Field({}, description='Fields to change in it, such as {"stop": {"max_seconds": 60}}.')
    title: str = Field("", max_length=200)
    seed: int | None = Field(
        None, ge=0, lt=2**53, description="The same seed gives the same search; null: a random one."
    )
    visibility: Visibility = "public"
    priority: int = Field(0, ge=-10, le=10)


class ChangeIn(Strict):
    """What of a search may be changed afterwards."""

    title: str | None = Field(None, min_length=1, max_length=200)
    visibility: Visibility | None = None
    priority: int | None = Field(None, ge=-10, le=10)


class ExtendIn(Strict):
    seconds: float = Field(gt=0, description="Engine seconds to add to the time limit.")


class CurvePointOut(Schema):
    """An island's population at a moment."""

    individuals: int
    seconds: float
    train_steps: int
    experiment: int
    best_so_far: float | None
    best: float | None
    mean: float | None
    median: float | None
    deviation: float | None


class CurveOut(Schema):
    """Points after `since`, in order. Ask again with since = `next_since` for what came in the meantime."""

    island: int
    points: list[CurvePointOut]
    next_since: int
    more: bool = Field(description="Whether there are more points already.")
    active: bool = Field(description="Whether more may come.")


class SpecOut(Schema):
    """A specification that is valid, complete with defaults."""

    name: str
    title: str
    spec: dict[str, Any]
    toml: str


class PresetOut(Schema):
    name: str
    title: str
    description: str
    max_seconds: float | None
    missing_dataset: str | None = Field(description="A data set that it needs and that is not here.")


class SpecIn(Strict):
    """A specification: a preset's, as JSON, or as TOML; exactly one of them."""

    preset: str | None = Field(None, max_length=100)
    spec: dict[str, Any] | None = None
    toml: str | None = Field(None, max_length=200_000)
    changes: dict[str, Any] = {}


class AlgorithmRow(Schema):
    """An algorithm in a list: its best find."""

    permalink: str
    url: str
    api_url: str
    title: str
    motifs: list[str]
    size: int = Field(description="Instructions of its canonical form.")
    score: float
    margin: float | None = Field(description="Score minus the linear model's on the same tasks.")
    data: str
    finds: int
    found_at: datetime
    search_id: int


class FoundIn(FindOut):
    search_id: int
    search_title: str


class AlgorithmDetail(Schema):
    """An algorithm exactly as found."""

    permalink: str
    url: str
    title: str
    sha256: str
    op_set_version: int
    program: dict[str, Any]
    pseudocode: str
    size: int
    created_at: datetime
    finds: list[FoundIn]
    same: list[str] = Field(description="Permalinks of other programs that are the same algorithm.")


class LineOut(Schema):
    function: Literal["setup", "predict", "learn"]
    position: int
    text: str
    role: str
    note: str
    motifs: list[str]


class ExplanationOut(Schema):
    title: str
    motifs: list[str]
    lines: list[LineOut]


class EvaluateIn(Strict):
    """Tasks to score an algorithm on once more: of another seed, or another data set."""

    dataset: str = Field("", max_length=100, description="Empty: the data of the search that found it.")
    seed: int | None = Field(None, ge=0, lt=2**53)


class EvaluationOut(Schema):
    """An evaluation; ask for it again until `state` is no longer `waiting`."""

    id: int
    api_url: str
    permalink: str
    dataset: str
    seed: int
    state: Literal["waiting", "done", "failed"]
    asked_at: datetime
    done_at: datetime | None
    scores: dict[str, list[float | None]] | None = Field(
        description="Score on each task, of the algorithm (`found`) and of hand-designed models."
    )
    failure_reason: str


class DatasetOut(Schema):
    """A data set that tasks can be made of."""

    name: str
    title: str
    url: str
    origin: Literal["bundled", "file", "upload"]
    owner: str | None
    visibility: Visibility
    state: Literal["checking", "ready", "refused"]
    reason: str = Field(description="Why it was refused.")
    bytes: int | None
    words: str = Field(description="What is in it, in a line; empty where that is not known yet.")


class StudyIn(LaunchIn):
    """Searches to start together: one specification, repeated over seeds, or varied over a grid."""

    repeats: int = Field(1, ge=1, le=100, description="Seeds for each point of the grid.")
    grid: str = Field("", max_length=10_000, description="Lines such as `population_size = 50, 100`.")


class GroupOut(Schema):
    """Searches of a study that differ in their seed only."""

    values: dict[str, Any]
    searches: list[int]
    ended: int
    successes: int
    rate: float | None
    low: float | None = Field(description="Wilson's 95 % interval of the rate.")
    high: float | None
    median_score: float | None


class StudyOut(Schema):
    id: int
    url: str
    api_url: str
    title: str
    owner: str | None
    visibility: Visibility
    varied: list[str]
    created_at: datetime


class StudyDetail(StudyOut):
    """A study with its successes: a search that solved its tasks, or scored above `above`."""

    groups: list[GroupOut]


class StudyList(ListOf):
    items: list[StudyOut]


class LimitsOut(Schema):
    islands: int | None
    search_seconds: float | None
    upload_bytes: int | None


class AccountOut(Schema):
    """Who the token belongs to."""

    name: str | None
    role: Literal["viewer", "researcher", "administrator"] | None
    scope: Literal["read", "launch"]
    may_launch: bool
    islands_in_use: int
    upload_bytes_in_use: int
    limits: LimitsOut


class IndexOut(Schema):
    name: str
    version: str
    openapi: str
    documentation: str
    searches: str
    algorithms: str
    presets: str


class SearchList(ListOf):
    items: list[SearchOut]


class FindList(ListOf):
    items: list[FindOut]


class AlgorithmList(ListOf):
    items: list[AlgorithmRow]
    total: int
    total_is_more: bool = Field(description="Whether there are more than `total`.")
