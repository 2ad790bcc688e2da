"""Claiming, fencing, committing: one island's life under messages that come twice, late, or never."""

import gc
import threading
import weakref
from datetime import timedelta

import psycopg
import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

from webapp.experiments import lineage
from webapp.experiments.models import Checkpoint, CurvePoint, Find, Individual, Island, Search, Waypoint
from webapp.experiments.services import live, slices
from webapp.experiments.services.lease import Lease, LeaseLost
from webapp.experiments.services.slices import Outcome, commit_slice, run_slices
from webapp.experiments.services.steer import delete_search, pause_search, resume_search, stop_search
from webapp.experiments.services.watchdog import watch

from .scripted import BIRTHS_A_RUN, ScriptedEngine, program

# The heartbeat's thread has a connection of its own: what it writes must be committed.
pytestmark = pytest.mark.django_db(transaction=True)


def test_launch_sends_one_message_after_commit(make_search, messages):
    search = make_search()
    assert messages == [(search.islands.get().pk, 1)]
    assert search.state == Search.State.QUEUED


def test_a_slice_commits_everything_and_hands_the_island_on(make_search, run, messages, monkeypatch):
    search = make_search()
    asked = []
    monkeypatch.setattr(slices, "ensure_baselines", lambda one: asked.append(one.pk))
    assert run(search) == Outcome.HANDED_BACK
    assert asked == [search.pk]  # a turn of one slice measures them, too
    island = search.islands.get()
    assert (island.state, island.attempt, island.slice_number, island.lease_owner) == ("queued", 2, 1, "")
    assert messages[-1] == (island.pk, 2)
    assert search.state == Search.State.RUNNING
    assert search.individuals == island.individuals == BIRTHS_A_RUN
    assert Individual.objects.count() == CurvePoint.objects.count() == BIRTHS_A_RUN
    assert [find.birth for find in search.finds.all()] == [0, 5]
    assert search.best.birth == 5
    assert Checkpoint.objects.get().slice_number == 1


def test_not_finite_numbers_become_null(make_search, run):
    run(make_search())
    assert CurvePoint.objects.filter(mean__isnull=True).count() == BIRTHS_A_RUN


def test_a_message_that_comes_twice_changes_nothing(make_search, run):
    search = make_search()
    island = search.islands.get()
    run(search)
    before = Island.objects.values().get()
    assert run_slices(island_id=island.pk, attempt=1) == Outcome.REFUSED
    assert Island.objects.values().get() == before


def test_a_message_for_a_running_island_is_refused(make_search, engine):
    island = make_search().islands.get()
    assert Lease.claim(island_id=island.pk, attempt=1) is not None
    assert Lease.claim(island_id=island.pk, attempt=1) is None
    assert run_slices(island_id=island.pk, attempt=1) == Outcome.REFUSED
    assert engine.runs == 0


def test_a_message_of_an_attempt_to_come_or_of_nothing_is_refused(make_search, engine):
    island = make_search().islands.get()
    assert run_slices(island_id=island.pk, attempt=2) == Outcome.REFUSED
    assert run_slices(island_id=island.pk + 1, attempt=1) == Outcome.REFUSED
    assert engine.starts == 0


def test_only_one_of_many_claims_wins(make_search):
    island = make_search().islands.get()
    won = []

    def claim():
        if Lease.claim(island_id=island.pk, attempt=1):
            won.append(1)
        connection.close()

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_stale_lease_cannot_commit(make_search, engine, digits):
    island = make_search().islands.get()
    lease = Lease.claim(island_id=island.pk, attempt=1)
    report = ScriptedEngine.start(digits, 1).run(seconds=0)
    Island.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    assert watch()["lost"] == 1  # given to somebody else
    with pytest.raises(LeaseLost):
        commit_slice(lease, report, checkpoint=b"x", slice_number=1, gives_way=True)
    assert not Individual.objects.exists() and not Checkpoint.objects.exists() and not Find.objects.exists()
    lease.beat()
    assert lease.lost and lease.should_yield()


