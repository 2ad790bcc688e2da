"""Notes of strangers: what Markdown can do, and that nothing else comes through."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.lib.markdown import SCHEMES, TAGS, to_html

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://example.org/pixel.png)",
    "![x](javascript:alert(1))",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\nscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "[x](file:///etc/passwd)",
    "<javascript:alert(1)>",
    "<https://example.org/\"onmouseover=alert(1)>",
    '[x](https://example.org "a\\" onclick=alert(1) b=\\"")',
    "[x]: javascript:alert(1)\n\n[x]",
    "<svg/onload=alert(1)>",
    "<iframe src=//example.org></iframe>",
    "<a href=x onclick=alert(1)>x</a>",
    "<style>*{display:none}</style>",
    "<form action=//example.org><input name=password></form>",
    "<base href=//example.org>",
    "<meta http-equiv=refresh content=0;url=//example.org>",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "`<script>alert(1)</script>`",
    "```\"><script>alert(1)</script>\nx\n```",
    "| <script>alert(1)</script> |\n|---|\n| <img src=x> |",
    "<div style=\"position:fixed;inset:0\">x</div>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
]  # fmt: skip


class Reader(HTMLParser):
    """Checks every tag and attribute that a browser would see."""

    def handle_starttag(self, tag, attributes):
        assert tag in TAGS, tag
        for name, value in attributes:
            assert (tag, name) in {("a", "href"), ("a", "title"), ("a", "rel"), ("ol", "start")}, (tag, name)
            if name == "href" and ":" in (value or ""):
                assert value.split(":")[0].lower() in SCHEMES or value.startswith(("/", "#", "?", ".")), value

    def handle_decl(self, decl):
        raise AssertionError(decl)

    def unknown_decl(self, data):
        raise AssertionError(data)


def check(html: str) -> None:
    reader = Reader()
    reader.feed(html)
    reader.close()


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_comes_through(text):
    check(to_html(text))


@given(st.lists(st.sampled_from([*HOSTILE, "\n", "\n\n", " ", "> ", "- ", "`", "[", "](", ")", "<", ">", "&#", "\\"])))
@settings(max_examples=300, deadline=None)
def test_no_mixture_comes_through(parts):
    check(to_html("".join(parts)))


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_any_text_is_safe(text):
    check(to_html(text))


def test_what_markdown_can_do():
    html = to_html("# Why\n\n**bold** `s1 = dot(v0, v1)` ~~no~~\n\n- a\n- b\n\n| x | y |\n|---|---|\n| 1 | 2 |")
    for part in (
        "<h3>Why</h3>",
        "<strong>bold</strong>",
        "<code>s1 = dot(v0, v1)</code>",
        "<s>no</s>",
        "<li>a</li>",
        "<td>2</td>",
    ):
        assert part in html


def test_links_lend_no_weight():
    html = to_html("[paper](https://example.org/a?b=1&c=2)")
    assert 'href="https://example.org/a?b=1&amp;c=2"' in html and 'rel="nofollow noopener noreferrer ugc"' in html


def test_deep_nesting_ends():
    for text in ("> " * 3000 + "x", "- " * 3000 + "x", "[" * 3000, "*" * 5000 + "x", "<" * 5000, "`" * 4999):
        assert len(to_html(text)) < 100_000
