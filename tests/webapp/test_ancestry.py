"""How a line of ancestors is told: what stands unfolded, what an empty beginning is called, which axis shows it."""

import dataclasses
import random

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


def some_line(seed: int, length: int) -> list[lineage.Ancestor]:
    """A line from an empty program: scores that rise, fall, stay or are missing; edits of one to three functions, or none."""
    generator = random.Random(seed)
    program: dict[str, list] = {"setup": [], "predict": [], "learn": []}
    line = [lineage.Ancestor(1, 0, 0, "initial", {"program": program}, 0.5)]
    for depth in range(1, length):
        edits = []
        for index in generator.sample(range(3), generator.choice((0, 0, 1, 1, 2, 3))):
            there = len(program[("setup", "predict", "learn")[index]])
            start = generator.randint(0, there)
            new = [
                {"op": "SCALAR_ABS", "in1": 1, "out": generator.randint(2, 4)} for _ in range(generator.randint(0, 2))
            ]
            edits.append([index, start, generator.randint(0, min(2, there - start)), new])
        program = lineage.apply_edits(program, edits)[0]
        score = generator.choice((line[-1].score, line[-1].score, generator.random(), None))
        line.append(lineage.Ancestor(1, 10 * depth, depth, "insert", {"edits": edits}, score))
    return line


def told_naively(steps: list[lineage.Step]) -> list:
    """Neighbours that are neutral become one stretch."""
    events: list = []
    for step in steps:
        if not step.is_neutral:
            events.append(step)
        elif events and isinstance(events[-1], lineage.Neutral):
            last = events[-1]
            events[-1] = lineage.Neutral(last.first, last.count + 1, last.copies + (not step.diff))
        else:
            events.append(lineage.Neutral(step.number, 1, int(not step.diff)))
    return events


def test_a_summary_is_what_the_steps_are():
    for seed in range(200):
        line = some_line(seed, 60)
        steps = list(lineage.steps(line))
        assert lineage.summary(line) == (told_naively(steps), steps[-1].program)
        # From a waypoint on, whose own step is told with the stretch before.
        later = lineage.summary(line[25:], program=steps[25].program)
        assert later == (told_naively(steps[26:]), steps[-1].program)
        assert lineage.from_json(lineage.to_json(later[0])) == [
            dataclasses.replace(one, program=None) if isinstance(one, lineage.Step) else one for one in later[0]
        ]
