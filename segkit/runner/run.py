"""Run notebooks: check first, reuse what still holds, execute the rest, render, keep the record."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from segkit.errors import ParameterError, RunError, unknown
from segkit.runner.accepts import OWN_DATA, SOURCES
from segkit.runner.catalog import Catalog, notebook_folder, run_name
from segkit.runner.earlier import find_earlier
from segkit.runner.execute import holds, key_now, settled
from segkit.runner.folder import clean, locked
from segkit.runner.journal import Journal
from segkit.runner.manifest import NAME, data_inputs, read_json
from segkit.runner.parameters import Parameter, settle
from segkit.runner.pool import Pool
from segkit.runner.progress import Progress
from segkit.runner.record import RECORD, RunEnd, end_of, write_record
from segkit.runner.schedule import go_through
from segkit.runner.state import Label, NotebookEnd, State
from segkit.runner.stopping import STOPS, stop_code, stop_words

__all__ = ["RECORD", "RunEnd", "run"]
MANY = 5  # so many kernels repay the imports of the process that they are forked from


def run(
    notebooks: Iterable[str] = (),
    *,
    catalog: Catalog | None = None,
    parameters: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
    folder: Path | None = None,
    force: bool = False,
    timeout: float | None = None,
    progress: Progress | None = None,
    jobs: int = 1,
    day: str = "",
) -> RunEnd:
    """Run notebooks with all that they depend on.

    Parameters
    ----------
    notebooks : iterable of str
        Stems, their numbers or paths; none means all.
    catalog : Catalog, optional
        The notebooks to choose from; by default the working folder's or segkit's own.
    parameters : mapping, optional
        Typed values; ``out`` and ``name`` say where the run is written.
    texts : mapping of str to str, optional
        Values as text; they go before ``parameters``.
    folder : pathlib.Path, optional
        Where relative paths start; the current folder by default.
    force : bool
        Run again what has not changed.
    timeout : float, optional
        Seconds that one notebook may take.
    progress : Progress, optional
        Where to tell how it goes.
    jobs : int
        Notebooks at once, where they do not need one another.
    day : str
        An ISO date, or "today": the run gets a folder of its own for that day, beside those of
        other days.

    Raises
    ------
    ParameterError
        Before any kernel starts: an unknown notebook or parameter, a value of a wrong type.
    SourceError
        If a data or mapping file is not there.
    RunError
        If another run holds the folder, or it cannot be written.
    """
    this = plan(
        notebooks,
        catalog=catalog,
        parameters=parameters,
        texts=texts,
        folder=folder,
        force=force,
        timeout=timeout,
        progress=progress,
        day=day,
    )
    return carry_out(this, jobs)


def plan(
    notebooks: Iterable[str] = (),
    *,
    catalog: Catalog | None = None,
    parameters: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
    folder: Path | None = None,
    force: bool = False,
    timeout: float | None = None,
    progress: Progress | None = None,
    day: str = "",
    label: Label | None = None,
) -> State:
    """Check what was asked for, and lay out a run of it; nothing is written. See `run`."""
    source = {**(parameters or {}), **(texts or {})}.get("source", "")
    known = (catalog or Catalog.open(notebook_folder(folder))).for_source(str(source))
    place = (folder or Path.cwd()).resolve()
    wanted = [known.find(word) for word in notebooks] or list(known.notebooks)
    typed = _with_own_data(parameters or {}, texts or {})
    given = settle(_declared(known, known.closure(wanted)), typed, texts)
    known = known.for_settings(given)
    order = known.closure(wanted)
    given = settle(_declared(known, order), typed, texts)
    shared = _shared(known, order, given)
    _check_source(shared, known, order)
    label = label or Label(run_name(shared), day_of(day), dated=bool(day))
    run_folder = place / str(shared.get("out", "reports")) / label.folder
    data_inputs(shared, place)
    told = progress or Progress()
    asked = {"parameters": dict(parameters or {}), "texts": dict(texts or {})}
    this = State(known, order, given, place, run_folder, force, timeout, told, label, shared, asked)
    if label.dated:
        this.earlier = find_earlier(run_folder.parent, label)
    return this


def day_of(text: str) -> str:
    """Return an ISO date; "today" and nothing at all mean today (UTC).

    Raises
    ------
    ParameterError
        If the text is no date.
    """
    if text in ("", "today"):
        return datetime.now(UTC).date().isoformat()
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ParameterError(f"--date expects an ISO date or 'today', got {text!r}") from None


def carry_out(
    this: State, jobs: int = 1, *, patience: float = 0.5, with_index: bool = True
) -> RunEnd:
    """Carry out a planned run.

    Parameters
    ----------
    this : State
        What `plan` laid out.
    jobs : int
        Notebooks at once.
    patience : float
        Seconds to wait for another process to leave the run's folder.
    with_index : bool
        Write the index of all runs at the end.
    """
    if jobs < 1:
        raise ParameterError(f"--jobs expects a whole number of at least 1, got {jobs}")
    with locked(this.folder, patience=patience):
        for sentence in clean(this.folder):
            this.progress.note(sentence)
        before = read_json(this.folder / RECORD).get("status")
        this.journal = Journal(this.folder, this.folder.name, "notebooks", len(this.order))
        try:
            held = not this.force and all_held(this)
            if not held:
                write_record(this, "running")
                renderer = threading.Thread(target=_import_renderer, daemon=True)
                renderer.start()
                try:
                    _go_through(this, jobs)
                finally:  # whoever changes filters of warnings next must not meet an import
                    renderer.join()
            for number, stem in enumerate(this.order if held else (), 1):
                this.progress.begin(number, len(this.order), stem)
                end = this.ends[stem]
                this.progress.end(stem, end.status, end.message or "nothing has changed")
                this.journal.end(stem, end.status, message=end.message)
            _close(this, link=not held or before == "running", with_index=with_index)
        except OSError as error:
            name = Path(str(error.filename or this.folder)).name
            why = f"the run's record could not be written: {error.strerror or error} ({name})"
            this.journal.close("stopped", 1, why)
            raise RunError(why) from error
        except STOPS as error:
            this.journal.close("stopped", stop_code(error), stop_words(error))
            write_record(this, "stopped", stop_code(error), stop_words(error))
            raise
    return end_of(this)


def _go_through(this: State, jobs: int) -> None:
    """Give the notebooks their turns; processes that were made for this run end with it."""
    if this.pool is not None:
        go_through(this, jobs)
        return
    this.pool = Pool(this.place, warm=len(this.order) >= MANY)
    try:
        go_through(this, jobs)
    finally:
        this.pool.close()


def all_held(this: State) -> bool:
    """Tell whether nothing has to be run; if so, every notebook's end is noted."""
    ends: dict[str, NotebookEnd] = {}
    for stem in this.order:
        stopped = [other for other in this.catalog.upstream(stem) if not ends[other].good]
        if stopped:
            ends[stem] = NotebookEnd(stem, "not run", f"needs {', '.join(stopped)}")
            continue
        old = read_json(this.folder / stem / NAME)
        if old.get("status") not in ("done", "gate"):
            return False
        inputs, key = key_now(this, this.catalog.notebooks[stem])
        if not holds(this.folder / stem, old, inputs, key, also_gate=True):
            return False
        ends[stem] = settled(stem, old)
    this.ends = ends
    return True


