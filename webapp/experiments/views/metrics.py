"""Figures for Prometheus, in its text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Count, Min, Q, Sum
from django.http import Http404, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from webapp.experiments.models import Algorithm, Island, QueuePause, Search, Worker
from webapp.experiments.services import broker
from webapp.experiments.services.workers import SILENT_SECONDS


@never_cache
@require_safe
def metrics(request):
    """Answer who knows ABOVO_METRICS_TOKEN; for everybody else there is no such page."""
    token = settings.ABOVO_METRICS_TOKEN
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not token or not constant_time_compare(given, token):
        raise Http404
    return HttpResponse("".join(_lines()), content_type="text/plain; version=0.0.4; charset=utf-8")


def _lines() -> Iterator[str]:
    with connection.cursor() as cursor:  # by the database's clock, as everything that is measured
        cursor.execute("SELECT now()")
        now = cursor.fetchone()[0]
    islands = dict(Island.objects.order_by().values_list("state").annotate(Count("pk")))
    searches = dict(Search.objects.order_by().values_list("state").annotate(Count("pk")))
    oldest = Island.objects.aggregate(
        waiting=Min("queued_at", filter=_state("queued")), heartbeat=Min("heartbeat_at", filter=_state("running"))
    )
    totals = Search.objects.aggregate(individuals=Sum("individuals"), evaluations=Sum("evaluations"))
    alive = Worker.objects.filter(seen_at__gt=now - timedelta(seconds=SILENT_SECONDS))
    workers = alive.aggregate(count=Count("pk"), slots=Sum("slots"), memory=Sum("memory_bytes"))
    yield from _metric(
        "abovo_islands", "gauge", "Islands by state.", ((f'{{state="{s}"}}', n) for s, n in islands.items())
    )
    yield from _metric(
        "abovo_searches", "gauge", "Searches by state.", ((f'{{state="{s}"}}', n) for s, n in searches.items())
    )
    yield from _metric(
        "abovo_wait_seconds", "gauge", "How long the first in the queue has waited.", _age(now, oldest["waiting"])
    )
    yield from _metric(
        "abovo_heartbeat_seconds", "gauge", "The oldest heartbeat of a running island.", _age(now, oldest["heartbeat"])
    )
    for name in ("individuals", "evaluations"):
        yield from _metric(f"abovo_{name}", "gauge", f"All {name} of the searches stored.", [("", totals[name] or 0)])
    yield from _metric("abovo_algorithms", "gauge", "Algorithms stored.", [("", Algorithm.objects.count())])
    yield from _metric("abovo_workers", "gauge", "Workers seen lately.", [("", workers["count"])])
    yield from _metric(
        "abovo_worker_slots", "gauge", "Slices that they can run at a time.", [("", workers["slots"] or 0)]
    )
    yield from _metric("abovo_worker_memory_bytes", "gauge", "Memory that they hold.", [("", workers["memory"] or 0)])
    yield from _metric("abovo_queue_pauses", "gauge", "Pauses of the queue.", [("", QueuePause.objects.count())])
    depths = broker.queues()
    yield from _metric("abovo_broker_up", "gauge", "Whether the broker answers.", [("", int(depths is not None))])
    yield from _metric(
        "abovo_messages",
        "gauge",
        "Messages in each queue.",
        ((f'{{queue="{one.name}"}}', one.messages) for one in depths or ()),
    )


def _state(state: str) -> Q:
    return Q(state=state)


def _age(now, moment) -> list[tuple[str, float]]:
    return [("", max((now - moment).total_seconds(), 0.0) if moment else 0.0)]


def _metric(name: str, kind: str, meaning: str, samples: Iterable[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n"
    for labels, value in samples:
        yield f"{name}{labels} {value}\n"
