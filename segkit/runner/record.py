"""What is kept of a run as a whole: ``run.json``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkit.runner.journal import SCHEMA, now
from segkit.runner.manifest import NAME, read_json, versions, write_json
from segkit.runner.state import Label, NotebookEnd, State

RECORD = "run.json"
COUNTED = ("execution", "rendering")
EXIT = {"done": 0, "skipped": 0, "gate": 3}  # of a run's state; any other ends with 1


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended.

    Attributes
    ----------
    name : str
        The run's name.
    folder, index : pathlib.Path
        The run's folder, and the index of all runs beside it.
    notebooks : tuple of NotebookEnd
        In running order.
    """

    name: str
    folder: Path
    index: Path
    notebooks: tuple[NotebookEnd, ...]

    @property
    def status(self) -> str:
        """Done; else what stopped it: gate (the data alone), failed, or killed."""
        bad = {end.status for end in self.notebooks if not end.good} - {"not run"}
        if not bad:
            return "done"
        return bad.pop() if len(bad) == 1 else "failed"

    @property
    def exit_code(self) -> int:
        """0 all done; 3 the data gate alone stopped it; 1 anything else failed."""
        return EXIT.get(self.status, 1)

    @property
    def message(self) -> str:
        """Why it is not done: what the first notebook that stopped it said."""
        bad = [end for end in self.notebooks if not end.good and end.status != "not run"]
        return f"{bad[0].stem}: {bad[0].message}" if bad else ""


def end_of(this: State) -> RunEnd:
    """Return how a run stands, in running order."""
    ends = tuple(this.ends[stem] for stem in this.order if stem in this.ends)
    return RunEnd(this.folder.name, this.folder, this.folder.parent / "index.html", ends)


def write_record(
    this: State, status: str, code: int | None = None, message: str | None = None
) -> None:
    """Write a run's record: as "running" while it goes, so that a killed run never looks done.

    Exit code and message are those of its notebooks' ends, unless it was stopped from outside.
    """
    before = {item["stem"]: item for item in read_json(this.folder / RECORD).get("notebooks", [])}
    before |= {
        end.stem: {"stem": end.stem, "status": end.status, "message": end.message}
        for end in this.ends.values()
    }
    listed = [
        _row(this.folder, stem, notebook.title, before[stem])
        for stem, notebook in this.catalog.notebooks.items()
        if stem in before
    ]
    end = end_of(this)
    executed = [row["peak_memory_bytes"] for row in listed if row["status"] == "done"]
    code = end.exit_code if code is None else code
    message = end.message if message is None else message
    record = head(this.label, status, code, message, this.started, this.shared)
    record |= {"seconds": round(time.monotonic() - this.clock, 2)}
    record |= {"peak_memory_bytes": max(executed, default=0), "notebooks": listed}
    write_json(this.folder / RECORD, {**record, "versions": versions()})


def _row(folder: Path, stem: str, title: str, end: Mapping[str, Any]) -> dict[str, Any]:
    manifest = read_json(folder / stem / NAME)
    return {
        **end,
        "title": title,
        "seconds": round(sum(manifest.get("seconds", {}).get(n, 0) for n in COUNTED), 2),
        "peak_memory_bytes": manifest.get("peak_memory_bytes", 0),
    }


def head(
    label: Label,
    status: str,
    exit_code: int,
    message: str,
    started: str,
    parameters: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what every record of a run begins with."""
    going = status == "running"
    return {
        "schema": SCHEMA,
        "name": label.folder,
        "series": label.series,
        "by": label.by,
        "market": label.market,
        "batch": label.batch,
        "date": label.date,
        "status": status,
        "message": message,
        "exit_code": None if going else exit_code,
        "started": started,
        "finished": None if going else now(),
        "rows": label.rows,
        "customers": label.customers,
        "parameters": dict(parameters),
    }


def write_bare(
    folder: Path, label: Label, status: str, message: str, parameters: Mapping[str, Any]
) -> None:
    """Write the record of a run in which no notebook could begin; what it had before stays."""
    before = read_json(folder / RECORD)
    folder.mkdir(parents=True, exist_ok=True)
    record = head(label, status, EXIT.get(status, 1), message, now(), parameters)
    record |= {"seconds": 0.0, "peak_memory_bytes": 0, "notebooks": before.get("notebooks", [])}
    write_json(folder / RECORD, {**record, "versions": versions()})
