"""What is kept: searches, their islands and checkpoints, and everything that they found.

PostgreSQL is the truth: a worker may write to an island only while it holds the island's lease, that is, while its
attempt number (the fencing token) is still the row's.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Length, Now
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from engine.evaluation_version import EVALUATION_VERSION
from webapp.experiments.fields import ExactJSONField

models.BinaryField.register_lookup(Length)

INDEXED_LEVELS = (4, 8, 12)
"""Levels of curve points from which on an index has them alone."""


class Counters(models.Model):
    """Totals since the start, as the engine reports them."""

    individuals = models.BigIntegerField(default=0)
    evaluations = models.BigIntegerField(default=0)
    train_steps = models.BigIntegerField(default=0)
    fec_hits = models.BigIntegerField(default=0)
    cache_hits = models.BigIntegerField(default=0)
    rejected = models.BigIntegerField(default=0)
    cut = models.BigIntegerField(default=0)
    experiments = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0.0)

    COUNTERS = (
        "individuals",
        "evaluations",
        "train_steps",
        "fec_hits",
        "cache_hits",
        "rejected",
        "cut",
        "experiments",
        "seconds",
    )

    class Meta:
        abstract = True


class Search(Counters):
    """One search: a specification, a seed, and how far it has come.

    uid: the same wherever it is imported. evaluation_version: the engine's, by which its scores can be had again.
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        STARTING = "starting", _("Starting")
        RUNNING = "running", _("Searching")
        PAUSING = "pausing", _("Pausing")
        PAUSED = "paused", _("Paused")
        STOPPING = "stopping", _("Stopping")
        STOPPED = "stopped", _("Stopped")
        FINISHED = "finished", _("Finished")
        FAILED = "failed", _("Failed")

    class Visibility(models.TextChoices):
        PUBLIC = "public", _("Public")
        UNLISTED = "unlisted", _("Unlisted")
        PRIVATE = "private", _("Private")

    ACTIVE = (State.QUEUED, State.STARTING, State.RUNNING, State.PAUSING, State.STOPPING)
    ENDED = (State.STOPPED, State.FINISHED, State.FAILED)

    uid = models.UUIDField(default=uuid.uuid4, db_default=RandomUUID(), unique=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="searches"
    )
    title = models.CharField(max_length=200)
    spec = ExactJSONField()
    spec_name = models.CharField(max_length=100, default="custom", db_index=True)
    seed = models.BigIntegerField()
    evaluation_version = models.PositiveSmallIntegerField(default=EVALUATION_VERSION, db_default=1)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    visibility = models.CharField(max_length=10, choices=Visibility, default=Visibility.PUBLIC)
    priority = models.SmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    finish_reason = models.CharField(max_length=40, blank=True)
    failure_reason = models.TextField(blank=True)
    baselines = ExactJSONField(default=dict, blank=True)
    best = models.ForeignKey("Find", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    result = models.ForeignKey("Find", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    solved = models.BooleanField(default=False)
    study = models.ForeignKey("Study", null=True, blank=True, on_delete=models.SET_NULL, related_name="searches")
    study_values = ExactJSONField(default=dict, blank=True)

    class Meta:
        verbose_name_plural = "searches"
        ordering = ("-created_at", "-id")
        constraints = [
            models.CheckConstraint(
                name="search_state_known",
                condition=Q(
                    state__in=(
                        "queued", "starting", "running", "pausing", "paused", "stopping", "stopped", "finished", "failed",
                    )
                ),
            ),
            models.CheckConstraint(name="search_visibility_known", condition=Q(visibility__in=("public", "unlisted", "private"))),
            models.CheckConstraint(name="search_seed_not_negative", condition=Q(seed__gte=0)),
            models.CheckConstraint(
                name="search_ended_has_end",
                condition=Q(finished_at__isnull=False) ^ ~Q(state__in=("stopped", "finished", "failed")),
            ),
            models.CheckConstraint(
                name="search_failed_has_reason", condition=~Q(state="failed") | ~Q(failure_reason="")
            ),
        ]  # fmt: skip
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="search_newest"),
            models.Index(fields=["state", "-created_at"], name="search_by_state"),
            models.Index(fields=["owner", "-created_at"], name="search_by_owner"),
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {self.title}"

    def get_absolute_url(self) -> str:
        return reverse("experiments:search", args=[self.pk])

    @property
    def is_active(self) -> bool:
        """Whether something may still change by itself."""
        return self.state in self.ACTIVE

    @property
    def can_pause(self) -> bool:
        return self.state in (self.State.QUEUED, self.State.STARTING, self.State.RUNNING)

    @property
    def can_resume(self) -> bool:
        return self.state in (self.State.PAUSING, self.State.PAUSED)

    @property
    def can_stop(self) -> bool:
        return self.can_pause or self.can_resume

    @property
    def can_extend(self) -> bool:
        return self.can_pause or self.can_resume


class Island(Counters):
    """One population of a search: the unit of work, and who holds it.

    attempt is the fencing token: it grows each time the island is put into the queue, a message names it, and whoever
    claimed the island under an older one is refused. failures counts the attempts since the last committed slice.
    queued_at: since when it waits. sent_at: when a message was last sent for it.
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Running")
        PAUSED = "paused", _("Paused")
        STOPPED = "stopped", _("Stopped")
        FINISHED = "finished", _("Finished")
        FAILED = "failed", _("Failed")

    search = models.ForeignKey(Search, on_delete=models.CASCADE, related_name="islands")
    index = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    attempt = models.PositiveBigIntegerField(default=1)
    lease_owner = models.CharField(max_length=200, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    queued_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(default=timezone.now, db_default=Now())
    slice_number = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    last_error = models.TextField(blank=True)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("search", "index")
        constraints = [
            models.UniqueConstraint(fields=["search", "index"], name="island_once_a_search"),
            models.CheckConstraint(
                name="island_state_known",
                condition=Q(state__in=("queued", "running", "paused", "stopped", "finished", "failed")),
            ),
            models.CheckConstraint(
                name="island_running_is_leased",
                condition=(Q(state="running") & ~Q(lease_owner="") & Q(heartbeat_at__isnull=False))
                | (~Q(state="running") & Q(lease_owner="")),
            ),
        ]
        indexes = [
            models.Index(fields=["queued_at"], name="island_queue", condition=Q(state="queued")),
            models.Index(fields=["heartbeat_at"], name="island_leases", condition=Q(state="running")),
        ]

    def __str__(self) -> str:
        return f"search {self.search_id}, island {self.index}"


class Checkpoint(models.Model):
    """An island's whole state after a slice; the last two are kept."""

    island = models.ForeignKey(Island, on_delete=models.CASCADE, related_name="checkpoints")
    slice_number = models.PositiveIntegerField()
    format_version = models.PositiveSmallIntegerField()
    data = models.BinaryField()
    sha256 = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["island", "slice_number"], name="checkpoint_once_a_slice"),
            models.CheckConstraint(name="checkpoint_sha256_whole", condition=Q(sha256__length=32)),
        ]

    def __str__(self) -> str:
        return f"island {self.island_id}, slice {self.slice_number}"


