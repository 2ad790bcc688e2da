"""Signing in, asking for a new password, and the links that lead to an account or to a new password."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.views import LoginView
from django.db import IntegrityError
from django.http import Http404
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from webapp.people.forms import ForgotForm, JoinForm, NewPasswordForm, SignInForm
from webapp.people.services import forgotten
from webapp.people.services.invitations import Unusable, accept, find_invitation


class SignIn(LoginView):
    template_name = "login.html"
    form_class = SignInForm
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs):
        return super().get_context_data(by_email=settings.ABOVO_EMAIL, **kwargs)

    def form_invalid(self, form):
        response = super().form_invalid(form)
        response.status_code = 429 if form.throttled else 422
        return response


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def forgot(request):
    """Send a link to a new password to whose name or e-mail address it is. The answer is the same where it is nobody's."""
    if not settings.ABOVO_EMAIL:
        raise Http404
    form = ForgotForm(request, request.POST if request.method == "POST" else None)
    if form.is_valid():
        forgotten.ask(typed=form.cleaned_data["typed"])
        text = _(
            "If there is such an account and it has an e-mail address, a link to a new password is on its way to it."
        )
        messages.success(request, text)
        return redirect("login")
    status = 429 if form.throttled else 422 if form.errors else 200
    return render(request, "people/forgot.html", {"form": form}, status=status)


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def join(request, secret: str):
    """What an invitation opens: a form for a name and a password, or for a password alone. 404 where it opens nothing."""
    invitation = find_invitation(secret)
    if invitation is None:
        raise Http404
    data = request.POST if request.method == "POST" else None
    form = NewPasswordForm(invitation.user, data) if invitation.user else JoinForm(data)
    if data is not None and form.is_valid():
        password = form.cleaned_data["new_password1" if invitation.user else "password1"]
        try:
            user = accept(secret=secret, username=form.cleaned_data.get("username", ""), password=password)
        except Unusable:
            raise Http404 from None
        except IntegrityError:
            form.add_error("username", _("This name is taken."))
        else:
            login(request, user, backend="django.contrib.auth.backends.ModelBackend")
            messages.success(request, _("Welcome, %(name)s.") % {"name": user.get_username()})
            return redirect("people:account")
    return render(
        request,
        "people/join.html",
        {"form": form, "invitation": invitation},
        status=422 if form.errors else 200,
    )
