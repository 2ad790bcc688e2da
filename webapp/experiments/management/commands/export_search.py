"""`manage.py export_search`: write searches as a bundle, to import them elsewhere or to keep them."""

import contextlib
import os
import sys
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from webapp.experiments.models import Search
from webapp.experiments.services.exporting import GALLERY, NotExportable, export_searches


class Command(BaseCommand):
    help = "Write searches that have ended, with everything that they found, as a bundle (docs/bundles.md)."

    def add_arguments(self, parser):
        parser.add_argument("searches", nargs="+", type=int, metavar="ID", help="the number in a search's address")
        parser.add_argument(
            "--output", required=True, metavar="FILE", help='.jsonl or .jsonl.gz; "-": standard output, not packed'
        )
        parser.add_argument(
            "--excerpt",
            action="store_true",
            help="only the finds of most worth with their complete ancestry, and a thinned curve, as the gallery has them",
        )

    def handle(self, **options):
        rows = {row.pk: row for row in Search.objects.filter(pk__in=options["searches"])}
        missing = [str(one) for one in options["searches"] if one not in rows]
        if missing:
            raise CommandError(f"ID: no search has the number {', '.join(missing)}")
        searches = list(dict.fromkeys(rows[one] for one in options["searches"]))
        values = {"excerpt": GALLERY if options["excerpt"] else None}
        try:
            if options["output"] == "-":
                export_searches(searches, sys.stdout.buffer, packed=False, **values)
                return
            path = Path(options["output"])
            part = path.with_name(path.name + ".part")
            try:
                with part.open("wb") as file:
                    export_searches(searches, file, packed=path.suffix == ".gz", **values)
                os.replace(part, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    part.unlink()
                raise
        except NotExportable as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"--output: cannot write {options['output']}: {error.strerror}") from None
        self.stderr.write(f"{len(searches)} searches written: {path}, {path.stat().st_size:,} bytes")
