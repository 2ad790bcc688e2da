"""An island's exchange of algorithms with the others of its search, while a worker runs it.

What leaves is sent when the ancestry that it refers to has been committed, so that whoever takes it in can name its
parent. What arrives is put on record before the island sees it: a slice that is repeated takes in the same.
"""

from __future__ import annotations

import json
import logging
import random
import zlib
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import transaction

from engine.algorithm import Algorithm, ProgramError
from engine.records import Departure, Migrant
from engine.spec import SearchSpec
from webapp.experiments.models import Arrival, Individual, Island
from webapp.experiments.services.lease import Lease, LeaseLost
from webapp.lib.ferry import Ferry

logger = logging.getLogger(__name__)

PARCELS = 5
"""Islands that the emigrants of one exchange are divided among."""
MOST_BYTES = 1_000_000
"""Of a parcel, unpacked: whatever is larger is not ours."""

ferry = Ferry(settings.CELERY_BROKER_URL if settings.ENVIRONMENT.celery_broker_url else "", settings.DATABASE_URL,
              settings.ENVIRONMENT.queue_prefix)  # fmt: skip


class Exchange:
    """What the engine asks at each exchange (engine.search.Search.exchange), for one island in one worker's hands."""

    def __init__(self, lease: Lease, island: Island, spec: SearchSpec):
        assert spec.migration is not None
        self.lease, self.island, self.count = lease, island, spec.migration.count
        self._departures: list[Departure] = []
        self.taken = 0
        """How many have been taken in since that was last noted in the search's log."""
        others = Island.objects.filter(search_id=island.search_id).values_list("index", "pk")
        self._islands = dict(others)
        self.crowd = len(self._islands)
        ferry.expect(island.pk)

    def __call__(self, departure: Departure) -> Sequence[Migrant]:
        """Take what leaves; return what arrives: what this exchange took in before, or else what has come since."""
        self._departures.append(departure)
        recorded = Arrival.objects.filter(island=self.island, number=departure.number).values_list(
            "migrants", flat=True
        )
        for migrants in recorded:
            return [Migrant(index, birth, Algorithm.from_json(program)) for index, birth, program in migrants]
        arrivals = self._choose(departure)
        with transaction.atomic():
            if not self.lease.rows().select_for_update().exists():
                raise LeaseLost
            Arrival.objects.create(
                island=self.island,
                number=departure.number,
                slice_number=self.island.slice_number + 1,
                migrants=[[one.island, one.birth, one.algorithm.to_json()] for one in arrivals],
            )
        self.taken += len(arrivals)
        return arrivals

    def committed(self) -> None:
        """Send what has left, once the transaction that stores its ancestry commits."""
        departures, self._departures = self._departures, []
        transaction.on_commit(lambda: [self._send(one) for one in departures])

    def _send(self, departure: Departure) -> None:
        others = [pk for pk in self._islands.values() if pk != self.island.pk]
        targets = random.sample(others, min(PARCELS, len(others)))
        for position, island_id in enumerate(targets):
            migrants = departure.migrants[position :: len(targets)]
            if migrants:
                ferry.send(island_id, pack(self.island.search_id, departure.experiment, migrants))

    def _choose(self, departure: Departure) -> list[Migrant]:
        """Return up to `count` of those that have come, of this search and experiment, whose ancestry is there."""
        candidates: dict[tuple[int, int], Migrant] = {}
        for parcel in ferry.receive(self.island.pk):
            search_id, experiment, migrants = unpack(parcel)
            if search_id == self.island.search_id and experiment == departure.experiment:
                candidates |= {(one.island, one.birth): one for one in migrants if one.island != self.island.index}
        wanted: dict[int, list[int]] = {}
        for index, birth in candidates:
            wanted.setdefault(index, []).append(birth)
        found = []
        for index, births in wanted.items():
            stored = Individual.objects.filter(island_id=self._islands.get(index), birth__in=births)
            found += [candidates[index, birth] for birth in stored.order_by("birth").values_list("birth", flat=True)]
        return random.sample(found, min(self.count, len(found)))


def forget_arrivals(island_id: int, slice_number: int) -> None:
    """Drop what slices before the kept checkpoints took in. Call it in the slice's transaction."""
    Arrival.objects.filter(island_id=island_id, slice_number__lt=slice_number).delete()


def pack(search_id: int, experiment: int, migrants: Sequence[Migrant]) -> bytes:
    """Return migrants as bytes."""
    rows = [[one.island, one.birth, one.algorithm.to_json()] for one in migrants]
    return zlib.compress(json.dumps({"search": search_id, "experiment": experiment, "migrants": rows}).encode(), 1)


def unpack(parcel: bytes) -> tuple[int, int, list[Migrant]]:
    """Return search, experiment and migrants; of a parcel that is none of ours, or of a later version, nobody."""
    try:
        inflate = zlib.decompressobj()
        text = inflate.decompress(parcel, MOST_BYTES)
        if inflate.unconsumed_tail:
            raise ValueError("too large")
        data: Any = json.loads(text)
        migrants = [
            Migrant(int(index), int(birth), Algorithm.from_json(program)) for index, birth, program in data["migrants"]
        ]
        return int(data["search"]), int(data["experiment"]), migrants
    except (ValueError, KeyError, TypeError, zlib.error, ProgramError, RecursionError) as error:
        logger.warning("a parcel of migrants was dropped: %s", error)
        return -1, -1, []