class Algorithm(models.Model):
    """A program exactly as found, named by its content. Never changed, never deleted with the searches that found it.

    The canonical digest, under the version of its rules, groups programs that are the same algorithm.
    published_at: since when anybody who has the permalink may read it; None: only who may see one of its searches.
    """

    digest = models.BinaryField(max_length=32, unique=True)
    permalink = models.CharField(max_length=48, unique=True)
    op_set_version = models.PositiveSmallIntegerField()
    program = ExactJSONField()
    canonical_digest = models.BinaryField(max_length=32, null=True, blank=True)
    canonical_version = models.PositiveSmallIntegerField(null=True, blank=True)
    setup_size = models.PositiveSmallIntegerField()
    predict_size = models.PositiveSmallIntegerField()
    learn_size = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField(default=timezone.now)
    published_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="algorithm_digest_whole", condition=Q(digest__length=32)),
            models.CheckConstraint(
                name="algorithm_canonical_versioned",
                condition=Q(canonical_digest__isnull=True, canonical_version__isnull=True)
                | Q(canonical_digest__isnull=False, canonical_version__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["canonical_version", "canonical_digest"], name="algorithm_same")]

    def __str__(self) -> str:
        return f"a/{self.permalink}"

    def get_absolute_url(self) -> str:
        return reverse("experiments:algorithm", args=[self.permalink])

    @property
    def size(self) -> int:
        """Number of instructions."""
        return self.setup_size + self.predict_size + self.learn_size


class Individual(models.Model):
    """One settled member of the ancestry: which parent, which mutation, which score.

    parent: birth number of the parent, in parent_island where it migrated, else in the same island. change turns the
    parent's program into this one (engine.search.apply_change). depth: steps from the first ancestor.
    """

    pk = models.CompositePrimaryKey("island_id", "birth")
    island = models.ForeignKey(Island, on_delete=models.CASCADE, related_name="ancestry", db_index=False)
    birth = models.BigIntegerField()
    parent = models.BigIntegerField(null=True)
    parent_island = models.ForeignKey(Island, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    depth = models.PositiveIntegerField()
    mutation = models.CharField(max_length=40)
    change = ExactJSONField()
    score = models.FloatField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="individual_after_parent",
                condition=Q(parent__isnull=True) | Q(parent_island__isnull=False) | Q(parent__lt=F("birth")),
            ),
        ]

    def __str__(self) -> str:
        return f"island {self.island_id}, birth {self.birth}"


