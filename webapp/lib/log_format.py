"""One line a message on the console; a traceback only where it tells a programmer something.

With ABOVO_LOG_FORMAT=json each line is an object, with the search, the island and the attempt that it is about.
"""

import contextlib
import contextvars
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

_about: contextvars.ContextVar[dict] = contextvars.ContextVar("about", default={})  # noqa: B039 (never changed in place)


@contextlib.contextmanager
def about(**fields: object) -> Iterator[None]:
    """Give every message of this thread, until the end, these fields: search, island, attempt."""
    token = _about.set({**_about.get(), **fields})
    try:
        yield
    finally:
        _about.reset(token)


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, what it is about, and a traceback as text."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
            **_about.get(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


#: A broker or database that is away: these say so at every attempt, with a page of traceback each.
CONNECTION_LOGGERS = ("celery.beat", "celery.worker.consumer", "kombu")


class TerseFormatter(logging.Formatter):
    def __init__(self):
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        if record.name.startswith(CONNECTION_LOGGERS):
            first = record.getMessage().strip().partition("\n")[0]
            record = logging.makeLogRecord(
                {**record.__dict__, "msg": first, "args": (), "exc_info": None, "exc_text": None}
            )
        return super().format(record)
