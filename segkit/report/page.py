"""Pages and their parts: templates, style sheets, and links from answers to evidence."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from segkit.display import counted, number

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
LINK = re.compile(r'<a href="(tables/([^"]+)\.(?:csv|parquet))">([^<]*)</a>')
SHORT = re.compile(r"\b(?:rfm|nps|csat|kpi|pdf)\b", re.IGNORECASE)
SHOWN = 6  # answers shown at first; the others are folded
MADE_FOR = {"tables": "tables, as shown", "data": "data, for later notebooks"}
ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b")
LEFT_OUT = "[address left out]"


@cache
def templates(folder: Path = TEMPLATES) -> Environment:
    """Return the templates of a folder; what they are filled with is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def part(template: str, **values: Any) -> str:
    """Fill a template that is a part of a page; all values are escaped."""
    return templates().get_template(template).render(**values)


def page(template: str, **values: Any) -> str:
    """Fill a template that is a whole page, with its style and script; all values are escaped."""
    looks = {
        "css": style("style.css", "evidence.css", "overview.css", "index.css"),
        "script": style("wide.js", "evidence.js", "index.js"),
    }
    return hide_addresses(part(template, **looks, **values))


def hide_addresses(text: str) -> str:
    """Remove e-mail addresses from a page, because they are personal data.

    Examples
    --------
    >>> hide_addresses("Bought by ann.b@shop.example, as sum@once says.")
    'Bought by [address left out], as sum@once says.'
    """
    return ADDRESS.sub(LEFT_OUT, text)


def style(*names: str) -> str:
    """Return style sheets of the templates' folder as one."""
    return "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)


def anchor(name: str) -> str:
    """Return the id, within a report, of a table or picture.

    Examples
    --------
    >>> anchor("audit_findings")
    'table-audit_findings'
    """
    return f"table-{name}"


def words(evidence: str) -> str:
    """Write the name of a table or picture in words.

    Examples
    --------
    >>> words("10_campaign_lift/sample_ratio"), words("rfm_segments"), words("")
    ('Campaign lift: sample ratio', 'RFM segments', '')
    """
    stem, _, name = evidence.rpartition("/")
    stem = re.sub(r"^\d+_", "", stem)
    text = f"{stem}: {name}" if stem else name
    text = SHORT.sub(lambda match: match[0].upper(), text.replace("_", " "))
    return text[:1].upper() + text[1:]


def mark_tables(notebook: Any) -> None:
    """Give each output that shows a table or picture an anchor, and its link a full name."""
    marked = set()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            shown = output.get("data", {}).get("text/html", "")
            match = LINK.search(shown)
            if not match:
                continue
            name = unquote(match[2])
            if name not in marked:
                output.setdefault("metadata", {})["anchor"] = anchor(name)
            marked.add(name)
            output["data"]["text/html"] = LINK.sub(_named, shown)


def _named(match: re.Match[str]) -> str:
    name = html.escape(words(unquote(match[2])))
    return f'<a href="{match[1]}" download aria-label="{match[3]}: {name}">{match[3]}</a>'


def linked(
    answers: Sequence[Mapping[str, Any]], current: str, reports: Path, *, above: str = "../"
) -> list[dict[str, str]]:
    """Return answers with links to their evidence and its data.

    Parameters
    ----------
    answers : sequence of mapping
        ``question``, ``answer``, ``evidence`` and ``link`` (a file, from the run's folder).
    current : str
        The report's own notebook; empty on the index.
    reports : pathlib.Path
        The run's folder: if the report of an evidence is missing, only its data are linked.
    above : str
        Relative path from the page to the run's folder.

    Returns
    -------
    list of dict
        ``question``, ``answer``, ``evidence`` (in words), ``at`` (the place), ``data`` (the file).
    """
    rows = []
    for row in answers:
        link = str(row.get("link") or "")
        stem, _, rest = link.partition("/tables/")
        name = rest.rpartition(".")[0]
        page = f"{above}{quote(stem)}/report.html"
        exists = stem == current or (reports / stem / "report.html").is_file()
        place = f"{'' if stem == current else page}#{quote(anchor(name))}"
        rows.append(
            {
                "question": str(row.get("question", "")),
                "answer": str(row.get("answer", "")),
                "evidence": words(str(row.get("evidence", ""))),
                "at": place if link and exists else "",
                "data": f"{above}{quote(link)}" if link else "",
                "kind": link.rpartition(".")[2].upper(),
            }
        )
    return rows


def files(folder: Path) -> list[dict[str, Any]]:
    """List the files of data in a report's folder, as groups, each with a name and a size."""
    groups = []
    for part, purpose in MADE_FOR.items():
        paths = sorted(
            path
            for path in (folder / part).rglob("*")
            if path.is_file() and path.suffix in (".csv", ".parquet")
        )
        rows = [
            {
                "href": quote(path.relative_to(folder).as_posix()),
                "name": words(path.relative_to(folder / part).with_suffix("").as_posix()),
                "kind": path.suffix[1:].upper() if path.suffix == ".csv" else "Parquet",
                "size": size(path.stat().st_size),
            }
            for path in paths
        ]
        if rows:
            groups.append({"title": f"{counted(len(rows), 'file')}: {purpose}", "rows": rows})
    return groups


def size(count: int) -> str:
    """Write a number of bytes for a reader.

    Examples
    --------
    >>> size(120), size(34_567), size(2_500_000)
    ('1 kB', '35 kB', '2.50 MB')
    """
    if count < 1_000_000:
        return f"{max(1, round(count / 1000))} kB"
    return f"{number(count / 1_000_000)} MB"
