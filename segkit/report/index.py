"""Which runs are there, what did each find, what has changed, what failed: the index."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from segkit.display import counted
from segkit.report.evidence import SHOWN
from segkit.report.runs import find_batches, find_runs
from segkit.runner.manifest import NAME, file_digest, read_json, write_json
from segkit.writing import write_whole

NAV = re.compile(r"<!--nav-->.*?<!--/nav-->", re.DOTALL)
TITLE = re.compile(r"(<title>.*? – ).*?(?=</title>)", re.DOTALL)
RUN = re.compile(r"(?<=<!--run-->).*?(?=<!--/run-->)", re.DOTALL)
PAGER = re.compile(r"<!--pager-->.*?<!--/pager-->", re.DOTALL)


def write_index(out: Path) -> Path:
    """Write ``index.html`` over all the runs found in a folder.

    Parameters
    ----------
    out : pathlib.Path
        The folder that holds runs.

    Returns
    -------
    pathlib.Path
    """
    from segkit.report.page import page

    runs = find_runs(out)
    target = out / "index.html"
    text = page("index.html.j2", **described(runs), batches=find_batches(out), shown=SHOWN)
    return write_whole(target, text)


def described(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the index says over all runs: its choices, its columns and its first words."""
    titles: dict[str, str] = {}
    for row in (row for run in runs for row in run["rows"]):
        titles.setdefault(row["stem"], row["title"])
    for number, run in enumerate(runs, 1):
        run["number"] = number
        by_stem = {row["stem"]: row for row in run["rows"]}
        run["cells"] = [by_stem.get(stem) for stem in sorted(titles)]
    statuses = sorted({row["status"] for run in runs for row in run["rows"]})
    bad = sum(run["tone"] == "poor" for run in runs)
    said = f"{counted(len(runs), 'run')}, {f'{bad} with a failure' if bad else 'none failed'}"
    return {
        "runs": runs,
        "columns": [(stem, titles[stem]) for stem in sorted(titles)],
        "labels": sorted({run["label"] for run in runs}, key=str.casefold),
        "dates": sorted({run["date"] for run in runs}, reverse=True),
        "statuses": statuses,
        "opening": f"{said}; the latest is of {runs[0]['date']}." if runs else "",
    }


def link_reports(run_folder: Path) -> None:
    """Write into each report of a run whose it is, and the links to the others that exist now."""
    record = read_json(run_folder / "run.json")
    reports = [
        (item["stem"], item.get("title", item["stem"]))
        for item in record.get("notebooks", [])
        if (run_folder / item["stem"] / "report.html").is_file()
    ]
    label = run_label(record, run_folder.name)
    for place, (stem, _) in enumerate(reports):
        path = run_folder / stem / "report.html"
        text = path.read_text(encoding="utf-8")
        nav = _nav(run_folder.name, stem, reports)
        linked = nav.join(NAV.split(text, maxsplit=1))
        linked = _pager(place, reports).join(PAGER.split(linked, maxsplit=1))
        linked = RUN.sub(
            lambda _: label, TITLE.sub(lambda m: m[1] + label, linked, count=1), count=1
        )
        if linked != text:
            write_whole(path, linked)
            _update_manifest(path)


def run_label(record: Mapping[str, Any], name: str) -> str:
    """Say in a report's heading, as HTML, which run it belongs to.

    Examples
    --------
    >>> run_label({"market": "Österreich", "date": "2026-11-22"}, "shop--oesterreich")
    'Österreich, 2026-11-22'
    >>> run_label({"series": "shop", "date": "2026-11-22"}, "shop")
    'shop'
    """
    whose = record.get("market") or record.get("series")
    return html.escape(name if whose in (None, name) else f"{whose}, {record.get('date', '')}")


def _nav(run: str, here: str, reports: list[tuple[str, str]]) -> str:
    items = "".join(
        f'<li aria-current="page">{html.escape(title)}</li>'
        if stem == here
        else f"<li>{_link(stem, title)}</li>"
        for stem, title in reports
    )
    return (
        f'<!--nav--><p><a href="../../index.html#{quote(run)}">← All reports</a></p>'
        f'<p class="kicker">This run</p><ol>{items}</ol><!--/nav-->'
    )


def _pager(place: int, reports: list[tuple[str, str]]) -> str:
    """Return the links to the report before and the one after."""
    before = _link(*reports[place - 1], "← ", "prev") if place else ""
    after = _link(*reports[place + 1], "Next: ", "next") if place + 1 < len(reports) else ""
    return f"<!--pager-->{before}{after}<!--/pager-->"


def _link(stem: str, title: str, before: str = "", rel: str = "") -> str:
    kind = f' rel="{rel}"' if rel else ""
    return f'<a{kind} href="../{quote(stem)}/report.html">{before}{html.escape(title)}</a>'


def _update_manifest(report: Path) -> None:
    manifest = read_json(report.parent / NAME)
    for output in manifest.get("outputs", []):
        if output["path"] == report.name:
            output |= {"bytes": report.stat().st_size, "sha256": file_digest(report)}
    write_json(report.parent / NAME, manifest)
