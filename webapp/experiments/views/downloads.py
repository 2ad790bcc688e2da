"""An algorithm to take away: as code, as LaTeX, as text; and how to cite it."""

from __future__ import annotations

import csv
from datetime import datetime

from django.conf import settings
from django.http import Http404, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from engine.algorithm import Algorithm as Program
from engine.explain import explain
from engine.export import export
from webapp.experiments import access, figures, lineage, queries, specs, svg
from webapp.experiments.models import Algorithm
from webapp.experiments.specs import read_spec

FORMATS = {
    "python": ("abovo_{}.py", "text/x-python", "#"),
    "sklearn": ("abovo_{}_sklearn.py", "text/x-python", "#"),
    "latex": ("abovo-{}.tex", "application/x-tex", "%"),
    "text": ("abovo-{}.txt", "text/plain", ""),
}
"""File name, content type, and how a line of comment begins. Python's names can be imported."""


@require_safe
def download(request, permalink: str, to: str):
    """Send the program in one of FORMATS."""
    row = access.get_algorithm(request.user, permalink)
    name, content_type, comment = FORMATS[to]
    finds = queries.finds_of(request.user, row)
    task_type = specs.task_type(finds[0].search) if finds else "classification"
    program = Program.from_json(row.program)
    if to == "text":
        text = explain(program).text(task_type)
    else:
        text = export(program, to, name=f"Ab Ovo {row.permalink}", task_type=task_type)
    head = f"{comment} {absolute_url(request, row)}\n".lstrip()
    response = HttpResponse(head + text, content_type=f"{content_type}; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name.format(row.permalink)}"'
    return response


@require_safe
def curve_csv(request, permalink: str):
    """Send the learning curve's numbers: one row for each model and number of examples."""
    row = access.get_algorithm(request.user, permalink)
    measurement = queries.measurement_of(queries.finds_of(request.user, row))
    if measurement is None or not measurement.data:
        raise Http404
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="abovo-{row.permalink}-curve.csv"'
    table = csv.writer(response)
    table.writerow(["model", "examples", "lower_quartile", "median", "upper_quartile"])
    for model, points in measurement.data["curve"].items():
        for count, quartiles in zip(measurement.data["examples"], points, strict=True):
            table.writerow([model, count, *("" if value is None else value for value in quartiles)])
    return response


@require_safe
def curve_svg(request, permalink: str):
    """Send the learning curve as an SVG file that needs no style sheet."""
    row = access.get_algorithm(request.user, permalink)
    measurement = queries.measurement_of(queries.finds_of(request.user, row))
    if measurement is None or not measurement.data:
        raise Http404
    text = svg.standalone(figures.learning(measurement), source=absolute_url(request, row))
    return svg.response(text, f"abovo-{row.permalink}-curve.svg")


@require_safe
def ancestry_svg(request, permalink: str):
    """Send the chart of the ancestors' scores as an SVG file."""
    row = access.get_algorithm(request.user, permalink)
    finds = queries.finds_of(request.user, row)
    step_count, events = lineage.story(finds[0].island_id, finds[0].birth) if finds else (0, [])
    if not step_count:
        raise Http404
    spec = read_spec(finds[0].search.spec)
    chart = figures.ancestry(finds[0], spec, step_count, events, queries.measurement_of(finds))
    return svg.response(svg.standalone(chart, source=absolute_url(request, row)), f"abovo-{row.permalink}-ancestry.svg")


@require_safe
def program_json(request, permalink: str):
    """Send the program exactly as found, with its digest."""
    row = access.get_algorithm(request.user, permalink)
    data = {
        "permalink": row.permalink,
        "op_set_version": row.op_set_version,
        "sha256": bytes(row.digest).hex(),
        "program": row.program,
    }
    response = JsonResponse(data, json_dumps_params={"ensure_ascii": False, "allow_nan": False})
    response["Content-Disposition"] = f'attachment; filename="{row.permalink}.json"'
    return response


def links(row: Algorithm, *, explained: bool, with_ancestry: bool, with_curve: bool) -> list[tuple[str, str, str]]:
    """Return (name, address, what it is for) of everything there is to take away."""
    entries = []
    if explained:
        entries += [
            (_("Python"), address(row, "program-python"), _("a class and two functions; needs NumPy only")),
            (_("scikit-learn"), address(row, "program-sklearn"), _("an estimator for pipelines and searches")),
            (_("LaTeX"), address(row, "program-latex"), _("a table of the program and its roles")),
            (_("Text"), address(row, "program-text"), _("pseudocode with its roles")),
        ]
    entries.append((_("JSON"), address(row, "program-json"), _("the program exactly as found")))
    if with_curve:
        entries.append((_("Curve"), address(row, "curve-csv"), _("the learning curve's numbers, as CSV")))
        entries.append((_("Figure"), address(row, "curve-svg"), _("the learning curve, as SVG")))
    if with_ancestry:
        entries.append((_("Ancestry"), address(row, "ancestry-json"), _("every step of its line, as JSON")))
        entries.append((_("Phylogeny"), address(row, "phylogeny-csv"), _("the same as ALife standard CSV")))
    return entries


def citation(request, row: Algorithm, *, title: str, found_at: datetime | None) -> dict[str, str]:
    """Return the algorithm's reference as a sentence and for BibTeX."""
    year = (found_at or row.created_at).year
    url, digest = absolute_url(request, row), bytes(row.digest).hex()
    words = _("Ab Ovo (%(year)d). %(title)s. Algorithm a/%(permalink)s. %(url)s") % {
        "year": year, "title": title, "permalink": row.permalink, "url": url,
    }  # fmt: skip
    bibtex = (
        f"@misc{{abovo-{row.permalink},\n"
        "  author = {{Ab Ovo}},\n"
        f"  title  = {{{{{_for_latex(title)}}}}},\n"
        f"  year   = {{{year}}},\n"
        f"  url    = {{{url}}},\n"
        f"  note   = {{Evolved algorithm a/{row.permalink}, SHA-256 {digest}}},\n"
        "}"
    )
    return {"words": words, "bibtex": bibtex}


def absolute_url(request, row: Algorithm) -> str:
    """Return the permalink as others can open it."""
    public = settings.PUBLIC_URL
    path = row.get_absolute_url()
    return f"{public.scheme}://{public.netloc}{path}" if public else request.build_absolute_uri(path)


def address(row: Algorithm, name: str) -> str:
    """Return the address of one of an algorithm's files or pages."""
    return reverse(f"experiments:{name}", args=[row.permalink])


def _for_latex(text: str) -> str:
    kept = text.translate({ord("“"): "``", ord("”"): "''", ord("\\"): " ", ord("~"): " ", ord("^"): " "})
    return "".join(f"\\{one}" if one in "&%$#_{}" else one for one in kept)
