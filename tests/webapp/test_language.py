"""The language switch, and how catalogues are compiled."""

import gettext

import pytest

from webapp.lib.translations import compile_catalogues

pytestmark = pytest.mark.django_db


def test_the_choice_is_remembered_and_leads_back(client):
    response = client.get("/language/ko/", {"next": "/learn/?a=b"})
    assert response.headers["Location"] == "/learn/?a=b"
    assert '<html lang="ko"' in client.get("/learn/").content.decode()
    client.get("/language/en/")
    assert '<html lang="en"' in client.get("/learn/").content.decode()


@pytest.mark.parametrize(
    "back", ["//example.org/", "https://example.org/", "javascript:alert(1)", "\\\\example.org", ""]
)
def test_it_leads_nowhere_else(client, back):
    assert client.get("/language/ko/", {"next": back}).headers["Location"] == "/"


def test_other_languages_are_not_there(client):
    assert client.get("/language/de/").status_code == 404


def test_the_browser_s_language_counts_until_one_is_chosen(client):
    assert '<html lang="ko"' in client.get("/learn/", headers={"accept-language": "ko-KR,ko;q=0.9"}).content.decode()
    client.get("/language/en/")
    assert '<html lang="en"' in client.get("/learn/", headers={"accept-language": "ko-KR"}).content.decode()


def test_a_title_is_translated_where_it_is_the_preset_s(client, make_search):
    make_search(title="From nothing, on handwritten digits")
    make_search(title="Stop")  # somebody's own words stay as they are
    client.get("/language/ko/")
    text = client.get("/searches/").content.decode()
    client.get("/language/en/")
    assert ">무에서, 손글씨 숫자로<" in text and ">Stop<" in text
    assert ">From nothing, on handwritten digits<" in client.get("/searches/").content.decode()


PO = """
msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\\nPlural-Forms: nplurals=1; plural=0;\\n"

msgid "one"
msgstr "하나"

msgctxt "role"
msgid "one"
msgstr "한 역할"

msgid "%(n)s line"
msgid_plural "%(n)s lines"
msgstr[0] "%(n)s줄"

#, fuzzy
msgid "doubtful"
msgstr "의심"

msgid "untranslated"
msgstr ""
"""


def test_catalogues_are_compiled_when_they_change(tmp_path):
    source = tmp_path / "locale" / "ko" / "LC_MESSAGES" / "django.po"
    source.parent.mkdir(parents=True)
    source.write_text(PO)
    target = tmp_path / "compiled"
    (compiled,) = compile_catalogues(target, sources=tmp_path / "locale")
    with compiled.open("rb") as file:
        catalogue = gettext.GNUTranslations(file)
    assert catalogue.gettext("one") == "하나" and catalogue.pgettext("role", "one") == "한 역할"
    assert catalogue.ngettext("%(n)s line", "%(n)s lines", 1) == "%(n)s줄"
    assert catalogue.gettext("doubtful") == "doubtful" and catalogue.gettext("untranslated") == "untranslated"
    assert compile_catalogues(target, sources=tmp_path / "locale") == []
    source.write_text(PO.replace("하나", "하나의"))
    assert compile_catalogues(target, sources=tmp_path / "locale") == [compiled]


def test_a_broken_catalogue_leaves_what_was_compiled(tmp_path):
    source = tmp_path / "locale" / "ko" / "LC_MESSAGES" / "django.po"
    source.parent.mkdir(parents=True)
    source.write_text(PO)
    (compiled,) = compile_catalogues(tmp_path / "compiled", sources=tmp_path / "locale")
    before = compiled.read_bytes()
    source.write_text('msgid "x\nmsgstr')
    with pytest.raises(OSError):
        compile_catalogues(tmp_path / "compiled", sources=tmp_path / "locale")
    assert compiled.read_bytes() == before
