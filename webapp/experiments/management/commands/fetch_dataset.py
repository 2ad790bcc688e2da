"""`manage.py fetch_dataset NAME`: a public data set, from its official place into the data folder."""

from django.core.management.base import BaseCommand, CommandError

from engine.datasets import DatasetError, data_folder
from engine.datasets.official import SETS, fetch


class Command(BaseCommand):
    help = "Fetch a public data set into the data folder (ABOVO_DATA). Safe to repeat: what is there and right is kept."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("name", choices=SETS, help="; ".join(f"{name}: {one.title}" for name, one in SETS.items()))
        parser.add_argument("--source", metavar="URL", help="address of a folder with the same files, such as a mirror")

    def handle(self, *, name, source=None, **options):
        shown = {}

        def progress(file, received, size):
            tenth = 10 * received // size
            if shown.get(file) != tenth:
                shown[file] = tenth
                self.stdout.write(f"{file}: {received:,} of {size:,} bytes")

        try:
            paths = fetch(name, data_folder(), source=source, progress=progress)
        except DatasetError as error:
            raise CommandError(str(error)) from None
        for path in paths:
            self.stdout.write(self.style.SUCCESS(f"{path}: complete, checksum right"))
