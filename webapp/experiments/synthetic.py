"""Searches that nobody ran, with finds and lineages of plausible shape: for measuring pages with many rows.

Everything made here says so: titles, specification and owners are named "synthetic". The programs are real ones (the
hand-designed models, grown line by line, then with their constants altered), so that pages have as much to explain as
they have with real finds; the scores are made up.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, models, transaction
from django.utils import timezone

from engine.algorithm import COMPONENT_FUNCTIONS
from engine.algorithm import Algorithm as Program
from engine.baselines import BASELINES
from engine.canonical import CANONICAL_VERSION, canonical_digest
from engine.ops import OP_SET_VERSION
from engine.presets import preset
from webapp.experiments import lineage
from webapp.experiments.models import Algorithm, CurvePoint, Find, Individual, Island, Measurement, Search, Waypoint
from webapp.experiments.permalink import permalink_of
from webapp.experiments.services import gallery, measure

NAME = "synthetic"
STEPS = 300
"""Length of each lineage: one waypoint, and a stretch to replay."""

POINTS = 240
BIRTHS = 1000
"""Births between two steps of the line."""

TARGETS = ("linear", "affine", "net", "net-without-bias", "bilinear")
PRESETS = ("digits", "cifar10-baseline", "linear-demo")


@dataclass(frozen=True, slots=True)
class _Line:
    """A lineage: rows of ancestry, and the steps that found something."""

    rows: list[lineage.Ancestor]
    steps: list[lineage.Step]


def fill(*, searches: int, algorithms: int, seed: int, owners: list[Any], say=lambda text: None) -> int:
    """Store searches that found about `algorithms` programs in all; returns how many they are. Takes COPY, in batches."""
    generator = random.Random(seed)
    per_search = max(1, round(algorithms / searches))
    now = timezone.now()
    specs = [replace(preset(name), name=NAME, title=f"Synthetic, after “{name}”") for name in PRESETS]
    total, done = 0, 0
    while done < searches:
        batch = min(50, searches - done)
        with transaction.atomic():
            total += _fill_batch(
                [(done + index, specs[(done + index) % len(specs)]) for index in range(batch)],
                generator, per_search, owners, now,
            )  # fmt: skip
        done += batch
        say(f"{done} searches, {total} algorithms")
    shapes: dict[tuple, gallery.Traits] = {}

    def traits(row: Algorithm) -> gallery.Traits:
        # Constants change neither roles nor motifs here, and there are few shapes.
        shape = tuple(
            (name, *((line["op"], *(line.get(at) for at in ("in1", "in2", "out"))) for line in row.program[name]))
            for name in COMPONENT_FUNCTIONS
        )
        if shape not in shapes:
            shapes[shape] = gallery.traits_of(row)
        return shapes[shape]

    say("the gallery")
    gallery.refresh_all(traits=traits)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return total


def _fill_batch(numbered: list, generator: random.Random, per_search: int, owners: list[Any], now: datetime) -> int:
    rows: dict[type[models.Model], list[models.Model]] = {
        model: [] for model in (Search, Island, Algorithm, Individual, Waypoint, Find, CurvePoint, Measurement)
    }
    ids = {model: _next_id(model) for model in (Search, Island, Algorithm, Find, Measurement)}
    chosen = []
    for number, spec in numbered:
        started = now - timedelta(minutes=generator.uniform(10, 400 * 24 * 60))
        final = generator.uniform(0.52, 0.9)
        linear = generator.uniform(0.55, 0.85)
        net = linear + generator.uniform(0.0, 0.08)
        search = Search(
            id=ids[Search], title=f"Synthetic search {number}", spec=spec.to_json(), spec_name=NAME, seed=number,
            owner=generator.choice([None, *owners]), state=Search.State.FINISHED, created_at=started,
            started_at=started, finished_at=started + timedelta(minutes=10), finish_reason="max_seconds",
            visibility=generator.choices(Search.Visibility.values, (90, 5, 5))[0], individuals=STEPS * BIRTHS,
            evaluations=STEPS * BIRTHS // 3, train_steps=STEPS * BIRTHS * 100, seconds=600.0,
            baselines={"linear": dict.fromkeys(("search", "select", "final"), linear),
                       "net": dict.fromkeys(("search", "select", "final"), net)},
        )  # fmt: skip
        island = Island(id=ids[Island], search=search, state=Island.State.FINISHED, slice_number=120,
                        individuals=search.individuals, evaluations=search.evaluations, seconds=600.0)  # fmt: skip
        ids[Search] += 1
        ids[Island] += 1
        line = _lineage(generator, island.id, final, per_search)
        rows[Search].append(search)
        rows[Island].append(island)
        rows[Individual] += [
            Individual(island=island, birth=one.birth, parent=one.birth - BIRTHS if one.depth else None,
                       depth=one.depth, mutation=one.mutation, change=one.change, score=one.score)
            for one in line.rows
        ]  # fmt: skip
        rows[Waypoint] += _waypoints(island, line)
        found = _finds(line, search, island, ids, started, per_search)
        rows[Algorithm] += [find.algorithm for find in found]
        rows[Find] += found
        last = found[-1]
        last.select_score, last.final_score = last.score - 0.005, last.score - 0.008
        last.select_scores = last.final_scores = [
            min(max(generator.gauss(last.final_score, 0.02), 0.0), 1.0) for _ in range(10)
        ]
        chosen.append((search.id, last.id))
        rows[Measurement].append(_measurement(ids[Measurement], last, linear, net, now))
        ids[Measurement] += 1
        rows[CurvePoint] += _points(island, line)
    for model, made in rows.items():
        _copy(model, made)
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE experiments_search SET best_id = %s, result_id = %s WHERE id = %s",
            [(find, find, search) for search, find in chosen],
        )
    for model, following in ids.items():
        _set_next_id(model, following)
    return len(rows[Algorithm])


def _lineage(generator: random.Random, island_id: int, final: float, finds: int) -> _Line:
    """Grow a hand-designed model line by line, then alter constants; most steps change nothing that counts."""
    target = BASELINES[generator.choice(TARGETS)].build().to_json()
    # It begins with a constant of its own, so that no two lineages share a program.
    rate = next(line for line in target["setup"] if line["op"] == "SCALAR_CONST_SET")
    first = {**rate, "constants": [rate["constants"][0] * generator.uniform(0.2, 5.0)]}
    growth = [
        (index, line) for index in (1, 0, 2) for line in target[COMPONENT_FUNCTIONS[index]] if line is not rate
    ]  # fmt: skip
    better = set(generator.sample(range(1, STEPS), min(finds, STEPS - 1)) if finds < STEPS - 1 else range(1, STEPS))
    program: dict[str, list] = {name: [] for name in COMPONENT_FUNCTIONS} | {"setup": [first]}
    rows = [lineage.Ancestor(island_id, 0, 0, "initial", {"program": dict(program)}, 0.5)]
    score = 0.5
    for depth in range(1, STEPS):
        mutation, edits = "copy", []
        if depth in better:
            score = 0.5 + (final - 0.5) * (1 - math.exp(-4 * depth / STEPS)) + 1e-7 * depth
            if growth:
                index, line = growth.pop(0)
                mutation, edits = "insert", [[index, len(program[COMPONENT_FUNCTIONS[index]]), 0, [line]]]
            else:
                mutation, edits = "alter_parameter", [_altered(generator, program)]
        program = lineage.apply_edits(program, edits)[0]
        rows.append(lineage.Ancestor(island_id, depth * BIRTHS, depth, mutation, {"edits": edits}, score))
    return _Line(rows, list(lineage.steps(rows)))


def _altered(generator: random.Random, program: dict[str, list]) -> list:
    places = [
        (index, at)
        for index, name in enumerate(COMPONENT_FUNCTIONS)
        for at, line in enumerate(program[name])
        if line.get("constants")
    ]
    index, at = generator.choice(places)
    old = program[COMPONENT_FUNCTIONS[index]][at]
    constants = [*old["constants"]]
    constants[-1] = (abs(constants[-1]) or 0.1) * generator.uniform(0.7, 1.4)
    return [index, at, 1, [{**old, "constants": constants}]]


def _waypoints(island: Island, line: _Line) -> Iterator[Waypoint]:
    for depth in range(lineage.STRETCH, STEPS, lineage.STRETCH):
        base = depth - lineage.STRETCH
        events, program = lineage.summary(
            line.rows[base : depth + 1], program=line.steps[base].program if base else None
        )
        yield Waypoint(
            island=island, birth=depth * BIRTHS, depth=depth, previous_island=island,
            previous_birth=(depth - lineage.STRETCH) * BIRTHS, program=program,
            stretch=lineage.to_json(events),
        )  # fmt: skip


def _finds(line: _Line, search: Search, island: Island, ids: dict, started: datetime, most: int) -> list[Find]:
    finds: list[Find] = []
    known = set()
    previous = None
    for step in line.steps:
        if step.is_neutral or len(finds) >= most:
            continue
        program = Program.from_json(step.program)
        digest = program.digest()
        if digest in known:
            continue
        known.add(digest)
        setup, predict, learn = map(len, program.functions)
        share = step.number / STEPS
        algorithm = Algorithm(
            id=ids[Algorithm], digest=digest,
            permalink=permalink_of(digest), op_set_version=OP_SET_VERSION, program=program.to_json(),
            canonical_digest=canonical_digest(program), canonical_version=CANONICAL_VERSION, setup_size=setup,
            predict_size=predict, learn_size=learn, created_at=started,
            published_at=None if search.visibility == Search.Visibility.PRIVATE else started,
        )  # fmt: skip
        finds.append(
            Find(
                id=ids[Find], algorithm=algorithm, search=search, island=island, birth=step.birth, score=step.score,
                previous_score=previous, individuals=step.birth + 1, train_steps=step.birth * 100,
                seconds=600.0 * share, mutation=step.mutation, diff=step.diff, depth=step.number,
                found_at=started + timedelta(seconds=600 * share),
            )
        )  # fmt: skip
        previous = step.score
        ids[Algorithm] += 1
        ids[Find] += 1
    return finds


def _measurement(pk: int, find: Find, linear: float, net: float, now: datetime) -> Measurement:
    examples = measure.example_counts(1000)
    span = len(examples)

    def rising(to: float) -> list[list[float]]:
        values = [0.5 + (to - 0.5) * (index + 1) / span for index in range(span)]
        return [[value - 0.02, value, value + 0.02] for value in values]

    scores = {"search": find.score, "select": find.select_score, "final": find.final_score}
    data = {
        "version": measure.VERSION, "examples": examples, "role": "select",
        "curve": {"found": rising(scores["select"]), "linear": rising(linear), "net": rising(net)},
        "tasks": {
            role: {"found": find.final_scores, "linear": [linear] * 10, "net": [net] * 10} for role in scores
        },
    }  # fmt: skip
    return Measurement(id=pk, find=find, data=data, version=measure.VERSION, claimed_at=now)


def _points(island: Island, line: _Line) -> Iterator[CurvePoint]:
    births = (STEPS - 1) * BIRTHS
    for index in range(1, POINTS + 1):
        share = index / POINTS
        best = line.rows[min(round(share * (STEPS - 1)), STEPS - 1)].score
        yield CurvePoint(
            island=island, individuals=round(births * share), train_steps=round(births * share) * 100,
            seconds=600 * share, best=best, mean=best - 0.04, median=best - 0.03, deviation=0.02, best_so_far=best,
        )  # fmt: skip


def _copy(model: type[models.Model], rows: Iterable[models.Model]) -> None:
    """Store rows by COPY."""
    fields = [one for one in model._meta.concrete_fields if not one.generated]
    names = ", ".join(connection.ops.quote_name(one.column) for one in fields)
    with connection.cursor() as cursor, cursor.copy(f"COPY {model._meta.db_table} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([one.get_db_prep_save(getattr(row, one.attname), connection) for one in fields])


def _next_id(model: type[models.Model]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {model._meta.db_table} IN SHARE ROW EXCLUSIVE MODE")
    return (model.objects.aggregate(last=models.Max("pk"))["last"] or 0) + 1


def _set_next_id(model: type[models.Model], following: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence(%s, %s), %s, false)", [model._meta.db_table, "id", following]
        )
