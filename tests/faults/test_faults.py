"""Whatever falls, every search ends with the result that it would have had, and nobody has to clean up.

Each test does it for real, to processes of its own: workers, web server, database. What concerns RabbitMQ is next door.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time

import psutil
import pytest

from .servers import clock_can_be_made


def assert_clean(rig, *search_ids):
    """Nothing runs, waits, or is held by anybody."""
    for search_id in search_ids:
        assert rig.states(search_id)[1] <= {"finished", "failed", "stopped"}
    query = "SELECT count(*) FROM experiments_island WHERE search_id = ANY(%s) AND lease_owner <> ''"
    assert rig.rows(query, list(search_ids)) == [(0,)]


def kill_workers(rig, search_id, times):
    """kill -9 whoever has the search, at a random moment of a slice, so many times; returns how many came before its end."""
    killed = 0
    while killed < times:
        rig.wait_for(lambda: rig.holder(search_id) or rig.states(search_id)[0] == "finished", why="nobody takes it")
        holder = rig.holder(search_id)
        if holder is None:
            if rig.states(search_id)[0] == "finished":
                break
            continue
        time.sleep(random.uniform(0, 1.2))
        try:
            holder.kill()
        except psutil.NoSuchProcess:
            continue
        killed += 1
        rig.wait_for(lambda gone=holder: not gone.is_running() or gone.status() == psutil.STATUS_ZOMBIE)
        rig.wait_for_progress(search_id)
    return killed


@pytest.mark.faults
def test_a_killed_and_a_frozen_worker(rig, expected):
    [search_id] = rig.launch(1)
    holder = rig.wait_for_holder(search_id)
    holder.kill()
    rig.wait_for_progress(search_id)
    holder = rig.wait_for_holder(search_id)
    holder.suspend()
    # The only worker: it wakes up to find its lease gone, and the island waiting.
    rig.wait_for(lambda: rig.states(search_id)[1] == {"queued"}, why="a frozen worker keeps its lease")
    holder.resume()
    rig.wait_for_end(search_id)
    assert rig.content(search_id) == expected
    assert_clean(rig, search_id)


@pytest.mark.faults
def test_workers_killed_fifty_times(rig):
    stop = {**long_stop(), "max_individuals": 4_000_000}
    [search_id] = rig.launch(1, stop=stop, title="long")
    assert kill_workers(rig, search_id, 50) == 50, "the search ended before the fiftieth kill: it must be longer"
    assert rig.states(search_id)[0] != "finished"
    [other] = rig.launch(1, stop=stop, title="long, undisturbed")
    for one in (search_id, other):
        rig.wait_for_end(one, seconds=1800)
    assert rig.content(search_id) == rig.content(other)
    assert_clean(rig, search_id, other)


def kill_idle_processes(rig, times):
    """kill -9 the processes of the slices' worker while they wait for work; each must be followed by another."""
    for _ in range(times):
        worker = rig.product.child("slices")
        rig.wait_for(lambda worker=worker: len(worker.children()) == 2, why="the pool is not whole")
        before = {one.pid for one in worker.children()}
        random.choice(worker.children()).kill()
        rig.wait_for(
            lambda worker=worker, before=before: (
                len(now := {one.pid for one in worker.children()}) == len(before) and now != before
            )
        )


@pytest.mark.faults
def test_workers_killed_while_they_wait_for_work(make_rig):
    """What waits for the next message may hold what its neighbours wait for."""
    rig = two_workers(make_rig)
    for _ in range(5):
        kill_idle_processes(rig, 4)
        searches = rig.launch(1, 1)
        for search_id in searches:
            rig.wait_for_end(search_id)
        assert_clean(rig, *searches)


