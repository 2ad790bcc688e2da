"""Bundles: what a search found goes out and comes in whole; nothing that is damaged or forged gets through."""

import gzip
import io
import json
from copy import deepcopy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.algorithm import Algorithm
from engine.bundle import Bundle, BundleError, Limits, check_scores, check_section
from engine.bundle.collect import Collector
from engine.cli.main import main
from engine.records import apply_change
from engine.search import Search
from engine.spec import MigrationSpec, StopSpec
from tests.bundles import bundle_of, lines_of, sealed, small, spoil


@pytest.fixture(scope="module")
def text() -> bytes:
    """A bundle of one search."""
    return bundle_of(small(), 3)


@pytest.fixture(scope="module")
def lines(text) -> list[dict]:
    return lines_of(text)


def check(data: bytes, **limits):
    with Bundle(io.BytesIO(data), limits=Limits(**limits)) as bundle:
        checked = [check_section(section) for section in bundle.sections]
    for one in checked:
        check_scores(one.head, one.finds)
    return checked


def test_what_a_search_found_comes_out_as_it_went_in(text):
    search = Search.start(small(), 3)
    report = search.run(seconds=60.0)
    individuals = {one.birth: one for one in report.individuals}
    (checked,) = check(text)
    assert checked.head.spec == small() and checked.head.seed == 3
    assert checked.head.result == (0, report.result.birth)
    found = {find.birth: find for find in checked.finds}
    for find in report.finds:
        assert (found[find.birth].algorithm, found[find.birth].score) == (find.algorithm, find.score)
    result = found[report.result.birth]
    assert result.select_scores == list(report.result.select_scores)
    assert result.final_score == report.result.final_fitness
    assert checked.islands[0].counters["individuals"] == report.counters.individuals
    with Bundle(io.BytesIO(text)) as bundle:
        section = bundle.sections[0]
        head = section.head()
        points = [point for _, point in section.points(head)]
        assert {point[0] for point in points} >= {point.individuals for point in report.points}
        rows = list(section.ancestry(head))
    # The oracle: the engine's own records, replayed by the engine's own function.
    programs: dict[int, Algorithm] = {}
    for row, program in rows:
        one = individuals[row.birth]
        programs[row.birth] = apply_change(None if one.parent is None else programs[one.parent], one.change)
        assert program == programs[row.birth]
        assert (row.parent, row.mutation, row.score) == (one.parent, one.mutation, one.score)
    # Nothing is there that leads to no find, and nothing is missing.
    needed: set[int] = set()
    for birth in found:
        while birth is not None and birth not in needed:
            needed.add(birth)
            birth = individuals[birth].parent
    assert {row.birth for row, _ in rows} == needed


def test_scores_are_computed_anew(text):
    (checked,) = check(text)
    done = check_scores(checked.head, checked.finds, sample=3)
    assert (done.search, done.select, done.final, done.reason) == (3, 1, 1, "")


def test_islands_lines_lead_across_to_their_first_ancestors():
    spec = small(
        islands=3,
        migration=MigrationSpec(every=50, count=10),
        stop=StopSpec(max_individuals=3000, max_experiments=1),
    )
    from engine.archipelago import Archipelago

    collector = Collector(spec, 1)
    Archipelago(spec, 1).run(workers=2, on_report=collector.take)
    file = io.BytesIO()
    collector.write(file)
    (checked,) = check(file.getvalue())
    assert len(checked.islands) == 3
    with Bundle(io.BytesIO(file.getvalue())) as bundle:
        rows = [row for row, _ in bundle.sections[0].ancestry(bundle.sections[0].head())]
    assert any(row.parent_island is not None for row in rows)


