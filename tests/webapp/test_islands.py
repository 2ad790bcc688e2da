"""Searches of several islands: what one row each does, what they exchange, and how the search ends."""

import random
import zlib
from dataclasses import replace

import pytest

import engine.search
from engine.records import Departure, Migrant, apply_change
from engine.spec import MigrationSpec, SearchSpec, StopSpec
from webapp.experiments import lineage
from webapp.experiments.models import Arrival, Checkpoint, Find, Individual, Island, Search
from webapp.experiments.services import live, migration, slices
from webapp.experiments.services.lease import Lease
from webapp.experiments.services.migration import Exchange, pack, unpack
from webapp.experiments.services.slices import Outcome, run_slices
from webapp.experiments.services.steer import stop_search

pytestmark = pytest.mark.django_db(transaction=True)


class Boxes:
    """A ferry within the test: parcels lie in boxes until they are fetched."""

    def __init__(self):
        self.boxes = {}

    def send(self, island_id, parcel):
        self.boxes.setdefault(island_id, []).append(parcel)

    def expect(self, island_id):
        pass

    def receive(self, island_id):
        return self.boxes.pop(island_id, [])


@pytest.fixture
def boxes(monkeypatch):
    boxes = Boxes()
    monkeypatch.setattr(migration, "ferry", boxes)
    return boxes


@pytest.fixture
def spec(digits):
    return SearchSpec.from_json(
        digits.to_json()
        | {
            "islands": 3,
            "migration": {"every": 100, "count": 30},
            "stop": {"max_individuals": 1500, "max_seconds": 600.0},
        }
    )


