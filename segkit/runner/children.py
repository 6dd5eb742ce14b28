"""A market's process, from the side of the batch that starts it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from segkit.runner.worker import died


class Child:
    """A process that carries out one market's run.

    Parameters
    ----------
    job : mapping
        What it is to do; see `segkit.runner.market.job_of`.
    cwd : pathlib.Path
        Where relative paths start.
    """

    def __init__(self, job: Mapping[str, Any], cwd: Path) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by wait
        self._process = subprocess.Popen(
            [sys.executable, "-m", "segkit.runner.market"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=cwd,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C reaches the batch alone, which then ends it
        )
        self._job = json.dumps(job)

    def wait(self, on_line: Callable[[str], None]) -> str:
        """Hand over the job, pass on what is told, and return in words how the process ended."""
        assert self._process.stdin is not None  # noqa: S101 - opened as pipes above
        assert self._process.stdout is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(self._job + "\n")
            self._process.stdin.flush()
        for line in self._process.stdout:
            on_line(line.rstrip("\n"))
        code = self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        self._errors.close()
        return died("market's process", code) + (f": {said[-1]}" if said else "")

    def end(self) -> None:
        """End the process; those that it started see it go, and go too."""
        if self._process.poll() is None:
            self._process.kill()
