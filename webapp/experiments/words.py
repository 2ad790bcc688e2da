"""Annotations in words: titles, what an algorithm does in two sentences, roles, and what each motif is."""

from __future__ import annotations

from typing import Any

from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from engine.spec import SearchSpec
from engine.titles import UNKNOWN
from webapp.experiments import describe
from webapp.experiments.annotation import Annotation
from webapp.experiments.models import Algorithm

MODELS = {
    "A linear model": (gettext_lazy("A linear classifier"), gettext_lazy("A linear regressor"), gettext_lazy("A linear model")),
    "A linear model with a bias": (
        gettext_lazy("A linear classifier with a bias"),
        gettext_lazy("A linear regressor with a bias"),
        gettext_lazy("A linear model with a bias"),
    ),
    "A bilinear model": (
        gettext_lazy("A bilinear classifier"), gettext_lazy("A bilinear regressor"), gettext_lazy("A bilinear model"),
    ),
    "A 2-layer net": (gettext_lazy("A 2-layer net"), gettext_lazy("A 2-layer net"), gettext_lazy("A 2-layer net")),
    "A prediction without the features": (gettext_lazy("A prediction without the features"),) * 3,
    UNKNOWN: (gettext_lazy("A classifier"), gettext_lazy("A regressor"), gettext_lazy("An algorithm")),
}  # fmt: skip
"""What the engine calls a model, as a classifier, as a regressor, and where the task is not known."""

PREDICTS = {
    "A linear model": gettext_lazy("The prediction is a weighted sum of the features."),
    "A linear model with a bias": gettext_lazy("The prediction is a weighted sum of the features plus a learned bias."),
    "A bilinear model": gettext_lazy("The prediction is made of products of features, weighted by a learned matrix."),
    "A 2-layer net": gettext_lazy(
        "The features pass through a layer of weights and a non-linearity, and the prediction is read off that."
    ),
    "A prediction without the features": gettext_lazy("The prediction does not depend on the features at all."),
    UNKNOWN: gettext_lazy("How Predict uses the features is like none of the models known here."),
}

LEARNING = {
    "": (
        gettext_lazy("does not learn"),
        gettext_lazy("Nothing that it keeps depends on the labels, so that training teaches it nothing."),
    ),
    "normalised gradient": (
        gettext_lazy("learns by normalised gradient descent"),
        gettext_lazy(
            "Each training example moves what was learned in the direction that lowers the error, by a step whose length is "
            "evened out by a norm."
        ),
    ),
    "gradient": (
        gettext_lazy("learns by gradient descent"),
        gettext_lazy("Each training example moves what was learned a little in the direction that lowers the error."),
    ),
    "correlation": (
        gettext_lazy("learns by adding up features times labels"),
        gettext_lazy(
            "Each training example adds its features, times its label, to what was learned, so that what goes with the label "
            "comes to weigh more; how far off its own predictions are does not matter to it."
        ),
    ),
    "errors": (
        gettext_lazy("learns from its errors by a rule of its own"),
        gettext_lazy(
            "What it learns of an example depends on how its prediction compares with the label, but in none of the ways known here."
        ),
    ),
    "labels alone": (
        gettext_lazy("learns from the labels alone"),
        gettext_lazy("What it learns depends on the labels, and not on the features that go with them."),
    ),
    "other": (
        gettext_lazy("learns from the labels by a rule of its own"),
        gettext_lazy("It learns from the labels, but by none of the ways known here."),
    ),
}  # fmt: skip
"""How the engine says that a program learns: in a title, and in a sentence."""

UNRECOGNISED = ("errors", "labels alone", "other")
"""Ways to learn that alone say too little of a program for a title."""

