"""Which old runs can go? All but the newest of each series and market, and never the only good."""

from __future__ import annotations

import shutil
import uuid
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from segkit.errors import ParameterError, RunError
from segkit.ingest.privacy import free_with, private_root, roots_of, settle_private
from segkit.runner.earlier import RECORD, same_series
from segkit.runner.folder import WORK, clean, held, locked
from segkit.runner.manifest import read_json


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of one run's folder.

    Attributes
    ----------
    folder : pathlib.Path
        The run's folder.
    gone : bool
        Whether it was removed (or would be, in a rehearsal).
    why : str
        The reason, in words.
    freed : int
        Bytes that no other run shares, its raw rows and rejects included.
    """

    folder: Path
    gone: bool
    why: str
    freed: int = 0


def prune(out: Path, keep: int, *, rehearse: bool = False) -> list[Pruned]:
    """Remove the runs of each series and market but the newest.

    Never removed: a run that is being written; the newest good run of a series and market, even
    where later ones failed; a folder that no runner wrote. A folder leaves its place in one step,
    so that a process killed meanwhile leaves no half run behind. Raw rows and rejects that no run
    refers to any more go too (`segkit.ingest.privacy`).

    Parameters
    ----------
    out : pathlib.Path
        The folder that holds the runs.
    keep : int
        Runs kept of each series and market, the newest.
    rehearse : bool
        Say what would go, and remove nothing.

    Raises
    ------
    ParameterError
        If fewer than one are to be kept.
    """
    if keep < 1:
        raise ParameterError(f"--keep expects a whole number of at least 1, got {keep}")
    if not rehearse:
        for left in (out / WORK).glob("pruned.*"):
            shutil.rmtree(left, ignore_errors=True)
    kinds = set()
    for path in out.glob(f"*/{RECORD}"):
        record = read_json(path)
        kinds.add((str(record.get("series", record.get("name"))), record.get("market")))
    roots = {private_root(Path.cwd()).resolve()}.union(*map(roots_of, out.glob("*/")))
    found = []
    for series, market in sorted(kinds, key=str):
        runs = same_series(out, series, market)
        good = next((run for run in runs if _is_good(run)), None)
        for place, run in enumerate(runs):
            found.append(_decide(run, place, keep, newest_good=run == good, rehearse=rehearse))
    gone = [one.folder for one in found if one.gone]
    private: Counter[Path] = sum((free_with(root, gone) for root in roots), Counter())
    if not rehearse:
        for root in roots:
            settle_private(root)
    return [replace(one, freed=one.freed + private[one.folder]) for one in found]


def _is_good(run: Path) -> bool:
    record = read_json(run / RECORD)
    return record.get("status", "done") == "done" and record.get("exit_code") == 0


def _decide(run: Path, place: int, keep: int, *, newest_good: bool, rehearse: bool) -> Pruned:
    if held(run):
        return Pruned(run, gone=False, why="is being written")
    if place < keep:
        if not rehearse:
            with locked(run):
                clean(run)
        return Pruned(run, gone=False, why=f"is among the {keep} newest")
    if newest_good:
        return Pruned(run, gone=False, why="is the newest good one")
    freed = sum(f.stat().st_size for f in run.rglob("*") if f.is_file() and f.stat().st_nlink == 1)
    if not rehearse:
        aside = run.parent / WORK / f"pruned.{uuid.uuid4().hex[:8]}"
        try:
            with locked(run):
                aside.parent.mkdir(exist_ok=True)
                run.rename(aside)
        except RunError:
            return Pruned(run, gone=False, why="is being written")
        shutil.rmtree(aside, ignore_errors=True)
    return Pruned(run, gone=True, why=f"is older than the {keep} newest", freed=freed)
