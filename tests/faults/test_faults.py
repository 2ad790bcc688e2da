"""Whatever falls, every search ends with the result that it would have had, and nobody has to clean up.

Each test does it for real, to processes of its own: workers, web server, database. What concerns RabbitMQ is next door.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.product import ROOT


def assert_clean(rig, *search_ids):
    """Nothing runs, waits, or is held by anybody."""
    for search_id in search_ids:
        assert rig.states(search_id)[1] <= {"finished", "failed", "stopped"}
    query = "SELECT count(*) FROM experiments_island WHERE search_id = ANY(%s) AND lease_owner <> ''"
    assert rig.rows(query, list(search_ids)) == [(0,)]


def kill_workers(rig, search_id, times):
    """kill -9 whoever has the search, at a random moment of a slice, so many times, as far as the search lasts."""
    killed = 0
    for _ in range(times):
        rig.wait_for(lambda: rig.holder(search_id) or rig.states(search_id)[0] == "finished", why="nobody takes it")
        holder = rig.holder(search_id)
        if holder is None:
            continue
        time.sleep(random.uniform(0, 1.2))
        try:
            holder.kill()
            killed += 1
        except psutil.NoSuchProcess:
            continue
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
def test_workers_killed_fifty_times(rig, expected):
    [search_id] = rig.launch(1, stop={**long_stop(), "max_individuals": 1_500_000}, title="long")
    [other] = rig.launch(1, stop={**long_stop(), "max_individuals": 1_500_000}, title="long, undisturbed")
    killed = kill_workers(rig, search_id, 50)
    for one in (search_id, other):
        rig.wait_for_end(one, seconds=1800)
    print(f"killed {killed} times")
    assert killed >= 40
    assert rig.content(search_id) == rig.content(other)
    assert_clean(rig, search_id, other)


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


_two: list = []


def two_workers(make_rig):
    if not _two or not _two[0].product.processes():
        _two[:] = [make_rig(ABOVO_WORKERS="2")]
    return _two[0]


def has_another(rig, fallen):
    """Whether the launcher has started the web server again."""
    try:
        return rig.product.child("gunicorn").pid != fallen.pid and rig.product.get("/healthz")[0] == 200
    except (AssertionError, OSError, psutil.Error):
        return False


@pytest.mark.faults
def test_the_web_server_killed(rig, expected):
    [search_id] = rig.launch(1)
    rig.wait_for_holder(search_id)
    for _ in range(3):
        fallen = rig.product.child("gunicorn")
        fallen.kill()
        rig.wait_for(lambda gone=fallen: has_another(rig, gone), why="the web server does not come back")
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
    rig.wait_for_end(search_id)
    assert rig.content(search_id) == expected
    assert_clean(rig, search_id)
    rig.wait_for(lambda: rig.product.get("/readyz")[0] == 200)


@pytest.mark.faults
def test_messages_doubled_late_and_out_of_order(rig, expected):
    [search_id] = rig.launch(1)
    island_id = rig.rows("SELECT id FROM experiments_island WHERE search_id = %s", search_id)[0][0]
    send = (
        "[__import__('webapp.experiments.tasks', fromlist=['x']).run_slice_job.apply_async("
        f"args=[{island_id}, attempt], queue='slices') and 1 for attempt in [3, 1, 2, 1, 9, 1, 1, 5, 4, 2] * 10]"
    )
    rig.product.query(send)
    rig.wait_for_end(search_id)
    assert rig.content(search_id) == expected
    assert_clean(rig, search_id)


@pytest.mark.faults
def test_two_schedulers(rig, expected):
    command = [sys.executable, "-m", "celery", "--quiet", "-A", "webapp.celery", "worker", "-n", "second@%h"]
    command += ["-Q", "default", "-P", "threads", "-c", "2", "-B", "--without-gossip", "--without-mingle"]
    second = subprocess.Popen(command, cwd=ROOT, env=rig.product.environment, start_new_session=True)
    try:
        [search_id] = rig.launch(1)
        rig.wait_for_holder(search_id).kill()
        rig.wait_for_end(search_id)
        assert rig.content(search_id) == expected
    finally:
        second.terminate()
        second.wait(30)


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
def test_a_request_to_end_hands_the_slice_back_within_ten_seconds(make_rig, expected):
    rig = make_rig()
    [search_id] = rig.launch(1)
    rig.wait_for_holder(search_id)
    rig.wait_for_progress(search_id)
    began = time.monotonic()
    assert rig.product.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < 10, "the promise is not about the machine's speed"
    assert rig.states(search_id)[1] == {"queued"}
    rig.product.start()
    rig.wait_for_end(search_id)
    assert normalized(rig.content(search_id)) == normalized(expected)


def normalized(content: str) -> str:
    """Without the ids of algorithms, which differ from database to database."""
    import json

    parts = json.loads(content)
    parts["finds"] = [[*find[:4], *find[5:]] for find in parts["finds"]]
    return json.dumps(parts)
