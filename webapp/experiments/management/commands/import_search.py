"""`manage.py import_search`: bring in the searches of a bundle, after checking all of it."""

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from engine.bundle import BundleError
from webapp.experiments.models import Search
from webapp.experiments.services.importing import import_bundle


class Command(BaseCommand):
    help = (
        "Import the searches of a bundle: all of them, or none if anything in it is wrong. "
        "Those that are here already stay as they are."
    )

    def add_arguments(self, parser):
        parser.add_argument("file", metavar="FILE", help="a bundle, .jsonl or .jsonl.gz")
        parser.add_argument("--owner", metavar="NAME", help="whose they are here (default: the first administrator)")
        parser.add_argument("--visibility", choices=Search.Visibility.values, default="private")
        parser.add_argument("--no-scores", action="store_true", help="do not compute a sample of the scores anew")

    def handle(self, **options):
        try:
            imported = import_bundle(
                options["file"], owner=owner_named(options["owner"]), visibility=options["visibility"],
                with_scores=not options["no_scores"],
            )  # fmt: skip
        except BundleError as error:
            raise CommandError(f"{options['file']}: {error}") from None
        for one in imported:
            self.stdout.write(report(one))


def owner_named(name):
    """Return the account of this name, without one the first administrator."""
    users = get_user_model().objects.order_by("pk")
    owner = users.filter(username=name).first() if name else users.filter(is_superuser=True, is_active=True).first()
    if owner is None:
        raise CommandError(
            f"--owner: there is no account “{name}”" if name else "there is no administrator: use --owner"
        )
    return owner


def report(one):
    """Return in a line what became of a search of a bundle."""
    search = Search.objects.select_related("imported").get(pk=one.search_id)
    if one.known:
        other = "" if one.same else "; what is in the bundle differs: delete the search first to import it"
        return f"search {search.pk}: {search.title}: is here already, nothing was changed{other}"
    imported = search.imported
    scores = imported.scores
    computed = sum(scores[role] for role in ("search", "select", "final"))
    text = (
        f"search {search.pk}: {search.title}: imported; {imported.finds:,} finds, {imported.individuals:,} steps of ancestry, "
        f"all replayed; {computed} scores computed anew, all the same"
    )
    return text + (f"; not computed anew: {scores['reason']}" if scores["reason"] else "")
