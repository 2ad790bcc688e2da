"""A thread that stores what a search has brought while the engine computes on.

The engine lets go of the interpreter lock, so that neither the database's time nor the way to it costs the search any.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

from django.db import connection


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
        if call is not None:
            call.result()

    @property
    def failed(self) -> bool:
        """Whether the call that is not waited for yet has raised."""
        return self._call is not None and self._call.done() and self._call.exception() is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._thread is not None:
            self._thread.submit(connection.close)
            self._thread.shutdown()
