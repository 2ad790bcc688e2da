"""`manage.py evolve_gallery`: evolve the searches that come with the product, as webapp/gallery/gallery.toml lists them."""

import io
import os
import time
import tomllib
from dataclasses import replace

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from engine.bundle import Origin
from engine.bundle.collect import Collector
from engine.presets import preset
from engine.spec import SpecError
from webapp.experiments.models import Measurement, Search
from webapp.experiments.services import imports, measure
from webapp.experiments.services.exporting import GALLERY, export_searches
from webapp.experiments.services.importing import import_bundle
from webapp.lib.version import VERSION

SLICE_SECONDS = 5.0


class Command(BaseCommand):
    help = (
        "Evolve the gallery's searches anew, measure what they chose, and write their bundles into webapp/gallery/. "
        "Each is a preset with a seed and a number of programs, so that it comes out the same on every machine. "
        "The database is left as it was."
    )

    def add_arguments(self, parser):
        parser.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all)")
        parser.add_argument("--list", action="store_true", help="only say what there is")

    def handle(self, **options):
        entries = {one["name"]: one for one in tomllib.loads((imports.GALLERY / "gallery.toml").read_text())["search"]}
        unknown = [name for name in options["names"] if name not in entries]
        if unknown:
            raise CommandError(f"NAME: {', '.join(unknown)} is not in gallery.toml; there are {', '.join(entries)}")
        for name in options["names"] or entries:
            entry = entries[name]
            if options["list"]:
                self.stdout.write(f"{name}: {entry['preset']}, seed {entry['seed']}, {entry['individuals']:,} programs")
                continue
            began = time.monotonic()
            text = self.search(entry)
            self.stdout.write(f"{name}: searched in {time.monotonic() - began:.0f} s")
            self.write(name, text)

    def search(self, entry):
        """Run a search of one island to its end; returns its bundle."""
        from engine.search import Search as Evolution

        try:
            spec = preset(entry["preset"])
            stop = replace(spec.stop, max_total_individuals=entry["individuals"], max_seconds=None)
            spec = spec.with_changes(stop=stop)
        except SpecError as error:
            raise CommandError(f"{entry['name']}: {error}") from None
        if spec.islands > 1:
            raise CommandError(f"{entry['name']}: searches of the gallery have one island")
        collector = Collector(spec, entry["seed"])
        evolution = Evolution.start(spec, entry["seed"])
        while not evolution.finished:
            collector.take(0, evolution.run(seconds=SLICE_SECONDS))
        file = io.BytesIO()
        collector.write(file, origin=Origin(version=VERSION))
        return file.getvalue()

    def write(self, name, text):
        """Measure what the search chose, and write the bundle that goes with the product."""
        with transaction.atomic():
            (imported,) = import_bundle(io.BytesIO(text), owner=None, visibility=Search.Visibility.PUBLIC, gallery=name)
            if imported.known:
                raise CommandError(
                    f"{name}: search {imported.search_id} is the same: use an empty database, or delete it"
                )
            search = Search.objects.get(pk=imported.search_id)
            if search.result is None:
                raise CommandError(f"{name}: it has chosen nothing")
            Measurement.objects.create(find=search.result, data=measure.measure(search.result), version=measure.VERSION)
            path = imports.gallery_path(name)
            part = path.with_name(path.name + ".part")
            with part.open("wb") as file:
                export_searches([search], file, packed=True, excerpt=GALLERY)
            os.replace(part, path)
            scores = ", ".join(
                f"{title} {value:.4f}"
                for title, value in (
                    ("T_search", search.result.score),
                    ("T_select", search.result.select_score),
                    ("T_test", search.result.final_score),
                    ("linear T_test", search.baselines.get("linear", {}).get("final")),
                )
                if value is not None
            )
            self.stdout.write(f"{name}: {scores}; {path.stat().st_size:,} bytes")
            transaction.set_rollback(True)
