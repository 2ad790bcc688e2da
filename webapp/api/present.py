"""Rows as the API shows them."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from engine.algorithm import Algorithm as Program
from engine.spec import SearchSpec
from webapp.experiments import code, words
from webapp.experiments.models import Algorithm, BundleImport, Discovery, Evaluation, Find, ImportedSearch, Search
from webapp.experiments.services.gallery import annotation_of
from webapp.experiments.specs import read_spec, read_text


def url(request, path: str) -> str:
    return request.build_absolute_uri(path)


def api_url(request, name: str, *args) -> str:
    return request.build_absolute_uri(reverse(f"api:{name}", args=args))


def find(request, row: Find | None) -> dict[str, Any] | None:
    """Return a find; its algorithm must have been fetched with it."""
    if row is None:
        return None
    return {
        "permalink": row.algorithm.permalink,
        "url": url(request, row.algorithm.get_absolute_url()),
        "api_url": api_url(request, "algorithm", row.algorithm.permalink),
        "score": row.score,
        "select_score": row.select_score,
        "final_score": row.final_score,
        "gain": row.gain,
        "individuals": row.individuals,
        "seconds": row.seconds,
        "found_at": row.found_at,
    }


def search(request, row: Search) -> dict[str, Any]:
    """Return a search; owner, best and result with their algorithms must have been fetched with it."""
    spec = read_spec(row.spec)
    return {
        "id": row.pk,
        "url": url(request, row.get_absolute_url()),
        "preset": row.spec_name,
        "owner": row.owner.get_username() if row.owner else None,
        "max_seconds": spec.stop.max_seconds,
        "progress": progress(row, spec),
        "best": find(request, row.best),
        "result": find(request, row.result),
        **{
            name: getattr(row, name)
            for name in (
                "title", "seed", "state", "visibility", "priority", "created_at", "started_at", "finished_at",
                "finish_reason", "failure_reason", "individuals", "evaluations", "train_steps", "experiments", "seconds",
                "solved",
            )
        },
    }  # fmt: skip


def progress(row: Search, spec: SearchSpec) -> float | None:
    """Return how much of its limits a search has used: that which will end it first."""
    if row.state in Search.ENDED:
        return 1.0
    stop = spec.stop
    shares = []
    if stop.max_seconds:
        shares.append(row.seconds / stop.max_seconds)
    if stop.max_experiments == 1 and stop.max_individuals:
        shares.append(row.individuals / stop.max_individuals)
    if stop.max_experiments == 1 and stop.max_train_steps:
        shares.append(row.train_steps / stop.max_train_steps)
    return min(max(shares), 1.0) if shares else None


def search_detail(request, row: Search) -> dict[str, Any]:
    return {**search(request, row), "spec": row.spec, "baselines": row.baselines, "imported": imported(row)}


def imported(row: Search) -> dict[str, Any] | None:
    one = ImportedSearch.objects.filter(search=row).first()
    if one is None:
        return None
    return {
        "instance": one.origin.get("instance", ""),
        "author": one.origin.get("author", ""),
        "scores": one.scores_computed,
        "problem": one.scores_failed,
        **{name: getattr(one, name) for name in ("imported_at", "checked_at", "finds", "individuals", "waits_for")},
    }


def bundle_import(request, row: BundleImport) -> dict[str, Any]:
    """Return what became of a bundle; searches that the caller may not see are named all the same: they are in the bundle."""
    return {
        "url": url(request, row.get_absolute_url()),
        "searches": [{**one, "search_id": one["search"]} for one in row.outcome],
        **{name: getattr(row, name) for name in ("id", "name", "state", "reason", "visibility", "asked_at", "done_at")},
    }


def discovery(request, row: Discovery) -> dict[str, Any]:
    """Return a row of the gallery."""
    annotation = annotation_of(row.model, row.learning, row.motifs)
    return {
        "permalink": row.algorithm.permalink,
        "url": url(request, row.algorithm.get_absolute_url()),
        "api_url": api_url(request, "algorithm", row.algorithm.permalink),
        "title": words.title(row.algorithm, annotation, read_text(row.spec_text)),
        "motifs": row.motifs,
        "size": row.size,
        "score": row.score,
        "margin": row.margin,
        "data": row.data,
        "finds": row.finds,
        "found_at": row.found_at,
        "search_id": row.find.search_id,
    }


def algorithm(request, row: Algorithm, finds: list[Find], same: list[Algorithm]) -> dict[str, Any]:
    spec = read_spec(finds[0].search.spec) if finds else None
    features_size = spec.search_tasks.features if spec else None
    _functions, annotation = code.annotated(row, features_size=features_size)
    return {
        "permalink": row.permalink,
        "url": url(request, row.get_absolute_url()),
        "title": words.title(row, annotation, spec),
        "sha256": bytes(row.digest).hex(),
        "op_set_version": row.op_set_version,
        "program": row.program,
        "pseudocode": Program.from_json(row.program).pseudocode(features_size=features_size),
        "size": row.size,
        "created_at": row.created_at,
        "finds": [
            {**(find(request, one) or {}), "search_id": one.search_id, "search_title": one.search.title}
            for one in finds
        ],
        "same": [one.permalink for one in same],
    }


def evaluation(request, row: Evaluation) -> dict[str, Any]:
    state = "waiting" if row.done_at is None else "failed" if row.failure_reason else "done"
    return {
        "id": row.pk,
        "api_url": api_url(request, "evaluation", row.pk),
        "permalink": row.find.algorithm.permalink,
        "dataset": row.dataset,
        "seed": row.seed,
        "state": state,
        "asked_at": row.asked_at,
        "done_at": row.done_at,
        "scores": row.data["scores"] if row.data else None,
        "failure_reason": row.failure_reason,
    }


def missing_dataset(spec: SearchSpec, here) -> str | None:
    from webapp.experiments.services.launch import datasets_of

    return next((name for name in datasets_of(spec).values() if name not in here), None)
