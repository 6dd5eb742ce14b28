"""The process that executes notebooks: ``python -m segkit.runner.worker FOLDER``.

It imports what takes long, and waits for jobs on standard input, one line each; every notebook
gets a kernel of its own. What became of it is written to ``outcome.json`` in FOLDER; progress goes
to standard output, one JSON object a line. When its parent goes, it goes, and its kernel with it.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from segkit.runner.manifest import read_json, write_json
from segkit.runner.stopping import children_of, end_family, end_group
from segkit.runner.warm import ADDRESS, ask_for_kernel

LONGEST_SOCKET_PATH = 80  # the system allows about 100 characters; ZMQ adds a few


def main(folder: Path) -> None:
    """Wait for jobs, and execute their notebooks one after the other."""
    from segkit.runner.lean import import_nbformat

    import_nbformat()
    import papermill  # noqa: F401 - takes long, and is needed at once when a job comes

    _keep_progress_apart()
    engine = _register_engine(folder)
    jobs: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(jobs, engine, folder), daemon=True).start()
    while True:
        _carry_out(json.loads(jobs.get()), folder, engine)


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
        engine.peak or getattr(engine.kernel, "peak", 0) or _peak_memory()
    )
    outcome["cells_seconds"] = _cells_seconds(folder / "executed.ipynb")
    write_json(folder / "outcome.json", outcome)
    tell(end=True)


def tell(**event: Any) -> None:
    """Write one line of progress for the parent."""
    print(json.dumps(event), flush=True)  # noqa: T201 - the agreed channel


def _keep_progress_apart() -> None:
    """Hand children another standard output, lest a kernel that outlives us keeps ours open."""
    sys.stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)


def _register_engine(folder: Path) -> Any:
    """Teach papermill to use this interpreter's kernel over sockets in a private folder.

    Any kernelspec called ``python3`` on the machine is passed over. Sockets, unlike ports, cannot
    be taken by another kernel that starts at the same moment.
    """
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient.exceptions import DeadKernelError
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines

    _prefer_warm_kernels()

    class Kernel(AsyncKernelManager):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.kernel_spec_manager = KernelSpecManager(kernel_dirs=[])
            Engine.kernels += 1
            self.connection_file = str(folder / f"k{Engine.kernels}.json")
            if os.name == "posix" and len(self.connection_file) < LONGEST_SOCKET_PATH:
                self.transport = "ipc"

        async def _async_launch_kernel(self, kernel_cmd: list[str], **settings: Any) -> None:
            await super()._async_launch_kernel(kernel_cmd, **settings)
            # Known before it has written anything, should we have to leave at once.
            Engine.kernel = getattr(self.provisioner, "process", None)
            if Engine.kernel is not None:
                tell(kernel=Engine.kernel.pid)

    class Client(PapermillNotebookClient):  # type: ignore[misc]
        def papermill_execute_cells(self) -> None:
            process = self.km.provisioner.process
            Engine.kernel = process
            try:
                super().papermill_execute_cells()
            except DeadKernelError:
                Engine.kernel_code = process.poll()
                raise
            finally:
                Engine.peak = peak_of(process.pid)

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
            started = nb_man.cell_start

            def cell_start(cell: Any, cell_index: int | None = None, **rest: Any) -> None:
                Engine.cell = (cell_index or 0) + 1
                tell(cell=Engine.cell, cells=len(nb_man.nb.cells))
                started(cell, cell_index, **rest)

            nb_man.cell_start = cell_start
            return Client(
                nb_man,
                kernel_manager_class=Kernel,
                kernel_name=kernel_name,
                startup_timeout=start_timeout,
                timeout=None,
            ).execute()

    papermill_engines.register("segkit", Engine)
    return Engine


def _prefer_warm_kernels() -> None:
    """Have kernels forked where there is a process to fork them from, else started."""
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


def died(what: str, code: int | None) -> str:
    """Say in words how a process ended.

    Examples
    --------
    >>> died("kernel", -15)
    'the kernel was ended by signal SIGTERM'
    >>> died("kernel", 3)
    'the kernel ended by itself with exit code 3'
    """
    if code is None:
        return f"the {what} stopped answering"
    if code >= 0:
        return f"the {what} ended by itself with exit code {code}"
    name = signal.Signals(-code).name
    hint = " (often the system, when memory runs out)" if name == "SIGKILL" else ""
    return f"the {what} was ended by signal {name}{hint}"


def peak_of(pid: int) -> int:
    """Return the largest resident size that a living process has had, as Linux tells it, or 0."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(row.split()[1]) * 1024 for row in lines if row.startswith("VmHWM:")), 0)


def _peak_memory() -> int:
    """Return the largest resident size of this process's ended children.

    Of the kernel, if it is the first; else it may be an earlier one's, and is an upper bound.
    """
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit


def _listen(jobs: queue.Queue[str], engine: Any, folder: Path) -> None:
    """Take jobs until the parent closes our input, as its end does; then leave nothing behind."""
    for line in sys.stdin:
        jobs.put(line)
    for child in children_of(os.getpid()):  # a kernel that is just starting too
        end_family(child)
    if engine.kernel is not None:
        end_group(engine.kernel.pid)
    for _ in range(100):  # the other thread may be writing there
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
        time.sleep(0.02)
    os._exit(0)


def _cells_seconds(executed: Path) -> float:
    """Sum what the cells took: the analysis itself, without starting, stopping and rendering."""
    cells = read_json(executed).get("cells", [])
    took = [cell["metadata"].get("papermill", {}).get("duration") or 0.0 for cell in cells]
    return round(sum(took), 2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
