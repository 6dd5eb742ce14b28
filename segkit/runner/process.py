"""Execute a notebook in a process of its own, and tell truly how that ended."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from segkit.runner.folder import make_scratch, remove_scratch
from segkit.runner.manifest import read_json
from segkit.runner.stopping import end_family, end_group
from segkit.runner.warm import ADDRESS, kernel_environment
from segkit.runner.worker import died

CONTEXT = "SEGKIT_CONTEXT"
Event = Callable[[Mapping[str, int]], None]


class Worker:
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
        environment = {CONTEXT: str(self.folder / "context.json"), ADDRESS: nursery}
        with (self.folder / "stderr.txt").open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "segkit.runner.worker", str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=cwd,
                env=kernel_environment(**environment),
                text=True,
                start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends it
            )

    @property
    def usable(self) -> bool:
        """Whether it can take another notebook: it lives, and nothing went wrong."""
        return self._process.poll() is None and not self._late

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
        for left in ("outcome.json", "executed.ipynb"):
            (self.folder / left).unlink(missing_ok=True)
        self._late = False
        (self.folder / "context.json").write_text(json.dumps(context), encoding="utf-8")
        job = {"notebook": str(notebook), "parameters": dict(parameters), "cwd": str(self.cwd)}
        timer = threading.Timer(timeout, self._too_late) if timeout else None
        if timer:
            timer.start()
        cell = self._talk(json.dumps(job), on_event or (lambda _: None))
        if timer:
            timer.cancel()
        return self._outcome(cell, timeout)

    def _talk(self, job: str, on_event: Event) -> int:
        assert self._process.stdin is not None  # noqa: S101 - opened as pipes above
        assert self._process.stdout is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(job + "\n")
            self._process.stdin.flush()
        cell = 0
        for line in self._process.stdout:
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
        if code is None:  # it waits for the next: what the kernel left goes
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
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()
        remove_scratch(self.folder)
