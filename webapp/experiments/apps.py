from django.apps import AppConfig


class ExperimentsConfig(AppConfig):
    """Searches, what they found, and the pages that show both."""

    name = "webapp.experiments"
    label = "experiments"
    verbose_name = "Experiments"
    default_auto_field = "django.db.models.BigAutoField"
