"""Addresses. Names: experiments:<noun>[-<verb>], people:<noun>."""

from django.contrib import admin
from django.urls import include, path

from webapp.api import reference
from webapp.api.v1 import api
from webapp.experiments.views.metrics import metrics
from webapp.lib.favicon import favicon
from webapp.lib.language import choose
from webapp.people.urls import sign_in_urlpatterns

handler400 = "webapp.experiments.views.errors.bad_request"
handler403 = "webapp.experiments.views.errors.forbidden"
handler404 = "webapp.experiments.views.errors.not_found"
handler500 = "webapp.experiments.views.errors.server_error"

urlpatterns = [
    path("metrics", metrics, name="metrics"),
    path("favicon.ico", favicon, name="favicon"),
    path("", include("webapp.experiments.urls")),
    path("", include("webapp.people.urls")),
    path("api/", reference.page, name="api-page"),
    path("api/v1/", api.urls),
    *sign_in_urlpatterns,
    path("language/<slug:code>/", choose, name="language"),
    path("admin/", admin.site.urls),
]
