"""Rendering of an executed notebook as a report."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import nbformat

from segkit.display import first_sentence, number
from segkit.intake.privacy import mask_outputs
from segkit.report.markup import highlight_code, to_html
from segkit.report.overview import describe_run
from segkit.report.page import (
    SHOWN,
    files,
    hide_addresses,
    linked,
    mark_tables,
    part,
    style,
)
from segkit.runner.catalog import INJECTED
from segkit.runner.manifest import NOT_IN_KEY, WORK, read_json
from segkit.runner.notebook import LEFT_OUT
from segkit.runner.parameters import parse_parameters

# papermill's own announcements of a failure; the report has a plainer one
MARKERS = {"papermill-error-cell-tag"}
HEADING = re.compile(r'<h([23])[^>]*\bid="([^"]+)"[^>]*>(.*?)</h\1>', re.DOTALL)
LAST_HEADING = re.compile(r"(?:^|\n)#{2,3} [^\n]*\s*$")
SAID = re.compile(r'<div class="segkit-text">((?:<p>.*?</p>)+)</div>', re.DOTALL)
HOW_SURE = "How sure, and how"
SHORT = 10  # words of a paragraph that is not worth a fold
COLOUR = re.compile(r"\x1b\[[\d;]*m")  # of a terminal
FETCHED = re.compile(
    r"<(?P<tag>script|link|img|iframe|object|embed|source|video|audio|image|use)\b[^>]*?"
    r"\b(?:src|href|data|srcset|poster)\s*=\s*[\"']?\s*(?:https?:)?//(?P<host>[^/\"'\s>]+)[^>]*>"
    r"(?:\s*</(?P=tag)>)?",
    re.IGNORECASE,
)
FETCHED_CSS = re.compile(
    r"@import\s+[^;]*(?:https?:)?//[^;]*;?|url\(\s*[\"']?(?:https?:)?//[^)]*\)", re.IGNORECASE
)
TROUBLE = {
    "failed": "This notebook failed",
    "gate": "The data cannot carry this analysis",
    "killed": "This notebook was ended from outside",
}


def write_report(folder: Path, stem: str, manifest: Mapping[str, Any], *, run_name: str) -> Path:
    """Write ``report.html`` beside the executed notebook ``<stem>.ipynb``.

    The outputs of the cells are masked in both, unless the notebook was opened for personal data
    (`segkit.intake.privacy.mask_outputs`).

    Parameters
    ----------
    folder : pathlib.Path
        The notebook's folder, with ``summary.json`` if the notebook was completed.
    stem : str
        The notebook's name.
    manifest : mapping
        Status, parameters, versions and times.
    run_name : str
        The run's name.

    Returns
    -------
    pathlib.Path
    """
    path = folder / f"{stem}.ipynb"
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    notebook.cells = [c for c in notebook.cells if not MARKERS & {*c.metadata.get("tags", [])}]
    summary = read_json(folder / "summary.json")
    if not summary.get("personal"):
        mask_outputs(notebook.cells)
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
    page = _page(notebook, manifest, summary, run_name)
    page["answers"] = part(
        "answers.html.j2", answers=linked(page["answers"], stem, _run_of(folder)), shown=SHOWN
    )
    page["files"] = files(folder)
    page["overview"] = _overview(folder, stem, summary) if stem.endswith("summary") else ""
    notebook.cells = [c for c in notebook.cells if INJECTED not in c.metadata.get("tags", [])]
    if manifest["status"] == "done":
        notebook.cells = _without_left_out(notebook.cells)
        _drop_bare_headings(notebook.cells)
        notebook.cells = _with_code_joined(notebook.cells)
    mark_tables(notebook)
    fold_words(notebook.cells, summary.get("headline", ""))
    text = part(
        "report.html.j2",
        page=page,
        cells=notebook.cells,
        to_html=to_html,
        highlight_code=highlight_code,
        plain=partial(COLOUR.sub, ""),
    )
    text = keep_offline(text)
    text = hide_addresses(text.replace("<!--contents-->", _contents(text), 1))
    target = folder / "report.html"
    target.write_text(text, encoding="utf-8")
    return target


def fold_words(cells: list[Any], headline: str = "") -> None:
    """Fold what explains: a report opens with its headings and findings, and what follows.

    Of a text, headings and paragraphs that begin in bold stay open; of a result's text, its first
    sentence does, unless it is the headline, which the page opens with.
    """
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.metadata["parts"] = _parts(cell.source)
        for output in cell.get("outputs", []):
            shown = output.get("data", {}).get("text/html", "")
            if SAID.search(shown):
                output["data"]["text/html"] = SAID.sub(partial(_folded, headline=headline), shown)


def _parts(source: str) -> list[dict[str, Any]]:
    """Split a text into runs of paragraphs that stay open and that are folded."""
    parts: list[dict[str, Any]] = []
    for block in re.split(r"\n\s*\n", source.strip()):
        is_open = block.startswith(("#", "**")) or len(block.split()) <= SHORT
        if parts and parts[-1]["open"] == is_open:
            parts[-1]["source"] += f"\n\n{block}"
        elif block:
            parts.append({"open": is_open, "source": block})
    return parts


def _folded(match: re.Match[str], *, headline: str) -> str:
    """Return a result's text with all but its first sentence folded."""
    first, *others = re.findall(r"<p>(.*?)</p>", match[1], re.DOTALL)
    finding = first_sentence(first)
    rest = first[len(finding) :].strip()
    folded = "".join(f"<p>{text}</p>" for text in (rest, *others) if text)
    fold = (
        f"<details class='method'><summary>{HOW_SURE}</summary>{folded}</details>" if folded else ""
    )
    opening = "" if html.unescape(finding) == headline else f"<p>{finding}</p>"
    return f'<div class="segkit-text">{opening}{fold}</div>'


