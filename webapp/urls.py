"""Addresses. Names: experiments:<noun>[-<verb>]."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

handler400 = "webapp.experiments.views.errors.bad_request"
handler403 = "webapp.experiments.views.errors.forbidden"
handler404 = "webapp.experiments.views.errors.not_found"
handler500 = "webapp.experiments.views.errors.server_error"

urlpatterns = [
    path("", include("webapp.experiments.urls")),
    path(
        "login/",
        LoginView.as_view(template_name="login.html", redirect_authenticated_user=True),
        name="login",
    ),
    path("logout/", LogoutView.as_view(next_page="experiments:home"), name="logout"),
    path("admin/", admin.site.urls),
]
