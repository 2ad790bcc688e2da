"""Keep the gallery's rows in step with the finds.

Triggers note each algorithm whose finds changed; a job reads the notes every few seconds and makes the rows of those
algorithms anew. What is open to whom is asked again when a page is read, so that a row that is late shows nobody
anything that has been closed since.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import translation

from engine.algorithm import Algorithm as Program
from engine.ops import Op
from engine.spec import SearchSpec
from webapp.experiments import words
from webapp.experiments.annotation import Annotation, annotate
from webapp.experiments.models import Algorithm, Discovery, Find, GalleryChange, Search
from webapp.experiments.specs import read_spec

BATCH = 500
"""Algorithms looked at in one transaction."""

MOST_FACETS = 200
"""Authors and data sets of an algorithm that is found everywhere are cut off here."""

TraitsOf = Callable[[Algorithm], "Traits"]

_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('abovo gallery'))"
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('abovo gallery'))"


@dataclass(frozen=True, slots=True)
class _Task:
    """What the gallery wants of a search."""

    data: str
    title: str
    baselines: dict
    owner: int | None
    owner_name: str
    public: bool
    spec: SearchSpec


@dataclass(slots=True)
class _Entry:
    """The finds of one canonical form that one audience may see, boiled down."""

    best: tuple | None = None
    finds: int = 0
    chosen: bool = False
    first: datetime | None = None
    tasks: dict[int, _Task] = field(default_factory=dict)


def refresh_pending(*, limit: int = BATCH, traits: TraitsOf | None = None, wait: bool = False) -> int:
    """Bring the rows of up to `limit` noted changes up to date; returns how many notes were dealt with.

    wait: for another process that is at it; without, it is left to that one, and nothing is done here.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_LOCK if wait else _TRY_LOCK)
        if not wait and not cursor.fetchone()[0]:
            return 0
        notes = dict(GalleryChange.objects.order_by("id").values_list("id", "algorithm")[:limit])
        if notes:
            refresh(set(notes.values()), traits=traits)
            GalleryChange.objects.filter(id__in=list(notes)).delete()
    return len(notes)


