"""Which runs lie in a folder, and what each found: read from what they left there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from segkit.display import counted, first_sentence
from segkit.report.change import causes, change, in_words
from segkit.report.evidence import linked
from segkit.runner.manifest import NAME, read_json

BATCH = "batch.json"
PDF = "summary.pdf"
WORDS = {
    "done": ("done", "good"),
    "reused": ("done", "good"),
    "interactive": ("run by hand", "attention"),
    "failed": ("failed", "poor"),
    "gate": ("data not fit", "poor"),
    "killed": ("ended from outside", "poor"),
    "stopped": ("stopped", "poor"),
    "skipped": ("too small", "attention"),
    "running": ("not finished", "attention"),
    "not run": ("not run", "attention"),
}
GOOD = ("done", "reused", "interactive")


def find_runs(out: Path) -> list[dict[str, Any]]:
    """Describe every run below a folder, whether a runner or a notebook by hand wrote it.

    The latest comes first; of one day's markets the largest.
    """
    folders = {path.parent for path in out.glob("*/run.json")}
    folders |= {path.parent.parent for path in out.glob(f"*/*/{NAME}")}
    runs = [_run(folder) for folder in sorted(folders)]
    runs.sort(key=lambda run: str(run["ended"]), reverse=True)
    runs.sort(key=lambda run: run["customers"] or 0 if run["market"] else 0, reverse=True)
    latest = {series: max(r["date"] for r in runs if r["series"] == series)
              for series in {r["series"] for r in runs}}  # fmt: skip
    runs.sort(key=lambda run: (run["date"], latest[run["series"]]), reverse=True)
    return runs


def find_batches(out: Path) -> list[dict[str, Any]]:
    """Describe every batch of markets below a folder, the latest first."""
    found = []
    for path in out.glob(f"*/{BATCH}"):
        record = read_json(path)
        markets = record.get("markets", [])
        bad = [one for one in markets if WORDS.get(one["status"], ("", "poor"))[1] == "poor"]
        skipped = [one for one in markets if one["status"] == "skipped"]
        left = (record.get("rows") or {}).get("without a market") or 0
        shared = record.get("shared_customers") or 0
        notes = [f"{len(markets) - len(bad) - len(skipped)} of {len(markets)} markets done"]
        notes += [f"{len(bad)} failed"] if bad else []
        notes += [f"{len(skipped)} too small to be analysed"] if skipped else []
        notes += [f"{counted(left, 'row')} without a market"] if left else []
        if shared:
            notes.append(f"{counted(shared, 'customer')} in two or more markets, seen in each")
        found.append(
            {
                "series": record.get("series", path.parent.name),
                "by": str(record.get("by") or "market"),
                "date": record.get("date", ""),
                "finished": record.get("finished", ""),
                "text": f"{'; '.join(notes)}.",
                "bad": bool(bad),
            }
        )
    return sorted(found, key=lambda batch: str(batch["finished"]), reverse=True)


def _run(folder: Path) -> dict[str, Any]:
    record = read_json(folder / "run.json")
    told = record.get("notebooks")  # somebody else's run.json may hold anything
    known = [item for item in told if isinstance(item, dict) and "stem" in item] if isinstance(
        told, list) else []  # fmt: skip
    listed = {item["stem"]: item for item in known}
    for path in sorted(folder.glob(f"*/{NAME}")):
        listed.setdefault(path.parent.name, {"stem": path.parent.name})
    manifests = {stem: read_json(folder / stem / NAME) for stem in listed}
    writers = _writers(manifests, listed)
    rows = [_row(folder, item, manifests[stem], writers) for stem, item in listed.items()]
    closing = next((row for row in reversed(rows) if row["stem"].endswith("summary")), None)
    summary = closing["summary"] if closing and closing["good"] else {}
    ended = record.get("finished") or max((m.get("finished", "") for m in manifests.values()),
                                          default="")  # fmt: skip
    market = record.get("market")
    return {
        "name": folder.name,
        "label": str(market) if market else str(record.get("series") or folder.name),
        "series": str(record.get("series") or folder.name),
        "market": str(market) if market else "",
        "date": str(record.get("date") or str(ended)[:10]),
        "ended": ended,
        "finished": when(ended),
        "headline": summary.get("headline", ""),
        "brief": first_sentence(summary.get("headline", "")),
        "answers": linked(summary.get("answers", []), "", folder, above=f"{quote(folder.name)}/"),
        "summary_link": closing["link"] if closing and closing["good"] else "",
        "pdf": f"{quote(folder.name)}/{PDF}" if (folder / PDF).is_file() else "",
        "rows": rows,
        "trouble": _trouble(record, rows),
        "done": sum(row["good"] for row in rows),
        "news": _news(rows),
        **_described(record, rows),
    }


def _described(record: Mapping[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the notebooks' summaries say of the data, and the run's own state."""
    said = [row["summary"] for row in rows]
    used = record.get("parameters", {})
    source = Path(str(used["data"])).name if used.get("data") else used.get("source", "")
    first: list[str] = next((s["period"] for s in said if s.get("period")), [])
    counts: dict[str, int] = next(
        (s["rows"] for s in said if (s.get("rows") or {}).get("customers")), {}
    )
    status = record.get("status") or ("done" if all(row["good"] for row in rows) else "")
    tones = {row["tone"] for row in rows}
    if not status or status == "done":
        tone = next((t for t in ("poor", "attention") if t in tones), "good")
        state = "done" if tone == "good" else "failed" if tone == "poor" else "not whole"
    else:
        state, tone = WORDS.get(status, (status, "attention"))
    return {
        "source": source,
        "period": " to ".join(first),
        "as_of": next((s["as_of"] for s in said if s.get("as_of")), ""),
        "quality": next((s["quality"] for s in said if s.get("quality")), None),
        "customers": counts.get("customers") or record.get("customers"),
        "state": state,
        "tone": tone,
        "message": str(record.get("message") or ""),
    }


