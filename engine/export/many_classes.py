"""Templates for programs with vector labels: v1 has a score for each class, v2 the label, 1 for its class."""

from __future__ import annotations

MODULE = '''\
"""@title@

Found by Ab Ovo; needs NumPy only. @dead@Digest @digest@.

    program = train(features, labels)      # features (N, F), labels (N,): classes 0, 1, … up to F - 1
    scores = predict(program, features)    # (N, classes): the highest is the class

Training looks at one example after the other: Predict, compare, Learn. Standardise features first (mean 0, deviation 1
over the training examples), as the search does.
"""

import numpy as np


@program@

def softmax(scores):
    """Return exponentials over their sum."""
    powers = np.exp(scores - np.fmax.reduce(scores))
    return powers / powers.sum()


class TrainingFailed(ArithmeticError):
    """An error in training was NaN or larger than allowed."""


def train(features, labels, *, classes=None, epochs=1, max_abs_error=100.0, seed=0):
    """Run Setup, then train on every example in order. features: (N, F). labels: (N,), whole numbers from 0.

    classes: how many there are (default: the highest label and one), at most F. seed: of the random numbers, if the program draws
    any. Raises TrainingFailed; ValueError if there are more classes than features.
    """
    features, labels = np.asarray(features, dtype=np.float64), np.asarray(labels).astype(np.int64)
    classes = int(labels.max()) + 1 if classes is None else classes
    if classes > features.shape[1]:
        raise ValueError(f"{classes} classes, allowed are up to the number of features, {features.shape[1]}")
    vectors = np.eye(features.shape[1])
    program = Program(features.shape[1], seed)
    program.classes = classes
    with np.errstate(all="ignore"):  # infinities and NaN are part of the arithmetic
        program.setup()
        for _ in range(epochs):
            for x, label in zip(features, labels):
                scores = program.predict_one(x)
                program.v1 = np.zeros(len(scores))
                program.v1[:classes] = softmax(scores[:classes])
                error = np.abs(vectors[label] - program.v1).max()
                if not error <= max_abs_error:
                    raise TrainingFailed(f"error {error}, allowed are up to {max_abs_error}")
                program.learn_one(x, vectors[label])
    return program


def predict(program, features):
    """Return the scores of the classes for each row of features, shape (N, F): (N, classes).

    Runs on the program's memory as it is, row by row, as validation does in the search: a program that writes to its memory
    while it predicts goes on doing so.
    """
    features = np.asarray(features, dtype=np.float64)
    with np.errstate(all="ignore"):
        return np.array([program.predict_one(x)[: program.classes] for x in features])
'''

TRAINING = '''
def _softmax(scores):
    powers = np.exp(scores - np.fmax.reduce(scores))
    return powers / powers.sum()


def _train(features, labels, *, classes, epochs, max_abs_error, seed):
    """Return the program after training and one more Predict, so that all predictions start from the same memory.

    That Predict matters to programs that set up the weights for validation at the end of their first prediction.
    """
    program = Program(features.shape[1], seed)
    vectors = np.eye(features.shape[1])
    with np.errstate(all="ignore"):
        program.setup()
        for _ in range(epochs):
            for x, label in zip(features, labels):
                before = copy.copy(program)
                scores = program.predict_one(x)
                program.v1 = np.zeros(len(scores))
                program.v1[:classes] = _softmax(scores[:classes])
                if not np.abs(vectors[label] - program.v1).max() <= max_abs_error:
                    warnings.warn("training ended early: an error was NaN or too large", ConvergenceWarning)
                    return before
                program.learn_one(x, vectors[label])
        program.predict_one(features[-1])
    program.rng = None
    return program


def _scores(program, features, classes, seed):
    """Return the scores of the classes for each row, each from the memory as it was after training."""
    scores = np.empty((len(features), classes))
    with np.errstate(all="ignore"):
        for row, x in enumerate(features):
            one = copy.copy(program)
            one.rng = @rng@
            scores[row] = one.predict_one(x)[:classes]
    return scores


'''

CLASSIFIER = (
    '''class @class@(ClassifierMixin, BaseEstimator):
    """@title@

    Where there are more classes than features, zeros are put beside the features: a vector has an element for each class.
''',
    """\
        self.program_ = _train(
            self._padded(X), labels, classes=len(self.classes_),
            epochs=self.epochs, max_abs_error=self.max_abs_error, seed=self.seed_,
        )
        return self

    def _padded(self, X):
        missing = max(len(self.classes_) - X.shape[1], 0)
        return np.pad(self._scaled(X), ((0, 0), (0, missing)))
""",
    '''
    def _class_scores(self, X):
        check_is_fitted(self)
        X = self._padded(validate_data(self, X, dtype=np.float64, reset=False))
        scores = _scores(self.program_, X, len(self.classes_), self.seed_)
        return np.nan_to_num(scores, nan=-1e300, posinf=1e300, neginf=-1e300)

    def decision_function(self, X):
        """Return the scores of the classes, (N, classes); of two classes their difference, (N,)."""
        scores = self._class_scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict_proba(self, X):
        """Return probabilities, (N, classes): the softmax of the scores."""
        scores = self._class_scores(X)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def predict(self, X):
        """Return the classes, (N,)."""
        best = self._class_scores(X).argmax(axis=1)
        return self.classes_[best]
''',
)
"""What comes before the parameters, after the begin of fit, and after the scaling."""
