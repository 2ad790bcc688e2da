"""Slowing down those who guess passwords: by name from one address, by address, and by name from anywhere.

The first is what stops a guesser; the second one who tries many names; the third, far looser, one with many addresses,
without letting a stranger lock somebody out with a few requests.
"""

from __future__ import annotations

from webapp.people import throttle

WINDOW_SECONDS = 15 * 60
PER_NAME_AND_ADDRESS = 5
PER_ADDRESS = 50
PER_NAME = 100


def _counted(username: str, address: str) -> list[tuple[str, str, int]]:
    name = username.strip().casefold()[:150]
    return [
        ("login", f"{name}\n{address}", PER_NAME_AND_ADDRESS),
        ("login-address", address, PER_ADDRESS),
        ("login-name", name, PER_NAME),
    ]


def attempt(*, username: str, address: str) -> int:
    """Count an attempt, before its password is looked at; return for how many seconds it has to wait, 0: not at all."""
    waits = [0]
    for kind, what, limit in _counted(username, address):
        attempts, left = throttle.count(kind, what, seconds=WINDOW_SECONDS)
        if attempts > limit:
            waits.append(left)
    return max(waits)


def succeeded(*, username: str, address: str) -> None:
    """Take the attempt back: only failures count. Those of this name from this address are forgotten altogether."""
    first, *others = _counted(username, address)
    throttle.forget(*first[:2])
    for kind, what, _limit in others:
        throttle.count(kind, what, seconds=WINDOW_SECONDS, by=-1)