def test_several_searches_packed_or_plain(text):
    packed = gzip.compress(text + text.replace(b'"seed":3', b'"seed":3'))
    assert len(check(packed)) == 2
    with Bundle(io.BytesIO(text)) as one, Bundle(io.BytesIO(packed)) as two:
        assert {section.digest for section in two.sections} == {one.sections[0].digest}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: b"", "empty"),
        (lambda text: b"hello\n", "line 1: not valid JSON"),
        (lambda text: b"{}\n", "line 1: kind"),
        (lambda text: text[: len(text) // 2], "line "),
        (lambda text: text[: text.rindex(b'{"kind":"end"')], "cut off"),
        (lambda text: text.replace(b'"solved":', b'"solved" :', 1), "checksum"),
        (lambda text: b"\x1f\x8b" + text, "cannot be unpacked"),
        (lambda text: gzip.compress(text)[:-9], "cannot be unpacked"),
        (lambda text: text.replace(b"{", b"[" * 100_000 + b"{", 1), "line 1: not valid JSON"),
        (lambda text: text.replace(b'"seed":3', b'"seed":' + b"9" * 5000, 1), "line 1: not valid JSON"),
        (lambda text: text.replace(b'"seed":3', b'"seed":NaN', 1), "line 1: not valid JSON"),
        (lambda text: text.replace(b'"title":"', b'"title":"\xff', 1), "line 1: not valid JSON"),
    ],
)  # fmt: skip
def test_damage_is_said_in_one_line(text, change, said):
    with pytest.raises(BundleError, match=said) as caught:
        check(change(text))
    assert "\n" not in str(caught.value)


def _change(kind, number, *path, to):
    def apply(lines):
        line = [one for one in lines if one["kind"] == kind][number]
        for step in path[:-1]:
            line = line[step]
        line[path[-1]] = to(line[path[-1]]) if callable(to) else to

    return apply


def _drop_an_ancestor(lines):
    found = {line["birth"] for line in lines if line["kind"] == "find"}
    rows = next(one for one in lines if one["kind"] == "ancestry")["rows"]
    parents = {row[2] for row in rows}
    rows.remove(next(row for row in rows if row[1] in parents and row[1] not in found))


def _twice(lines):
    rows = next(one for one in lines if one["kind"] == "ancestry")["rows"]
    rows.append(rows[-1])


def _better(lines):
    """A forger who makes a score good everywhere."""
    find = [one for one in lines if one["kind"] == "find"][-1]
    find["score"] = 0.987
    for line in lines:
        for row in line.get("rows", ()):
            if row[1] == find["birth"]:
                row[:] = [*row, *([[]] if len(row) == 4 else []), None][:6]
                row[5] = 0.987


def _without_ancestry(lines):
    lines[:] = [one for one in lines if one["kind"] != "ancestry"]


def _other_edit(lines):
    for line in lines:
        for row in line.get("rows", ()):
            if len(row) > 4 and row[2] is not None and row[4] and row[4][0][3]:
                row[4][0][3] = []


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (_change("search", 0, "seed", to=-1), "line 1: seed"),
        (_change("search", 0, "format", to=99), "line 1: format: 99 is not known here"),
        (_change("search", 0, "op_set_version", to=7), "line 1: op_set_version"),
        (_change("search", 0, "spec", "population_size", to=0), "line 1: spec: population_size"),
        (_change("search", 0, "title", to="\x00"), "line 1: title"),
        (_change("search", 0, "title", to="\ud800"), "line 1: title"),
        (_change("search", 0, "uid", to="7"), "line 1: uid"),
        (_change("search", 0, "result", to=[0, 10**12]), "line 1: result"),
        (_change("search", 0, "created_at", to="yesterday"), "line 1: created_at"),
        (_change("island", 0, "individuals", to=-5), "individuals"),
        (_change("island", 0, "index", to=1), "index"),
        (_change("find", 0, "digest", to="00"), "digest: '00' is not that of the program"),
        (_change("find", 0, "canonical_digest", to="00"), "canonical_digest"),
        (_change("find", 0, "birth", to=lambda birth: birth + 10**9), "no ancestry"),
        (_change("find", -1, "score", to=0.987), "its score is not that of its ancestry"),
        (_better, "is claimed, computed anew"),
        (_change("find", 0, "score", to=float("1e300")), "score"),
        (_change("find", -1, "final_scores", to=[0.5] * 4), "is not the mean"),
        (_change("curve", 0, "points", 0, 4, to="high"), "best"),
        (_change("curve", 0, "island", to=3), "island"),
        (_change("ancestry", 0, "rows", 0, 3, to="MAGIC"), "mutation"),
        (_drop_an_ancestor, "does not come before it"),
        (_twice, "is there twice"),
        (_without_ancestry, "has no ancestry"),
        (_other_edit, "edits|its program is not that of its ancestry"),
    ],
)  # fmt: skip
def test_what_is_forged_is_refused_with_its_place(lines, forge, said):
    copy = deepcopy(lines)
    forge(copy)
    data = sealed(copy)
    with pytest.raises(BundleError, match=said):
        check(data)


