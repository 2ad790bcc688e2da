"""Run an island for some slices.

A slice is claimed, run and committed under the island's lease. Its transaction holds everything that the slice brought,
so that a worker may die at any moment: what was not committed is computed again, to the same numbers.

While one slice is stored the next is computed (Storing). The last slice of a turn or of a search is stored first, since what would
be begun might be in vain; so is every slice of an island that exchanges migrants, since the next reads what it wrote.
"""

from __future__ import annotations

import logging
import math
import time
from enum import StrEnum

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import Max
from django.db.models.functions import Now
from django.utils import timezone

from engine.checkpoint import VERSION as CHECKPOINT_VERSION
from engine.spec import SearchSpec, StopSpec
from webapp.experiments.models import Find, Island, Search
from webapp.experiments.services import live, queue, record, workers
from webapp.experiments.services.ancestry import record_individuals
from webapp.experiments.services.baselines import ensure_baselines
from webapp.experiments.services.datasets import fetch_uploads
from webapp.experiments.services.dispatch import send_slice
from webapp.experiments.services.events import note, note_migrants, note_turn
from webapp.experiments.services.launch import datasets_of
from webapp.experiments.services.lease import SOLVED_ELSEWHERE, Lease, LeaseLost, lease_seconds
from webapp.experiments.services.migration import Exchange, forget_arrivals
from webapp.experiments.services.steer import settle_search
from webapp.experiments.services.storing import Storing
from webapp.lib import stopping
from webapp.lib.log_format import about

logger = logging.getLogger(__name__)

FIRST_SLICES = (1.0, 2.0)
"""Seconds of a search's first slices, short so that its page moves at once."""

PROGRESS_SECONDS = 2.0
"""After at most so long a running slice shows what it has so far."""

LIMITS = ("max_seconds", "max_individuals", "max_total_individuals", "max_train_steps", "max_experiments", "stagnation")
"""Reasons to end that go away when a limit is raised."""

CLAIMS = 10
"""How often a worker tries to claim an island before it leaves them to quicker ones."""

CROWD = 8
"""Islands of a search above which progress within slices is not shown: the slices themselves come often enough."""

LEAST_SECONDS = 0.05
"""Seconds that the engine is asked to run for at least."""


class Outcome(StrEnum):
    """How a slice ended for its island."""

    GOES_ON = "goes on"
    HANDED_BACK = "handed back"
    FINISHED = "finished"
    STOPPED = "stopped"
    PAUSED = "paused"
    FAILED = "failed"
    REFUSED = "refused"


class LimitsChanged(Exception):
    """The search ended at a limit that was raised meanwhile: its last slice has to run again, under the new one."""


def slice_seconds(slice_number: int) -> float:
    """Return how long a slice lasts."""
    if slice_number < len(FIRST_SLICES):
        return min(FIRST_SLICES[slice_number], _setting("ABOVO_SLICE_SECONDS", 5.0))
    return _setting("ABOVO_SLICE_SECONDS", 5.0)


def run_slices(*, island_id: int, attempt: int) -> Outcome:
    """Claim the island under this attempt and run it until it ends or gives way.

    A message that is late, doubled or for another attempt is refused and changes nothing. A broken engine is tried
    again a few times, then fails the search. If the database is away the lease lapses, and the watchdog sees to it.
    """
    lease = Lease.claim(island_id=island_id, attempt=attempt)
    return Outcome.REFUSED if lease is None else run_claimed(lease)


def run_next() -> Outcome:
    """Claim the island whose turn it is, whichever a message named, and run it. Returns REFUSED if none may be begun."""
    for _ in range(CLAIMS):
        with transaction.atomic():  # which holds the island until it is claimed: others take the next
            turn = queue.next_island()
            if turn is None:
                break
            lease = Lease.claim(island_id=turn.island_id, attempt=turn.attempt)
        if lease is not None:
            return run_claimed(lease)
        # Somebody else was quicker.
    return Outcome.REFUSED


def run_claimed(lease: Lease) -> Outcome:
    """Run an island that has been claimed, as `run_slices` does."""
    island_id, attempt = lease.island_id, lease.attempt
    try:
        with about(island=island_id, attempt=attempt), lease:
            return _run(lease)
    except LeaseLost:
        # Kept or not, it has gone on since its last committed slice: what it reported since is not stored.
        live.drop(island_id)
        logger.warning("island %d, attempt %d: lease lost, the slice is dropped", island_id, attempt)
        return Outcome.REFUSED
    except (DatabaseError, InterfaceError) as error:
        live.drop(island_id)
        if not _is_the_servers_trouble(error):
            logger.exception("island %d, attempt %d: slice cannot be stored", island_id, attempt)
            return give_back_failed(lease, error)
        logger.warning("island %d, attempt %d: slice not stored: %s", island_id, attempt, _one_line(error))
        return give_back_unstored(lease, error)
    except Exception as error:
        logger.exception("island %d, attempt %d: slice failed", island_id, attempt)
        live.drop(island_id)
        return give_back_failed(lease, error)


