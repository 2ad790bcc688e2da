"""What a process that answers requests has in memory before the first one."""

import gc

from django.urls import reverse


def load_pages() -> None:
    """Load what answers requests, and keep the garbage collector off it.

    Otherwise the first request waits for that, and now and then one waits a tenth of a second while the collector walks over all
    that stays anyway.
    """
    reverse("favicon")  # any address: the first one loads all of them, and with them the views
    gc.collect()
    gc.freeze()
