"""Which rules scores are computed by."""

EVALUATION_VERSION = 1
"""Raised when the same program on the same tasks, made from the same seed, may score otherwise than before."""
