"""The engine itself under the services: cut into slices, killed and restored, a search stays the same to the bit."""

import pytest

from engine.algorithm import Algorithm as Program
from engine.records import apply_change
from engine.spec import SearchSpec
from webapp.experiments import lineage
from webapp.experiments.models import Algorithm, CurvePoint, Find, Individual, Search
from webapp.experiments.services import live, record, slices
from webapp.experiments.services.lease import Lease
from webapp.experiments.services.slices import Outcome, run_slices

pytestmark = pytest.mark.django_db(transaction=True)


STAGES = [{"stop": {"max_individuals": 1000}}, {"start": "recent", "newcomers": 0.5}, {"start": "best"}]


@pytest.fixture(params=["one experiment", "stages"])
def spec(digits, request):
    data = digits.to_json()
    data |= {"stop": {"max_individuals": 4000, "max_seconds": 600.0}}
    if request.param == "stages":
        data |= {"stages": STAGES, "stop": {"max_individuals": 1500, "max_seconds": 600.0, "max_experiments": 3}}
    return SearchSpec.from_json(data)


def finish(search, *, before_each=lambda: None):
    outcome = Outcome.HANDED_BACK
    while outcome == Outcome.HANDED_BACK:
        before_each()
        island = search.islands.get()
        outcome = run_slices(island_id=island.pk, attempt=island.attempt)
    search.refresh_from_db()
    return outcome


def content(search):
    """Everything that must not depend on how the search was cut. Times do, and how many evaluations were done again."""
    island = search.islands.get()
    finds = Find.objects.filter(island=island).order_by("birth")
    points = CurvePoint.objects.filter(island=island).order_by("individuals")
    return {
        "points": list(points.values_list("individuals", "best", "mean", "deviation")),
        "finds": list(finds.values_list("birth", "score", "depth", "algorithm__permalink")),
        "lines": [
            [(one.birth, one.score, one.mutation, one.change) for one in lineage.line_to(island.pk, find.birth)]
            for find in finds
        ],
        "counters": (search.individuals, search.train_steps, search.fec_hits, search.finish_reason),
        "result": (
            search.result.birth,
            search.result.select_score,
            search.result.final_score,
            search.result.final_scores,
        ),
    }


def ancestry(search):
    rows = Individual.objects.filter(island__search=search).values_list("birth", "parent", "depth", "score", "change")
    return {row[0]: row[1:] for row in rows}


def test_slices_and_crashes_do_not_change_a_search(make_search, spec, settings, monkeypatch):
    settings.ABOVO_TURN_SECONDS = 0
    whole = make_search(spec=spec)
    monkeypatch.setattr(slices, "slice_seconds", lambda number: 1000.0)
    monkeypatch.setattr(slices, "PROGRESS_SECONDS", 1000.0)
    assert finish(whole) == Outcome.FINISHED

    # No time at all: a slice then ends at its first curve point, a generation on a machine of any speed.
    monkeypatch.setattr(slices, "slice_seconds", lambda number: 0.0)
    monkeypatch.setattr(slices, "PROGRESS_SECONDS", 1e-6)
    monkeypatch.setattr(slices, "LEAST_SECONDS", 0.0)
    sliced = make_search(spec=spec)

    def lose_and_repeat():
        """Another process takes over; before that, one had gone on and died without a commit of its slice."""
        live._live.clear()
        island = sliced.islands.get()
        if island.slice_number % 2:
            lease = Lease.claim(island_id=island.pk, attempt=island.attempt)
            evolution = live.take(island, sliced)
            slices.commit_progress(lease, evolution.run(seconds=0.0))
            slices.give_back_failed(lease, RuntimeError("killed"))

    assert finish(sliced, before_each=lose_and_repeat) == Outcome.FINISHED
    assert sliced.islands.get().slice_number > 20
    expected, got = content(whole), content(sliced)
    for name in expected:
        assert got[name] == expected[name], name
    # Each report brings the line of the best at that moment, so that cutting finely keeps more side branches.
    expected, got = ancestry(whole), ancestry(sliced)
    common = expected.keys() & got.keys()
    assert len(common) > 50
    assert {birth: expected[birth] for birth in common} == {birth: got[birth] for birth in common}


def test_the_ancestry_of_every_find_is_complete(make_search, spec):
    search = make_search(spec=spec)
    finish(search)
    assert Algorithm.objects.count() > 3
    # The later experiments begin with copies of what earlier ones found, and their lines go on through them.
    copies = Individual.objects.filter(mutation="copy", change={"edits": []}, parent_island=None)
    assert not spec.stages or copies.filter(birth__gte=1000).exists()
    for find in search.finds.select_related("algorithm"):
        line = lineage.line_to(find.island_id, find.birth)
        assert [one.depth for one in line] == list(range(find.depth + 1))
        program = None
        for one in line:
            program = apply_change(program, one.change)
        assert program.digest() == bytes(find.algorithm.digest)
        steps = [step for part in lineage.stretches(find.island_id, find.birth) for step in part]
        assert Program.from_json(steps[-1].program) == program
        assert find.score == line[-1].score


def test_what_made_a_find_is_the_same_as_its_stored_line_says(make_search, spec, monkeypatch):
    """The engine says it while it remembers, so that nearly no find costs a look at the database."""
    search, look, asked = make_search(spec=spec), record.mutation_of, []
    monkeypatch.setattr(record, "mutation_of", lambda island, birth: asked.append(birth) or look(island, birth))
    finish(search)
    finds = list(search.finds.all())
    for find in finds:
        assert (find.mutation, find.diff, find.depth) == look(find.island_id, find.birth)
    # Those that begin a line here, and the result.
    others = Individual.objects.filter(birth__in=set(asked) - {search.result.birth}).exclude(depth=0)
    assert set(others.values_list("mutation", flat=True)) <= {"copy"}
    assert len(asked) < len(finds)


def test_baselines_are_measured_on_the_searches_own_tasks(make_search, spec):
    from webapp.experiments.services.baselines import ensure_baselines

    search = make_search(spec=spec)
    ensure_baselines(search)
    search = Search.objects.get()
    for name in ("linear", "net"):
        assert set(search.baselines[name]) == {"search", "select", "final"}
        assert all(0.5 < score < 1 for score in search.baselines[name].values())
