"""Runs of notebooks: the plan, its execution, and the record of how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, TypedDict, Unpack

from segkit.errors import ParameterError, RunError, unknown
from segkit.runner.accepts import OWN_DATA, SOURCES
from segkit.runner.catalog import Catalog, notebook_folder, run_name
from segkit.runner.earlier import find_earlier
from segkit.runner.execute import all_current, go_through
from segkit.runner.manifest import clean, data_inputs, locked, read_json
from segkit.runner.parameters import Parameter, check_parameters
from segkit.runner.process import NotebookPool
from segkit.runner.progress import Progress
from segkit.runner.state import RECORD, Journal, Label, RunEnd, State, end_of, write_record
from segkit.runner.stopping import STOPS, stop_code, stop_words

__all__ = ["RECORD", "RunEnd", "run"]
MANY = 5  # number of kernels from which a process to fork them saves time


class Request(TypedDict, total=False):
    """Options of a run, besides its notebooks; see `plan`."""

    catalog: Catalog | None
    parameters: Mapping[str, Any] | None
    texts: Mapping[str, str] | None
    folder: Path | None
    force: bool
    timeout: float | None
    progress: Progress | None
    report: ModuleType | None
    day: str


def run(notebooks: Iterable[str] = (), *, jobs: int = 1, **request: Unpack[Request]) -> RunEnd:
    """Run notebooks with all that they depend on.

    Parameters
    ----------
    notebooks : iterable of str
        Stems, their numbers or paths; none means all.
    jobs : int
        Notebooks at once, where they do not need one another.
    **request
        As for `plan`.

    Raises
    ------
    ParameterError
        Before any kernel starts: an unknown notebook or parameter, a value of a wrong type.
    SourceError
        If a data or mapping file is not there.
    RunError
        If another run holds the folder, or it cannot be written.
    """
    return carry_out(plan(notebooks, **request), jobs)


def plan(
    notebooks: Iterable[str] = (),
    *,
    catalog: Catalog | None = None,
    parameters: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
    folder: Path | str | None = None,
    force: bool = False,
    timeout: float | None = None,
    progress: Progress | None = None,
    report: ModuleType | None = None,
    day: str = "",
    label: Label | None = None,
) -> State:
    """Check the request and plan its run; nothing is written.

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
    folder : path, optional
        Where relative paths start; the current folder by default.
    force : bool
        Run again what has not changed.
    timeout : float, optional
        Seconds that one notebook may take.
    progress : Progress, optional
        Receives how the run goes.
    report : module, optional
        What writes reports and the index of all runs: `segkit.report`. Without it there are none.
    day : str
        An ISO date, or "today": the run gets a folder of its own for that day, beside those of
        other days.
    label : Label, optional
        Series, market and day of the run; made of the parameters by default.

    Raises
    ------
    ParameterError, SourceError
        As for `run`.
    """
    notebooks = list(notebooks)
    source = {**(parameters or {}), **(texts or {})}.get("source", "")
    place = Path(folder or Path.cwd()).resolve()
    whole = catalog or Catalog.open(notebook_folder(place))
    available = whole.for_source(str(source))
    wanted = [available.check(whole.find(word), source) for word in notebooks]
    wanted = wanted or list(available.notebooks)
    typed = _with_own_data(parameters or {}, texts or {})
    given = check_parameters(_declared(available, available.closure(wanted)), typed, texts)
    available = available.for_settings(given)
    order = available.closure(wanted)
    given = check_parameters(_declared(available, order), typed, texts)
    shared = _shared(available, order, given)
    _check_source(shared, available, order)
    label = label or Label(run_name(shared), day_of(day), dated=bool(day))
    run_folder = place / str(shared.get("out", "reports")) / label.folder
    data_inputs(shared, place)
    state = State(
        catalog=available,
        order=order,
        given=given,
        place=place,
        folder=run_folder,
        force=force,
        timeout=timeout,
        progress=progress or Progress(),
        label=label,
        shared=shared,
        request={
            "notebooks": notebooks,
            "parameters": dict(parameters or {}),
            "texts": dict(texts or {}),
            "folder": str(place),
            "force": force,
            "timeout": timeout,
        },
        report=report,
    )
    if label.dated:
        state.earlier = find_earlier(run_folder.parent, label)
    return state


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
    state: State, jobs: int = 1, *, patience: float = 0.5, with_index: bool = True
) -> RunEnd:
    """Carry out a planned run.

    Parameters
    ----------
    state : State
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
    with locked(state.folder, patience=patience):
        for sentence in clean(state.folder):
            state.progress.note(sentence)
        before = read_json(state.folder / RECORD).get("status")
        state.journal = Journal(state.folder, state.folder.name, "notebooks", len(state.order))
        try:
            unchanged = not state.force and all_current(state)
            if not unchanged:
                write_record(state, "running")
                with state.report.renderer_imported() if state.report else nullcontext():
                    _go_through(state, jobs)
            for number, stem in enumerate(state.order if unchanged else (), 1):
                state.progress.begin(number, len(state.order), stem)
                end = state.ends[stem]
                state.progress.end(stem, end.status, end.message or "nothing has changed")
                state.journal.end(stem, end.status, message=end.message)
            _close(state, link=not unchanged or before == "running", with_index=with_index)
        except OSError as error:
            name = Path(str(error.filename or state.folder)).name
            why = f"the run's record could not be written: {error.strerror or error} ({name})"
            state.journal.close("stopped", 1, why)
            raise RunError(why) from error
        except STOPS as error:
            state.journal.close("stopped", stop_code(error), stop_words(error))
            write_record(state, "stopped", stop_code(error), stop_words(error))
            raise
    return end_of(state)