def _trouble(record: Mapping[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """List what went wrong in a run: its notebooks that failed, or the run as a whole."""
    found = [
        {"what": row["title"], "status": row["status"], "why": row["message"], "link": row["link"]}
        for row in rows
        if row["tone"] == "poor"
    ]
    words, tone = WORDS.get(str(record.get("status")), ("", ""))
    if not found and tone == "poor":
        found = [{"what": "", "status": words, "why": str(record.get("message") or ""), "link": ""}]
    return found


def _news(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum up, over a run's notebooks, what has changed since the run before, and why."""
    compared = [row for row in rows if row["good"] and row["compared"]]
    if not compared:
        return {"count": 0, "since": "", "text": ""}
    fresh = [row for row in compared if not row["reused"]]
    if not fresh:
        return {"count": 0, "since": "", "text": "Nothing has changed since the last run."}
    since = min(row["compared"] for row in fresh)
    # the summary repeats what others found: each change counts once
    count = len({tuple(one.values()) for row in fresh for one in row["change"]})
    every = [one for row in fresh for one in row["causes"]]
    why = [one for one in every if one["kind"] != "earlier reports"] or every
    told = f"{counted(count, 'finding')} changed since" if count else "The same findings as on"
    return {
        "count": count,
        "since": since,
        "text": f"{told} {since}. {in_words(why, changed=bool(count))}",
    }


def _writers(
    manifests: Mapping[str, Mapping[str, Any]], listed: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Return, for each name of data and each notebook, the title of the report it comes from."""
    found = {}
    for stem, manifest in manifests.items():
        title = str(manifest.get("title") or listed[stem].get("title", stem))
        found[stem] = title
        for output in manifest.get("outputs", []):
            folder, _, rest = str(output["path"]).partition("/")
            if folder == "data":
                found[rest.split("/")[0].split(".")[0]] = title
    return found


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
    found = causes(manifest, summary, writers) if good else []
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
        "causes": found,
        "why": in_words(found, changed=bool(news)),
        "compared": when((manifest.get("previous") or {}).get("finished", "")),
    }


def when(text: str) -> str:
    """Write a moment as a day and a minute; what is none stays as it is."""
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"
    except ValueError:
        return str(text)
