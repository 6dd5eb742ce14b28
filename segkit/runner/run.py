"""Run notebooks: check first, reuse what still holds, execute the rest, render, keep the record."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from segkit.runner.catalog import Catalog, notebook_folder
from segkit.runner.context import OWN_DATA, run_name
from segkit.runner.execute import NotebookEnd, State, run_one
from segkit.runner.folder import clean, locked
from segkit.runner.manifest import data_inputs, read_json, versions, write_json
from segkit.runner.parameters import settle
from segkit.runner.progress import Progress

RECORD = "run.json"


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
    def exit_code(self) -> int:
        """0 all done; 3 the data gate alone stopped it; 1 anything else failed."""
        bad = {end.status for end in self.notebooks if not end.good} - {"not run"}
        return 0 if not bad else 3 if bad == {"gate"} else 1


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

    Raises
    ------
    ParameterError
        Before any kernel starts: an unknown notebook or parameter, a value of a wrong type.
    SourceError
        If a data or mapping file is not there.
    RunError
        If another run holds the folder.
    """
    source = {**(parameters or {}), **(texts or {})}.get("source", "")
    known = (catalog or Catalog.open(notebook_folder(folder))).for_source(str(source))
    place = (folder or Path.cwd()).resolve()
    order = known.closure([known.find(word) for word in notebooks] or known.notebooks)
    declared = {stem: known.notebooks[stem].parameters for stem in order}
    given = settle(declared, _with_own_data(parameters or {}, texts or {}), texts)
    shared = _shared(known, order, given)
    run_folder = place / str(shared.get("out", "reports")) / run_name(shared)
    data_inputs(shared, place)
    this = State(known, order, given, place, run_folder, force, timeout, progress or Progress())
    started = datetime.now(UTC)
    with locked(run_folder):
        for sentence in clean(run_folder):
            this.progress.note(sentence)
        threading.Thread(target=_import_renderer, daemon=True).start()
        try:
            for number, stem in enumerate(order, 1):
                this.ends[stem] = run_one(this, number, known.notebooks[stem])
        finally:
            if this.spare:
                this.spare.close()
        return _record(this, shared, started)


def _with_own_data(parameters: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Take data, or a mapping that names files, for the user's own if no source is named."""
    names = {**parameters, **texts}
    if (names.get("data") or names.get("mapping")) and "source" not in names:
        return {**parameters, "source": OWN_DATA}
    return dict(parameters)


def _shared(catalog: Catalog, order: list[str], given: Mapping[str, Any]) -> dict[str, Any]:
    shared: dict[str, Any] = {}
    for stem in order:
        for name, parameter in catalog.notebooks[stem].parameters.items():
            shared.setdefault(name, given[stem].get(name, parameter.default))
    return shared


def _import_renderer() -> None:
    """Import what renders reports while the first notebook executes."""
    from segkit.runner.lean import import_nbformat

    import_nbformat()
    from segkit.report import render  # noqa: F401


def _record(this: State, shared: Mapping[str, Any], started: datetime) -> RunEnd:
    from segkit.report.index import link_reports, write_index

    before = {item["stem"]: item for item in read_json(this.folder / RECORD).get("notebooks", [])}
    before |= {
        end.stem: {"stem": end.stem, "status": end.status, "message": end.message}
        for end in this.ends.values()
    }
    titles = {stem: notebook.title for stem, notebook in this.catalog.notebooks.items()}
    listed = [before[stem] | {"title": titles[stem]} for stem in titles if stem in before]
    end = RunEnd(
        this.folder.name, this.folder, this.folder.parent / "index.html", tuple(this.ends.values())
    )
    record = {
        "name": this.folder.name,
        "exit_code": end.exit_code,
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "parameters": dict(shared),
        "notebooks": listed,
        "versions": versions(),
    }
    write_json(this.folder / RECORD, record)
    link_reports(this.folder)
    write_index(this.folder.parent)
    return end
