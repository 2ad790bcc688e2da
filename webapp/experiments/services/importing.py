"""Bring searches in from a bundle: everything is checked before anything is kept, and then all is kept or nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction
from django.utils import timezone

from engine.bundle import (
    Bundle,
    BundledFind,
    BundledStudy,
    BundleError,
    Checked,
    Head,
    Row,
    ScoreCheck,
    Section,
    check_scores,
    check_section,
)
from engine.bundle.form import COUNTERS, FIND_VALUES, POINT
from engine.datasets import DatasetError
from engine.evaluation_version import EVALUATION_VERSION
from engine.records import Counters, CurvePoint
from engine.spec import SearchSpec
from engine.task import TaskError
from webapp.experiments import lineage
from webapp.experiments.data_facts import names_for
from webapp.experiments.models import Event, Find, ImportedSearch, Island, Measurement, Search, Study
from webapp.experiments.services import ancestry, record
from webapp.experiments.services.baselines import baseline_scores
from webapp.experiments.services.datasets import fetch_uploads
from webapp.experiments.services.exporting import bundled
from webapp.experiments.services.launch import datasets_of
from webapp.experiments.services.measure import VERSION as MEASUREMENT_VERSION
from webapp.experiments.services.measurement_form import check_measurement
from webapp.lib import stopping

logger = logging.getLogger(__name__)

BATCH = 5000
NOT_ASKED = "nobody asked for it"


class Interrupted(Exception):
    """The worker has been asked to end before the import was kept: nothing has been."""


@dataclass(frozen=True)
class Imported:
    """What became of a search of a bundle. known: it was here already, and nothing was changed. same: as it is here."""

    search_id: int
    title: str
    known: bool = False
    same: bool = True


@dataclass(frozen=True)
class _Sound:
    """A search whose section has been checked."""

    section: Section
    checked: Checked
    scores: ScoreCheck
    waits_for: list[str]


def import_bundle(
    source: str | Path | BinaryIO, *, owner, visibility: str, gallery: str = "", with_scores: bool = True
) -> list[Imported]:
    """Import the searches of a bundle for `owner`; those that are here already stay as they are.

    gallery: the name of the bundle, if it comes with the product: its measurements are then believed. with_scores: compute
    a sample of the scores anew, where the data sets are here. Raises BundleError or Interrupted; then nothing has been kept.
    """
    with Bundle(source) as bundle:
        known = {search.uid: search for search in Search.objects.filter(uid__in=_uids(bundle))}
        sound = {
            section: _check(section, owner, with_scores=with_scores)
            for section in bundle.sections
            if section.head().uid not in known
        }
        with transaction.atomic():
            with connection.cursor() as cursor:
                # Of two imports of the same bundle the second finds what the first has brought.
                cursor.execute("SELECT pg_advisory_xact_lock(hashtext('abovo import'))")
            return [_keep(section, sound.get(section), owner, visibility, gallery) for section in bundle.sections]


def _uids(bundle: Bundle) -> list:
    uids = [section.head().uid for section in bundle.sections]
    for position, uid in enumerate(uids):
        if uid in uids[:position]:
            raise BundleError(f"line {bundle.sections[position].first}: uid: this search is in the bundle twice")
    return uids


def _check(section: Section, owner, *, with_scores: bool) -> _Sound:
    _unless_stopping()
    checked = check_section(section)
    for find in checked.finds:
        if find.measurement is not None:
            try:
                check_measurement(find.measurement, find, checked.head.spec)
            except (TypeError, KeyError, BundleError) as error:
                place = f"find: birth {find.birth} of island {find.island}"
                raise BundleError(
                    f"{place}: {error}" if isinstance(error, BundleError) else f"{place}: measurement"
                ) from None
    if not with_scores:
        return _Sound(section, checked, ScoreCheck(reason=NOT_ASKED), [])
    missing = missing_data(checked.head, owner) if checked.head.evaluation_version == EVALUATION_VERSION else []
    if missing:
        return _Sound(section, checked, ScoreCheck(reason=f"data: {', '.join(missing)}"), missing)
    return _Sound(section, checked, computed_anew(checked.head, checked.finds), [])


def missing_data(head: Head, owner) -> list[str]:
    """Return the data sets of a search's tasks that are not here, or not for the owner."""
    here = names_for(owner or AnonymousUser())
    return sorted({name for name in datasets_of(head.spec).values() if name not in here})


