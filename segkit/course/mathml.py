"""Markdown with formulae, as HTML that needs no network: LaTeX becomes MathML."""

from __future__ import annotations

import re
from html import escape

from segkit.runner.process import import_nbformat

CODE = r"```.*?```|`[^`\n]+`"
MATH = re.compile(rf"(?P<code>{CODE})|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$\n]+?)\$", re.DOTALL)
ANCHOR = re.compile(r'<a class="anchor-link".*?</a>', re.DOTALL)


def to_html(text: str) -> str:
    r"""Turn Markdown with ``$...$`` and ``$$...$$`` into HTML.

    Examples
    --------
    >>> "<mfrac>" in to_html(r"Half is $\frac{1}{2}$.")
    True
    """
    import_nbformat()
    from nbconvert.filters.markdown import markdown2html

    formulae: list[str] = []

    def keep(match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        formulae.append(mathml(match["block"] or match["inline"], block=bool(match["block"])))
        return f"MATH{len(formulae) - 1}HTAM"

    page = str(markdown2html(MATH.sub(keep, text)))
    page = ANCHOR.sub("", page)
    return re.sub(r"MATH(\d+)HTAM", lambda match: formulae[int(match[1])], page)


def mathml(formula: str, *, block: bool = False) -> str:
    """Turn a LaTeX formula into MathML; the LaTeX is kept as its alternative text.

    Examples
    --------
    >>> mathml("x")[:5]
    '<math'
    """
    from latex2mathml.converter import convert

    page = str(convert(formula.strip(), display="block" if block else "inline"))
    return page.replace("<math ", f'<math alttext="{escape(formula.strip())}" ', 1)
