"""Run notebooks: check first, reuse what still holds, execute the rest, render, keep the record."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from segkit import errors
from segkit.runner.catalog import Catalog, Notebook, notebook_folder
from segkit.runner.context import OWN_DATA, build_context, run_name
from segkit.runner.folder import Aside, clean, locked
from segkit.runner.manifest import (
    NAME,
    data_inputs,
    file_digest,
    intact,
    key_of,
    list_outputs,
    read_json,
    versions,
    write_json,
)
from segkit.runner.parameters import settle
from segkit.runner.process import Worker
from segkit.runner.progress import Progress

RECORD = "run.json"
GATES = (errors.DataError, errors.SourceError, errors.MappingError)


@dataclass(frozen=True, slots=True)
class NotebookEnd:
    """How one notebook of a run ended.

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
        """Whether its outputs can be built upon."""
        return self.status in ("done", "reused")


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


@dataclass(slots=True)
class _Run:
    catalog: Catalog
    order: list[str]
    given: dict[str, dict[str, Any]]
    place: Path
    folder: Path
    force: bool
    timeout: float | None
    progress: Progress
    ends: dict[str, NotebookEnd] = field(default_factory=dict)
    spare: Worker | None = None

    def settings(self, stem: str) -> dict[str, Any]:
        declared = self.catalog.notebooks[stem].parameters
        return {name: p.default for name, p in declared.items()} | self.given[stem]


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
    known = catalog or Catalog.open(notebook_folder(folder))
    place = (folder or Path.cwd()).resolve()
    order = known.closure([known.find(word) for word in notebooks] or known.notebooks)
    declared = {stem: known.notebooks[stem].parameters for stem in order}
    given = settle(declared, _with_own_data(parameters or {}, texts or {}), texts)
    shared = _shared(known, order, given)
    run_folder = place / str(shared.get("out", "reports")) / run_name(shared)
    data_inputs(shared, place)
    this = _Run(known, order, given, place, run_folder, force, timeout, progress or Progress())
    started = datetime.now(UTC)
    with locked(run_folder):
        for sentence in clean(run_folder):
            this.progress.note(sentence)
        threading.Thread(target=_import_renderer, daemon=True).start()
        try:
            for number, stem in enumerate(order, 1):
                this.ends[stem] = _one(this, number, known.notebooks[stem])
        finally:
            if this.spare:
                this.spare.close()
        return _record(this, shared, started)


