"""Who may see and do what: the one place that says so, for pages, downloads, pictures, feeds and the API.

What somebody may not see is not there: a 404 for strangers, never a 403. Listed is what lists and feeds show; readable is
what opens for who knows the address, that is, unlisted things too. Both hold for anything with an owner and a visibility.
"""

from __future__ import annotations

from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from webapp.experiments.models import Algorithm, BundleImport, Find, Search, Trial
from webapp.people.roles import is_administrator, is_researcher

PUBLIC, UNLISTED, PRIVATE = Search.Visibility.values


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
    """Whether the user may start searches and bring data."""
    return launch_is_open() or is_researcher(user)


def may_steer(user, thing) -> bool:
    """Whether the user may change a thing with an owner, such as a search: its owner, administrators, and for a thing of
    nobody's whoever may launch."""
    if is_administrator(user):
        return True
    return may_launch(user) and (thing.owner_id is None or thing.owner_id == user.pk)


def listed(things: QuerySet, user) -> QuerySet:
    """Return of things with owner and visibility those that lists show to the user: public ones and their own."""
    return things.filter(_owned_or(user, Q(visibility=PUBLIC), "owner"))


def readable(things: QuerySet, user) -> QuerySet:
    """Return of things with owner and visibility those that the user may open: all but the private ones of others."""
    return things.filter(_owned_or(user, ~Q(visibility=PRIVATE), "owner"))


def listed_searches(user) -> QuerySet[Search]:
    """Return the searches that lists show to the user."""
    return listed(Search.objects.all(), user)


def readable_searches(user) -> QuerySet[Search]:
    """Return the searches that the user may open when they know the address."""
    return readable(Search.objects.all(), user)


def listed_finds(user) -> QuerySet[Find]:
    """Return the finds that lists show to the user: those of listed searches."""
    return Find.objects.filter(_owned_or(user, Q(search__visibility=PUBLIC), "search__owner"))


def readable_finds(user) -> QuerySet[Find]:
    """Return the finds whose search the user may open."""
    return Find.objects.filter(_owned_or(user, ~Q(search__visibility=PRIVATE), "search__owner"))


def listed_algorithms(user) -> QuerySet[Algorithm]:
    """Return the algorithms that lists show to the user: those that a listed search found."""
    return Algorithm.objects.filter(pk__in=listed_finds(user).values("algorithm"))


def readable_algorithms(user) -> QuerySet[Algorithm]:
    """Return the algorithms that the user may open: published ones, and those of searches that they may open."""
    return Algorithm.objects.filter(Q(published_at__isnull=False) | Q(pk__in=readable_finds(user).values("algorithm")))


def readable_imports(user) -> QuerySet[BundleImport]:
    """Return the imports of bundles that the user may open: their own; nobody's, for who may launch without an account."""
    if is_administrator(user):
        return BundleImport.objects.all()
    if user.is_authenticated:
        return BundleImport.objects.filter(owner=user)
    return BundleImport.objects.filter(owner=None) if may_launch(user) else BundleImport.objects.none()


def get_search(user, search_id: int, *, related: tuple[str, ...] = ()) -> Search:
    """Return the search or raise Http404."""
    return get_object_or_404(readable_searches(user).select_related(*related), pk=search_id)


def get_trial(user, key: str) -> Trial:
    """Return the dry run or raise Http404: who knows its key may see it, its owner alone if it has one."""
    trial = get_object_or_404(Trial, key=key)
    if trial.owner_id is not None and trial.owner_id != user.pk:
        raise Http404
    return trial


def get_algorithm(user, permalink: str) -> Algorithm:
    """Return the algorithm or raise Http404: published ones, and those of searches that the user may open."""
    algorithm = get_object_or_404(Algorithm, permalink=permalink)
    if algorithm.published_at is None and not readable_finds(user).filter(algorithm=algorithm).exists():
        raise Http404
    return algorithm


def _owned_or(user, condition: Q, owner: str) -> Q:
    if not user.is_authenticated:
        return condition
    return Q() if is_administrator(user) else condition | Q(**{owner: user})
