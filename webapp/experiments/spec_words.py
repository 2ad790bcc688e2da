"""What each field of a specification is called and means, and how a form groups them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from django.utils.translation import gettext_lazy as _

from webapp.experiments.choice_words import choice_words, yes_or_no
from webapp.experiments.describe import MUTATIONS
from webapp.experiments.spec_fields import Leaf

TASKS = {
    "kind": (
        _("Kind of task"),
        _("What is learned: of the data, or of functions that are made up."),
    ),
    "count": (_("Tasks"), _("How many make one evaluation.")),
    "features": (_("Features"), _("Numbers that a program sees of each row; data is projected to as many.")),
    "train_examples": (_("Training examples"), _("Examples a task learns from.")),
    "valid_examples": (_("Validation examples"), _("Examples it is scored on.")),
    "epochs": (_("Epochs"), _("How often the training examples are gone through.")),
    "dataset": (_("Data set"), _("By its name.")),
    "pairs": (_("Pairs of classes"), _("search: all but those held out; held_out: those; or pairs such as 0-5, 3-8.")),
    "held_out_pairs": (_("Held-out pairs"), _("Pairs of classes that the search never sees, such as 0-5, 3-8.")),
    "seeds": (_("Seeds of the tasks"), _("Empty: derived from the search's seed. Else whole numbers, taken in turn.")),
}
FUNCTION = {
    "ops": (_("Ops"), _("What mutation may draw.")),
    "min_size": (_("Fewest instructions"), _("Removal stops here.")),
    "max_size": (_("Most instructions"), _("Insertion stops here.")),
    "initial_size": (_("Instructions of a random first program"), _("Empty: the most.")),
    "searched": (_("Searched"), _("no: stays as the given program has it.")),
}
WORDS = {
    "fresh_tasks": (_("New tasks each experiment"), _("yes: each experiment draws its search tasks anew.")),
    "select_candidates": (_("Candidates for selection"), _("Latest improvements scored on T_select beside the best; 0: the best only.")),
    "select_rounds": (_("Rounds of selection"), _("More than one: a funnel, in which the better half goes on to larger tests.")),
    "final_seeds": (_("Final evaluations"), _("How often the chosen program is scored on T_test, with other random numbers.")),
    "registers.s": (_("Scalars"), _("Scalar registers s0, s1, …")),
    "registers.v": (_("Vectors"), _("Vector registers v0, v1, …")),
    "registers.m": (_("Matrices"), _("Matrix registers m0, m1, …")),
    "initial": (_("First programs"), _("empty or random ones, a known model, or the program given.")),
    "selection": (_("Selection"), _("Who has children and who dies.")),
    "population_size": (_("Population size"), _("Programs that live at the same time.")),
    "tournament_size": (_("Tournament size"), _("How many compete to be the next parent.")),
    "mutation_probability": (_("Mutation probability"), _("Share of children that differ from their parent.")),
    "constant_rule": (_("Constants"), _("How a mutation alters a constant.")),
    "more_mutations": (_("More mutations"), _("How likely a mutation is followed by another in the same child.")),
    "validity": (
        _("Validity"),
        _("What the prediction must depend on, told before anything runs."),
    ),
    "validity_tries": (_("Tries"), _("How often a child is mutated anew until it is valid.")),
    "length_price": (
        _("Price of length"),
        _("Taken from the score, in selection alone, for each instruction that makes a difference."),
    ),
    "stages": (
        _("Stages"),
        _("A table a line: what is changed for one experiment after the other, over and over. “start”: initial, fresh, recent or best."),
    ),
    "newcomers": (_("Newcomers"), _("Share of children that are mutants of the first program, not of a living one.")),
    "price": (_("Price of computing"), _("What a program as costly as the 2-layer net pays from its score when parents are chosen. 0: nothing.")),
    "fitness_combination": (_("Score of several tasks"), _("How the scores of the tasks become one.")),
    "max_abs_error": (_("Largest error"), _("A program ends with score 0 when it is further off than this.")),
    "fec": (_("Functional equivalence cache"), _("Programs that behave alike on a few examples share a score.")),
    "fec.size": (_("Cache entries"), _("Least recently used go first.")),
    "fec.train_examples": (_("Probe: training examples"), _("How many tell programs apart.")),
    "fec.valid_examples": (_("Probe: validation examples"), _("How many tell programs apart.")),
    "fec.forget_every": (_("Forget after"), _("Uses of an entry until it is evaluated again; 0: never.")),
    "hurdle": (_("Hurdle"), _("Programs that do badly in a short run are not evaluated in full.")),
    "hurdle.train_examples": (_("Hurdle: training examples"), _("Of the short run.")),
    "hurdle.valid_examples": (_("Hurdle: validation examples"), _("Of the short run.")),
    "hurdle.tasks": (_("Hurdle: tasks"), _("Of the short run; empty: all.")),
    "hurdle.percentile": (_("Hurdle: percentile"), _("Programs below it, among recent ones, are cut.")),
    "hurdle.window": (_("Hurdle: window"), _("Recent short runs that the threshold is taken from.")),
    "hurdle.period": (_("Hurdle: period"), _("Short runs from one threshold to the next.")),
    "train_budget": (_("Training budget"), _("Programs that cost more than so many 2-layer nets score 0. Empty: no budget.")),
    "stop.max_seconds": (_("Time limit, seconds"), _("How long the engine works, compiling not counted. Empty: no limit.")),
    "stop.max_individuals": (_("Programs an experiment"), _("Empty: no limit.")),
    "stop.max_train_steps": (_("Training steps an experiment"), _("Empty: no limit.")),
    "stop.max_experiments": (_("Experiments"), _("Empty: no limit.")),
    "stop.sufficient_fitness": (_("Solved above"), _("The search ends when a program exceeds this on T_select. Empty: never.")),
    "stop.stagnation": (_("Stagnation"), _("Programs without a better one that end an experiment. Empty: no limit.")),
    "stop.max_total_individuals": (_("Programs in all"), _("Of all experiments together. Empty: no limit.")),
    "islands": (_("Islands"), _("Populations that search side by side, each on a worker.")),
    "migration": (_("Migration"), _("Whether islands exchange algorithms.")),
    "migration.every": (_("Migration: every"), _("Programs of an island from one exchange to the next.")),
    "migration.count": (_("Migration: count"), _("Algorithms that leave, and that come, at an exchange.")),
    "select_tasks": (_("T_select"), _("Tasks on which the chosen program is picked.")),
    "final_tasks": (_("T_test"), _("Tasks on which it is scored once, at the end.")),
}  # fmt: skip


def value_words(leaf: Leaf, shown: str) -> str:
    """Return a field's value, as spec_fields.shown has it, for people."""
    if leaf.kind == "choice":
        return choice_words(leaf.last, shown)
    return yes_or_no(shown == "yes") if leaf.kind in ("switch", "part") and shown else shown


