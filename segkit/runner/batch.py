"""One run a market: the data divided once, runs side by side, and none stops another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from segkit.errors import DataError, ParameterError, RunError
from segkit.ingest.privacy import mask_error
from segkit.pipeline import LEAST_CUSTOMERS
from segkit.runner.accepts import OWN_DATA
from segkit.runner.batch_record import Batch, BatchEnd, keep_row, write_batch
from segkit.runner.catalog import Catalog, notebook_folder
from segkit.runner.folder import clean, locked
from segkit.runner.journal import Journal, now
from segkit.runner.manifest import read_json
from segkit.runner.market import job_of
from segkit.runner.markets import MAPPING, Division, Market, choose, divide
from segkit.runner.progress import Progress
from segkit.runner.record import RECORD, write_bare
from segkit.runner.run import all_held, carry_out, plan
from segkit.runner.state import State
from segkit.runner.stopping import STOPS, stop_code, stop_words


def run_by(
    by: str,
    notebooks: Iterable[str] = (),
    *,
    parameters: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
    folder: Path | None = None,
    force: bool = False,
    timeout: float | None = None,
    progress: Progress | None = None,
    jobs: int = 1,
    day: str = "",
    markets: Iterable[str] = (),
    min_customers: int = LEAST_CUSTOMERS,
) -> BatchEnd:
    """Run notebooks once for each market of the data.

    Parameters
    ----------
    by : str
        A column of the orders, raw or mapped: each of its values is a market.
    notebooks, parameters, texts, folder, force, timeout, progress, day
        As for `segkit.runner.run.run`; the timeout is one notebook's.
    jobs : int
        Markets at once, each in a process of its own.
    markets : iterable of str
        The markets to run, by name or by folder name; none means all.
    min_customers : int
        Markets with fewer customers are not run, and said to be too small.

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
    told = progress or Progress()
    words, catalog = list(notebooks), Catalog.open(notebook_folder(folder))
    whole = plan(
        words,
        catalog=catalog,
        parameters=parameters,
        texts=texts,
        folder=folder,
        force=force,
        timeout=timeout,
        progress=told,
        day=day,
    )
    out = whole.folder.parent
    place = out / f"{whole.label.series}--markets"
    this = Batch(whole, words, catalog, place, told, jobs)
    with locked(place):
        clean(place)
        try:
            return _run(this, by, list(markets), min_customers)
        except OSError as error:
            name = Path(str(error.filename or place)).name
            raise RunError(
                f"the batch could not be kept: {error.strerror or error} ({name})"
            ) from error


def _run(this: Batch, by: str, wanted: list[str], least: int) -> BatchEnd:
    from segkit.report.index import write_index

    division = divide(this.whole.shared, by, this.whole.place, this.folder, wanted)
    chosen = choose(division.markets, wanted)
    journal = Journal(this.folder, this.folder.name, "markets", len(chosen))
    journal.log("divided", by=division.column, rows=division.read, without=division.without)
    try:
        large = _large(chosen, least)
        for market in chosen:
            if market not in large:
                _skip(this, _state(this, division, market), market, least, journal)
        write_batch(this, division, "running", None)
        _run_markets(this, division, large, journal)
        end = BatchEnd(
            this.folder.name,
            this.folder,
            this.folder.parent / "index.html",
            tuple(this.rows[market.slug] for market in chosen),
        )
        bad = [f"{one['market']}: {one['message']}" for one in end.bad]
        write_batch(this, division, "done" if not bad else "failed", end.exit_code)
        journal.close("done" if not bad else "failed", end.exit_code, "; ".join(bad))
    except BaseException as error:
        by_hand = isinstance(error, STOPS)
        code = stop_code(error) if by_hand else 1
        why = stop_words(error) if by_hand else mask_error(str(error), type(error).__name__)
        journal.close("stopped", code, why)
        with contextlib.suppress(OSError):  # a full disk: the first error is the one to tell
            write_batch(this, division, "stopped", code)
        raise
    write_index(this.folder.parent)
    return end


