"""Permalinks never change: those of earlier versions, kept in permalinks.json, still name and print the same programs.

Never renew a kept entry. A newer canonical form adds its digest under its own version; a new op-set version adds entries.
"""

import json
from pathlib import Path

import pytest
from django.utils.html import strip_tags

from engine.algorithm import Algorithm as Program
from engine.canonical import CANONICAL_VERSION, canonical_digest
from webapp.experiments import code
from webapp.experiments.models import Algorithm
from webapp.experiments.permalink import permalink_of
from webapp.experiments.services import record

KEPT = json.loads((Path(__file__).parent / "permalinks.json").read_text())
IDS = [one["name"] for one in KEPT]


def printed(program: Program) -> list[str]:
    return [
        f"{function.name}: {''.join(piece.text for piece in line.pieces)}"
        for function in code.listings(program, features_size=None)
        for line in function.lines
    ]


@pytest.mark.parametrize("kept", KEPT, ids=IDS)
def test_a_kept_program_has_its_digest_and_permalink(kept):
    program = Program.from_json(kept["program"])
    assert program.digest().hex() == kept["digest"]
    assert permalink_of(program.digest()) == kept["permalink"]
    assert program.to_json() == kept["program"]
    assert canonical_digest(program).hex() == kept["canonical"][str(CANONICAL_VERSION)]


@pytest.mark.parametrize("kept", KEPT, ids=IDS)
def test_a_kept_program_is_printed_the_same(kept):
    assert printed(Program.from_json(kept["program"])) == kept["text"]


def test_kept_permalinks_open_and_show_their_programs(client, db):
    """As a database of that version holds them: rows by content, with that version's digests."""
    record.record_algorithms([Program.from_json(kept["program"]) for kept in KEPT], published=True)
    assert Algorithm.objects.count() == len(KEPT)
    for kept in KEPT:
        response = client.get(f"/a/{kept['permalink']}")
        assert response.status_code == 200, kept["name"]
        text = " ".join(strip_tags(response.content.decode()).split())
        for line in kept["text"]:
            statement = line.partition(": ")[2].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            assert " ".join(statement.split()) in text, (kept["name"], line)
        data = client.get(f"/a/{kept['permalink']}/program.json").json()
        assert (data["sha256"], data["program"]) == (kept["digest"], kept["program"])
