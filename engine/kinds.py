"""What a search chooses by name from several kinds: mutations, selection schemes, ways to combine the tasks' scores.

One row for each kind: its name, and where its compiled function is. A kind's number, in compiled code and in stored
populations, is its place in its table, so rows are only ever added at the end. CONTRIBUTING.md says how to add one.
"""

from __future__ import annotations

MUTATIONS = {
    "alter_parameter": "engine.core.mutation_kinds:alter_parameter",
    "randomize_instruction": "engine.core.mutation_kinds:randomize_instruction",
    "randomize_function": "engine.core.mutation_kinds:randomize_one_function",
    "identity": "engine.core.mutation_kinds:identity",
    "insert": "engine.core.mutation_kinds:insert",
    "remove": "engine.core.mutation_kinds:remove",
    "trade": "engine.core.mutation_kinds:trade",
    "randomize_algorithm": "engine.core.mutation_kinds:randomize_algorithm",
    "graft": "engine.core.connected:graft",
    "bypass": "engine.core.connected:bypass",
    "rewire": "engine.core.connected:rewire",
    "grow": "engine.core.growth:grow",
    "branch": "engine.core.growth:branch",
    "tune": "engine.core.growth:tune",
    "train": "engine.core.growth:train",
}
"""How a child differs from its parent: function(state, space, code, constants, lengths) changes a program in place.
The first eight are those of the reference (semantics section 10), the others follow the data flow."""

VALIDITIES = {"any": 0, "learns": 3, "corrects": 7}
"""What a program's prediction has to depend on, as sources of engine.core.validity: nothing in particular; the features and
labels seen; its own predictions in training, too."""

SELECTIONS = {
    "regularized": "engine.core.selection:regularized",
    "regularized_paper": "engine.core.selection:regularized_paper",
    "elitist": "engine.core.selection:elitist",
    "random": "engine.core.selection:random_search",
    "ring": "engine.core.selection:ring",
}
"""Who has a child and who dies: function(state, scores, births, population, tournament_size, birth) returns the parent's
slot (-1: none, the child is a random program) and the place in the population that the child takes."""

FITNESS_COMBINATIONS = {
    "mean": "engine.core.combination:mean",
    "median": "engine.core.combination:upper_median",
    "minimum": "engine.core.combination:minimum",
}
"""One score from those on the tasks: function(scores, scratch) returns it."""

CONSTANT_RULES = ("reference", "paper")
"""How a mutation alters a constant: see engine/core/mutation.py."""
