"""Calls of the API over HTTP, and its errors in one line."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from webapp.client.config import Config
from webapp.client.errors import ClientError

TIMEOUT_SECONDS = 30
LONG_SECONDS = 600
"""For files: a server may take long to pack one, or to take it in."""

TRIES = 4
PIECE = 1 << 16


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token goes to the server that was named, and nowhere else."""

    def redirect_request(self, *args):
        return None


class _Form:
    """A form with one file, as multipart/form-data, read piece by piece as it is sent."""

    def __init__(self, name: str, file: BinaryIO, fields: dict[str, str]):
        boundary = uuid.uuid4().hex
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        ]
        plain = re.sub(r'[\r\n"\\]', "_", name)
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{plain}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._file = file
        self._head, self._tail = "".join(parts).encode(), f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._head) + os.fstat(self._file.fileno()).st_size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        while piece := self._file.read(PIECE):
            yield piece
        yield self._tail


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

    def download(self, path: str, target: BinaryIO) -> None:
        """Write what an address answers into a file. Raises ClientError."""

        def keep(answer) -> None:
            target.seek(0)
            target.truncate()
            shutil.copyfileobj(answer, target)
            expected = answer.headers.get("Content-Length", "")
            if expected.isdecimal() and target.tell() != int(expected):
                raise http.client.IncompleteRead(b"", int(expected) - target.tell())

        self._call("GET", path, read=keep, timeout=LONG_SECONDS)

    def upload(self, path: str, name: str, file: BinaryIO, fields: dict[str, str]) -> Any:
        """Send a file as the form's `file`, with other fields; return the answer. Raises ClientError."""
        return self._call("POST", path, form=_Form(name, file, fields), timeout=LONG_SECONDS)

    def _call(
        self,
        method: str,
        path: str,
        data: dict[str, Any] | None = None,
        *,
        form: _Form | None = None,
        read: Callable[[Any], Any] | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> Any:
        request = urllib.request.Request(f"{self.config.url}/api/v1{path}", method=method)
        request.add_header("Accept", "application/json")
        request.add_header("User-Agent", "abovo")
        if self.config.token:
            request.add_header("Authorization", f"Bearer {self.config.token}")
        if data is not None:
            request.data = json.dumps(data).encode()
            request.add_header("Content-Type", "application/json")
        if form is not None:
            request.data = iter(form)
            request.add_header("Content-Type", form.content_type)
            request.add_header("Content-Length", str(len(form)))
        # Only reading is repeated: of a launch whose answer was lost nobody knows whether it happened.
        tries = TRIES if method == "GET" else 1
        for last in range(1, tries + 1):
            try:
                with self._opener.open(request, timeout=timeout) as answer:
                    return (read or _content)(answer)
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
