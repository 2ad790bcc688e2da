"""The benchmark's own code; no test asserts a time."""

import xml.etree.ElementTree as ElementTree

import pytest

from engine.bench import Row
from engine.bench_reference import RATE, Pair, ReferenceFailed, _individuals_a_second
from engine.bench_scaling import CURVES, chart, write_chart
from engine.cli.main import main


def test_chart_shows_every_point(tmp_path):
    points = {name: [(value, 2.0 + k) for k, value in enumerate(values)] for name, (_, values) in CURVES.items()}
    write_chart(points, tmp_path / "chart.svg")
    root = ElementTree.parse(tmp_path / "chart.svg").getroot()
    circles = root.findall("{http://www.w3.org/2000/svg}circle")
    assert len(circles) == sum(len(values) for _, values in CURVES.values())
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    for one in circles:
        assert left < float(one.attrib["cx"]) < left + width and top < float(one.attrib["cy"]) < top + height
    assert chart({"features": [(4, 1.0)]}).count("<circle") == 1


def test_ratio_is_above_one_where_we_are_better():
    assert Row("rate", "a second", 90.0, 0.0, 0.0, 45.0).ratio == 2.0
    assert Row("time", "s", 2.0, 0.0, 0.0, 6.0, False).ratio == 3.0
    assert Row("other", "s", 2.0, 0.0, 0.0).ratio is None


def test_chart_needs_the_curves(capsys):
    assert main(["bench", "--chart", "x.svg"]) == 2
    assert "--scaling" in capsys.readouterr().err


def test_ratio_of_runs_side_by_side():
    assert Pair("rate", RATE, [10.0, 30.0, 8.0], [5.0, 10.0, 8.0]).ratios == (1.5, 2.0, 2.5)
    assert Pair("time", "ms an evaluation", [1.0, 2.0, 4.0], [5.0, 6.0, 8.0]).ratios == (2.5, 3.0, 4.0)


def test_reference_that_cannot_be_run(tmp_path, capsys):
    (tmp_path / "text").write_text("no program")
    for path in (tmp_path / "none", tmp_path / "text"):
        assert main(["bench", "--reference", str(path), str(path)]) == 2
        assert capsys.readouterr().err.endswith(f"bench: {path}: no program that can be run\n")


def test_individuals_are_those_of_the_last_line_of_progress(tmp_path):
    program = tmp_path / "program"
    count = 'case "$1" in *50000000*) n=30000;; *) n=1;; esac; while [ $n -gt 0 ]; do n=$((n-1)); done'
    program.write_text(f"#!/bin/sh\n{count}\necho indivs=1000,\necho indivs=300000,\n")
    program.chmod(0o755)
    assert 1e3 < _individuals_a_second(str(program), 1) < 1e9
    program.write_text("#!/bin/sh\necho it went wrong >&2\nexit 3\n")
    with pytest.raises(ReferenceFailed, match="status 3, after it said: it went wrong"):
        _individuals_a_second(str(program), 1)
