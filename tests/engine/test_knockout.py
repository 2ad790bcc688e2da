"""Knock-outs: what is taken out, what it costs, and that the same arguments give the same."""

from __future__ import annotations

import json
import random
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings

from engine.algorithm import Algorithm, Registers
from engine.baselines import BASELINES, bilinear, linear, neural_network
from engine.canonical import canonical_digest, live_mask
from engine.evaluator import Evaluator
from engine.explain import explain
from engine.knockout import knock_outs
from engine.motif_examples import EXAMPLES, one
from engine.ops import Op
from engine.removal import REMOVALS, room, without_line, without_motif
from engine.spec import TaskSpec
from engine.task_building import build_tasks
from engine.tuning import scaled, tunable, tune
from tests.engine.programs import algorithms, disguised, with_dead_code
from tests.engine.test_explain import KNOWN

DIGITS = TaskSpec(kind="projected", dataset="digits", count=8, features=8, train_examples=240, valid_examples=100)
REGISTERS = Registers(10, 12, 6)


@pytest.fixture(scope="module")
def evaluators():
    select = build_tasks(DIGITS, seed=1, role="select")
    search = build_tasks(DIGITS, seed=1, role="search")
    return Evaluator(select, REGISTERS, seed=5), Evaluator(search, REGISTERS, seed=6)


def test_every_motif_has_a_removal():
    from engine.motifs import MOTIFS

    assert set(REMOVALS) == set(MOTIFS)


@pytest.mark.parametrize("name", KNOWN)
def test_a_program_without_a_motif_does_not_contain_it(name):
    algorithm, motifs = KNOWN[name]
    source = random.Random(name)
    for program in (algorithm, *(disguised(algorithm, source) for _ in range(5))):
        for motif in motifs:
            changed = without_motif(program, motif)
            assert motif not in explain(changed).motifs
            assert all(a <= b for a, b in zip(changed.registers_used(), room(program), strict=True))


@pytest.mark.parametrize(
    ("name", "motif"),
    [
        ("loss clipping", "loss clipping"),
        ("input normalisation", "input normalisation"),
        ("input normalisation by the mean", "input normalisation"),
        ("normalised gradient", "normalised gradient"),
        ("random initialisation", "random initialisation"),
        ("noisy input", "noisy input"),
        ("learning-rate decay", "learning-rate decay"),
        ("learning-rate decay by counting", "learning-rate decay"),
        ("weight-dependent learning rate", "weight-dependent learning rate"),
        ("weight-dependent learning rate by the norm", "weight-dependent learning rate"),
    ],
)
def test_a_linear_model_with_one_idea_is_without_it_the_linear_model(name, motif, evaluators):
    changed = without_motif(EXAMPLES[name][0], motif)
    assert np.array_equal(*(evaluators[0].evaluate(program).fitness for program in (changed, linear())))


def test_a_rate_made_of_the_weights_keeps_what_the_starting_weights_give(evaluators):
    """What a net scores whose Setup takes the rate of its random weights."""
    program = EXAMPLES["net with weight-dependent learning rate"][0]
    rate, rest = program.learn[:3], program.learn[3:]
    expected = Algorithm((*program.setup, *rate), program.predict, rest)
    changed = without_motif(program, "weight-dependent learning rate")
    scores = [evaluators[0].evaluate(one).fitness for one in (changed, expected, program)]
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_relu_taken_out_leaves_a_linear_net(evaluators):
    """Its value and its slope: what is left still descends, since error and prediction agree."""
    from engine.dataflow import Flow
    from engine.learner import STEPS

    changed = without_motif(neural_network(), "ReLU")
    assert not any(node.op in STEPS or node.op == Op.VECTOR_MAX for node in _needed(Flow(changed)))
    assert "gradient descent" in explain(changed).motifs


def _needed(flow):
    """Return the live nodes but copies (the maximum of a value and itself)."""
    return [node for node in flow.nodes if not (node.op == Op.VECTOR_MAX and node.reads[0] == node.reads[1])]


def test_unknown_motif_is_refused():
    with pytest.raises(ValueError, match='"gravity" is not in this program; known are gradient descent'):
        without_motif(linear(), "gravity")
    with pytest.raises(ValueError) as caught:
        without_motif(linear(), "ReLU")
    assert str(caught.value) == 'motif: "ReLU" is not in this program'
    with pytest.raises(IndexError, match="1 lines, no line 1"):
        without_line(linear(), 0, 1)