def _run(lease: Lease) -> Outcome:
    island = Island.objects.select_related("search").get(pk=lease.island_id)
    with about(search=island.search_id):
        return _run_island(lease, island)


def _run_island(lease: Lease, island: Island) -> Outcome:
    search = island.search
    Search.objects.filter(pk=search.pk, state=Search.State.QUEUED).update(state=Search.State.STARTING)
    Search.objects.filter(pk=search.pk, started_at__isnull=True).update(started_at=timezone.now())
    lease.beat()
    if lease.lost:
        raise LeaseLost
    if lease.stop_asked or lease.pause_asked:
        return _end_without_running(lease)
    logger.debug("search %d, island %d: slice %d begins", search.pk, island.index, island.slice_number + 1)
    note_turn(island, lease.owner)
    fetch_uploads(datasets_of(SearchSpec.from_json(search.spec)).values())
    evolution = live.take(island, search)
    exchange = None
    if evolution.spec.migration is not None and island.search.islands.count() > 1:
        exchange = evolution.exchange = Exchange(lease, island, evolution.spec)
    try:
        with Storing() as storing:
            return _take_turn(lease, island, evolution, exchange, storing)
    except LimitsChanged:
        return _replay(lease)


def _take_turn(lease: Lease, island: Island, evolution, exchange: Exchange | None, storing: Storing) -> Outcome:
    """Run slices until the turn is over. Raises LeaseLost, LimitsChanged."""
    search = island.search
    give_way_at = time.monotonic() + _setting("ABOVO_TURN_SECONDS", 60.0)
    slice_number = island.slice_number
    while True:
        limits = _limits(search.pk)
        evolution.set_stop(limits)
        report = _run_slice(lease, evolution, slice_seconds(slice_number), storing)
        slice_number += 1
        storing.wait()
        lease.beat()  # for orders of this very moment
        stopped = lease.stop_asked and not report.finished
        gives_way = lease.should_yield() or time.monotonic() >= give_way_at or queue.should_give_way(search.owner_id)
        if exchange is None and not (stopped or gives_way or report.finished):
            storing.begin(
                commit_slice, lease, report, checkpoint=evolution.checkpoint(), slice_number=slice_number, goes_on=True
            )
            ensure_baselines(search)
            continue
        if stopped:
            # A search that is stopped by hand gets its scores on unseen tasks too.
            commit_progress(lease, report, exchange)
            report = evolution.conclude(SOLVED_ELSEWHERE if lease.solved_elsewhere else "stopped")
        island, outcome = commit_slice(
            lease, report, checkpoint=evolution.checkpoint(), slice_number=slice_number,
            gives_way=gives_way, limits=limits, exchange=exchange,
        )  # fmt: skip
        if outcome in (Outcome.GOES_ON, Outcome.HANDED_BACK, Outcome.PAUSED):
            live.keep(island, evolution)
        # After the first slice, so that nobody waits for them to see the curve begin; also where the turn ends with it.
        ensure_baselines(search)
        if outcome is not Outcome.GOES_ON:
            return outcome
        if exchange is not None:
            exchange.island = island


def _run_slice(lease: Lease, evolution, seconds: float, storing: Storing):
    """Run for `seconds`, handing over what is new to be stored every second or two; returns the last report."""
    exchange = evolution.exchange
    end = time.monotonic() + seconds
    # Equal parts: one more just before the end, when the slice itself is stored, would show nothing.
    parts = max(math.ceil(seconds / PROGRESS_SECONDS), 1)
    step = seconds if exchange is not None and exchange.crowd > CROWD else seconds / parts
    while True:
        left = end - time.monotonic()
        report = evolution.run(
            seconds=max(min(step, left), LEAST_SECONDS), should_stop=lambda: lease.should_yield() or storing.failed
        )
        if storing.failed:
            storing.wait()
        if lease.lost:
            raise LeaseLost
        if report.finished or lease.should_yield() or time.monotonic() >= end - 0.2:
            return report
        if exchange is None:
            storing.begin(commit_progress, lease, report)
        else:
            commit_progress(lease, report, exchange)


