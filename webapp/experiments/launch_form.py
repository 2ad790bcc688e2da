"""The form that launches searches. What is allowed is said by the engine's own check, beside the field at fault."""

from __future__ import annotations

from dataclasses import dataclass

from django import forms
from django.http import Http404
from django.utils.functional import cached_property
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from engine.datasets import DatasetError, dataset_names
from engine.ops import OpInfo
from engine.presets import preset_names
from engine.search_space import op_groups
from engine.spec import SearchSpec, SpecError
from webapp.experiments import data_facts, spec_fields
from webapp.experiments.bases import Base, base_of, on_data
from webapp.experiments.describe import duration
from webapp.experiments.models import Search
from webapp.experiments.services.launch import SEED_LIMIT, check_datasets, datasets_of
from webapp.experiments.services.studies import MOST_SEARCHES, parse_grid
from webapp.experiments.spec_fields import Leaf
from webapp.experiments.spec_words import GROUPS, SECTIONS, section_of, value_label, words_of
from webapp.experiments.words import engine_text

FIRST_PRESETS = ("digits", "linear-demo", "digits-all-ops")
"""What a newcomer is offered; the others are folded."""
FIRST_DATA = ("digits", "breast_cancer", "wine", "iris", "diabetes")

SHOWN = "shown"
"""Name of the hidden field that says what the fields were shown for: the preset's key and the data set."""


@dataclass(frozen=True, slots=True)
class Item:
    """A field of the specification as the template needs it. chosen: names of the ops, of a field of those."""

    leaf: Leaf
    label: str
    help: str
    default: str
    value: str
    error: str = ""
    is_changed: bool = False
    chosen: frozenset[str] = frozenset()

    @property
    def options(self) -> list[tuple[str, str]]:
        """Values to choose from, each with its words."""
        names = self.leaf.choices if self.leaf.kind == "choice" else ("yes", "no")
        return [(one, value_label(self.leaf, one)) for one in names]

    @property
    def ops_count(self) -> int:
        return len(self.chosen)

    @property
    def op_groups(self) -> list[tuple[str, list[tuple[OpInfo, bool]], int]]:
        """Title, ops with whether they are chosen, and how many are, of each group."""
        return [
            (
                title,
                [(info, info.op.name in self.chosen) for info in infos],
                sum(info.op.name in self.chosen for info in infos),
            )
            for title, infos in op_groups()
        ]

    @property
    def default_words(self) -> str:
        return value_label(self.leaf, self.default)

    @property
    def html_id(self) -> str:
        return "id_" + self.leaf.path.replace(".", "_")


@dataclass
class Block:
    """A section of a group with its items. is_open: unfolded from the start."""

    title: str
    items: list[Item]
    folded: bool

    @property
    def is_open(self) -> bool:
        return any(item.error for item in self.items)

    @property
    def changed_count(self) -> int:
        return sum(item.is_changed for item in self.items)


