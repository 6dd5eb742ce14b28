"""Markdown and Python code as HTML, for reports and the course."""

from __future__ import annotations

import html
import re
from functools import cache
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from mistune import HTMLRenderer, Markdown, create_markdown
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

PLUGINS = ("strikethrough", "table", "url", "task_lists", "def_list")


class _Renderer(HTMLRenderer):
    """Markdown as HTML: headings have an id."""

    def heading(self, text: str, level: int, **_: Any) -> str:
        """Return a heading, with its words as id."""
        words = html.unescape(re.sub("<[^>]+>", "", text)).replace(" ", "-")
        anchor = html.escape(quote(words, safe="?/:@!$&'()*+,;="))
        return f'<h{level} id="{anchor}">{text}</h{level}>\n'


@cache
def _markdown() -> Markdown:
    return create_markdown(renderer=_Renderer(escape=False), plugins=PLUGINS)


def to_html(text: str) -> Markup:
    r"""Turn Markdown into HTML.

    Examples
    --------
    >>> to_html("## How many?")
    Markup('<h2 id="How-many?">How many?</h2>\n')
    """
    return Markup(_markdown()(text))  # noqa: S704 - what an author wrote; outputs are no Markdown


def highlight_code(text: str) -> Markup:
    """Return Python code as HTML, with classes for its colours."""
    return Markup(highlight(text, PythonLexer(), HtmlFormatter()))  # noqa: S704 - it is escaped
