"""One's own account: role, limits and their use, password, tokens."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import PasswordChangeView
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from webapp.experiments.quotas import usage_of
from webapp.people.forms import NoticesForm, TokenForm
from webapp.people.roles import profile_of, role_of
from webapp.people.services import invitations, notices
from webapp.people.services.tokens import PER_ACCOUNT, TooMany, create_token, revoke_token


@never_cache
@login_required
@require_safe
def account(request):
    return _page(request)


class ChangePassword(PasswordChangeView):
    template_name = "people/password.html"
    success_url = reverse_lazy("people:account")

    def form_valid(self, form):
        messages.success(self.request, _("Your password was changed. Other browsers have been signed out."))
        response = super().form_valid(form)
        invitations.end_links(user=self.request.user)
        return response

    def form_invalid(self, form):
        response = super().form_invalid(form)
        response.status_code = 422
        return response


@never_cache
@login_required
@require_POST
def make_token(request):
    """Make a token and show it: on this answer only, so there is no redirect."""
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _page(request, form=form, status=422)
    values = form.cleaned_data
    try:
        token, secret = create_token(
            user=request.user, name=values["name"], scope=values["scope"], days=values["days"] or None
        )
    except TooMany:
        form.add_error(None, _("An account has %(n)d tokens at most: end one first.") % {"n": PER_ACCOUNT})
        return _page(request, form=form, status=422)
    return _page(request, made=token, secret=secret, status=201)


@never_cache
@login_required
@require_POST
def end_token(request, token_id: int):
    if revoke_token(user=request.user, token_id=token_id):
        messages.success(request, _("The token was ended: who uses it is refused from now on."))
    return redirect("people:account")


@never_cache
@login_required
@sensitive_post_parameters("password")
@require_POST
def choose_notices(request):
    """Set how one is told; with the button for it, also send something to try it."""
    form = NoticesForm(request.user, request.POST)
    if not form.is_valid():
        return _page(request, notices_form=form, status=422)
    values = form.cleaned_data
    notices.choose(
        user=request.user,
        by_email=values.get("by_email", profile_of(request.user).notify_email),
        email=values.get("email", request.user.email),
        webhook_url=values["webhook_url"],
    )
    if "test" in request.POST:
        user = get_user_model().objects.select_related("profile").get(pk=request.user.pk)
        if channels := notices.wanted_by(user):
            text = _("This is how Ab Ovo tells you that a search has ended.")
            notices.tell(
                user, event="test", subject=_("Ab Ovo: a test"), text=text, data={"text": text}, channels=channels
            )
            messages.success(request, _("Saved; a test is on its way."))
        else:
            messages.error(request, _("Saved. There is no way yet to send a test by."))
    else:
        messages.success(request, _("Saved."))
    return redirect(f"{reverse('people:account')}#notices")


def _page(
    request,
    *,
    form: TokenForm | None = None,
    made=None,
    secret: str = "",
    notices_form: NoticesForm | None = None,
    status: int = 200,
):
    profile = profile_of(request.user)
    chosen = {"by_email": profile.notify_email, "email": request.user.email, "webhook_url": profile.webhook_url}
    context = {
        "role": role_of(request.user),
        "usage": usage_of(request.user),
        "tokens": request.user.api_tokens.all(),
        "form": form or TokenForm(),
        "made": made,
        "secret": secret,
        "notices_form": notices_form or NoticesForm(request.user, initial=chosen),
        "notices": request.user.notices.exclude(event=notices.NEW_PASSWORD)[:5],
        "signing_key": notices.signing_key(profile) if profile.webhook_url else "",
    }
    return render(request, "people/account.html", context, status=status)