MOTIFS = {
    "gradient descent": gettext_lazy("Each example moves the weights a little in the direction that lowers its error."),
    "normalised gradient": gettext_lazy("The gradient is divided by a norm, so that large inputs do not make large steps."),
    "ReLU": gettext_lazy("Negative values become zero, so that layers can bend what would otherwise be a straight line."),
    "noisy ReLU": gettext_lazy("Values are cut off from below at a random number instead of at zero."),
    "bilinear form": gettext_lazy("The input meets a learned matrix from both sides, so that products of features count."),
    "weight accumulation": gettext_lazy(
        "The weights after each example are added up, and the sum predicts, which averages out their jitter."
    ),
    "noisy input": gettext_lazy("Random numbers are added to the features, which keeps the learner from relying on any one."),
    "input normalisation": gettext_lazy("The input is scaled or centred by a norm, spread or mean of its own before it is used."),
    "learning-rate decay": gettext_lazy("The learning rate shrinks by itself: large steps at first, small ones later."),
    "weight-dependent learning rate": gettext_lazy(
        "The learning rate is made of the weights themselves, such as their mean or norm, and changes as they do."
    ),
    "random initialisation": gettext_lazy("The weights start at random numbers, so that equal units can become different."),
    "loss clipping": gettext_lazy("The error is limited before it is used, so that one odd example cannot pull the weights far."),
}  # fmt: skip

MOTIF_NAMES = {
    "gradient descent": gettext_lazy("gradient descent"),
    "normalised gradient": gettext_lazy("normalised gradient"),
    "ReLU": gettext_lazy("ReLU"),
    "noisy ReLU": gettext_lazy("noisy ReLU"),
    "bilinear form": gettext_lazy("bilinear form"),
    "weight accumulation": gettext_lazy("weight accumulation"),
    "noisy input": gettext_lazy("noisy input"),
    "input normalisation": gettext_lazy("input normalisation"),
    "learning-rate decay": gettext_lazy("learning-rate decay"),
    "weight-dependent learning rate": gettext_lazy("weight-dependent learning rate"),
    "random initialisation": gettext_lazy("random initialisation"),
    "loss clipping": gettext_lazy("loss clipping"),
}

EXTRAS = {
    "noisy input": gettext_lazy("noisy input"),
    "weight accumulation": gettext_lazy("accumulated weights"),
    "learning-rate decay": gettext_lazy("a decaying learning rate"),
    "weight-dependent learning rate": gettext_lazy("a learning rate made of the weights"),
    "loss clipping": gettext_lazy("a clipped loss"),
}

ROLES = {
    "weights": pgettext_lazy("role of a line", "weights"),
    "bias": pgettext_lazy("role of a line", "bias"),
    "input": pgettext_lazy("role of a line", "input"),
    "prediction": pgettext_lazy("role of a line", "prediction"),
    "non-linearity": pgettext_lazy("role of a line", "non-linearity"),
    "error": pgettext_lazy("role of a line", "error"),
    "gradient": pgettext_lazy("role of a line", "gradient"),
    "learning rate": pgettext_lazy("role of a line", "learning rate"),
    "update": pgettext_lazy("role of a line", "update"),
    "accumulation": pgettext_lazy("role of a line", "accumulation"),
    "normalisation": pgettext_lazy("role of a line", "normalisation"),
    "noise": pgettext_lazy("role of a line", "noise"),
    "constant": pgettext_lazy("role of a line", "constant"),
    "dead": pgettext_lazy("role of a line", "without effect"),
}

