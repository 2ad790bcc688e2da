"""What a search can begin from: a preset, another search, an algorithm, or a specification as TOML; and other data for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from django.http import Http404
from django.utils.translation import gettext as _

from engine.algorithm import Algorithm as Program
from engine.presets import HELD_OUT_PAIRS, preset, preset_names
from engine.spec import FecSpec, SearchSpec, SpecError, TaskSpec
from engine.spec_toml import read_toml
from webapp.experiments import access, queries
from webapp.experiments.words import engine_text

MOST_TOML = 200_000
ROLES = ("search_tasks", "select_tasks", "final_tasks")


@dataclass(frozen=True)
class Base:
    """key: what the form sends for it. title: in a few words. seed: of a search that is run again, else None."""

    key: str
    title: str
    spec: SearchSpec
    seed: int | None = None


def base_of(key: str, user, *, toml: str = "") -> Base:
    """Return the base of a key: a preset's name, "search:12", "trial:KEY", "a:PERMALINK" or "toml". Raises SpecError, Http404."""
    kind, _colon, rest = key.partition(":")
    if kind == "toml":
        return Base(key, _("The specification pasted below"), spec_from_toml(toml))
    if kind == "search" and rest.isdecimal() and len(rest) < 19:
        search = access.get_search(user, int(rest))
        title = _("As search %(number)s: %(title)s") % {"number": search.pk, "title": search.title}
        return Base(key, title, SearchSpec.from_json(search.spec), search.seed)
    if kind == "trial" and rest:
        trial = access.get_trial(user, rest)
        return Base(key, _("As in the dry run"), SearchSpec.from_json(trial.spec))
    if kind == "a" and rest:
        return _of_algorithm(key, rest, user)
    if key not in preset_names():
        raise SpecError("preset", _("“%(key)s” is no valid choice.") % {"key": key[:60]})
    spec = preset(key)
    return Base(key, engine_text(spec.title), spec)


def spec_from_toml(text: str) -> SearchSpec:
    """Read a specification as TOML. Raises SpecError, for text that is no TOML with the field "toml"."""
    if len(text) > MOST_TOML:
        raise SpecError("toml", _("longer than %(n)d characters") % {"n": MOST_TOML})
    if not text.strip():
        raise SpecError("toml", _("Paste a specification first."))
    try:
        data = read_toml(text)
    except ValueError as error:
        raise SpecError("toml", _("This is not TOML: %(error)s.") % {"error": error}) from None
    try:
        return SearchSpec.from_json(data)
    except SpecError as error:
        raise SpecError("toml", str(error)) from None


def _of_algorithm(key: str, permalink: str, user) -> Base:
    """Return a search that goes on from an algorithm, set up as the one that found it."""
    algorithm = access.get_algorithm(user, permalink)
    finds = queries.finds_of(user, algorithm)
    spec = SearchSpec.from_json(finds[0].search.spec) if finds else preset("digits")
    try:
        program = Program.from_json(algorithm.program)
        needed = program.registers_used()
        registers = spec.registers._make(max(pair) for pair in zip(spec.registers, needed, strict=True))
        functions = {}
        for name, function in zip(("setup", "predict", "learn"), program.functions, strict=True):
            bounds = getattr(spec, name)
            functions[name] = replace(
                bounds, max_size=max(bounds.max_size, len(function)), min_size=min(bounds.min_size, len(function))
            )
        title = _("From the algorithm a/%(permalink)s") % {"permalink": permalink[:10]}
        spec = replace(
            spec, name="from-algorithm", title=title, initial="program", program=algorithm.program,
            registers=registers, **functions,
        ).check()  # fmt: skip
    except SpecError as error:
        raise Http404(str(error)) from None
    return Base(key, title, spec)


# other data -------------------------------------------------------------------------------------------------------------


def on_data(spec: SearchSpec, name: str, facts: Mapping) -> SearchSpec:
    """Return the specification on another data set, with what is right for it: pairs of classes, examples there are.

    facts: as in data_facts. Raises SpecError where no task can be made of the data.
    """
    changes: dict = {
        "title": _("%(what)s, on “%(data)s”")
        % {"what": engine_text(spec.title).split(",")[0] or spec.name, "data": name}
    }
    changes["name"] = f"{spec.name}-{name}"[:100]
    features = spec.search_tasks.features
    if spec.initial != "program" and spec.search_tasks.kind != "classes":
        features = min(features, max(2, facts["columns"]))  # a projection to more has nothing more in it
    for role in ROLES:
        tasks = getattr(spec, role)
        if tasks is not None:
            changes[role] = _tasks_on(replace(tasks, features=features), role, name, facts)
    tasks = changes["search_tasks"]
    if spec.fec is not None:
        changes["fec"] = _probe_within(spec.fec, tasks)
    hurdle = getattr(spec, "hurdle", None)
    if hurdle is not None:
        changes["hurdle"] = replace(
            hurdle, train_examples=min(hurdle.train_examples, tasks.train_examples),
            valid_examples=min(hurdle.valid_examples, tasks.valid_examples),
        )  # fmt: skip
    return replace(spec, **changes).check()


def _tasks_on(tasks: TaskSpec, role: str, name: str, facts: Mapping) -> TaskSpec:
    common: dict = {"dataset": name, "seeds": ()}
    if facts["kind"] == "numbers":
        train, valid = _sizes(tasks, facts["rows"])
        return replace(
            tasks,
            kind="regression",
            pairs="search",
            held_out_pairs=(),
            train_examples=train,
            valid_examples=valid,
            **common,
        )
    sizes = sorted(size for _name, size in facts["classes"])
    if tasks.kind == "classes":
        if len(sizes) > tasks.features:
            raise SpecError(
                "data",
                _("%(name)s has %(n)d classes, more than the preset has features") % {"name": name, "n": len(sizes)},
            )
        train, valid = _sizes(tasks, facts["rows"])
        return replace(tasks, pairs="search", held_out_pairs=(), train_examples=train, valid_examples=valid, **common)
    split = role == "final_tasks" and facts.get("test_rows")
    train, valid = _sizes(tasks, sizes[0] + sizes[1])
    held_out = held_out_pairs(len(sizes))
    unseen = role != "search_tasks" and held_out
    return replace(
        tasks, kind="projected", pairs="held_out" if unseen else "search", held_out_pairs=held_out, train_examples=train,
        valid_examples=min(valid, facts["test_rows"] // len(sizes)) if split else valid, **common,
    )  # fmt: skip


def held_out_pairs(classes: int) -> tuple[tuple[int, int], ...]:
    """Return pairs of classes to hold out: the published nine of ten classes, else every fifth, none of three classes or less."""
    if classes == 10:
        return HELD_OUT_PAIRS
    return tuple(combinations(range(classes), 2))[2::5] if classes > 3 else ()


def _sizes(tasks: TaskSpec, rows: int) -> tuple[int, int]:
    """Return training and validation examples: as they are if there are so many rows, else two thirds and one third."""
    if tasks.train_examples + tasks.valid_examples <= rows:
        return tasks.train_examples, tasks.valid_examples
    valid = max(1, min(tasks.valid_examples, rows // 3))
    return min(tasks.train_examples, rows - valid), valid


def _probe_within(fec: FecSpec, tasks: TaskSpec) -> FecSpec:
    return replace(
        fec, train_examples=min(fec.train_examples, tasks.train_examples),
        valid_examples=min(fec.valid_examples, tasks.valid_examples),
    )  # fmt: skip
