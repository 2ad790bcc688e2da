"""Forms of accounts."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import get_user_model
from django.contrib.auth.forms import AuthenticationForm, BaseUserCreationForm, SetPasswordForm
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from webapp.lib.webhook import WebhookError, check_address, refuse_private_number
from webapp.people.models import ApiToken, Profile, Role
from webapp.people.services import forgotten, login
from webapp.people.throttle import client_address


def _too_many(seconds: int) -> ValidationError:
    minutes = -(-seconds // 60)
    return ValidationError(
        ngettext(
            "Too many attempts. Try again in %(n)d minute.",
            "Too many attempts. Try again in %(n)d minutes.",
            minutes,
        )
        % {"n": minutes},
        code="throttled",
    )


class _Throttled:
    """A sign-in form that slows down those who guess. throttled: refused without looking at the password."""

    throttled = False

    def clean(self):
        who = {"username": self.cleaned_data.get("username") or "", "address": client_address(self.request)}
        if seconds := login.attempt(**who):
            self.throttled = True
            raise _too_many(seconds)
        cleaned = super().clean()
        login.succeeded(**who)
        return cleaned


class SignInForm(_Throttled, AuthenticationForm):
    pass


class AdminSignInForm(_Throttled, AdminAuthenticationForm):
    pass


class ForgotForm(forms.Form):
    """Whose password is forgotten. throttled: too many were asked for from this address."""

    throttled = False
    typed = forms.CharField(
        max_length=254,
        label=_("Username or e-mail address"),
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "autofocus": True}),
    )

    def __init__(self, request, *args, **kwargs):
        self.request = request
        super().__init__(*args, **kwargs)

    def clean(self):
        if not self.errors and (seconds := forgotten.attempt(address=client_address(self.request))):
            self.throttled = True
            raise _too_many(seconds)
        return super().clean()


class JoinForm(BaseUserCreationForm):
    """A new account's name and password."""

    class Meta:
        model = get_user_model()
        fields = ("username",)

    def clean_username(self):
        """Names that differ only in case would be taken for each other."""
        name = self.cleaned_data["username"]
        if get_user_model().objects.filter(username__iexact=name).exists():
            raise ValidationError(_("This name is taken."))
        return name


class NewPasswordForm(SetPasswordForm):
    pass


class InviteForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices, initial=Role.RESEARCHER, label=_("Role"))
    note = forms.CharField(max_length=200, required=False, label=_("For whom"))


class AccountForm(forms.ModelForm):
    """An account's role and limits."""

    role = forms.ChoiceField(choices=Role.choices, label=_("Role"))
    is_active = forms.BooleanField(required=False, label=_("May sign in"))
    field_order = ("role", "is_active")

    class Meta:
        model = Profile
        fields = ("max_islands", "max_search_seconds", "max_upload_bytes")


class NoticesForm(forms.Form):
    """How somebody wants to be told that a search ended. Without a mail server there is nothing about e-mail.

    Links to a new password go to the address: whoever finds a browser signed in cannot change it without the old one.
    """

    by_email = forms.BooleanField(required=False, label=_("By e-mail"))
    email = forms.EmailField(required=False, label=_("E-mail address"))
    password = forms.CharField(
        required=False,
        strip=False,
        label=_("Your password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    webhook_url = forms.CharField(
        required=False, max_length=500, label=_("Webhook"), help_text=_("An address that gets a signed POST with JSON.")
    )

    def __init__(self, user, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.user = user
        if not settings.ABOVO_EMAIL:
            del self.fields["by_email"], self.fields["email"]
        if not (settings.ABOVO_EMAIL and self.is_bound and self.data.get("email", "").strip() != user.email):
            del self.fields["password"]

    def clean_webhook_url(self):
        url = self.cleaned_data["webhook_url"].strip()
        if url:
            try:
                _scheme, host, _port, _target = check_address(url)
                if not settings.ABOVO_WEBHOOKS_TO_PRIVATE:
                    refuse_private_number(host)
            except WebhookError as error:
                raise ValidationError(str(error)) from None
        return url

    def clean(self):
        values = super().clean()
        if values.get("by_email") and not values.get("email") and "email" not in self.errors:
            self.add_error("email", _("Which address?"))
        if "password" in self.fields and not self.errors and not self.user.check_password(values["password"]):
            self.add_error("password", _("To change your e-mail address, type your password."))
        return values


class TokenForm(forms.Form):
    LIFETIMES = ((30, _("30 days")), (90, _("90 days")), (365, _("a year")), (0, _("no end")))

    name = forms.CharField(max_length=100, label=_("What it is for"))
    scope = forms.ChoiceField(choices=ApiToken.Scope.choices, initial=ApiToken.Scope.READ, label=_("It may"))
    days = forms.TypedChoiceField(choices=LIFETIMES, coerce=int, initial=90, label=_("It ends after"))
