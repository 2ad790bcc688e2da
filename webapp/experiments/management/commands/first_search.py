"""`manage.py first_search`: a new database gets one search, so that a newcomer's first page moves."""

from django.core.management.base import BaseCommand
from django.db import connection, transaction

from engine.presets import preset
from webapp.experiments.models import Algorithm, Search
from webapp.experiments.services.launch import launch_search

SEED = 1
"""The same for everybody, so that first impressions can be compared."""


class Command(BaseCommand):
    help = "Launch the preset “digits” if the database has never had a search. Safe to repeat."

    def handle(self, **options):
        with transaction.atomic():
            with connection.cursor() as cursor:
                # Two starters at once: the second waits here, then finds the first one's search.
                cursor.execute("SELECT pg_advisory_xact_lock(hashtext('abovo first search'))")
            if Search.objects.exists() or Algorithm.objects.exists():
                self.stdout.write("There are searches already: nothing launched.")
                return
            search = launch_search(spec=preset("digits"), seed=SEED)
        self.stdout.write(f"Launched search {search.pk}: {search.title}")
