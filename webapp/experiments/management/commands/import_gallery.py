"""`manage.py import_gallery`: bring in the discoveries that come with the product."""

from django.core.management.base import BaseCommand, CommandError

from webapp.experiments.management.commands.import_search import owner_named, report
from webapp.experiments.models import BundleImport
from webapp.experiments.services.importing import Imported
from webapp.experiments.services.imports import gallery_bundles, order_gallery, run_import


class Command(BaseCommand):
    help = "Import the gallery: searches that come with the product, as it evolved them. Those that are here stay as they are."

    def add_arguments(self, parser):
        parser.add_argument("--owner", metavar="NAME", help="whose they are here (default: the first administrator)")
        parser.add_argument(
            "--once", action="store_true", help="only into a database that has never had it, nor any search"
        )
        parser.add_argument("--later", action="store_true", help="leave the work to a worker")

    def handle(self, **options):
        if not gallery_bundles() and not options["once"]:
            raise CommandError("no bundles in webapp/gallery/")
        rows = order_gallery(owner=owner_named(options["owner"]), once=options["once"])
        if not rows:
            self.stdout.write("The gallery was imported before, or there are searches already: nothing imported.")
            return
        if options["later"]:
            self.stdout.write(f"{len(rows)} bundles wait for a worker.")
            return
        failed = 0
        for row in rows:
            done = run_import(import_id=row.pk) or BundleImport.objects.get(pk=row.pk)
            if done.state == BundleImport.State.REFUSED:
                failed += 1
                self.stderr.write(f"{row.name}: {done.reason}")
            for one in done.outcome:
                self.stdout.write(report(Imported(one["search"], one["title"], one["known"], one["same"])))
        if failed:
            raise CommandError(f"{failed} of {len(rows)} bundles were refused")
