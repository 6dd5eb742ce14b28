"""Execution of a run's notebooks: order, reuse of earlier outputs, and status of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from segkit import errors
from segkit.intake.privacy import mask_error, private_root, refer_again, settle_private
from segkit.runner import manifest as disk
from segkit.runner.catalog import Notebook, build_context, find_data
from segkit.runner.earlier import take_over
from segkit.runner.manifest import NAME, StagedFolder
from segkit.runner.state import NotebookEnd, State, write_record

GATES = (errors.DataError, errors.SourceError, errors.MappingError)
_RENDERING = threading.Lock()  # one at a time: each takes all of a core


def all_current(state: State) -> bool:
    """Return whether no notebook has to be run; if so, record each notebook's status."""
    ends: dict[str, NotebookEnd] = {}
    for stem in state.order:
        end = _known_status(state, stem, ends)
        if end is None:
            return False
        ends[stem] = end
    state.ends = ends
    return True


def _known_status(state: State, stem: str, ends: Mapping[str, NotebookEnd]) -> NotebookEnd | None:
    """Return the status of a notebook that need not be run; None if it has to be.

    One upstream was stopped, or running it would give what is there: its outputs, or the same
    refusal by the data gate.
    """
    stopped = [other for other in state.catalog.upstream(stem) if not ends[other].good]
    if stopped:
        return NotebookEnd(stem, "not run", f"needs {', '.join(stopped)}")
    old = disk.read_json(state.folder / stem / NAME)
    if state.force or old.get("status") not in ("done", "gate"):
        return None
    inputs, key = key_now(state, state.catalog.notebooks[stem])
    if not is_current(state.folder / stem, old, inputs, key, gate=True):
        return None
    if old["status"] == "done":
        return NotebookEnd(stem, "reused")
    return NotebookEnd(stem, "gate", str((old.get("error") or {}).get("message", "")))


def run_one(state: State, number: int, notebook: Notebook) -> NotebookEnd:
    """Process one notebook: skip it, reuse its outputs, or execute it and store its outputs."""
    stem = notebook.stem
    state.progress.begin(number, len(state.order), stem)
    if state.journal:
        state.journal.begin(stem)
    usage: dict[str, Any] = {}
    try:
        end, detail = _turn(state, notebook, usage)
    except OSError as error:
        where = f" ({Path(str(error.filename)).name})" if error.filename else ""
        end = NotebookEnd(stem, "failed", f"could not be saved: {error.strerror or error}{where}")
        detail = ""
    state.progress.end(stem, end.status, end.message or detail)
    if state.journal:
        state.journal.end(stem, end.status, message=end.message, **usage)
    return end


def _turn(state: State, notebook: Notebook, usage: dict[str, Any]) -> tuple[NotebookEnd, str]:
    stem = notebook.stem
    end = _known_status(state, stem, state.ends)
    if end is not None:
        finished = disk.read_json(state.folder / stem / NAME).get("finished")
        return end, f"nothing has changed since {finished}"
    inputs, key = key_now(state, notebook)
    if not state.force and state.earlier is not None:
        before = disk.read_json(state.earlier / stem / NAME)
        if is_current(state.earlier / stem, before, inputs, key):
            take_over(state.earlier / stem, state.folder, before, previous(state.earlier / stem))
            refer_again(_root(state, stem), state.folder)
            return NotebookEnd(stem, "reused"), f"as in {state.earlier.name}"
    aside = StagedFolder(state.folder, stem)
    try:
        manifest = _execute(state, notebook, aside, {"key": key, "inputs": inputs})
        if state.stopping:
            return NotebookEnd(stem, "not run", "the run was stopped"), ""
        aside.commit()
    finally:
        aside.discard()
        settle_private(_root(state, stem), state.folder)
    message = str((manifest["error"] or {}).get("message", ""))
    usage |= {"seconds": manifest["seconds"], "peak_memory_bytes": manifest["peak_memory_bytes"]}
    peak = manifest["peak_memory_bytes"] / 2**20
    detail = f"report {manifest['seconds']['rendering']:.1f} s, peak {peak:,.0f} MiB"
    return NotebookEnd(stem, manifest["status"], message), detail


def _root(state: State, stem: str) -> Path:
    """Return the folder that holds raw rows and rejects."""
    return private_root(state.place, str(state.settings(stem).get("private", "")))


def key_now(state: State, notebook: Notebook) -> tuple[dict[str, str], str]:
    """Return the hashed inputs of a notebook, and the key under which its outputs are reused."""
    inputs = _inputs(state, notebook)
    return inputs, disk.key_of(notebook.digest, state.settings(notebook.stem), inputs)


def is_current(
    folder: Path, manifest: Mapping[str, Any], inputs: dict[str, str], key: str, gate: bool = False
) -> bool:
    """Return whether running a notebook now would reproduce the existing folder.

    Data that cannot carry an analysis cannot the next time either; a notebook that failed in
    another way, or was killed, never holds.
    """
    same = manifest.get("key") == key and "not hashed" not in inputs.values()
    fit = manifest.get("status") in (("done", "gate") if gate else ("done",))
    return same and fit and disk.intact(folder, manifest)


def _inputs(state: State, notebook: Notebook) -> dict[str, str]:
    inputs = disk.data_inputs(state.settings(notebook.stem), state.place)
    context = build_context(state.catalog, notebook, state.folder, "", state.place, {})
    inputs |= {name: disk.file_digest(Path(path)) for name, path in context.reads.items()}
    inputs |= {name: f"left out: {why}" for name, why in context.absent.items()}
    for path in context.summaries:
        inputs[f"summary of {Path(path).parent.name}"] = disk.file_digest(Path(path))
    return inputs


