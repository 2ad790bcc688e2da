"""Which data sets there are, for whom, and what is in them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from engine import datasets as files
from engine.datasets import DatasetError, load_dataset
from engine.datasets.bundled import BUNDLED
from webapp.experiments import access
from webapp.experiments.describe import count
from webapp.experiments.models import Dataset, Search
from webapp.experiments.specs import as_text
from webapp.lib.loaded import read_before_requests
from webapp.lib.png import data_uri, png

SAMPLES = 12
PREVIEW_ROWS, PREVIEW_COLUMNS = 6, 8
LARGEST_SIDE = 64
TITLES = {
    "digits": gettext_lazy("Handwritten digits, 8 × 8"),
    "breast_cancer": gettext_lazy("Breast cancer, Wisconsin"),
    "wine": gettext_lazy("Wine, chemical analysis"),
    "iris": gettext_lazy("Iris flowers"),
    "diabetes": gettext_lazy("Diabetes progression"),
    "mnist": gettext_lazy("MNIST, handwritten digits, 28 × 28"),
    "fashion_mnist": gettext_lazy("Fashion-MNIST, pictures of clothes"),
    "cifar10": gettext_lazy("CIFAR-10, small photographs"),
}


@dataclass(frozen=True)
class Entry:
    """A data set as lists show it. origin: "bundled", "file" (in the data folder) or "upload". row: of an upload."""

    name: str
    title: str
    origin: str
    row: Dataset | None = None
    facts: dict = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        return self.row is None or self.row.state == Dataset.State.READY

    @property
    def words(self) -> str:
        """What is in it, in a line."""
        return facts_words(self.facts) if self.facts else ""


def facts(dataset: files.Dataset) -> dict:
    """Return what is in a data set as JSON: see the keys below. Pictures are small PNGs, as addresses that hold them."""
    rows = len(dataset.features)
    result: dict = {
        "rows": rows,
        "columns": dataset.columns,
        "test_rows": 0,
        "kind": "classes",
        "samples": [],
        "preview": [],
    }
    if dataset.test_labels is not None:
        result["test_rows"] = len(dataset.test_labels)
    if len(dataset.class_names):
        sizes = np.bincount(dataset.labels, minlength=len(dataset.class_names))
        result["classes"] = [[str(name)[:60], int(size)] for name, size in zip(dataset.class_names, sizes, strict=True)]
    else:
        result["kind"] = "numbers"
        low, mean, high = (float(f(dataset.targets)) for f in (np.min, np.mean, np.max))
        result["target"] = {"low": low, "mean": mean, "high": high}
    if dataset.image_shape is not None:
        result["image_shape"] = list(dataset.image_shape)
        result["samples"] = [_sample(dataset, row) for row in _sample_rows(dataset)]
    else:
        result["preview"] = [
            [*(_shown(value) for value in dataset.features[row, :PREVIEW_COLUMNS]), _label(dataset, row)]
            for row in range(min(rows, PREVIEW_ROWS))
        ]
    return result


def facts_words(facts: dict) -> str:
    """Return what is in a data set, in a line."""
    rows = ngettext("%(n)s row", "%(n)s rows", facts["rows"]) % {"n": count(facts["rows"])}
    columns = ngettext("%(n)s column", "%(n)s columns", facts["columns"]) % {"n": count(facts["columns"])}
    if facts["kind"] == "numbers":
        return ", ".join((rows, columns, _("a number to predict")))
    size = len(facts["classes"])
    classes = ngettext("%(n)s class", "%(n)s classes", size) % {"n": count(size)}
    shape = facts.get("image_shape")
    what = _("pictures of %(w)d × %(h)d") % {"w": shape[1], "h": shape[0]} if shape else columns
    return ", ".join((rows, what, classes))


def entries(user) -> list[Entry]:
    """Return the data sets that lists show to the user: what is on this machine, then uploads. Reads no file."""
    on_disk = [
        Entry(name, str(TITLES.get(name, name)), "bundled" if name in BUNDLED else "file", facts=known_facts(name))
        for name in files.dataset_names()
    ]
    uploads = access.listed(Dataset.objects.select_related("owner"), user).order_by("name")
    return on_disk + [Entry(row.name, row.title or row.name, "upload", row, row.facts) for row in uploads]


def uploads_for(user) -> QuerySet[Dataset]:
    """Return the uploaded data sets that forms offer to the user: those that lists show, if they are ready."""
    return access.listed(Dataset.objects.filter(state=Dataset.State.READY), user).order_by("name")


def names_for(user) -> list[str]:
    """Return the names of the data sets that the user may make tasks of."""
    ready = access.readable(Dataset.objects.filter(state=Dataset.State.READY), user)
    return [*files.dataset_names(), *ready.order_by("name").values_list("name", flat=True)]


def get_entry(user, name: str) -> Entry | None:
    """Return a data set with its facts, or None if the user sees none of that name. Raises DatasetError for a bad file."""
    if name in files.dataset_names():
        return Entry(name, str(TITLES.get(name, name)), "bundled" if name in BUNDLED else "file", facts=facts_of(name))
    row = access.readable(Dataset.objects.select_related("owner"), user).filter(name=name).first()
    return Entry(row.name, row.title or row.name, "upload", row, row.facts) if row else None


def facts_of(name: str) -> dict:
    """Return the facts of a data set: of an upload as they were noted, else read off its files. Raises DatasetError."""
    if name not in files.dataset_names():
        row = Dataset.objects.filter(name=name, state=Dataset.State.READY).first()
        if row is None:
            raise DatasetError(f"dataset: {name} is not known")
        return row.facts
    return _facts_of_files(name, _state(name))


def known_facts(name: str) -> dict:
    """Return a data set's facts if having them costs little: bundled ones, and files looked at before."""
    if name in BUNDLED:
        return _facts_of_files(name, ())
    return _seen.get((name, _state(name)), {})


