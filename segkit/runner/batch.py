"""Batches: one run for each market of the data, in parallel, with one record."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

from segkit.display import counted
from segkit.errors import DataError, ParameterError, RunError
from segkit.intake.privacy import mask_error, path_between
from segkit.pipeline import LEAST_CUSTOMERS
from segkit.runner.accepts import OWN_DATA
from segkit.runner.catalog import Catalog, notebook_folder
from segkit.runner.execute import all_current
from segkit.runner.manifest import clean, locked, read_json, write_json
from segkit.runner.market import Child, job_of
from segkit.runner.markets import MAPPING, WITHOUT, Division, Market, choose, divide
from segkit.runner.process import Pool
from segkit.runner.progress import Progress
from segkit.runner.run import Request, carry_out, plan
from segkit.runner.state import RECORD, SCHEMA, Journal, State, now, write_bare
from segkit.runner.stopping import STOPS, stop_code, stop_words


def run_by(
    by: str,
    notebooks: Iterable[str] = (),
    *,
    jobs: int = 1,
    markets: Iterable[str] = (),
    min_customers: int = LEAST_CUSTOMERS,
    **request: Unpack[Request],
) -> BatchEnd:
    """Run notebooks once for each market of the data.

    Parameters
    ----------
    by : str
        A column of the orders, raw or mapped: each of its values is a market.
    notebooks : iterable of str
        As for `segkit.runner.run.run`.
    jobs : int
        Markets at once, each in a process of its own.
    markets : iterable of str
        The markets to run, by name or by folder name; none means all.
    min_customers : int
        Markets with fewer customers are not run, and reported as too small.
    **request
        As for `segkit.runner.run.plan`; the timeout is one notebook's.

    Raises
    ------
    ParameterError
        Before anything is written: an unknown notebook, parameter or value; after the division:
        an unknown column or market.
    SourceError, DataError
        If the data are not there, cannot be divided, or no market is large enough.
    RunError
        If another batch holds the folder, or it cannot be written.
    """
    if jobs < 1:
        raise ParameterError(f"--jobs expects a whole number of at least 1, got {jobs}")
    catalog = Catalog.open(notebook_folder(request.get("folder")))
    request["catalog"] = catalog
    whole = plan(notebooks, **request)
    out = whole.folder.parent
    place = out / f"{whole.label.series}--markets"
    batch = Batch(whole, catalog, place, whole.progress, jobs)
    with locked(place):
        clean(place)
        try:
            return _run(batch, by, list(markets), min_customers)
        except OSError as error:
            name = Path(str(error.filename or place)).name
            raise RunError(
                f"the batch could not be saved: {error.strerror or error} ({name})"
            ) from error


def _run(batch: Batch, by: str, wanted: list[str], least: int) -> BatchEnd:
    division = divide(batch.whole.shared, by, batch.whole.place, batch.folder, wanted)
    chosen = choose(division.markets, wanted)
    journal = Journal(batch.folder, batch.folder.name, "markets", len(chosen))
    journal.log("divided", by=division.column, rows=division.read, without=division.unassigned)
    try:
        large = _large(chosen, least)
        for market in chosen:
            if market not in large:
                _skip(batch, _state(batch, division, market), market, least, journal)
        write_batch(batch, division, "running", None)
        _run_markets(batch, division, large, journal)
        end = BatchEnd(
            batch.folder.name,
            batch.folder,
            batch.folder.parent / "index.html",
            tuple(batch.rows[market.slug] for market in chosen),
        )
        bad = [f"{one['market']}: {one['message']}" for one in end.bad]
        write_batch(batch, division, "done" if not bad else "failed", end.exit_code)
        journal.close("done" if not bad else "failed", end.exit_code, "; ".join(bad))
    except BaseException as error:
        by_hand = isinstance(error, STOPS)
        code = stop_code(error) if by_hand else 1
        why = stop_words(error) if by_hand else mask_error(str(error), type(error).__name__)
        journal.close("stopped", code, why)
        with contextlib.suppress(OSError):  # a full disk: the first error is reported
            write_batch(batch, division, "stopped", code)
        raise
    if batch.whole.report:
        batch.whole.report.write_index(batch.folder.parent)
    return end


def _large(chosen: list[Market], least: int) -> list[Market]:
    large = [market for market in chosen if market.customers >= least]
    if large:
        return large
    most = max(chosen, key=lambda market: market.customers)
    raise DataError(
        f"no market has {counted(least, 'customer')} or more; {most.market} has {most.customers}, "
        "the most of those chosen; --min-customers sets another limit"
    )


def _state(batch: Batch, division: Division, market: Market) -> State:
    """Plan a market's run: the same request, on the market's part of the data."""
    place = batch.whole.place
    data, mapping = (_from(place, division.parts / name) for name in (market.slug, MAPPING))
    label = replace(
        batch.whole.label,
        by=division.column,
        market=market.market,
        slug=market.slug,
        batch=batch.folder.name,
        rows=market.rows,
        customers=market.customers,
    )
    own = {"source": OWN_DATA, "data": data, "mapping": mapping}
    request = dict(batch.whole.request)
    request["parameters"] = {**request["parameters"], **own}
    request["texts"] = {name: text for name, text in request["texts"].items() if name not in own}
    return plan(
        **request,
        catalog=batch.catalog,
        progress=Progress(quiet=True),
        report=batch.whole.report,
        label=label,
    )


def _from(place: Path, path: Path) -> str:
    return (path.relative_to(place) if path.is_relative_to(place) else path).as_posix()


def _skip(batch: Batch, state: State, market: Market, least: int, journal: Journal) -> None:
    why = f"too small: {counted(market.customers, 'customer')}, and {least} are asked for"
    write_bare(state.folder, state.label, "skipped", why, state.shared)
    keep_row(batch, state, market)
    journal.end(market.market, "skipped", message=why)


def _run_markets(batch: Batch, division: Division, large: list[Market], journal: Journal) -> None:
    """Run the markets, the largest first; markets without changes need no process."""
    waiting: list[tuple[State, Market]] = []
    for market in large:
        state = _state(batch, division, market)
        if not state.force and all_current(state):
            carry_out(state, with_index=False)
            _record_end(batch, state, market, journal, "nothing has changed")
        else:
            waiting.append((state, market))
    pool = ThreadPoolExecutor(max_workers=batch.jobs, thread_name_prefix="market")
    try:
        turns = {pool.submit(_in_process, batch, *one, journal): one for one in waiting}
        for turn in as_completed(turns):
            turn.result()
            _record_end(batch, *turns[turn], journal)
            write_batch(batch, division, "running", None)
    except BaseException:
        batch.stopping = True
        raise
    finally:  # after Ctrl-C, or an error, the others end, and their threads with them
        pool.shutdown(wait=False, cancel_futures=True)
        batch.pool.close()
        pool.shutdown()


def _in_process(batch: Batch, state: State, market: Market, journal: Journal) -> None:
    journal.begin(market.market)
    batch.progress.note(f"{market.market}  running …")
    began = now()
    child = batch.pool.take()
    if batch.stopping:  # it was taken after the others had been ended
        child.end()
    try:
        note = batch.progress.note
        ended = child.carry_out(job_of(state), lambda line: note(f"{market.market}  {line}"))
    finally:
        batch.pool.give_back(child)
    record = read_json(state.folder / RECORD)
    if record.get("status") == "running" or str(record.get("started", "")) < began:
        status, why = "killed", ended or "its run left no record"
        if batch.stopping:
            status, why = "stopped", "the batch was stopped"
        write_bare(state.folder, state.label, status, why, state.shared)


def _record_end(
    batch: Batch, state: State, market: Market, journal: Journal, detail: str = ""
) -> None:
    row = keep_row(batch, state, market)
    why = row["message"] or detail or f"{row['seconds']:.0f} s"
    good = {name: row[name] for name in ("seconds", "peak_memory_bytes")}
    journal.end(market.market, row["status"], message=row["message"], **good)
    count = f"{journal.state['done']}/{journal.state['total']}"
    batch.progress.note(f"[{count}] {market.market}  {row['status']}: {why}")


BATCH = "batch.json"
SOME_FAILED = 4
GOOD = ("done", "skipped")


@dataclass(frozen=True, slots=True)
class BatchEnd:
    """Outcome of a batch.

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
    def failures(self) -> list[str]:
        """A line for each market that failed."""
        return [f"{one['market']}: {one['status']}: {one['message']}" for one in self.bad]

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
    """State of a batch: the run from which each market's is made, and its request."""

    whole: State
    catalog: Catalog
    folder: Path
    progress: Progress
    jobs: int
    started: str = field(default_factory=now)
    clock: float = field(default_factory=time.monotonic)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopping: bool = False
    pool: Pool[Child] = field(init=False)

    def __post_init__(self) -> None:
        self.pool = Pool(lambda: Child(self.whole.place))


