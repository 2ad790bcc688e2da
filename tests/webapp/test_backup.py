"""Backup and restore as docs/operations.md has them: everything comes back, and searches go on from where they were."""

import os
import subprocess
from pathlib import Path

import pytest

from webapp.lib.postgres import binaries

pytestmark = pytest.mark.django_db(transaction=True)


def tools_of(version: int) -> Path:
    """Return the folder of the tools of a server's version: what newer ones write, older servers do not all understand."""
    debian = Path(f"/usr/lib/postgresql/{version}/bin")
    return debian if (debian / "pg_restore").exists() else binaries()


def test_dump_and_restore(make_search, run, engine, database_server, new_database, settings):
    import psycopg
    from django.db import connection

    from engine.checkpoint import READABLE

    run(make_search(), 3)
    source = connection.get_connection_params()
    here = {name: str(source[name]) for name in ("host", "port", "user", "password") if source.get(name)}
    dump = settings.ABOVO_HOME / "backup.dump"
    address = psycopg.conninfo.make_conninfo(**here, dbname=source["dbname"])
    with connection.cursor() as cursor:
        tool = tools_of(cursor.connection.info.server_version // 10000)
    tools = {"env": {**os.environ, "LC_ALL": "C.UTF-8"}, "check": True, "capture_output": True}
    subprocess.run([tool / "pg_dump", "--format=custom", "--file", dump, address], **tools)
    subprocess.run([tool / "pg_restore", "--no-owner", "--exit-on-error", "--dbname", new_database, dump], **tools)
    tables = ("search", "island", "checkpoint", "individual", "algorithm", "find", "curvepoint", "event")
    with connection.cursor() as cursor, psycopg.connect(new_database) as restored:
        for table in tables:
            query = f"SELECT md5(string_agg(one::text, ',' ORDER BY one::text)), count(*) FROM experiments_{table} one"  # noqa: S608
            cursor.execute(query)
            expected = cursor.fetchone()
            assert restored.execute(query).fetchone() == expected and expected[1] > 0, table
        version = restored.execute("SELECT DISTINCT format_version FROM experiments_checkpoint").fetchall()
        assert [one for (one,) in version] == [max(READABLE)]