def test_the_live_search_is_reused_and_otherwise_restored(make_search, run, engine):
    search = make_search()
    run(search, 2)
    assert (engine.starts, engine.restores) == (1, 0)
    live._live.clear()  # as in another process
    run(search)
    assert (engine.starts, engine.restores) == (1, 1)
    assert search.individuals == 3 * BIRTHS_A_RUN


def test_an_older_live_search_is_not_reused(make_search, run, engine):
    search = make_search()
    run(search)
    stale = live._live.copy()
    live._live.clear()
    run(search)
    live._live.update(stale)
    run(search)
    assert engine.restores == 2
    assert search.individuals == 3 * BIRTHS_A_RUN


def test_a_search_whose_slice_was_dropped_is_not_reused(make_search, run, engine, settings, monkeypatch):
    """It has run on since its last committed slice: what it reported then would be missing."""
    settings.ABOVO_TURN_SECONDS = 1000
    search = make_search()
    commit, commits = slices.commit_slice, []

    def lose_the_second(lease, report, **values):
        commits.append(1)
        if len(commits) == 2:  # all at once: a heartbeat of the slice that runs meanwhile would keep the lease
            Island.objects.update(attempt=F("attempt") + 1, state="queued", lease_owner="")
        return commit(lease, report, **values)

    monkeypatch.setattr(slices, "commit_slice", lose_the_second)
    assert run(search) == Outcome.REFUSED
    settings.ABOVO_TURN_SECONDS = 0
    assert run(search) == Outcome.HANDED_BACK
    assert search.individuals == CurvePoint.objects.count() == Individual.objects.count() == 2 * BIRTHS_A_RUN


@pytest.fixture
def long_turns(settings):
    """Turns of many slices."""
    settings.ABOVO_TURN_SECONDS = 1000


def test_the_engine_computes_on_while_a_slice_is_stored(make_search, run, engine, long_turns, monkeypatch):
    engine.births_at_end = 3 * BIRTHS_A_RUN
    next_began = threading.Event()
    commit, compute = slices.commit_slice, engine.run

    def commit_late(lease, report, **values):
        assert report.finished or next_began.wait(30), "the next slice waits for this one"
        next_began.clear()
        return commit(lease, report, **values)

    def tell_and_compute(self, **values):
        if self.births:
            next_began.set()
        return compute(self, **values)

    monkeypatch.setattr(slices, "commit_slice", commit_late)
    monkeypatch.setattr(engine, "run", tell_and_compute)
    search = make_search()
    assert run(search) == Outcome.FINISHED
    assert Individual.objects.count() == search.individuals == 3 * BIRTHS_A_RUN
    assert search.islands.get().slice_number == 3


@pytest.mark.parametrize("order", [stop_search, pause_search])
def test_an_order_of_the_moment_in_which_a_slice_is_stored(make_search, run, engine, long_turns, monkeypatch, order):
    """The slice that is computed meanwhile is the last; a stopped search has its unseen scores, a paused one is kept."""
    search = make_search()
    commit, commits = slices.commit_slice, []

    def order_and_commit(lease, report, **values):
        commits.append(1)
        if len(commits) == 2:
            order(search_id=search.pk)
        return commit(lease, report, **values)

    monkeypatch.setattr(slices, "commit_slice", order_and_commit)
    outcome = run(search)
    assert Individual.objects.count() == CurvePoint.objects.count() == search.individuals == 3 * BIRTHS_A_RUN
    assert search.islands.get().slice_number == 3
    if order is stop_search:
        assert (outcome, search.state, search.result.final_score) == (Outcome.STOPPED, "stopped", 0.55)
        return
    assert (outcome, search.state) == (Outcome.PAUSED, "paused")
    resume_search(search_id=search.pk)
    engine.births_at_end = 5 * BIRTHS_A_RUN
    assert run(search) == Outcome.FINISHED
    assert engine.restores == 0
    assert Individual.objects.count() == search.individuals == 5 * BIRTHS_A_RUN


