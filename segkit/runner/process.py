"""Processes that execute notebooks: the code of the run, and of the processes themselves.

``python -m segkit.runner.process FOLDER`` imports what takes long, and waits for jobs on standard
input, one line each; every notebook gets a kernel of its own. The outcome is written to
``outcome.json`` in FOLDER; progress goes to standard output as JSON lines. It ends, with
its kernel, when its parent ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Generic, NoReturn, TypeVar

from segkit.runner.catalog import CONTEXT
from segkit.runner.manifest import make_scratch, read_json, remove_scratch, write_json
from segkit.runner.stopping import (
    children_of,
    detached_options,
    died,
    end_family,
    end_group,
    peak_of,
    peak_of_children,
)
from segkit.runner.warm import ADDRESS, POSSIBLE, Nursery, ask_for_kernel, kernel_environment
from segkit.writing import WINDOWS

LONGEST_SOCKET_PATH = 80  # the system allows about 100 characters; ZMQ adds a few
Event = Callable[[Mapping[str, int]], None]


class LineProcess:
    """A Python process that takes jobs on standard input, one line each, and answers in lines.

    Parameters
    ----------
    module : str
        Run as ``python -m module``.
    *words : str
        Its arguments.
    cwd : pathlib.Path
        Its working folder.
    errors : binary file
        Takes its standard error.
    environment : dict of str to str, optional
        All its variables; those of this process by default.
    """

    def __init__(
        self,
        module: str,
        *words: str,
        cwd: Path,
        errors: IO[bytes],
        environment: dict[str, str] | None = None,
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=cwd,
            env=environment,
            text=True,
            encoding="utf-8",
            **detached_options(),  # Ctrl-C reaches the parent alone, which then ends it
        )

    @property
    def usable(self) -> bool:
        """Whether it can take another job."""
        return self._process.poll() is None

    def answers(self, job: Mapping[str, Any]) -> Iterator[str]:
        """Hand over a job, and yield the lines that come back until the process ends."""
        assert self._process.stdin is not None  # noqa: S101 - opened as pipes above
        assert self._process.stdout is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        yield from iter(self._process.stdout.readline, "")  # the pipe stays open for the next job

    def end(self) -> None:
        """End the process; the processes that it started end too."""
        if self.usable:
            self._process.kill()

    def close(self) -> None:
        """Let the process go: its input ends."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()


P = TypeVar("P", bound=LineProcess)