def test_knock_outs_of_the_linear_model(evaluators):
    found = knock_outs(with_dead_code(linear(), random.Random(3)), *evaluators, trials=8)
    explanation = explain(with_dead_code(linear(), random.Random(3)))
    assert [(line.function, line.position) for line in found.lines] == [
        (line.function, line.position) for line in explanation.lines
    ]
    assert (found.tasks, found.seeds, found.trials) == (8, 1, 8)
    for out, line in zip(found.lines, explanation.lines, strict=True):
        if line.role == "dead":
            assert out.change.mean == out.change.error == out.retuned.mean == out.retuned.error == 0.0
        elif line.note != "scaled by the learning rate":  # these tasks can do without one
            assert out.change.mean < -5 * out.change.error < 0, line
    (motif,) = found.motifs
    assert motif.motif == "gradient descent"
    assert motif.change.mean < -10 * motif.change.error
    assert json.loads(json.dumps(found.to_json()))["lines"][0]["change"]["mean"] == found.lines[0].change.mean


def test_changes_are_paired_over_tasks(evaluators):
    """The error is that of the mean of differences, not of the difference of means."""
    evaluator = evaluators[0]
    found = knock_outs(linear(), evaluator, None)
    before = evaluator.evaluate(linear()).fitness
    after = evaluator.evaluate(without_line(linear(), 2, 1)).fitness
    change = next(line.change for line in found.lines if (line.function, line.position) == ("learn", 1))
    assert change.mean == pytest.approx(float((after - before).mean()))
    assert change.error == pytest.approx(float((after - before).std(ddof=1) / np.sqrt(8)))
    assert found.retuned_fitness is None
    assert found.lines[0].retuned is None


def test_programs_with_random_ops_are_scored_with_several_streams(evaluators):
    found = knock_outs(bilinear(), *evaluators, seeds=2, trials=4)
    again = knock_outs(bilinear(), *evaluators, seeds=2, trials=4)
    assert found == again
    assert found.seeds == 2
    assert {motif.motif for motif in found.motifs} == set(explain(bilinear()).motifs)
    first = evaluators[0].evaluate(bilinear()).fitness.mean()
    assert found.fitness != first  # a mean of two streams
    assert knock_outs(bilinear(), evaluators[0], seeds=1).fitness == first


def test_one_task_has_no_standard_error():
    evaluator = Evaluator(build_tasks(DIGITS, seed=1, role="select")[:1], REGISTERS)
    assert {line.change.error for line in knock_outs(linear(), evaluator).lines} == {None}


def test_stopping_and_refusal(evaluators):
    calls = iter(range(1000))
    assert knock_outs(linear(), *evaluators, should_stop=lambda: next(calls) == 3) is None
    small = Evaluator(build_tasks(DIGITS, seed=1, role="select")[:1], Registers(4, 3, 0))
    with pytest.raises(ValueError, match=r"has registers \(4, 3, 0\), \(6, 5, 2\) are needed"):
        knock_outs(linear(), small)


# --- tuning -----------------------------------------------------------------------------------------------------------


def test_tuning_repairs_a_bad_learning_rate():
    tuning = Evaluator(build_tasks(TaskSpec(kind="linear", count=8, features=8), seed=1, role="search"), REGISTERS)
    bad = linear(1e-4)
    score = lambda program: float(tuning.evaluate(program).fitness.mean())  # noqa: E731
    tuned = tune(bad, score, trials=24, seed=1)
    assert tuned.fitness == score(tuned.algorithm) > score(bad) + 0.1
    assert tuned == tune(bad, score, trials=24, seed=1)
    assert tune(bad, score, trials=0).algorithm == bad


@settings(max_examples=100, deadline=None)
@given(algorithms())
def test_scaling_changes_values_only(algorithm):
    places = tunable(algorithm)
    changed = scaled(algorithm, dict.fromkeys(places, 1000.0))
    assert live_mask(changed) == live_mask(algorithm)
    assert canonical_digest(scaled(algorithm, dict.fromkeys(places, 1.0))) == canonical_digest(algorithm)
    pairs = zip(chain(*algorithm.functions), chain(*changed.functions), strict=True)
    for before, after in pairs:
        assert (before.op, before.in1, before.in2, before.out) == (after.op, after.in1, after.in2, after.out)
        for name, old, new in zip(before.info.constants, before.constants, after.constants, strict=True):
            assert np.isfinite(new)
            assert new == old if name in ("i", "j") else np.sign(new) == np.sign(old)


def test_constants_that_cannot_reach_the_prediction_are_not_tuned():
    dead = Algorithm((one("SCALAR_CONST_SET", out=3, constants=(0.5,)), *linear().setup), *linear().functions[1:])
    assert tunable(dead) == [(0, 1)]


@pytest.mark.parametrize("name", ["affine", "net", "bilinear"])
def test_disguised_programs_have_the_same_knock_outs_of_motifs(name, evaluators):
    """Without tuning, a motif costs the same whatever the registers are called and dead lines are there."""
    algorithm = BASELINES[name].build()
    from tests.engine.programs import permuted

    twin = permuted(algorithm, random.Random(1), Registers(*(n + 1 for n in algorithm.registers_used())))
    first, second = (knock_outs(program, evaluators[0], seeds=1) for program in (algorithm, twin))
    assert [m.change for m in first.motifs] == [m.change for m in second.motifs]
