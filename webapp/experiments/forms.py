"""Forms. What is allowed in a specification is said by the engine's own check, beside the field at fault."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from engine.datasets import dataset_names
from engine.presets import preset, preset_names
from engine.spec import SearchSpec, SpecError
from webapp.experiments.describe import count, duration
from webapp.experiments.models import Search
from webapp.experiments.services.launch import SEED_LIMIT, check_datasets, datasets_of

FIRST_PRESETS = ("digits", "linear-demo", "digits-all-ops")
"""What a newcomer is offered; the others are folded."""

FIELD_OF_SPEC = {
    "preset": "preset",
    "population_size": "population_size",
    "tournament_size": "tournament_size",
    "stop.max_seconds": "max_seconds",
    "stop": "max_seconds",
    "search_tasks.dataset": "preset",
    "select_tasks.dataset": "preset",
    "final_tasks.dataset": "preset",
}
"""Form field that stands for each field of the specification; errors of others stand above the form."""


class FilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """One file or several; cleans to a list."""

    widget = FilesInput

    def clean(self, data, initial=None):
        return [super(FilesField, self).clean(one, initial) for one in (data or [None])]


class UploadForm(forms.Form):
    """A data set to upload; what its files may be is checked where they are taken in."""

    files = FilesField(label=_("Files"), help_text=_("The idx form has four files: choose them together."))
    name = forms.CharField(
        max_length=60,
        label=_("Name"),
        help_text=_("What specifications call it: small letters, digits, dashes, underscores."),
    )
    title = forms.CharField(
        max_length=200, required=False, label=_("Title"), help_text=_("What lists call it. Empty: its name.")
    )
    visibility = forms.ChoiceField(
        label=_("Who may see it"),
        choices=Search.Visibility.choices,
        help_text=_("Private: you and administrators. Unlisted: whoever knows the address. Public: everybody."),
    )

    def __init__(self, *args, owner, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["visibility"].initial = Search.Visibility.PRIVATE if owner else Search.Visibility.PUBLIC
        if owner is None:
            self.fields["visibility"].choices = [one for one in Search.Visibility.choices if one[0] != "private"]


class LaunchForm(forms.Form):
    """Start a search from a preset. Empty fields keep the preset's value."""

    preset = forms.ChoiceField(widget=forms.RadioSelect, label=_("What to search"))
    title = forms.CharField(
        max_length=200,
        required=False,
        label=_("Title"),
        help_text=_("What the lists call it. Empty: the preset's title."),
    )
    max_seconds = forms.FloatField(required=False, label=_("Time limit, seconds"))
    seed = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=SEED_LIMIT - 1,
        label=_("Seed"),
        help_text=_("The same seed gives the same search. Empty: a random one."),
    )
    population_size = forms.IntegerField(required=False, label=_("Population size"))
    tournament_size = forms.IntegerField(required=False, label=_("Tournament size"))

    spec: SearchSpec

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        names = (*FIRST_PRESETS, *(name for name in preset_names() if name not in FIRST_PRESETS))
        self.presets = {name: preset(name) for name in names}
        self.fields["preset"].choices = [(name, spec.title) for name, spec in self.presets.items()]
        self.fields["preset"].initial = next(iter(self.presets))
        self._explain(
            "max_seconds",
            _("How long the engine works, compiling not counted."),
            lambda spec: duration(spec.stop.max_seconds),
        )
        self._explain(
            "population_size", _("Programs that live at the same time."), lambda spec: count(spec.population_size)
        )
        self._explain(
            "tournament_size", _("How many compete to be the next parent."), lambda spec: count(spec.tournament_size)
        )
        for name, field in self.fields.items():
            if name != "preset":
                field.widget.attrs["autocomplete"] = "off"

    def _explain(self, name: str, meaning: str, default) -> None:
        """Say what a field means and its default: one number where all presets agree, else that of the first ones."""
        defaults = {key: default(spec) for key, spec in self.presets.items()}
        if len(set(defaults.values())) == 1:
            shown = next(iter(defaults.values()))
        else:
            shown = ", ".join(f"{defaults[key]} ({key})" for key in FIRST_PRESETS)
        self.fields[name].help_text = _("%(meaning)s Empty: the preset's own, such as %(default)s.") % {
            "meaning": meaning,
            "default": shown,
        }

    def preset_choices(self):
        """Return (radio button, specification, words on its length, missing data set or "") for each preset."""
        here = dataset_names()
        choices = []
        for radio in self["preset"]:
            spec = self.presets[radio.data["value"]]
            missing = next((name for name in datasets_of(spec).values() if name not in here), "")
            choices.append((radio, spec, duration(spec.stop.max_seconds), missing))
        return choices

    def preset_groups(self):
        """Return the choices that stand open, and those that are folded."""
        choices = self.preset_choices()
        return choices[: len(FIRST_PRESETS)], choices[len(FIRST_PRESETS) :]

    def more_is_open(self) -> bool:
        """Whether a folded preset is the chosen one."""
        return self["preset"].value() not in FIRST_PRESETS

    def clean(self):
        values = super().clean()
        if self.errors:
            return values
        data = self.presets[values["preset"]].to_json()
        for name in ("population_size", "tournament_size"):
            if values[name] is not None:
                data[name] = values[name]
        if values["max_seconds"] is not None:
            data["stop"] = {**data["stop"], "max_seconds": values["max_seconds"]}
        try:
            self.spec = SearchSpec.from_json(data)
            check_datasets(self.spec)
        except SpecError as error:
            self.add_spec_error(error)
        return values

    def add_spec_error(self, error: SpecError) -> None:
        """Say what is wrong with the specification beside the field that stands for it, else above the form."""
        field = FIELD_OF_SPEC.get(error.field)
        self.add_error(field, error.message if field else str(error))
