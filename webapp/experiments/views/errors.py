"""Pages for what went wrong. The last one asks neither database nor session nor static files: they may be what is broken."""

from __future__ import annotations

import base64
import hashlib

from django.http import HttpResponseServerError
from django.shortcuts import render
from django.template import loader

from webapp.lib.security import CONTENT_SECURITY_POLICY


def bad_request(request, exception=None):
    return render(request, "400.html", status=400)


def forbidden(request, exception=None):
    return render(request, "403.html", status=403)


def not_found(request, exception=None):
    return render(request, "404.html", status=404)


def server_error(request):
    """Carries its style in itself; the policy allows this one text by its digest."""
    style = loader.get_template("500.css").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    response = HttpResponseServerError(loader.get_template("500.html").render({"style": style}))
    response["Content-Security-Policy"] = f"{CONTENT_SECURITY_POLICY}; style-src 'sha256-{digest}'"
    return response