def value_label(leaf: Leaf, shown: str) -> str:
    """Return a value for a form: with the name that files have for it, where that is another."""
    words = value_words(leaf, shown)
    return f"{words} ({shown})" if leaf.kind == "choice" and shown not in words else words


@dataclass(frozen=True, eq=False)
class Section:
    """Fields that stand together. prefixes: of the paths it takes. folded: behind a heading of its own."""

    group: str
    title: str
    prefixes: tuple[str, ...]
    folded: bool = False


GROUPS = {
    "data": _("Data"),
    "program": _("Program"),
    "population": _("Population"),
    "speed": _("Speed-ups"),
    "stop": _("Stop"),
    "more": _("More"),
}
SECTIONS = (
    Section("data", _("T_search: the tasks that guide evolution"), ("search_tasks.",)),
    Section("data", _("T_select: the tasks that pick"), ("select_tasks",), folded=True),
    Section("data", _("T_test: the tasks that score once"), ("final_tasks",), folded=True),
    Section(
        "data",
        _("How scores are used"),
        ("fresh_tasks", "select_", "final_seeds", "fitness_combination", "max_abs_error"),
    ),
    Section("program", _("Memory and beginning"), ("registers.", "initial")),
    Section("program", "Setup", ("setup.",), folded=True),
    Section("program", "Predict", ("predict.",), folded=True),
    Section("program", "Learn", ("learn.",), folded=True),
    Section(
        "population",
        _("Who lives"),
        ("selection", "population_size", "tournament_size", "price", "length_price", "newcomers"),
    ),
    Section("population", _("Mutations and their weights"), ("mutation", "more_mutations", "constant_rule")),
    Section("population", _("Programs worth running"), ("validity",)),
    Section("population", _("Stages"), ("stages",), folded=True),
    Section("population", _("Islands"), ("island", "migra")),
    Section("speed", _("Functional equivalence cache"), ("fec",)),
    Section("speed", _("Hurdle"), ("hurdle",)),
    Section("speed", _("Budget"), ("train_budget",)),
    Section("stop", _("When it ends"), ("stop.",)),
    Section("more", _("More"), ("",)),
)


@cache
def section_of(leaf: Leaf) -> Section:
    """Return where a field stands; the first section that takes it."""
    return next(one for one in SECTIONS if leaf.path.startswith(one.prefixes))


def words_of(leaf: Leaf) -> tuple[str, str]:
    """Return a field's label and what it means."""
    head, _dot, last = leaf.path.partition(".")
    if leaf.path in WORDS:
        label, meaning = WORDS[leaf.path]
    elif head.endswith("_tasks") and last in TASKS:
        label, meaning = TASKS[last]
    elif last in FUNCTION:
        label, meaning = FUNCTION[last]
    elif head == "mutations":
        label, meaning = str(MUTATIONS.get(last, last)).capitalize(), ""
    else:
        label, meaning = leaf.path.replace(".", ": ").replace("_", " ").capitalize(), ""
    return str(label), str(meaning)