@pytest.fixture
def fine(monkeypatch, settings):
    """Slices of one chunk each, the same every time: neither a clock nor chance decides who meets whom."""
    monkeypatch.setattr(engine.search, "_CHUNK_SECONDS", 1e6)
    monkeypatch.setattr(migration, "random", random.Random(1))
    settings.ABOVO_TURN_SECONDS = 0
    monkeypatch.setattr(slices, "slice_seconds", lambda number: 0.0)
    monkeypatch.setattr(slices, "PROGRESS_SECONDS", 1e-6)
    monkeypatch.setattr(slices, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(slices, "ensure_baselines", lambda search: None)
    live._live.clear()


def finish(search, before_each=lambda island: None):
    """Run all islands in turns to their ends."""
    while waiting := search.islands.filter(state="queued").order_by("queued_at", "pk").first():
        before_each(waiting)
        waiting.refresh_from_db()
        run_slices(island_id=waiting.pk, attempt=waiting.attempt)
    search.refresh_from_db()


def test_a_search_of_islands_with_migration(make_search, spec, fine, boxes):
    search = make_search(spec=spec)
    assert search.islands.count() == 3

    def forget(island):
        live._live.clear()  # as in another process
        if island.slice_number % 2:  # one that dies after storing progress
            lease = Lease.claim(island_id=island.pk, attempt=island.attempt)
            evolution = live.take(island, search)
            exchange = evolution.exchange = Exchange(lease, island, evolution.spec)
            report = evolution.run(seconds=0.0)
            slices.commit_progress(lease, report, exchange)
            slices.give_back_failed(lease, RuntimeError("killed"))

    finish(search, forget)
    assert search.state == Search.State.FINISHED
    # Nobody is counted twice, and the sum is right although slices were repeated.
    assert [island.individuals for island in search.islands.all()] == [1500] * 3
    assert search.individuals == 4500
    crossings = 0
    for find in search.finds.select_related("algorithm"):
        program = None
        line = lineage.line_to(find.island_id, find.birth)
        assert [one.depth for one in line] == list(range(find.depth + 1))
        for one in line:
            program = apply_change(program, one.change)
        assert program.digest() == bytes(find.algorithm.digest)
        crossings += sum(one.mutation == "migrate" for one in line)
    assert crossings and Individual.objects.filter(parent_island__isnull=False).exists()
    best = max(search.finds.exclude(select_score=None), key=lambda find: find.select_score)
    assert search.result.select_score == best.select_score
    # What is no longer needed to repeat a slice is gone.
    assert Arrival.objects.count() <= 6


def test_a_repeated_slice_takes_in_the_same(make_search, spec, fine, boxes, monkeypatch):
    monkeypatch.setattr(slices, "slice_seconds", lambda number: 1000.0)
    monkeypatch.setattr(slices, "PROGRESS_SECONDS", 1000.0)
    spec = replace(spec, islands=2)
    search = make_search(spec=spec)
    donor, taker = search.islands.all()
    run_slices(island_id=donor.pk, attempt=1)
    assert boxes.boxes[taker.pk]

    lease = Lease.claim(island_id=taker.pk, attempt=1)
    evolution = live.take(taker, search)
    evolution.exchange = Exchange(lease, taker, evolution.spec)
    evolution.run(seconds=1000.0)  # and dies
    recorded = {row.number: row.migrants for row in Arrival.objects.filter(island=taker)}
    assert any(recorded.values())
    slices.give_back_failed(lease, RuntimeError("killed"))
    taker.refresh_from_db()
    boxes.boxes.clear()
    evolved = evolution.result

    assert run_slices(island_id=taker.pk, attempt=taker.attempt) == Outcome.FINISHED
    assert {row.number: row.migrants for row in Arrival.objects.filter(island=taker)} == recorded
    taken = Find.objects.get(island=taker, select_score__isnull=False)
    assert (taken.birth, taken.select_score) == (evolved.birth, evolved.select_fitness)


def test_an_island_that_lost_its_lease_takes_nothing_in(make_search, spec, fine, boxes):
    search = make_search(spec=spec)
    island = search.islands.first()
    lease = Lease.claim(island_id=island.pk, attempt=1)
    exchange = Exchange(lease, island, spec)
    Island.objects.filter(pk=island.pk).update(attempt=2)
    with pytest.raises(slices.LeaseLost):
        exchange(Departure(0, 0, ()))
    assert not Arrival.objects.exists()


def test_strangers_and_orphans_are_not_taken_in(make_search, spec, fine, boxes):
    search, other = make_search(spec=spec), make_search(spec=spec)
    donor, taker, _ = search.islands.all()
    lease = Lease.claim(island_id=donor.pk, attempt=1)
    evolution = live.take(donor, search)
    evolution.run(seconds=0.0)
    slices.commit_progress(lease, evolution.run(seconds=0.0))
    born = Individual.objects.filter(island=donor).first().birth
    program = evolution.island.algorithm(evolution.island.best_slot())
    for parcel in (
        pack(other.pk, 0, [Migrant(0, born, program)]),  # of another search
        pack(search.pk, 1, [Migrant(0, born, program)]),  # of another experiment
        pack(search.pk, 0, [Migrant(0, 10**9, program), Migrant(77, born, program)]),  # whose ancestry nobody has
        b"rubbish", zlib.compress(b"[]"), zlib.compress(b" " * 5_000_000),
    ):  # fmt: skip
        boxes.send(taker.pk, parcel)
    exchange = Exchange(Lease.claim(island_id=taker.pk, attempt=1), taker, spec)
    for parcel in boxes.boxes.get(taker.pk, []):
        unpack(parcel)
    assert exchange(Departure(0, 0, ())) == []
    boxes.send(taker.pk, pack(search.pk, 0, [Migrant(0, born, program)]))
    assert exchange(Departure(1, 0, ())) == [Migrant(0, born, program)]


def test_one_solved_island_ends_the_others(make_search, spec, fine, boxes, monkeypatch):
    easy = replace(spec.stop, sufficient_fitness=0.5, max_individuals=500, max_experiments=40)
    search = make_search(spec=replace(spec, stop=easy))
    finish(search)
    assert search.solved and (search.state, search.finish_reason) == ("finished", "solved")
    assert set(search.islands.values_list("state", flat=True)) == {"finished"}
    assert search.result.select_score > 0.5


def test_the_others_go_on_when_one_fails(make_search, spec, fine, boxes, settings):
    settings.ABOVO_MAX_FAILURES = 1
    search = make_search(spec=spec)
    broken = search.islands.last()
    slices.give_back_failed(Lease.claim(island_id=broken.pk, attempt=1), RuntimeError("kernel broke"))
    finish(search)
    assert search.state == "finished" and search.result is not None


def test_all_islands_stop(make_search, spec, fine, boxes):
    search = make_search(spec=spec)
    stop_search(search_id=search.pk)
    search.refresh_from_db()
    assert search.state == "stopped"
    assert set(search.islands.values_list("state", flat=True)) == {"stopped"}


def test_islands_that_differ(make_search, spec, fine, boxes):
    spec = replace(spec, island_groups=({}, {"population_size": 20, "search_tasks": {"count": 2}})).check()
    search = make_search(spec=spec)
    for island in search.islands.all():
        evolution = live.take(island, search)
        assert evolution.spec.population_size == (20 if island.index == 1 else spec.population_size)


def test_damaged_checkpoints_of_a_migrating_island_are_not_papered_over(make_search, spec, fine, boxes):
    search = make_search(spec=spec)
    island = search.islands.first()
    while not Arrival.objects.filter(island=island).exists():
        island.refresh_from_db()
        assert run_slices(island_id=island.pk, attempt=island.attempt) is not Outcome.REFUSED
    Checkpoint.objects.update(data=b"damaged")
    live._live.clear()
    island.refresh_from_db()
    run_slices(island_id=island.pk, attempt=island.attempt)
    island.refresh_from_db()
    assert "checkpoints of island 0 are damaged" in island.last_error


def test_without_migration_islands_only_share_the_search(make_search, digits, fine, boxes):
    stop = StopSpec(max_individuals=300, max_experiments=1)
    search = make_search(spec=replace(digits, islands=2, migration=None, stop=stop))
    finish(search)
    assert search.state == "finished" and search.individuals == 600 and not boxes.boxes
    assert MigrationSpec().every == 10_000
