"""Secrets that we hand out once and keep as digests. They are random and long, so that a plain digest is safe."""

from __future__ import annotations

import hashlib
import secrets


def new_secret(prefix: str = "") -> tuple[str, bytes]:
    """Return a secret of 256 bits as text, and its digest."""
    text = prefix + secrets.token_urlsafe(32)
    return text, digest_of(text)


def digest_of(text: str) -> bytes:
    """Return what is kept of a secret: (32,) bytes."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
