"""What the values that a specification chooses from are called. In files and grids they go by the engine's names."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

CHOICE_WORDS = {
    "kind": {
        "linear": gettext_lazy("linear functions"),
        "affine": gettext_lazy("linear functions, offset"),
        "net": gettext_lazy("2-layer nets"),
        "regression": gettext_lazy("a number"),
        "projected": gettext_lazy("two classes"),
        "classes": gettext_lazy("all classes"),
    },
    "initial": {
        "random": gettext_lazy("random programs"),
        "empty": gettext_lazy("empty programs"),
        "linear": gettext_lazy("linear model"),
        "affine": gettext_lazy("linear model with a bias"),
        "net": gettext_lazy("2-layer net"),
        "net-without-bias": gettext_lazy("2-layer net without biases"),
        "bilinear": gettext_lazy("bilinear model of the paper"),
        "softmax-linear": gettext_lazy("linear model of many classes"),
        "softmax-net": gettext_lazy("2-layer net of many classes"),
        "program": gettext_lazy("the given program"),
    },
    "fitness_combination": {
        "mean": pgettext_lazy("of scores", "mean"),
        "median": pgettext_lazy("of scores", "median"),
        "minimum": pgettext_lazy("of scores", "minimum"),
    },
    "selection": {
        "regularized": gettext_lazy("the oldest dies"),
        "regularized_paper": gettext_lazy("the oldest dies first"),
        "elitist": gettext_lazy("the worst dies"),
        "random": gettext_lazy("random search"),
        "ring": gettext_lazy("neighbours on a ring"),
    },
    "constant_rule": {
        "reference": gettext_lazy("the published code’s"),
        "paper": gettext_lazy("the paper’s"),
    },
    "validity": {
        "any": gettext_lazy("nothing in particular"),
        "learns": gettext_lazy("features and labels"),
        "corrects": gettext_lazy("features, labels and past predictions"),
    },
    "start": {
        "initial": gettext_lazy("from the first program"),
        "fresh": gettext_lazy("from the best find of new beginnings"),
        "recent": gettext_lazy("from the best find since the last such stage"),
        "best": gettext_lazy("from the best find so far"),
    },
}
"""By the field's last name, then by the engine's name of the value."""


def choice_words(field: str, name: str) -> str:
    """Return a value for people. field: the last part of its path."""
    return str(CHOICE_WORDS.get(field, {}).get(name, name))


def yes_or_no(value: bool) -> str:
    """Return the value of a switch for people."""
    return _("yes") if value else _("no")