def computed_anew(head: Head, finds: Sequence[BundledFind]) -> ScoreCheck:
    """Return what comes of computing scores anew. Raises BundleError where one is another, Interrupted if the worker is to end."""
    fetch_uploads(datasets_of(head.spec).values())
    return check_scores(head, finds, between=_unless_stopping)


def _unless_stopping() -> None:
    if stopping.requested():
        raise Interrupted


# --- keeping ------------------------------------------------------------------------------------------------------------


def _keep(section: Section, sound: _Sound | None, owner, visibility: str, gallery: str) -> Imported:
    head = section.head()
    here = Search.objects.filter(uid=head.uid).select_related("imported").first()
    if here is not None:
        imported = getattr(here, "imported", None)
        same = imported is None or bytes(imported.digest) == section.digest
        return Imported(here.pk, here.title, known=True, same=same)
    assert sound is not None, "it was here when the others were checked, and is gone: import again"
    checked = sound.checked
    search = _search(checked, owner, visibility)
    islands = _islands(search, checked)
    _ancestry(section, head, islands)
    _curves(section, head, islands)
    finds = _finds(search, islands, checked, published=visibility != Search.Visibility.PRIVATE, believed=bool(gallery))
    _log(section, search, owner)
    if head.result is not None:
        search.result = finds[head.result]
    scored = [find for find in finds.values() if find.score is not None]
    search.best = max(scored, key=lambda find: (find.score, -find.individuals, -find.birth), default=None)
    search.save(update_fields=["result", "best"])
    ImportedSearch.objects.create(
        search=search, digest=section.digest, origin=vars(head.origin), gallery=gallery, imported_by=owner,
        individuals=checked.individuals, finds=len(checked.finds), scores=vars(sound.scores), waits_for=sound.waits_for,
    )  # fmt: skip
    return Imported(search.pk, search.title)


def _search(checked: Checked, owner, visibility: str) -> Search:
    head, islands = checked.head, checked.islands
    now = timezone.now()
    totals = {name: sum(one.counters[name] for one in islands) for name in COUNTERS}
    return Search.objects.create(
        uid=head.uid, evaluation_version=head.evaluation_version, owner=owner, title=head.title, spec=head.spec.to_json(), spec_name=head.spec.name, seed=head.seed,
        state=head.state, visibility=visibility, created_at=head.created_at or now,
        started_at=head.started_at, finished_at=head.finished_at or now, finish_reason=head.finish_reason,
        failure_reason=head.failure_reason, solved=head.solved, baselines=head.baselines or _baselines(head, owner),
        study=_study(head.study, owner, visibility) if head.study else None,
        study_values=head.study.values if head.study else {},
        **{name: min(value, 2**63 - 1) for name, value in totals.items()},
        seconds=max((one.seconds for one in islands), default=0.0),
    )  # fmt: skip


def _baselines(head: Head, owner) -> dict:
    """Return the hand-designed models' scores where the bundle has none (the command line does not compute them)."""
    if missing_data(head, owner):
        return {}
    try:
        return baseline_scores(head.spec, head.seed)
    except (DatasetError, TaskError) as error:
        logger.warning("baselines of an imported search: %s", error)
        return {}


def _study(study: BundledStudy, owner, visibility: str) -> Study | None:
    """Return the search's study; None where one of that identity is here that belongs to somebody else."""
    values = {"owner": owner, "title": study.title, "visibility": visibility, "varied": study.varied}
    if study.created_at:
        values["created_at"] = study.created_at
    row, _created = Study.objects.get_or_create(uid=study.uid, defaults=values)
    return row if row.owner == owner else None


def _islands(search: Search, checked: Checked) -> list[Island]:
    ended = search.finished_at
    return Island.objects.bulk_create(
        Island(
            search=search, index=one.index, state=one.state, queued_at=ended, sent_at=ended, updated_at=ended,
            seconds=one.seconds, **one.counters,
        )
        for one in checked.islands
    )  # fmt: skip


def _ancestry(section: Section, head: Head, islands: list[Island]) -> None:
    """Store all individuals, then the waypoints of their lines, oldest first."""
    waiting: dict[int, list[ancestry.Row]] = {}
    due: list[tuple[int, ancestry.Row]] = []
    for row, _program in section.ancestry(head):
        island = islands[row.island]
        stored = _row(row, island.pk, islands)
        rows = waiting.setdefault(island.pk, [])
        rows.append(stored)
        if row.depth and row.depth % lineage.STRETCH == 0:
            due.append((island.pk, stored))
        if len(rows) == BATCH:
            ancestry.store_rows(island.pk, rows)
            rows.clear()
    for island_id, rows in waiting.items():
        ancestry.store_rows(island_id, rows)
    for island_id, stored in sorted(due, key=lambda one: one[1].depth):
        ancestry.record_waypoints(island_id, {stored.birth: stored})


