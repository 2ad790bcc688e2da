"""Buttons of a search's page: pause, resume, stop, more time, priority, delete."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from engine.spec import SpecError
from webapp.experiments import access
from webapp.experiments.models import Search
from webapp.experiments.quotas import QuotaError
from webapp.experiments.services import steer
from webapp.experiments.views.searches import live_fragment


def _steerable(request, search_id: int) -> Search:
    search = access.get_search(request.user, search_id)
    if not access.may_steer(request.user, search):
        raise PermissionDenied
    return search


def _do(request, search_id: int, verb, **values):
    """Do it to the search, and answer with its page as it is then: what could not be done is said there."""
    search = _steerable(request, search_id)
    problem = ""
    try:
        verb(search_id=search.pk, by=request.user, **values)
    except steer.SteerError as error:
        problem = str(error)
    except (SpecError, QuotaError) as error:
        problem = error.message
    if request.htmx:
        return live_fragment(request, search_id, problem=problem)
    if problem:
        messages.error(request, problem)
    return redirect(search)


@require_POST
def pause(request, search_id: int):
    return _do(request, search_id, steer.pause_search)


@require_POST
def resume(request, search_id: int):
    return _do(request, search_id, steer.resume_search)


@require_POST
def stop(request, search_id: int):
    return _do(request, search_id, steer.stop_search)


@require_POST
def extend(request, search_id: int):
    return _do(request, search_id, _extend, minutes=request.POST.get("minutes", ""))


def _extend(*, minutes: str, **values) -> None:
    given, most = _number(float, minutes, _("Minutes")), steer.MOST_SECONDS_MORE // 60
    if not 0 < given <= most:
        words = _("%(given)s minutes are not allowed, numbers above 0 up to %(most)s are")
        raise SpecError("minutes", words % {"given": f"{given:g}", "most": f"{most:,}"})
    steer.extend_search(more_seconds=60 * given, **values)


@require_POST
def priority(request, search_id: int):
    return _do(request, search_id, _priority, value=request.POST.get("priority", ""))


def _priority(*, value: str, **values) -> None:
    steer.set_priority(priority=_number(int, value, _("Priority")), **values)


def _number(kind, text: str, name: str):
    try:
        return kind(text)
    except ValueError:
        raise SpecError(name, _("%(name)s: “%(text)s” is no number.") % {"name": name, "text": text[:40]}) from None


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request, search_id: int):
    """Ask, saying what goes and what stays; then delete."""
    search = _steerable(request, search_id)
    if request.method == "POST":
        title = search.title
        steer.delete_search(search_id=search.pk, by=request.user)
        messages.success(request, _("“%(title)s” is deleted.") % {"title": title})
        return redirect("experiments:searches")
    return render(request, "experiments/search_delete.html", {"search": search, "goes": steer.what_goes(search)})
