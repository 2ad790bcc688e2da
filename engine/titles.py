"""What a program is, in a title: the model that predicts, and how it learns."""

from __future__ import annotations

from collections.abc import Collection

from engine.dataflow import FEATURES, LABEL, NOW, Factor, Source, terms
from engine.learner import MEANS, NORMS, SPREADS, Learner

NET, UNKNOWN = "A 2-layer net", "An algorithm"

MODELS = (
    "A linear model", "A linear model with a bias", "A bilinear model", NET, "A prediction without the features", UNKNOWN,
)  # fmt: skip

LEARNING = {
    "": "does not learn",
    "normalised gradient": "learns by normalised gradient descent",
    "gradient": "learns by gradient descent",
    "correlation": "learns by adding up features times labels",
    "errors": "learns from its errors by a rule of its own",
    "labels alone": "learns from the labels alone",
    "other": "learns from the labels by a rule of its own",
}
"""Every way to learn that is told apart, and its words. "correlation": whatever goes with large labels gets large weights; what
was predicted has no part in it. "errors": label and prediction are compared, but no gradient is made of that."""

EXTRAS = {
    "noisy input": "noisy input",
    "weight accumulation": "accumulated weights",
    "learning-rate decay": "a decaying learning rate",
    "weight-dependent learning rate": "a learning rate made of the weights",
    "loss clipping": "a clipped loss",
}


def title_of(model: str, learning: str, motifs: Collection[str], task_type: str = "") -> str:
    """Return the title. task_type: "classification", "regression", or "" where that is not known."""
    kind = {"classification": "classifier", "regression": "regressor"}.get(task_type)
    if kind:
        model = f"A {kind}" if model == UNKNOWN else model.replace(" model", f" {kind}")
    title = f"{model} that {LEARNING[learning]}"
    extras = [words for name, words in EXTRAS.items() if name in motifs]
    return f"{title}, with {' and '.join(extras)}" if learning and extras else title


def learning_of(learner: Learner, motifs: Collection[str]) -> str:
    """Return how a program learns: a key of LEARNING."""
    flow = learner.flow
    if not any(LABEL in flow.ever[node] for node in flow.carried):
        return ""
    if "normalised gradient" in motifs:
        return "normalised gradient"
    if "gradient descent" in motifs:
        return "gradient"
    if learner.errors:
        return "errors"
    if not any({FEATURES, LABEL} <= flow.ever[node] for node in range(len(flow.nodes))):
        return "labels alone"
    return "correlation" if _correlates(learner) else "other"


def _correlates(learner: Learner) -> bool:
    """Whether the label times something made of the features is added to a value that is kept."""
    flow, label = learner.flow, Factor(frozenset({Source(LABEL, NOW)}), 1)
    products = {
        index for index in range(len(flow.nodes))
        for one in terms(flow, frozenset({Source(index, NOW)}))
        if label in one.factors and any(FEATURES in flow.now_of(factor.sources) for factor in one.factors)
    }  # fmt: skip
    return any(
        any(one.node in products for one in flow.closure(sources))
        for update in learner.updates.values()
        for _, sources in update.increments
    )


def model_of(learner: Learner, motifs: Collection[str], bent: bool) -> str:
    """Return what predicts: one of MODELS. bent: whether a line of Predict is a non-linearity."""
    model = _model(learner, motifs)
    # Linear in something, then, but that something is not the features as they are.
    return UNKNOWN if bent and model != NET else model


def _model(learner: Learner, motifs: Collection[str]) -> str:
    flow = learner.flow
    if FEATURES not in flow.ever_of(flow.prediction):
        return "A prediction without the features"
    if "bilinear form" in motifs:
        return "A bilinear model"
    if {"ReLU", "noisy ReLU"} & set(motifs) and len(learner.weights_in_use) > 1:
        return NET
    parts = terms(flow, flow.prediction)
    with_input = [one for one in parts if any(learner.is_input(factor.sources) for factor in one.factors)]
    linear = [
        one for one in with_input
        if sum(learner.is_input(factor.sources) and not _is_size(learner, factor) for factor in one.factors) == 1
        and any(flow.is_learned(factor.sources) for factor in one.factors)
    ]  # fmt: skip
    if with_input and len(linear) == len(with_input):
        offset = any(
            one not in with_input
            and any(flow.is_learned(factor.sources) for factor in one.factors)
            and not any(learner.is_noise(factor.sources) for factor in one.factors)
            for one in parts
        )
        return "A linear model with a bias" if offset else "A linear model"
    return UNKNOWN


def _is_size(learner: Learner, factor: Factor) -> bool:
    """Whether a factor only divides by a norm, deviation or mean, as the normalisation of an input does."""
    return factor.power == -1 and learner.measure(factor.sources, NORMS | SPREADS | MEANS) is not None