def commit_progress(lease: Lease, report, exchange: Exchange | None = None) -> None:
    """Store what is new within a slice, without a checkpoint: a repetition would bring the same rows again."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            # A crash of the database may forget it: the slice is then repeated anyway.
            cursor.execute("SET LOCAL synchronous_commit = off")
        island = _own_island(lease)
        search = Search.objects.get(pk=island.search_id)
        _store(island, search, report, exchange)
        gained = _gained(island, report)
        lease.rows().update(updated_at=timezone.now(), **_counters(report))
        _update_search(search.pk, gained, new_finds=bool(report.finds))


def commit_slice(
    lease: Lease,
    report,
    *,
    checkpoint: bytes,
    slice_number: int,
    gives_way: bool = False,
    goes_on: bool = False,
    limits: StopSpec | None = None,
    exchange: Exchange | None = None,
) -> tuple[Island, Outcome]:
    """Store a slice in one transaction: what is new, the checkpoint, and who has the island next.

    gives_way: the turn ends here. goes_on: it does not whatever is asked for, since the next slice is computed already; its
    heartbeat sees orders. limits: those that it ran under. Raises LeaseLost, and LimitsChanged if it ended at one that has been changed since.
    """
    with transaction.atomic():
        island = _own_island(lease)
        search = Search.objects.get(pk=island.search_id)
        _store(island, search, report, exchange)
        gained = _gained(island, report)
        for name, value in _counters(report).items():
            setattr(island, name, value)
        if report.finished and report.result is not None:
            result = record.record_result(island, search, report.result)
        else:
            result = None
        island.slice_number = slice_number
        island.failures = 0
        island.last_error = ""
        island.updated_at = timezone.now()
        record.record_checkpoint(island.pk, slice_number, checkpoint, format_version=CHECKPOINT_VERSION)
        if exchange is not None:
            forget_arrivals(island.pk, slice_number)
            taken, exchange.taken = exchange.taken, 0
            note_migrants(island, taken)
        island.save()
        workers.credit(lease.owner, gained["individuals"], gained["seconds"])
        # From here on the search's row is held: islands of one search take turns only for this last part.
        search = _update_search(search.pk, gained, new_finds=bool(report.finds or result))
        if report.finished and report.finish_reason in LIMITS and limits not in (None, stop_of(search)):
            raise LimitsChanged
        if report.finished:
            stopped = report.finish_reason == "stopped"
            outcome = Outcome.STOPPED if stopped else Outcome.FINISHED
            island.state, island.lease_owner = Island.State.STOPPED if stopped else Island.State.FINISHED, ""
            _take_result(search, report, result)
        elif goes_on:
            outcome = Outcome.GOES_ON
        elif search.state == Search.State.STOPPING:
            outcome = Outcome.STOPPED
            island.state, island.lease_owner = Island.State.STOPPED, ""
        elif search.state == Search.State.PAUSING:
            outcome = Outcome.PAUSED
            island.state, island.lease_owner = Island.State.PAUSED, ""
        elif gives_way:
            outcome = Outcome.HANDED_BACK
            _queue_again(island)
        else:
            outcome = Outcome.GOES_ON
        island.save()
        if outcome in (Outcome.FINISHED, Outcome.STOPPED, Outcome.PAUSED):
            settle_search(search)
    return island, outcome


def _take_result(search: Search, report, result: Find | None) -> None:
    """Note what an island ended with: of several, the search's result is the best. Call it holding the search's row."""
    if report.finish_reason != SOLVED_ELSEWHERE and not search.solved:
        search.finish_reason = report.finish_reason
    if result is not None and (search.result is None or _merit(result) > _merit(search.result)):
        search.result = result
    if result is not None and report.result.solved and not search.solved:
        search.solved = True
        # Nobody need look further; islands that are running see it at their next heartbeat.
        Island.objects.filter(search=search, state__in=(Island.State.QUEUED, Island.State.PAUSED)).update(
            state=Island.State.FINISHED, updated_at=timezone.now()
        )
    search.save(update_fields=["finish_reason", "result", "solved"])


def _merit(result: Find) -> tuple[float, float]:
    """Return what results of a search's islands are compared by: the unseen score, then that on T_search."""
    score = -1.0 if result.score is None else result.score
    return (score if result.select_score is None else result.select_score, score)


def stop_of(search: Search) -> StopSpec:
    """Return a search's limits as they are in its row."""
    return SearchSpec.from_json(search.spec).stop


def _limits(search_id: int) -> StopSpec:
    search = Search.objects.only("spec").filter(pk=search_id).first()
    if search is None:  # deleted, and its islands with it
        raise LeaseLost
    return stop_of(search)


def _replay(lease: Lease) -> Outcome:
    """Queue the island again from its last checkpoint: the slice was not committed, so it comes out the same, and goes on."""
    live.drop(lease.island_id)
    with transaction.atomic():
        island = _own_island(lease)
        note(island.search_id, "replayed", island_index=island.index)
        _queue_again(island)
        island.save()
    return Outcome.HANDED_BACK


def give_back_failed(lease: Lease, error: BaseException) -> Outcome:
    """Return an island whose slice raised: to the queue, or after too many attempts without progress as failed."""
    reason = f"{type(error).__name__}: {error}"
    with transaction.atomic():
        island = lease.rows().select_for_update().first()
        if island is None:
            return Outcome.REFUSED
        return fail_attempt(island, reason=reason)