def _close(this: State, *, link: bool, with_index: bool) -> None:
    """Write how a run ended, link its reports to one another, and list it on the index."""
    from segkit.report.index import link_reports, write_index

    end = end_of(this)
    if link:
        write_record(this, "running")  # names the reports that there are
        link_reports(this.folder)
    write_record(this, end.status)
    if this.journal:
        this.journal.close(end.status, end.exit_code, end.message)
    if with_index:
        write_index(this.folder.parent)


def _import_renderer() -> None:
    """Import what renders reports while the first notebook executes."""
    from segkit.runner.lean import import_nbformat

    import_nbformat()
    from segkit.report import render  # noqa: F401


def _with_own_data(parameters: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Take data, or a mapping that names files, for the user's own if no source is named."""
    names = {**parameters, **texts}
    if (names.get("data") or names.get("mapping")) and "source" not in names:
        return {**parameters, "source": OWN_DATA}
    return dict(parameters)


def _declared(catalog: Catalog, order: list[str]) -> dict[str, dict[str, Parameter]]:
    return {stem: catalog.notebooks[stem].parameters for stem in order}


def _check_source(shared: Mapping[str, Any], catalog: Catalog, order: list[str]) -> None:
    """Refuse a source that nobody knows, and a file for one that takes none."""
    source = str(shared.get("source", ""))
    own = {catalog.notebooks[stem].parameters["source"].default for stem in order if "source" in
           catalog.notebooks[stem].parameters}  # fmt: skip
    if source and source not in {*SOURCES, *own}:
        raise ParameterError(unknown("source", source, SOURCES))
    if source == "simulated" and shared.get("data"):
        raise ParameterError(
            "the simulated retailer is made, not read: leave out the data, or name another source "
            f"({OWN_DATA!r} for your own)"
        )


def _shared(catalog: Catalog, order: list[str], given: Mapping[str, Any]) -> dict[str, Any]:
    shared: dict[str, Any] = {}
    for stem in order:
        for name, parameter in catalog.notebooks[stem].parameters.items():
            shared.setdefault(name, given[stem].get(name, parameter.default))
    return shared
