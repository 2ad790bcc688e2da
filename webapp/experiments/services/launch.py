"""Put a new search into the queue."""

from __future__ import annotations

import secrets

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils.translation import gettext as _

from engine.spec import SearchSpec, SpecError
from webapp.experiments.data_facts import names_for
from webapp.experiments.models import Island, Search
from webapp.experiments.quotas import check_budget, check_islands
from webapp.experiments.services.dispatch import send_slice
from webapp.experiments.services.events import note

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
    """Store the search with its island and send for a worker once that is committed. Raises SpecError, QuotaError."""
    spec.check()
    check_datasets(spec, owner)
    check_budget(owner, spec)
    if owner is None and visibility == Search.Visibility.PRIVATE:
        raise SpecError("visibility", _("a private search needs an owner: sign in first"))
    with transaction.atomic():
        check_islands(owner, more=spec.islands)
        search = Search.objects.create(
            owner=owner,
            title=title.strip() or spec.title or spec.name,
            spec=spec.to_json(),
            spec_name=spec.name,
            seed=secrets.randbelow(2**31) if seed is None else seed,
            visibility=visibility,
            priority=priority,
        )
        note(search.pk, "launched", user=owner)
        for island in Island.objects.bulk_create(Island(search=search, index=index) for index in range(spec.islands)):
            send_slice(island)
    return search


def datasets_of(spec: SearchSpec) -> dict[str, str]:
    """Return the field and name of each dataset that a specification's tasks are made of."""
    parts = {name: getattr(spec, name) for name in ("search_tasks", "select_tasks", "final_tasks")}
    for number in range(min(spec.islands, len(spec.island_groups))):
        parts[f"island_groups[{number}].search_tasks"] = spec.for_island(number).search_tasks
    return {f"{name}.dataset": tasks.dataset for name, tasks in parts.items() if tasks is not None and tasks.dataset}


def check_datasets(spec: SearchSpec, owner=None) -> None:
    """Raise SpecError if a dataset of the specification is not on this machine, or not for the owner (None: for nobody)."""
    here = names_for(owner or AnonymousUser())
    for field, name in datasets_of(spec).items():
        if name not in here:
            raise SpecError(
                field, f'the data set "{name}" is not here; put {name}.npz into ABOVO_DATA. Here are: {", ".join(here)}'
            )
