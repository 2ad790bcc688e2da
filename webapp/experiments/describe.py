"""Searches and mutations in words."""

from __future__ import annotations

from django.utils.formats import date_format, get_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from engine.spec import SearchSpec, TaskSpec
from webapp.experiments import charts
from webapp.experiments.bundle_models import ImportedSearch
from webapp.experiments.models import Algorithm, Find, Search

MUTATIONS = {
    "initial": gettext_lazy("first program"),
    "copy": gettext_lazy("copied unchanged"),
    "migrate": gettext_lazy("came from another island"),
    "identity": gettext_lazy("copied unchanged"),
    "alter_parameter": gettext_lazy("parameter altered"),
    "randomize_instruction": gettext_lazy("instruction replaced"),
    "randomize_function": gettext_lazy("function replaced"),
    "randomize_algorithm": gettext_lazy("all replaced"),
    "insert": gettext_lazy("instruction inserted"),
    "remove": gettext_lazy("instruction removed"),
    "trade": gettext_lazy("instructions traded"),
    "graft": gettext_lazy("operand grafted"),
    "bypass": gettext_lazy("instruction bypassed"),
    "rewire": gettext_lazy("operand rewired"),
    "grow": gettext_lazy("missing lines grown"),
    "branch": gettext_lazy("branch grown"),
    "tune": gettext_lazy("constant tuned"),
    "train": gettext_lazy("register trained"),
}

FINISH_REASONS = {
    "solved": gettext_lazy("a program solved the tasks"),
    "max_seconds": gettext_lazy("the time limit was reached"),
    "max_individuals": gettext_lazy("the limit of programs was reached"),
    "max_total_individuals": gettext_lazy("the limit of programs was reached"),
    "max_train_steps": gettext_lazy("the limit of training steps was reached"),
    "max_experiments": gettext_lazy("the limit of experiments was reached"),
    "stopped": gettext_lazy("stopped by hand"),
}


def mutation_words(name: str) -> str:
    """Return a mutation's name for people."""
    return str(MUTATIONS.get(name, name.replace("_", " ")))


