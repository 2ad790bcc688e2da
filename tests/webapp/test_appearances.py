"""Where in a line of ancestors motifs appeared for good, and the chart that says so."""

import pytest

from engine.baselines import BASELINES
from engine.records import IndividualRecord
from engine.spec import SearchSpec
from webapp.experiments import figures, lineage
from webapp.experiments.models import Find, Measurement
from webapp.experiments.services import record
from webapp.experiments.services.ancestry import record_individuals
from webapp.experiments.services.appearances import appearances

from .test_measure import DATA

pytestmark = pytest.mark.django_db(transaction=True)

LINEAR = BASELINES["linear"].build().to_json()
UPDATE = LINEAR["learn"][-1]


@pytest.fixture
def make_line(make_search):
    """A function that stores a line: a linear model without its update, into which `at` puts it and `out` takes it."""

    def make(length, at=(), out=()):
        search = make_search()
        island = search.islands.get()
        rows = [IndividualRecord(0, None, 0.5, "initial", {"program": {**LINEAR, "learn": LINEAR["learn"][:-1]}})]
        score = 0.5
        for birth in range(1, length):
            edits, mutation = [], "copy"
            if birth in at:
                edits, mutation, score = [[2, 3, 0, [UPDATE]]], "insert", 0.8
            elif birth in out:
                edits, mutation, score = [[2, 3, 1, []]], "remove", 0.5
            rows.append(IndividualRecord(birth, birth - 1, score, mutation, {"edits": edits}))
        record_individuals(island, rows)
        return island

    return make


def test_a_line_that_begins_without(make_line):
    island = make_line(10, at=(4,))
    assert appearances(island.pk, 9) == {"gradient descent": [4, 4, 0.8]}
    assert appearances(island.pk, 3) == {}


def test_what_went_and_came_back_counts_from_its_return(make_line):
    island = make_line(20, at=(3, 15), out=(9,))
    assert appearances(island.pk, 19) == {"gradient descent": [15, 15, 0.8]}
    assert appearances(island.pk, 12) == {}


@pytest.mark.parametrize("step", [1, 255, 256, 257, 300, 600, 700])
def test_a_long_line_is_searched_from_waypoint_to_waypoint(make_line, step):
    island = make_line(2 * lineage.STRETCH + 200, at=(step,))
    assert appearances(island.pk, 2 * lineage.STRETCH + 199) == {"gradient descent": [step, step, 0.8]}


def test_nobodys_line_has_none(make_line):
    assert appearances(make_line(3).pk, 99) == {}


def test_the_chart_calls_it_out(make_line):
    island = make_line(10, at=(4,))
    program = BASELINES["linear"].build()
    row = record.record_algorithms([program], published=True)[program.digest()]
    find = Find.objects.create(
        algorithm=row, search=island.search, island=island, birth=9, score=0.8, individuals=10, seconds=1.0, depth=9
    )
    data = {**DATA, "motifs": appearances(island.pk, 9)}
    measurement = Measurement.objects.create(find=find, data=data)
    chart = figures.ancestry(find, SearchSpec.from_json(island.search.spec), *lineage.story(island.pk, 9), measurement)
    (mark,) = [mark for mark in chart.drawings[0].marks if mark.kind == "motif"]
    assert mark.callout == "gradient descent +.300" and mark.href == "#step-4"
