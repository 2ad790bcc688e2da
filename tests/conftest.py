"""What all tests share: an environment of their own, a database, the running product, a browser.

Without DATABASE_URL the tests use the embedded set-up, with it (and CELERY_BROKER_URL) the servers it names; `make test`
does both. Nothing starts before a test asks for it: the engine's tests need no database.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI", "").lower() in ("1", "true")
SETUP = "servers" if os.environ.get("DATABASE_URL") else "embedded"

# Compiled code is shared with `make run`; everything else is this run's own.
os.environ.setdefault("ABOVO_NUMBA_CACHE", str(ROOT / "var" / "numba"))
for _name in [name for name in os.environ if name.startswith("ABOVO_") or name in ("PORT", "SECRET_KEY")]:
    if _name not in ("ABOVO_NUMBA_CACHE", "ABOVO_DATA"):
        del os.environ[_name]
if SETUP == "embedded":
    os.environ.pop("CELERY_BROKER_URL", None)
HOME = Path(tempfile.mkdtemp(prefix="abovo-tests-"))
QUEUE_PREFIX = f"test-{uuid.uuid4().hex[:12]}."
(HOME / "static").mkdir()
os.environ["ABOVO_HOME"] = str(HOME)
os.environ["ABOVO_QUEUE_PREFIX"] = QUEUE_PREFIX
os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_configure(config):
    from django.conf import settings

    from webapp.lib.translations import compile_catalogues

    compile_catalogues(settings.LOCALE_PATHS[0])
    # No collectstatic before the tests, and no slow hashing in them.
    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_report_header(config):
    return f"Ab Ovo: {SETUP} set-up"


def pytest_collection_modifyitems(config, items):
    """Tests of RabbitMQ itself belong to the run that has one, those that no server changes to the other."""
    if SETUP == "servers":
        again = [item for item in items if item.get_closest_marker("once")]
        config.hook.pytest_deselected(items=again)
        items[:] = [item for item in items if item not in again]
    if not os.environ.get("CELERY_BROKER_URL"):
        with_broker = [item for item in items if item.get_closest_marker("broker")]
        if with_broker:
            config.hook.pytest_deselected(items=with_broker)
            items[:] = [item for item in items if item not in with_broker]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    """In CI nothing is skipped: whoever skips says there what is missing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if IN_CI and skipped and session.exitstatus == 0:
        session.exitstatus = 1
        reporter.section("skipped, which CI counts as failure")
        for report in skipped:
            reporter.write_line(report.nodeid)


def pytest_unconfigure(config):
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def setup_name() -> str:
    """'embedded' or 'servers'."""
    return SETUP


@pytest.fixture(scope="session")
def database_server():
    """The database server is up; yields its address."""
    if SETUP == "servers":
        yield os.environ["DATABASE_URL"]
        return
    from webapp.lib.postgres import EmbeddedPostgres
    from webapp.lib.processes import before_exec

    server = EmbeddedPostgres(HOME / "postgres")
    server.prepare()
    process = subprocess.Popen(
        server.command(fsync="off"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=before_exec(signal.SIGINT),
        **server.credentials(),
    )
    server.wait_until_ready(lambda: process.poll() is None)
    yield server.url
    process.send_signal(signal.SIGINT)
    process.wait()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(database_server, django_db_modify_db_settings_parallel_suffix):
    """pytest-django makes its test database after this."""


@pytest.fixture
def new_database(database_server):
    """The address of a new, empty database on the server under test; dropped afterwards."""
    with make_database(database_server) as url:
        yield url


@contextlib.contextmanager
def make_database(server_url: str):
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    name = f"abovo_{uuid.uuid4().hex[:12]}"
    maintenance = {**conninfo_to_dict(server_url), "dbname": "postgres"}
    with psycopg.connect(**maintenance, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        head, _, query = server_url.partition("?")
        yield f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
    finally:
        with psycopg.connect(**maintenance, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def make_product():
    """A function that makes instances of the whole product, in homes of their own; see tests/product.py.

    On the embedded set-up each brings its own database, on the servers each gets a new database and new queues.
    """
    from tests.product import Product

    with contextlib.ExitStack() as stack:

        def make(**variables: str) -> Product:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="abovo-", ignore_cleanup_errors=True)))
            if SETUP == "servers":
                variables = {
                    "DATABASE_URL": stack.enter_context(make_database(os.environ["DATABASE_URL"])),
                    "CELERY_BROKER_URL": os.environ["CELERY_BROKER_URL"],
                    **variables,
                }
            product = Product(home, variables)
            stack.callback(product.clean_up)
            return product

        yield make


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium, steered by Playwright; `browser.new_page()` opens a page.

    While it is open its event loop runs in this thread, so tests of that module leave Django's database alone.
    """
    from playwright.sync_api import sync_playwright

    from tests.services import find_browser

    path = find_browser()
    if path is None:
        pytest.skip("no Chromium is installed")
    switches = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    switches += ["--disable-background-networking", "--disable-component-update"]
    if os.geteuid() == 0:
        switches.append("--no-sandbox")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=switches)
        yield chromium
        chromium.close()
