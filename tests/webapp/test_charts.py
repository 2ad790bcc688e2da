"""Scales, ticks and labels."""

from itertools import pairwise

import pytest

from webapp.experiments import charts
from webapp.experiments.drawing import text_width


@pytest.mark.parametrize(
    ("low", "high", "about", "ticks"),
    [
        (0, 100, 5, [0, 20, 40, 60, 80, 100]),
        (0, 435_927, 8, [0, 100_000, 200_000, 300_000, 400_000]),
        (0.5, 0.72, 5, [0.5, 0.55, 0.6, 0.65, 0.7]),
        (3, 3, 5, [3]),
    ],
)
def test_ticks_are_round(low, high, about, ticks):
    assert charts.nice_ticks(low, high, about) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.7214, ".721"),
        (1.0, "1.000"),
        (0.99993, ".9999"),
        (1 - 1e-9, ">.99999"),
        (0, ".000"),
        (-0.0123, "−.012"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_scores(value, text):
    assert charts.score_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123, "+.012"), (-0.004, "−.004"), (0.0004, "+.0004"), (2e-7, "+2e−7"), (-3e-9, "−3e−9"), (None, "–")],
)
def test_gains(value, text):
    assert charts.signed(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (800, "800"), (12_000, "12k"), (1_500_000, "1.5M"), (2_000_000_000, "2G")]
)
def test_counts(value, text):
    assert charts.compact(value) == text


def test_thinning_keeps_the_extremes():
    points = [(float(x), 0.0) for x in range(10_000)]
    points[5_000] = (5_000.0, 1.0)
    points[7_777] = (7_777.0, -1.0)
    thinned = charts.thin(points, 50)
    assert len(thinned) <= 200
    assert (5_000.0, 1.0) in thinned and (7_777.0, -1.0) in thinned
    assert thinned[0] == points[0] and thinned[-1] == points[-1]
    assert thinned == sorted(thinned)


def build(**values):
    series = [
        charts.Series("mean", "mean", [(0, 0.5), (100, 0.71)]),
        charts.Series("best", "best", [(0, 0.5), (100, 0.72)], step=True),
    ]
    return charts.build(
        id="c",
        title="t",
        description="d",
        x_title="x",
        y_title="y",
        series=series,
        x_range=(0, 100),
        y_floor=0.5,
        **values,
    )


def test_labels_do_not_cover_each_other():
    chart = build(baselines=[charts.Baseline("linear model", 0.715), charts.Baseline("2-layer net", 0.72)])
    for drawing in chart.drawings:
        heights = sorted(label.y for label in [*drawing.labels, *drawing.baselines])
        assert all(after - before >= 16 for before, after in pairwise(heights))
        assert all(drawing.shape.top <= height <= drawing.shape.bottom_edge for height in heights)


def test_values_below_the_floor_lie_on_it():
    chart = build(band=[(0, 0.2, 0.5), (100, 0.3, 0.7)])
    drawing = chart.drawings[0]
    assert f"{drawing.shape.bottom_edge}" in drawing.band


def test_one_point_is_enough():
    series = [charts.Series("best", "best", [(1, 0.5)])]
    chart = charts.build(
        id="c", title="t", description="d", x_title="x", y_title="y", series=series, x_range=(0, 1), y_floor=0.5
    )
    assert chart.drawings[0].lines


def test_a_sparkline_needs_points():
    assert charts.sparkline([], x_end=10, y_floor=0.5) is None
    assert charts.sparkline([(1, None)], x_end=10, y_floor=0.5) is None
    assert charts.sparkline([(1, 0.6)], x_end=10, y_floor=0.5).path.startswith("M")


def test_a_logarithmic_axis_has_round_ticks():
    chart = charts.build(
        id="c", title="", description="", x_title="", y_title="",
        series=[charts.Series("best", "one", [(1, 0.5), (10, 0.7), (100, 0.9)])],
        x_range=(1, 100), y_floor=0.5, log_x=True,
    )  # fmt: skip
    wide, narrow = chart.drawings
    assert [tick.text for tick in wide.x_ticks] == ["1", "2", "5", "10", "20", "50", "100"]
    assert [tick.text for tick in narrow.x_ticks] == ["1", "10", "100"]
    gaps = [round(after.at - before.at) for before, after in pairwise(narrow.x_ticks)]
    assert gaps[0] == gaps[1]


@pytest.mark.parametrize(
    "low, high, about", [(1, 240, 6), (24, 932_661, 8), (3, 4, 6), (1, 2, 3), (7, 7.5, 4), (1, 1e12, 3)]
)
def test_ticks_of_a_logarithmic_axis_are_few_and_within(low, high, about):
    ticks = charts.log_ticks(low, high, about)
    assert 1 <= len(ticks) <= about
    assert all(low <= one <= high for one in ticks)
    assert ticks == sorted(ticks)


def test_errors_over_tasks():
    assert charts.mean_and_error([0.5, 0.7]) == pytest.approx((0.6, 0.1))
    assert charts.mean_and_error([0.5]) == (0.5, None)
    assert charts.mean_and_error([0.5, None]) == (None, None)
    assert charts.mean_and_error([]) == (None, None)


def test_dots_of_a_strip_do_not_cover_each_other():
    strip = charts.strip([0.75] * 30 + [0.9, None], [("baseline", "linear model", 0.8)], floor=0.5)
    assert len(strip.dots) == 31 == len({(x, y) for x, y, _text in strip.dots})
    assert min(y for _x, y, _text in strip.dots) > 24
    assert charts.strip([None], [], floor=0.5) is None


def test_a_strip_reaches_down_to_scores_below_chance():
    strip = charts.strip([0.31, 0.9], [], floor=0.5)
    assert strip.dots[0][0] > strip.left and strip.ticks[0].text == ".4"


@pytest.mark.parametrize(
    ("error", "words"),
    [(0.0123, ".012"), (0.0002, ".0002"), (0.00004, ".00004"), (1e-7, "<.00001"), (0.0, ".000"), (None, "–")],
)
def test_errors_are_told_from_none(error, words):
    assert charts.error_text(error) == words


def test_labels_do_not_lie_on_other_lines():
    """At their line's end on wide charts, but beside all lines where another passes there, and on narrow charts."""
    ends = {"long": (100, 0.9), "short": (30, 0.8), "crossed": (60, 0.73)}
    series = [charts.Series("c1", name, [(0, 0.5), end]) for name, end in ends.items()]
    chart = charts.build(
        id="a", title="", description="", x_title="", y_title="", series=series, x_range=(0, 100), y_floor=0.5,
        columns=[], rows=[],
    )  # fmt: skip
    for drawing in chart.drawings:
        edge = drawing.shape.right_edge + 8
        at = {label.text: label.x for label in drawing.labels}
        assert at["long"] == at["crossed"] == edge and (at["short"] == edge) == (drawing.shape.name == "narrow")


def test_wide_characters_take_twice_the_room():
    assert text_width("무작위") == text_width("random") == pytest.approx(6 * 7.4)
