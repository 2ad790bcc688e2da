"""The tree of a search's surviving lineages: who is kept of it, and where everybody is drawn.

Stored is what living individuals descended from, and what finds descended from. Small trees are read whole; of larger ones,
what leads to the best finds and to each island's latest ancestor: the last steps to each one by one, before that
from waypoint to waypoint (webapp.experiments.lineage), so that a search of a hundred million births is drawn as soon as a small one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import connection
from django.db.models import F

from webapp.experiments import lineage
from webapp.experiments.models import Find, Search

WHOLE = 10_000
"""Individuals of the largest tree that is read whole."""

MOST_FINDS = 240
MOST_PATHS = 120
"""Lineages that are drawn; of more, those that came furthest."""

Key = tuple[int, int]
"""Island and birth."""

_COUNT = "SELECT count(*) FROM (SELECT 1 FROM experiments_individual WHERE island_id = ANY(%s) LIMIT %s) AS first_ones"
_ALL = """
    SELECT island_id, birth, COALESCE(parent_island_id, island_id), parent, score FROM experiments_individual
    WHERE island_id = ANY(%s)
"""
_LATEST = """
    SELECT island.id, latest.birth FROM unnest(%s::bigint[]) AS island(id)
    CROSS JOIN LATERAL (
        SELECT birth FROM experiments_individual WHERE island_id = island.id ORDER BY birth DESC LIMIT 1
    ) AS latest
"""
_TAILS = """
    WITH RECURSIVE line AS (
        SELECT one.island_id, one.birth, COALESCE(one.parent_island_id, one.island_id) AS parent_island, one.parent,
               one.score, one.depth, GREATEST(one.depth - 1, 0) / %s * %s AS base
        FROM unnest(%s::bigint[], %s::bigint[]) AS wanted(island_id, birth)
        JOIN experiments_individual one USING (island_id, birth)
      UNION
        SELECT one.island_id, one.birth, COALESCE(one.parent_island_id, one.island_id), one.parent, one.score, one.depth,
               line.base
        FROM line JOIN experiments_individual one ON one.island_id = line.parent_island AND one.birth = line.parent
        WHERE line.depth > line.base
    )
    SELECT island_id, birth, parent_island, parent, score FROM line
"""
_WAYPOINTS = """
    SELECT point.island_id, point.birth, point.previous_island_id, point.previous_birth, one.score
    FROM experiments_waypoint point JOIN experiments_individual one
      ON one.island_id = point.island_id AND one.birth = point.birth
    WHERE point.island_id = ANY(%s)
"""


@dataclass(slots=True)
class Node:
    """One individual. permalink: of its program, where it is a find."""

    key: Key
    parent: Key | None
    score: float | None
    permalink: str = ""
    is_chosen: bool = False


@dataclass(slots=True)
class Path:
    """A lineage from where it leaves another one, or from a first ancestor, to its end: nodes in order of birth.

    source: the node it leaves; is_migrant: whether that was on another island. is_chosen: whether it ends in what the search chose.
    """

    island: int
    nodes: list[Node]
    source: Node | None = None
    is_migrant: bool = False
    is_chosen: bool = False

    @property
    def best(self) -> Node:
        """Return the node of the best score."""
        return max(self.nodes, key=_score)


@dataclass(slots=True)
class Tree:
    """paths: a path stands after the one that it leaves. left_out: lineages that are not in it."""

    paths: list[Path] = field(default_factory=list)
    left_out: int = 0
    is_whole: bool = True


def load(search: Search) -> Tree:
    """Return a search's tree."""
    islands = dict(search.islands.order_by("index").values_list("pk", "index"))
    ids = list(islands)
    finds = list(
        Find.objects.filter(search=search)
        .order_by(F("score").desc(nulls_last=True), "pk")
        .values_list("pk", "island_id", "birth", "algorithm__permalink")[:MOST_FINDS]
    )
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [ids, WHOLE + 1])
        is_whole = cursor.fetchone()[0] <= WHOLE
        if is_whole:
            cursor.execute(_ALL, [ids])
            nodes = _nodes(cursor.fetchall())
        else:
            cursor.execute(_LATEST, [ids])
            wanted = {(island, birth) for _pk, island, birth, _permalink in finds} | set(cursor.fetchall())
            stretch = [lineage.STRETCH] * 2
            cursor.execute(_TAILS, [*stretch, [one for one, _ in wanted], [birth for _, birth in wanted]])
            nodes = _nodes(cursor.fetchall())
            cursor.execute(_WAYPOINTS, [ids])
            points = {(row[0], row[1]): Node((row[0], row[1]), (row[2], row[3]), row[4]) for row in cursor.fetchall()}
            nodes = _joined(nodes, points, wanted)
    chosen = search.result_id or search.best_id
    for pk, island, birth, permalink in finds:
        if (island, birth) in nodes:
            node = nodes[island, birth]
            node.permalink, node.is_chosen = permalink, pk == chosen
    tree = grow(nodes, islands)
    tree.is_whole = is_whole
    return tree


