"""Searches that came from elsewhere: the bundles that people bring, and what is known of the searches in them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from webapp.experiments.fields import ExactJSONField


class BundleImport(models.Model):
    """A bundle on its way in. A worker checks all of it, then keeps all of it or nothing.

    file: where the storage has it until that is done; "" for bundles of the gallery. gallery: the name of a bundle that
    comes with the product. outcome: [{"title", "search": id, "known": whether it was here already}, …].
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Being checked")
        DONE = "done", _("Imported")
        REFUSED = "refused", _("Refused")

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="imports"
    )
    name = models.CharField(max_length=200)
    file = models.CharField(max_length=200, blank=True)
    gallery = models.CharField(max_length=100, blank=True)
    bytes = models.BigIntegerField(default=0)
    visibility = models.CharField(max_length=10, default="private")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    reason = models.TextField(blank=True)
    outcome = ExactJSONField(default=list)
    asked_at = models.DateTimeField(default=timezone.now)
    claimed_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        constraints = [
            models.CheckConstraint(name="import_state_known", condition=Q(state__in=("waiting", "done", "refused"))),
            models.CheckConstraint(
                name="import_visibility_known", condition=Q(visibility__in=("public", "unlisted", "private"))
            ),
        ]
        indexes = [models.Index(fields=["asked_at"], name="import_waiting", condition=Q(state="waiting"))]

    def __str__(self) -> str:
        return f"import {self.pk}: {self.name}"

    def get_absolute_url(self) -> str:
        return reverse("experiments:import", args=[self.pk])


class ImportedSearch(models.Model):
    """Where an imported search comes from, and what of it was checked here.

    digest: SHA-256 of its section of the bundle. origin: {"instance", "author", "version"}. individuals, finds: how many were
    checked. scores: how many were computed anew and came out the same, {"search", "select", "final", "reason"}; reason: why
    others were not. waits_for: data sets that these need and that are not here. scores_failed: what was wrong, found later.
    """

    search = models.OneToOneField(
        "experiments.Search", primary_key=True, on_delete=models.CASCADE, related_name="imported"
    )
    digest = models.BinaryField(max_length=32)
    origin = ExactJSONField(default=dict)
    gallery = models.CharField(max_length=100, blank=True)
    imported_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    imported_at = models.DateTimeField(default=timezone.now)
    individuals = models.BigIntegerField()
    finds = models.IntegerField()
    scores = ExactJSONField(default=dict)
    waits_for = ExactJSONField(default=list)
    scores_failed = models.TextField(blank=True)
    checked_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "imported searches"

    def __str__(self) -> str:
        return f"search {self.search_id}, imported"

    @property
    def scores_computed(self) -> int:
        """How many scores were computed anew and came out the same."""
        return sum(self.scores.get(role, 0) for role in ("search", "select", "final"))