def test_select_scores_are_compared_task_by_task(lines):
    copy = deepcopy(lines)
    find = next(one for one in copy if one["kind"] == "find" and one["select_scores"])
    find["select_scores"] = [1.0 - one for one in find["select_scores"]]
    find["select_score"] = sum(find["select_scores"]) / 4
    with pytest.raises(BundleError, match=r"select_scores: .* is claimed"):
        check(sealed(copy))


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"bytes": 1000}, "larger than 1,000 bytes when unpacked"),
        ({"line": 100}, "line 1: longer than 100 bytes"),
        ({"searches": 0}, "more than 0 searches"),
        ({"finds": 1}, "more than 1 finds"),
        ({"individuals": 1}, "more than 1 individuals"),
        ({"points": 1}, "more than 1 points"),
    ],
)  # fmt: skip
def test_bundles_are_bounded(text, limits, said):
    with pytest.raises(BundleError, match=said):
        check(text, **limits)


def test_what_would_take_all_memory_is_not_computed(lines):
    copy = deepcopy(lines)
    copy[0]["spec"]["final_tasks"] |= {"count": 10_000, "train_examples": 1_000_000}
    (checked,) = check(sealed(copy))
    done = check_scores(checked.head, checked.finds)
    assert done.reason == "its final_tasks are too large to be computed anew on import" and not done.done


def test_a_bomb_is_not_unpacked_whole():
    bomb = gzip.compress(b"0" * (64 << 20))
    assert len(bomb) < 1 << 20
    with pytest.raises(BundleError, match="larger than 1,048,576 bytes"):
        check(bomb, bytes=1 << 20)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_value_anywhere_breaks_the_reader(lines, data):
    """Any value in any place is either refused in one line, or harmless."""
    copy = deepcopy(lines)
    # Kinds are many lines long: a place in each kind is drawn as often as in any other.
    kind = data.draw(st.sampled_from(sorted({one["kind"] for one in copy})))
    node = data.draw(st.sampled_from([one for one in copy if one["kind"] == kind]))
    spoil(data, node)
    text = sealed(copy)
    try:
        with Bundle(io.BytesIO(text)) as bundle:
            for section in bundle.sections:
                check_section(section)
    except BundleError as error:
        assert "\n" not in str(error) and str(error)


def test_the_command_line_records_what_it_reports(tmp_path, capsys):
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(small().to_json()))
    path = tmp_path / "search.jsonl.gz"
    arguments = [
        "search",
        "--spec",
        str(spec),
        "--seed",
        "3",
        "--max-individuals",
        "1500",
        "--json",
        "--record",
        str(path),
    ]
    assert main(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    (checked,) = check(path.read_bytes())
    result = next(find for find in checked.finds if (find.island, find.birth) == checked.head.result)
    assert result.algorithm.to_json() == said["program"]
    assert (result.select_score, result.final_score) == (said["select_fitness"], said["final_fitness"])
    assert sum(island.counters["individuals"] for island in checked.islands) == said["individuals"] == 1500
    # The same command is the same search.
    assert main(arguments) == 0
    capsys.readouterr()
    (again,) = check(path.read_bytes())
    assert again.head.uid == checked.head.uid
    assert main([*arguments[:-1], str(tmp_path / "nowhere" / "file")]) == 2
    assert "--record" in capsys.readouterr().err
