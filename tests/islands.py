"""`make islands`: a search of 200 islands on one machine, with what its exchange and its storing cost, and whether all of it is there.

The product runs as `make run` starts it, with more workers than cores; with `DATABASE_URL` and `CELERY_BROKER_URL` on those servers,
parcels through RabbitMQ, else over its own PostgreSQL. Populations are tiny, and so are slices, so that the machine does little but
take turns. In the end every parent of every row of the ancestry must be stored, and the islands' counters must add up to the search's.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

from tests.product import ROOT, Product, given_servers

SPEC = """
from dataclasses import replace
from engine.presets import preset
from engine.spec import MigrationSpec, StopSpec
spec = replace(
    preset("digits"), stages=(), islands={islands}, population_size={population}, tournament_size=5,
    migration=MigrationSpec(every={every}, count=2), stop=StopSpec(max_individuals={individuals}, max_experiments=1),
).check()
"""

PROGRESS = """
    SELECT s.state, count(*) FILTER (WHERE i.state = 'finished') AS ended, sum(i.slice_number)::bigint AS slices
    FROM experiments_search s JOIN experiments_island i ON i.search_id = s.id WHERE s.id = %(search)s GROUP BY s.state"""

SERVER = """
    SELECT xact_commit AS transactions, pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS wal, tup_inserted AS rows
    FROM pg_stat_database WHERE datname = current_database()"""

FOUND = """
    WITH island AS (SELECT * FROM experiments_island WHERE search_id = %(search)s),
      row AS (SELECT r.* FROM experiments_individual r JOIN island ON island.id = r.island_id)
    SELECT
      (SELECT count(*) FROM row) AS "rows of ancestry",
      (SELECT count(*) FROM row WHERE mutation = 'migrate') AS "of them immigrants",
      (SELECT count(*) FROM row WHERE parent IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM experiments_individual p WHERE p.birth = row.parent AND p.island_id = coalesce(row.parent_island_id, row.island_id)
      )) AS "rows without their parent",
      (SELECT individuals FROM experiments_search WHERE id = %(search)s) - (SELECT sum(individuals) FROM island) AS "programs miscounted",
      (SELECT count(*) FROM island WHERE last_error <> '') AS "islands with an error",
      (SELECT round(avg(length(data))) FROM experiments_checkpoint c JOIN island ON island.id = c.island_id) AS "bytes of a checkpoint",
      (SELECT count(*) FROM experiments_arrival a JOIN island ON island.id = a.island_id) AS "arrivals still kept" """

FAULTS = ("rows without their parent", "programs miscounted", "islands with an error")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make islands", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--islands", type=int, default=200)
    parser.add_argument("--population", type=int, default=20)
    parser.add_argument("--individuals", type=int, default=4000, help="programs of each island")
    parser.add_argument("--every", type=int, default=200, help="programs between two exchanges of an island")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=15.0, help="after which it is given up")
    options = parser.parse_args(arguments)
    settings = {"ABOVO_WORKERS": str(options.workers), "ABOVO_SLICE_SECONDS": "0.5", "ABOVO_TURN_SECONDS": "0.5"}
    with tempfile.TemporaryDirectory(prefix="abovo-islands-", ignore_cleanup_errors=True) as folder:
        variables = {"ABOVO_NUMBA_CACHE": str(ROOT / "var" / "numba"), **settings, **given_servers()}
        product = Product(Path(folder), variables)
        Path(folder).chmod(0o755)
        say("starting")
        product.without_first_search().start()
        try:
            return measure(product, options)
        finally:
            product.stop()
            product.clean_up()


def measure(product: Product, options: argparse.Namespace) -> int:
    """Run the search and print what it took; returns 1 if it does not end, or if something of it is missing."""
    database = product.database_url
    spec = SPEC.format(
        islands=options.islands, population=options.population, every=options.every, individuals=options.individuals
    )
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as connection:

        def ask(query: str, **values: int) -> dict:
            row = connection.execute(query, values).fetchone()
            assert row is not None
            return row

        search = product.launch(spec, seed=1)
        # Compiling is no part of it.
        while ask(PROGRESS, search=search)["slices"] < options.workers:
            time.sleep(0.2)
        before, at_first, began = ask(SERVER), ask(PROGRESS, search=search), time.monotonic()
        shown = began
        while (now := ask(PROGRESS, search=search))["state"] not in ("finished", "failed", "stopped"):
            if time.monotonic() - began > 60 * options.minutes:
                say(f"given up: {now}")
                return 1
            if time.monotonic() - shown > 20:
                shown = time.monotonic()
                say(f"{now['slices']} slices, {now['ended']} of {options.islands} islands have ended")
            time.sleep(0.5)
        seconds = time.monotonic() - began
        after, found = ask(SERVER), ask(FOUND, search=search)
    slices = now["slices"] - at_first["slices"]
    each = {name: round(float(after[name] - before[name]) / slices, 1) for name in before}
    result = {
        "islands": options.islands, "exchange": "RabbitMQ" if "CELERY_BROKER_URL" in product.environment else "PostgreSQL",
        "the search": now["state"], "seconds": round(seconds, 1), "slices": slices, "slices a minute": round(60 * slices / seconds),
        "transactions a slice": each["transactions"], "rows inserted a slice": each["rows"],
        "KiB of write-ahead log a slice": round(each["wal"] / 1024, 1), **{name: int(value or 0) for name, value in found.items()},
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    return 0 if now["state"] == "finished" and not any(result[name] for name in FAULTS) else 1


def say(text: str) -> None:
    print(f"islands: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