@pytest.mark.faults
def test_workers_of_islands_that_exchange_killed(make_rig):
    """What came from elsewhere is on record: a slice that is repeated takes in the same, and nobody is counted twice."""
    rig = two_workers(make_rig)
    [search_id] = rig.launch(1, islands=3, migration={"every": 1000, "count": 10})
    assert kill_workers(rig, search_id, 10) == 10, "the search ended before the tenth kill: it must be longer"
    rig.wait_for_end(search_id)
    assert rig.individuals(search_id) == 3 * 300_000
    assert rig.orphans(search_id) == 0
    assert rig.immigrants(search_id) > 0
    assert_clean(rig, search_id)


def long_stop():
    return {"max_seconds": 36000.0, "max_experiments": 1}


@pytest.mark.faults
@pytest.mark.parametrize("repetition", range(5))
def test_a_worker_frozen_past_its_lease_while_another_takes_over(make_rig, repetition):
    rig = two_workers(make_rig)
    reference, search_id = rig.launch(1, 1)
    holder = rig.wait_for_holder(search_id)
    holder.suspend()
    rig.wait_for(
        lambda: ((now := rig.holder(search_id)) is not None and now.pid != holder.pid) or
        rig.states(search_id)[0] == "finished", why="nobody takes over",
    )  # fmt: skip
    holder.resume()
    for one in (reference, search_id):
        rig.wait_for_end(one)
    assert rig.content(search_id) == rig.content(reference)
    assert_clean(rig, search_id, reference)


@pytest.mark.faults
def test_a_whole_worker_frozen_past_its_lease_while_another_takes_over(make_rig):
    """As a machine that stands still, its watch over its own processes included."""
    rig = make_rig()
    reference, search_id = rig.launch(1, 1)
    holder = rig.wait_for_holder(search_id)
    frozen = [holder.parent(), *holder.parent().children(recursive=True)]
    for process in frozen:
        process.suspend()
    with rig.another_worker("-n", "second@%h", "-Q", "slices", "-c", "1"):
        rig.wait_for(
            lambda: (now := rig.holder(search_id)) is not None and now.pid not in {one.pid for one in frozen},
            why="nobody takes over",
        )
        for process in frozen:
            process.resume()
        for one in (reference, search_id):
            rig.wait_for_end(one)
    assert rig.content(search_id) == rig.content(reference)
    assert_clean(rig, search_id, reference)


_two: list = []


def two_workers(make_rig):
    if not _two or not _two[0].product.processes():
        _two[:] = [make_rig(ABOVO_WORKERS="2")]
    return _two[0]


def kill_web_server(rig):
    """Kill it; return the numbers of its processes: its own children may outlive it for a moment."""
    fallen = rig.product.child("gunicorn")
    numbers = {fallen.pid, *(one.pid for one in fallen.children(recursive=True))}
    fallen.kill()
    return numbers


def has_another(rig, fallen):
    """Whether the launcher has started the web server again. fallen: the numbers of the old one's processes."""
    try:
        return rig.product.child("gunicorn").pid not in fallen and rig.product.get("/healthz")[0] == 200
    except (AssertionError, OSError, psutil.Error):
        return False


@pytest.mark.faults
def test_the_web_server_killed(rig, expected):
    [search_id] = rig.launch(1)
    rig.wait_for_holder(search_id)
    for _ in range(3):
        fallen = kill_web_server(rig)
        rig.wait_for(lambda old=fallen: has_another(rig, old), why="the web server does not come back")
    rig.wait_for_end(search_id)
    rig.wait_for(lambda: rig.product.get("/readyz")[0] == 200)
    assert rig.content(search_id) == expected


@pytest.mark.faults
@pytest.mark.parametrize("part", ["slices", "default"])
def test_a_whole_worker_killed(rig, expected, part):
    [search_id] = rig.launch(1)
    rig.wait_for_holder(search_id)
    rig.product.child(part).kill()
    rig.wait_for_end(search_id)
    assert rig.content(search_id) == expected
    assert_clean(rig, search_id)
    time.sleep(20)  # the launcher gives up what falls too often within a minute


