"""Write searches that have ended as bundles (engine.bundle). The same search gives the same bytes."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _

from engine.algorithm import Algorithm as Program
from engine.bundle import BundledFind, BundledStudy, Event, Head, IslandState, Origin, Row, write_search
from engine.bundle.form import COUNTERS, FIND_VALUES, POINT, STATES
from engine.spec import SearchSpec
from webapp.experiments.models import CurvePoint, Find, ImportedSearch, Search
from webapp.experiments.services.measure import VERSION as MEASUREMENT_VERSION
from webapp.lib.version import VERSION

FETCHED = 2000

OF_THE_INSTALLATION = ("turn", "retried", "island-failed", "imported")
"""Lines of the log that name workers or quote errors of this installation; they stay here."""

_LINES = """
    WITH RECURSIVE line AS (
        SELECT island_id, birth FROM experiments_find WHERE id = ANY(%s)
      UNION
        SELECT COALESCE(one.parent_island_id, one.island_id), one.parent
        FROM line JOIN experiments_individual one ON one.island_id = line.island_id AND one.birth = line.birth
        WHERE one.parent IS NOT NULL
    )
    SELECT island.index, one.birth, one.parent, above.index, one.mutation, one.change, one.score, one.depth
    FROM line JOIN experiments_individual one ON one.island_id = line.island_id AND one.birth = line.birth
    JOIN experiments_island island ON island.id = one.island_id
    LEFT JOIN experiments_island above ON above.id = one.parent_island_id
    ORDER BY one.depth, island.index, one.birth
"""
"""Everything that finds descend from, each once, parents first."""


class NotExportable(Exception):
    """The search cannot be exported as it is; the message is for people."""


@dataclass(frozen=True)
class Excerpt:
    """How much of a search to write: of its finds what it chose, the largest gains and some on the way; of its curves evenly
    so many points. Ancestry is always complete. None: everything."""

    finds: int | None = None
    points: int | None = None


GALLERY = Excerpt(finds=16, points=150)


def check_exportable(search: Search) -> None:
    """Raise NotExportable for a search that has not ended."""
    if search.state not in Search.ENDED:
        raise NotExportable(
            _("Search %(id)d has not ended (%(state)s): it can be exported once it has.")
            % {"id": search.pk, "state": search.get_state_display().lower()}
        )


def export_searches(
    searches: Sequence[Search], file: BinaryIO, *, excerpt: Excerpt | None = None, packed: bool
) -> None:
    """Write searches into a file, one section each. packed: gzipped. Raises NotExportable before anything is written."""
    for search in searches:
        check_exportable(search)
    if packed:
        # No name and no time, so that the bytes depend on nothing else.
        with gzip.GzipFile("", "wb", compresslevel=9, fileobj=file, mtime=0) as pack:
            for search in searches:
                _export(search, pack, excerpt or Excerpt())
    else:
        for search in searches:
            _export(search, file, excerpt or Excerpt())


def file_name(search: Search) -> str:
    """Return what a search's bundle is called."""
    return f"search-{search.pk}.jsonl.gz"


def packed(search: Search) -> BinaryIO:
    """Return a search's bundle as an open file. Raises NotExportable."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the response closes it)
    try:
        export_searches([search], file, packed=True)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _export(search: Search, file: BinaryIO, excerpt: Excerpt) -> None:
    with transaction.atomic():
        finds = list(search.finds.select_related("algorithm", "island", "measurement"))
        if excerpt.finds is not None:
            finds = chosen_finds(search, finds, excerpt.finds)
        islands = list(search.islands.order_by("index"))
        write_search(
            file,
            _head(search, finds),
            islands=[
                IslandState(
                    one.index, one.state if one.state in STATES else "stopped",
                    {name: getattr(one, name) for name in COUNTERS}, one.seconds,
                )
                for one in islands
            ],
            finds=map(bundled, finds),
            ancestry=_ancestry(finds),
            curves=((one.index, _points(one.pk, excerpt.points)) for one in islands),
            events=_events(search),
        )  # fmt: skip


def _head(search: Search, finds: Sequence[Find]) -> Head:
    imported = ImportedSearch.objects.filter(search=search).first()
    if imported is not None:
        origin = Origin(**imported.origin)
    else:
        public = settings.PUBLIC_URL
        origin = Origin(
            instance=public.netloc if public else "",
            author=search.owner.get_username() if search.owner else "",
            version=VERSION,
        )
    result = next((find for find in finds if find.pk == search.result_id), None)
    study = search.study
    return Head(
        uid=search.uid,
        title=search.title,
        spec=SearchSpec.from_json(search.spec),
        seed=search.seed,
        state=search.state,
        finish_reason=search.finish_reason,
        failure_reason=search.failure_reason,
        solved=search.solved,
        result=(result.island.index, result.birth) if result else None,
        baselines=search.baselines,
        evaluation_version=search.evaluation_version,
        created_at=search.created_at,
        started_at=search.started_at,
        finished_at=search.finished_at,
        origin=origin,
        study=study
        and BundledStudy(study.uid, study.title, list(study.varied), dict(search.study_values), study.created_at),
    )


def chosen_finds(search: Search, finds: Sequence[Find], most: int) -> list[Find]:
    """Return about `most` of a search's finds, in their order: result, best, the largest gains, and some in between."""
    kept = {search.result_id, search.best_id}
    kept |= {find.pk for find in finds if find.select_score is not None}
    gains = sorted((find for find in finds if find.gain), key=lambda find: -(find.gain or 0.0))
    kept |= {find.pk for find in gains[: most // 2]}
    kept |= {finds[round(step * (len(finds) - 1) / max(most // 2, 1))].pk for step in range(most // 2) if finds}
    return [find for find in finds if find.pk in kept]


def bundled(find: Find) -> BundledFind:
    """Return a find as bundles have it; its algorithm and island must have been fetched with it."""
    measurement = getattr(find, "measurement", None)
    data = measurement.data if measurement else None
    return BundledFind(
        island=find.island.index,
        birth=find.birth,
        algorithm=Program.from_json(find.algorithm.program),
        found_at=find.found_at,
        measurement=data if data and data.get("version") == MEASUREMENT_VERSION else None,
        **{name: getattr(find, name) for name in FIND_VALUES},
    )


def _ancestry(finds: Sequence[Find]) -> Iterator[Row]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(_LINES, [[find.pk for find in finds]])
        while rows := cursor.fetchmany(FETCHED):
            for island, birth, parent, above, mutation, change, score, depth in rows:
                yield Row(island, birth, parent, above, mutation, json.loads(change), score, depth)


def _points(island_id: int, most: int | None) -> Iterator[Sequence]:
    rows = CurvePoint.objects.filter(island_id=island_id).order_by("individuals").values_list(*POINT)
    if most is None:
        return rows.iterator(chunk_size=FETCHED)
    points = list(rows)
    if len(points) <= most:
        return iter(points)
    return iter([points[round(step * (len(points) - 1) / (most - 1))] for step in range(most)])


def _events(search: Search) -> Iterator[Event]:
    for one in search.events.exclude(kind__in=OF_THE_INSTALLATION).order_by("id"):
        yield Event(one.kind, one.at, one.island_index, one.data)
