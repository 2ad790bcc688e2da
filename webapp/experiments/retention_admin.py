"""The administrator's page of what old searches may give up: counted first, thrown away when that is confirmed."""

from __future__ import annotations

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.experiments.services.retention import Policy, prune
from webapp.people.services.audit import record

MOST_DAYS = 36_500


class RetentionForm(forms.Form):
    """The policy; a field left empty means never."""

    checkpoints_days = forms.IntegerField(
        required=False, min_value=0, max_value=MOST_DAYS, label=gettext_lazy("Checkpoints, days after the search's end"),
        help_text=gettext_lazy("What a search goes on from; one that has ended needs none."),
    )  # fmt: skip
    curve_days = forms.IntegerField(
        required=False, min_value=0, max_value=MOST_DAYS, label=gettext_lazy("Points of curves, days after the search's end"),
    )  # fmt: skip
    curve_points = forms.IntegerField(
        min_value=2, max_value=1_000_000, label=gettext_lazy("Points kept of each curve"),
        help_text=gettext_lazy("Evenly; the first and the last always."),
    )  # fmt: skip
    algorithms_days = forms.IntegerField(
        required=False, min_value=0, max_value=MOST_DAYS, label=gettext_lazy("Algorithms that nothing refers to, days after they were found"),
        help_text=gettext_lazy("Those that were ever public stay: a permalink never dies."),
    )  # fmt: skip

    def policy(self) -> Policy:
        return Policy(**self.cleaned_data)


def retention_page(request):
    """GET: what would go under a policy. POST: throw it away. Only for who may delete searches."""
    if not request.user.has_perms(["experiments.delete_search", "experiments.change_search"]):
        raise PermissionDenied
    usual = Policy()
    asked = request.POST if request.method == "POST" else request.GET
    names = list(Policy.__dataclass_fields__)
    form = RetentionForm(
        asked if any(name in asked for name in names) else {name: getattr(usual, name) for name in names}
    )
    counts = None
    if form.is_valid():
        if request.method == "POST":
            counts = prune(form.policy(), dry_run=False)
            words = _words(counts)
            record(by=request.user, obj=request.user, what=f"Threw away what was old: {words} ({form.policy()})")
            messages.success(request, _("Thrown away: %(what)s.") % {"what": words})
            return redirect("admin:retention")
        counts = prune(form.policy(), dry_run=True)
    context = {
        **admin.site.each_context(request), "title": _("What old searches may give up"), "form": form,
        "counts": _named(counts) if counts else None, "nothing": counts is not None and not any(counts.values()),
        "opts": get_user_model()._meta,
    }  # fmt: skip
    return render(request, "admin/experiments/retention.html", context, status=422 if form.errors else 200)


def _named(counts: dict[str, int]) -> list[tuple[str, int]]:
    names = {
        "checkpoints": _("checkpoints"), "arrivals": _("notes of what islands took in"), "curve points": _("points of curves"),
        "algorithms": _("algorithms"),
    }  # fmt: skip
    return [(names[name], count) for name, count in counts.items()]


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in _named(counts))
