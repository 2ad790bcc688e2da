"""The catalogue holds every text, and nothing else; every text of the templates is marked for it."""

from __future__ import annotations

import ast
import re
from html.parser import HTMLParser
from pathlib import Path

import polib
import pytest
from django.template import engines
from django.templatetags.i18n import BlockTranslateNode, TranslateNode

from webapp.experiments import engine_texts
from webapp.experiments.management.commands.engine_texts import texts

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
RENEW = "run `make messages`, translate what is new, and commit locale/"

PLAIN = {"gettext", "gettext_lazy", "gettext_noop", "_"}
PLURAL = {"ngettext", "ngettext_lazy"}
CONTEXT = {"pgettext", "pgettext_lazy"}

Key = tuple[str | None, str]


def of_python(path: Path) -> set[Key]:
    found: set[Key] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        values = [one.value if isinstance(one, ast.Constant) else None for one in node.args]
        if name in PLAIN | PLURAL and values and isinstance(values[0], str):
            found.add((None, values[0]))
        elif name in CONTEXT and isinstance(values[0], str) and isinstance(values[1], str):
            found.add((values[0], values[1]))
    return found


def of_template(path: Path) -> set[Key]:
    template = engines["django"].get_template(str(path.relative_to(ROOT / "templates"))).template
    found: set[Key] = set()
    for node in template.nodelist.get_nodes_by_type(TranslateNode):
        if isinstance(node.filter_expression.var.literal, str):
            found.add((None, node.filter_expression.var.literal.replace("%", "%%")))
    for node in template.nodelist.get_nodes_by_type(BlockTranslateNode):
        found.add((None, node.render_token_list(node.singular)[0]))
    # Arguments of filters: {{ value|default:_("none") }}.
    found |= {(None, text) for text in re.findall(r"[:|,=( ]_\(\"([^\"]+)\"\)", path.read_text())}
    return found


def sources() -> set[Key]:
    found: set[Key] = set()
    for path in sorted((ROOT / "webapp").rglob("*.py")):
        found |= of_python(path)
    for path in TEMPLATES:
        found |= of_template(path)
    return found


@pytest.fixture(scope="module")
def catalogue() -> polib.POFile:
    return polib.pofile(str(ROOT / "locale" / "ko" / "LC_MESSAGES" / "django.po"))


def translation(entry) -> str:
    return entry.msgstr or entry.msgstr_plural.get(0, "")


def test_the_catalogue_holds_every_text_and_nothing_else(catalogue):
    known = {(entry.msgctxt, entry.msgid) for entry in catalogue}
    assert sources() - known == set(), f"not in the catalogue: {RENEW}"
    assert known - sources() == set(), f"in no source any more: {RENEW}"


def test_everything_is_translated(catalogue):
    assert [entry.msgid for entry in catalogue if not translation(entry)] == [], RENEW
    assert [entry.msgid for entry in catalogue if entry.fuzzy or entry.obsolete] == [], RENEW


def test_translations_keep_what_is_filled_in(catalogue):
    """Names of values are those of the original, and so are tags."""
    wrong = []
    for entry in catalogue:
        original, text = entry.msgid_plural or entry.msgid, translation(entry)
        names = [sorted(set(re.findall(r"%\(\w+\)[a-z]|%[ds%]", one))) for one in (original, text)]
        tags = [sorted(re.findall(r"</?\w+[^>]*>", one)) for one in (original, text)]
        edges = [(one[:1].isspace(), one[-1:].isspace()) for one in (original, text)]
        if names[0] != names[1] or tags[0] != tags[1] or edges[0] != edges[1]:
            wrong.append((original, text))
    assert wrong == []


def test_what_the_engine_says_is_in_the_catalogue():
    assert set(engine_texts.TEXTS) == set(texts()), RENEW


NAMES = {
    "Ab",
    "Ovo",
    "BibTeX",
    "OpenAPI",
    "Setup",
    "Predict",
    "Learn",
    "def",
    "pass",
    "English",
    "EN",
    "CSV",
    "SVG",
    "JSON",
    "TOML",
}
"""Words that are the same in every language: names, and what stands in programs."""

SPOKEN = {"title", "aria-label", "placeholder", "alt"}


class Words(HTMLParser):
    """Collects what a reader would read of a template whose tags and variables are taken out."""

    def __init__(self):
        super().__init__()
        self.words: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag, attributes):
        self.silent += tag in ("code", "pre", "style", "script", "kbd")
        for name, value in attributes:
            if name in SPOKEN:
                self.handle_data(value or "")

    def handle_endtag(self, tag):
        self.silent -= tag in ("code", "pre", "style", "script", "kbd")

    def handle_data(self, data):
        if not self.silent:
            self.words += re.findall(r"[^\W\d_]{2,}", data)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_every_text_of_a_template_is_marked(path):
    text = path.read_text()
    text = re.sub(r"{%\s*comment.*?endcomment\s*%}|{#.*?#}", "", text, flags=re.DOTALL)
    text = re.sub(r"{%\s*blocktrans(late)?\b.*?endblocktrans(late)?\s*%}", "", text, flags=re.DOTALL)
    text = re.sub(r"{%.*?%}|{{.*?}}", "", text, flags=re.DOTALL)
    reader = Words()
    reader.feed(text)
    assert [word for word in reader.words if word not in NAMES and not re.search(r"[가-힣]", word)] == []
