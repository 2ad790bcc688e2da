"""Put a new search into the queue."""

from __future__ import annotations

import secrets

from django.db import transaction

from engine.spec import SearchSpec
from webapp.experiments.models import Island, Search
from webapp.experiments.services.dispatch import send_slice

SEED_LIMIT = 2**53
"""Seeds are below this, so that they survive every JSON reader."""


def launch_search(
    *,
    spec: SearchSpec,
    title: str = "",
    seed: int | None = None,
    owner=None,
    visibility: str = Search.Visibility.PUBLIC,
    priority: int = 0,
) -> Search:
    """Store the search with its island and send for a worker once that is committed. Raises SpecError."""
    spec.check()
    with transaction.atomic():
        search = Search.objects.create(
            owner=owner,
            title=title.strip() or spec.title or spec.name,
            spec=spec.to_json(),
            spec_name=spec.name,
            seed=secrets.randbelow(2**31) if seed is None else seed,
            visibility=visibility,
            priority=priority,
        )
        island = Island.objects.create(search=search, index=0)
        send_slice(island)
    return search
