"""Whether this worker has been asked to stop: long jobs look at it, hand back their slice and end early.

Celery tells only the worker's main process. The flag lies in memory that the forked pool processes share with it.
"""

import mmap

_flag = mmap.mmap(-1, 1)


def request() -> None:
    """Ask every job of this worker to end soon."""
    _flag[0] = 1


def requested() -> bool:
    """Whether the worker is going down; cheap enough for a loop."""
    return _flag[0] == 1
