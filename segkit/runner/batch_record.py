"""A batch under way, and what is kept of it: ``batch.json``."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segkit.ingest.privacy import path_between
from segkit.runner.catalog import Catalog
from segkit.runner.children import Child
from segkit.runner.journal import SCHEMA, now
from segkit.runner.manifest import read_json, write_json
from segkit.runner.markets import WITHOUT, Division, Market
from segkit.runner.progress import Progress
from segkit.runner.record import RECORD
from segkit.runner.state import State

BATCH = "batch.json"
SOME_FAILED = 4
GOOD = ("done", "skipped")


@dataclass(frozen=True, slots=True)
class BatchEnd:
    """How a batch ended.

    Attributes
    ----------
    name : str
        The folder of the batch.
    folder, index : pathlib.Path
        The batch's folder, and the index of all runs beside it.
    markets : tuple of dict
        For each market: market, slug, run, rows, customers, status, message, seconds,
        peak_memory_bytes, exit_code.
    """

    name: str
    folder: Path
    index: Path
    markets: tuple[dict[str, Any], ...]

    @property
    def bad(self) -> list[dict[str, Any]]:
        """The markets that failed."""
        return [one for one in self.markets if one["status"] not in GOOD]

    @property
    def exit_code(self) -> int:
        """0 none failed; 4 some failed; if all did: 3 by the data gate alone, else 1."""
        if not self.bad:
            return 0
        if any(one["status"] == "done" for one in self.markets):
            return SOME_FAILED
        return 3 if {one["status"] for one in self.bad} == {"gate"} else 1


@dataclass(slots=True)
class Batch:
    """A batch under way: the run that each market's is made from, and what was asked."""

    whole: State
    notebooks: list[str]
    catalog: Catalog
    folder: Path
    progress: Progress
    jobs: int
    started: str = field(default_factory=now)
    clock: float = field(default_factory=time.monotonic)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopping: bool = False
    _idle: list[Child] = field(default_factory=list)
    _active: list[Child] = field(default_factory=list)

    def take(self) -> Child:
        """Return a process for a market."""
        with self.lock:
            child = self._idle.pop() if self._idle else Child(self.whole.place)
            self._active.append(child)
            return child

    def give_back(self, child: Child) -> None:
        """Keep a process for the next market, or let it go if it can take none."""
        with self.lock:
            self._active.remove(child)
            if child.usable:
                self._idle.append(child)
                return
        child.close()

    def end(self) -> None:
        """End every process."""
        with self.lock:
            for child in self._active:
                child.end()
            while self._idle:
                self._idle.pop().close()


def keep_row(this: Batch, state: State, market: Market) -> dict[str, Any]:
    """Take up how a market's run ended from the run's own record."""
    record = read_json(state.folder / RECORD)
    row = {
        "market": market.market,
        "slug": market.slug,
        "run": state.folder.name,
        "rows": market.rows,
        "customers": market.customers,
        "status": record.get("status", "killed"),
        "message": record.get("message", ""),
        "seconds": record.get("seconds", 0.0),
        "peak_memory_bytes": record.get("peak_memory_bytes", 0),
        "exit_code": record.get("exit_code", 1),
    }
    with this.lock:
        this.rows[market.slug] = row
    return row


def write_batch(this: Batch, division: Division, status: str, code: int | None) -> None:
    """Write the batch's record, as far as it has come."""
    lost = division.parts / WITHOUT / "orders.parquet"
    label = this.whole.label
    with this.lock:
        rows = sorted(this.rows.values(), key=lambda row: (-row["rows"], row["market"]))
    record = {
        "schema": SCHEMA,
        "series": label.series,
        "by": division.column,
        "date": label.date,
        "status": status,
        "exit_code": code,
        "started": this.started,
        "finished": None if code is None else now(),
        "seconds": round(time.monotonic() - this.clock, 2),
        "jobs": this.jobs,
        "rows": {
            "read": division.read,
            "in markets": sum(market.rows for market in division.markets),
            "without a market": division.without,
        },
        "shared_customers": division.shared_customers,
        "other_tables": list(division.other_tables),
        "without_market": {
            "rows": division.without,
            "file": path_between(this.folder, lost) if lost.exists() else None,
        },
        "markets": rows,
    }
    write_json(this.folder / BATCH, record)
