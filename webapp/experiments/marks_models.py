"""What readers leave at an algorithm: stars, tags, notes. Whoever may read the algorithm may read them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone


class Star(models.Model):
    """Somebody wants to find this algorithm again."""

    algorithm = models.ForeignKey("experiments.Algorithm", on_delete=models.CASCADE, related_name="stars")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="stars")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "algorithm"], name="star_once")]

    def __str__(self) -> str:
        return f"star of {self.user_id} at {self.algorithm_id}"


class Tag(models.Model):
    """A short name that groups algorithms. name: lower case, words joined by hyphens."""

    LONGEST = 40

    algorithm = models.ForeignKey("experiments.Algorithm", on_delete=models.CASCADE, related_name="tags")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="tags", db_index=False
    )
    name = models.CharField(max_length=LONGEST)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("name",)
        constraints = [models.UniqueConstraint(fields=["name", "algorithm"], name="tag_once")]

    def __str__(self) -> str:
        return self.name


class Note(models.Model):
    """What somebody has to say of an algorithm, in Markdown; kept as written, made safe when it is shown."""

    LONGEST = 10_000

    algorithm = models.ForeignKey("experiments.Algorithm", on_delete=models.CASCADE, related_name="notes")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="notes")
    text = models.TextField(max_length=LONGEST)
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("created_at", "pk")

    def __str__(self) -> str:
        return f"note {self.pk} at {self.algorithm_id}"

    def get_absolute_url(self) -> str:
        return f"{reverse('experiments:algorithm', args=[self.algorithm.permalink])}#note-{self.pk}"
