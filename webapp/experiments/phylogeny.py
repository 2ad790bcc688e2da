"""Ancestry in the ALife phylogeny data standard: a table whose rows name their ancestors.

https://alife-data-standards.github.io/alife-data-standards/phylogeny.html: id, ancestor_list ("[none]" for a first ancestor)
and origin_time are the standard's, the other columns are ours.
"""

from __future__ import annotations

COLUMNS = ("id", "ancestor_list", "origin_time", "island", "mutation", "score")
ISLAND_BITS = 40
"""Births of an island stay below 2 to this power."""


def identity(island_index: int, birth: int) -> int:
    """Return the number of an individual that no other of its search has; that of the first island is its birth."""
    return (island_index << ISLAND_BITS) + birth


def row(one: int, parent: int | None, birth: int, island_index: int, mutation: str, score: float | None) -> tuple:
    """Return an individual's row."""
    return (
        one,
        "[none]" if parent is None else f"[{parent}]",
        birth,
        island_index,
        mutation,
        "" if score is None else repr(score),
    )


class Echo:
    """A file for csv.writer that hands back what it is given, for responses that stream."""

    def write(self, text: str) -> str:
        """Return the text."""
        return text
