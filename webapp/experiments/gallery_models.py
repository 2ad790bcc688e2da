"""The gallery's own tables. They repeat what finds say, in the form that its filters and orders need."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.utils import timezone


class Discovery(models.Model):
    """One algorithm (canonical form) of the gallery, as an audience may see it: from the finds that are open to it.

    audience: EVERYBODY, from the finds of public searches; or a user's id, from all finds of that user's own searches.
    find, algorithm: the best find by margin, and its program. score: its judged score (describe.judged_score).
    margin: score minus the linear model's on the same tasks; None where that is not known. merit: what the gallery is
    ordered by, so that one index holds the whole order: margin on unseen tasks first, then margin on the tasks that the
    search chose by, lowered by UNTESTED, then NO_MARGIN where there is none. size: instructions of the canonical form.
    chosen: some search chose it, or has nothing better so far. found_at: first found. finds: how often.
    model, learning: as engine.titles names them; "" where nothing is known. data: the best find's data set or kind of task. facets: what filters ask for, as "op:…", "motif:…", "data:…",
    "task:…", "author:…". text: what the search field looks in.
    """

    EVERYBODY = 0
    NO_MARGIN = -9.0
    UNTESTED = 2.0

    audience = models.BigIntegerField(default=EVERYBODY)
    canonical_version = models.PositiveSmallIntegerField()
    canonical_digest = models.BinaryField(max_length=32)
    algorithm = models.ForeignKey("experiments.Algorithm", on_delete=models.CASCADE, related_name="+")
    find = models.ForeignKey("experiments.Find", on_delete=models.CASCADE, related_name="+")
    score = models.FloatField()
    margin = models.FloatField(null=True)
    merit = models.FloatField()
    size = models.PositiveSmallIntegerField()
    chosen = models.BooleanField()
    found_at = models.DateTimeField(default=timezone.now)
    finds = models.PositiveIntegerField()
    model = models.CharField(max_length=80, blank=True)
    learning = models.CharField(max_length=40, blank=True)
    motifs = ArrayField(models.CharField(max_length=40), default=list)
    data = models.CharField(max_length=100)
    facets = ArrayField(models.CharField(max_length=120), default=list)
    text = models.TextField(blank=True)
    words = models.GeneratedField(
        expression=SearchVector("text", config="simple"), output_field=SearchVectorField(), db_persist=True
    )

    class Meta:
        verbose_name_plural = "discoveries"
        constraints = [
            models.UniqueConstraint(
                fields=["audience", "canonical_version", "canonical_digest"], name="discovery_once_an_audience"
            ),
        ]
        indexes = [
            models.Index(fields=["audience", "merit", "id"], name="discovery_by_merit"),
            models.Index(fields=["audience", "score", "id"], name="discovery_by_score"),
            models.Index(fields=["audience", "size", "id"], name="discovery_by_size"),
            models.Index(fields=["audience", "found_at", "id"], name="discovery_by_age"),
            models.Index(fields=["audience", "finds", "id"], name="discovery_by_finds"),
            models.Index(fields=["audience", "data"], name="discovery_data"),
            models.Index(
                fields=["audience", "merit", "id"], name="discovery_chosen", condition=models.Q(chosen=True)
            ),
            GinIndex(fields=["facets"], name="discovery_facets", fastupdate=False),
            GinIndex(fields=["words"], name="discovery_words", fastupdate=False),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"discovery {self.pk} of a/{self.algorithm.permalink}"


class GalleryChange(models.Model):
    """An algorithm whose finds changed since the gallery looked at them. Written by triggers on finds and searches."""

    algorithm = models.BigIntegerField()

    def __str__(self) -> str:
        return f"algorithm {self.algorithm}"
