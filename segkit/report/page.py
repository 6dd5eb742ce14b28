"""Fills the templates that are no notebook's: the index and its like."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from segkit.report.style import TEMPLATES, style


def page(template: str, **values: Any) -> str:
    """Fill a template of the templates' folder; all values are escaped."""
    place = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return place.get_template(template).render(css=style("style.css", "index.css"), **values)
