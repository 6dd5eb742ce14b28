"""State of a run: its label and progress, its journal for a scheduler, and its record."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from segkit.runner.catalog import Catalog
from segkit.runner.manifest import NAME, read_json, versions, write_json
from segkit.runner.process import NotebookPool
from segkit.runner.progress import Progress

STATUS, LOG = "status.json", "log.jsonl"
LONGEST_LOG = 2**22  # bytes; a longer log is put aside as log.1.jsonl, the older one goes
SCHEMA = 2
RECORD = "run.json"
COUNTED = ("execution", "rendering")
EXIT = {"done": 0, "skipped": 0, "gate": 3}  # of a run's state; any other ends with 1


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Journal:
    """Keeps a run's or a batch's state, and appends what happens to its log.

    Both are for monitoring only. If they cannot be written, the work continues without them: the
    results are recorded in ``manifest.json`` and ``run.json``.

    Parameters
    ----------
    folder : pathlib.Path
        Where both files are written.
    name : str
        The run's or the batch's name.
    parts : str
        What the work is made of: "notebooks" or "markets".
    total : int
        How many of them there are.
    """

    def __init__(self, folder: Path, name: str, parts: str, total: int) -> None:
        self._folder = folder
        self._parts = parts
        self._lock = threading.Lock()
        self.state: dict[str, Any] = {
            "schema": SCHEMA,
            "run": name,
            "state": "running",
            "exit_code": None,
            "message": "",
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": now(),
            "updated": "",
            "finished": None,
            "done": 0,
            "total": total,
            "now": [],
            parts: {},
        }
        self._keep_short()
        self.log("start", total=total, pid=os.getpid())

    def begin(self, part: str) -> None:
        """Record that a notebook or market has begun."""
        with self._lock:
            self.state["now"] = [*self.state["now"], part]
        self.log("begin", part=part)

    def end(self, part: str, status: str, **detail: Any) -> None:
        """Record how a notebook or market ended; what is empty is left out."""
        with self._lock:
            self.state["now"] = [other for other in self.state["now"] if other != part]
            self.state[self._parts][part] = status
            self.state["done"] = len(self.state[self._parts])
        self.log("end", part=part, status=status, **detail)

    def close(self, state: str, exit_code: int, message: str = "") -> None:
        """Record how the whole ended."""
        with self._lock:
            self.state |= {"state": state, "exit_code": exit_code, "message": message}
            self.state |= {"finished": now(), "now": []}
        self.log("finish", state=state, exit_code=exit_code, message=message)

    def log(self, event: str, **detail: Any) -> None:
        """Append one event to the log, and bring the state up to date."""
        details = {name: value for name, value in detail.items() if value not in ("", None)}
        row = {"time": now(), "run": self.state["run"], "event": event, **details}
        with self._lock:
            self.state["updated"] = row["time"]
            try:
                # One write to a file opened for appending: lines of two processes never mix.
                with (self._folder / LOG).open("ab") as log:
                    log.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                write_json(self._folder / STATUS, self.state)
            except OSError:
                return

    def _keep_short(self) -> None:
        log = self._folder / LOG
        try:
            if log.stat().st_size > LONGEST_LOG:
                log.replace(log.with_name("log.1.jsonl"))
        except OSError:
            return


@dataclass(frozen=True, slots=True)
class Label:
    """Series, market and day that tell a run from others.

    Attributes
    ----------
    series : str
        The name that runs of the same kind share.
    date : str
        The run's day (ISO).
    dated : bool
        Whether the day is part of the folder's name, so that each day has its own folder.
    by, market, slug : str or None
        The column that divides the data, the market, and what stands for it in folder names.
    batch : str or None
        The folder of the batch that the run belongs to.
    rows, customers : int or None
        Of the market's part of the orders.
    """

    series: str
    date: str
    dated: bool = False
    by: str | None = None
    market: str | None = None
    slug: str | None = None
    batch: str | None = None
    rows: int | None = None
    customers: int | None = None

    @property
    def folder(self) -> str:
        """The name of the run's folder.

        Examples
        --------
        >>> Label("shop", "2026-11-22", dated=True, market="Côte d'Azur", slug="cote-d-azur").folder
        'shop--cote-d-azur--2026-11-22'
        """
        return "--".join(
            part for part in (self.series, self.slug, self.date if self.dated else None) if part
        )


@dataclass(frozen=True, slots=True)
class NotebookEnd:
    """Outcome of one notebook of a run.

    Attributes
    ----------
    stem : str
        The notebook.
    status : str
        done, reused, failed, gate (the data cannot carry it), killed or not run.
    message : str
        Why, where it is not done.
    """

    stem: str
    status: str
    message: str = ""

    @property
    def good(self) -> bool:
        """Whether later notebooks can use its outputs."""
        return self.status in ("done", "reused")


@dataclass(slots=True)
class State:
    """State of a run in progress.

    Attributes
    ----------
    catalog : Catalog
        The notebooks to choose from.
    order : list of str
        Those to run.
    given : dict
        Notebook to the parameters that it was given.
    place, folder : pathlib.Path
        Where relative paths start; the run's folder.
    force : bool
        Run again what has not changed.
    timeout : float or None
        Seconds that one notebook may take.
    progress : Progress
        Where to tell how it goes.
    label : Label
        Which run this is.
    shared : dict
        The run's parameters.
    request : dict
        Arguments of `segkit.runner.run.plan` that make the same plan in another process.
    started : str
        When it began (UTC).
    earlier : Path or None
        The folder of the run before, whose results serve again where nothing has changed.
    journal : Journal or None
        Where to keep it for a scheduler.
    ends : dict of str to NotebookEnd
        How notebooks have ended so far.
    pool : NotebookPool or None
        The processes that execute its notebooks.
    report : module or None
        What writes its reports and their index (`segkit.report`); without it there are none.
    stopping : bool
        Whether notebooks that still run are to be discarded.
    """

    catalog: Catalog
    order: list[str]
    given: dict[str, dict[str, Any]]
    place: Path
    folder: Path
    force: bool
    timeout: float | None
    progress: Progress
    label: Label
    shared: dict[str, Any]
    request: dict[str, Any]
    started: str = field(default_factory=now)
    clock: float = field(default_factory=time.monotonic)
    earlier: Path | None = None
    journal: Journal | None = None
    ends: dict[str, NotebookEnd] = field(default_factory=dict)
    pool: NotebookPool | None = None
    report: ModuleType | None = None
    stopping: bool = False

    def settings(self, stem: str) -> dict[str, Any]:
        """Return all of a notebook's parameters with their values."""
        declared = self.catalog.notebooks[stem].parameters
        return {name: p.default for name, p in declared.items()} | self.given[stem]


