"""One line a message on the console; a traceback only where it tells a programmer something."""

import logging

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
