"""Addresses of searches, algorithms and the pages around them."""

from django.urls import path, register_converter

from webapp.experiments.views import (
    algorithms,
    ancestry,
    bundles,
    compare,
    data,
    downloads,
    evaluations,
    gallery,
    launch,
    marks,
    pages,
    searches,
    share,
    steer,
    studies,
    tree,
)


class PermalinkConverter:
    """The base58 form of a digest, or its beginning."""

    regex = "[1-9A-HJ-NP-Za-km-z]{10,48}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class DatasetConverter:
    """A data set's name, as the engine allows it."""

    regex = "[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(PermalinkConverter, "permalink")
register_converter(DatasetConverter, "dataset")

app_name = "experiments"

urlpatterns = [
    path("", pages.home, name="home"),
    path("discoveries/", gallery.discoveries, name="discoveries"),
    path("learn/", pages.learn, name="learn"),
    path("learn/ops/", pages.ops, name="ops"),
    path("searches/", searches.search_list, name="searches"),
    path("searches/new/", launch.launch, name="launch"),
    path("searches/import/", bundles.import_new, name="import-new"),
    path("imports/<int:import_id>/", bundles.import_detail, name="import"),
    path("searches/compare/", studies.compare, name="search-compare"),
    path("searches/compare/table.csv", studies.compare_csv, name="search-compare-csv"),
    path("searches/try/<slug:key>/", launch.trial, name="trial"),
    path("searches/<int:search_id>/", searches.search_detail, name="search"),
    path("searches/<int:search_id>/live/", searches.search_live, name="search-live"),
    path("searches/<int:search_id>/spec.toml", launch.search_toml, name="search-toml"),
    path("searches/<int:search_id>/bundle.jsonl.gz", bundles.search_bundle, name="search-bundle"),
    path("searches/<int:search_id>/curve.csv", searches.search_curve_csv, name="search-curve-csv"),
    path("searches/<int:search_id>/curve.json", searches.search_curve, name="search-curve"),
    path("searches/<int:search_id>/pause/", steer.pause, name="search-pause"),
    path("searches/<int:search_id>/resume/", steer.resume, name="search-resume"),
    path("searches/<int:search_id>/stop/", steer.stop, name="search-stop"),
    path("searches/<int:search_id>/extend/", steer.extend, name="search-extend"),
    path("searches/<int:search_id>/priority/", steer.priority, name="search-priority"),
    path("searches/<int:search_id>/delete/", steer.delete, name="search-delete"),
    path("studies/", studies.study_list, name="studies"),
    path("studies/<int:study_id>/", studies.study, name="study"),
    path("studies/<int:study_id>/table.csv", studies.study_csv, name="study-csv"),
    path("data/", data.dataset_list, name="datasets"),
    path("data/new/upload/", data.upload, name="dataset-upload"),
    path("data/<dataset:name>/", data.dataset, name="dataset"),
    path("data/<dataset:name>/visibility/", data.visibility, name="dataset-visibility"),
    path("data/<dataset:name>/delete/", data.delete, name="dataset-delete"),
    path("a/<permalink:permalink>/star", marks.star, name="star"),
    path("a/<permalink:permalink>/tags", marks.tags, name="tags"),
    path("a/<permalink:permalink>/notes", marks.notes, name="notes"),
    path("notes/<int:note_id>/", marks.note, name="note"),
    path("searches/<int:search_id>/tree/", tree.search_tree, name="search-tree"),
    path("searches/<int:search_id>/tree.svg", tree.search_tree_svg, name="search-tree-svg"),
    path("searches/<int:search_id>/phylogeny.csv", tree.search_phylogeny, name="search-phylogeny"),
    path("a/<permalink:permalink>", algorithms.algorithm, name="algorithm"),
    path("a/<permalink:permalink>/", algorithms.without_slash),
    path("a/<permalink:permalink>/state", algorithms.state, name="algorithm-state"),
    path("a/<permalink:permalink>/measure", evaluations.measure_algorithm, name="measure"),
    path("a/<permalink:permalink>/evaluate", evaluations.evaluate_again, name="evaluate"),
    path("a/<permalink:permalink>/ancestry", ancestry.steps, name="ancestry"),
    path("a/<permalink:permalink>/ancestry.json", ancestry.as_json, name="ancestry-json"),
    path("a/<permalink:permalink>/phylogeny.csv", ancestry.as_phylogeny, name="phylogeny-csv"),
    path("a/<permalink:permalink>/ancestry.svg", downloads.ancestry_svg, name="ancestry-svg"),
    path("a/<permalink:permalink>/curve.svg", downloads.curve_svg, name="curve-svg"),
    path("a/<permalink:permalink>/curve.csv", downloads.curve_csv, name="curve-csv"),
    path("a/<permalink:permalink>/program.json", downloads.program_json, name="program-json"),
    path("a/<permalink:permalink>/program.py", downloads.download, {"to": "python"}, name="program-python"),
    path("a/<permalink:permalink>/estimator.py", downloads.download, {"to": "sklearn"}, name="program-sklearn"),
    path("a/<permalink:permalink>/program.tex", downloads.download, {"to": "latex"}, name="program-latex"),
    path("a/<permalink:permalink>/program.txt", downloads.download, {"to": "text"}, name="program-text"),
    path("a/<permalink:permalink>/picture.png", share.picture_png, name="picture"),
    path("a/<permalink:permalink>/embed", share.embed, name="embed"),
    path("oembed", share.oembed, name="oembed"),
    path("compare", compare.compare, name="compare"),
    path("compare.svg", compare.compare_svg, name="compare-svg"),
]
