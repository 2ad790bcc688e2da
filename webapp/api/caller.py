"""Who calls: by a token, by the browser's session, or nobody in particular; and how often they may."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from webapp.api.problems import ApiError
from webapp.experiments import access
from webapp.people import throttle
from webapp.people.models import ApiToken
from webapp.people.services.tokens import find_token

SAFE = ("GET", "HEAD", "OPTIONS")
WINDOW_SECONDS = 60


class Token(AuthBase):
    """Sets request.user and request.scope. Reading needs no token; a bad one is an error all the same.

    writer: of operations that make something new, which are refused before their body is read.
    """

    openapi_type = "http"
    openapi_scheme = "bearer"
    openapi_description = "A token of your account page. Public things can be read without one."

    def __init__(self, *, writer: bool = False):
        super().__init__()
        self.writer = writer

    def __call__(self, request) -> bool:
        request.scope = ApiToken.Scope.LAUNCH
        header = request.headers.get("Authorization", "")
        if header:
            self._by_token(request, header)
        elif request.method not in SAFE:
            _refuse_other_sites(request)
        _count(request)
        if self.writer:
            may_write(request)
        return True

    def _by_token(self, request, header: str) -> None:
        kind, _space, secret = header.partition(" ")
        token = find_token(secret.strip()) if kind.lower() == "bearer" else None
        if token is None:
            # Guessing a token is hopeless, but trying should not be free either.
            _count(request)
            raise ApiError(
                401, _("This token is not valid here, or not any more."), headers={"WWW-Authenticate": "Bearer"}
            )
        request.user, request.scope, request.token = token.user, token.scope, token


def may_write(request) -> None:
    """Raise ApiError unless the caller may start and steer things. Operations on a thing call it once they have found the thing."""
    if not access.may_launch(request.user):
        if not request.user.is_authenticated:
            raise ApiError(401, _("This needs a token."), headers={"WWW-Authenticate": "Bearer"})
        raise ApiError(403, _("This is for researchers: your account may only read."))
    if request.scope != ApiToken.Scope.LAUNCH:
        raise ApiError(403, _("This token may only read: make one that may launch."))


WRITER = Token(writer=True)


def owner_of(request):
    """Return whose a new thing is: the caller's, or nobody's on a laptop's open set-up."""
    return request.user if request.user.is_authenticated else None


def _refuse_other_sites(request) -> None:
    """Without a token a browser may be calling for a page of somebody else's: the session must be asked for by our own."""
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    foreign = site not in ("same-origin", "none")
    if origin is not None and not foreign:
        foreign = urlsplit(origin).netloc != request.get_host()
    if foreign or (request.user.is_authenticated and check_csrf(request) is not None):
        raise ApiError(403, _("Pages of other sites may not do this for you. Programs send a token."))


def _count(request) -> None:
    """Raise ApiError when the caller has asked too often in the last minute."""
    token = getattr(request, "token", None)
    if token is not None:
        who, limit = f"token {token.pk}", settings.ABOVO_API_RATE
    elif request.user.is_authenticated:
        who, limit = f"user {request.user.pk}", settings.ABOVO_API_RATE
    else:
        who, limit = f"address {throttle.client_address(request)}", settings.ABOVO_API_RATE_ANONYMOUS
    if limit == 0:
        return
    calls, left = throttle.count("api", who, seconds=WINDOW_SECONDS)
    if calls > limit:
        detail = _("At most %(limit)d requests a minute: wait %(left)d s.") % {"limit": limit, "left": left}
        raise ApiError(429, detail, kind="rate", headers={"Retry-After": str(left)})
