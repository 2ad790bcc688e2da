"""Stars, tags and notes at an algorithm: small forms on its page that work without scripts."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from webapp.experiments import access
from webapp.experiments.models import Algorithm, Note
from webapp.experiments.services import marks


@require_POST
def star(request, permalink: str):
    algorithm, away = _readable(request, permalink)
    if away:
        return away
    marks.set_star(user=request.user, algorithm=algorithm, on=request.POST.get("on") == "1")
    return _back(algorithm, "star")


@require_POST
def tags(request, permalink: str):
    algorithm, away = _readable(request, permalink)
    if away:
        return away
    if "remove" in request.POST:
        marks.remove_tag(user=request.user, algorithm=algorithm, name=request.POST["remove"])
    else:
        _try(request, marks.add_tags, user=request.user, algorithm=algorithm, text=request.POST.get("tags", ""))
    return _back(algorithm, "tags")


@require_POST
def notes(request, permalink: str):
    algorithm, away = _readable(request, permalink)
    if away:
        return away
    text = request.POST.get("text", "")
    try:
        note = marks.add_note(user=request.user, algorithm=algorithm, text=text)
    except marks.MarkError as error:
        # The text is not lost: it stands in a form of its own.
        return _form(request, algorithm, text=text, error=str(error), status=422)
    return redirect(note)


@require_http_methods(["GET", "HEAD", "POST"])
def note(request, note_id: int):
    """Change or delete a note: its author, or an administrator."""
    row = get_object_or_404(Note.objects.select_related("algorithm"), pk=note_id)
    algorithm, away = _readable(request, row.algorithm.permalink)
    if away:
        return away
    if not (request.user.is_staff or row.user_id == request.user.pk):
        raise PermissionDenied
    if request.method != "POST":
        return _form(request, algorithm, text=row.text, note=row)
    if "delete" in request.POST:
        row.delete()
        messages.success(request, _("The note is deleted."))
        return _back(algorithm, "notes")
    try:
        marks.change_note(note=row, text=request.POST.get("text", ""))
    except marks.MarkError as error:
        return _form(request, algorithm, text=request.POST.get("text", ""), note=row, error=str(error), status=422)
    return redirect(row)


def _readable(request, permalink: str) -> tuple[Algorithm, HttpResponse | None]:
    """Return the algorithm and, for somebody not signed in, where to go. Raises Http404 before it says anything else."""
    algorithm = access.get_algorithm(request.user, permalink)
    if request.user.is_authenticated:
        return algorithm, None
    return algorithm, redirect_to_login(algorithm.get_absolute_url(), reverse("login"))


def _back(algorithm: Algorithm, part: str):
    return redirect(f"{algorithm.get_absolute_url()}#{part}")


def _try(request, service, **values) -> None:
    try:
        service(**values)
    except marks.MarkError as error:
        messages.error(request, str(error))


def _form(request, algorithm: Algorithm, *, text: str, note: Note | None = None, error: str = "", status: int = 200):
    context = {"algorithm": algorithm, "text": text, "note": note, "error": error, "longest": Note.LONGEST}
    return render(request, "experiments/note.html", context, status=status)
