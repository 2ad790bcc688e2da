"""Compute stored canonical digests anew where the rules of the canonical form have changed since.

Permalinks are of the program exactly as found and never change; the canonical digest only groups programs that are the same
algorithm. Rows of an older version are renewed in batches, while searches run, and the gallery is told.
"""

from __future__ import annotations

import time

from django.db import connection, transaction
from django.db.models import Q

from engine.algorithm import Algorithm as Program
from engine.canonical import CANONICAL_VERSION, canonical_digest
from engine.ops import OP_SET_VERSION
from webapp.experiments.models import Algorithm, Discovery, GalleryChange

BATCH = 500
"""Algorithms renewed in one transaction: about a second."""

_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('abovo canonical'))"


def renew_for(seconds: float) -> int:
    """Renew batches for about so long, or until there is nothing to renew; returns how many algorithms that were."""
    began, total = time.monotonic(), 0
    while done := renew_batch():
        total += done
        if time.monotonic() - began >= seconds:
            break
    return total


def renew_batch(*, limit: int = BATCH) -> int:
    """Renew up to `limit` algorithms of older versions in one transaction; returns how many, 0 if another worker is at it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_LOCK)
        if not cursor.fetchone()[0]:
            return 0
        # Of one form at a time, so that its row of the gallery goes once.
        old = Algorithm.objects.filter(canonical_version__lt=CANONICAL_VERSION, op_set_version=OP_SET_VERSION)
        rows = list(old.order_by("canonical_version", "canonical_digest")[:limit])
        forms = Q(pk__in=[])
        for row in rows:
            forms |= Q(canonical_version=row.canonical_version, canonical_digest=bytes(row.canonical_digest or b""))
            row.canonical_digest = canonical_digest(Program.from_json(row.program))
            row.canonical_version = CANONICAL_VERSION
        if rows:
            Discovery.objects.filter(forms).delete()
            Algorithm.objects.bulk_update(rows, ["canonical_digest", "canonical_version"])
            GalleryChange.objects.bulk_create(GalleryChange(algorithm=row.pk) for row in rows)
    return len(rows)