def _execute(
    state: State, notebook: Notebook, aside: StagedFolder, keyed: Mapping[str, Any]
) -> dict[str, Any]:
    stem, label = notebook.stem, state.label
    settings = state.settings(stem)
    context = build_context(
        state.catalog, notebook, state.folder, str(aside.path), state.place, settings
    )
    started = datetime.now(UTC)
    clock = time.perf_counter()
    assert state.pool is not None  # noqa: S101 - whoever carries out a run gives it one
    worker = state.pool.take()
    if state.stopping:  # it was taken after the others had been ended
        worker.end()
    try:
        outcome = worker.execute(
            notebook.path,
            _changed(state, notebook),
            context.to_json(),
            on_event=lambda event: state.progress.cell(stem, event),
            timeout=state.timeout,
        )
        executed = aside.path / f"{stem}.ipynb"
        source = worker.executed if worker.executed.exists() else notebook.path
        executed.write_bytes(source.read_bytes())
    finally:
        state.pool.give_back(worker)
    seconds = {"execution": round(time.perf_counter() - clock, 2)}
    seconds["cells"] = outcome.pop("cells_seconds", 0.0)
    manifest = {
        "notebook": stem,
        "title": notebook.title,
        "question": notebook.question,
        **_judge(outcome, notebook, aside.path),
        **keyed,
        "notebook_digest": notebook.digest,
        "series": label.series,
        "by": label.by,
        "market": label.market,
        "parameters": settings,
        "versions": disk.versions(),
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
        "previous": previous(state.folder / stem)
        or previous(state.earlier and state.earlier / stem),
    }
    return manifest if state.stopping else _finish(state, notebook, aside.path, manifest)


def _changed(state: State, notebook: Notebook) -> dict[str, Any]:
    return {
        name: value
        for name, value in state.given[notebook.stem].items()
        if value != notebook.parameters[name].default
    }


def _finish(
    state: State, notebook: Notebook, folder: Path, manifest: dict[str, Any]
) -> dict[str, Any]:
    clock = time.perf_counter()
    if state.report is not None:
        state.progress.step(notebook.stem, "writing the report")
        with _RENDERING:
            clock = time.perf_counter()
            state.report.write_report(folder, notebook.stem, manifest, run_name=state.folder.name)
    manifest["seconds"]["rendering"] = round(time.perf_counter() - clock, 2)
    manifest["outputs"] = disk.list_outputs(folder)
    disk.write_json(folder / NAME, manifest)
    return manifest


def _judge(outcome: dict[str, Any], notebook: Notebook, folder: Path) -> dict[str, Any]:
    """Return the outcome: "gate" for unsuitable data, "failed" if promised outputs are missing."""
    if outcome["error"]:
        message = mask_error(outcome["error"]["message"], outcome["error"]["kind"])
        outcome = {**outcome, "error": {**outcome["error"], "message": message}}
    if outcome["status"] == "failed":
        kind = getattr(errors, outcome["error"]["kind"], None)
        if isinstance(kind, type) and issubclass(kind, GATES):
            return {**outcome, "status": "gate"}
    if outcome["status"] != "done":
        return outcome
    message = ""
    if not (folder / "summary.json").is_file():
        message = "its last cell did not call run.finish()"
    else:
        skips = disk.read_json(folder / "summary.json").get("skips", [])
        left_out = {skip["what"] for skip in skips}
        lost = [n for n in notebook.writes if n not in left_out and not find_data(folder, n)]
        if lost:
            message = f"{notebook.stem} promised {', '.join(lost)}, and no such file is there"
    if message:
        detail = {"kind": "RunError", "message": message}
        return {**outcome, "status": "failed", "error": detail}
    return outcome


def previous(folder: Path | None) -> dict[str, Any] | None:
    """Return findings and inputs of the last good run, for comparison with this one."""
    if folder is None:
        return None
    old = disk.read_json(folder / NAME)
    if old.get("status") in ("done", "interactive"):
        summary = disk.read_json(folder / "summary.json")
        names = ("finished", "key", "parameters", "inputs", "versions", "notebook_digest")
        return {
            **{name: old.get(name) for name in names},
            "headline": summary.get("headline", ""),
            "answers": summary.get("answers", []),
            "rows": summary.get("rows", {}),
        }
    before = old.get("previous")
    return dict(before) if before else None


def go_through(state: State, jobs: int) -> None:
    """Process every notebook of a run, at most ``jobs`` at the same time.

    A notebook's result depends only on what it reads. If one fails, the notebooks that need it do
    not run, and the others continue.

    Parameters
    ----------
    state : State
        The run.
    jobs : int
        Notebooks at once; each is a process of its own.
    """
    numbers = {stem: number for number, stem in enumerate(state.order, 1)}
    waiting = list(state.order)
    running: dict[Future[NotebookEnd], str] = {}
    pool = ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="notebook")
    try:
        while waiting or running:
            for stem in [s for s in waiting if _ready(state, s)]:
                if len(running) == jobs:
                    break
                waiting.remove(stem)
                turn = pool.submit(run_one, state, numbers[stem], state.catalog.notebooks[stem])
                running[turn] = stem
            for turn in wait(running, return_when=FIRST_COMPLETED).done:
                state.ends[running.pop(turn)] = turn.result()
            write_record(state, "running")
    finally:
        if running:  # Ctrl-C, or an error: processes end, and their threads with them
            state.stopping = True
            if state.pool:
                state.pool.stop()
        pool.shutdown(cancel_futures=True)


def _ready(state: State, stem: str) -> bool:
    return all(other in state.ends for other in state.catalog.upstream(stem))
