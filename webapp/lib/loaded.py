"""What a process that answers requests has in memory before the first one."""

import gc
from collections.abc import Callable

from django.urls import reverse

_readers: list[Callable[[], object]] = []


def read_before_requests(reader: Callable[[], object]) -> None:
    """Let a function that fills caches be called before the first request. It must not ask the database: processes fork afterwards."""
    _readers.append(reader)


def load_pages() -> None:
    """Load what answers requests, and keep the garbage collector off it.

    Otherwise the first request waits for that, and now and then one waits a tenth of a second while the collector walks over all
    that stays anyway.
    """
    reverse("favicon")  # any address: the first one loads all of them, and with them the views
    for reader in _readers:
        reader()
    gc.collect()
    gc.freeze()
