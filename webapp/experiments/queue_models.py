"""What the queue is run with: immigrants on record, workers, and pauses."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from webapp.experiments.fields import ExactJSONField


class Arrival(models.Model):
    """What an island took in at one of its exchanges, so that a slice repeated after a crash takes in the same.

    number: of the exchange. slice_number: the slice that it belongs to; rows go when its checkpoint has been superseded.
    migrants: [[island index, birth, program], …].
    """

    pk = models.CompositePrimaryKey("island_id", "number")
    island = models.ForeignKey("Island", on_delete=models.CASCADE, related_name="arrivals", db_index=False)
    number = models.PositiveIntegerField()
    slice_number = models.PositiveIntegerField()
    migrants = ExactJSONField()

    def __str__(self) -> str:
        return f"island {self.island_id}, exchange {self.number}"


class Worker(models.Model):
    """A Celery worker: one process that runs several slices at a time, or the scheduler's. It renews its row while it lives.

    individuals and busy_seconds: what its slices have committed so far. draining: it takes no new slice.
    """

    name = models.CharField(max_length=200, unique=True)
    host = models.CharField(max_length=100)
    pid = models.PositiveIntegerField()
    version = models.CharField(max_length=40)
    cores = models.PositiveIntegerField()
    slots = models.PositiveIntegerField()
    memory_bytes = models.BigIntegerField(default=0)
    individuals = models.BigIntegerField(default=0)
    busy_seconds = models.FloatField(default=0.0)
    draining = models.BooleanField(default=False)
    started_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class QueuePause(models.Model):
    """While the row exists, no slice of these searches is begun. owner: whose; none: everybody's."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="+",
        verbose_name=_("whose searches"), help_text=_("Nobody: the whole queue."),
    )  # fmt: skip
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("pause of the queue")
        verbose_name_plural = _("pauses of the queue")
        constraints = [models.UniqueConstraint(fields=["owner"], nulls_distinct=False, name="queue_paused_once")]

    def __str__(self) -> str:
        return f"pause of {self.owner or 'everything'}"
