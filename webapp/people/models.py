"""Who people are here. Accounts are Django's; secrets (tokens, links) are kept as digests only."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Length
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

models.BinaryField.register_lookup(Length)


class Role(models.TextChoices):
    """What an account is for. An administrator is whom Django calls staff; the others are told apart by the profile."""

    VIEWER = "viewer", _("Viewer")
    RESEARCHER = "researcher", _("Researcher")
    ADMINISTRATOR = "administrator", _("Administrator")


class Profile(models.Model):
    """What is known of an account beyond Django's row; an account without one is a researcher with the usual limits.

    The limits override those of the installation (webapp.people.limits); None: the installation's. notify_email, webhook_url:
    who is told when a search ends; webhook_salt makes the key that signs (webapp.people.services.notices).
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="profile"
    )
    role = models.CharField(
        _("role"), max_length=13, default=Role.RESEARCHER,
        choices=[choice for choice in Role.choices if choice[0] != Role.ADMINISTRATOR],
    )  # fmt: skip
    max_islands = models.PositiveIntegerField(_("islands at a time"), null=True, blank=True)
    max_search_seconds = models.FloatField(
        _("seconds a search"), null=True, blank=True, validators=[MinValueValidator(0.0)]
    )
    max_upload_bytes = models.PositiveBigIntegerField(_("bytes uploaded"), null=True, blank=True)
    notify_email = models.BooleanField(_("by e-mail"), default=False, db_default=False)
    webhook_url = models.CharField(_("webhook"), max_length=500, blank=True, default="", db_default="")
    webhook_salt = models.CharField(max_length=32, blank=True, default="", db_default="")

    class Meta:
        constraints = [
            models.CheckConstraint(name="profile_role_known", condition=Q(role__in=("viewer", "researcher"))),
        ]

    def __str__(self) -> str:
        return f"profile of {self.user_id}"


class Invitation(models.Model):
    """A link that opens once: to a new account, or, with a user, to a new password for an old one.

    sent_to: the e-mail address that a link went to which somebody asked for at the sign-in page; empty for an administrator's.
    """

    digest = models.BinaryField(max_length=32, unique=True)
    role = models.CharField(max_length=13, choices=Role, default=Role.RESEARCHER)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="reset_links"
    )
    sent_to = models.CharField(max_length=254, blank=True, default="", db_default="")
    note = models.CharField(_("for whom"), max_length=200, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="invitations"
    )
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    used_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = [
            models.CheckConstraint(name="invitation_digest_whole", condition=Q(digest__length=32)),
            models.CheckConstraint(
                name="invitation_role_known", condition=Q(role__in=("viewer", "researcher", "administrator"))
            ),
        ]

    def __str__(self) -> str:
        return f"invitation {self.pk}"


class ForgottenPassword(models.Model):
    """What somebody typed who has forgotten a password, until a worker has looked whose name or e-mail address it is.

    The request itself does not look: it does the same, and takes as long, whether there is such an account or not.
    """

    typed = models.CharField(max_length=254)
    language = models.CharField(max_length=10)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("created_at", "id")

    def __str__(self) -> str:
        return f"forgotten password {self.pk}"


class ApiToken(models.Model):
    """A bearer token of the API. hint: its first characters, by which its owner tells it from others."""

    class Scope(models.TextChoices):
        READ = "read", _("Read")
        LAUNCH = "launch", _("Read and launch")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=100)
    digest = models.BinaryField(max_length=32, unique=True)
    hint = models.CharField(max_length=12)
    scope = models.CharField(_("scope"), max_length=6, choices=Scope, default=Scope.READ)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = [
            models.CheckConstraint(name="apitoken_digest_whole", condition=Q(digest__length=32)),
            models.CheckConstraint(name="apitoken_scope_known", condition=Q(scope__in=("read", "launch"))),
        ]

    def __str__(self) -> str:
        return f"token {self.hint}… of {self.user_id}"


class Notice(models.Model):
    """Something to tell an account's owner, by one way: the outbox, written in the transaction of what it tells of.

    due_at: when to try (again); while it is being sent, when somebody else may. content: subject and text, or a webhook's data;
    of a link to a new password the language alone, for its message is written when it is sent.
    """

    class Channel(models.TextChoices):
        EMAIL = "email", _("E-mail")
        WEBHOOK = "webhook", _("Webhook")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notices")
    channel = models.CharField(max_length=7, choices=Channel)
    event = models.CharField(max_length=40)
    content = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = [
            models.CheckConstraint(name="notice_channel_known", condition=Q(channel__in=("email", "webhook"))),
            models.CheckConstraint(
                name="notice_one_end", condition=Q(sent_at__isnull=True) | Q(failed_at__isnull=True)
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"], name="notice_due", condition=Q(sent_at__isnull=True, failed_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.user_id} by {self.channel}"


class RateCount(models.Model):
    """How often something happened in the present window of time; see webapp.people.throttle."""

    key = models.CharField(max_length=64, primary_key=True)
    window = models.BigIntegerField()
    count = models.PositiveIntegerField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.key}: {self.count}"
