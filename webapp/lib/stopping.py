"""Whether this worker has been asked to stop: long jobs look at it, hand back their slice and end early.

Celery tells only the worker's main process. The flag lies in memory that the forked pool processes share with it.
"""

import mmap
import os
import struct

_flag = mmap.mmap(-1, 1)
_main = mmap.mmap(-1, 8)


def request() -> None:
    """Ask every job of this worker to end soon."""
    _flag[0] = 1


def requested() -> bool:
    """Whether the worker is going down; cheap enough for a loop."""
    return _flag[0] == 1


def set_main_pid(pid: int) -> None:
    """Tell this process, and those that it forks, which one is the worker's main process."""
    _main[:] = struct.pack("<q", pid)


def main_pid() -> int:
    """Return the process id of the worker's main process; outside of a worker, this process's own."""
    return struct.unpack("<q", _main[:])[0] or os.getpid()
