"""Earlier runs: found by series and market, reused if nothing has changed, pruned."""

from __future__ import annotations

import html
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segkit.errors import ParameterError, RunError
from segkit.intake.privacy import free_with, private_root, roots_of, settle_private
from segkit.runner import manifest as disk
from segkit.runner.manifest import NAME, WORK, StagedFolder
from segkit.runner.state import RECORD, Label
from segkit.writing import write_whole

NAMED = re.compile(r'<title>.*?</title>|<p class="kicker">.*?</p>', re.DOTALL)


def same_series(out: Path, series: str, market: str | None) -> list[Path]:
    """List the folders of the runs of one series and market, the newest first."""
    runs = []
    for path in out.glob(f"*/{RECORD}"):
        record = disk.read_json(path)
        if record.get("series", record.get("name")) == series and record.get("market") == market:
            day = str(record.get("date") or str(record.get("started", ""))[:10])
            runs.append((day, str(record.get("started", "")), path.parent.name, path.parent))
    return [item[-1] for item in sorted(runs, reverse=True)]


def find_earlier(out: Path, label: Label) -> Path | None:
    """Return the newest run of the same series and market in another folder, if there is one."""
    others = (f for f in same_series(out, label.series, label.market) if f.name != label.folder)
    return next(others, None)


def take_over(
    source: Path, run_folder: Path, manifest: Mapping[str, Any], previous: Mapping[str, Any] | None
) -> None:
    """Copy or link a notebook's folder of an earlier run into this run.

    Files are linked where the file system can (two names of one file: nothing is ever written
    into a file that stands in its place), else copied.
    """
    aside = StagedFolder(run_folder, source.name)
    try:
        for output in manifest["outputs"]:
            target = aside.path / output["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.name == "report.html":
                text = (source / output["path"]).read_text(encoding="utf-8")
                old, new = (html.escape(f.name) for f in (source.parent, run_folder))
                text = NAMED.sub(lambda m: m[0].replace(old, new), text, count=2)  # noqa: B023
                write_whole(target, text)
            else:
                _link(source / output["path"], target)
        record = {**manifest, "reused_from": source.parent.name, "previous": previous}
        disk.write_json(aside.path / NAME, {**record, "outputs": disk.list_outputs(aside.path)})
        aside.commit()
    finally:
        aside.discard()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@dataclass(frozen=True, slots=True)
class Pruned:
    """Result of pruning for one run's folder.

    Attributes
    ----------
    folder : pathlib.Path
        The run's folder.
    removed : bool
        Whether it was removed (or would be, in a rehearsal).
    why : str
        The reason, in words.
    freed : int
        Bytes that no other run shares, its raw rows and rejects included.
    """

    folder: Path
    removed: bool
    why: str
    freed: int = 0


def prune(out: Path, keep: int, *, rehearse: bool = False) -> list[Pruned]:
    """Remove the runs of each series and market but the newest.

    Never removed: a run that is being written; the newest good run of a series and market, even
    where later ones failed; a folder that no runner wrote. A folder leaves its place in one step,
    so that a process killed meanwhile leaves no half run behind. Raw rows and rejects that no run
    refers to any more go too (`segkit.intake.privacy`).

    Parameters
    ----------
    out : pathlib.Path
        The folder that holds the runs.
    keep : int
        Runs kept of each series and market, the newest.
    rehearse : bool
        Report what would be removed, without removing it.

    Raises
    ------
    ParameterError
        If fewer than one are to be kept.
    """
    if keep < 1:
        raise ParameterError(f"--keep expects a whole number of at least 1, got {keep}")
    if not rehearse:
        for leftover in (out / WORK).glob("pruned.*"):
            shutil.rmtree(leftover, ignore_errors=True)
    kinds = set()
    for path in out.glob(f"*/{RECORD}"):
        record = disk.read_json(path)
        kinds.add((str(record.get("series", record.get("name"))), record.get("market")))
    roots = {private_root(Path.cwd()).resolve()}.union(*map(roots_of, out.glob("*/")))
    decisions = []
    for series, market in sorted(kinds, key=str):
        runs = same_series(out, series, market)
        good = next((run for run in runs if _is_good(run)), None)
        for place, run in enumerate(runs):
            decisions.append(_decide(run, place, keep, newest_good=run == good, rehearse=rehearse))
    removed = [one.folder for one in decisions if one.removed]
    private: Counter[Path] = sum((free_with(root, removed) for root in roots), Counter())
    if not rehearse:
        for root in roots:
            settle_private(root)
    return [replace(one, freed=one.freed + private[one.folder]) for one in decisions]


def _is_good(run: Path) -> bool:
    record = disk.read_json(run / RECORD)
    return record.get("status", "done") == "done" and record.get("exit_code") == 0


def _decide(run: Path, place: int, keep: int, *, newest_good: bool, rehearse: bool) -> Pruned:
    if disk.is_locked(run):
        return Pruned(run, removed=False, why="is being written")
    if place < keep:
        if not rehearse:
            with disk.locked(run):
                disk.clean(run)
        return Pruned(run, removed=False, why=f"is among the {keep} newest")
    if newest_good:
        return Pruned(run, removed=False, why="is the newest good one")
    freed = sum(f.stat().st_size for f in run.rglob("*") if f.is_file() and f.stat().st_nlink == 1)
    if not rehearse:
        aside = run.parent / WORK / f"pruned.{uuid.uuid4().hex[:8]}"
        try:
            with disk.locked(run):
                aside.parent.mkdir(exist_ok=True)
                run.rename(aside)
        except RunError:
            return Pruned(run, removed=False, why="is being written")
        shutil.rmtree(aside, ignore_errors=True)
    return Pruned(run, removed=True, why=f"is older than the {keep} newest", freed=freed)
