"""Searches to take away as bundles, and bundles brought in."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import FileResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from webapp.experiments import access
from webapp.experiments.forms import ImportForm
from webapp.experiments.services import exporting, imports
from webapp.experiments.services.datasets import UploadError


@require_safe
def search_bundle(request, search_id: int):
    """The search with everything that it found, as a file; for people who may start searches, since it takes a while."""
    search = access.get_search(request.user, search_id)
    if refusal := _refusal(request):
        return refusal
    try:
        file = exporting.packed(search)
    except exporting.NotExportable as error:
        messages.error(request, str(error))
        return redirect(search)
    return FileResponse(file, as_attachment=True, filename=exporting.file_name(search), content_type="application/gzip")


@require_http_methods(["GET", "HEAD", "POST"])
def import_new(request):
    if refusal := _refusal(request):
        return refusal
    owner = request.user if request.user.is_authenticated else None
    form = ImportForm(request.POST or None, request.FILES or None, owner=owner)
    if request.method == "POST" and form.is_valid():
        try:
            row = imports.receive(
                owner=owner, file=form.cleaned_data["file"], visibility=form.cleaned_data["visibility"]
            )
        except UploadError as error:
            form.add_error(error.field, error.message)
        else:
            return redirect(row)
    status = 422 if form.errors else 200
    return render(request, "experiments/import_new.html", {"form": form, "limit": imports.MOST_BYTES}, status=status)


@require_safe
@never_cache
def import_detail(request, import_id: int):
    """What became of a bundle; waiting, the page asks again by itself."""
    row = get_object_or_404(access.readable_imports(request.user), pk=import_id)
    found = {
        one.pk: one
        for one in access.readable_searches(request.user).filter(pk__in=[one["search"] for one in row.outcome])
    }
    outcome = [{**one, "row": found.get(one["search"])} for one in row.outcome]
    return render(request, "experiments/import.html", {"row": row, "outcome": outcome})


def _refusal(request):
    """Return what somebody gets who may not start searches; None for who may."""
    if access.may_launch(request.user):
        return None
    if request.user.is_authenticated:
        raise PermissionDenied
    return redirect_to_login(request.get_full_path(), reverse("login"))
