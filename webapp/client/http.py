"""Calls of the API over HTTP, and its errors in one line."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

from webapp.client.config import Config
from webapp.client.errors import ClientError

TIMEOUT_SECONDS = 30
TRIES = 4


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token goes to the server that was named, and nowhere else."""

    def redirect_request(self, *args):
        return None


class Api:
    """The API of one server."""

    def __init__(self, config: Config):
        self.config = config
        self._opener = urllib.request.build_opener(_NoRedirects)

    def get(self, path: str, **query: Any) -> Any:
        """Return what an address answers: JSON as values, other things as text. Raises ClientError."""
        asked = urllib.parse.urlencode({name: value for name, value in query.items() if value not in (None, "")})
        return self._call("GET", f"{path}?{asked}" if asked else path)

    def post(self, path: str, data: dict[str, Any] | None = None) -> Any:
        """Send values, return the answer. Raises ClientError."""
        return self._call("POST", path, data)

    def every(self, path: str, *, most: int, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield the entries of a list, page by page, `most` of them at most."""
        cursor = ""
        while most > 0:
            page = self.get(path, limit=min(most, 100), cursor=cursor, **query)
            yield from page["items"][:most]
            most -= len(page["items"])
            cursor = page["next_cursor"]
            if not cursor:
                return

    def _call(self, method: str, path: str, data: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(f"{self.config.url}/api/v1{path}", method=method)
        request.add_header("Accept", "application/json")
        request.add_header("User-Agent", "abovo")
        if self.config.token:
            request.add_header("Authorization", f"Bearer {self.config.token}")
        if data is not None:
            request.data = json.dumps(data).encode()
            request.add_header("Content-Type", "application/json")
        # Only reading is repeated: of a launch whose answer was lost nobody knows whether it happened.
        tries = TRIES if method == "GET" else 1
        for last in range(1, tries + 1):
            try:
                with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                    return _content(answer)
            except urllib.error.HTTPError as error:
                wait = error.headers.get("Retry-After", "")
                if last < tries and error.code in (429, 502, 503, 504):
                    time.sleep(min(int(wait), 60) if wait.isdecimal() else 2.0**last)
                    continue
                raise ClientError(_words(error, self.config)) from None
            except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
                if last < tries:
                    time.sleep(2.0 ** (last - 1))
                    continue
                reason = getattr(error, "reason", None) or error
                raise ClientError(f"{self.config.url} does not answer: {reason}") from None
        raise AssertionError("not reached")


def _content(answer) -> Any:
    body = answer.read()
    if "json" in answer.headers.get("Content-Type", ""):
        return json.loads(body)
    return body.decode("utf-8")


def _words(error: urllib.error.HTTPError, config: Config) -> str:
    """Return an error of the server's in one line."""
    try:
        told = json.loads(error.read())
        words = str(told.get("detail") or told.get("title"))
    except (ValueError, AttributeError, OSError):
        words = ""
    words = " ".join(words.split()) or f"{error.code} {error.reason}"
    if error.code == 401:
        return f"{words} `abovo login --url {config.url}` keeps a token."
    if 300 <= error.code < 400:
        return f"{config.url} sends elsewhere, to {error.headers.get('Location', '?')}: is the address right?"
    return words
