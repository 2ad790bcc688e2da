"""`manage.py doctor`: look at the whole installation, and say in plain words what is wrong and how to mend it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.checks import WARNING, run_checks
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models.functions import Now

from engine.checkpoint import READABLE
from webapp.experiments.models import Checkpoint, Island, QueuePause, Search, Worker
from webapp.experiments.services import broker
from webapp.experiments.services.workers import SILENT_SECONDS
from webapp.lib.environment import unknown_names
from webapp.lib.version import VERSION

LEAST_FREE_BYTES = 2 * 2**30
LONG_WAIT = timedelta(minutes=10)


@dataclass(frozen=True)
class Finding:
    """What was looked at. wrong: what is the matter, empty if nothing; mend: how to mend it."""

    what: str
    wrong: str = ""
    mend: str = ""


class Command(BaseCommand):
    help = "Check the whole installation; say what is wrong and how to mend it. Ends with status 1 if anything is."
    requires_system_checks: list = []

    def handle(self, **options):
        wrong = 0
        for finding in examine():
            if finding.wrong:
                wrong += 1
                self.stdout.write(self.style.ERROR(f"✗ {finding.what}: {finding.wrong}") + f"\n    {finding.mend}")
            else:
                self.stdout.write(f"✓ {finding.what}")
        self.stdout.write(f"{wrong} to mend." if wrong else "Nothing is wrong.")
        if wrong:
            sys.exit(1)


def examine() -> Iterator[Finding]:
    """Yield what was found, in the order in which to mend it."""
    yield _settings()
    yield from _disks()
    database = _database()
    yield database
    if database.wrong:
        return
    migrations = _migrations()
    yield migrations
    yield _broker()
    if migrations.wrong:
        return
    yield from _workers()
    yield from _queue()
    yield _security()


def _settings() -> Finding:
    unknown = unknown_names()
    if unknown:
        return Finding("settings", f"{', '.join(unknown)} is read by nothing", "docs/settings.md lists the names.")
    return Finding(f"settings (version {VERSION}, home {settings.ABOVO_HOME})")


def _disks() -> Iterator[Finding]:
    for name, folder in (("home", settings.ABOVO_HOME), ("data", settings.ABOVO_DATA)):
        there = folder if folder.exists() else folder.parent
        if not os.access(there, os.W_OK):
            yield Finding(
                f"folder {name}",
                f"{folder} cannot be written",
                "Give its owner the right to, or move it: ABOVO_HOME, ABOVO_DATA.",
            )
            continue
        free = shutil.disk_usage(there).free
        if free < LEAST_FREE_BYTES:
            yield Finding(
                f"folder {name}", f"only {free / 2**20:,.0f} MiB are free on its disk",
                "Free some space; `manage.py prune --dry-run` says what old searches could give up.",
            )  # fmt: skip
        else:
            yield Finding(f"folder {name} ({folder}, {free / 2**30:,.0f} GiB free)")


def _database() -> Finding:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('server_version_num')::int, current_setting('server_version')")
            number, version = cursor.fetchone()
            cursor.execute("SELECT count(*), current_setting('max_connections')::int FROM pg_stat_activity")
            used, most = cursor.fetchone()
    except DatabaseError as error:
        text = str(error).strip().splitlines()[0]
        mend = "Is it running? `make run` starts the embedded one; otherwise see DATABASE_URL."
        if "does not exist" in text:
            mend = "Make it (createdb), or name another one in DATABASE_URL; then run `manage.py prepare`."
        elif "authentication" in text or "no password" in text:
            mend = "The name or password in DATABASE_URL is wrong."
        return Finding("database", text, mend)
    if number < 150000:
        return Finding("database", f"PostgreSQL {version} is too old", "Use PostgreSQL 15 or later.")
    if used > 0.9 * most:
        return Finding(
            "database", f"{used} of {most} connections are in use", "Raise max_connections, or put PgBouncer before it."
        )
    return Finding(f"database (PostgreSQL {version}, {used} of {most} connections)")


def _migrations() -> Finding:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        return Finding("tables", f"{len(missing)} migrations have not been applied", "Run `manage.py prepare`.")
    return Finding("tables")


def _broker() -> Finding:
    queues = broker.ask()
    if isinstance(queues, str):
        refused = any(word in queues for word in ("ACCESS_REFUSED", "NOT_ALLOWED", "AccessRefused", "NotAllowed"))
        mend = (
            "The name, password or virtual host in CELERY_BROKER_URL is wrong."
            if refused
            else "Start RabbitMQ, or see CELERY_BROKER_URL."
        )
        return Finding(
            "messages",
            f"the broker does not let us in ({queues})" if refused else f"the broker does not answer ({queues})",
            f"{mend} Searches wait, nothing is lost.",
        )
    silent = [queue.name for queue in queues if queue.consumers == 0]
    if silent:
        return Finding(
            "messages",
            f"nobody listens to the queue {' and '.join(silent)}",
            "Start a worker (slices) and the scheduler (default).",
        )
    return Finding("messages (" + ", ".join(f"{queue.name}: {queue.messages}" for queue in queues) + ")")


def _workers() -> Iterator[Finding]:
    alive = list(Worker.objects.filter(seen_at__gt=Now() - timedelta(seconds=SILENT_SECONDS)))
    slots = sum(worker.slots for worker in alive if not worker.draining)
    if not slots:
        why = "all are draining" if any(worker.slots for worker in alive) else "none has been seen for half a minute"
        yield Finding("workers", why, "Start one, or give them work again in the administration, under Workers.")
    else:
        yield Finding(f"workers ({slots} slots)")
    if not any(worker.slots == 0 for worker in alive):
        yield Finding(
            "scheduler", "it has not been seen for half a minute", "Start it: short jobs and lost slices wait for it."
        )
    else:
        yield Finding("scheduler")
    versions = sorted({worker.version for worker in alive})
    if len(versions) > 1:
        yield Finding("versions", f"workers of {' and '.join(versions)} run side by side", "Finish the upgrade.")


def _queue() -> Iterator[Finding]:
    if QueuePause.objects.filter(owner=None).exists():
        yield Finding("queue", "it is paused", "Delete the pause in the administration, under Pauses of the queue.")
    unreadable = Checkpoint.objects.exclude(format_version__in=READABLE).filter(island__state=Island.State.QUEUED)
    if unreadable.exists():
        yield Finding(
            "checkpoints", f"{unreadable.values('island').distinct().count()} islands were saved by a later version",
            "They wait for workers of that version: upgrade these.",
        )  # fmt: skip
    late = Island.objects.filter(state=Island.State.QUEUED, queued_at__lt=Now() - LONG_WAIT).count()
    if late:
        yield Finding(
            "waiting", f"{late} islands have waited for more than ten minutes", "Add workers, or raise ABOVO_WORKERS."
        )
    limit = timedelta(seconds=3 * settings.ABOVO_LEASE_SECONDS)
    silent = Island.objects.filter(state=Island.State.RUNNING, heartbeat_at__lt=Now() - limit).count()
    if silent:
        yield Finding(
            "running", f"{silent} islands have no heartbeat and nobody takes them back", "Start the scheduler."
        )
    failed = Search.objects.filter(state=Search.State.FAILED, finished_at__gt=Now() - timedelta(days=1))
    if failed.exists():
        yield Finding(
            "searches", f"{failed.count()} failed within a day; the last: {failed.latest('finished_at').failure_reason}",
            "What they have stays; the queue in the administration tries them again.",
        )  # fmt: skip
    else:
        yield Finding("searches")


def _security() -> Finding:
    if not settings.PUBLIC_URL and settings.ABOVO_EMAIL:
        return Finding(
            "security", "e-mail is sent, but ABOVO_PUBLIC_URL is not set: links in it lead to this machine alone",
            "Set it to the address that people use, or take ABOVO_EMAIL_URL away (docs/settings.md).",
        )  # fmt: skip
    if not settings.PUBLIC_URL:
        return Finding("security (not public: ABOVO_PUBLIC_URL is not set)")
    warnings = [one for one in run_checks(include_deployment_checks=True) if one.level >= WARNING]
    if warnings:
        return Finding(
            "security", f"{warnings[0].id}: {warnings[0].msg.splitlines()[0]}", "See `manage.py check --deploy`."
        )
    return Finding("security")
