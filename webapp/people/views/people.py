"""The administrator's page of accounts: who is here, what they may, who is invited."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.core.paginator import Paginator
from django.db.models import Count
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from webapp.experiments.quotas import usage_of
from webapp.people.access import administrators_only
from webapp.people.forms import AccountForm, InviteForm
from webapp.people.limits import usual_limits
from webapp.people.models import Role
from webapp.people.roles import profile_of, role_of
from webapp.people.services import invitations
from webapp.people.services.accounts import LastAdministrator, change_account

PER_PAGE = 50


@administrators_only
@require_safe
def people(request):
    return _page(request)


@administrators_only
@sensitive_variables("secret")
@require_POST
def invite(request):
    """Make an invitation and show its link: on this answer only, so there is no redirect."""
    form = InviteForm(request.POST)
    if not form.is_valid():
        return _page(request, form=form, status=422)
    invitation, secret = invitations.invite(by=request.user, **form.cleaned_data)
    return _page(request, made=invitation, link=_link(request, secret), status=201)


@administrators_only
@require_POST
def withdraw(request, invitation_id: int):
    if invitations.withdraw(invitation_id=invitation_id, by=request.user):
        messages.success(request, _("The invitation was withdrawn."))
    return redirect("people:people")


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def person(request, user_id: int):
    user = get_object_or_404(get_user_model().objects.select_related("profile"), pk=user_id)
    profile = profile_of(user)
    form = AccountForm(
        request.POST if request.method == "POST" else None,
        instance=profile,
        initial={"role": role_of(user) or profile.role, "is_active": user.is_active},
    )
    if request.method == "POST" and form.is_valid():
        try:
            change_account(user_id=user.pk, by=request.user, **form.cleaned_data)
        except LastAdministrator:
            form.add_error("role", _("This is the only administrator: make somebody else one first."))
        else:
            messages.success(request, _("Saved."))
            return redirect("people:person", user.pk)
    return _person_page(request, user, form, status=422 if form.errors else 200)


@administrators_only
@sensitive_variables("secret")
@require_POST
def new_password(request, user_id: int):
    """Make a link to a new password and show it, on this answer only."""
    user = get_object_or_404(get_user_model(), pk=user_id, is_active=True)
    invitation, secret = invitations.offer_new_password(by=request.user, user=user)
    initial = {"role": role_of(user), "is_active": True}
    form = AccountForm(instance=profile_of(user), initial=initial)
    return _person_page(request, user, form, made=invitation, link=_link(request, secret), status=201)


def _page(request, *, form: InviteForm | None = None, made=None, link: str = "", status: int = 200):
    accounts = (
        get_user_model().objects.select_related("profile").annotate(search_count=Count("searches")).order_by("username")
    )
    page = Paginator(accounts, PER_PAGE).get_page(request.GET.get("page"))
    labels = dict(Role.choices)
    context = {
        "page": page,
        "rows": [{"user": user, "role": labels[role_of(user)] if user.is_active else ""} for user in page],
        "invitations": invitations.open_invitations().select_related("created_by", "user"),
        "form": form or InviteForm(),
        "made": made,
        "link": link,
    }
    return render(request, "people/people.html", context, status=status)


def _person_page(request, user, form: AccountForm, *, made=None, link: str = "", status: int = 200):
    context = {
        "person": user, "form": form, "made": made, "link": link, "usage": usage_of(user), "usual": usual_limits(),
    }  # fmt: skip
    return render(request, "people/person.html", context, status=status)


def _link(request, secret: str) -> str:
    path = reverse("people:join", args=[secret])
    public = settings.PUBLIC_URL
    return f"{public.scheme}://{public.netloc}{path}" if public else request.build_absolute_uri(path)