def _row(row: Row, island_id: int, islands: list[Island]) -> ancestry.Row:
    parent_island = None if row.parent_island is None else islands[row.parent_island].pk
    return ancestry.Row(
        island_id, row.birth, row.depth, row.mutation, row.change, row.score, row.parent, parent_island
    )  # fmt: skip


_COUNTED = POINT[POINT.index("evaluations") :]


def _curves(section: Section, head: Head, islands: list[Island]) -> None:
    """Store the points in the portions that the search reported them in: counters stand at the last of each."""
    portion: list[CurvePoint] = []
    of = -1
    for index, values in section.points(head):
        if index != of:
            _store_points(islands, of, portion, None)
            portion, of = [], index
        point = dict(zip(POINT, values, strict=True))
        counted = {name: point.pop(name) for name in _COUNTED}
        portion.append(CurvePoint(**point))
        if None not in counted.values():
            _store_points(islands, of, portion, Counters(**counted))
            portion = []
        elif len(portion) == BATCH:
            _store_points(islands, of, portion, None)
            portion = []
    _store_points(islands, of, portion, None)


def _store_points(islands: list[Island], index: int, points: list[CurvePoint], counters: Counters | None) -> None:
    if points:
        record.record_points(islands[index].pk, points, counters)


def _finds(
    search: Search, islands: list[Island], checked: Checked, *, published: bool, believed: bool
) -> dict[tuple[int, int], Find]:
    """Store algorithms, finds and measurements; returns the finds by place."""
    algorithms = record.record_algorithms([find.algorithm for find in checked.finds], published=published)
    rows = []
    for one in checked.finds:
        island = islands[one.island]
        mutation, diff, depth = record.mutation_of(island.pk, one.birth)
        values = {name: getattr(one, name) for name in FIND_VALUES}
        rows.append(
            Find(
                algorithm=algorithms[one.algorithm.digest()], search=search, island=island, birth=one.birth,
                mutation=mutation, diff=diff, depth=depth, found_at=one.found_at or search.finished_at, **values,
            )
        )  # fmt: skip
    finds = Find.objects.bulk_create(rows, batch_size=BATCH)
    # Of version 0: shown as it is, and measured anew here as soon as a worker has time and the data.
    version = MEASUREMENT_VERSION if believed else 0
    Measurement.objects.bulk_create(
        Measurement(find=find, data=one.measurement, version=version)
        for find, one in zip(finds, checked.finds, strict=True)
        if one.measurement is not None
    )
    return {(one.island, one.birth): find for find, one in zip(finds, checked.finds, strict=True)}


def _log(section: Section, search: Search, owner) -> None:
    Event.objects.bulk_create(
        Event(search=search, kind=one.kind, island_index=one.island, data=one.data, at=one.at or search.finished_at)
        for one in section.events()
    )
    Event.objects.create(search=search, kind="imported", user=owner)


# --- later --------------------------------------------------------------------------------------------------------------


def check_waiting(row: ImportedSearch) -> bool:
    """Compute the scores of a search that waits for data sets, if these have come. Returns whether that was done.

    Scores that turn out to be others are noted, and said on the search's page: it stays, since people may have linked to it.
    """
    search = row.search
    spec_head = _head_of(search)
    if missing_data(spec_head, row.imported_by):
        return False
    row.checked_at, row.waits_for = timezone.now(), []
    try:
        row.scores = vars(computed_anew(spec_head, _finds_of(search)))
    except BundleError as error:
        row.scores_failed = str(error)
        row.scores = vars(replace(ScoreCheck(), reason=str(error)))
    row.save(update_fields=["checked_at", "waits_for", "scores", "scores_failed"])
    if not search.baselines:
        Search.objects.filter(pk=search.pk).update(baselines=_baselines(spec_head, row.imported_by))
    return True


def _head_of(search: Search) -> Head:
    spec = SearchSpec.from_json(search.spec)
    return Head(
        search.uid, search.title, spec, search.seed, search.state, evaluation_version=search.evaluation_version
    )  # fmt: skip


def _finds_of(search: Search) -> list[BundledFind]:
    return [bundled(find) for find in search.finds.select_related("algorithm", "island")]
