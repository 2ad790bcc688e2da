"""Write what a slice brought: curve points, algorithms and finds; ancestry.py writes the ancestry.

Everything here may be written twice: a slice that is repeated after a crash reports the same rows again, and the
database keeps the first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import psycopg
from django.db import connection
from django.utils import timezone

from engine.algorithm import Algorithm as Program
from engine.ops import OP_SET_VERSION
from webapp.experiments import lineage
from webapp.experiments.lineage import Ancestor
from webapp.experiments.models import Algorithm, Checkpoint, CurvePoint, Find, Island, Search
from webapp.experiments.permalink import PERMALINK_LENGTH, base58, permalink_of
from webapp.experiments.services.numbers import finite

BATCH = 2000
CHECKPOINTS_KEPT = 2
_CHECKPOINT = """
    INSERT INTO experiments_checkpoint (island_id, slice_number, format_version, data, sha256, created_at)
    VALUES (%s, %s, %s, %b, %b, now())
"""
MOST_LEVEL = 30
_MASK = 2**64 - 1


def record_points(island_id: int, points: Sequence, counters=None) -> None:
    """Store curve points of the engine; the last of them with the counters, which were read a moment after it."""
    rows = [
        CurvePoint(
            island_id=island_id, individuals=point.individuals, experiment=point.experiment,
            train_steps=point.train_steps, seconds=point.seconds, best=finite(point.best), mean=finite(point.mean),
            median=finite(point.median), deviation=finite(point.deviation), best_so_far=finite(point.best_so_far),
            distinct=point.distinct, level=level_of(point.individuals),
        )
        for point in points
    ]  # fmt: skip
    if rows and counters is not None:
        for name in ("evaluations", "fec_hits", "cache_hits", "rejected", "cut"):
            setattr(rows[-1], name, getattr(counters, name))
        # The one that knows most stands for the others.
        rows[-1].level = max(row.level for row in rows)
    CurvePoint.objects.bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)


def level_of(individuals: int) -> int:
    """Return a curve point's level, which looks random and is always the same: trailing zeros of a hash (splitmix64)."""
    bits = (individuals + 0x9E3779B97F4A7C15) & _MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    bits ^= bits >> 31
    return min((bits & -bits).bit_length() - 1, MOST_LEVEL) if bits else MOST_LEVEL


def record_algorithms(programs: Sequence[Program], *, published: bool) -> dict[bytes, Algorithm]:
    """Store programs by content and return the rows by digest; those that exist stay as they are."""
    from engine.canonical import CANONICAL_VERSION, canonical_digest

    by_digest = {program.digest(): program for program in programs}
    known = _by_digest(by_digest)
    now = timezone.now()
    fresh = []
    for digest, program in by_digest.items():
        if digest not in known:
            setup, predict, learn = map(len, program.functions)
            fresh.append(
                Algorithm(
                    digest=digest, permalink=permalink_of(digest), op_set_version=OP_SET_VERSION,
                    program=program.to_json(), canonical_digest=canonical_digest(program),
                    canonical_version=CANONICAL_VERSION, setup_size=setup, predict_size=predict, learn_size=learn,
                    published_at=now if published else None,
                )
            )  # fmt: skip
    if fresh:
        # Sorted, so that two workers storing the same programs take the index locks in the same order.
        fresh.sort(key=lambda row: row.digest)
        Algorithm.objects.bulk_create(fresh, batch_size=BATCH, ignore_conflicts=True)
        known = _by_digest(by_digest)
        for row in fresh:
            if row.digest not in known:
                _record_with_longer_permalink(row)
        known = _by_digest(by_digest)
    hidden = [row.pk for row in known.values() if published and row.published_at is None]
    if hidden:
        Algorithm.objects.filter(pk__in=hidden, published_at__isnull=True).update(published_at=now)
    return known


def _by_digest(digests: Iterable[bytes]) -> dict[bytes, Algorithm]:
    return {bytes(row.digest): row for row in Algorithm.objects.filter(digest__in=list(digests))}


def _record_with_longer_permalink(row: Algorithm) -> None:
    """Store a program whose permalink another program already has: lengthen it until it is free."""
    for length in range(PERMALINK_LENGTH + 1, len(base58(row.digest)) + 1):
        row.permalink = permalink_of(row.digest, length=length)
        Algorithm.objects.bulk_create([row], ignore_conflicts=True)
        if Algorithm.objects.filter(digest=row.digest).exists():
            return
    raise RuntimeError(f"no free permalink for digest {row.digest.hex()}")