def read_bundled() -> None:
    """Look at the bundled data sets, for which scikit-learn must be loaded: seconds that nobody who asks for a page should wait."""
    for name in BUNDLED:
        known_facts(name)


def searches_of(name: str) -> QuerySet[Search]:
    """Return the searches whose tasks are made of the data set."""
    return Search.objects.annotate(spec_text=as_text("spec")).filter(Q(spec_text__contains=f'"dataset":"{name}"'))


read_before_requests(read_bundled)

_seen: dict[tuple, dict] = {}


@lru_cache(maxsize=32)
def _facts_of_files(name: str, state: tuple) -> dict:
    result = facts(load_dataset(name))
    _seen[name, state] = result
    return result


def _state(name: str) -> tuple:
    """Return what changes when a data set's files do."""
    if name in BUNDLED:
        return ()
    found = files.dataset_files(name)
    return tuple((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in found)


def _sample_rows(dataset: files.Dataset) -> list[int]:
    """Return rows to show: of each class in turn."""
    classes = len(dataset.class_names)
    each = max(1, SAMPLES // classes)
    found = [np.flatnonzero(dataset.labels == one)[:each] for one in range(min(classes, SAMPLES))]
    return [int(row) for rows in found for row in rows]


def _sample(dataset: files.Dataset, row: int) -> dict:
    assert dataset.image_shape is not None
    picture = dataset.features[row].reshape(dataset.image_shape).astype(np.float64)
    step = max(1, math.ceil(max(picture.shape[:2]) / LARGEST_SIDE))
    picture = picture[::step, ::step]
    if picture.ndim == 3 and picture.shape[2] != 3:
        picture = picture.mean(axis=2)
    top = 255.0 if picture.max() > 16 else picture.max()
    picture = np.clip(picture / (top or 1.0) * 255.0, 0, 255)
    return {"label": _label(dataset, row), "src": data_uri(png(picture.astype(np.uint8)))}


def _label(dataset: files.Dataset, row: int) -> str:
    if len(dataset.class_names):
        return str(dataset.class_names[dataset.labels[row]])[:60]
    assert dataset.targets is not None
    return _shown(dataset.targets[row])


def _shown(value) -> str:
    return f"{float(value):.4g}"
