"""Addresses of accounts. One's own under account/, the administrator's under people/."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from webapp.people.views import account, people, sign_in

app_name = "people"

urlpatterns = [
    path("login/forgot/", sign_in.forgot, name="forgot"),
    path("invitation/<str:secret>/", sign_in.join, name="join"),
    path("account/", account.account, name="account"),
    path("account/password/", account.ChangePassword.as_view(), name="password"),
    path("account/notices/", account.choose_notices, name="notices"),
    path("account/tokens/", account.make_token, name="token-make"),
    path("account/tokens/<int:token_id>/end/", account.end_token, name="token-end"),
    path("people/", people.people, name="people"),
    path("people/invite/", people.invite, name="invite"),
    path("people/invitations/<int:invitation_id>/withdraw/", people.withdraw, name="withdraw"),
    path("people/<int:user_id>/", people.person, name="person"),
    path("people/<int:user_id>/new-password/", people.new_password, name="new-password"),
]

# Signing in and out keep their plain names: templates and Django itself use them.
sign_in_urlpatterns = [
    path("login/", sign_in.SignIn.as_view(), name="login"),
    path("logout/", LogoutView.as_view(next_page="experiments:home"), name="logout"),
]