@dataclass(frozen=True, slots=True)
class RunEnd:
    """Outcome of a run.

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
    def failures(self) -> list[str]:
        """A line for each notebook whose outputs cannot be used."""
        bad = (end for end in self.notebooks if not end.good)
        return [f"{end.stem}: {end.status}: {end.message}" for end in bad]

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
        """Reason why it is not done: the message of the first notebook that stopped it."""
        bad = [end for end in self.notebooks if not end.good and end.status != "not run"]
        return f"{bad[0].stem}: {bad[0].message}" if bad else ""


def end_of(state: State) -> RunEnd:
    """Return the ends of a run's notebooks so far, in running order."""
    ends = tuple(state.ends[stem] for stem in state.order if stem in state.ends)
    return RunEnd(state.folder.name, state.folder, state.folder.parent / "index.html", ends)


def write_record(
    state: State, status: str, code: int | None = None, message: str | None = None
) -> None:
    """Write a run's record: as "running" while it goes, so that a killed run never looks done.

    Exit code and message are those of its notebooks' ends, unless it was stopped from outside.
    """
    before = {item["stem"]: item for item in read_json(state.folder / RECORD).get("notebooks", [])}
    before |= {
        end.stem: {"stem": end.stem, "status": end.status, "message": end.message}
        for end in state.ends.values()
    }
    listed = [
        _row(state.folder, stem, notebook.title, before[stem])
        for stem, notebook in state.catalog.notebooks.items()
        if stem in before
    ]
    end = end_of(state)
    executed = [row["peak_memory_bytes"] for row in listed if row["status"] == "done"]
    code = end.exit_code if code is None else code
    message = end.message if message is None else message
    record = head(state.label, status, code, message, state.started, state.shared)
    record |= {"seconds": round(time.monotonic() - state.clock, 2)}
    record |= {"peak_memory_bytes": max(executed, default=0), "notebooks": listed}
    write_json(state.folder / RECORD, {**record, "versions": versions()})


def _row(folder: Path, stem: str, title: str, end: Mapping[str, Any]) -> dict[str, Any]:
    manifest = read_json(folder / stem / NAME)
    return {
        **end,
        "title": title,
        "seconds": round(sum(manifest.get("seconds", {}).get(n, 0) for n in COUNTED), 2),
        "peak_memory_bytes": manifest.get("peak_memory_bytes", 0),
    }


def head(
    label: Label, status: str, code: int, message: str, started: str, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the first fields of a run's record."""
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
        "exit_code": None if going else code,
        "started": started,
        "finished": None if going else now(),
        "rows": label.rows,
        "customers": label.customers,
        "parameters": dict(parameters),
    }


def write_bare(
    folder: Path, label: Label, status: str, message: str, parameters: Mapping[str, Any]
) -> None:
    """Write the record of a run in which no notebook started; earlier entries stay."""
    before = read_json(folder / RECORD)
    folder.mkdir(parents=True, exist_ok=True)
    record = head(label, status, EXIT.get(status, 1), message, now(), parameters)
    record |= {"seconds": 0.0, "peak_memory_bytes": 0, "notebooks": before.get("notebooks", [])}
    write_json(folder / RECORD, {**record, "versions": versions()})
