"""Markdown of strangers as HTML that is safe to show: no raw HTML, no images, nothing that loads or runs anything."""

from __future__ import annotations

from functools import lru_cache

import nh3
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt

TAGS = {
    "p", "br", "hr", "em", "strong", "s", "del", "code", "pre", "blockquote", "ul", "ol", "li", "a", "h3", "h4", "h5",
    "h6", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip

SCHEMES = {"http", "https", "mailto"}
DEEPEST = 20
"""Levels of nested lists and quotes; beyond, the parser leaves the text as it is."""

_HEADING = 2
"""Headings of a note begin below the page's own."""

_parser = (
    MarkdownIt("commonmark", {"html": False, "linkify": False, "maxNesting": DEEPEST})
    .enable(["strikethrough", "table"])
    .disable(["image"])
)


@lru_cache(maxsize=512)
def to_html(text: str) -> SafeString:
    """Return the text's HTML. What is written in it can be read, but does nothing but link."""
    tokens = _parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + _HEADING, 6)}"
    html = _parser.renderer.render(tokens, _parser.options, {})
    # The parser escapes raw HTML already; this holds whatever it overlooks.
    return SafeString(
        nh3.clean(
            html, tags=TAGS, attributes={"a": {"href", "title"}, "ol": {"start"}}, url_schemes=SCHEMES,
            link_rel="nofollow noopener noreferrer ugc",
        )
    )  # fmt: skip
