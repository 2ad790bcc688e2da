"""Celery's scheduler, for machines whose clock may be set while it runs."""

from __future__ import annotations

import logging
import time

from celery.beat import Scheduler

logger = logging.getLogger(__name__)

JUMP_SECONDS = 5.0
"""By which the clock differs from what has passed, for it to have been set."""


class SteadyScheduler(Scheduler):
    """Goes on at its pace when the clock is set; Celery's own would send nothing for the hour that it is set back.

    It keeps its state in memory: there is no pickle.
    """

    def __init__(self, *args, **kwargs):
        self._offset = _offset()
        super().__init__(*args, **kwargs)

    def tick(self, *args, **kwargs) -> float:
        """Send one job that is due; returns the seconds to wait."""
        offset = _offset()
        if abs(offset - self._offset) > JUMP_SECONDS:
            logger.warning("the clock was set by %+.0f s: all short jobs are timed anew", offset - self._offset)
            for entry in self.schedule.values():
                entry.last_run_at = entry.default_now()
            self._heap = None
        self._offset = offset
        return super().tick(*args, **kwargs)


def _offset() -> float:
    return time.time() - time.monotonic()