class LaunchForm(forms.Form):
    """Start a search from a preset, or from what else it can begin from; fields that are not sent stay as that has them."""

    preset = forms.ChoiceField(widget=forms.RadioSelect, label=_("What to search"))
    data = forms.ChoiceField(widget=forms.RadioSelect, required=False, label=_("Data"))
    title = forms.CharField(
        max_length=200,
        required=False,
        label=_("Title"),
        help_text=_("What the lists call it. Empty: the preset's title."),
    )
    seed = forms.IntegerField(
        required=False, min_value=0, max_value=SEED_LIMIT - 1, label=_("Seed"),
        help_text=_("The same seed gives the same search. Empty: a random one."),
    )  # fmt: skip
    visibility = forms.ChoiceField(
        required=False, label=_("Who may see it"), choices=Search.Visibility.choices, initial=Search.Visibility.PUBLIC,
        help_text=_("Public: everybody, in lists. Unlisted: whoever knows the address. Private: you and administrators."),
    )  # fmt: skip
    repeats = forms.IntegerField(
        required=False, min_value=1, max_value=MOST_SEARCHES, label=_("Repeats"),
        help_text=format_lazy("{} {}", _("Searches with seeds that count up, compared as one study."), _("Empty: one search.")),
    )  # fmt: skip
    grid = forms.CharField(
        required=False, max_length=2000, strip=True, widget=forms.Textarea(attrs={"rows": 2}), label=_("Grid"),
        help_text=_("A line for each field to vary, such as: population_size = 50, 100, 200. Every combination is searched."),
    )  # fmt: skip
    toml = forms.CharField(
        required=False, max_length=200_000, strip=False, widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"}),
        label=_("Specification as TOML"), help_text=_("Paste one and read it; the fields above then show it."),
    )  # fmt: skip

    spec: SearchSpec

    def __init__(
        self, sent=None, *, user, initial_key: str = "", initial_data: str = "", again: bool = False, initial=None
    ):
        super().__init__(sent, initial=initial)
        self.user = user
        self.leaves = spec_fields.leaves()
        self._changed: set[str] = set()
        self._result: dict | None = None
        key = str(self.data.get("preset") or initial_key or FIRST_PRESETS[0])
        self.extra = self._extra(key)
        keys = [*([self.extra.key] if self.extra else []), *self._preset_order()]
        self.fields["preset"].choices = [(one, one) for one in keys]
        self.fields["preset"].initial = key if key in keys else FIRST_PRESETS[0]
        self.data_names = data_facts.names_for(user)
        chosen_data = self.data.get("data") or initial_data
        offered = [*dataset_names(), *(row.name for row in data_facts.uploads_for(user))]
        if chosen_data in self.data_names and chosen_data not in offered:
            offered.append(chosen_data)  # unlisted: only who names it gets it
        self.fields["data"].choices = [("", _("As the preset has it")), *((name, name) for name in offered)]
        self.fields["data"].initial = initial_data if initial_data in self.data_names else ""
        if self.extra is not None and again:
            self.fields["seed"].initial = self.extra.seed
        if not user.is_authenticated:
            self.fields["visibility"].choices = [one for one in Search.Visibility.choices if one[0] != "private"]
        # They take what is sent and the errors in it; what the form shows of them comes from the specification.
        for leaf in self.leaves if self.is_bound else ():
            self.fields[leaf.path] = forms.CharField(required=False, strip=False)
        for one in ("title", "seed", "repeats", "grid", "toml"):
            self.fields[one].widget.attrs["autocomplete"] = "off"

    def _extra(self, key: str) -> Base | None:
        """Return what the search begins from if that is no preset; errors in it show when it is chosen."""
        if key in preset_names():
            return None
        try:
            return base_of(key, self.user, toml=self.data.get("toml", ""))
        except SpecError:
            return (
                Base(key, str(_("The specification pasted below")), base_of(FIRST_PRESETS[0], self.user).spec)
                if key == "toml"
                else None
            )

    @staticmethod
    def _preset_order() -> list[str]:
        return [*FIRST_PRESETS, *(name for name in preset_names() if name not in FIRST_PRESETS)]

    # checking ------------------------------------------------------------------------------------------------------

    def clean(self):
        values = super().clean()
        if "preset" not in values:
            return values
        try:
            base = self._json(values["preset"], values.get("data") or "")
            shown_key, _bar, shown_data = self.data.get(SHOWN, "").partition("|")
            try:
                shown_for = self._json(shown_key, shown_data) if shown_key else base
            except (SpecError, Http404):
                shown_for = base
        except SpecError as error:
            self.add_spec_error(error)
            return values
        except Http404:
            self.add_error("preset", _("It is not there any more."))
            return values
        self.base = base
        data, self._changed = spec_fields.applied(base, shown_for, self._sent(), all_leaves=self.leaves)
        followed = self._follow(data)
        if any(not path.startswith("stop.") for path in self._changed):
            data["name"] = "custom"
        self._result = data
        spec, errors = spec_fields.read(data)
        for error in errors:
            if error.field not in followed:  # said where it was written
                self.add_spec_error(error)
        if spec is not None:
            self._check_more(spec, values)
        return values

    def _check_more(self, spec: SearchSpec, values: dict) -> None:
        try:
            check_datasets(spec, self.user if self.user.is_authenticated else None)
            self.points = parse_grid(values.get("grid", ""), spec)
        except SpecError as error:
            self.add_spec_error(error)
            return
        self.spec = spec

    def _json(self, key: str, data: str) -> dict:
        return self._spec(key, data).to_json()

    def _spec(self, key: str, data: str) -> SearchSpec:
        """Return the specification of a base, on other data if asked."""
        spec = base_of(key, self.user, toml=self.data.get("toml", "")).spec
        if data and data in self.data_names:
            try:
                spec = on_data(spec, data, data_facts.facts_of(data))
            except DatasetError as error:
                raise SpecError("data", str(error)) from None
            except SpecError as error:
                raise SpecError("data", str(error)) from None
        return spec

    def _sent(self) -> dict:
        sent = {}
        for leaf in self.leaves:
            if leaf.kind == "ops":
                if f"{leaf.path}.{SHOWN}" in self.data:
                    sent[leaf.path] = [one for one in self.data.getlist(leaf.path) if one]
            elif leaf.path in self.data:
                sent[leaf.path] = self.data[leaf.path]
        return sent

    def _follow(self, data: dict) -> set[str]:
        """Let the other tasks follow the search tasks where both must agree and nobody said otherwise; returns their fields."""
        followed: set[str] = set()
        if "search_tasks.features" in self._changed:
            for role in ("select_tasks", "final_tasks"):
                path = f"{role}.features"
                if role in data and path not in self._changed:
                    spec_fields.set_at(data, path, data["search_tasks"]["features"])
                    followed.add(path)
        return followed

    def add_spec_error(self, error: SpecError) -> None:
        """Say what is wrong with the specification beside its field, or that of the part it is in, else above the form."""
        path = error.field
        while path and path not in self.fields:
            inner = next((one.path for one in self.leaves if one.path.startswith(f"{path}.")), "")
            path = inner or path.rpartition(".")[0]
        if path.endswith("_tasks.dataset") and path not in self._changed:
            path = "data" if self.data.get("data") else "preset"
        self.add_error(path or None, error.message if path else str(error))

    def first_error(self) -> str:
        """Return what is wrong first, with the field's label."""
        if not self.is_bound:
            return ""
        labels = {leaf.path: words_of(leaf)[0] for leaf in self.leaves}
        for name, errors in self.errors.items():
            label = labels.get(name) or (self.fields[name].label if name in self.fields else "")
            return f"{label}: {errors[0]}" if label else str(errors[0])
        return ""

    # showing -------------------------------------------------------------------------------------------------------

    @cached_property
    def chosen(self) -> tuple[str, str]:
        """The chosen preset's key and data set."""
        return str(self["preset"].value() or ""), str(self["data"].value() or "")

    @cached_property
    def _shown(self) -> tuple[str, SearchSpec]:
        """What is chosen and its specification, without changes; the first preset where the choice is at fault."""
        try:
            return "|".join(self.chosen), self._spec(*self.chosen)
        except (SpecError, Http404):
            return f"{FIRST_PRESETS[0]}|", self._spec(FIRST_PRESETS[0], "")

    @property
    def shown_key(self) -> str:
        return self._shown[0]

    @cached_property
    def shown_json(self) -> dict:
        return self._shown[1].to_json()

    @property
    def shown_spec(self) -> SearchSpec | None:
        """The specification as it stands, None while something is wrong with it."""
        if self.is_bound:
            return getattr(self, "spec", None) if self.is_valid() else None
        return self._shown[1]

    def groups(self) -> list[tuple[str, str, list[Block]]]:
        """Return (key, title, blocks) of each group of fields."""
        data = self._result if self._result is not None else self.shown_json
        items: dict = {}
        for leaf in self.leaves:
            items.setdefault(section_of(leaf), []).append(self._item(leaf, data))
        result = []
        for key, title in GROUPS.items():
            blocks = [
                Block(str(one.title), items[one], one.folded) for one in SECTIONS if one.group == key and one in items
            ]
            if blocks:
                result.append((key, title, blocks))
        return result

    def _item(self, leaf: Leaf, data: dict) -> Item:
        label, meaning = words_of(leaf)
        error = (self.errors.get(leaf.path) or [""])[0] if self.is_bound else ""
        is_changed = leaf.path in self._changed
        if leaf.kind == "ops":
            chosen = frozenset(spec_fields.value_at(data, leaf.path) or ())
            was = frozenset(spec_fields.value_at(self.shown_json, leaf.path) or ())
            return Item(leaf, label, meaning, str(len(was)), "", error, is_changed, chosen)
        default = spec_fields.shown(leaf, self.shown_json)
        if error and leaf.path in self.data:
            value = self.data[leaf.path]
        else:
            value = default if data is self.shown_json else spec_fields.shown(leaf, data)
        return Item(leaf, label, meaning, default, value, error, is_changed)

    def changed_count(self) -> int:
        return len(self._changed)

    def is_open(self) -> bool:
        """Whether the fields of the specification stand open: something in them is wrong or changed."""
        names = {*(leaf.path for leaf in self.leaves), "seed", "repeats", "grid", "toml", "visibility"}
        return bool(self._changed) or (self.is_bound and bool(names & set(self.errors)))

    def preset_choices(self) -> tuple[list, list]:
        """Return (radio button, title, description, words on length, name, missing data set) of open and folded presets."""
        choices = []
        for radio in self["preset"]:
            key = radio.data["value"]
            if self.extra is not None and key == self.extra.key:
                title, spec = self.extra.title, self.extra.spec
            else:
                spec = base_of(key, self.user).spec
                title = engine_text(spec.title)
            missing = next((name for name in datasets_of(spec).values() if name not in self.data_names), "")
            limit = duration(spec.stop.max_seconds) if spec.stop.max_seconds else ""
            choices.append((radio, title, engine_text(spec.description), limit, spec.name, missing))
        first = len(FIRST_PRESETS) + (self.extra is not None)
        return choices[:first], choices[first:]

    def more_is_open(self) -> bool:
        """Whether a folded preset is the chosen one."""
        return self.chosen[0] in preset_names() and self.chosen[0] not in FIRST_PRESETS

    def data_choices(self) -> tuple[list, list]:
        """Return (radio button, title, words, thumbnails) of the data sets that stand open, and of those that are folded."""
        choices: list[tuple] = []
        own = {row.name: row for row in data_facts.uploads_for(self.user)}
        for radio in self["data"]:
            name = radio.data["value"]
            if not name:
                choices.append((radio, radio.data["label"], _("Each preset says what it searches on."), []))
                continue
            facts = own[name].facts if name in own else data_facts.known_facts(name)
            title = (own[name].title if name in own else data_facts.TITLES.get(name)) or name
            pictures = [one["src"] for one in facts.get("samples", [])[:4]]
            choices.append((radio, title, data_facts.facts_words(facts) if facts else "", pictures))
        chosen = self.chosen[1]
        names = ("", *FIRST_DATA)
        first = [one for one in choices if one[0].data["value"] in names or one[0].data["value"] == chosen]
        return first, [one for one in choices if one not in first]
