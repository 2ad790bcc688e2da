"""Who may see and do what. What somebody may not see is not there: a 404 for strangers, never a 403."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from webapp.experiments.models import Algorithm, Find, Search


def launch_is_open() -> bool:
    """Whether anybody who reaches the server may launch searches.

    ABOVO_OPEN_LAUNCH decides; where it is not set, an embedded set-up that only this machine can reach is open.
    """
    chosen = getattr(settings, "ABOVO_OPEN_LAUNCH", None)
    if chosen is not None:
        return chosen
    environment = getattr(settings, "ENVIRONMENT", None)
    return bool(
        environment
        and environment.bind in ("127.0.0.1", "::1", "localhost")
        and not environment.celery_broker_url
        and not environment.public_url
        and not environment.allowed_hosts
    )


def may_launch(user) -> bool:
    """Whether the user may start searches."""
    return user.is_authenticated or launch_is_open()


def may_steer(user, search: Search) -> bool:
    """Whether the user may stop the search: its owner, staff, and for a search of nobody's whoever may launch."""
    if user.is_authenticated and (user.is_staff or search.owner_id == user.pk):
        return True
    return search.owner_id is None and may_launch(user)


def _owned_or(user, condition: Q, owner: str) -> Q:
    if not user.is_authenticated:
        return condition
    return Q() if user.is_staff else condition | Q(**{owner: user})


def listed_searches(user) -> QuerySet[Search]:
    """Return the searches that lists show to the user."""
    return Search.objects.filter(_owned_or(user, Q(visibility=Search.Visibility.PUBLIC), "owner"))


def readable_searches(user) -> QuerySet[Search]:
    """Return the searches that the user may open when they know the address."""
    return Search.objects.filter(_owned_or(user, ~Q(visibility=Search.Visibility.PRIVATE), "owner"))


def readable_finds(user) -> QuerySet[Find]:
    """Return the finds whose search the user may open."""
    return Find.objects.filter(_owned_or(user, ~Q(search__visibility=Search.Visibility.PRIVATE), "search__owner"))


def get_search(user, search_id: int, *, related: tuple[str, ...] = ()) -> Search:
    """Return the search or raise Http404."""
    return get_object_or_404(readable_searches(user).select_related(*related), pk=search_id)


def get_algorithm(user, permalink: str) -> Algorithm:
    """Return the algorithm or raise Http404: published ones, and those of searches that the user may open."""
    algorithm = get_object_or_404(Algorithm, permalink=permalink)
    if algorithm.published_at is None and not readable_finds(user).filter(algorithm=algorithm).exists():
        raise Http404
    return algorithm
