"""`manage.py measure_pages`: how long the server takes for each page, on the database as it is."""

import gzip
import json
import random
import time
from collections.abc import Callable, Iterator

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from webapp.experiments.models import Algorithm, Discovery, Search
from webapp.lib.loaded import load_pages

SAMPLE = 200
"""Searches and algorithms that the pages are taken from, drawn over the whole table."""


class Command(BaseCommand):
    help = (
        "Ask this process for each kind of page many times, of searches and algorithms drawn at random, as somebody who "
        "is not signed in, with everything loaded as in the web server's processes; print milliseconds (median and 95th percentile, middleware and database included), queries "
        "and compressed size. The first requests, which fill caches, are not counted."
    )

    def add_arguments(self, parser):
        parser.add_argument("--requests", type=int, default=60, help="requests of each page")
        parser.add_argument("--page", action="append", help="only pages whose name has this in it")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--json", action="store_true")

    def handle(self, **options):
        if options["requests"] < 1:
            raise CommandError(f"--requests: {options['requests']} is not allowed: expected 1 or more")
        random.seed(options["seed"])
        load_pages()
        pages = dict(_pages())
        wanted = options["page"] or [""]
        rows = []
        for name, address in pages.items():
            if any(part in name for part in wanted):
                rows.append(_measure(name, address, options["requests"]))
                if not options["json"]:
                    if len(rows) == 1:
                        self.stdout.write(
                            f"{'page':28}{'p50 ms':>8}{'p95 ms':>8}{'computing':>11}{'queries':>9}{'kB':>7}  status"
                        )
                    row = rows[-1]
                    self.stdout.write(
                        f"{name:28}{row['p50']:8.1f}{row['p95']:8.1f}{row['computing']:11.1f}{row['queries']:9d}{row['bytes'] / 1000:7.1f}"
                        f"  {row['status']}"
                    )
        if options["json"]:
            counts = {"searches": Search.objects.count(), "algorithms": Algorithm.objects.count()}
            self.stdout.write(json.dumps({**counts, "pages": rows}))


def _pages() -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield each kind of page with a function that draws an address of it."""

    def fixed(address: str) -> Callable[[], str]:
        return lambda: address

    discoveries = reverse("experiments:discoveries")
    yield "home", fixed(reverse("experiments:home"))
    yield "discoveries", fixed(discoveries)
    for name, query in {
        "every step": "all=1",
        "by age": "all=1&sort=found",
        "smallest": "all=1&sort=size",
        "with an op": "all=1&op=MATRIX_VECTOR_PRODUCT",
        "rare op": "all=1&op=VECTOR_ARCTAN",
        "with a motif": "all=1&motif=relu",
        "words": "all=1&q=linear+digits",
        "title of one": "all=1&q=synthetic+77",
        "filters": "all=1&data=digits&score=0.7&size=12&age=365",
    }.items():
        yield f"discoveries, {name}", fixed(f"{discoveries}?{query}")
    middle = Discovery.objects.filter(audience=0).order_by("-merit")[5000:5001].first()
    if middle:
        yield "discoveries, page 200", fixed(f"{discoveries}?all=1&after={middle.merit!r}_{middle.pk}")
    yield "data", fixed(reverse("experiments:datasets"))
    yield "searches", fixed(reverse("experiments:searches"))
    yield "searches, ended", fixed(reverse("experiments:searches") + "?state=ended")
    yield "launch", fixed(reverse("experiments:launch"))
    yield "op reference", fixed(reverse("experiments:ops"))
    yield "learn", fixed(reverse("experiments:learn"))
    searches = _sample(Search.objects.filter(visibility="public").values_list("pk", flat=True))
    if searches:
        yield "search", lambda: reverse("experiments:search", args=[random.choice(searches)])
        yield "tree", lambda: reverse("experiments:search-tree", args=[random.choice(searches)])
    algorithms = _sample(Algorithm.objects.filter(published_at__isnull=False).values_list("permalink", flat=True))
    if algorithms:
        yield "algorithm", lambda: reverse("experiments:algorithm", args=[random.choice(algorithms)])
        yield "ancestry", lambda: reverse("experiments:ancestry", args=[random.choice(algorithms)])
        yield "frame", lambda: reverse("experiments:embed", args=[random.choice(algorithms)])
        yield (
            "oembed",
            lambda: (
                f"{reverse('experiments:oembed')}?url=http://{_host()}"
                + reverse("experiments:algorithm", args=[random.choice(algorithms)])
            ),
        )
        yield "compare two", lambda: f"{reverse('experiments:compare')}?a={'&a='.join(random.sample(algorithms, 2))}"
        yield "compare four", lambda: f"{reverse('experiments:compare')}?a={'&a='.join(random.sample(algorithms, 4))}"
        yield "program.json", lambda: reverse("experiments:program-json", args=[random.choice(algorithms)])
    results = _sample(
        Search.objects.filter(visibility="public", result__isnull=False).values_list(
            "result__algorithm__permalink", flat=True
        )
    )
    if results:
        yield "algorithm, a result", lambda: reverse("experiments:algorithm", args=[random.choice(results)])


def _sample(values) -> list:
    every = max(values.count() // SAMPLE, 1)
    return list(values.order_by("pk"))[::every]


def _host() -> str:
    return next(host for host in settings.ALLOWED_HOSTS if host != "*")


def _measure(name: str, address: Callable[[], str], requests: int) -> dict:
    client = Client(SERVER_NAME=_host())
    for _ in range(3):
        client.get(address())
    times, computing, sizes, status = [], [], [], set()
    for _ in range(requests):
        path = address()
        started, computed = time.perf_counter(), time.process_time()
        response = client.get(path)
        body = b"".join(response.streaming_content) if response.streaming else response.content
        times.append((time.perf_counter() - started) * 1000)
        computing.append((time.process_time() - computed) * 1000)
        sizes.append(len(gzip.compress(body, 6)))
        status.add(response.status_code)
    with CaptureQueriesContext(connection) as queries:
        client.get(address())
    times.sort()
    computing.sort()
    return {
        "page": name, "p50": times[len(times) // 2], "p95": times[min(int(len(times) * 0.95), len(times) - 1)],
        "computing": computing[len(computing) // 2], "queries": len(queries), "bytes": max(sizes), "status": ", ".join(map(str, sorted(status))),
        "requests": requests,
    }  # fmt: skip
