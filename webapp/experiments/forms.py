"""Forms that are short; the one that launches searches is in launch_form.py."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from webapp.experiments.models import Search


class FilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """One file or several; cleans to a list."""

    widget = FilesInput

    def clean(self, data, initial=None):
        return [super(FilesField, self).clean(one, initial) for one in (data or [None])]


class VisibilityForm(forms.Form):
    """Something brought in that somebody may see."""

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


class ImportForm(VisibilityForm):
    """A bundle of searches to import; what is in it is checked by a worker."""

    file = forms.FileField(
        label=_("File"), help_text=_("A bundle of searches, .jsonl or .jsonl.gz, from another installation.")
    )
    field_order = ("file", "visibility")


class UploadForm(VisibilityForm):
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
    field_order = ("files", "name", "title", "visibility")
