"""The tree of a search's surviving lineages: exact when small, thinned when large, islands apart."""

import csv
import io
import random
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from webapp.experiments import lineage, tree, tree_drawing
from webapp.experiments.models import Individual, Island
from webapp.experiments.tree import Node, grow

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def searched(make_search, run):
    search = make_search()
    run(search, 3)
    return search


def nodes(*edges):
    """Nodes from (island, birth, parent) triples; parent: None or (island, birth)."""
    return {(island, birth): Node((island, birth), parent, 0.5) for island, birth, parent in edges}


def test_a_line_is_one_path_without_its_neutral_middle():
    found = nodes((1, 0, None), *((1, birth, (1, birth - 1)) for birth in range(1, 100)))
    found[1, 40].permalink = "x"
    (path,) = grow(found, {1: 0}).paths
    assert [node.key[1] for node in path.nodes] == [0, 40, 99]


def test_the_line_that_comes_furthest_goes_straight_on():
    found = nodes((1, 0, None), (1, 1, (1, 0)), (1, 2, (1, 0)), (1, 3, (1, 1)))
    found[1, 2].permalink, found[1, 2].score = "x", 0.9
    found[1, 3].permalink, found[1, 3].score = "y", 0.7
    paths = grow(found, {1: 0}).paths
    assert [[node.key[1] for node in path.nodes] for path in paths] == [[0, 2], [1, 3]]
    assert paths[1].source is paths[0].nodes[0] and not paths[1].is_migrant


def test_a_migrant_begins_a_path_on_its_island():
    found = nodes((1, 0, None), (1, 5, (1, 0)), (2, 7, (1, 0)), (2, 9, (2, 7)))
    paths = grow(found, {1: 0, 2: 1}).paths
    assert [(path.island, path.is_migrant) for path in paths] == [(0, False), (1, True)]
    drawing = tree_drawing.draw(tree.Tree(paths))
    assert [name for name, _colour, _y in drawing.blocks] == ["island 1", "island 2"]
    migrant = next(twig for twig in drawing.twigs if twig.is_migrant)
    assert migrant.source and migrant.colour == 1


def test_the_furthest_are_kept_with_all_that_they_leave(monkeypatch):
    monkeypatch.setattr(tree, "MOST_PATHS", 5)
    chance = random.Random(1)
    found = nodes((1, 0, None), *((1, birth, (1, chance.randrange(birth))) for birth in range(1, 300)))
    found[1, 250].is_chosen = True
    grown = grow(found, {1: 0})
    assert len(grown.paths) <= 5 and grown.left_out > 0
    assert any(path.is_chosen for path in grown.paths)
    kept = {id(node) for path in grown.paths for node in path.nodes}
    assert all(path.source is None or id(path.source) in kept for path in grown.paths)


def test_lanes_are_not_shared_by_lineages_of_the_same_time():
    chance = random.Random(2)
    found = nodes((1, 0, None), *((1, birth, (1, chance.randrange(birth))) for birth in range(1, 200)))
    grown = grow(found, {1: 0})
    spans = {}
    for path, twig in zip(grown.paths, tree_drawing.draw(grown).twigs, strict=True):
        first, last = path.nodes[0].key[1], path.nodes[-1].key[1]
        spans.setdefault(twig.label_y, []).append((first, last))
    for lane in spans.values():
        lane.sort()
        assert all(a[1] < b[0] for a, b in pairwise(lane))


def test_a_small_tree_is_whole(client, searched):
    grown = tree.load(searched)
    assert grown.is_whole and grown.left_out == 0
    assert grown.paths[0].nodes[0].key[1] == 0
    address = f"/searches/{searched.pk}/tree/"
    assert f'href="{address}"' in client.get(searched.get_absolute_url()).content.decode()
    text = client.get(address).content.decode()
    assert f'href="{searched.best.algorithm.get_absolute_url()}"' in text


def test_a_large_tree_is_joined_by_waypoints(make_search, run, monkeypatch):
    search = make_search()
    run(search, 40)
    whole = tree.load(search)
    monkeypatch.setattr(tree, "WHOLE", 10)
    thinned = tree.load(search)
    assert whole.is_whole and not thinned.is_whole
    assert Individual.objects.count() == 400 > lineage.STRETCH

    def seen(grown):
        return [[node.key[1] for node in path.nodes if node.permalink] for path in grown.paths]

    assert seen(thinned) == seen(whole)
    assert thinned.paths[0].nodes[0].key[1] == 0


def test_the_page_of_an_empty_search_says_what_will_stand_there(client, make_search):
    text = client.get(f"/searches/{make_search().pk}/tree/").content.decode()
    assert "Nothing has settled yet" in text


def test_the_tree_as_a_file(client, searched):
    response = client.get(f"/searches/{searched.pk}/tree.svg")
    assert ElementTree.fromstring(response.content).tag.endswith("svg")
    assert "var(" not in response.content.decode()


def test_the_number_of_queries_does_not_grow(client, make_search, run):
    search = make_search()
    counts = []
    for times in (2, 10):
        run(search, times)
        with CaptureQueriesContext(connection) as queries:
            client.get(f"/searches/{search.pk}/tree/")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 6


def rows(response):
    return list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))


def test_the_phylogeny_of_a_search_is_closed(client, searched):
    """Every ancestor that a row names has a row, before it; migrants keep theirs."""
    other = Island.objects.create(search=searched, index=1, state="finished")
    island = searched.islands.get(index=0)
    Individual.objects.create(
        island=other, birth=3, parent=7, parent_island=island, depth=8, mutation="copy", change={"edits": []}, score=0.5
    )
    table = rows(client.get(f"/searches/{searched.pk}/phylogeny.csv"))
    assert len(table) == 31
    known = set()
    for row in table:
        assert row["ancestor_list"] == "[none]" or int(row["ancestor_list"][1:-1]) in known
        known.add(int(row["id"]))
    assert len(known) == 31
    assert (table[-1]["island"], table[-1]["ancestor_list"]) == ("1", "[7]")


def test_the_phylogeny_of_an_algorithm_is_its_line(client, searched):
    table = rows(client.get(f"{searched.best.algorithm.get_absolute_url()}/phylogeny.csv"))
    assert [row["ancestor_list"] for row in table] == ["[none]", *(f"[{birth}]" for birth in range(25))]
    assert list(table[0])[:3] == ["id", "ancestor_list", "origin_time"]
