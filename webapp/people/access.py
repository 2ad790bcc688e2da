"""Who may open the pages of accounts. An administrator's pages are not there for anybody else."""

from __future__ import annotations

from functools import wraps

from django.http import Http404
from django.views.decorators.cache import never_cache

from webapp.people.roles import is_administrator


def administrators_only(view):
    """Answer 404 to everybody else."""

    @wraps(view)
    @never_cache
    def guarded(request, *args, **kwargs):
        if not is_administrator(request.user):
            raise Http404
        return view(request, *args, **kwargs)

    return guarded