def _large(chosen: list[Market], least: int) -> list[Market]:
    large = [market for market in chosen if market.customers >= least]
    if large:
        return large
    most = max(chosen, key=lambda market: market.customers)
    raise DataError(
        f"no market has {least} customers or more; {most.market} has {most.customers}, the most "
        "of those chosen; --min-customers sets another limit"
    )


def _state(this: Batch, division: Division, market: Market) -> State:
    """Plan a market's run: that of the whole, on the market's part of the data."""
    place = this.whole.place
    data, mapping = (_from(place, division.parts / name) for name in (market.slug, MAPPING))
    label = replace(
        this.whole.label,
        by=division.column,
        market=market.market,
        slug=market.slug,
        batch=this.folder.name,
        rows=market.rows,
        customers=market.customers,
    )
    own = {"source": OWN_DATA, "data": data, "mapping": mapping}
    asked = this.whole.asked
    return plan(
        this.notebooks,
        catalog=this.catalog,
        parameters={**asked["parameters"], **own},
        texts={name: text for name, text in asked["texts"].items() if name not in own},
        folder=place,
        force=this.whole.force,
        timeout=this.whole.timeout,
        progress=Progress(quiet=True),
        label=label,
    )


def _from(place: Path, path: Path) -> str:
    return (path.relative_to(place) if path.is_relative_to(place) else path).as_posix()


def _skip(this: Batch, state: State, market: Market, least: int, journal: Journal) -> None:
    why = f"too small: {market.customers} customers, and {least} are asked for"
    write_bare(state.folder, state.label, "skipped", why, state.shared)
    keep_row(this, state, market)
    journal.end(market.market, "skipped", message=why)


def _run_markets(this: Batch, division: Division, large: list[Market], journal: Journal) -> None:
    """Run the markets, the largest first; those in which nothing has changed need no process."""
    waiting: list[tuple[State, Market]] = []
    for market in large:
        state = _state(this, division, market)
        if not state.force and all_held(state):
            carry_out(state, with_index=False)
            _tell(this, state, market, journal, "nothing has changed")
        else:
            waiting.append((state, market))
    pool = ThreadPoolExecutor(max_workers=this.jobs, thread_name_prefix="market")
    try:
        turns = {pool.submit(_in_process, this, *one, journal): one for one in waiting}
        for turn in as_completed(turns):
            turn.result()
            _tell(this, *turns[turn], journal)
            write_batch(this, division, "running", None)
    except BaseException:
        this.stopping = True
        raise
    finally:  # after Ctrl-C, or an error, the others end, and their threads with them
        pool.shutdown(wait=False, cancel_futures=True)
        this.end()
        pool.shutdown()


def _in_process(this: Batch, state: State, market: Market, journal: Journal) -> None:
    journal.begin(market.market)
    this.progress.note(f"{market.market}  running …")
    began = now()
    child = this.take()
    if this.stopping:  # it was taken after the others had been ended
        child.end()
    try:
        ended = child.carry_out(
            job_of(state, this.notebooks, _home_of(this.catalog)),
            lambda line: this.progress.note(f"{market.market}  {line}"),
        )
    finally:
        this.give_back(child)
    record = read_json(state.folder / RECORD)
    if record.get("status") == "running" or str(record.get("started", "")) < began:
        status, why = "killed", ended or "its run left no record"
        if this.stopping:
            status, why = "stopped", "the batch was stopped"
        write_bare(state.folder, state.label, status, why, state.shared)


def _home_of(catalog: Catalog) -> Path:
    return next(iter(catalog.notebooks.values())).path.parent


def _tell(this: Batch, state: State, market: Market, journal: Journal, detail: str = "") -> None:
    row = keep_row(this, state, market)
    why = row["message"] or detail or f"{row['seconds']:.0f} s"
    good = {name: row[name] for name in ("seconds", "peak_memory_bytes")}
    journal.end(market.market, row["status"], message=row["message"], **good)
    count = f"{journal.state['done']}/{journal.state['total']}"
    this.progress.note(f"[{count}] {market.market}  {row['status']}: {why}")