def _run_of(folder: Path) -> Path:
    """Return the run's folder: a report may be written aside, before it is put in its place."""
    return folder.parents[1] if folder.parent.name == WORK else folder.parent


def keep_offline(text: str) -> str:
    """Replace everything that a browser would load from other sites by a note.

    Examples
    --------
    >>> keep_offline('<img src="https://example.org/x.png"> and <a href="#top">up</a>')
    '<em>[left out: content from example.org]</em> and <a href="#top">up</a>'
    """
    text = FETCHED.sub(lambda m: f"<em>[left out: content from {m['host']}]</em>", text)
    return FETCHED_CSS.sub("", text)


def _overview(folder: Path, stem: str, summary: Mapping[str, Any]) -> str:
    """Return the run's first page, for the report of its summary."""
    run = _run_of(folder)
    paths = sorted(run.glob("*/summary.json"))
    before = [read_json(path) for path in paths if path.parent.name != stem]
    first = describe_run(run, [*before, summary], own=folder)
    return part("overview.html.j2", page=first, level=2) if any(first.values()) else ""


def _page(
    notebook: Any, manifest: Mapping[str, Any], summary: Mapping[str, Any], run_name: str
) -> dict[str, Any]:
    question, intro = _opening(notebook)
    seconds = manifest["seconds"]["execution"]
    finished = datetime.fromisoformat(manifest["finished"])
    error = manifest["error"]
    where = f", in cell {error['cell']}" if error and error.get("cell") else ""
    making = [
        ("Finished", f"{finished:%Y-%m-%d %H:%M} UTC"),
        ("Run time", f"{seconds:.1f} s"),
        ("Peak memory", f"{manifest['peak_memory_bytes'] / 2**20:,.0f} MiB"),
        ("Key", manifest["key"][:12]),
        *manifest["versions"].items(),
    ]
    return {
        "css": style("style.css", "evidence.css", "overview.css", "report.css"),
        "script": style("wide.js", "report.js", "evidence.js"),
        "title": manifest["title"],
        "run": run_name,
        "question": question or manifest["question"] or manifest["title"],
        "intro": intro,
        "error": error,
        "trouble": f"{TROUBLE.get(manifest['status'], 'Not done')}{where}.",
        "headline": summary.get("headline", ""),
        "quality": summary.get("quality"),
        "facts": _facts(manifest, summary),
        "answers": summary.get("answers", []),
        "skips": _reasons(summary.get("skips", [])),
        "parameters": _parameters(notebook, manifest["parameters"]),
        "making": making,
        "signature": f"segkit {manifest['versions']['segkit']} · {manifest['notebook']} · "
        f"{finished:%Y-%m-%d %H:%M} UTC",
    }


