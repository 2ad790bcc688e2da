"""`manage.py recanonicalise`: compute stored canonical digests anew now; the scheduler does so in the background, too."""

from django.core.management.base import BaseCommand

from webapp.experiments.services.recanonical import renew_batch


class Command(BaseCommand):
    help = "Group stored algorithms by the current rules of the canonical form. Safe to repeat, and while searches run."

    def handle(self, **options):
        total = 0
        while done := renew_batch():
            total += done
        self.stdout.write(f"{total} algorithms renewed")
