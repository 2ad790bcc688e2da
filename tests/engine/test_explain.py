"""Roles and motifs: on known programs, on disguised ones, and how rarely random programs set off an alarm."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings

from engine.algorithm import Algorithm
from engine.baselines import (
    BASELINES,
    affine,
    bilinear,
    linear,
    neural_network,
    neural_network_without_bias,
    softmax_net,
)
from engine.canonical import live_mask
from engine.cli.main import main
from engine.explain import ROLES, explain
from engine.motif_examples import ADD, DOT, ERROR, EXAMPLES, LINEAR, RATE, SCALE, const, one
from engine.motifs import MOTIFS
from engine.ops import Op
from tests.engine.programs import REGISTERS, algorithms, disguised, random_algorithm

ON_SIZES = Algorithm(
    LINEAR.setup,
    (one("VECTOR_ABS", 0, out=3), one("VECTOR_INNER_PRODUCT", 1, 3, 1)),
    (ERROR, RATE, one("SCALAR_VECTOR_PRODUCT", 3, 3, 2), ADD),
)
"""Linear in the sizes of the features, not in the features."""

CORRELATION = Algorithm((), LINEAR.predict, (one("SCALAR_VECTOR_PRODUCT", 0, 0, 2), ADD))
LAST_LABEL = Algorithm((), (one("SCALAR_SUM", 1, 2, 1),), (one("SCALAR_ABS", 0, out=2),))

WITH_COPIES = Algorithm(
    LINEAR.setup,
    (
        one("VECTOR_MAX", 0, 0, 3),
        one("VECTOR_MIN", 1, 1, 4),
        one("VECTOR_INNER_PRODUCT", 4, 3, 1),
        one("SCALAR_MAX", 1, 1, 1),
    ),
    LINEAR.learn,
)
"""Linear: the larger or smaller of a value and itself bends nothing."""

FACTOR = one("SCALAR_PRODUCT", 4, 3, 3)
"""The error of the linear model, times s4."""

RANDOM_START = (*LINEAR.setup, one("VECTOR_GAUSSIAN_SET", out=1, constants=(0.0, 0.5)))
"""Setup of a linear model whose weights are not 0: a rate that is made of them would stay 0, and so would they."""

WEIGHT_RATES = {
    "rate of the weights' mean as it is": (
        Algorithm(RANDOM_START, LINEAR.predict, (ERROR, RATE, one("VECTOR_MEAN", 1, out=4), FACTOR, SCALE, ADD)),
        {"gradient descent", "random initialisation"},
    ),
    "rate kept from the example before": (
        Algorithm(RANDOM_START, LINEAR.predict, (ERROR, RATE, FACTOR, SCALE, ADD, one("VECTOR_ST_DEV", 1, out=4))),
        {"gradient descent", "random initialisation"},
    ),
    "rate made in Predict": (
        Algorithm(RANDOM_START, (DOT, one("VECTOR_NORM", 1, out=4)), (ERROR, RATE, FACTOR, SCALE, ADD)),
        {"gradient descent", "random initialisation"},
    ),
    "rate of the weights' sizes": (
        Algorithm(
            RANDOM_START,
            LINEAR.predict,
            (ERROR, RATE, one("VECTOR_ABS", 1, out=3), one("VECTOR_MEAN", 3, out=4), FACTOR, SCALE, ADD),
        ),
        {"gradient descent", "random initialisation"},
    ),
    "rate spread over a vector": (
        Algorithm(
            RANDOM_START,
            LINEAR.predict,
            (
                ERROR, RATE, SCALE, one("VECTOR_NORM", 1, out=4), one("SCALAR_BROADCAST", 4, out=3),
                one("VECTOR_PRODUCT", 3, 2, 2), ADD,
            ),
        ),
        {"gradient descent", "random initialisation"},
    ),
    "bias, divided by the norm of the weights just updated": (
        Algorithm(
            RANDOM_START,
            (DOT, one("SCALAR_SUM", 1, 5, 1)),
            (
                ERROR, RATE, SCALE, ADD, one("VECTOR_NORM", 1, out=4), one("SCALAR_DIVISION", 3, 4, 4),
                one("SCALAR_SUM", 5, 4, 5),
            ),
        ),
        {"gradient descent", "random initialisation"},
    ),
    "norm of the weights over that of the gradient": (
        Algorithm(
            RANDOM_START[1:],
            LINEAR.predict,
            (
                ERROR, one("SCALAR_VECTOR_PRODUCT", 3, 0, 2), one("VECTOR_NORM", 2, out=4), one("VECTOR_NORM", 1, out=5),
                one("SCALAR_DIVISION", 5, 4, 4), one("SCALAR_VECTOR_PRODUCT", 4, 2, 2), ADD,
            ),
        ),
        {"gradient descent", "normalised gradient", "random initialisation"},
    ),
    "many classes, by the other layer's mean": (
        replace(
            softmax_net(),
            setup=softmax_net().setup[:2],
            learn=(one("MATRIX_MEAN", 1, out=2), one("SCALAR_SIN", 2, out=2), *softmax_net().learn),
        ),
        {"gradient descent", "ReLU", "random initialisation"},
    ),
}  # fmt: skip
"""Learning rates made of the weights, and what else they have."""

NOT_OF_WEIGHTS = {
    "times the norm of the input": (
        Algorithm(LINEAR.setup, LINEAR.predict, (ERROR, RATE, one("VECTOR_NORM", 0, out=4), FACTOR, SCALE, ADD)),
        {"gradient descent"},
    ),
    "times the norm of weights and input": (
        Algorithm(
            LINEAR.setup,
            LINEAR.predict,
            (ERROR, RATE, one("VECTOR_SUM", 0, 1, 3), one("VECTOR_NORM", 3, out=4), FACTOR, SCALE, ADD),
        ),
        {"gradient descent"},
    ),
    "times the norm of the gradient": (
        Algorithm(
            LINEAR.setup,
            LINEAR.predict,
            (ERROR, RATE, SCALE, one("VECTOR_NORM", 2, out=4), one("SCALAR_VECTOR_PRODUCT", 4, 2, 2), ADD),
        ),
        {"gradient descent"},
    ),
    "times a function of the norm of a velocity": (
        Algorithm(
            (*LINEAR.setup, const(4, 0.9)),
            LINEAR.predict,
            (
                ERROR, RATE, one("VECTOR_NORM", 3, out=5), one("SCALAR_COS", 5, out=5), one("SCALAR_PRODUCT", 5, 3, 3), SCALE,
                one("SCALAR_VECTOR_PRODUCT", 4, 3, 3), one("VECTOR_SUM", 3, 2, 3), one("VECTOR_SUM", 1, 3, 1),
            ),
        ),
        {"gradient descent"},
    ),
    "times the mean of the starting weights": (
        Algorithm(
            (*RANDOM_START, one("VECTOR_ABS", 1, out=3)),
            LINEAR.predict,
            (ERROR, RATE, one("VECTOR_MEAN", 3, out=4), FACTOR, SCALE, ADD),
        ),
        {"gradient descent", "random initialisation"},
    ),
    "weight decay by the norm": (
        Algorithm(
            (*LINEAR.setup, const(4, -0.01)),
            LINEAR.predict,
            (
                ERROR, RATE, SCALE, one("VECTOR_NORM", 1, out=5), one("SCALAR_PRODUCT", 4, 5, 5),
                one("SCALAR_VECTOR_PRODUCT", 5, 1, 3), ADD, one("VECTOR_SUM", 1, 3, 1),
            ),
        ),
        {"gradient descent"},
    ),
    "times a function of the bias": (
        Algorithm(
            LINEAR.setup,
            (DOT, one("SCALAR_SUM", 1, 5, 1)),
            (ERROR, RATE, one("SCALAR_SUM", 5, 3, 5), one("SCALAR_ARCTAN", 5, out=4), FACTOR, SCALE, ADD),
        ),
        {"gradient descent"},
    ),
    "times the weights, none below their mean": (
        Algorithm(
            RANDOM_START,
            LINEAR.predict,
            (
                ERROR, RATE, SCALE, one("VECTOR_MEAN", 1, out=4), one("SCALAR_BROADCAST", 4, out=3), one("VECTOR_MAX", 1, 3, 3),
                one("VECTOR_PRODUCT", 3, 2, 2), ADD,
            ),
        ),
        {"gradient descent", "random initialisation"},
    ),
    "a mean of weights that scales the prediction, too": (
        Algorithm(
            (*LINEAR.setup, one("VECTOR_GAUSSIAN_SET", out=3, constants=(0.0, 0.5))),
            (one("VECTOR_MEAN", 3, out=4), DOT, one("SCALAR_PRODUCT", 1, 4, 1)),
            (ERROR, RATE, one("SCALAR_BROADCAST", 3, out=4), FACTOR, SCALE, ADD, one("VECTOR_SUM", 3, 4, 3)),
        ),
        {"gradient descent", "random initialisation"},
    ),
}  # fmt: skip
"""What comes near to a learning rate made of the weights, and what it is."""

KNOWN = {
    **{name: (found, others | {"weight-dependent learning rate"}) for name, (found, others) in WEIGHT_RATES.items()},
    **NOT_OF_WEIGHTS,
    "linear, with copies": (WITH_COPIES, {"gradient descent"}),
    **{name: (algorithm, set(motifs)) for name, (algorithm, motifs) in EXAMPLES.items()},
    "linear, other sign": (
        Algorithm((const(2, -0.01),), LINEAR.predict, (one("SCALAR_DIFF", 1, 0, 3), RATE, SCALE, ADD)),
        {"gradient descent"},
    ),
    "linear, subtracted": (
        Algorithm(LINEAR.setup, LINEAR.predict, (one("SCALAR_DIFF", 1, 0, 3), RATE, SCALE, one("VECTOR_DIFF", 1, 2, 1))),
        {"gradient descent"},
    ),
    "linear, label and prediction apart": (
        Algorithm(
            LINEAR.setup,
            LINEAR.predict,
            (
                one("SCALAR_VECTOR_PRODUCT", 0, 0, 2), one("SCALAR_VECTOR_PRODUCT", 1, 0, 3), one("VECTOR_DIFF", 2, 3, 2),
                one("SCALAR_VECTOR_PRODUCT", 2, 2, 2), ADD,
            ),
        ),
        {"gradient descent"},
    ),
    "linear, ascending": (
        Algorithm(LINEAR.setup, LINEAR.predict, (one("SCALAR_DIFF", 1, 0, 3), RATE, SCALE, ADD)), set()
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_motifs_of_known_programs(name):
    algorithm, expected = KNOWN[name]
    assert all(map(all, live_mask(algorithm)))
    assert set(explain(algorithm).motifs) == expected


@pytest.mark.parametrize("name", KNOWN)
def test_motifs_of_disguised_programs(name):
    algorithm, expected = KNOWN[name]
    source = random.Random(name)
    for _ in range(30):
        assert set(explain(disguised(algorithm, source)).motifs) == expected


def test_roles_of_a_rate_made_of_the_weights():
    kept = WEIGHT_RATES["rate kept from the example before"][0]
    first = explain(replace(kept, setup=(*kept.setup, const(4, 1.0)))).lines[2]
    assert (first.text, first.role, first.note) == ("s4 = 1", "learning rate", "starting value")
    learn = [line for line in explain(EXAMPLES["weight-dependent learning rate"][0]).lines if line.function == "learn"]
    assert [(line.role, line.note) for line in learn[2:5]] == [
        ("learning rate", "derived from learned values"),
        ("learning rate", "derived from learned values"),
        ("gradient", "scaled by the learning rate"),
    ]
    assert ["weight-dependent learning rate" in line.motifs for line in learn] == [False, False, True, True] + [
        False
    ] * 3


def test_few_false_alarms_on_random_programs():
    source = random.Random(1)
    alarms, learning = Counter(), 0
    programs = 1500
    for _ in range(programs):
        explanation = explain(random_algorithm(source))
        alarms.update(explanation.motifs)
        learning += any(line.role == "error" for line in explanation.lines)
    assert sum(alarms.values()) < 0.01 * programs, alarms
    assert learning > 5


def test_few_false_alarms_where_ops_are_those_of_the_linear_search():
    """Only the ops that a linear regressor needs: alarms are then often true, and must be rare all the same."""
    source = random.Random(2)
    ops = [
        Op.SCALAR_CONST_SET,
        Op.VECTOR_INNER_PRODUCT,
        Op.SCALAR_DIFF,
        Op.SCALAR_PRODUCT,
        Op.SCALAR_VECTOR_PRODUCT,
        Op.VECTOR_SUM,
    ]
    programs = 1500
    alarms = Counter(
        motif for _ in range(programs) for motif in explain(random_algorithm(source, (10, 2, 8), ops)).motifs
    )
    assert sum(alarms.values()) < 0.02 * programs, alarms


def test_the_measurement_of_motifs(capsys):
    assert main(["motifs", "--programs", "150", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {motif for row in found["recall"] for motif in row["motifs"]} == set(MOTIFS)
    for row in found["recall"]:
        assert row["disguised"] == row["variants"] == 15
        assert 5 < row["added"] <= 15 and row["exchanged"] < 15
    assert [one["programs"] for one in found["alarms"]] == [150, 150]
    assert main(["motifs", "--programs", "10"]) == 0
    assert "| linear | gradient descent | 100.0% |" in capsys.readouterr().out


def test_roles_of_the_linear_model():
    explanation = explain(linear())
    assert [(line.text, line.role) for line in explanation.lines] == [
        ("s2 = 0.01", "learning rate"), ("s1 = dot(v1, v0)", "prediction"), ("s3 = s0 - s1", "error"),
        ("s3 = s2 * s3", "gradient"), ("v2 = s3 * v0", "gradient"), ("v1 = v1 + v2", "update"),
    ]  # fmt: skip
    assert explanation.title == "A linear model that learns by gradient descent"


def test_roles_of_copies():
    lines = [(line.role, line.note) for line in explain(WITH_COPIES).lines if line.function == "predict"]
    assert lines == [
        ("input", "copied"),
        ("weights", "copied"),
        ("prediction", ""),
        ("prediction", "the result"),
    ]


@pytest.mark.parametrize(
    ("line", "still_zero"),
    [
        (one("VECTOR_SUM", 1, 1, out=1), True),
        (one("SCALAR_VECTOR_PRODUCT", 3, 4, out=1), False),
        (one("SCALAR_VECTOR_PRODUCT", 0, 1, out=1), True),
        (one("VECTOR_HEAVYSIDE", 1, 0, out=1), True),
        (one("VECTOR_SUM", 1, 4, out=1), False),
    ],
)
def test_what_is_written_with_zeros_is_zero(line, still_zero):
    net = neural_network_without_bias()
    found = explain(replace(net, learn=(*net.learn, line)))
    last = found.lines[-1]
    assert ((last.role, last.note) == ("constant", "always 0")) is still_zero
    assert ("ReLU" in found.motifs) is still_zero
    assert found.title.startswith("A 2-layer net that learns by gradient descent") is still_zero


def test_titles_where_it_is_known_what_is_predicted():
    explanation = explain(affine())
    words = "that learns by gradient descent"
    assert explanation.titled("classification") == f"A linear classifier with a bias {words}"
    assert explanation.titled("regression") == f"A linear regressor with a bias {words}"
    assert explain(ON_SIZES).titled("classification") == f"A classifier {words}"
    assert explain(neural_network()).titled("regression") == f"A 2-layer net {words}"


def test_roles_of_the_net():
    roles = [line.role for line in explain(neural_network()).lines]
    assert roles == [
        "weights", "weights", "learning rate",
        "prediction", "bias", "non-linearity", "prediction", "bias",
        "error", "gradient", "update", "gradient", "update", "gradient", "gradient", "gradient", "update", "gradient", "update",
    ]  # fmt: skip


def test_roles_of_the_bilinear_model():
    lines = explain(bilinear()).lines
    assert [line.role for line in lines if line.function == "learn"] == [
        "error", "gradient", "normalisation", "normalisation", "gradient", "gradient", "update", "accumulation", "weights",
        "noise",
    ]  # fmt: skip
    assert {line.motifs for line in lines if line.role == "accumulation"} == {("weight accumulation",)}


@pytest.mark.parametrize("name", BASELINES)
def test_roles_do_not_depend_on_the_disguise(name):
    algorithm = BASELINES[name].build()
    expected = Counter(line.role for line in explain(algorithm).lines)
    source = random.Random(name)
    for _ in range(20):
        roles = Counter(line.role for line in explain(disguised(algorithm, source)).lines)
        del roles["dead"]
        assert roles == expected


@pytest.mark.parametrize(
    ("algorithm", "title"),
    [
        (Algorithm(), "A prediction without the features that does not learn"),
        (Algorithm((), (one("VECTOR_MEAN", 0, out=1),)), "An algorithm that does not learn"),
        (affine(), "A linear model with a bias that learns by gradient descent"),
        (CORRELATION, "A linear model that learns by adding up features times labels"),
        (LAST_LABEL, "A prediction without the features that learns from the labels alone"),
        (
            Algorithm(
                LINEAR.setup,
                LINEAR.predict,
                (
                    ERROR,
                    one("VECTOR_HEAVYSIDE", 0, out=2),
                    one("SCALAR_BROADCAST", 3, out=3),
                    one("VECTOR_MAX", 2, 3, 1),
                ),
            ),
            "A linear model that learns from its errors by a rule of its own",
        ),
        (
            Algorithm((), LINEAR.predict, (one("SCALAR_BROADCAST", 0, out=2), one("VECTOR_MAX", 2, 0, 1))),
            "A linear model that learns from the labels by a rule of its own",
        ),
        (WITH_COPIES, "A linear model that learns by gradient descent"),
        (ON_SIZES, "An algorithm that learns by gradient descent"),
        (EXAMPLES["noisy input"][0], "A linear model that learns by gradient descent, with noisy input"),
        (EXAMPLES["input normalisation"][0], "A linear model that learns by gradient descent"),
        (neural_network(), "A 2-layer net that learns by gradient descent"),
        (EXAMPLES["loss clipping"][0], "A linear model that learns by gradient descent, with a clipped loss"),
        (
            EXAMPLES["learning-rate decay"][0],
            "A linear model that learns by gradient descent, with a decaying learning rate",
        ),
        (
            EXAMPLES["weight-dependent learning rate"][0],
            "A linear model that learns by gradient descent, with a learning rate made of the weights",
        ),
        (
            bilinear(),
            "A bilinear model that learns by normalised gradient descent, with noisy input and accumulated weights",
        ),
    ],
)
def test_titles(algorithm, title):
    assert explain(algorithm).title == title


@settings(max_examples=300, deadline=None)
@given(algorithms())
def test_every_line_of_any_program_gets_a_role(algorithm):
    explanation = explain(algorithm, features_size=4)
    mask = live_mask(algorithm)
    assert [line.role == "dead" for line in explanation.lines] == [not live for part in mask for live in part]
    assert {line.role for line in explanation.lines} <= set(ROLES)
    assert explanation.text()
    assert len(explanation.to_json()["lines"]) == len(algorithm)


def test_long_programs_take_little_time():
    source = random.Random(4)
    explain(random_algorithm(source, (100, 300, 600), [Op.SCALAR_SUM, Op.SCALAR_PRODUCT], REGISTERS))