class Waypoint(models.Model):
    """What is known of a line at every 256th step: the program there, and what happened since the waypoint before.

    Made from the ancestry, so that a line of a million steps is read in a few queries (webapp.experiments.lineage).
    previous: the waypoint before, or the first ancestor.
    """

    pk = models.CompositePrimaryKey("island_id", "birth")
    island = models.ForeignKey(Island, on_delete=models.CASCADE, related_name="waypoints", db_index=False)
    birth = models.BigIntegerField()
    depth = models.PositiveIntegerField()
    previous_island = models.ForeignKey(Island, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    previous_birth = models.BigIntegerField()
    program = ExactJSONField()
    stretch = ExactJSONField()

    def __str__(self) -> str:
        return f"island {self.island_id}, birth {self.birth}, step {self.depth}"


class Find(models.Model):
    """An algorithm where and when a search found it.

    score: on T_search. select_score and final_score: on T_select and T_test, for a search's result only.
    diff: what its mutation changed, with the lines as they were in the parent. depth: steps from its first ancestor.
    """

    algorithm = models.ForeignKey(Algorithm, on_delete=models.PROTECT, related_name="finds")
    search = models.ForeignKey(Search, on_delete=models.CASCADE, related_name="finds", db_index=False)
    island = models.ForeignKey(Island, on_delete=models.CASCADE, related_name="finds")
    birth = models.BigIntegerField()
    score = models.FloatField(null=True)
    previous_score = models.FloatField(null=True)
    select_score = models.FloatField(null=True)
    final_score = models.FloatField(null=True)
    select_scores = ExactJSONField(null=True)
    final_scores = ExactJSONField(null=True)
    individuals = models.BigIntegerField()
    train_steps = models.BigIntegerField(default=0)
    experiment = models.IntegerField(default=0)
    seconds = models.FloatField()
    mutation = models.CharField(max_length=40, blank=True)
    diff = ExactJSONField(default=list)
    depth = models.PositiveIntegerField(default=0)
    found_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("search", "individuals", "birth")
        constraints = [models.UniqueConstraint(fields=["island", "birth"], name="find_once_a_birth")]
        indexes = [models.Index(fields=["search", "individuals"], name="find_by_search")]

    def __str__(self) -> str:
        return f"search {self.search_id}, birth {self.birth}"

    @property
    def gain(self) -> float | None:
        """How much better than the best before it."""
        if self.score is None or self.previous_score is None:
            return None
        return self.score - self.previous_score


class Measurement(models.Model):
    """How a find does task by task, and after how many examples; beside the hand-designed models.

    What searches chose is measured by itself, other finds when somebody asks. claimed_at: since when a worker is at it, None:
    it waits. version: of the data, 0: none yet; data of an earlier version is shown until it has been measured anew.
    data: webapp.experiments.services.measure.
    """

    find = models.OneToOneField(Find, on_delete=models.CASCADE, related_name="measurement")
    asked_at = models.DateTimeField(default=timezone.now, db_default=Now())
    claimed_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    version = models.PositiveSmallIntegerField(default=0, db_default=0)
    data = ExactJSONField(null=True)
    failure_reason = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"measurement of {self.find_id}"


class Evaluation(models.Model):
    """An algorithm scored once more, on new tasks: of another seed, or of another data set.

    find: whose kind of tasks they are; who may open its search may see this. data: webapp.experiments.services.evaluate.
    """

    find = models.ForeignKey(Find, on_delete=models.CASCADE, related_name="evaluations")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="evaluations"
    )
    dataset = models.CharField(max_length=100, blank=True)
    seed = models.BigIntegerField()
    asked_at = models.DateTimeField(default=timezone.now)
    claimed_at = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    data = ExactJSONField(null=True)
    failure_reason = models.TextField(blank=True)

    class Meta:
        ordering = ("-asked_at", "-pk")
        constraints = [
            models.UniqueConstraint(fields=["find", "dataset", "seed"], name="evaluation_once_a_seed"),
            models.CheckConstraint(name="evaluation_seed_not_negative", condition=Q(seed__gte=0)),
            models.CheckConstraint(
                name="evaluation_done_has_outcome",
                condition=Q(done_at__isnull=True, data__isnull=True, failure_reason="")
                | (Q(done_at__isnull=False) & (Q(data__isnull=False) ^ ~Q(failure_reason=""))),
            ),
        ]
        indexes = [models.Index(fields=["asked_at"], name="evaluation_waiting", condition=Q(done_at__isnull=True))]

    def __str__(self) -> str:
        return f"evaluation {self.pk} of {self.find_id}"


