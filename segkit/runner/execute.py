"""One notebook's turn in a run: used again, or executed, judged, rendered and put in place."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from segkit import errors
from segkit.runner.catalog import Catalog, Notebook
from segkit.runner.context import build_context
from segkit.runner.folder import Aside
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
from segkit.runner.process import Worker
from segkit.runner.progress import Progress

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


@dataclass(slots=True)
class State:
    """A run under way.

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
    ends : dict of str to NotebookEnd
        How notebooks have ended so far.
    spare : Worker or None
        The process started ahead for the next notebook.
    """

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
        """Return all of a notebook's parameters with their values."""
        declared = self.catalog.notebooks[stem].parameters
        return {name: p.default for name, p in declared.items()} | self.given[stem]


def run_one(this: State, number: int, notebook: Notebook) -> NotebookEnd:
    """Give a notebook its turn: leave it, use it again, or execute it and put it in place."""
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


def _inputs(this: State, notebook: Notebook) -> dict[str, str]:
    inputs = data_inputs(this.settings(notebook.stem), this.place)
    context = build_context(this.catalog, notebook, this.folder, "", this.place, {})
    inputs |= {name: file_digest(Path(path)) for name, path in context.reads.items()}
    inputs |= {name: f"left out: {why}" for name, why in context.absent.items()}
    for path in context.summaries:
        inputs[f"summary of {Path(path).parent.name}"] = file_digest(Path(path))
    return inputs


def _execute(
    this: State, notebook: Notebook, aside: Aside, keyed: Mapping[str, Any], old: Mapping[str, Any]
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
    this: State, notebook: Notebook, folder: Path, manifest: dict[str, Any]
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
