"""Whether a program can be a learner at all, told from its data flow, before anything is run.

Forward data flow over Setup, (Predict, Learn)*, then the Predict of validation, to a fixpoint: which of three sources each
register may depend on. It never calls a learner invalid: what a register may depend on is never left out. Empty and half-built
programs, of which most random ones are, are told apart from learners at a thousandth of an evaluation's cost.
"""

from __future__ import annotations

from engine.core.jit import inner
from engine.core.tables import IN1_TYPE, IN2_TYPE, KEEPS_OUTPUT, OUT_TYPE

FEATURES, LABEL, PREDICTION = 1, 2, 4
"""Sources: features of the example at hand, labels seen, predictions made in training."""


@inner()
def _forward(code, start, length, first, sources):
    """Walk a function forwards: `sources` goes from what registers depend on before it to what they depend on after it."""
    for row in range(start, start + length):
        op = code[row, 0]
        kind = OUT_TYPE[op]
        if kind < 0:
            continue
        out = first[kind] + code[row, 3]
        found = sources[out] if KEEPS_OUTPUT[op] else 0
        if IN1_TYPE[op] >= 0:
            found |= sources[first[IN1_TYPE[op]] + code[row, 1]]
        if IN2_TYPE[op] >= 0:
            found |= sources[first[IN2_TYPE[op]] + code[row, 2]]
        sources[out] = found


@inner()
def prediction_sources(code, lengths, starts, first, before, sources):
    """Return the sources (sum of FEATURES, LABEL, PREDICTION) that the prediction of validation may depend on.

    first: as for find_live. before, sources: (R,) int64 and uint8 of scratch.
    """
    size = before.shape[0]
    features = first[1]
    label, prediction = (first[1] + 2, first[1] + 1) if first[3] else (first[0], first[0] + 1)
    for register in range(size):
        sources[register] = 0
    _forward(code, starts[0], lengths[0], first, sources)
    for register in range(size):
        before[register] = sources[register]
    while True:
        for register in range(size):
            # What came from another example's features is memory by now.
            sources[register] = before[register] & ~FEATURES
        sources[features], sources[label] = FEATURES, 0
        _forward(code, starts[1], lengths[1], first, sources)
        result = sources[prediction]
        sources[prediction] |= PREDICTION
        sources[features], sources[label] = FEATURES, LABEL
        _forward(code, starts[2], lengths[2], first, sources)
        grown = False
        for register in range(size):
            found = before[register] | (sources[register] & ~FEATURES)
            if found != before[register]:
                before[register] = found
                grown = True
        if not grown:
            return result
