"""`manage.py prune`: throw away what old searches no longer need."""

from django.core.management.base import BaseCommand

from webapp.experiments.services.retention import Policy, prune


def days(text):
    return None if text == "never" else int(text)


class Command(BaseCommand):
    help = "Throw away checkpoints, curve points and hidden algorithms of searches that ended long ago. --dry-run only counts."

    def add_arguments(self, parser):
        policy = Policy()
        parser.add_argument("--dry-run", action="store_true", help="change nothing, say what would go")
        parser.add_argument("--checkpoints-days", type=days, default=policy.checkpoints_days, metavar="N|never")
        parser.add_argument("--curve-days", type=days, default=policy.curve_days, metavar="N|never")
        parser.add_argument(
            "--curve-points", type=int, default=policy.curve_points, metavar="N", help="kept of each curve"
        )
        parser.add_argument("--algorithms-days", type=days, default=policy.algorithms_days, metavar="N|never")

    def handle(self, **options):
        policy = Policy(**{name: options[name] for name in Policy.__dataclass_fields__})
        counts = prune(policy, dry_run=options["dry_run"])
        verb = "would go" if options["dry_run"] else "went"
        for name, count in counts.items():
            self.stdout.write(f"{count:,} {name} {verb}")