def give_back_unstored(lease: Lease, error: BaseException) -> Outcome:
    """Queue an island again whose slice the database could not take: no fault of the search, so it is not counted as one.

    Tries for as long as the lease lasts, then raises what the database says; the watchdog sees to the rest.
    """
    until = time.monotonic() + lease_seconds()
    while True:
        connection.close()  # it may be the connection that is broken
        try:
            with transaction.atomic():
                island = lease.rows().select_for_update().first()
                if island is None:
                    return Outcome.REFUSED
                island.last_error, island.updated_at = _one_line(error), timezone.now()
                _queue_again(island)
                island.save()
            return Outcome.HANDED_BACK
        except (DatabaseError, InterfaceError):
            if time.monotonic() > until or stopping.requested():
                raise
            time.sleep(1.0)


def _is_the_servers_trouble(error: DatabaseError | InterfaceError) -> bool:
    """Whether it says nothing of what was to be stored: connection lost, disk or memory full, server ending, deadlock."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state[:2] in ("08", "25", "40", "53", "55", "57", "58")


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def fail_attempt(island: Island, *, reason: str) -> Outcome:
    """Count an attempt without progress; queue the island again or give it up. Call it holding the island's row."""
    island.failures += 1
    island.last_error = reason
    island.updated_at = timezone.now()
    if island.failures < _setting("ABOVO_MAX_FAILURES", 5):
        note(island.search_id, "retried", island_index=island.index, failures=island.failures, reason=reason)
        _queue_again(island)
        island.save()
        return Outcome.HANDED_BACK
    island.state, island.lease_owner = Island.State.FAILED, ""
    island.save()
    note(island.search_id, "island-failed", island_index=island.index, reason=reason)
    settle_search(Search.objects.select_for_update().get(pk=island.search_id))
    return Outcome.FAILED


def _end_without_running(lease: Lease) -> Outcome:
    """Stop or pause an island that was claimed after that had been asked for."""
    with transaction.atomic():
        island = _own_island(lease)
        search = Search.objects.select_for_update().get(pk=island.search_id)
        if search.can_pause:  # resumed meanwhile
            _queue_again(island)
            island.save()
            return Outcome.HANDED_BACK
        paused = search.can_resume
        island.state, island.lease_owner = Island.State.PAUSED if paused else Island.State.STOPPED, ""
        island.updated_at = timezone.now()
        island.save(update_fields=["state", "lease_owner", "updated_at"])
        settle_search(search)
    return Outcome.PAUSED if paused else Outcome.STOPPED


def _own_island(lease: Lease) -> Island:
    """Lock and return the island if the lease is still ours. Raises LeaseLost."""
    island = lease.rows().select_for_update().first()
    if island is None:
        raise LeaseLost
    return island


def _queue_again(island: Island) -> None:
    island.attempt += 1
    island.state, island.lease_owner = Island.State.QUEUED, ""
    island.queued_at = island.sent_at = Now()
    send_slice(island)


def _store(island: Island, search: Search, report, exchange: Exchange | None) -> None:
    record.record_points(island.pk, report.points, report.counters)
    at_hand = record_individuals(island, report.individuals)
    record.record_finds(island, search, report.finds, at_hand)
    if exchange is not None:
        exchange.committed()


def _counters(report) -> dict[str, float]:
    return {name: getattr(report.counters, name) for name in Island.COUNTERS}


def _gained(island: Island, report) -> dict[str, float]:
    """Return what a report adds to its island's row, which is held. A slice that is repeated may add less than nothing."""
    return {name: value - getattr(island, name) for name, value in _counters(report).items()}


def _update_search(search_id: int, gained: dict[str, float], *, new_finds: bool) -> Search:
    """Lock the search, add what one of its islands gained, note the best find.

    Sums of differences, not of all islands: a search may have thousands. seconds: of the island that has run longest.
    """
    search = Search.objects.select_for_update().get(pk=search_id)
    for name, value in gained.items():
        if name != "seconds":
            setattr(search, name, getattr(search, name) + value)
    search.seconds = Island.objects.filter(search_id=search_id).aggregate(longest=Max("seconds"))["longest"]
    changed = list(gained)
    if search.state in (Search.State.QUEUED, Search.State.STARTING):
        # The first report: kernels are compiled, programs are tried.
        search.state = Search.State.RUNNING
        changed.append("state")
    if new_finds:
        search.best = (
            Find.objects.filter(search_id=search_id, score__isnull=False)
            .order_by("-score", "found_at", "birth")
            .first()
        )
        changed.append("best")
    search.save(update_fields=changed)
    return search


def _setting(name: str, default: float) -> float:
    return getattr(settings, name, default)
