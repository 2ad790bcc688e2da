"""`manage.py prepare`: bring database, static files, translations and administrator up to date. Safe to repeat at every start."""

import contextlib
import hashlib
import io
import json
import os
import secrets
import sys
import time

import django
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from webapp.lib.translations import compile_catalogues

ADMINISTRATOR = "admin"


class Command(BaseCommand):
    help = "Migrate the database, collect static files, create the administrator, launch the first search."
    requires_system_checks: list = []

    def add_arguments(self, parser):
        parser.add_argument(
            "--json", action="store_true", help="end with one object on standard output, nothing else there"
        )

    def handle(self, **options):
        self.progress = self.stderr if options["json"] else self.stdout
        self.wait_for_database()
        self.migrate()
        self.collect_static()
        compile_catalogues(settings.LOCALE_PATHS[0])
        password = self.create_administrator()
        self.welcome()
        if options["json"]:
            self.stdout.write(json.dumps({"administrator": ADMINISTRATOR, "password": password}))
        elif password:
            self.stdout.write(f"Ab Ovo: administrator {ADMINISTRATOR}, password {password} (shown only this once)")

    def say(self, text):
        self.progress.write(f"Ab Ovo: {text}")

    def wait_for_database(self, seconds=30):
        """A server may still be starting beside us."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return connection.ensure_connection()
            except OperationalError as error:
                refused = any(word in str(error) for word in ("refused", "starting up", "No such file", "resolve"))
                if not refused or time.monotonic() > deadline:
                    raise CommandError(f"DATABASE_URL: the database does not let us in: {_one_line(error)}") from None
                time.sleep(0.5)

    def migrate(self):
        # Two starters at once: the second waits, then finds nothing to do.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtext('abovo migrate'))")
            try:
                executor = MigrationExecutor(connection)
                plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
                if plan:
                    self.say(f"migrating the database ({len(plan)} steps)")
                    call_command("migrate", interactive=False, verbosity=0)
            finally:
                cursor.execute("SELECT pg_advisory_unlock(hashtext('abovo migrate'))")

    def collect_static(self):
        root = settings.STATIC_ROOT
        stamp = root / ".sources"
        sources = _digest_of_static_sources()
        if stamp.exists() and stamp.read_text() == sources:
            return
        self.say("collecting static files")
        with contextlib.redirect_stdout(io.StringIO()):
            # What the version before serves stays: its web servers may still run, and its pages be open somewhere.
            call_command("collectstatic", interactive=False, verbosity=0)
        stamp.write_text(sources)

    def create_administrator(self):
        """Returns the password where it was generated here; the only time that anybody sees it."""
        User = get_user_model()
        if User.objects.filter(is_superuser=True).exists():
            return None
        given = settings.ENVIRONMENT.admin_password
        password = given or secrets.token_urlsafe(12)
        User.objects.create_superuser(ADMINISTRATOR, password=password)
        return None if given else password

    def welcome(self):
        """A newcomer finds discoveries and a search that moves. Workers do both once the product runs: nobody waits for it."""
        mark = settings.ABOVO_HOME / "first-search"
        if mark.exists() or "first_search" not in get_commands():
            return
        self.say("launching a first search")
        with contextlib.redirect_stdout(sys.stderr):
            call_command("import_gallery", once=True, later=True)
            call_command("first_search")
        mark.touch()


def _digest_of_static_sources():
    digest = hashlib.sha256(django.__version__.encode())
    for finder in get_finders():
        for path, storage in sorted(finder.list([]), key=lambda found: found[0]):
            status = os.stat(storage.path(path))
            digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _one_line(error):
    return " ".join(str(error).split())
