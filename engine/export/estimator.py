"""A program as a scikit-learn estimator."""

from __future__ import annotations

import re

from engine.algorithm import Algorithm
from engine.export import many_classes
from engine.export.numpy_code import program_class
from engine.export.numpy_module import fill

_HEAD = '''\
"""@title@

A scikit-learn estimator found by Ab Ovo. @dead@Digest @digest@.

    model = @class@().fit(X, y)
    model.predict(X_new)
"""

import copy
import warnings

import numpy as np
from sklearn.base import BaseEstimator, @mixin@
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data


@program@
'''

_TRAINING = '''
def _sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def _train(features, labels, *, classification, epochs, max_abs_error, seed):
    """Return the program after training and one more Predict, so that all predictions start from the same memory.

    That Predict matters to programs that set up the weights for validation at the end of their first prediction.
    """
    program = Program(features.shape[1], seed)
    with np.errstate(all="ignore"):
        program.setup()
        for _ in range(epochs):
            for x, label in zip(features, labels):
                before = copy.copy(program)
                program.predict_one(x)
                if classification:
                    program.s1 = _sigmoid(program.s1)
                if not abs(label - program.s1) <= max_abs_error:
                    warnings.warn("training ended early: an error was NaN or too large", ConvergenceWarning)
                    return before
                program.learn_one(x, label)
        program.predict_one(features[-1])
    program.rng = None
    return program


def _scores(program, features, seed):
    """Return s1 for each row, each from the memory as it was after training."""
    scores = np.empty(len(features))
    with np.errstate(all="ignore"):
        for row, x in enumerate(features):
            one = copy.copy(program)
            one.rng = @rng@
            scores[row] = one.predict_one(x)
    return scores


'''

_SCALING = """
    def _scaled(self, X):
        return (X - self.mean_) / self.scale_ if self.standardize else X

    def _fit_scaling(self, X):
        self.mean_, self.scale_ = X.mean(axis=0), X.std(axis=0)
        self.scale_[self.scale_ == 0] = 1.0
"""

_PARAMETERS = '''\
    Parameters: epochs, passes over the training data; standardize, whether to give features mean 0 and deviation 1@more@;
    max_abs_error, at which training ends; random_state.
    """

    def __init__(self, *, epochs=10, standardize=True, max_abs_error=100.0, random_state=None):
        self.epochs = epochs
        self.standardize = standardize
        self.max_abs_error = max_abs_error
        self.random_state = random_state
'''

_BEGIN_OF_FIT = '''
    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = @poor@
        return tags

    def fit(self, X, y):
        """Train on X (N, F) and the classes y (N,)."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"@class@ needs at least 2 classes, got one class only: {self.classes_[0]!r}")
        self._fit_scaling(X)
        self.seed_ = check_random_state(self.random_state).randint(2**31)
'''

_CLASSIFIER = (
    '''class @class@(ClassifierMixin, BaseEstimator):
    """@title@

    More than two classes are learned one against the rest.
'''
    + _PARAMETERS
    + _BEGIN_OF_FIT
    + """\
        positives = [1] if len(self.classes_) == 2 else range(len(self.classes_))
        self.programs_ = [
            _train(
                self._scaled(X), (labels == one).astype(np.float64), classification=True,
                epochs=self.epochs, max_abs_error=self.max_abs_error, seed=self.seed_,
            )
            for one in positives
        ]
        return self
"""
    + _SCALING
    + '''
    def decision_function(self, X):
        """Return logits: (N,) for two classes, else (N, classes). NaN counts as the first class (two classes)."""
        check_is_fitted(self)
        X = self._scaled(validate_data(self, X, dtype=np.float64, reset=False))
        scores = [_scores(program, X, self.seed_) for program in self.programs_]
        scores = np.nan_to_num(np.stack(scores, axis=1), nan=-1e300, posinf=1e300, neginf=-1e300)
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X):
        """Return probabilities, (N, classes): the sigmoid of the logits; their softmax for more than two classes."""
        scores = self.decision_function(X)
        if scores.ndim == 1:
            with np.errstate(over="ignore"):
                chances = _sigmoid(scores)
            return np.stack([1.0 - chances, chances], axis=1)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

    def predict(self, X):
        """Return the classes, (N,)."""
        scores = self.decision_function(X)
        if scores.ndim == 2:
            return self.classes_[scores.argmax(axis=1)]
        with np.errstate(over="ignore"):
            return self.classes_[(_sigmoid(scores) > 0.5).astype(int)]
'''
)

