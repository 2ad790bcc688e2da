"""Data sets: the list, one with what is in it, uploading, who may see it, deleting."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from engine.datasets import DatasetError
from webapp.experiments import access, data_facts
from webapp.experiments.forms import UploadForm
from webapp.experiments.models import Dataset
from webapp.experiments.quotas import QuotaError
from webapp.experiments.services import datasets

SEARCHES_SHOWN = 20


@require_safe
def dataset_list(request):
    return render(request, "data/list.html", {"entries": data_facts.entries(request.user)})


@require_safe
def dataset(request, name: str):
    problem = ""
    try:
        entry = data_facts.get_entry(request.user, name)
    except DatasetError as error:
        entry, problem = data_facts.Entry(name, name, "file"), str(error)
    if entry is None:
        raise Http404
    searches = access.listed(data_facts.searches_of(name), request.user).order_by("-id")
    classes = entry.facts.get("classes", [])
    largest = max((size for _name, size in classes), default=1)
    context = {
        "entry": entry,
        "problem": problem,
        "searches": searches[:SEARCHES_SHOWN],
        "searches_count": searches.count(),
        "classes": [(title, size, round(100 * size / largest)) for title, size in classes],
        "may_change": entry.row is not None and access.may_steer(request.user, entry.row),
        "visibilities": Dataset._meta.get_field("visibility").choices,
    }
    return render(request, "data/dataset.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def upload(request):
    if not access.may_launch(request.user):
        if request.user.is_authenticated:
            raise PermissionDenied
        return redirect_to_login(request.get_full_path(), reverse("login"))
    owner = request.user if request.user.is_authenticated else None
    # A body that was cut off holds nothing, and is told so.
    sent = (request.POST, request.FILES) if request.method == "POST" else (None, None)
    form = UploadForm(*sent, owner=owner)
    if form.is_valid():
        values = form.cleaned_data
        try:
            row = datasets.receive_upload(
                owner=owner, name=values["name"], title=values["title"], files=values["files"],
                visibility=values["visibility"],
            )  # fmt: skip
        except datasets.UploadError as error:
            form.add_error(error.field, error.message)
        except QuotaError as error:
            form.add_error("files", error.message)
        else:
            return redirect(row)
    context = {"form": form, "limit": settings.ABOVO_UPLOAD_BYTES}
    return render(request, "data/upload.html", context, status=422 if form.errors else 200)


def _changeable(request, name: str) -> Dataset:
    row = get_object_or_404(access.readable(Dataset.objects.all(), request.user), name=name)
    if not access.may_steer(request.user, row):
        raise PermissionDenied
    return row


@require_POST
def visibility(request, name: str):
    row = _changeable(request, name)
    try:
        datasets.set_visibility(dataset_id=row.pk, visibility=request.POST.get("visibility", ""))
    except datasets.UploadError as error:
        messages.error(request, error.message)
    return redirect(row)


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request, name: str):
    row = _changeable(request, name)
    if request.method == "POST":
        try:
            datasets.delete_dataset(dataset_id=row.pk, by=request.user)
        except datasets.UploadError as error:
            messages.error(request, error.message)
            return redirect(row)
        messages.success(request, _("The data set “%(name)s” is deleted.") % {"name": name})
        return redirect("experiments:datasets")
    used = data_facts.searches_of(name).count()
    return render(request, "data/delete.html", {"dataset": row, "used": used})
