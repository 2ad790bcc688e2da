"""Counting how often something happens, for all processes together: in the database, in windows of fixed length.

The counts are of no value after their window, so a lost one would matter little; they are rows because several
processes on several machines have to agree, and the database is the one thing that they share.
"""

from __future__ import annotations

import hashlib
import time

from django.conf import settings
from django.db import connection

from webapp.people.models import RateCount

_COUNT = """
    INSERT INTO people_ratecount AS old (key, "window", count, expires_at)
    VALUES (%(key)s, %(window)s, greatest(%(by)s, 0), to_timestamp(%(end)s))
    ON CONFLICT (key) DO UPDATE SET
        count = greatest(CASE WHEN old."window" = EXCLUDED."window" THEN old.count ELSE 0 END + %(by)s, 0),
        "window" = EXCLUDED."window", expires_at = EXCLUDED.expires_at
    RETURNING count
"""


def count(kind: str, what: str, *, seconds: int, by: int = 1) -> tuple[int, int]:
    """Count `what` once more; return how often it was in this window, and the seconds until the window ends.

    by=-1 takes one back. What is counted is kept as a digest: names and addresses of people stay out of the table.
    """
    now = int(time.time())
    window = now // seconds
    end = (window + 1) * seconds
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"key": _key(kind, what), "window": window, "by": by, "end": end})
        return cursor.fetchone()[0], end - now


def forget(kind: str, what: str) -> None:
    """Begin again at nothing."""
    RateCount.objects.filter(key=_key(kind, what)).delete()


def _key(kind: str, what: str) -> str:
    return f"{kind}:{hashlib.sha256(what.encode()).hexdigest()[:40]}"


def client_address(request) -> str:
    """Return where a request comes from: behind proxies what the outermost trusted one says, else the connection's end."""
    proxies = settings.ABOVO_PROXIES
    if proxies:
        forwarded = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
        if len(forwarded) >= proxies:
            return forwarded[-proxies]
    return request.META.get("REMOTE_ADDR", "")
