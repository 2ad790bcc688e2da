"""A thread that stores what a search has brought while the engine computes on.

The engine lets go of the interpreter lock, so that a search does not wait for the database, nor for the way to it.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

from django.db import connection

logger = logging.getLogger(__name__)


class Storing:
    """One call at a time, in the order given, each in the thread's own connection; as a context manager it ends the thread.

    Whoever hands in the next call, or waits, gets what the one before raised. The thread begins with the first call.
    """

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._call: Future | None = None

    def begin(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        """Wait for the call before, then have this one made in the thread."""
        self.wait()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="storing")
        # What log messages are about is known in there, too.
        self._call = self._thread.submit(contextvars.copy_context().run, call, *arguments, **named)

    def wait(self) -> None:
        """Wait until everything is stored. Raises what the last call raised."""
        call, self._call = self._call, None
        try:
            if call is not None:
                call.result()
        finally:
            # What it raised has a traceback that leads back here: a circle that would keep the callers' evolution.
            del call

    @property
    def failed(self) -> bool:
        """Whether the call that is not waited for yet has raised."""
        return self._call is not None and self._call.done() and self._call.exception() is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._thread is None:
            return
        closed = self._thread.submit(_close)
        self._thread.shutdown()
        if self.failed:  # and nobody asks any more: something else ends the turn
            assert self._call is not None
            logger.warning("not stored: %r", self._call.exception())
        self._call = None
        closed.result()


def _close() -> None:
    connection.close()  # looked up in the thread whose connection it is