def record_finds(island: Island, search: Search, finds: Sequence, at_hand: Mapping[int, Ancestor]) -> list[Find]:
    """Store finds and their algorithms; their ancestry must have been stored before. Returns all rows, old and new.

    at_hand: of the ancestry, by birth.
    """
    if not finds:
        return []
    algorithms = record_algorithms(
        [find.algorithm for find in finds], published=search.visibility != Search.Visibility.PRIVATE
    )
    births = [find.birth for find in finds]
    known = set(Find.objects.filter(island=island, birth__in=births).values_list("birth", flat=True))
    previous = (
        Find.objects.filter(search=search, score__isnull=False)
        .exclude(birth__in=births)
        .order_by("-score")
        .values_list("score", flat=True)
        .first()
    )
    rows = []
    for find in finds:
        score = finite(find.score)
        if find.birth not in known:
            mutation, diff, depth = _made_by(find, at_hand) or mutation_of(island.pk, find.birth)
            rows.append(
                Find(
                    algorithm=algorithms[find.algorithm.digest()], search=search, island=island, birth=find.birth,
                    score=score, previous_score=previous, individuals=find.individuals, train_steps=find.train_steps,
                    experiment=find.experiment, seconds=find.seconds, mutation=mutation, diff=diff,
                    depth=depth,
                )
            )  # fmt: skip
        if score is not None and (previous is None or score > previous):
            previous = score
    Find.objects.bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)
    return list(Find.objects.filter(island=island, birth__in=births))


def _made_by(find, at_hand: Mapping[int, Ancestor]) -> tuple[str, list, int] | None:
    """Return what `mutation_of` does without asking the database; None where it has to be asked."""
    if find.made_by is None or find.birth not in at_hand:
        return None
    _program, diff = lineage.apply_edits(find.made_by.before.to_json(), find.made_by.edits)
    return (find.made_by.mutation, diff, at_hand[find.birth].depth) if diff else None


def mutation_of(island_id: int, birth: int) -> tuple[str, list, int]:
    """Return the last mutation that changed the program, its diff, and the individual's depth."""
    _base, steps = lineage.last_stretch(island_id, birth)
    if not steps:
        raise ValueError(f"ancestry: nothing is known of birth {birth}")
    # A find may be the copy of an individual that died before anybody looked: then its parent's mutation is what helped.
    made = next((step for step in reversed(steps) if step.diff), steps[-1])
    return made.mutation, made.diff, steps[-1].number


def record_result(island: Island, search: Search, result) -> Find:
    """Store the algorithm that the finished search selected, with its scores on T_select and T_test."""
    algorithm = record_algorithms([result.algorithm], published=search.visibility != Search.Visibility.PRIVATE)[
        result.algorithm.digest()
    ]
    mutation, diff, depth = mutation_of(island.pk, result.birth)
    find, _created = Find.objects.get_or_create(
        island=island,
        birth=result.birth,
        defaults={
            "algorithm": algorithm, "search": search, "score": finite(result.search_fitness),
            "previous_score": search.best.score if search.best else None,
            "experiment": result.experiment,
            "individuals": island.individuals, "train_steps": island.train_steps, "seconds": island.seconds,
            "mutation": mutation, "diff": diff, "depth": depth,
        },
    )  # fmt: skip
    find.select_score = finite(result.select_fitness)
    find.final_score = finite(result.final_fitness)
    find.select_scores = [finite(score) for score in result.select_scores or ()]
    find.final_scores = [finite(score) for score in result.final_scores or ()]
    find.save(update_fields=["select_score", "final_score", "select_scores", "final_scores"])
    return find


def record_checkpoint(island_id: int, slice_number: int, data: bytes, *, format_version: int) -> None:
    """Store an island's state after a slice and drop those before the last two.

    Megabytes, every few seconds: sent as they are by psycopg's own cursor, where Django's would write them into the statement as
    hexadecimal digits for PostgreSQL to parse, three times as slow.
    """
    with connection.cursor() as cursor, connection.wrap_database_errors:
        psycopg.Cursor(cursor.connection).execute(
            _CHECKPOINT, [island_id, slice_number, format_version, data, hashlib.sha256(data).digest()]
        )
    Checkpoint.objects.filter(island_id=island_id, slice_number__lte=slice_number - CHECKPOINTS_KEPT).delete()
