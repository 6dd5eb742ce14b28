"""Fills the templates that are no notebook's: the index and its like."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from segkit.report.style import TEMPLATES, style

ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b")
LEFT_OUT = "[address left out]"


@cache
def _place() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def part(template: str, **values: Any) -> str:
    """Fill a template that is a part of a page; all values are escaped."""
    return _place().get_template(template).render(**values)


def page(template: str, **values: Any) -> str:
    """Fill a template that is a whole page, with its style and script; all values are escaped."""
    looks = {"css": style("style.css", "index.css"), "script": style("wide.js", "index.js")}
    return hide_addresses(part(template, **looks, **values))


def hide_addresses(text: str) -> str:
    """Take e-mail addresses out of a page, wherever they came from: they name a person.

    Examples
    --------
    >>> hide_addresses("Bought by ann.b@shop.example, as sum@once says.")
    'Bought by [address left out], as sum@once says.'
    """
    return ADDRESS.sub(LEFT_OUT, text)
