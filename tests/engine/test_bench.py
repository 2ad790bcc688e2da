"""The benchmark's own code; no test asserts a time."""

import xml.etree.ElementTree as ElementTree

from engine.bench import Row
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
