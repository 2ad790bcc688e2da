"""Stored algorithms are grouped anew when the rules of the canonical form change; permalinks stay."""

from __future__ import annotations

import random

import pytest
from django.core.management import call_command

from engine.baselines import linear, neural_network
from engine.canonical import CANONICAL_VERSION, canonical_digest
from tests.engine.programs import reordered
from webapp.experiments.models import Algorithm, Discovery, GalleryChange
from webapp.experiments.services import recanonical
from webapp.experiments.services.gallery import refresh_until_done
from webapp.experiments.services.record import record_algorithms

pytestmark = pytest.mark.django_db


@pytest.fixture
def old_rows():
    """The net in several orders of its lines, and the linear model, under an older version that told all apart."""
    source = random.Random(1)
    programs = {linear().digest(): linear()}
    while len(programs) < 6:
        program = reordered(neural_network(), source)
        programs[program.digest()] = program
    record_algorithms(list(programs.values()), published=True)
    for row in Algorithm.objects.all():
        row.canonical_digest, row.canonical_version = bytes(row.digest), CANONICAL_VERSION - 1
        row.save(update_fields=["canonical_digest", "canonical_version"])
    GalleryChange.objects.all().delete()
    return programs


def test_programs_of_one_form_come_together(old_rows):
    before = dict(Algorithm.objects.values_list("permalink", "digest"))
    call_command("recanonicalise", verbosity=0)
    rows = list(Algorithm.objects.all())
    assert {row.permalink: bytes(row.digest) for row in rows} == {k: bytes(v) for k, v in before.items()}
    assert {row.canonical_version for row in rows} == {CANONICAL_VERSION}
    groups = {bytes(row.canonical_digest) for row in rows}
    assert groups == {canonical_digest(linear()), canonical_digest(neural_network())}
    assert GalleryChange.objects.count() == len(rows)
    assert recanonical.renew_batch() == 0


def test_in_batches_and_by_the_clock(old_rows):
    assert recanonical.renew_batch(limit=4) == 4
    assert Algorithm.objects.filter(canonical_version=CANONICAL_VERSION).count() == 4
    assert recanonical.renew_for(60.0) == 2
    assert recanonical.renew_for(60.0) == 0


def test_newer_and_unknown_rows_are_left_alone(old_rows):
    Algorithm.objects.update(canonical_version=CANONICAL_VERSION + 1)
    unknown = Algorithm.objects.first()
    Algorithm.objects.filter(pk=unknown.pk).update(op_set_version=99, canonical_version=CANONICAL_VERSION - 1)
    assert recanonical.renew_batch() == 0


def test_the_gallery_follows(make_search, run):
    search = make_search()
    run(search)
    refresh_until_done()
    shown = Discovery.objects.count()
    assert shown
    Algorithm.objects.update(canonical_version=CANONICAL_VERSION - 1)
    Discovery.objects.update(canonical_version=CANONICAL_VERSION - 1)
    recanonical.renew_for(60.0)
    refresh_until_done()
    assert set(Discovery.objects.values_list("canonical_version", flat=True)) == {CANONICAL_VERSION}
    assert Discovery.objects.count() == shown
