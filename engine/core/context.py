"""Where things stand in the context of an evaluation: an array of int64 words, most of them addresses.

One context serves one group of task lanes. The search fills in the program's part, the kernel reads the rest.
"""

from __future__ import annotations

# Program: address of its instructions (INSTRUCTION_WORDS each) and counts; then addresses of lists of operand slots that
# follow the current example: PATCHES, features in Predict then in Learn; LABEL_PATCHES, labels in Learn.
CODE = 0
SETUP_COUNT = 1
PREDICT_COUNT = 2
LEARN_COUNT = 3
PATCHES = 4
PREDICT_FEATURES = 5
LEARN_FEATURES = 6
LEARN_LABELS = 7

# Memory: the register bank (zeroed before Setup), scratch for ops whose output is an input, random state, s1.
BANK = 8
BANK_WORDS = 9
SCRATCH = 10
RANDOM = 11
PREDICTION = 12

# Data: features (N, F, lanes) and labels (N, lanes), or vector labels (N, F, lanes), float64.
TRAIN_FEATURES = 13
TRAIN_LABELS = 14
TRAIN_COUNT = 15
VALID_FEATURES = 16
VALID_LABELS = 17
VALID_COUNT = 18
EPOCHS = 19
ORDERS = 20
"""Address of (epochs - 1, N) int64: the order of training examples from the second epoch on."""
ORDER_STRIDE = 21
LABEL_PATCHES = 31

# Rules.
IS_ACCURACY = 22
"""Whether the score is the share of examples that are classified right; so it is with vector labels."""
MAX_ABS_ERROR = 23
"""Bits of the float64."""

# Per lane: in ACTIVE (0 or -1), out the rest.
ACTIVE = 24
ALIVE = 25
STEPS = 26
TOTALS = 27
FITNESS = 28
HASHES = 29
"""Address of (lanes,) uint64 into which each lane's absolute errors are mixed; 0: they are not."""
PARTIAL_FAILURE = 30
"""Out: 1 if some lanes failed in a validation that others passed, with epochs to follow."""

LAST_FEATURES = 32
"""Out: address of the features of the last example that Predict saw; 0 if it never ran."""

CLASSES = 33
"""Classes that vector labels tell apart (the first so many elements of v1 and v2); 0: labels are numbers, in s0."""
VECTOR_LABEL = 34
"""Address of v2, where vector labels are put."""

# What runs it.
LANES, TASKS = 35, 36
"""Lanes of the group, and how many of them have a task."""
MACHINE, KERNEL = 37, 38
"""Address of the machine (engine/core/machine.py) that the program runs on as machine code; 0: the kernel at KERNEL interprets it."""
SEEDS, LOST, SPARE, HASH_PLACE = 39, 40, 41, 42
"""Addresses of (lanes,) uint64: of each task's random streams; (lanes,) int64: training steps of lanes that failed; (3, lanes) words of
scratch; and what HASHES is while errors are mixed."""

WORDS = 48

# One instruction.
INSTRUCTION_WORDS = 8
OP, IN1, IN2, OUT, CONSTANTS, IN3 = 0, 1, 2, 3, 4, 7

FAILED_ERROR = -1.0
"""What is mixed into a lane's hash in place of an error from its failure on."""
