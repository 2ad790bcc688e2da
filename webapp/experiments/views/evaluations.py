"""Asking for figures of an algorithm: its measurement, and scores on other tasks."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import JSONField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.http import Http404
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from engine.datasets import dataset_names
from webapp.experiments import access, queries
from webapp.experiments.data_facts import known_facts, uploads_for
from webapp.experiments.models import Find, Search
from webapp.experiments.services import evaluate, measure
from webapp.experiments.specs import read_spec


@require_POST
def measure_algorithm(request, permalink: str):
    """Have the algorithm's best find measured."""
    find, refusal = _asked(request, permalink)
    if refusal:
        return refusal
    measure.ask(find)
    return redirect(find.algorithm)


@require_POST
def evaluate_again(request, permalink: str):
    """Have the algorithm scored on tasks of another seed or data set."""
    find, refusal = _asked(request, permalink)
    if refusal:
        return refusal
    dataset, seed = request.POST.get("dataset", ""), request.POST.get("seed", "").strip()
    if dataset and dataset not in datasets_for(request.user, find):
        messages.error(request, _("There is no data set of that name here that fits its tasks."))
    elif seed and not (seed.isascii() and seed.isdecimal() and len(seed) < 17):
        messages.error(request, _("The seed must be a whole number from 0 on."))
    else:
        try:
            evaluate.ask(
                find=find,
                dataset=dataset,
                seed=int(seed) if seed else None,
                owner=request.user if request.user.is_authenticated else None,
            )
        except evaluate.RefusedEvaluation as error:
            messages.error(request, str(error))
    return redirect(f"{find.algorithm.get_absolute_url()}#again-title")


def datasets_for(user, find: Find) -> list[str]:
    """Return the data sets that a find's kind of tasks can be made of and the user may use; none for synthetic tasks.

    A private one is only for private searches: whoever may read the search reads the result.
    """
    tasks = read_spec(find.search.spec).search_tasks
    if not tasks.dataset:
        return []
    wanted = "numbers" if tasks.kind == "regression" else "classes"
    on_disk = [name for name in dataset_names() if known_facts(name).get("kind", wanted) == wanted]
    uploads = uploads_for(user).alias(kind=KeyTextTransform("kind", Cast("facts", JSONField()))).filter(kind=wanted)
    if find.search.visibility != Search.Visibility.PRIVATE:
        uploads = uploads.exclude(visibility=Search.Visibility.PRIVATE)
    return list(dict.fromkeys([*on_disk, *uploads.values_list("name", flat=True)]))


def _asked(request, permalink: str):
    """Return the algorithm's best find; or the answer to somebody who may not ask."""
    row = access.get_algorithm(request.user, permalink)
    if not access.may_launch(request.user):
        if request.user.is_authenticated:
            raise PermissionDenied
        return None, redirect_to_login(row.get_absolute_url(), reverse("login"))
    finds: list[Find] = queries.finds_of(request.user, row)
    if not finds:
        raise Http404
    finds[0].algorithm = row
    return finds[0], None
