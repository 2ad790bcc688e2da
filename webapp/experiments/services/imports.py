"""Bundles that people bring, and those of the product's own gallery: taken in, and imported by a worker."""

from __future__ import annotations

import contextlib
import logging
import uuid
from datetime import timedelta
from functools import partial
from pathlib import Path

from django.core.files.storage import default_storage
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from engine.bundle import BundleError
from webapp.experiments.models import BundleImport, ImportedSearch, Search
from webapp.experiments.services.datasets import UploadError
from webapp.experiments.services.dispatch import send_import
from webapp.experiments.services.importing import Imported, Interrupted, check_waiting, import_bundle
from webapp.lib import stopping

logger = logging.getLogger(__name__)

FOLDER = "imports"
GALLERY = Path(__file__).resolve().parents[2] / "gallery"
MOST_BYTES = 256 << 20
MOST_WAITING = 5
"""Bundles of one person that may wait at the same time."""

PATIENCE = timedelta(minutes=30)
"""After which an import that was begun is begun anew: its worker has died."""

MOST_ATTEMPTS = 3
"""After which a bundle that brings down whoever looks at it is given up."""

KEPT = timedelta(days=90)
"""How long it stays known what became of an import."""


def receive(*, owner, file, visibility: str) -> BundleImport:
    """Store an uploaded bundle and send for a worker. Raises UploadError; then nothing is kept."""
    if visibility not in Search.Visibility.values:
        raise UploadError("visibility", _("“%(given)s” is not allowed.") % {"given": visibility[:20]})
    if owner is None and visibility == Search.Visibility.PRIVATE:
        raise UploadError("visibility", _("A private search needs an owner: sign in first."))
    if not file.size:
        raise UploadError("file", _("The file is empty."))
    if file.size > MOST_BYTES:
        raise UploadError(
            "file",
            _("The file has %(size)s bytes, allowed are %(most)s.")
            % {"size": f"{file.size:,}", "most": f"{MOST_BYTES:,}"},
        )
    if BundleImport.objects.filter(owner=owner, state=BundleImport.State.WAITING).count() >= MOST_WAITING:
        raise UploadError("file", _("%(n)d bundles of yours are waiting. Try again in a minute.") % {"n": MOST_WAITING})
    target = f"{FOLDER}/{uuid.uuid4()}"
    try:
        with transaction.atomic():
            target = default_storage.save(target, file)
            row = BundleImport.objects.create(
                owner=owner, name=_plain(file.name or ""), file=target, bytes=file.size, visibility=visibility
            )
            transaction.on_commit(partial(send_import, row.pk), robust=True)
    except BaseException:
        default_storage.delete(target)
        raise
    return row


def _plain(name: str) -> str:
    """Return an uploaded file's name as it can be shown."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(one for one in last if one.isprintable())[-200:] or "bundle"


def gallery_bundles() -> list[str]:
    """Return the names of the bundles that come with the product."""
    return sorted(path.name.removesuffix(".jsonl.gz") for path in GALLERY.glob("*.jsonl.gz"))


def gallery_path(name: str) -> Path:
    return GALLERY / f"{name}.jsonl.gz"


def order_gallery(*, owner, once: bool) -> list[BundleImport]:
    """Have a worker import the gallery. once: only into a database that has never had it, nor any search.

    What somebody has deleted does not come back by itself.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Two starters at once: the second waits here, then finds that it is done.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('abovo gallery order'))")
        if once and (BundleImport.objects.exclude(gallery="").exists() or Search.objects.exists()):
            return []
        rows = [
            BundleImport(
                owner=owner, name=name, gallery=name, bytes=gallery_path(name).stat().st_size,
                visibility=Search.Visibility.PUBLIC,
            )
            for name in gallery_bundles()
        ]  # fmt: skip
        rows = BundleImport.objects.bulk_create(rows)
        for row in rows:
            transaction.on_commit(partial(send_import, row.pk), robust=True)
    return rows


def run_import(*, import_id: int) -> BundleImport | None:
    """Import a bundle that waits, unless another worker is at it. Returns None, too, if this one has been asked to end."""
    free = BundleImport.objects.filter(pk=import_id, state=BundleImport.State.WAITING)
    free = free.exclude(claimed_at__gt=timezone.now() - PATIENCE)
    if not free.update(claimed_at=timezone.now(), attempts=F("attempts") + 1):
        return None
    row = BundleImport.objects.select_related("owner").get(pk=import_id)
    reason = ""
    outcome: list[Imported] = []
    try:
        if row.attempts > MOST_ATTEMPTS:
            raise BundleError(_("%(n)d attempts to look at it did not end.") % {"n": MOST_ATTEMPTS})
        outcome = _import(row)
    except BundleError as error:
        reason = str(error)
    except FileNotFoundError:
        reason = _("The file is not there any more: upload it again.")
    except DatabaseError:
        raise  # it waits, and is begun anew
    except Interrupted:
        # Handed back: the next worker need not think that this one has died over it.
        BundleImport.objects.filter(pk=row.pk).update(claimed_at=None, attempts=F("attempts") - 1)
        return None
    except Exception as error:
        logger.exception("import %d failed", row.pk)
        reason = f"{type(error).__name__}: {error}"[:500]
    BundleImport.objects.filter(pk=row.pk).update(
        state=BundleImport.State.REFUSED if reason else BundleImport.State.DONE,
        reason=reason,
        outcome=[
            {"title": one.title, "search": one.search_id, "known": one.known, "same": one.same} for one in outcome
        ],
        done_at=timezone.now(),
        file="",
    )
    if row.file:
        default_storage.delete(row.file)
    row.refresh_from_db()
    return row


def _import(row: BundleImport) -> list[Imported]:
    if row.gallery:
        return import_bundle(gallery_path(row.gallery), owner=row.owner, visibility=row.visibility, gallery=row.gallery)
    with default_storage.open(row.file) as file:
        return import_bundle(file, owner=row.owner, visibility=row.visibility)


def run_waiting(*, most: int = 20) -> int:
    """Import what waits, for messages that were lost; look whether data sets have come that imported searches wait for."""
    done = 0
    waiting = BundleImport.objects.filter(state=BundleImport.State.WAITING).order_by("asked_at")
    for pk in waiting.values_list("pk", flat=True)[:most]:
        if stopping.requested():
            return done
        done += run_import(import_id=pk) is not None
    with contextlib.suppress(Interrupted):
        for row in ImportedSearch.objects.exclude(waits_for=[]).select_related("search", "imported_by")[:most]:
            done += check_waiting(row)
    BundleImport.objects.filter(done_at__lt=timezone.now() - KEPT, gallery="").delete()
    return done
