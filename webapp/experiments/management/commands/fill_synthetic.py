"""`manage.py fill_synthetic`: fill a database with made-up searches, to measure pages with many rows."""

import time

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from webapp.experiments import synthetic
from webapp.experiments.models import Search


class Command(BaseCommand):
    help = (
        "Fill the database with synthetic searches, algorithms and lineages. They are named so, and their scores are "
        "made up: for a database of its own, to measure with `measure_pages`."
    )

    def add_arguments(self, parser):
        parser.add_argument("--searches", type=int, default=1000)
        parser.add_argument("--algorithms", type=int, default=100_000)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument(
            "--beside-real-searches",
            action="store_true",
            help="fill a database that holds searches that were really run",
        )

    def handle(self, **options):
        for name in ("searches", "algorithms"):
            if not 1 <= options[name] <= 10_000_000:
                raise CommandError(f"--{name}: {options[name]} is not allowed: expected 1 to 10,000,000")
        if options["algorithms"] > options["searches"] * synthetic.STEPS:
            raise CommandError(
                f"--algorithms: {options['algorithms']} is not allowed: each search finds at most {synthetic.STEPS}"
            )
        real = Search.objects.exclude(spec_name=synthetic.NAME).count()
        if real and not options["beside_real_searches"]:
            raise CommandError(
                f"this database holds {real} searches that are not synthetic, and nothing was stored: use a database of "
                "its own (DATABASE_URL or ABOVO_HOME), or say --beside-real-searches"
            )
        User = get_user_model()
        owners = [User.objects.get_or_create(username=f"synthetic-{number}")[0] for number in range(1, 6)]
        for owner in owners:
            owner.set_unusable_password()
            owner.save(update_fields=["password"])
        started = time.monotonic()
        total = synthetic.fill(
            searches=options["searches"], algorithms=options["algorithms"], seed=options["seed"], owners=owners,
            say=lambda text: self.stdout.write(f"{time.monotonic() - started:6.0f} s  {text}"),
        )  # fmt: skip
        self.stdout.write(
            f"Stored {options['searches']} synthetic searches with {total} algorithms in {time.monotonic() - started:.0f} s."
        )
