"""Bundles for tests: of small searches, and forged ones."""

import hashlib
import io
import json
from dataclasses import replace

from hypothesis import strategies as st

from engine.bundle.collect import Collector
from engine.presets import preset
from engine.search import Search
from engine.spec import SearchSpec

TASKS = {"features": 4, "count": 4, "train_examples": 40, "valid_examples": 20}


def small(**changes) -> SearchSpec:
    """Return a specification that is searched in a moment."""
    data = preset("linear-learning-only").to_json()
    for role in ("search_tasks", "select_tasks", "final_tasks"):
        data[role] = {**(data.get(role) or data["search_tasks"]), **TASKS}
    spec = SearchSpec.from_json({**data, "population_size": 50, "stop": {"max_total_individuals": 2000}})
    return replace(spec, **changes).check()


def bundle_of(spec: SearchSpec, seed: int) -> bytes:
    """Run a search of one island and return its bundle."""
    collector = Collector(spec, seed)
    search = Search.start(spec, seed)
    while not search.finished:
        collector.take(0, search.run(seconds=0.05))
    file = io.BytesIO()
    collector.write(file)
    return file.getvalue()


def lines_of(text: bytes) -> list[dict]:
    """Return the lines of a bundle of one search, without the last."""
    return [json.loads(line) for line in text.splitlines()][:-1]


def sealed(lines) -> bytes:
    """Return a bundle of these lines with the checksum that they need, as a forger would make it."""
    body = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
    end = {"kind": "end", "lines": len(lines), "sha256": hashlib.sha256(body).hexdigest()}
    return body + json.dumps(end).encode() + b"\n"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def spoil(data, node) -> None:
    """Put any value in any place of what was read from JSON, however deep; data: hypothesis's."""
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(node[key], (dict, list)) and node[key] and data.draw(st.booleans()):
            node = node[key]
            continue
        break
    node[key] = data.draw(JSON)
