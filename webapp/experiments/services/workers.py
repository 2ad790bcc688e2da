"""The workers' own rows: who they are, that they live, what they have done, and whether they may take more."""

from __future__ import annotations

import os
import socket

import psutil
from django.db.models import F
from django.db.models.functions import Now

from webapp.experiments.models import Worker
from webapp.experiments.services.lease import worker_name
from webapp.lib.version import VERSION

SILENT_SECONDS = 30
"""After which a worker that has not renewed its row is taken for gone."""
FORGET_DAYS = 2


def renew(*, slots: int) -> Worker:
    """Write that this worker lives; makes its row at the first time. slots: slices that it runs at a time."""
    worker, _created = Worker.objects.update_or_create(
        name=worker_name(),
        defaults={
            "host": socket.gethostname(), "pid": os.getpid(), "version": VERSION, "cores": _cores(), "slots": slots,
            "memory_bytes": _memory(), "seen_at": Now(),
        },
    )  # fmt: skip
    return worker


def leave() -> None:
    """Take this worker's row away: it ends."""
    Worker.objects.filter(name=worker_name()).delete()


def credit(owner: str, individuals: float, seconds: float) -> None:
    """Add what a slice has committed to the row of the worker that ran it. owner: of its lease."""
    Worker.objects.filter(name=owner.rpartition("/")[0]).update(
        individuals=F("individuals") + individuals, busy_seconds=F("busy_seconds") + seconds
    )


def may_take_work() -> bool:
    """Whether this worker is not draining."""
    return not Worker.objects.filter(name=worker_name(), draining=True).exists()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> int:
    """Return the bytes that this process and its children hold."""
    total = 0
    own = psutil.Process()
    for process in [own, *own.children(recursive=True)]:
        try:
            total += process.memory_info().rss
        except psutil.Error:  # it has just ended
            continue
    return total
