"""How a line of ancestors is told: what stands unfolded, what an empty beginning is called, which axis shows it."""

import dataclasses

from webapp.experiments import code, figures, lineage
from webapp.experiments.views import ancestry


def test_long_diffs_show_what_was_added_first():
    lines = [code.DiffLine(sign, "learn", []) for sign in "−−−−++"]
    shown, more = code.first_lines(lines, 3)
    assert [line.sign for line in shown] == ["−", "+", "+"]
    assert [line.sign for line in more] == ["−", "−", "−"]
    assert code.first_lines(lines, 6) == (lines, [])


def test_an_empty_first_program_is_called_so():
    nothing = [{"function": name, "line": 0, "removed": [], "added": [{"op": "NO_OP"}]} for name in ("setup", "learn")]
    step = lineage.Step(0, 1, 24, "initial", 0.5, None, nothing)
    assert ancestry.is_empty_start(step)
    assert not ancestry.is_empty_start(dataclasses.replace(step, number=1))
    nothing[1]["added"].append({"op": "SCALAR_ABS", "in1": 1, "out": 1})
    assert not ancestry.is_empty_start(step)


def test_lines_whose_gains_came_early_have_a_logarithmic_axis():
    def line(*births):
        scores = [0.5 + 0.1 * number for number in range(len(births))]
        return [
            lineage.Step(number, 1, birth, "insert", score, None, [])
            for number, (birth, score) in enumerate(zip(births, scores, strict=True))
        ]

    early, late = line(10, 700, 9_000, 90_000), line(10, 50_000, 70_000, 90_000)
    assert figures.is_early(early, figures.record_gains(early), 100_000)
    assert not figures.is_early(late, figures.record_gains(late), 100_000)
    short = line(10, 20, 30)
    assert not figures.is_early(short, figures.record_gains(short), 500)