@pytest.mark.faults
@pytest.mark.parametrize("away", [0, 10, 60])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_the_database_stopped_and_started(rig, expected, how, away):
    [search_id] = rig.launch(1)
    rig.wait_for_holder(search_id)
    rig.wait_for_progress(search_id)
    rig.database.stop(how)
    time.sleep(away)
    rig.database.start()
    assert rig.states(search_id)[0] != "finished", "the search ended before the fault: it must be longer"
    rig.wait_for_end(search_id)
    assert rig.content(search_id) == expected
    assert_clean(rig, search_id)
    rig.wait_for(lambda: rig.product.get("/readyz")[0] == 200)


def send_in_disorder(rig, search_id):
    """A hundred messages for an island: doubled, of attempts gone and to come, in no order."""
    island_id = rig.rows("SELECT id FROM experiments_island WHERE search_id = %s", search_id)[0][0]
    rig.product.query(
        "[__import__('webapp.experiments.tasks', fromlist=['x']).run_slice_job.apply_async("
        f"args=[{island_id}, attempt], queue='slices') and 1 for attempt in [3, 1, 2, 1, 9, 1, 1, 5, 4, 2] * 10]"
    )


def assert_disorder_changes_nothing(rig, expected):
    """Send messages in disorder while a search runs: it ends as it would have without them."""
    [search_id] = rig.launch(1)
    send_in_disorder(rig, search_id)
    rig.wait_for_end(search_id)
    assert rig.content(search_id) == expected
    assert_clean(rig, search_id)


@pytest.mark.faults
def test_messages_doubled_late_and_out_of_order(rig, expected):
    assert_disorder_changes_nothing(rig, expected)


@pytest.mark.faults
def test_two_schedulers(rig, expected):
    with rig.another_worker("-n", "second@%h", "-Q", "default", "-P", "threads", "-c", "2", "-B"):
        [search_id] = rig.launch(1)
        for _ in range(3):
            rig.wait_for_holder(search_id).kill()
            rig.wait_for_progress(search_id)
        rig.wait_for_end(search_id)
        assert rig.content(search_id) == expected
        rig.wait_for(lambda: rig.is_measured(search_id), why="the short jobs are not done")
        attempts = "SELECT attempt FROM experiments_island WHERE search_id = %s"
        assert rig.rows(attempts, search_id)[0][0] <= 6, "each lost slice is given out again once, not once by each"


@pytest.mark.faults
@pytest.mark.skipif(not clock_can_be_made(), reason="needs a C compiler")
@pytest.mark.parametrize("hours", [1, -1])
def test_the_clock_moved_by_an_hour(make_rig, hours):
    """Of the database, the workers, the scheduler and the web server at once, in the middle of a slice."""
    rig = make_rig(clock=True)
    [reference] = rig.launch(1)
    rig.wait_for_end(reference)
    [search_id] = rig.launch(1)
    rig.wait_for_holder(search_id)
    rig.clock.set(hours * 3600)
    [later] = rig.launch(1)
    for one in (search_id, later):
        rig.wait_for_end(one)
        assert rig.content(one) == rig.content(reference)
        rig.wait_for(lambda one=one: rig.is_measured(one), 90, "the short jobs wait for the hour to pass")
    assert_clean(rig, search_id, later)
    assert rig.product.get("/readyz")[0] == 200


@pytest.mark.faults
def test_a_search_that_kills_its_workers_fails_and_harms_nobody(rig, expected):
    [poisoned] = rig.launch(7, title="poisoned")
    [other] = rig.launch(1)

    def kill_again():
        state, _ = rig.states(poisoned)
        holder = rig.holder(poisoned)
        if state not in ("failed", "finished") and holder is not None:
            holder.kill()
        return state == "failed"

    rig.wait_for(kill_again, why="the poisoned search does not fail")
    reason = rig.rows("SELECT failure_reason FROM experiments_search WHERE id = %s", poisoned)[0][0]
    assert "ended in the middle of a slice" in reason or "fell silent" in reason
    rig.wait_for_end(other)
    assert rig.content(other) == expected
    assert_clean(rig, poisoned, other)