def _with_own_data(parameters: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Take data without a source for the user's own, not the default source's."""
    names = {**parameters, **texts}
    if names.get("data") and "source" not in names:
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
    from segkit.report import render  # noqa: F401


def _one(this: _Run, number: int, notebook: Notebook) -> NotebookEnd:
    this.progress.begin(number, len(this.order), notebook.stem)
    stopped = [s for s in this.catalog.upstream(notebook.stem) if not this.ends[s].good]
    if stopped:
        end = NotebookEnd(notebook.stem, "not run", f"needs {', '.join(stopped)}")
        this.progress.end(end.status, end.message)
        return end
    inputs = _inputs(this, notebook)
    key = key_of(notebook.digest, this.settings(notebook.stem), inputs)
    target = this.folder / notebook.stem
    old = read_json(target / NAME)
    same = old.get("key") == key and "not hashed" not in inputs.values()
    if not this.force and same and old.get("status") == "done" and intact(target, old):
        this.progress.end("reused", f"nothing has changed since {old['finished']}")
        return NotebookEnd(notebook.stem, "reused")
    aside = Aside(this.folder, notebook.stem)
    try:
        manifest = _execute(this, notebook, aside, {"key": key, "inputs": inputs}, old)
        aside.commit()
    finally:
        aside.discard()
    error = manifest["error"] or {}
    message = str(error.get("message", ""))
    seconds = manifest["seconds"]
    peak = manifest["peak_memory_bytes"] / 2**20
    detail = f"report {seconds['rendering']:.1f} s, peak {peak:,.0f} MiB"
    this.progress.end(manifest["status"], message or detail)
    return NotebookEnd(notebook.stem, manifest["status"], message)


def _inputs(this: _Run, notebook: Notebook) -> dict[str, str]:
    inputs = data_inputs(this.settings(notebook.stem), this.place)
    context = build_context(this.catalog, notebook, this.folder, "", this.place, {})
    inputs |= {name: file_digest(Path(path)) for name, path in context.reads.items()}
    inputs |= {name: f"left out: {why}" for name, why in context.absent.items()}
    for path in context.summaries:
        inputs[f"summary of {Path(path).parent.name}"] = file_digest(Path(path))
    return inputs


def _execute(
    this: _Run, notebook: Notebook, aside: Aside, keyed: Mapping[str, Any], old: Mapping[str, Any]
) -> dict[str, Any]:
    settings = this.settings(notebook.stem)
    context = build_context(
        this.catalog, notebook, this.folder, str(aside.path), this.place, settings
    )
    worker = this.spare or Worker(this.place)
    # The next notebook's process imports while this one executes.
    is_last = notebook.stem == this.order[-1]
    this.spare = None if is_last else Worker(this.place)
    started = datetime.now(UTC)
    clock = time.perf_counter()
    changed = {
        name: value
        for name, value in this.given[notebook.stem].items()
        if value != notebook.parameters[name].default
    }
    try:
        outcome = worker.execute(
            notebook.path,
            changed,
            context.to_json(),
            on_event=this.progress.cell,
            timeout=this.timeout,
        )
        executed = aside.path / f"{notebook.stem}.ipynb"
        source = worker.executed if worker.executed.exists() else notebook.path
        executed.write_bytes(source.read_bytes())
    finally:
        worker.close()
    seconds = {"execution": round(time.perf_counter() - clock, 2)}
    outcome = _judge(outcome, aside.path)
    manifest = {
        "notebook": notebook.stem,
        "title": notebook.title,
        "question": notebook.question,
        **outcome,
        **keyed,
        "parameters": settings,
        "versions": versions(),
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
        "previous": _previous(this.folder / notebook.stem, old),
    }
    return _finish(this, notebook, aside.path, manifest)


def _finish(
    this: _Run, notebook: Notebook, folder: Path, manifest: dict[str, Any]
) -> dict[str, Any]:
    from segkit.report.render import write_report

    clock = time.perf_counter()
    this.progress.step("writing the report")
    write_report(folder, notebook.stem, manifest, run_name=this.folder.name)
    manifest["seconds"]["rendering"] = round(time.perf_counter() - clock, 2)
    manifest["outputs"] = list_outputs(folder)
    write_json(folder / NAME, manifest)
    return manifest


def _judge(outcome: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Name the data gate, and do not call done what did not finish."""
    if outcome["status"] == "failed":
        kind = getattr(errors, outcome["error"]["kind"], None)
        if isinstance(kind, type) and issubclass(kind, GATES):
            return {**outcome, "status": "gate"}
    if outcome["status"] == "done" and not (folder / "summary.json").is_file():
        detail = {"kind": "RunError", "message": "its last cell did not call run.finish()"}
        return {**outcome, "status": "failed", "error": detail}
    return outcome


def _previous(folder: Path, old: Mapping[str, Any]) -> dict[str, Any] | None:
    """Keep what the last good run found, to be compared with this one."""
    if old.get("status") in ("done", "interactive"):
        summary = read_json(folder / "summary.json")
        return {
            "finished": old.get("finished"),
            "key": old.get("key"),
            "headline": summary.get("headline", ""),
            "answers": summary.get("answers", []),
        }
    kept = old.get("previous")
    return dict(kept) if kept else None


def _record(this: _Run, shared: Mapping[str, Any], started: datetime) -> RunEnd:
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
