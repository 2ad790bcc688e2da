"""The engine's search objects that this process keeps in memory between slices.

Restoring from a checkpoint gives the same search, bit for bit; keeping it saves the time. An object is reused only if
its slice number is the one in the database, which is to say that every slice it ran was committed.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING

from engine.checkpoint import CheckpointError
from engine.spec import SearchSpec, island_seed
from webapp.experiments.models import Checkpoint, Island, Search

if TYPE_CHECKING:
    from engine.search import Search as Evolution

logger = logging.getLogger(__name__)

KEPT = 2

_live: OrderedDict[int, tuple[int, Evolution]] = OrderedDict()


def take(island: Island, search: Search) -> Evolution:
    """Return the island's evolution as of its committed slice: from memory, from its checkpoint, or from the start.

    May set island.slice_number back where the newest checkpoint is damaged and the one before it is used. Raises
    engine.search.CheckpointError for a checkpoint of another version.
    """
    slice_number, evolution = _live.pop(island.pk, (-1, None))
    if evolution is not None and slice_number == island.slice_number:
        return evolution
    from engine.search import Search as Evolution

    spec = SearchSpec.from_json(search.spec).for_island(island.index)
    seed = island_seed(search.seed, island.index)
    for checkpoint in Checkpoint.objects.filter(island=island).order_by("-slice_number"):
        data = bytes(checkpoint.data)
        if hashlib.sha256(data).digest() == bytes(checkpoint.sha256):
            island.slice_number = checkpoint.slice_number
            return Evolution.restore(spec, seed, data, index=island.index)
        logger.error("island %d: checkpoint of slice %d is damaged", island.pk, checkpoint.slice_number)
        checkpoint.delete()
    if island.slice_number and island.arrivals.exists():
        # From the start it would meet other immigrants, under birth numbers that are taken.
        raise CheckpointError(f"both checkpoints of island {island.index} are damaged")
    island.slice_number = 0
    return Evolution.start(spec, seed, index=island.index)


def keep(island: Island, evolution: Evolution) -> None:
    """Keep an evolution whose last slice has been committed."""
    _live[island.pk] = (island.slice_number, evolution)
    _live.move_to_end(island.pk)
    while len(_live) > KEPT:
        _live.popitem(last=False)


def drop(island_id: int) -> None:
    """Forget an island's evolution."""
    _live.pop(island_id, None)