@pytest.mark.faults
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_the_disk_full_and_free_again(make_rig, tmp_path):
    """The database's disk: then nothing can be stored, and nothing may be lost."""
    import shutil

    from .servers import Database

    disk = tmp_path / "disk"
    disk.mkdir()
    tmp_path.chmod(0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m,mode=755", "none", disk], check=True)
    try:
        rig = make_rig()
        reference = rig.launch(1)[0]
        rig.wait_for_end(reference)
        expected = rig.content(reference)
        rig.database.stop()
        shutil.copytree(rig.database.server.folder, disk / "postgres", symlinks=True, ignore_dangling_symlinks=True,
                        ignore=shutil.ignore_patterns(".s.PGSQL*"), copy_function=shutil.copy2)  # fmt: skip
        _own_alike(rig.database.server.folder, disk / "postgres")
        moved = Database(disk / "postgres")
        # In the place of the old one: the product keeps the address.
        moved.server.socket_dir = rig.database.server.socket_dir
        moved.start()
        rig.database = moved
        [search_id] = rig.launch(1)
        rig.wait_for_holder(search_id)
        filler = disk / "filler"
        with filler.open("wb") as file:
            try:
                while True:
                    file.write(b"\0" * 65536)
                    file.flush()
            except OSError:
                pass
        time.sleep(15)
        filler.unlink()
        if moved.process.poll() is not None:  # PostgreSQL gives up where its log does not fit
            moved.start()
        rig.wait_for_end(search_id)
        assert rig.content(search_id) == expected
        assert_clean(rig, search_id)
        rig.product.stop(signal.SIGTERM)
        moved.stop()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def _own_alike(source, target):
    status = source.stat()
    for folder, _, files in os.walk(target):
        for path in [folder, *(os.path.join(folder, name) for name in files)]:
            os.chown(path, *((status.st_uid, status.st_gid) if path == str(target) else _owner(source, target, path)))


def _owner(source, target, path):
    status = (source / os.path.relpath(path, target)).stat()
    return status.st_uid, status.st_gid


@pytest.mark.faults
@pytest.mark.parametrize("what", ["everything", "worker"])
def test_a_request_to_end_hands_the_slice_back_within_ten_seconds(make_rig, what):
    """Of a slice that would go on for a minute: it is cut short and stored."""
    rig = make_rig(ABOVO_SLICE_SECONDS="60")
    stop = {**long_stop(), "max_individuals": 1_500_000}
    [search_id] = rig.launch(1, stop=stop)
    holder = rig.wait_for_holder(search_id)
    rig.wait_for(lambda: rig.slices(search_id) == 2)
    time.sleep(3)
    progress = rig.individuals(search_id)
    worker = rig.product.child("slices")
    began = time.monotonic()
    if what == "everything":
        assert rig.product.stop(signal.SIGTERM) == 0
    else:
        worker.terminate()
        rig.wait_for(lambda: not holder.is_running() or holder.status() == psutil.STATUS_ZOMBIE)
    assert time.monotonic() - began < 10, "the promise is not about the machine's speed"
    assert rig.slices(search_id) == 3
    saved = "SELECT max(c.slice_number) FROM experiments_checkpoint c JOIN experiments_island i ON i.id = c.island_id"
    assert rig.rows(saved + " WHERE i.search_id = %s", search_id) == [(3,)]
    assert rig.individuals(search_id) >= progress
    if what == "everything":
        assert rig.states(search_id)[1] == {"queued"}
        rig.product.start()
    [reference] = rig.launch(1, stop=stop)
    for one in (search_id, reference):
        rig.wait_for_end(one)
    assert rig.content(search_id) == rig.content(reference)