_REGRESSOR = (
    '''class @class@(RegressorMixin, BaseEstimator):
    """@title@

'''
    + _PARAMETERS
    + '''
    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = @poor@
        return tags

    def fit(self, X, y):
        """Train on X (N, F) and the numbers y (N,)."""
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        self._fit_scaling(X)
        self.offset_, self.factor_ = (y.mean(), y.std() or 1.0) if self.standardize else (0.0, 1.0)
        self.seed_ = check_random_state(self.random_state).randint(2**31)
        self.program_ = _train(
            self._scaled(X), (y - self.offset_) / self.factor_, classification=False,
            epochs=self.epochs, max_abs_error=self.max_abs_error, seed=self.seed_,
        )
        return self
'''
    + _SCALING
    + '''
    def predict(self, X):
        """Return predictions, (N,); where the program gives no finite number, the mean of the training labels."""
        check_is_fitted(self)
        X = self._scaled(validate_data(self, X, dtype=np.float64, reset=False))
        scores = _scores(self.program_, X, self.seed_)
        return np.where(np.isfinite(scores), scores, 0.0) * self.factor_ + self.offset_
'''
)


def estimator(algorithm: Algorithm, name: str, task_type: str) -> str:
    """Return the source of a module with one estimator class."""
    source, explanation = program_class(algorithm)
    classification = task_type == "classification"
    if algorithm.vector_labels:
        before, after, last = many_classes.CLASSIFIER
        template = _HEAD + many_classes.TRAINING + before + _PARAMETERS + _BEGIN_OF_FIT + after + _SCALING + last
    else:
        template = _HEAD + _TRAINING + (_CLASSIFIER if classification else _REGRESSOR)
    if not classification:
        template = template.replace("from sklearn.utils.multiclass import check_classification_targets\n", "")
    draws = any(
        one.info.is_random
        for one, line in zip(algorithm.predict, _lines(explanation, "predict"), strict=True)
        if line.role != "dead"
    )
    values = {
        "class": class_name(name, classification),
        "mixin": "ClassifierMixin" if classification else "RegressorMixin",
        "more": "" if classification else ", and labels too",
        "poor": str(_scores_poorly(algorithm, explanation.motifs)),
        "rng": "np.random.default_rng(seed)" if draws else "None",
    }
    for key, value in values.items():
        template = template.replace(f"@{key}@", value)
    return fill(template, algorithm, name, explanation, source, task_type)


def class_name(name: str, classification: bool) -> str:
    """Return a class name made of a free name: "my net" becomes MyNetClassifier."""
    words = re.findall(r"[A-Za-z0-9]+", name)
    joined = "".join(word[0].upper() + word[1:] for word in words)[:60] or "Evolved"
    return ("" if joined[0].isalpha() else "Evolved") + joined + ("Classifier" if classification else "Regressor")


def _lines(explanation, function: str):
    return [line for line in explanation.lines if line.function == function]


def _scores_poorly(algorithm: Algorithm, motifs: tuple[str, ...]) -> bool:
    """Whether the estimator may fail on the tiny data sets of scikit-learn's checks.

    So do those without gradient descent, and nets of many classes: on two features they have two hidden units for all.
    """
    return "gradient descent" not in motifs or (algorithm.vector_labels and "ReLU" in motifs)
