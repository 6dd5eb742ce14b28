"""Index of all runs: what each found, what has changed, and what failed."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

from segkit.display import counted, first_sentence
from segkit.report.change import causes, change, in_words
from segkit.report.overview import compare_run, describe_run
from segkit.report.page import SHOWN, linked, page
from segkit.runner.manifest import NAME, file_digest, read_json, write_json
from segkit.writing import write_whole

MOST_PICTURES = 6  # runs whose index shows the picture of each campaign
BATCH = "batch.json"
SEGMENTS = "05_segments"
PDF = "summary.pdf"
WORDS = {
    "done": ("done", "good"),
    "reused": ("done", "good"),
    "interactive": ("run by hand", "attention"),
    "failed": ("failed", "poor"),
    "gate": ("stopped at the gate", "skipped"),
    "killed": ("ended from outside", "poor"),
    "stopped": ("stopped", "poor"),
    "skipped": ("too small", "skipped"),
    "running": ("not finished", "attention"),
    "not run": ("not run", "skipped"),
}
GOOD = ("done", "reused", "interactive")
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
    runs = find_runs(out)
    target = out / "index.html"
    text = page(
        "index.html.j2", **described(runs), batches=find_batches(out), shown=SHOWN, counted=counted
    )
    return write_whole(target, text)


def described(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the contents of the index over all runs: choices, columns, opening sentence."""
    titles: dict[str, str] = {}
    for row in (row for run in runs for row in run["rows"]):
        titles.setdefault(row["stem"], row["title"])
    for number, run in enumerate(runs, 1):
        run["number"] = number
        summaries = [row["summary"] for row in run["rows"] if row["good"]]
        above = f"{quote(run['name'])}/"
        shows = len(runs) <= MOST_PICTURES
        run["page"] = describe_run(run["folder"], summaries, above=above, picture=shows)
        if run["trouble"]:  # told above it
            run["page"]["calm"] = ""
        run["compared"] = compare_run(run["page"])
        by_stem = {row["stem"]: row for row in run["rows"]}
        run["cells"] = [by_stem.get(stem) for stem in sorted(titles)]
    statuses = sorted({row["status"] for run in runs for row in run["rows"]})
    bad = sum(run["tone"] == "poor" for run in runs)
    counts = f"{counted(len(runs), 'run')}, {f'{bad} with a failure' if bad else 'none failed'}"
    return {
        "runs": runs,
        "columns": [(stem, titles[stem]) for stem in sorted(titles)],
        "labels": sorted({run["label"] for run in runs}, key=str.casefold),
        "dates": sorted({run["date"] for run in runs}, reverse=True),
        "statuses": statuses,
        "opening": f"{counts}; the latest is of {runs[0]['date']}." if runs else "",
    }


def link_reports(run_folder: Path) -> None:
    """Write into each report of a run its label and the links to the other reports."""
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


