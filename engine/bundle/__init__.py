"""Bundles: whole searches as text files, to move them between installations. docs/bundles.md describes the format."""

from engine.bundle.check import Checked, ScoreCheck, check_scores, check_section
from engine.bundle.form import (
    EVALUATION_VERSION,
    FORMAT_VERSION,
    BundledFind,
    BundledStudy,
    BundleError,
    Event,
    Head,
    IslandState,
    Limits,
    Origin,
)
from engine.bundle.read import Bundle, Row, Section
from engine.bundle.write import write_search

__all__ = [
    "EVALUATION_VERSION", "FORMAT_VERSION", "Bundle", "BundleError", "BundledFind", "BundledStudy", "Checked", "Event",
    "Head", "IslandState", "Limits", "Origin", "Row", "ScoreCheck", "Section", "check_scores", "check_section",
    "write_search",
]  # fmt: skip