class Pool(Generic[P]):
    """Processes kept for the next job, since their imports often take longer than a job.

    Parameters
    ----------
    make : callable
        Starts a process.
    """

    def __init__(self, make: Callable[[], P]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._idle: list[P] = []
        self._active: list[P] = []

    def take(self) -> P:
        """Return a process for a job."""
        with self._lock:
            process = self._idle.pop() if self._idle else self._make()
            self._active.append(process)
            return process

    def give_back(self, process: P) -> None:
        """Keep a process for the next job, or close it if it can take none."""
        with self._lock:
            self._active.remove(process)
            if process.usable:
                self._idle.append(process)
                return
        process.close()

    def stop(self) -> None:
        """End the processes at work; their callers get the status killed."""
        with self._lock:
            for process in self._active:
                process.end()

    def close(self) -> None:
        """End every process."""
        self.stop()
        with self._lock:
            while self._idle:
                self._idle.pop().close()


class NotebookPool(Pool["Worker"]):
    """Processes that execute notebooks, of a run or of several runs that follow one another.

    Parameters
    ----------
    place : pathlib.Path
        Where relative paths start.
    warm : bool
        Whether kernels are forked from a process that has imported what they need, where the
        system allows it; that process takes some seconds to come.
    """

    def __init__(self, place: Path, *, warm: bool = False) -> None:
        self._nursery = Nursery(place) if warm and POSSIBLE else None
        super().__init__(lambda: Worker(place, self._nursery.address if self._nursery else ""))

    def close(self) -> None:
        """End every process."""
        super().close()
        if self._nursery:
            self._nursery.close()


class Worker(LineProcess):
    """A process that executes notebooks one after the other, each in a kernel of its own.

    Parameters
    ----------
    cwd : pathlib.Path
        Where the notebook's relative paths start.
    nursery : str
        Address of the process that forks kernels; empty where each is started cold.
    """

    def __init__(self, cwd: Path, nursery: str = "") -> None:
        self.cwd = cwd
        self.folder = make_scratch()
        self._kernel = 0
        self._late = False
        variables = {CONTEXT: str(self.folder / "context.json"), ADDRESS: nursery}
        with (self.folder / "stderr.txt").open("wb") as errors:
            super().__init__(
                "segkit.runner.process",
                str(self.folder),
                cwd=cwd,
                errors=errors,
                environment=kernel_environment(**variables),
            )

    @property
    def usable(self) -> bool:
        """Whether it can take another notebook: it lives, and nothing went wrong."""
        return super().usable and not self._late

    @property
    def executed(self) -> Path:
        """The executed notebook, as far as it came."""
        return self.folder / "executed.ipynb"

    def execute(
        self,
        notebook: Path,
        parameters: Mapping[str, Any],
        context: Mapping[str, Any],
        *,
        on_event: Event | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Execute a notebook and return its outcome.

        Parameters
        ----------
        notebook : pathlib.Path
            The file.
        parameters : mapping
            Values to inject.
        context : mapping
            What `open_notebook` finds in the kernel.
        on_event : callable
            Told of each cell: ``{"cell": 3, "cells": 12}``.
        timeout : float, optional
            Seconds after which the notebook is ended.

        Returns
        -------
        dict
            ``status`` (done, failed, killed), ``error`` (kind, message, cell) or None,
            ``peak_memory_bytes``.
        """
        for name in ("outcome.json", "executed.ipynb"):
            (self.folder / name).unlink(missing_ok=True)
        self._late = False
        (self.folder / "context.json").write_text(json.dumps(context), encoding="utf-8")
        job = {"notebook": str(notebook), "parameters": dict(parameters), "cwd": str(self.cwd)}
        timer = threading.Timer(timeout, self._too_late) if timeout else None
        if timer:
            timer.start()
        cell = self._talk(job, on_event or (lambda _: None))
        if timer:
            timer.cancel()
        return self._outcome(cell, timeout)

    def _talk(self, job: Mapping[str, Any], on_event: Event) -> int:
        cell = 0
        for line in self.answers(job):
            try:
                event = json.loads(line)
            except ValueError:
                continue  # a library printed something
            if not isinstance(event, dict):
                continue
            self._kernel = event.get("kernel", self._kernel)
            if "end" in event:
                break
            if "cell" in event:
                cell = event["cell"]
                on_event(event)
        else:
            self._process.wait()
        return cell

    def _outcome(self, cell: int, timeout: float | None) -> dict[str, Any]:
        code = self._process.poll()
        if code is None:  # it waits for the next job: files of the last kernel are removed
            self._end_kernel()
        outcome = read_json(self.folder / "outcome.json")
        if self._late:
            message = f"it took longer than {timeout:g} seconds and was ended"
            outcome = {"status": "killed", "error": {"kind": "Timeout", "message": message}}
        elif not outcome:
            last = (self.folder / "stderr.txt").read_text(errors="replace").strip().splitlines()
            message = died("notebook's process", code) + (f": {last[-1]}" if last else "")
            outcome = {"status": "killed", "error": {"kind": "WorkerDied", "message": message}}
        if outcome["error"] is not None:
            outcome["error"].setdefault("cell", cell)
        return {"peak_memory_bytes": 0, **outcome}

    def _too_late(self) -> None:
        self._late = True
        self.end()

    def end(self) -> None:
        """End the process, its kernel, and what the kernel has started, if they still run."""
        if self._process.poll() is None:
            end_family(self._process.pid)
        self._end_kernel()

    def _end_kernel(self) -> None:
        if self._kernel:
            end_group(self._kernel)
            self._kernel = 0

    def close(self) -> None:
        """End the process and remove its folder."""
        self.end()
        super().close()
        remove_scratch(self.folder)


def serve(
    carry_out: Callable[[dict[str, Any]], None], leave: Callable[[], None] = lambda: None
) -> NoReturn:
    """Carry out the jobs that arrive on standard input, one line each.

    Its end is that of the parent: then ``leave`` is called, and this process ends at once.
    """
    jobs: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            jobs.put(line)
        leave()
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        carry_out(json.loads(jobs.get()))


def main(folder: Path) -> None:
    """Wait for jobs, and execute their notebooks one after the other."""
    import_nbformat()
    import papermill  # noqa: F401 - takes long, and is needed at once when a job comes

    # Children get another standard output, so that a surviving kernel does not keep ours open.
    sys.stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    engine = _register_engine(folder)
    serve(lambda job: _carry_out(job, folder, engine), lambda: _leave(engine, folder))


def _carry_out(job: dict[str, Any], folder: Path, engine: Any) -> None:
    """Execute one notebook and write the outcome."""
    import papermill

    engine.begin()
    try:
        papermill.execute_notebook(
            job["notebook"],
            str(folder / "executed.ipynb"),
            parameters=job["parameters"],
            engine_name="segkit",
            kernel_name="python3",
            language="python",
            progress_bar=False,
            cwd=job["cwd"],
            start_timeout=120,
        )
        outcome: dict[str, Any] = {"status": "done", "error": None}
    except Exception as error:  # noqa: BLE001 - whatever it was becomes the reported outcome
        outcome = _explain(error, engine)
    outcome["peak_memory_bytes"] = (
        engine.peak or getattr(engine.kernel, "peak", 0) or peak_of_children()
    )
    outcome["cells_seconds"] = _cells_seconds(folder / "executed.ipynb")
    write_json(folder / "outcome.json", outcome)
    send_event(end=True)


def send_event(**event: Any) -> None:
    """Write one line of progress for the parent."""
    print(json.dumps(event), flush=True)  # noqa: T201 - the agreed channel


def _register_engine(folder: Path) -> Any:
    """Teach papermill to use this interpreter's kernel over sockets in a private folder."""
    from papermill.engines import NBClientEngine, papermill_engines

    _prefer_warm_kernels()

    class Engine(NBClientEngine):  # type: ignore[misc]
        kernel: Any = None
        kernel_code: int | None = None
        cell: int = 0
        peak: int = 0
        kernels: int = 0

        @classmethod
        def begin(cls) -> None:
            cls.kernel, cls.kernel_code, cls.cell, cls.peak = None, None, 0, 0

        @classmethod
        def execute_managed_notebook(
            cls, nb_man: Any, kernel_name: str, start_timeout: int = 120, **_: Any
        ) -> Any:
            def note(number: int) -> None:
                Engine.cell = number
                send_event(cell=number, cells=len(nb_man.nb.cells))

            _follow_cells(nb_man, note)
            return client(
                nb_man,
                kernel_manager_class=kernel,
                kernel_name=kernel_name,
                startup_timeout=start_timeout,
                timeout=None,
            ).execute()

    kernel, client = _kernel_class(Engine, folder), _client_class(Engine)
    papermill_engines.register("segkit", Engine)
    return Engine


def _kernel_class(engine: Any, folder: Path) -> Any:
    """Make the class of kernels that listen to sockets in a folder.

    Any kernelspec called ``python3`` on the machine is passed over. Sockets, unlike ports, cannot
    be taken by another kernel that starts at the same moment.
    """
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class Kernel(AsyncKernelManager):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.kernel_spec_manager = KernelSpecManager(kernel_dirs=[])
            engine.kernels += 1
            self.connection_file = str(folder / f"k{engine.kernels}.json")
            if not WINDOWS and len(self.connection_file) < LONGEST_SOCKET_PATH:
                self.transport = "ipc"

        async def _async_launch_kernel(self, kernel_cmd: list[str], **settings: Any) -> None:
            await super()._async_launch_kernel(kernel_cmd, **settings)
            # Known before it has written anything, should we have to leave at once.
            engine.kernel = getattr(self.provisioner, "process", None)
            if engine.kernel is not None:
                send_event(kernel=engine.kernel.pid)

    return Kernel


def _client_class(engine: Any) -> Any:
    """Make the class of clients that note how their kernel ended, and its peak of memory."""
    from nbclient.exceptions import DeadKernelError
    from papermill.clientwrap import PapermillNotebookClient

    class Client(PapermillNotebookClient):  # type: ignore[misc]
        def papermill_execute_cells(self) -> None:
            process = self.km.provisioner.process
            engine.kernel = process
            try:
                super().papermill_execute_cells()
            except DeadKernelError:
                engine.kernel_code = process.poll()
                raise
            finally:
                engine.peak = peak_of(process.pid)

    return Client


def _follow_cells(manager: Any, note: Callable[[int], None]) -> None:
    """Note each cell that begins; save the notebook before code runs, and not twice per cell.

    What has come so far is on disk where something may go wrong; the end is saved in any case.
    """
    started, ended, save = manager.cell_start, manager.cell_complete, manager.save

    def put_off(**_: Any) -> None:
        pass

    def cell_start(cell: Any, cell_index: int | None = None, **rest: Any) -> None:
        note((cell_index or 0) + 1)
        manager.save = save if cell.cell_type == "code" else put_off
        started(cell, cell_index, **rest)
        manager.save = save

    def cell_complete(cell: Any, cell_index: int | None = None, **rest: Any) -> None:
        manager.save = put_off
        ended(cell, cell_index, **rest)
        manager.save = save

    manager.cell_start, manager.cell_complete = cell_start, cell_complete


def _prefer_warm_kernels() -> None:
    """Fork kernels where a process for that exists, else start them."""
    from jupyter_client.launcher import launch_kernel
    from jupyter_client.provisioning import local_provisioner

    nursery = os.environ.pop(ADDRESS, "")

    def launch(cmd: list[str], **settings: Any) -> Any:
        environment = settings.get("env") or os.environ
        warm = ask_for_kernel(nursery, cmd, environment, settings.get("cwd"))
        return warm or launch_kernel(cmd, **settings)

    local_provisioner.launch_kernel = launch  # type: ignore[attr-defined,assignment]


def _explain(error: Exception, engine: Any) -> dict[str, Any]:
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    if isinstance(error, PapermillExecutionError):
        detail = {"kind": error.ename, "message": error.evalue, "cell": error.cell_index + 1}
        return {"status": "failed", "error": detail}
    if isinstance(error, DeadKernelError):
        code = engine.kernel_code
        detail = {"kind": "KernelDied", "message": died("kernel", code), "cell": engine.cell}
        return {"status": "killed", "error": detail}
    detail = {"kind": type(error).__name__, "message": str(error), "cell": engine.cell}
    return {"status": "failed", "error": detail}


def _leave(engine: Any, folder: Path) -> None:
    """Leave nothing behind: neither a kernel nor files."""
    for child in children_of(os.getpid()):  # a kernel that is just starting too
        end_family(child)
    if engine.kernel is not None:
        end_group(engine.kernel.pid)
    for _ in range(100):  # the other thread may be writing there
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
        time.sleep(0.02)


def _cells_seconds(executed: Path) -> float:
    """Return the seconds that the cells took, without starting, stopping and rendering."""
    cells = read_json(executed).get("cells", [])
    took = [cell["metadata"].get("papermill", {}).get("duration") or 0.0 for cell in cells]
    return round(sum(took), 2)


def import_nbformat() -> None:
    """Import nbformat without the grammar of web addresses that jsonschema would compile with it.

    That grammar checks formats that no notebook has, and costs about a second of each process;
    jsonschema does without it where it is not installed. Later imports of it work as ever.
    """
    name = "rfc3987_syntax"
    if name in sys.modules:
        return
    # None is Python's way to say "not installed".
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        import nbformat  # noqa: F401
    finally:
        del sys.modules[name]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