def duration(seconds: float | None) -> str:
    """Return a time span in its two largest units: 45 s, 3 min 20 s, 2 h 5 min, 4 d 3 h."""
    if seconds is None:
        return "–"
    whole = max(0, round(seconds))
    if whole < 60:
        return _("%(s)d s") % {"s": whole}
    if whole < 3600:
        text = _("%(m)d min") % {"m": whole // 60}
        return f"{text} " + _("%(s)d s") % {"s": whole % 60} if whole % 60 else text
    if whole < 86400:
        text = _("%(h)d h") % {"h": whole // 3600}
        minutes = whole % 3600 // 60
        return f"{text} " + _("%(m)d min") % {"m": minutes} if minutes else text
    text = _("%(d)d d") % {"d": whole // 86400}
    hours = whole % 86400 // 3600
    return f"{text} " + _("%(h)d h") % {"h": hours} if hours else text


def count(value: float) -> str:
    """Return a whole number with separators."""
    # As number_format has it, in a quarter of its time: a page prints hundreds. All languages here group by threes.
    text, separator = f"{round(value):,}", get_format("THOUSAND_SEPARATOR")
    return text if separator == "," else text.replace(",", separator)


def rough(value: float) -> str:
    """Return an estimate with two figures: 41,000."""
    return count(float(f"{value:.2g}"))


def memory(size: float) -> str:
    """Return an estimate in bytes with two figures: 260 MB, 1.2 GB."""
    unit, divisor = ("GB", 1e9) if size >= 0.995e9 else ("MB", 1e6)
    amount = float(f"{size / divisor:.2g}")
    return f"{number_format(amount, decimal_pos=1 if amount < 10 else 0)}\N{NO-BREAK SPACE}{unit}"


def state_line(search: Search, *, rate: float | None = None) -> str:
    """Return what the search is doing, in a sentence's beginning."""
    tried = ngettext("%(n)s program tried", "%(n)s programs tried", search.individuals) % {
        "n": count(search.individuals)
    }
    match search.state:
        case Search.State.QUEUED:
            if search.individuals:
                return _("Waiting for its next turn: %(tried)s") % {"tried": tried}
            return _("Waiting for a worker")
        case Search.State.STARTING:
            return _("Starting: compiling kernels…")
        case Search.State.RUNNING if not search.individuals:
            return _("Searching: first programs…")
        case Search.State.RUNNING if rate:
            return _("Searching: %(tried)s, %(rate)s a second") % {"tried": tried, "rate": count(rate)}
        case Search.State.RUNNING:
            return _("Searching: %(tried)s") % {"tried": tried}
        case Search.State.PAUSING:
            return _("Pausing… the worker finishes its slice")
        case Search.State.PAUSED:
            return _("Paused after %(time)s: %(tried)s") % {"time": duration(search.seconds), "tried": tried}
        case Search.State.STOPPING:
            return _("Stopping… the worker finishes its slice")
        case Search.State.STOPPED:
            return _("Stopped after %(time)s: %(tried)s") % {"time": duration(search.seconds), "tried": tried}
        case Search.State.FINISHED:
            return _("Finished after %(time)s: %(tried)s") % {"time": duration(search.seconds), "tried": tried}
        case Search.State.FAILED:
            return _("Failed after %(time)s") % {"time": duration(search.seconds)}
    return str(search.get_state_display())


def finish_words(search: Search) -> str:
    """Return why the search ended."""
    return str(FINISH_REASONS.get(search.finish_reason, search.finish_reason.replace("_", " ")))


def origin(imported: ImportedSearch) -> str:
    """Return who ran an imported search, where, when and with which version, as far as its bundle says."""
    said, search = imported.origin, imported.search
    values = {"who": said.get("author", ""), "where": said.get("instance", "")}
    if imported.gallery:
        text = _("This search comes with Ab Ovo, whose makers ran it")
    elif values["who"] and values["where"]:
        text = _("This search was run by %(who)s on %(where)s") % values
    elif values["where"]:
        text = _("This search was run on %(where)s") % values
    elif values["who"]:
        text = _("This search was run by %(who)s, elsewhere") % values
    else:
        text = _("This search was run elsewhere")
    details = [date_format(search.started_at, "DATE_FORMAT")] if search.started_at else []
    details += [f"Ab Ovo {said['version']}"] if said.get("version") else []
    return f"{text} ({', '.join(details)})." if details else f"{text}."


DATA_NAMES = {"cifar10": "CIFAR-10", "fashion_mnist": "Fashion-MNIST", "mnist": "MNIST"}


def data_name(name: str) -> str:
    """Return a data set's name as people write it."""
    return DATA_NAMES.get(name, name)


def task_words(tasks: TaskSpec) -> str:
    """Return a task family in words: 8 two-class tasks on digits, 8 features."""
    values = {"n": tasks.count, "f": tasks.features, "data": data_name(tasks.dataset)}
    match tasks.kind:
        case "projected":
            return _("%(n)d two-class tasks on “%(data)s”, %(f)d features") % values
        case "classes":
            return _("%(n)d tasks on all classes of “%(data)s”, %(f)d features") % values
        case "linear":
            return _("%(n)d linear regression tasks, %(f)d features") % values
        case "net":
            return _("%(n)d regression tasks of random 2-layer nets, %(f)d features") % values
        case "affine":
            return _("%(n)d affine regression tasks, %(f)d features") % values
        case "regression":
            return _("%(n)d regression tasks on “%(data)s”, %(f)d features") % values
    return tasks.kind


def score_name(spec: SearchSpec) -> str:
    """Return what the score of a search's tasks measures."""
    return _("accuracy") if spec.search_tasks.is_accuracy else _("fitness")


def algorithm_title(algorithm: Algorithm, spec: SearchSpec | None) -> str:
    """Return what an algorithm is, as far as that can be said without reading it: what it learned to do."""
    if spec is None:
        return _("An evolved algorithm")
    match spec.search_tasks.kind:
        case "projected" | "classes":
            return _("A classifier for “%(data)s”, evolved from scratch") % {
                "data": data_name(spec.search_tasks.dataset)
            }
        case _:
            return _("A regressor, evolved from scratch")


def judged_score(find: Find) -> tuple[float | None, str]:
    """Return the score that a find is judged by and its tasks' role: unseen tasks where there is one."""
    return (find.final_score, "final") if find.final_score is not None else (find.score, "search")


def verdict(find: Find, spec: SearchSpec) -> str:
    """Return how good a find is against the hand-designed models on the same tasks, in a sentence."""
    score, role = judged_score(find)
    if score is None:
        return _("Its score is not a finite number.")
    place = _("on tasks that its search never saw") if role == "final" else _("on its search tasks")
    error = charts.mean_and_error(find.final_scores or ())[1] if role == "final" else None
    # Where the score prints as all but 1, an error beside it says nothing.
    is_told = error is not None and round(error, charts.MOST_DIGITS) > 0
    shown = charts.score_text(score) + (f" ± {charts.error_text(error)}" if is_told else "")
    values = {"score": shown, "place": place}
    known = baselines_of(find.search, role)
    if spec.search_tasks.kind == "projected" and score <= 0.5:
        return _("No better than guessing %(place)s: %(score)s.") % values
    if not known:
        return _("Scores %(score)s %(place)s.") % values
    level = [one for one in known if error is not None and abs(score - one[1]) <= error]
    if level:
        return _level(level[-1], [one for one in known if one != level[-1]], values)
    beaten = [one for one in known if one[1] < score]
    title, value = beaten[-1] if beaten else known[0]
    values |= {"model": title, "value": charts.score_text(value)}
    if spec.search_tasks.is_accuracy:
        values["points"] = f"{abs(score - value) * 100:.1f}"
        if beaten and len(beaten) < len(known):
            better, best = known[-1]
            values |= {"better": better, "best": charts.score_text(best)}
            return (
                _(
                    "Beats the %(model)s by %(points)s points %(place)s: %(score)s against %(value)s; the %(better)s has %(best)s."
                )
                % values
            )
        if beaten:
            return _("Beats the %(model)s by %(points)s points %(place)s: %(score)s against %(value)s.") % values
        return _("%(points)s points below the %(model)s %(place)s: %(score)s against %(value)s.") % values
    if beaten:
        return _("Beats the %(model)s %(place)s: %(score)s against %(value)s.") % values
    return _("Below the %(model)s %(place)s: %(score)s against %(value)s.") % values


def _level(model: tuple[str, float], others: list[tuple[str, float]], values: dict[str, str]) -> str:
    """Return the verdict on a score that a hand-designed model lies within one standard error of."""
    values = values | {"model": model[0], "value": charts.score_text(model[1])}
    if others:
        values |= {"other": others[-1][0], "rest": charts.score_text(others[-1][1])}
        return (
            _("Level with the %(model)s %(place)s: %(score)s against %(value)s; the %(other)s has %(rest)s.") % values
        )
    return _("Level with the %(model)s %(place)s: %(score)s against %(value)s.") % values


def score_words(find: Find, spec: SearchSpec) -> str:
    """Return what the judged score is."""
    role = judged_score(find)[1]
    name = score_name(spec)
    return (
        _("%(name)s on unseen tasks") % {"name": name}
        if role == "final"
        else _("%(name)s on search tasks") % {"name": name}
    )


BASELINE_TITLES = {"linear": gettext_lazy("linear model"), "net": gettext_lazy("2-layer net")}


def baselines_of(search: Search, role: str = "search") -> list[tuple[str, float]]:
    """Return (title, score) of the hand-designed models on the tasks of this role, best last."""
    scores = [(str(title), search.baselines.get(name, {}).get(role)) for name, title in BASELINE_TITLES.items()]
    return sorted(((title, score) for title, score in scores if score is not None), key=lambda one: one[1])
