"""`manage.py refresh_gallery`: bring the gallery up to date now; with --all, make it anew."""

from django.core.management.base import BaseCommand

from webapp.experiments.services.gallery import refresh_all, refresh_until_done


class Command(BaseCommand):
    help = "Bring the gallery up to date with what was found. Safe to repeat, and while searches run."

    def add_arguments(self, parser):
        parser.add_argument(
            "--all", action="store_true", help="look at every algorithm, not only at those that changed"
        )

    def handle(self, **options):
        total = refresh_all() if options["all"] else refresh_until_done()
        self.stdout.write(f"{total} algorithms looked at.")