@pytest.fixture
def no_collector():
    """Only what nobody refers to any more goes away."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return cursor.fetchone()[0]


def test_turns_leave_no_connections(make_search, run, engine, settings, monkeypatch, no_collector):
    monkeypatch.setattr(slices, "slice_seconds", lambda slice_number: 0.25)
    monkeypatch.setattr(slices, "PROGRESS_SECONDS", 0.2)
    search = make_search()
    before = connections()
    progress, stored = slices.commit_progress, []
    monkeypatch.setattr(slices, "commit_progress", lambda *one: stored.append(1) or progress(*one))
    assert run(search, 5) == Outcome.HANDED_BACK
    assert len(stored) >= 5 and connections() == before


def test_an_evolution_that_could_not_be_stored_is_freed(
    make_search, run, engine, long_turns, monkeypatch, no_collector
):
    search = make_search()
    monkeypatch.setattr(slices, "slice_seconds", lambda slice_number: 0.4)
    begun = []
    start = engine.start

    def start_and_note(*arguments, **values):
        evolution = start(*arguments, **values)
        begun.append(weakref.ref(evolution))
        return evolution

    def refuse(*arguments, **values):
        raise OperationalError("no") from psycopg.errors.DiskFull("no")

    monkeypatch.setattr(engine, "start", start_and_note)
    monkeypatch.setattr(slices, "commit_progress", refuse)
    assert run(search) == Outcome.HANDED_BACK
    assert [one() for one in begun] == [None]


def test_a_search_deleted_between_two_slices(make_search, run, engine, monkeypatch, long_turns, caplog):
    search = make_search()
    monkeypatch.setattr(slices, "ensure_baselines", lambda one: delete_search(search_id=one.pk))
    island = search.islands.get()
    assert run_slices(island_id=island.pk, attempt=1) == Outcome.REFUSED
    assert "Traceback" not in caplog.text and not Individual.objects.exists()


def test_a_search_stopped_just_before_its_slice_ends_gets_its_unseen_scores(make_search, run, engine, monkeypatch):
    """However few milliseconds before, less than until the next heartbeat."""
    search = make_search()
    compute = engine.run

    def stop_after(self, **values):
        report = compute(self, **values)
        stop_search(search_id=search.pk)
        return report

    monkeypatch.setattr(engine, "run", stop_after)
    assert run(search) == Outcome.STOPPED
    assert search.state == "stopped" and search.result.final_score == 0.55


@pytest.mark.parametrize("where", ["commit_progress", "commit_slice"])
def test_what_cannot_be_stored_meanwhile_is_heard(make_search, run, engine, long_turns, settings, monkeypatch, where):
    """Everything stored before stays; what had been begun is done again."""
    search = make_search()
    monkeypatch.setattr(slices, "slice_seconds", lambda slice_number: 0.4)
    monkeypatch.setattr(slices, "PROGRESS_SECONDS", 0.2)
    store, stored = getattr(slices, where), []

    def refuse_the_third(*arguments, **values):
        stored.append(1)
        if len(stored) == 3:
            raise OperationalError("no") from psycopg.errors.DiskFull("no")
        return store(*arguments, **values)

    monkeypatch.setattr(slices, where, refuse_the_third)
    assert run(search) == Outcome.HANDED_BACK
    island = search.islands.get()
    assert island.failures == 0 and "OperationalError: no" in island.last_error
    assert engine.restores == 0
    kept = island.slice_number
    settings.ABOVO_TURN_SECONDS = 0
    assert run(search) == Outcome.HANDED_BACK
    assert (engine.restores, engine.starts) == ((1, 1) if kept else (0, 2))
    births = list(Individual.objects.order_by("birth").values_list("birth", flat=True))
    assert births == list(range(len(births))) and len(births) >= search.individuals


def test_checkpoints_keep_the_last_two(make_search, run):
    run(make_search(), 4)
    assert sorted(Checkpoint.objects.values_list("slice_number", flat=True)) == [3, 4]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(make_search, run):
    search = make_search()
    run(search, 3)
    reference = list(Individual.objects.values_list("birth", "score"))
    Checkpoint.objects.filter(slice_number=3).update(data=b"damaged")
    live._live.clear()
    run(search)  # from slice 2 again: the same births once more
    assert search.islands.get().slice_number == 3
    assert search.individuals == 3 * BIRTHS_A_RUN
    assert list(Individual.objects.values_list("birth", "score")) == reference


def test_a_crash_after_progress_repeats_the_same_rows(make_search, run, engine, digits):
    search = make_search()
    run(search)
    island = search.islands.get()
    lease = Lease.claim(island_id=island.pk, attempt=island.attempt)
    slices.commit_progress(lease, ScriptedEngine(digits, 1, BIRTHS_A_RUN).run(seconds=0))  # then it dies
    Island.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    watch()
    live._live.clear()
    run(search)
    assert Individual.objects.count() == CurvePoint.objects.count() == search.individuals == 2 * BIRTHS_A_RUN
    assert [find.birth for find in search.finds.all()] == [0, 5, 10, 15]


def test_the_end_stores_the_result(make_search, run, engine):
    engine.births_at_end = 15
    search = make_search()
    assert run(search, 2) == Outcome.FINISHED
    assert (search.state, search.finish_reason) == ("finished", "max_individuals")
    assert search.finished_at is not None
    assert search.result.select_score == 0.6 and search.result.final_score == 0.55
    assert search.islands.get().state == "finished"


def test_a_broken_engine_is_tried_again_and_then_fails_with_its_reason(make_search, run, engine, settings):
    settings.ABOVO_MAX_FAILURES = 3
    engine.fail = RuntimeError("kernel broke")
    search, other = make_search(), make_search(seed=2)
    assert [run(search) for _ in range(3)] == [Outcome.HANDED_BACK, Outcome.HANDED_BACK, Outcome.FAILED]
    assert search.state == "failed" and "kernel broke" in search.failure_reason
    engine.fail = None
    assert run(other) == Outcome.HANDED_BACK
    assert run(search) == Outcome.REFUSED


def test_a_database_that_cannot_store_is_no_fault_of_the_search(make_search, run, engine, settings, monkeypatch):
    """However often its disk is full; what the database refuses for what it is counts as ever."""
    settings.ABOVO_MAX_FAILURES = 2
    search = make_search()
    real = slices.commit_slice

    def refuse(cause, error):
        def commit(*args, **kwargs):
            raise error("no") from cause("no")

        monkeypatch.setattr(slices, "commit_slice", commit)

    refuse(psycopg.errors.DiskFull, OperationalError)
    for _ in range(4):
        assert run(search) == Outcome.HANDED_BACK
    island = search.islands.get()
    assert (island.failures, island.state, island.attempt) == (
        0,
        "queued",
        5,
    ) and "OperationalError: no" in island.last_error
    refuse(psycopg.errors.ProgramLimitExceeded, OperationalError)
    run(search)
    refuse(psycopg.errors.NumericValueOutOfRange, DataError)
    assert run(search) == Outcome.FAILED
    assert "DataError" in search.failure_reason
    monkeypatch.setattr(slices, "commit_slice", real)


def test_progress_forgives_failures(make_search, run, engine):
    search = make_search()
    engine.fail = RuntimeError("once")
    run(search)
    assert search.islands.get().failures == 1
    engine.fail = None
    run(search)
    assert search.islands.get().failures == 0


def test_stop_of_a_waiting_search_is_immediate(make_search, engine):
    search = make_search()
    assert stop_search(search_id=search.pk).state == "stopped"
    search.refresh_from_db()
    assert search.state == "stopped" and search.finished_at
    assert run_slices(island_id=search.islands.get().pk, attempt=1) == Outcome.REFUSED


def test_stop_of_a_running_search_waits_for_the_slice(make_search, engine, digits):
    search = make_search()
    island = search.islands.get()
    lease = Lease.claim(island_id=island.pk, attempt=1)
    stop_search(search_id=search.pk)
    search.refresh_from_db()
    assert search.state == "stopping"
    lease.beat()
    assert lease.stop_asked and not lease.lost
    evolution = ScriptedEngine.start(digits, 1)
    slices.commit_progress(lease, evolution.run(seconds=0))
    _island, outcome = commit_slice(lease, evolution.conclude(), checkpoint=b"x", slice_number=1, gives_way=False)
    assert outcome == Outcome.STOPPED
    search.refresh_from_db()
    assert search.state == "stopped"
    assert search.result.final_score == 0.55


def test_stop_between_claim_and_run(make_search, engine, monkeypatch):
    search = make_search()
    island = search.islands.get()
    claim = Lease.claim

    def stop_at_once(**values):
        lease = claim(**values)
        stop_search(search_id=search.pk)
        return lease

    monkeypatch.setattr(Lease, "claim", stop_at_once)
    assert run_slices(island_id=island.pk, attempt=1) == Outcome.STOPPED
    assert engine.starts == 0
    search.refresh_from_db()
    assert search.state == "stopped"


def test_a_deleted_search_drops_the_slice(make_search, engine, monkeypatch):
    search = make_search()
    island = search.islands.get()

    def delete(self, **values):
        Search.objects.all().delete()
        return self._report(0)

    monkeypatch.setattr(ScriptedEngine, "run", delete)
    assert run_slices(island_id=island.pk, attempt=1) == Outcome.REFUSED
    assert not Individual.objects.exists()


def test_others_that_wait_get_their_turn(make_search, run, settings):
    settings.ABOVO_TURN_SECONDS = 1000
    first, second = make_search(), make_search(seed=2)
    assert run(first) == Outcome.HANDED_BACK
    assert run(second) == Outcome.HANDED_BACK
    assert first.individuals == second.individuals == BIRTHS_A_RUN


def test_a_lone_search_runs_some_slices_in_a_row(make_search, run, engine, settings):
    settings.ABOVO_TURN_SECONDS = 1000
    engine.births_at_end = 45
    search = make_search()
    assert run(search) == Outcome.FINISHED
    assert search.islands.get().slice_number == 5


def test_lines_longer_than_a_stretch_are_complete(make_search, run, monkeypatch):
    monkeypatch.setattr(lineage, "STRETCH", 8)
    search = make_search()
    run(search, 5)
    assert Waypoint.objects.count() == 6
    for birth in (0, 1, 7, 8, 9, 47 % 50, 49):
        everything = [step for part in lineage.stretches(search.islands.get().pk, birth) for step in part]
        assert [step.birth for step in everything] == list(range(birth + 1))
        assert everything[-1].program == program(birth, 1)
        count, events = lineage.story(search.islands.get().pk, birth)
        assert count == birth
        steps = [event for event in events if isinstance(event, lineage.Step)]
        assert [step.birth for step in steps] == list(range(0, birth + 1, 5))
        assert sum(event.count for event in events if isinstance(event, lineage.Neutral)) == birth + 1 - len(steps)
        part = lineage.steps_between(search.islands.get().pk, birth, 5, 20)
        assert [step.birth for step in part] == list(range(5, min(20, birth + 1)))


def test_ancestry_without_a_parent_is_refused(make_search, run, engine, monkeypatch):
    monkeypatch.setattr(ScriptedEngine, "births", 5, raising=False)
    start = classmethod(lambda cls, spec, seed, index=0: cls(spec, seed, 5))
    monkeypatch.setattr(ScriptedEngine, "start", start)
    search = make_search()
    assert run(search) == Outcome.HANDED_BACK
    assert "before its parent" in search.islands.get().last_error
    assert not Individual.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "running"},
        {"state": "queued", "lease_owner": "somebody"},
        {"state": "unheard"},
    ],
)
def test_the_database_refuses_impossible_islands(make_search, changes):
    make_search()
    with pytest.raises(IntegrityError), transaction.atomic():
        Island.objects.update(**changes)


@pytest.mark.parametrize(
    "changes",
    [{"state": "finished"}, {"state": "failed", "finished_at": timezone.now()}, {"seed": -1}, {"visibility": "x"}],
)
def test_the_database_refuses_impossible_searches(make_search, changes):
    make_search()
    with pytest.raises(IntegrityError), transaction.atomic():
        Search.objects.update(**changes)
