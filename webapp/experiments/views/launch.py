"""Starting searches: the form, its parts that move, specifications as TOML, dry runs."""

from __future__ import annotations

import hashlib
from urllib.parse import urlencode

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from engine.spec import SearchSpec, SpecError
from engine.spec_toml import to_toml
from webapp.experiments import access
from webapp.experiments.launch_form import LaunchForm
from webapp.experiments.quotas import QuotaError
from webapp.experiments.services.estimate import estimate
from webapp.experiments.services.launch import launch_search
from webapp.experiments.services.studies import launch_study
from webapp.experiments.services.trials import TooMany, start_trial
from webapp.people.throttle import client_address

BESIDE = ("title", "seed", "visibility", "repeats", "grid")
"""Fields of the form beside the specification."""


@require_http_methods(["GET", "HEAD", "POST"])
def launch(request):
    """The form. What is sent with it besides launching: show it for another choice, estimate, try, or save as TOML."""
    if not access.may_launch(request.user):
        if request.user.is_authenticated:
            raise PermissionDenied
        return redirect_to_login(request.get_full_path(), reverse("login"))
    form = LaunchForm(request.POST or None, user=request.user, **_initial(request))
    if request.method != "POST":
        return _page(request, form)
    if "read" in request.POST:
        form = LaunchForm(_with(request.POST, preset="toml", shown=""), user=request.user)
        return _page(request, form)
    if "show" in request.POST:
        return _page(request, form, part="experiments/_launch_spec.html")
    if "estimate" in request.POST:
        return _page(request, form, part="experiments/_launch_estimate.html")
    if form.is_valid():
        if request.POST.get("do") == "toml":
            return _toml(form.spec, f"{form.spec.name}.toml")
        try:
            return redirect(_start(request, form))
        except SpecError as error:  # what the account may not have
            form.add_spec_error(error)
        except QuotaError as error:
            form.add_error(None, error.message)
        except TooMany as error:
            form.add_error(None, str(error))
    return _page(request, form)


def _start(request, form: LaunchForm):
    """Do what was asked for with a good form; returns where to go."""
    values = form.cleaned_data
    owner = request.user if request.user.is_authenticated else None
    if request.POST.get("do") == "try":
        trial = start_trial(spec=form.spec, owner=owner, asker=_asker(request))
        # What does not belong to the specification comes along in the address, so that the form can be as it was.
        beside = {name: values[name] for name in BESIDE if values.get(name) not in (None, "")}
        return reverse("experiments:trial", args=[trial.key]) + (f"?{urlencode(beside)}" if beside else "")
    common = {
        "title": values["title"], "seed": values["seed"], "owner": owner, "visibility": values["visibility"] or "public",
    }  # fmt: skip
    if len(form.points) > 1 or (values["repeats"] or 1) > 1:
        return launch_study(spec=form.spec, points=form.points, repeats=values["repeats"] or 1, **common)
    return launch_search(spec=form.spec, **common)


def _initial(request) -> dict:
    """Return what the address says that the form begins with."""
    given = request.GET
    if permalink := given.get("from"):
        key = f"a:{permalink}"
    elif trial_key := given.get("trial"):
        key = f"trial:{trial_key}"
    elif number := given.get("search") or given.get("again"):
        key = f"search:{number}"
    else:
        key = given.get("preset", "")
    return {
        "initial_key": key, "initial_data": given.get("data", ""), "again": "again" in given,
        "initial": {name: given[name] for name in BESIDE if name in given},
    }  # fmt: skip


def _with(sent, **changes):
    sent = sent.copy()
    for name, value in changes.items():
        sent[name] = value
    return sent


def _page(request, form: LaunchForm, part: str = ""):
    status = 422 if form.is_bound and form.errors else 200
    if part:
        form.is_valid()
        # The reader is in the middle of filling it in: what is missing elsewhere is not said yet.
        status = 200
    presets, more_presets = form.preset_choices()
    data, more_data = form.data_choices()
    spec = form.shown_spec
    context = {
        "form": form, "presets": presets, "more_presets": more_presets, "data": data, "more_data": more_data,
        "groups": form.groups(), "estimate": estimate(spec) if spec else None, "spec": spec,
        "first_error": form.first_error(), "is_fragment": bool(part and request.htmx),
    }  # fmt: skip
    template = part if part and request.htmx else "experiments/launch.html"
    return render(request, template, context, status=status)


def _toml(spec: SearchSpec, name: str) -> HttpResponse:
    response = HttpResponse(to_toml(spec), content_type="application/toml; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@require_safe
def search_toml(request, search_id: int):
    """A search's specification, for `python -m engine search --spec` and for the form."""
    search = access.get_search(request.user, search_id)
    return _toml(SearchSpec.from_json(search.spec), f"search-{search.pk}.toml")


@require_safe
def trial(request, key: str):
    """A dry run: while it runs the page asks again, then it says what came out. Whoever knows its address may see it."""
    one = access.get_trial(request.user, key)
    spec = SearchSpec.from_json(one.spec)
    context = {"trial": one, "spec": spec, "estimate": estimate(spec)}
    return render(request, "experiments/trial.html", context)


def _asker(request) -> str:
    """Return who asks, for limits on how often: the account, else the address, not readable as such."""
    if request.user.is_authenticated:
        return f"user {request.user.pk}"
    return hashlib.sha256(client_address(request).encode()).hexdigest()[:32]
