"""One Jupyter kernel for many notebooks, as starting one takes longer than most lessons."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segkit.errors import RunError
from segkit.runner.catalog import CONTEXT
from segkit.runner.notebook import BOTH_FORMS
from segkit.runner.process import import_nbformat
from segkit.writing import WINDOWS

LONGEST_CELL = 300  # seconds


class Kernel:
    """A running kernel.

    Parameters
    ----------
    manager, client : object
        Of jupyter_client.
    """

    def __init__(self, manager: Any, client: Any) -> None:
        self._manager, self._client = manager, client

    def run(self, cells: list[dict[str, Any]], *, stop: bool = True) -> list[dict[str, Any]]:
        """Execute cells and return them with their outputs.

        Parameters
        ----------
        cells : list of dict
            Code cells are executed, others returned as they are.
        stop : bool
            Whether the first error ends it.

        Raises
        ------
        RunError
            If a cell fails and ``stop`` is set, with the cell's first line.
        """
        import nbformat
        from nbclient import NotebookClient

        notebook = nbformat.from_dict(  # type: ignore[no-untyped-call]
            {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
        )
        options = {"timeout": LONGEST_CELL, "allow_errors": True, "record_timing": False}
        runner = NotebookClient(notebook, km=self._manager, **options)
        runner.kc = self._client
        runner.reset_execution_trackers()
        with runner.setup_kernel(cleanup_kc=False):
            for place, cell in enumerate(notebook.cells):
                runner.execute_cell(cell, place)
                if stop and (message := error_of(cell)):
                    first = cell["source"].splitlines()[0]
                    raise RunError(f"the cell that begins {first!r} failed: {message}")
        return list(notebook.cells)

    def try_code(self, code: str) -> str:
        """Run code apart and return its error's message; empty if it went well.

        What the code assigns is forgotten afterwards.
        """
        code = f"exec(compile({code!r}, 'answer', 'exec'), dict(globals()))"
        return error_of(self.run([code_cell(code)], stop=False)[0])

    @property
    def busy(self) -> float:
        """Seconds of processor that the kernel has used."""
        code = "import time\nprint(time.process_time())\ndel time"
        return float(self.run([code_cell(code)])[0]["outputs"][0]["text"])

    def forget(self, folder: Path) -> None:
        """Clear everything that was assigned, and start again from a folder.

        What remains are libraries: no later search for garbage needs to look at them.
        """
        code = f"%reset -f\nimport gc, os\ngc.freeze()\nos.chdir({str(folder)!r})\ndel gc, os"
        self.run([code_cell(code)])


def code_cell(code: str) -> dict[str, Any]:
    """Return a code cell."""
    empty: dict[str, Any] = {"metadata": {}, "outputs": [], "execution_count": None}
    return {"cell_type": "code", "id": "made", "source": code, **empty}


def error_of(cell: Mapping[str, Any]) -> str:
    """Return an executed cell's error; empty without one."""
    for output in cell.get("outputs", []):
        if output["output_type"] == "error":
            return f"{output['ename']}: {output['evalue']}"
    return ""


@contextmanager
def open_kernel() -> Iterator[Kernel]:
    """Start a kernel of this interpreter over sockets in a private folder, and end it."""
    import_nbformat()
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import KernelManager

    with tempfile.TemporaryDirectory(prefix="segkit-") as place:
        manager = KernelManager(kernel_name="python3")
        manager.kernel_spec_manager = KernelSpecManager(kernel_dirs=[])
        manager.connection_file = f"{place}/kernel.json"
        if not WINDOWS:
            manager.transport = "ipc"
        around = {name: value for name, value in os.environ.items() if name != CONTEXT}
        around = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", **around}  # data are small
        around[BOTH_FORMS] = "1"
        unkept = ["--HistoryManager.hist_file=:memory:"]  # no input is kept in the user's folder
        manager.start_kernel(env=around, cwd=place, extra_arguments=unkept)
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=120)
            yield Kernel(manager, client)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()