def refresh_all(*, traits: TraitsOf | None = None) -> int:
    """Make the whole gallery anew, batch by batch; returns how many algorithms were looked at."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM experiments_gallerychange")
        # Programs of one form side by side, so that its finds are read once.
        cursor.execute(
            "INSERT INTO experiments_gallerychange (algorithm) SELECT id FROM experiments_algorithm "
            "ORDER BY canonical_digest"
        )
    return refresh_until_done(traits=traits)


def refresh_until_done(*, traits: TraitsOf | None = None) -> int:
    """Deal with all noted changes, by turns with other processes that do; returns how many were dealt with here."""
    total = 0
    while done := refresh_pending(traits=traits, wait=True):
        total += done
    return total


def refresh(algorithm_ids: Iterable[int], *, traits: TraitsOf | None = None) -> None:
    """Make the rows of these algorithms' canonical forms anew; rows whose finds are all gone go, too.

    traits: how a program is read, where that is not traits_of.
    """
    keys = set(
        Algorithm.objects.filter(id__in=list(algorithm_ids), canonical_digest__isnull=False).values_list(
            "canonical_version", "canonical_digest"
        )
    )
    forms = [(version, bytes(digest)) for version, digest in keys]
    rows: dict[tuple, list[Discovery]] = {}
    if forms:
        rows = _rows_of(forms, traits or traits_of)
    for version in {version for version, _ in forms}:
        digests = [digest for one, digest in forms if one == version]
        old = Discovery.objects.filter(canonical_version=version, canonical_digest__in=digests)
        keep = [
            (row.audience, bytes(row.canonical_digest)) for form in rows if form[0] == version for row in rows[form]
        ]
        gone = [
            pk for pk, audience, digest in old.values_list("pk", "audience", "canonical_digest")
            if (audience, bytes(digest)) not in set(keep)
        ]  # fmt: skip
        if gone:
            Discovery.objects.filter(pk__in=gone).delete()
    fresh = [row for form in rows for row in rows[form]]
    Discovery.objects.bulk_create(
        fresh,
        batch_size=BATCH,
        update_conflicts=True,
        unique_fields=["audience", "canonical_version", "canonical_digest"],
        update_fields=[
            "algorithm", "find", "score", "margin", "merit", "size", "chosen", "found_at", "finds", "model", "learning",
            "motifs", "data", "facets", "text",
        ],
    )  # fmt: skip


def _rows_of(forms: list[tuple[int, bytes]], traits: TraitsOf) -> dict[tuple, list[Discovery]]:
    condition = Q()
    for version in {version for version, _ in forms}:
        condition |= Q(canonical_version=version, canonical_digest__in=[d for one, d in forms if one == version])
    form_of = {
        pk: (version, bytes(digest))
        for pk, version, digest in Algorithm.objects.filter(condition).values_list(
            "pk", "canonical_version", "canonical_digest"
        )
    }
    finds = list(
        Find.objects.filter(algorithm__in=list(form_of), score__isnull=False)
        .annotate(is_best=Q(pk=F("search__best")) | Q(pk=F("search__result")))
        .values_list("pk", "algorithm", "search", "score", "final_score", "found_at", "is_best")
    )
    tasks = _tasks({find[2] for find in finds})
    entries: dict[tuple, dict[int, _Entry]] = defaultdict(lambda: defaultdict(_Entry))
    for pk, algorithm, search, score, final, found_at, is_best in finds:
        task = tasks[search]
        role, judged = ("final", final) if final is not None else ("search", score)
        known = task.baselines.get("linear", {}).get(role)
        margin = None if known is None else judged - known
        # What the search chose by flatters its choice: the best of very many is lucky, too.
        untested = Discovery.UNTESTED if final is None else 0.0
        merit = (Discovery.NO_MARGIN if margin is None else max(margin, -1.0)) - untested
        rank = (merit, judged, -pk, margin, pk, algorithm, search)
        for audience in ([Discovery.EVERYBODY] if task.public else []) + ([task.owner] if task.owner else []):
            entry = entries[form_of[algorithm]][audience]
            entry.best = rank if entry.best is None or rank[:3] > entry.best[:3] else entry.best
            entry.finds += 1
            entry.chosen = entry.chosen or bool(is_best)
            entry.first = found_at if entry.first is None else min(entry.first, found_at)
            entry.tasks[search] = task
    shown = {entry.best[5] for audiences in entries.values() for entry in audiences.values()}
    programs = Algorithm.objects.in_bulk(shown)
    return {
        form: [
            _row(form, audience, entry, programs[entry.best[5]], tasks, traits) for audience, entry in audiences.items()
        ]
        for form, audiences in entries.items()
    }


def _tasks(search_ids: set[int]) -> dict[int, _Task]:
    rows = Search.objects.filter(pk__in=search_ids).values_list(
        "pk", "spec", "title", "baselines", "owner", "owner__username", "visibility"
    )
    result = {}
    for pk, data, title, baselines, owner, owner_name, visibility in rows:
        spec = read_spec(data)
        result[pk] = _Task(
            data_of(spec), title, baselines, owner, owner_name or "", visibility == Search.Visibility.PUBLIC, spec
        )
    return result


def data_of(spec: SearchSpec) -> str:
    """Return what a search's tasks are made of: the data set's name, or for synthetic tasks their kind."""
    return spec.search_tasks.dataset or spec.search_tasks.kind


def _row(form: tuple, audience: int, entry: _Entry, row: Algorithm, tasks: dict, traits_of: TraitsOf) -> Discovery:
    merit, judged, _, margin, find, algorithm, search = entry.best
    traits = traits_of(row)
    known = list(entry.tasks.values())[:MOST_FACETS]
    facets = [
        *traits.facets,
        *sorted({f"data:{one.data}"[:120] for one in known}),
        *sorted({f"task:{one.spec.search_tasks.kind}" for one in known}),
        *sorted({f"author:{one.owner}" for one in known if one.owner}),
    ]
    annotation = traits.annotation()
    said = [row.permalink, *(text for one in known[:20] for text in (one.title, one.data, one.owner_name))]
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            said.append(words.title(row, annotation, tasks[search].spec))
            said += [words.motif(name) for name in traits.motifs]
    return Discovery(
        audience=audience, canonical_version=form[0], canonical_digest=form[1], algorithm_id=algorithm, find_id=find,
        score=judged, margin=margin, merit=merit, size=traits.size, chosen=entry.chosen, found_at=entry.first,
        finds=entry.finds, model=traits.model, learning=traits.learning, motifs=list(traits.motifs),
        data=tasks[search].data[:100], facets=facets, text=searchable(said),
    )  # fmt: skip


def searchable(texts: Iterable[str]) -> str:
    """Return texts as plain words, each once."""
    found = re.findall(r"\w+", " ".join(texts).replace("_", " ").lower())
    return " ".join(dict.fromkeys(word[:80] for word in found))


@dataclass(frozen=True, slots=True)
class Traits:
    """What a program says of itself. size: its live instructions. facets: "op:…" of those, and "motif:…"."""

    model: str
    learning: str
    motifs: tuple[str, ...]
    size: int
    facets: tuple[str, ...]

    def annotation(self) -> Annotation | None:
        """Return what titles are made of; None for a program that could not be explained."""
        return annotation_of(self.model, self.learning, self.motifs)


def annotation_of(model: str, learning: str, motifs: Iterable[str]) -> Annotation | None:
    """Return an annotation without roles, as titles need it; None where `model` is empty: nothing is known."""
    return Annotation(model, learning, tuple(motifs), ((), (), ())) if model else None


def traits_of(row: Algorithm) -> Traits:
    """Read a stored program for the gallery."""
    from engine.canonical import live_mask

    program = Program.from_json(row.program)
    masks = live_mask(program)
    live = [
        one for part, mask in zip(program.functions, masks, strict=True) for one, is_live in zip(part, mask) if is_live
    ]
    annotation = annotate(row, program, masks)
    motifs = annotation.motifs if annotation else ()
    ops = sorted({Op(one.op) for one in live})
    facets = (*(f"op:{one.name}" for one in ops), *(f"motif:{words.motif_slug(name)}" for name in motifs))
    model = annotation.model if annotation else ""
    return Traits(model, annotation.learning if annotation else "other", tuple(motifs), len(live), facets)
