from django.apps import AppConfig


class LibConfig(AppConfig):
    name = "webapp.lib"
    label = "lib"

    def ready(self):
        # Whoever uses Django can send jobs: the tasks' @shared_task finds this application.
        import webapp.celery  # noqa: F401