def _reasons(skips: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return each reason for which parts are left out, once, with the names of the parts.

    Examples
    --------
    >>> _reasons([{"what": "offer_profits", "why": "No campaign."},
    ...           {"what": "lift", "why": "No campaign."}])
    [('No campaign', 'offer profits, lift')]
    """
    reasons: dict[str, list[str]] = {}
    for skip in skips:
        if skip.get("wanted", True):
            name = str(skip["what"]).replace("_", " ")
            why = str(skip["why"]).rstrip(".")
            reasons.setdefault(f"{why[:1].upper()}{why[1:]}", []).append(name)
    return [(why, ", ".join(names)) for why, names in reasons.items()]


def _facts(manifest: Mapping[str, Any], summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    used = manifest["parameters"]
    facts = [("Source", Path(str(used["data"])).name if used.get("data") else used.get("source"))]
    if summary.get("period"):
        facts.append(("Period", " to ".join(summary["period"])))
    if summary.get("as_of"):
        facts.append(("As of", summary["as_of"]))
    rows = summary.get("rows") or {}
    if rows:  # one item, so that a single count does not wrap to a separate line
        counts = (f"{number(value)} {name.replace('_', ' ')}" for name, value in rows.items())
        facts.append(("Money in", summary.get("currency") or "currency of the data"))
        facts.append(("Made from", ", ".join(counts)))
    return [(name, str(value)) for name, value in facts if value]


def _opening(notebook: Any) -> tuple[str, str]:
    """Remove the first heading and its text from the notebook: the page's header shows them."""
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            first, _, rest = cell.source.strip().partition("\n")
            if not first.startswith("# "):
                return "", ""
            del notebook.cells[index]
            parts = [] if not rest.strip() else _parts(rest)
            shown = [
                to_html(one["source"])
                if one["open"]
                else "<details class='method'><summary>Background</summary>"
                f"{to_html(one['source'])}</details>"
                for one in parts
            ]
            return first[2:].strip(), "".join(shown)
    return "", ""


def _without_left_out(cells: list[Any]) -> list[Any]:
    """Return the cells without those left out, and without sections that then show nothing.

    A section shows nothing if what is left of it has no output and only folded words.
    """
    sections: list[list[Any]] = [[]]
    for cell in cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            sections.append([])
        sections[-1].append(cell)
    shown = []
    for section in sections:
        rest = [c for c in section if c.cell_type != "code" or not _is_left_out(c)]
        has_code = any(cell.cell_type == "code" for cell in rest)
        if len(rest) == len(section) or (has_code and any(map(_shows, rest))):
            shown += rest
    return shown


def _shows(cell: Any) -> bool:
    """Return whether a cell has an output, or words that stay open beside headings."""
    if cell.cell_type == "code":
        return bool(cell.outputs)
    opened = "\n\n".join(one["source"] for one in _parts(cell.source) if one["open"])
    return any(block and not block.startswith("#") for block in opened.split("\n\n"))


def _is_left_out(cell: Any) -> bool:
    shown = (output.get("data", {}).get("text/html", "") for output in cell.outputs)
    return any(LEFT_OUT in text for text in shown)


def _drop_bare_headings(cells: list[Any]) -> None:
    """Remove headings with only folded code below them."""
    for place, cell in enumerate(cells):
        heading = LAST_HEADING.search(cell.source) if cell.cell_type == "markdown" else None
        below = list(takewhile(lambda other: other.cell_type == "code", cells[place + 1 :]))
        if heading and below and not any(other.outputs for other in below):
            cell.source = cell.source[: heading.start()]


def _with_code_joined(cells: list[Any]) -> list[Any]:
    """Join code without an output to the code below it: one fold for what makes an output."""
    joined: list[Any] = []
    for cell in cells:
        last = joined[-1] if joined else None
        if last and last.cell_type == cell.cell_type == "code" and not last.outputs:
            cell.source = f"{last.source}\n\n{cell.source}".strip()
            joined.pop()
        joined.append(cell)
    return joined


def _parameters(notebook: Any, used: Mapping[str, Any]) -> list[dict[str, str]]:
    for cell in list(notebook.cells):
        if "parameters" in cell.metadata.get("tags", []):
            notebook.cells.remove(cell)
            declared = parse_parameters(cell.source)
            return [
                {"name": name, "value": repr(value), "help": declared[name].help}
                for name, value in used.items()
                if name in declared and name not in NOT_IN_KEY
            ]
    return []


def _contents(text: str) -> str:
    rows = [
        f'<li{" class=sub" if level == "3" else ""}><a href="#{anchor}">'
        f"{re.sub('<[^>]+>', '', words).strip()}</a></li>"
        for level, anchor, words in HEADING.findall(text)
    ]
    if not rows:
        return ""
    return (
        '<nav aria-label="Contents"><p class="kicker">In this report</p>'
        f"<ol>{''.join(rows)}</ol></nav>"
    )
