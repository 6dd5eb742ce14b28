"""Which runs are there, what did each find, what has changed, what failed: the index."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from segkit.runner.manifest import NAME, file_digest, read_json, write_json

NAV = re.compile(r"<!--nav-->.*?<!--/nav-->", re.DOTALL)
WORDS = {
    "done": ("done", "good"),
    "reused": ("done", "good"),
    "interactive": ("run by hand", "attention"),
    "failed": ("failed", "poor"),
    "gate": ("data not fit", "poor"),
    "killed": ("ended from outside", "poor"),
    "not run": ("not run", "attention"),
}


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

    runs = sorted(find_runs(out), key=lambda run: str(run["finished"]), reverse=True)
    target = out / "index.html"
    aside = target.with_name(f".index.{os.getpid()}.new")
    aside.write_text(page("index.html.j2", runs=runs), encoding="utf-8")
    aside.replace(target)
    return target


def find_runs(out: Path) -> list[dict[str, Any]]:
    """Describe every run below a folder, whether a runner or a notebook by hand wrote it."""
    folders = {path.parent for path in out.glob("*/run.json")}
    folders |= {path.parent.parent for path in out.glob(f"*/*/{NAME}")}
    return [_run(folder) for folder in sorted(folders)]


def _run(folder: Path) -> dict[str, Any]:
    record = read_json(folder / "run.json")
    listed = {item["stem"]: item for item in record.get("notebooks", [])}
    for path in sorted(folder.glob(f"*/{NAME}")):
        listed.setdefault(path.parent.name, {"stem": path.parent.name})
    rows = [_row(folder, item) for item in listed.values()]
    first: dict[str, Any] = next(
        (row["summary"] for row in rows if row["summary"].get("period")), {}
    )
    used = record.get("parameters", {})
    finished = record.get("finished") or max((row["finished"] for row in rows), default="")
    verdicts = [row["summary"]["quality"] for row in rows if row["summary"].get("quality")]
    closing = next((row for row in reversed(rows) if row["stem"].endswith("summary")), None)
    source = Path(str(used["data"])).name if used.get("data") else used.get("source", "")
    return {
        "name": folder.name,
        "source": source,
        "finished": _when(finished),
        "period": " to ".join(first.get("period") or []),
        "as_of": next((r["summary"]["as_of"] for r in rows if r["summary"].get("as_of")), ""),
        "quality": verdicts[0] if verdicts else None,
        "summary": closing["summary"] if closing and closing["good"] else {},
        "summary_link": closing["link"] if closing else "",
        "rows": rows,
        "bad": [row for row in rows if row["tone"] == "poor"],
        "done": sum(row["good"] for row in rows),
    }


def _row(folder: Path, item: Mapping[str, Any]) -> dict[str, Any]:
    stem = item["stem"]
    manifest = read_json(folder / stem / NAME)
    summary = read_json(folder / stem / "summary.json")
    status = item.get("status", manifest.get("status", "not run"))
    if status in ("done", "reused") and manifest.get("status"):
        status = manifest["status"]  # run again by hand since
    words, tone = WORDS.get(status, (status, "attention"))
    message = item.get("message", "")
    finished = _when(manifest.get("finished", ""))
    if status == "not run" and finished:
        message += f"; the report shown is of {finished}"
    report = folder / stem / "report.html"
    good = status in ("done", "reused", "interactive")
    return {
        "stem": stem,
        "title": manifest.get("title") or item.get("title", stem),
        "status": words,
        "tone": tone,
        "good": good,
        "message": message if not good else "",
        "link": f"{quote(folder.name)}/{quote(stem)}/report.html" if report.is_file() else "",
        "headline": summary.get("headline", "") if good else "",
        "summary": summary,
        "finished": finished,
        "seconds": manifest.get("seconds", {}).get("execution"),
        "change": change(summary, manifest.get("previous")) if good else [],
        "compared": _when((manifest.get("previous") or {}).get("finished", "")),
    }


def change(summary: Mapping[str, Any], previous: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """List what a notebook says otherwise than it did the last time.

    Parameters
    ----------
    summary : mapping
        The notebook's summary now.
    previous : mapping or None
        Headline and answers of the run before; None if there was none.

    Returns
    -------
    list of dict
        ``what``, ``was`` and ``now`` for the headline and each answer that differs.

    Examples
    --------
    >>> change({"headline": "5 segments"}, {"headline": "4 segments"})
    [{'what': 'Headline', 'was': '4 segments', 'now': '5 segments'}]
    """
    if not previous:
        return []
    found = []
    if previous.get("headline", "") != summary.get("headline", ""):
        found.append(
            {
                "what": "Headline",
                "was": previous.get("headline", ""),
                "now": summary.get("headline", ""),
            }
        )
    was = {row["question"]: row["answer"] for row in previous.get("answers", [])}
    now = {row["question"]: row["answer"] for row in summary.get("answers", [])}
    asked = [*now, *(question for question in was if question not in now)]
    found += [
        {
            "what": question,
            "was": was.get(question, "not asked"),
            "now": now.get(question, "no longer answered"),
        }
        for question in asked
        if was.get(question) != now.get(question)
    ]
    return found


def link_reports(run_folder: Path) -> None:
    """Write into each report of a run the links to the others that exist now."""
    record = read_json(run_folder / "run.json")
    reports = [
        (item["stem"], item.get("title", item["stem"]))
        for item in record.get("notebooks", [])
        if (run_folder / item["stem"] / "report.html").is_file()
    ]
    for stem, _ in reports:
        path = run_folder / stem / "report.html"
        text = path.read_text(encoding="utf-8")
        nav = _nav(run_folder.name, stem, reports)
        linked = nav.join(NAV.split(text, maxsplit=1))
        if linked != text:
            aside = path.with_name(".report.new")
            aside.write_text(linked, encoding="utf-8")
            aside.replace(path)
            _update_manifest(path)


def _nav(run: str, here: str, reports: list[tuple[str, str]]) -> str:
    items = "".join(
        f'<li aria-current="page">{html.escape(title)}</li>'
        if stem == here
        else f'<li><a href="../{quote(stem)}/report.html">{html.escape(title)}</a></li>'
        for stem, title in reports
    )
    return (
        f'<!--nav--><p><a href="../../index.html#{quote(run)}">← All reports</a></p>'
        f'<p class="kicker">This run</p><ol>{items}</ol><!--/nav-->'
    )


def _update_manifest(report: Path) -> None:
    manifest = read_json(report.parent / NAME)
    for output in manifest.get("outputs", []):
        if output["path"] == report.name:
            output |= {"bytes": report.stat().st_size, "sha256": file_digest(report)}
    write_json(report.parent / NAME, manifest)


def _when(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"
    except ValueError:
        return text