def _go_through(state: State, jobs: int) -> None:
    """Process all notebooks; processes started for this run end with it."""
    if state.pool is not None:
        go_through(state, jobs)
        return
    state.pool = NotebookPool(state.place, warm=len(state.order) >= MANY)
    try:
        go_through(state, jobs)
    finally:
        state.pool.close()


def _close(state: State, *, link: bool, with_index: bool) -> None:
    """Write the result of a run, link its reports, and list it on the index."""
    end = end_of(state)
    if link and state.report:
        write_record(state, "running")  # names the reports that there are
        state.report.link_reports(state.folder)
    write_record(state, end.status)
    if state.journal:
        state.journal.close(end.status, end.exit_code, end.message)
    if with_index and state.report:
        state.report.write_index(state.folder.parent)


def _with_own_data(parameters: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Treat data, or a mapping with files, as the user's own if no source is named."""
    names = {**parameters, **texts}
    if (names.get("data") or names.get("mapping")) and "source" not in names:
        return {**parameters, "source": OWN_DATA}
    return dict(parameters)


def _declared(catalog: Catalog, order: list[str]) -> dict[str, dict[str, Parameter]]:
    return {stem: catalog.notebooks[stem].parameters for stem in order}


def _check_source(shared: Mapping[str, Any], catalog: Catalog, order: list[str]) -> None:
    """Raise an error for an unknown source, or for a file with a source that takes none."""
    source = str(shared.get("source", ""))
    declared = [catalog.notebooks[stem].parameters for stem in order]
    own = {parameters["source"].default for parameters in declared if "source" in parameters}
    if source and source not in {*SOURCES, *own}:
        raise ParameterError(unknown("source", source, SOURCES))
    if source == "simulated" and shared.get("data"):
        raise ParameterError(
            "the simulated retailer takes no data: leave out the data, or name another source "
            f"({OWN_DATA!r} for your own)"
        )


def _shared(catalog: Catalog, order: list[str], given: Mapping[str, Any]) -> dict[str, Any]:
    shared: dict[str, Any] = {}
    for stem in order:
        for name, parameter in catalog.notebooks[stem].parameters.items():
            shared.setdefault(name, given[stem].get(name, parameter.default))
    return shared
