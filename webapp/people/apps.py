from django.apps import AppConfig


class PeopleConfig(AppConfig):
    """Accounts: roles, limits, invitations, tokens, and what slows down those who guess."""

    name = "webapp.people"
    label = "people"
    verbose_name = "People"
    default_auto_field = "django.db.models.BigAutoField"
