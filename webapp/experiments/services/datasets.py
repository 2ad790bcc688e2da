"""Uploaded data sets: taken in, checked by a worker, fetched to where the engine reads them, deleted.

The files of data set NAME are uploads/NAME.csv, uploads/NAME.npz or uploads/NAME/… in Django's storage, which by default is
the data folder itself. Nothing of them is believed before the engine has read them all.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import PurePosixPath

from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from engine.datasets import OFFICIAL, DatasetError, data_folder, dataset_names, load_dataset
from engine.datasets.cifar import ARCHIVES
from engine.datasets.idx import PARTS
from webapp.experiments import data_facts
from webapp.experiments.models import Dataset, Search
from webapp.experiments.quotas import check_upload
from webapp.experiments.services.dispatch import send_check
from webapp.people.services.audit import record

logger = logging.getLogger(__name__)

NAME = re.compile(r"[a-z][a-z0-9_-]{1,58}[a-z0-9]")
FOLDER = "uploads"


class UploadError(ValueError):
    """Something that is not taken in. field: "name", "files" or "visibility"; the message is for people."""

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field, self.message = field, message


def receive_upload(
    *, owner, name: str, files: Sequence, title: str = "", visibility: str = Search.Visibility.PRIVATE
) -> Dataset:
    """Store uploaded files as a data set and send for a worker to check it.

    files: Django's uploaded files: one .csv, one .npz, one CIFAR-10 archive, or the four idx files. Raises UploadError,
    QuotaError; then nothing is kept.
    """
    _check_name(name)
    if owner is None and visibility == Search.Visibility.PRIVATE:
        raise UploadError("visibility", _("A private data set needs an owner: sign in first."))
    targets = _targets(name, [file.name or "" for file in files])
    if not all(file.size for file in files):
        raise UploadError("files", _("The file is empty."))
    size = sum(file.size for file in files)
    stored: list[str] = []
    try:
        with transaction.atomic():
            check_upload(owner, more=size)
            dataset = Dataset.objects.create(
                owner=owner, name=name, title=title.strip(), visibility=visibility, files=targets,
                bytes=size,
            )  # fmt: skip
            for target, file in zip(targets, files, strict=True):
                default_storage.delete(target)  # left by an upload that broke
                stored.append(target)
                if default_storage.save(target, file) != target:
                    raise UploadError("files", _("The storage did not keep the file's name; try again."))
            transaction.on_commit(partial(send_check, dataset.pk), robust=True)
    except IntegrityError:
        raise UploadError("name", _("There is a data set “%(name)s” already.") % {"name": name}) from None
    except BaseException:
        for target in stored:
            default_storage.delete(target)
        raise
    return dataset


def check_next() -> int | None:
    """Check the data set that has waited longest, if any: for messages that were lost."""
    waiting = Dataset.objects.filter(state=Dataset.State.CHECKING).order_by("pk").first()
    return check_dataset(dataset_id=waiting.pk) if waiting else None


def check_dataset(*, dataset_id: int) -> int | None:
    """Let the engine read an uploaded data set, and note what is in it or why it is refused. Twice does no harm."""
    dataset = Dataset.objects.filter(pk=dataset_id, state=Dataset.State.CHECKING).first()
    if dataset is None:
        return None
    facts: dict = {}
    try:
        fetch_uploads([dataset.name])
        facts, reason = data_facts.facts(load_dataset(dataset.name)), ""
    except DatasetError as error:
        reason = str(error).removeprefix(f"dataset {dataset.name}: ")
    except (MemoryError, OSError) as error:
        logger.exception("data set %s cannot be checked", dataset.name)
        reason = f"{type(error).__name__}: {error}"
    state = Dataset.State.REFUSED if reason else Dataset.State.READY
    rows = Dataset.objects.filter(pk=dataset_id, state=Dataset.State.CHECKING)
    rows.update(state=state, reason=reason, facts=facts)
    if reason:  # what cannot be used is not kept
        _remove(dataset)
    return dataset.pk


def fetch_uploads(names: Iterable[str]) -> None:
    """Bring uploaded data sets to this machine's data folder, where the storage is elsewhere."""
    for dataset in Dataset.objects.filter(name__in=list(names)).exclude(state=Dataset.State.REFUSED):
        for target in dataset.files:
            path = data_folder() / target
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with (
                default_storage.open(target) as source,
                tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as part,
            ):
                shutil.copyfileobj(source, part)
            os.replace(part.name, path)


def set_visibility(*, dataset_id: int, visibility: str) -> None:
    """Change who may see a data set. Raises UploadError."""
    if visibility not in Search.Visibility.values:
        raise UploadError("visibility", _("“%(given)s” is not allowed.") % {"given": visibility[:20]})
    rows = Dataset.objects.filter(pk=dataset_id)
    if visibility == Search.Visibility.PRIVATE:
        rows = rows.filter(owner__isnull=False)
    if not rows.update(visibility=visibility):
        raise UploadError("visibility", _("A private data set needs an owner."))


def delete_dataset(*, dataset_id: int, by=None) -> None:
    """Delete a data set and its files. Raises UploadError while a search that has not ended needs it."""
    with transaction.atomic():
        dataset = Dataset.objects.select_for_update().filter(pk=dataset_id).first()
        if dataset is None:
            return
        if data_facts.searches_of(dataset.name).exclude(state__in=Search.ENDED).exists():
            raise UploadError("name", _("A search that has not ended needs this data set: stop or delete that first."))
        record(by=by, obj=dataset, what="Deleted", deleted=True)
        dataset.delete()
        transaction.on_commit(partial(_remove, dataset))


def _remove(dataset: Dataset) -> None:
    for target in dataset.files:
        default_storage.delete(target)
        (data_folder() / target).unlink(missing_ok=True)
    folder = data_folder() / FOLDER / dataset.name
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise UploadError(
            "name",
            _("3 to 60 small letters, digits, dashes and underscores are allowed, a letter first: “%(given)s” is not.")
            % {"given": name[:70]},
        )
    if name in (*OFFICIAL, *dataset_names()) or Dataset.objects.filter(name=name).exists():
        raise UploadError("name", _("There is a data set “%(name)s” already.") % {"name": name})


def _targets(name: str, given: list[str]) -> list[str]:
    """Return where the files go, by what their names say they are; never by a path in those names."""
    plain = [PurePosixPath(one.replace("\\", "/")).name.lower() for one in given]
    if len(plain) == 1:
        for ending in (".csv", ".npz"):
            if plain[0].endswith(ending):
                return [f"{FOLDER}/{name}{ending}"]
        if plain[0].endswith((".tar.gz", ".tgz")):
            archive = next(one for one in ARCHIVES if ("binary" in one) == ("binary" in plain[0]))
            return [f"{FOLDER}/{name}/{archive}"]
    else:
        parts = [one.removesuffix(".gz").replace(".idx", "-idx") for one in plain]
        if sorted(parts) == sorted(PARTS):
            packed = [".gz" if one.endswith(".gz") else "" for one in plain]
            return [f"{FOLDER}/{name}/{part}{ending}" for part, ending in zip(parts, packed, strict=True)]
    raise UploadError(
        "files",
        _("Expected one .csv, .npz or CIFAR-10 .tar.gz file, or the four idx files %(parts)s; got %(given)s.")
        % {"parts": ", ".join(PARTS), "given": ", ".join(one[:60] for one in plain[:5]) or _("nothing")},
    )