def _nav(run: str, current: str, reports: list[tuple[str, str]]) -> str:
    items = "".join(
        f'<li aria-current="page">{html.escape(title)}</li>'
        if stem == current
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


def find_runs(out: Path) -> list[dict[str, Any]]:
    """Describe every run below a folder, written by the runner or by a notebook run by hand.

    The latest comes first; of one day's markets the largest.
    """
    folders = {path.parent for path in out.glob("*/run.json")}
    folders |= {path.parent.parent for path in out.glob(f"*/*/{NAME}")}
    runs = [_run(folder) for folder in sorted(folders)]
    runs.sort(key=lambda run: str(run["ended"]), reverse=True)
    runs.sort(key=lambda run: run["customers"] or 0 if run["market"] else 0, reverse=True)
    latest: dict[str, str] = {}
    for run in runs:
        latest[run["series"]] = max(run["date"], latest.get(run["series"], ""))
    runs.sort(key=lambda run: (run["date"], latest[run["series"]]), reverse=True)
    return runs


def find_batches(out: Path) -> list[dict[str, Any]]:
    """Describe every batch of markets below a folder, the latest first."""
    batches = []
    for path in out.glob(f"*/{BATCH}"):
        record = read_json(path)
        markets = record.get("markets", [])
        bad = [one for one in markets if WORDS.get(one["status"], ("", "poor"))[1] == "poor"]
        statuses = [one["status"] for one in markets]
        skipped, gate = statuses.count("skipped"), statuses.count("gate")
        unassigned = (record.get("rows") or {}).get("without a market") or 0
        shared = record.get("shared_customers") or 0
        notes = [
            f"{len(markets) - len(bad) - skipped - gate} of {counted(len(markets), 'market')} done"
        ]
        notes += [f"{len(bad)} failed"] if bad else []
        notes += [f"{gate} stopped where the data carry no more"] if gate else []
        notes += [f"{skipped} too small to be analysed"] if skipped else []
        notes += [f"{counted(unassigned, 'row')} without a market"] if unassigned else []
        if shared:
            notes.append(f"{counted(shared, 'customer')} in two or more markets, seen in each")
        batches.append(
            {
                "series": record.get("series", path.parent.name),
                "by": str(record.get("by") or "market"),
                "date": record.get("date", ""),
                "finished": record.get("finished", ""),
                "text": f"{'; '.join(notes)}.",
                "bad": bool(bad),
            }
        )
    return sorted(batches, key=lambda batch: str(batch["finished"]), reverse=True)


def _run(folder: Path) -> dict[str, Any]:
    record = read_json(folder / "run.json")
    items = record.get("notebooks")  # a run.json of another program may contain anything
    listed = {
        item["stem"]: item
        for item in (items if isinstance(items, list) else [])
        if isinstance(item, dict) and "stem" in item
    }
    for path in sorted(folder.glob(f"*/{NAME}")):
        listed.setdefault(path.parent.name, {"stem": path.parent.name})
    manifests = {stem: read_json(folder / stem / NAME) for stem in listed}
    writers = _writers(manifests, listed)
    rows = [_row(folder, item, manifests[stem], writers) for stem, item in listed.items()]
    for row, other in product(rows, rows):
        row["message"] = row["message"].replace(other["stem"], other["title"])
    closing = next((row for row in reversed(rows) if row["stem"].endswith("summary")), None)
    if closing is None and rows and all(row["good"] for row in rows):
        closing = rows[-1]  # a source of which there is no summary: a campaign alone
    summary = closing["summary"] if closing and closing["good"] else {}
    by_summary = bool(summary) and closing is not None and closing["stem"].endswith("summary")
    finished = (manifest.get("finished", "") for manifest in manifests.values())
    ended = record.get("finished") or max(finished, default="")
    market = record.get("market")
    return {
        "name": folder.name,
        "label": str(market) if market else str(record.get("series") or folder.name),
        "series": str(record.get("series") or folder.name),
        "market": str(market) if market else "",
        "date": str(record.get("date") or str(ended)[:10]),
        "ended": ended,
        "finished": when(ended),
        "folder": folder,
        "headline": summary.get("headline", ""),
        "brief": first_sentence(summary.get("headline", "")),
        "answers": linked(summary.get("answers", []), "", folder, above=f"{quote(folder.name)}/"),
        "summary_link": closing["link"] if closing and by_summary else "",
        "pdf": f"{quote(folder.name)}/{PDF}" if (folder / PDF).is_file() else "",
        "rows": rows,
        "trouble": _trouble(record, rows),
        "done": sum(row["good"] for row in rows),
        "news": _news(rows),
        **_described(record, rows),
    }


def _described(record: Mapping[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the description of the data in the notebooks' summaries, and the run's state."""
    summaries = [row["summary"] for row in rows]
    used = record.get("parameters", {})
    source = Path(str(used["data"])).name if used.get("data") else used.get("source", "")
    first: list[str] = next((s["period"] for s in summaries if s.get("period")), [])
    counts: dict[str, int] = next(
        (s["rows"] for s in summaries if (s.get("rows") or {}).get("customers")), {}
    )
    status = record.get("status") or ("done" if all(row["good"] for row in rows) else "")
    tones = {row["tone"] for row in rows}
    if not status or status == "done":
        tone = next((t for t in ("poor", "attention", "skipped") if t in tones), "good")
        state = "done" if tone == "good" else "failed" if tone == "poor" else "not whole"
    else:
        state, tone = WORDS.get(status, (status, "attention"))
    return {
        "source": source,
        "period": " to ".join(first),
        "as_of": next((s["as_of"] for s in summaries if s.get("as_of")), ""),
        "quality": next((s["quality"] for s in summaries if s.get("quality")), None),
        "customers": counts.get("customers") or record.get("customers"),
        "state": state,
        "tone": tone,
        "message": _message(record, rows, state),
    }


def _message(record: Mapping[str, Any], rows: list[dict[str, Any]], state: str) -> str:
    """Return why a run ended early, and what follows where customers are too few for segments."""
    message = str(record.get("message") or "").removeprefix(f"{state}: ")
    stem, _, why = message.partition(": ")
    if record.get("status") == "gate" and stem == SEGMENTS:
        return f"Treat all customers alike: {why.rstrip('.')}."
    return next((f"{row['title']}: {why}" for row in rows if row["stem"] == stem), message)


def _trouble(record: Mapping[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """List what went wrong in a run: its notebooks that failed, or the run as a whole."""
    problems = [
        {"what": row["title"], "status": row["status"], "why": row["message"], "link": row["link"]}
        for row in rows
        if row["tone"] == "poor"
    ]
    words, tone = WORDS.get(str(record.get("status")), ("", ""))
    if not problems and tone == "poor":
        problems = [
            {"what": "", "status": words, "why": str(record.get("message") or ""), "link": ""}
        ]
    return problems


def _news(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Summarise the changes since the run before over a run's notebooks, with their causes."""
    compared = [row for row in rows if row["good"] and row["compared"]]
    if not compared:
        return {"count": 0, "since": "", "text": ""}
    fresh = [row for row in compared if not row["reused"]]
    if not fresh:
        return {"count": 0, "since": "", "text": "Nothing has changed since the last run."}
    since = min(row["compared"] for row in fresh)
    # the summary repeats other notebooks' findings: each change counts once
    count = len({tuple(one.values()) for row in fresh for one in row["change"]})
    every = [one for row in fresh for one in row["causes"]]
    why = [one for one in every if one["kind"] != "earlier reports"] or every
    finding = f"{counted(count, 'finding')} changed since" if count else "The same findings as on"
    return {
        "count": count,
        "since": since,
        "text": f"{finding} {since}. {in_words(why, changed=bool(count))}",
    }


def _writers(
    manifests: Mapping[str, Mapping[str, Any]], listed: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Return, for each name of data and each notebook, the title of the report it comes from."""
    titles = {}
    for stem, manifest in manifests.items():
        title = str(manifest.get("title") or listed[stem].get("title", stem))
        titles[stem] = title
        for output in manifest.get("outputs", []):
            folder, _, rest = str(output["path"]).partition("/")
            if folder == "data":
                titles[rest.split("/")[0].split(".")[0]] = title
    return titles


def _row(
    folder: Path, item: Mapping[str, Any], manifest: Mapping[str, Any], writers: Mapping[str, str]
) -> dict[str, Any]:
    stem = item["stem"]
    summary = read_json(folder / stem / "summary.json")
    status = item.get("status", manifest.get("status", "not run"))
    reused = status == "reused"
    if status in ("done", "reused") and manifest.get("status"):
        status = manifest["status"]  # run again by hand since
    words, tone = WORDS.get(status, (status, "attention"))
    message = item.get("message", "")
    finished = when(manifest.get("finished", ""))
    if status == "not run" and finished:
        message += f"; the report shown is of {finished}"
    good = status in GOOD
    reasons = causes(manifest, summary, writers) if good else []
    news = change(summary, manifest.get("previous")) if good else []
    return {
        "stem": stem,
        "title": manifest.get("title") or item.get("title", stem),
        "status": words,
        "tone": tone,
        "good": good,
        "reused": reused,
        "message": message if not good else "",
        "link": f"{quote(folder.name)}/{quote(stem)}/report.html"
        if (folder / stem / "report.html").is_file()
        else "",
        "headline": summary.get("headline", "") if good else "",
        "summary": summary,
        "finished": finished,
        "seconds": manifest.get("seconds", {}).get("execution"),
        "change": news,
        "causes": reasons,
        "why": in_words(reasons, changed=bool(news)),
        "compared": when((manifest.get("previous") or {}).get("finished", "")),
    }


def when(text: str) -> str:
    """Write a timestamp to the minute; other text stays as it is."""
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"
    except ValueError:
        return str(text)
