"""What a search was told to do, as the table on its page says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from engine.spec import FunctionSpec, SearchSpec
from webapp.experiments.choice_words import choice_words, yes_or_no
from webapp.experiments.describe import count, duration, mutation_words, task_words
from webapp.experiments.models import Search


def settings_of(search: Search, spec: SearchSpec) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the specification as groups of (name, value)."""
    data = [(_("Search tasks"), task_words(spec.search_tasks))]
    data += [
        (
            _("Training, validation examples"),
            f"{count(spec.search_tasks.train_examples)}, {count(spec.search_tasks.valid_examples)}",
        )
    ]
    data += [(_("Select tasks"), task_words(spec.select_tasks))] if spec.select_tasks else []
    data += [(_("Final tasks"), task_words(spec.final_tasks))] if spec.final_tasks else []
    data += [(_("Score of several tasks"), choice_words("fitness_combination", spec.fitness_combination))]
    data += [(_("New tasks each experiment"), yes_or_no(spec.fresh_tasks))]
    program = [
        (_("Registers"), _("%(s)d scalars, %(v)d vectors, %(m)d matrices") % spec.registers._asdict()),
        ("Setup", _function_words(spec.setup)),
        ("Predict", _function_words(spec.predict)),
        ("Learn", _function_words(spec.learn)),
        (_("First programs"), choice_words("initial", spec.initial)),
    ]
    total = sum(spec.mutations.values())
    mutations = ", ".join(
        f"{mutation_words(name)} {weight / total:.0%}" for name, weight in spec.mutations.items() if weight
    )
    population = [
        (_("Selection"), choice_words("selection", spec.selection)),
        (_("Population"), count(spec.population_size)),
        (_("Tournament"), count(spec.tournament_size)),
        (_("Mutation probability"), f"{spec.mutation_probability:g}"),
        (_("Mutations"), mutations),
        (_("Constants"), choice_words("constant_rule", spec.constant_rule)),
        (_("Predictions must depend on"), choice_words("validity", spec.validity)),
        (_("Islands"), count(spec.islands)),
    ]
    speed = [
        (_("Functional equivalence cache"), _("%(n)s entries") % {"n": count(spec.fec.size)} if spec.fec else _("off")),
        (
            _("Hurdle"),
            _("the worst %(n)g %% in a short run") % {"n": spec.hurdle.percentile} if spec.hurdle else _("off"),
        ),
        (
            _("Training budget"),
            _("%(n)g × the 2-layer net") % {"n": spec.train_budget} if spec.train_budget else _("none"),
        ),
    ]
    stop = [
        (_("Time limit"), duration(spec.stop.max_seconds) if spec.stop.max_seconds else _("none")),
        *(
            (label, count(value))
            for label, value in (
                (_("Programs in all"), spec.stop.max_total_individuals),
                (_("Programs an experiment"), spec.stop.max_individuals),
                (_("Training steps an experiment"), spec.stop.max_train_steps),
                (_("Experiments"), spec.stop.max_experiments),
                (_("Programs without a better one"), spec.stop.stagnation),
            )
            if value
        ),
    ]
    if spec.stop.sufficient_fitness:
        stop.append((_("Solved above"), f"{spec.stop.sufficient_fitness:g}"))
    stop.append((_("Seed"), str(search.seed)))
    stages = [(_("Stage %(n)d") % {"n": number + 1}, _stage_words(one)) for number, one in enumerate(spec.stages)]
    return [
        (_("Data"), data),
        (_("Program"), program),
        (_("Population"), population),
        *([(_("Stages, over and over"), stages)] if stages else []),
        (_("Speed-ups"), speed),
        (_("Stop"), stop),
    ]


def _stage_words(stage: Mapping[str, Any]) -> str:
    """Return what an experiment begins from and what is changed for it."""
    changes = [
        f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}"
        for name, value in _flat({name: value for name, value in stage.items() if name != "start"})
    ]
    return "; ".join([choice_words("start", stage.get("start", "initial")), *changes])


def _flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _function_words(function: FunctionSpec) -> str:
    sizes = (
        f"{function.min_size}–{function.max_size}" if function.min_size != function.max_size else str(function.max_size)
    )
    ops = ngettext("%(n)d op", "%(n)d ops", len(function.ops)) % {"n": len(function.ops)}
    lines = _("%(sizes)s instructions of %(ops)s") % {"sizes": sizes, "ops": ops}
    return lines if function.searched else _("given, not searched")