class CurvePoint(models.Model):
    """An island's population at a moment: scores on T_search, None where not finite.

    distinct: as in engine.records.CurvePoint. The counters stand at the last point of each report only. level: of a random half
    of the points 0, of a quarter 1, and so on, so that those from any level on are the curve, thinned (webapp.experiments.curves).
    """

    pk = models.CompositePrimaryKey("island_id", "individuals")
    island = models.ForeignKey(Island, on_delete=models.CASCADE, related_name="curve", db_index=False)
    individuals = models.BigIntegerField()
    experiment = models.IntegerField(default=0)
    train_steps = models.BigIntegerField(default=0)
    seconds = models.FloatField()
    best = models.FloatField(null=True)
    mean = models.FloatField(null=True)
    median = models.FloatField(null=True)
    deviation = models.FloatField(null=True)
    best_so_far = models.FloatField(null=True)
    distinct = models.IntegerField(null=True)
    evaluations = models.BigIntegerField(null=True)
    fec_hits = models.BigIntegerField(null=True)
    cache_hits = models.BigIntegerField(null=True)
    rejected = models.BigIntegerField(null=True)
    cut = models.BigIntegerField(null=True)
    level = models.SmallIntegerField(default=0, db_default=0)

    class Meta:
        indexes = [
            models.Index(
                fields=["island", "individuals"], name=f"curve_from_level_{level}", condition=Q(level__gte=level)
            )
            for level in INDEXED_LEVELS
        ]

    def __str__(self) -> str:
        return f"island {self.island_id}, {self.individuals} individuals"


class Event(models.Model):
    """Something that happened to a search, for its log. data: what the kind's sentence needs (webapp.experiments.log)."""

    search = models.ForeignKey(Search, on_delete=models.CASCADE, related_name="events", db_index=False)
    island_index = models.PositiveIntegerField(null=True)
    kind = models.CharField(max_length=30)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    data = ExactJSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("-at", "-id")
        indexes = [models.Index(fields=["search", "-id"], name="event_by_search")]

    def __str__(self) -> str:
        return f"search {self.search_id}: {self.kind}"


class Study(models.Model):
    """Searches launched together to be compared: one specification, repeated over seeds or varied in a few fields.

    varied: the fields that differ between its searches, as dotted paths; Search.study_values holds each one's values.
    """

    uid = models.UUIDField(default=uuid.uuid4, db_default=RandomUUID(), unique=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="studies"
    )
    title = models.CharField(max_length=200)
    visibility = models.CharField(max_length=10, choices=Search.Visibility, default=Search.Visibility.PUBLIC)
    varied = ExactJSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "studies"
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return f"study {self.pk}: {self.title}"

    def get_absolute_url(self) -> str:
        return reverse("experiments:study", args=[self.pk])


class Dataset(models.Model):
    """A data set that somebody uploaded. Its files are in the storage under uploads/; the row says what is in them.

    name: what specifications call it, and its files' name. facts: rows, columns, classes and so on, once it is ready.
    """

    class State(models.TextChoices):
        CHECKING = "checking", _("Being checked")
        READY = "ready", _("Ready")
        REFUSED = "refused", _("Refused")

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="datasets"
    )
    name = models.CharField(max_length=60, unique=True)
    title = models.CharField(max_length=200, blank=True)
    visibility = models.CharField(max_length=10, choices=Search.Visibility, default=Search.Visibility.PRIVATE)
    state = models.CharField(max_length=10, choices=State, default=State.CHECKING)
    reason = models.TextField(blank=True)
    files = ExactJSONField(default=list)
    bytes = models.BigIntegerField(default=0)
    facts = ExactJSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("experiments:dataset", args=[self.name])


class Trial(models.Model):
    """A dry run: some seconds of a specification, to see how fast it goes. Old ones are deleted."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=40, unique=True)
    asker = models.CharField(max_length=64, db_index=True)
    spec = ExactJSONField()
    result = ExactJSONField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"trial {self.key}"


from webapp.experiments.bundle_models import BundleImport, ImportedSearch  # noqa: E402, F401  (Django finds models here)
from webapp.experiments.gallery_models import Discovery, GalleryChange  # noqa: E402, F401
from webapp.experiments.marks_models import Note, Star, Tag  # noqa: E402, F401
from webapp.experiments.queue_models import Arrival, QueuePause, Worker  # noqa: E402, F401