def _nodes(rows: Iterable[tuple]) -> dict[Key, Node]:
    return {
        (island, birth): Node((island, birth), None if parent is None else (parent_island, parent), score)
        for island, birth, parent_island, parent, score in rows
    }


def _joined(tails: dict[Key, Node], points: Mapping[Key, Node], wanted: Iterable[Key]) -> dict[Key, Node]:
    """Return the last steps to those wanted, joined by the waypoints before them."""
    nodes = dict(tails)
    for key in wanted:
        while key in nodes or key in points:
            if key in nodes and nodes[key].parent in nodes:
                key = nodes[key].parent
                continue
            if key in points:
                nodes[key] = points[key]
            parent = nodes[key].parent
            if parent is None:
                break
            if parent not in nodes and parent not in points:
                # The first ancestor, which has no waypoint and was not among the last steps.
                nodes[parent] = Node(parent, None, None)
            key = parent
    return nodes


def grow(nodes: dict[Key, Node], islands: Mapping[int, int]) -> Tree:
    """Return lineages from individuals. islands: index by id. Lines without turn or find become stretches of their path."""
    children: dict[Key | None, list[Node]] = {}
    for node in nodes.values():
        children.setdefault(node.parent if node.parent in nodes else None, []).append(node)
    reach = _reach(nodes, children)
    paths = []
    stack: list[tuple[Node, Node | None]] = [
        (one, None) for one in sorted(children.get(None, []), key=lambda one: reach[one.key])
    ]
    while stack:
        node, source = stack.pop()
        path = Path(islands[node.key[0]], [node], source, source is not None and source.key[0] != node.key[0])
        paths.append(path)
        branches = []
        while True:
            next_ones = sorted(children.get(node.key, []), key=lambda one: reach[one.key])
            ahead = next((one for one in reversed(next_ones) if one.key[0] == node.key[0]), None)
            branches += [(one, node) for one in next_ones if one is not ahead]
            path.is_chosen = path.is_chosen or node.is_chosen
            if ahead is None:
                break
            node = ahead
            path.nodes.append(node)
        stack += branches
    kept = _furthest(paths, reach)
    sources = {one.source.key for one in kept if one.source}
    for path in kept:
        path.nodes = [
            one
            for place, one in enumerate(path.nodes)
            if place in (0, len(path.nodes) - 1) or one.permalink or one.key in sources
        ]
    return Tree(kept, len(paths) - len(kept))


def _score(node: Node) -> float:
    return -1.0 if node.score is None else node.score


def _reach(nodes: Mapping[Key, Node], children: Mapping[Key | None, Sequence[Node]]) -> dict[Key, tuple]:
    """Return of each node how far its descendants come: to what was chosen, to which score, to which birth."""
    order = list(children.get(None, []))
    for node in order:
        order.extend(children.get(node.key, ()))
    reach: dict[Key, tuple] = {}
    for node in reversed(order):
        own = (node.is_chosen, _score(node) if node.permalink else -1.0, node.key[1], node.key[0])
        reach[node.key] = max([own, *(reach[one.key] for one in children.get(node.key, ()))])
    return reach


def _furthest(paths: Sequence[Path], reach: Mapping[Key, tuple]) -> list[Path]:
    """Return the paths that come furthest, with all that they leave, in the given order."""
    if len(paths) <= MOST_PATHS:
        return list(paths)
    owner = {id(node): path for path in paths for node in path.nodes}
    kept: set[int] = set()
    for path in sorted(paths, key=lambda one: reach[one.nodes[0].key], reverse=True):
        line = [path]
        while line[-1].source is not None:
            line.append(owner[id(line[-1].source)])
        if len(kept | {id(one) for one in line}) <= MOST_PATHS:
            kept |= {id(one) for one in line}
    return [path for path in paths if id(path) in kept]
