"""What operators use: metrics, retention, the doctor, logs as objects."""

import json
import logging
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from webapp.experiments.management.commands.doctor import examine
from webapp.experiments.models import Checkpoint, CurvePoint, Find, Individual, QueuePause, Search
from webapp.experiments.services import workers
from webapp.experiments.services.lease import Lease
from webapp.experiments.services.retention import Policy, prune
from webapp.lib.log_format import JsonFormatter, about

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN = "a token of some length"


def test_metrics(client, settings, make_search, run):
    run(make_search())
    settings.ABOVO_METRICS_TOKEN = None
    assert client.get("/metrics").status_code == 404
    settings.ABOVO_METRICS_TOKEN = TOKEN
    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"authorization": "Bearer wrong"}).status_code == 404
    answer = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = answer.content.decode().splitlines()
    assert 'abovo_islands{state="queued"} 1' in lines and "abovo_individuals 10" in lines
    samples = [line for line in lines if not line.startswith("#")]
    assert all(float(line.rpartition(" ")[2]) >= 0 for line in samples)


def test_prune_keeps_what_pages_need_and_counts_first(make_search, run, engine):
    engine.births_at_end = 30
    old, young = make_search(), make_search(seed=2)
    for search in (old, young):
        run(search, 3)
    Search.objects.filter(pk=old.pk).update(finished_at=timezone.now() - timedelta(days=400))
    before = (Find.objects.count(), Individual.objects.count(), CurvePoint.objects.count(), Checkpoint.objects.count())
    policy = Policy(curve_points=10)
    expected = prune(policy, dry_run=True)
    assert before == (
        Find.objects.count(),
        Individual.objects.count(),
        CurvePoint.objects.count(),
        Checkpoint.objects.count(),
    )
    assert expected["checkpoints"] == 2 and expected["curve points"] > 0
    assert prune(policy, dry_run=False) == expected
    assert (Find.objects.count(), Individual.objects.count()) == before[:2]
    kept = CurvePoint.objects.filter(island__search=old).order_by("individuals").values_list("individuals", flat=True)
    assert 10 <= len(kept) <= 12 and (kept[0], kept[len(kept) - 1]) == (1, 30)
    assert CurvePoint.objects.filter(island__search=young).count() == 30
    assert Checkpoint.objects.filter(island__search=young).count() == 2
    assert not any(prune(policy, dry_run=False).values())


def test_the_prune_command_says_what_would_go(make_search, run, engine):
    engine.births_at_end = 10
    run(make_search())
    Search.objects.update(finished_at=timezone.now() - timedelta(days=8))
    output = StringIO()
    call_command("prune", "--dry-run", stdout=output)
    assert "1 checkpoints would go" in output.getvalue() and Checkpoint.objects.count() == 1
    call_command("prune", "--checkpoints-days", "never", stdout=output)
    assert Checkpoint.objects.count() == 1


def findings():
    return {finding.what.partition(" (")[0]: finding.wrong for finding in examine()}


def test_the_doctor_finds_what_is_wrong(make_search, run, engine, settings, monkeypatch):
    assert "none has been seen" in findings()["workers"]
    worker = workers.renew(slots=2)
    workers.Worker.objects.create(name="scheduler", host="h", pid=1, version=worker.version, cores=1, slots=0)
    found = findings()
    assert not any(found[name] for name in ("database", "tables", "workers", "scheduler", "searches", "settings"))
    search = make_search()
    run(search)
    Lease.claim(island_id=search.islands.get().pk, attempt=2)
    search.islands.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    QueuePause.objects.create()
    workers.Worker.objects.update(draining=True)
    Search.objects.create(
        title="x", spec={}, seed=1, state="failed", failure_reason="broke", finished_at=timezone.now()
    )
    monkeypatch.setenv("ABOVO_WORKER", "3")
    found = findings()
    assert "ABOVO_WORKER" in found["settings"] and "paused" in found["queue"] and "draining" in found["workers"]
    assert "no heartbeat" in found["running"] and "broke" in found["searches"]


def test_the_doctor_knows_that_links_in_letters_need_an_address(settings):
    settings.ABOVO_EMAIL, settings.PUBLIC_URL = True, ""
    assert "ABOVO_PUBLIC_URL is not set" in findings()["security"]
    settings.ABOVO_EMAIL = False
    assert not findings()["security"]


def test_the_doctor_ends_with_a_status(make_search):
    output = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", stdout=output)
    assert ended.value.code == 1
    assert "✗ workers" in output.getvalue() and "to mend." in output.getvalue()


def test_logs_as_objects_tell_what_they_are_about():
    record = logging.LogRecord("webapp", logging.WARNING, "x.py", 1, "한 %s", ("줄\nof two",), None)
    with about(search=3), about(island=5, attempt=2):
        entry = json.loads(JsonFormatter().format(record))
    assert (entry["search"], entry["island"], entry["attempt"]) == (3, 5, 2)
    assert entry["message"] == "한 줄\nof two" and entry["level"] == "WARNING"
    assert "search" not in json.loads(JsonFormatter().format(record))
    try:
        raise ValueError("why")
    except ValueError as error:
        record.exc_info = (ValueError, error, error.__traceback__)
    line = JsonFormatter().format(record)
    assert "\n" not in line and "ValueError: why" in json.loads(line)["traceback"]