def keep_row(batch: Batch, state: State, market: Market) -> dict[str, Any]:
    """Read the result of a market's run, and add it as a row of the batch."""
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
    with batch.lock:
        batch.rows[market.slug] = row
    return row


def write_batch(batch: Batch, division: Division, status: str, code: int | None) -> None:
    """Write the batch's record in its current state."""
    lost = division.parts / WITHOUT / "orders.parquet"
    label = batch.whole.label
    with batch.lock:
        rows = sorted(batch.rows.values(), key=lambda row: (-row["rows"], row["market"]))
    record = {
        "schema": SCHEMA,
        "series": label.series,
        "by": division.column,
        "date": label.date,
        "status": status,
        "exit_code": code,
        "started": batch.started,
        "finished": None if code is None else now(),
        "seconds": round(time.monotonic() - batch.clock, 2),
        "jobs": batch.jobs,
        "rows": {
            "read": division.read,
            "in markets": sum(market.rows for market in division.markets),
            "without a market": division.unassigned,
        },
        "shared_customers": division.shared_customers,
        "other_tables": list(division.other_tables),
        "without_market": {
            "rows": division.unassigned,
            "file": path_between(batch.folder, lost) if lost.exists() else None,
        },
        "markets": rows,
    }
    write_json(batch.folder / BATCH, record)
