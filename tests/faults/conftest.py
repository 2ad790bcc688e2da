"""A running product with servers of its own, and what must come out of it whatever happens.

`make test-faults` runs the long ones, which the marker keeps out of other runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.product import ROOT, Product

from .servers import Broker, Clock, Database

SPEC = {"stop": {"max_individuals": 300_000, "max_seconds": 3600.0, "max_experiments": 1}, "stages": []}
"""Long enough for several faults, and ended by work done: the same whenever it is interrupted. Stages would end it earlier."""

_LAUNCH = """(lambda launch, spec, preset: [launch.launch_search(
    spec=spec.SearchSpec.from_json(preset.preset("digits").to_json() | {changes}), seed=seed, title={title!r}).pk
    for seed in {seeds}])(*map(__import__("importlib").import_module,
    ("webapp.experiments.services.launch", "engine.spec", "engine.presets")))"""


def pytest_collection_modifyitems(config, items):
    if "faults" not in (config.getoption("markexpr") or ""):
        long = [item for item in items if item.get_closest_marker("faults")]
        if long:
            config.hook.pytest_deselected(items=long)
            items[:] = [item for item in items if item not in long]


class Rig:
    """The product, its servers, and questions to its database."""

    def __init__(self, folder: Path, *, broker: bool, clock: bool, **variables: str):
        self.clock = Clock(folder) if clock else None
        if self.clock:
            variables |= self.clock.environment
        self.database = Database(folder / "postgres", self.clock.environment if self.clock else None)
        self.database.start()
        self.broker = None
        if broker:
            (folder / "broker").mkdir()
            self.broker = Broker(folder / "broker")
            self.broker.start()
            variables["CELERY_BROKER_URL"] = self.broker.url
        self.product = Product(
            folder / "home",
            {
                "DATABASE_URL": self.database.url, "ABOVO_SLICE_SECONDS": "1", "ABOVO_LEASE_SECONDS": "5",
                "ABOVO_WEB_WORKERS": "1", "ABOVO_RESEND_SECONDS": "5", **variables,
            },
        )  # fmt: skip
        self.product.without_first_search().start()

    def launch(self, *seeds: int, title: str = "fault", **changes) -> list[int]:
        """Launch searches; returns their ids."""
        return self.product.query(_LAUNCH.format(changes={**SPEC, **changes}, seeds=seeds, title=title))

    def rows(self, query: str, *values) -> list[tuple]:
        with psycopg.connect(self.database.url) as connection:
            return connection.execute(query, values).fetchall()

    def states(self, search_id: int) -> tuple[str, set[str]]:
        """The search's state, and its islands'."""
        rows = self.rows(
            "SELECT s.state, i.state FROM experiments_search s JOIN experiments_island i ON i.search_id = s.id"
            " WHERE s.id = %s", search_id,
        )  # fmt: skip
        return rows[0][0], {row[1] for row in rows}

    def individuals(self, search_id: int) -> int:
        return self.rows("SELECT individuals FROM experiments_search WHERE id = %s", search_id)[0][0]

    def end_soon(self, search_id: int) -> int:
        """Let a search end a little after where it stands, whatever the machine's speed; return after how many individuals."""
        self._steer("pause", search_id)
        self.wait_for(lambda: self.states(search_id)[0] == "paused", why="the search does not pause")
        end = self.individuals(search_id) + 50_000
        with psycopg.connect(self.database.url) as connection:
            [(text,)] = connection.execute("SELECT spec FROM experiments_search WHERE id = %s", (search_id,))
            spec = json.loads(text)
            spec["stop"]["max_individuals"] = end
            connection.execute("UPDATE experiments_search SET spec = %s WHERE id = %s", (json.dumps(spec), search_id))
        self._steer("resume", search_id)
        return end

    def _steer(self, deed: str, search_id: int) -> None:
        service = '__import__("webapp.experiments.services.steer", fromlist=["steer"])'
        self.product.query(f"{service}.{deed}_search(search_id={search_id}).pk")

    def wait_for(self, condition, seconds: float = 300, why: str = "") -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                if condition():
                    return
            except psycopg.OperationalError:  # the database may be what is away
                pass
            assert time.monotonic() < deadline, f"{why or 'it does not happen'}:\n{self.product.output()}"
            time.sleep(0.1)

    def wait_for_end(self, search_id: int, state: str = "finished", seconds: float = 600) -> None:
        self.wait_for(
            lambda: self.states(search_id)[0] in ("finished", "failed", "stopped"), seconds, "the search does not end"
        )
        assert self.states(search_id)[0] == state, self.product.output()

    def holder(self, search_id: int) -> psutil.Process | None:
        """The process that holds an island of the search."""
        rows = self.rows(
            "SELECT lease_owner FROM experiments_island WHERE search_id = %s AND state = 'running'", search_id
        )
        if not rows:
            return None
        try:
            return psutil.Process(int(rows[0][0].rpartition("/")[2]))
        except psutil.NoSuchProcess:
            return None

    def wait_for_holder(self, search_id: int) -> psutil.Process:
        self.wait_for(
            lambda: self.holder(search_id) is not None or self.states(search_id)[0] == "finished",
            why="no worker takes the search",
        )
        assert self.states(search_id)[0] != "finished", "the search ended before the fault: it must be longer"
        holder = self.holder(search_id)
        return holder if holder is not None else self.wait_for_holder(search_id)

    def wait_for_progress(self, search_id: int, more: int = 1) -> None:
        """Wait until slices have been committed."""
        before = self.slices(search_id)
        self.wait_for(lambda: self.slices(search_id) >= before + more or self.states(search_id)[0] == "finished")

    def slices(self, search_id: int) -> int:
        """How many have been committed."""
        query = "SELECT sum(slice_number) FROM experiments_island WHERE search_id = %s"
        return self.rows(query, search_id)[0][0]

    def orphans(self, search_id: int) -> int:
        """Rows of the search's ancestry that name a parent, here or on another island, that is not stored."""
        return self.rows(
            "SELECT count(*) FROM experiments_individual i JOIN experiments_island n ON n.id = i.island_id"
            " LEFT JOIN experiments_individual p ON p.island_id = COALESCE(i.parent_island_id, i.island_id)"
            " AND p.birth = i.parent WHERE n.search_id = %s AND i.parent IS NOT NULL AND p.birth IS NULL", search_id,
        )[0][0]  # fmt: skip

    def immigrants(self, search_id: int) -> int:
        query = "SELECT count(*) FROM experiments_individual i JOIN experiments_island n ON n.id = i.island_id"
        return self.rows(query + " WHERE n.search_id = %s AND i.parent_island_id IS NOT NULL", search_id)[0][0]

    def is_measured(self, search_id: int) -> bool:
        """Whether the scheduler's short jobs have come to the search's result."""
        query = "SELECT m.data IS NOT NULL FROM experiments_search s JOIN experiments_measurement m ON m.find_id = s.result_id"
        return self.rows(query + " WHERE s.id = %s", search_id) == [(True,)]

    @contextlib.contextmanager
    def another_worker(self, *options: str):
        """A worker that the launcher knows nothing of, as on another machine; yields its main process."""
        command = [sys.executable, "-m", "celery", "--quiet", "-A", "webapp.celery", "worker", *options]
        command += ["--without-gossip", "--without-mingle"]
        process = subprocess.Popen(command, cwd=ROOT, env=self.product.environment, start_new_session=True)
        try:
            yield psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(30)

    def content(self, search_id: int) -> str:
        """Everything of a search of one island that must not depend on faults, as text. Times do; so does how often the best was
        looked at, and with it which side branches of the ancestry are kept."""
        parts = {
            "points": self.rows(
                "SELECT p.individuals, best, mean, deviation, best_so_far FROM experiments_curvepoint p"
                " JOIN experiments_island i ON i.id = p.island_id WHERE i.search_id = %s ORDER BY 1", search_id,
            ),
            "finds": self.rows(
                "SELECT birth, score, depth, mutation, algorithm_id, select_score, final_score FROM experiments_find"
                " WHERE search_id = %s ORDER BY 1", search_id,
            ),
            "counters": self.rows(
                "SELECT s.individuals, s.train_steps, s.fec_hits, s.experiments, s.finish_reason, i.individuals"
                " FROM experiments_search s JOIN experiments_island i ON i.search_id = s.id WHERE s.id = %s", search_id,
            ),
            "lines": self.rows(
                "WITH RECURSIVE line AS (SELECT i.* FROM experiments_individual i JOIN experiments_find f"
                "   ON f.island_id = i.island_id AND f.birth = i.birth WHERE f.search_id = %s"
                " UNION SELECT p.* FROM line JOIN experiments_individual p"
                "   ON p.island_id = line.island_id AND p.birth = line.parent)"
                " SELECT birth, parent, depth, mutation, change, score FROM line ORDER BY birth", search_id,
            ),
        }  # fmt: skip
        return json.dumps(parts)

    def clean_up(self) -> None:
        for process in self.product.processes():
            try:
                process.send_signal(signal.SIGCONT)
            except psutil.Error:
                continue
        self.product.clean_up()
        if self.broker is not None:
            self.broker.stop()
        self.database.stop()


@pytest.fixture(scope="module")
def make_rig():
    """A function that starts a rig; all are taken down at the end."""
    rigs, folders = [], []

    def make(**variables):
        folder = tempfile.TemporaryDirectory(prefix="abovo-faults-", ignore_cleanup_errors=True)
        folders.append(folder)
        os.chmod(folder.name, 0o755)
        rigs.append(Rig(Path(folder.name), **{"broker": False, "clock": False, **variables}))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.clean_up()
    for folder in folders:
        folder.cleanup()


@pytest.fixture(scope="module")
def rig(make_rig):
    """The product with messages over its PostgreSQL."""
    return make_rig()


@pytest.fixture(scope="module")
def expected(rig):
    """What a search of seed 1 comes to when nothing happens to it."""
    [search_id] = rig.launch(1, title="undisturbed")
    rig.wait_for_end(search_id)
    return rig.content(search_id)
