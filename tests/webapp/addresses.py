"""Who may open which address: one line for each name in the URLconf. A new address needs its line here.

A rule says of a role whether what the address shows is there for it at all (else 404), and whether it may do what the
address does (else 403, or off to the sign-in page). Addresses about a thing are asked for a public, an unlisted and a private one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

ROLES = ("anonymous", "viewer", "stranger", "owner", "administrator")
VISIBILITIES = ("public", "unlisted", "private")


@dataclass(frozen=True)
class Rule:
    """sees, may: of (role, visibility of the thing). visibility is "" where the address is about no thing."""

    sees: Callable[[str, str], bool]
    may: Callable[[str, str], bool] = lambda role, visibility: True


def everybody(role, visibility):
    return True


def nobody(role, visibility):
    return False


def by_visibility(role, visibility):
    return visibility != "private" or role in ("owner", "administrator")


def steerers(role, visibility):
    return role in ("owner", "administrator")


def researchers(role, visibility):
    return role in ("stranger", "owner", "administrator")


def signed_in(role, visibility):
    return role != "anonymous"


def administrators(role, visibility):
    return role == "administrator"


OPEN = Rule(everybody)
READ = Rule(by_visibility)
STEER = Rule(by_visibility, steerers)
MARK = Rule(by_visibility, signed_in)
LAUNCH = Rule(everybody, researchers)
LAUNCH_ON = Rule(by_visibility, researchers)
ACCOUNT = Rule(everybody, signed_in)
ADMINISTRATOR = Rule(administrators)
OWN = Rule(steerers)
NOTHING = Rule(nobody)
"""What is about things that only its query names: without one there is nothing; its own tests ask with one."""

RULES = {
    "metrics": NOTHING,
    "favicon": OPEN,
    "experiments:home": OPEN,
    "experiments:discoveries": OPEN,
    "experiments:learn": OPEN,
    "experiments:ops": OPEN,
    "experiments:searches": OPEN,
    "experiments:launch": LAUNCH,
    "experiments:trial": OPEN,
    "experiments:search-toml": READ,
    "experiments:search-bundle": LAUNCH_ON,
    "experiments:import-new": LAUNCH,
    "experiments:import": OWN,
    "experiments:search-curve": READ,
    "experiments:search-curve-csv": READ,
    "experiments:search": READ,
    "experiments:search-live": READ,
    "experiments:search-pause": STEER,
    "experiments:search-resume": STEER,
    "experiments:search-stop": STEER,
    "experiments:search-extend": STEER,
    "experiments:search-priority": STEER,
    "experiments:search-delete": STEER,
    "experiments:search-compare": OPEN,
    "experiments:search-compare-csv": OPEN,
    "experiments:studies": OPEN,
    "experiments:study": READ,
    "experiments:study-csv": READ,
    "experiments:datasets": OPEN,
    "experiments:dataset-upload": LAUNCH,
    "experiments:dataset": READ,
    "experiments:dataset-visibility": STEER,
    "experiments:dataset-delete": STEER,
    "experiments:algorithm": READ,
    "experiments:star": MARK,
    "experiments:tags": MARK,
    "experiments:notes": MARK,
    "experiments:note": STEER,
    "experiments:ancestry": READ,
    "experiments:program-json": READ,
    "experiments:program-python": READ,
    "experiments:program-sklearn": READ,
    "experiments:program-latex": READ,
    "experiments:program-text": READ,
    "experiments:curve-csv": READ,
    "experiments:ancestry-json": READ,
    "experiments:phylogeny-csv": READ,
    "experiments:ancestry-svg": READ,
    "experiments:curve-svg": READ,
    "experiments:algorithm-state": READ,
    "experiments:measure": Rule(by_visibility, researchers),
    "experiments:evaluate": Rule(by_visibility, researchers),
    "experiments:picture": READ,
    "experiments:embed": READ,
    "experiments:search-tree": READ,
    "experiments:search-tree-svg": READ,
    "experiments:search-phylogeny": READ,
    "experiments:compare": OPEN,
    "experiments:compare-svg": NOTHING,
    "experiments:oembed": NOTHING,
    "people:forgot": OPEN,
    "people:join": OPEN,
    "people:account": ACCOUNT,
    "people:password": ACCOUNT,
    "people:notices": ACCOUNT,
    "people:token-make": ACCOUNT,
    "people:token-end": ACCOUNT,
    "people:people": ADMINISTRATOR,
    "people:invite": ADMINISTRATOR,
    "people:withdraw": ADMINISTRATOR,
    "people:person": ADMINISTRATOR,
    "people:new-password": ADMINISTRATOR,
    "api-page": OPEN,
    "api:index": OPEN,
    "api:api-root": OPEN,
    "api:openapi-json": OPEN,
    "api:account": OPEN,
    "api:presets": OPEN,
    "api:spec-check": OPEN,
    "api:searches": LAUNCH,
    "api:search": STEER,
    "api:search-pause": STEER,
    "api:search-resume": STEER,
    "api:search-stop": STEER,
    "api:search-extend": STEER,
    "api:search-curve": READ,
    "api:search-bundle": LAUNCH_ON,
    "api:imports": LAUNCH,
    "api:import": OWN,
    "api:search-finds": READ,
    "api:search-best": READ,
    "api:algorithms": OPEN,
    "api:algorithm": READ,
    "api:explanation": READ,
    "api:export": READ,
    "api:evaluations": LAUNCH_ON,
    "api:evaluation": READ,
    "api:datasets": LAUNCH,
    "api:dataset": STEER,
    "api:studies": LAUNCH,
    "api:study": READ,
    "login": OPEN,
    "language": OPEN,
    "logout": OPEN,
}
"""Name of each address: who sees it, who may. Django's own administration is tested by its prefix."""

UNNAMED = {"a/<permalink:permalink>/"}
"""Patterns without a name: redirects that show nothing."""

BODIES = {"api:search-extend": {"seconds": 1}}
"""What is sent to an address of the API that looks at the body before it looks at who sends it."""