NOTES = {
    "ReLU": gettext_lazy("ReLU"),
    "added": gettext_lazy("added"),
    "added to the features": gettext_lazy("added to the features"),
    "added to the prediction": gettext_lazy("added to the prediction"),
    "adds up the weights of all examples": gettext_lazy("adds up the weights of all examples"),
    "always 0": gettext_lazy("always 0"),
    "changes from example to example": gettext_lazy("changes from example to example"),
    "clipped": gettext_lazy("clipped"),
    "copied": gettext_lazy("copied"),
    "derived from learned values": gettext_lazy("from learned values"),
    "drawn anew for each example": gettext_lazy("drawn anew for each example"),
    "drawn at random": gettext_lazy("drawn at random"),
    "drawn once at random": gettext_lazy("drawn once at random"),
    "factor without the error": gettext_lazy("factor without the error"),
    "label and prediction combined": gettext_lazy("label and prediction combined"),
    "label and prediction compared": gettext_lazy("label and prediction compared"),
    "made from the features": gettext_lazy("made from the features"),
    "of a learned value": gettext_lazy("of a learned value"),
    "of a running value": gettext_lazy("of a running value"),
    "of bias": gettext_lazy("of bias"),
    "of earlier examples": gettext_lazy("of earlier examples"),
    "of features": gettext_lazy("of features"),
    "of the gradient": gettext_lazy("of the gradient"),
    "of the input": gettext_lazy("of the input"),
    "of weights": gettext_lazy("of weights"),
    "scaled by the learning rate": gettext_lazy("scaled by the learning rate"),
    "slope of the non-linearity": gettext_lazy("slope of the non-linearity"),
    "starting value": gettext_lazy("starting value"),
    "the result": gettext_lazy("the result"),
    "weights applied": gettext_lazy("weights applied"),
}


def role(name: str) -> str:
    """Return a role for people."""
    return str(ROLES.get(name, name))


def note(text: str) -> str:
    """Return a note on a role for people."""
    return str(NOTES.get(text, text))


def engine_text(text: str) -> str:
    """Translate what the engine says in English: what an op means, what a preset is. As it is, where nobody has."""
    return _(text) if text else ""


def motif(name: str) -> str:
    """Return a motif's name for people."""
    return str(MOTIF_NAMES.get(name, name))


def motif_sentence(name: str) -> str:
    """Return what a motif is; "" for one that has no sentence yet."""
    return str(MOTIFS.get(name, ""))


def motif_slug(name: str) -> str:
    """Return a motif's name for addresses and style classes."""
    return slugify(name)


def is_recognised(annotation: Annotation | None) -> bool:
    """Whether the model, the way it learns, or any motif is a known one."""
    return annotation is not None and bool(
        annotation.model != UNKNOWN or annotation.motifs or annotation.learning not in UNRECOGNISED
    )


def title(algorithm: Algorithm, annotation: Annotation | None, spec: SearchSpec | None) -> str:
    """Return what an algorithm is; where nothing is recognised in it, what it learned to do."""
    if annotation is None or not is_recognised(annotation):
        return describe.algorithm_title(algorithm, spec)
    text = _("%(model)s that %(how)s") % {"model": _model(annotation, spec), "how": _learning(annotation)[0]}
    extras = [str(words) for name, words in EXTRAS.items() if name in annotation.motifs]
    if not annotation.learning or not extras:
        return text
    listed = extras[0]
    for one in extras[1:]:
        listed = _("%(first)s and %(second)s") % {"first": listed, "second": one}
    return _("%(title)s, with %(extras)s") % {"title": text, "extras": listed}


def sentences(annotation: Annotation | None) -> list[str]:
    """Return what the algorithm does, in two sentences."""
    if annotation is None:
        return [_("This program cannot be explained line by line here."), _("It is shown exactly as it was found.")]
    if not is_recognised(annotation):
        return [
            _("No known model and no known motif was recognised in it."),
            _("The roles beside its lines follow from the data flow alone."),
        ]
    return [str(PREDICTS.get(annotation.model, PREDICTS[UNKNOWN])), str(_learning(annotation)[1])]


def _model(annotation: Annotation, spec: SearchSpec | None) -> str:
    column = 2 if spec is None else 0 if spec.search_tasks.is_accuracy else 1
    return str(MODELS.get(annotation.model, MODELS[UNKNOWN])[column])


def _learning(annotation: Annotation) -> tuple[Any, Any]:
    return LEARNING.get(annotation.learning, LEARNING["other"])
