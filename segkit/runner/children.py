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

from segkit.runner.market import ENDED
from segkit.runner.worker import died


class Child:
    """A process that carries out markets' runs, one after the other.

    Parameters
    ----------
    cwd : pathlib.Path
        Where relative paths start.
    """

    def __init__(self, cwd: Path) -> None:
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

    @property
    def usable(self) -> bool:
        """Whether it can take another market."""
        return self._process.poll() is None

    def carry_out(self, job: Mapping[str, Any], on_line: Callable[[str], None]) -> str:
        """Hand over a market's job (see `segkit.runner.market.job_of`), and pass on what is told.

        Returns
        -------
        str
            In words how the process ended; empty if it waits for the next job.
        """
        assert self._process.stdin is not None  # noqa: S101 - opened as pipes above
        assert self._process.stdout is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        for line in self._process.stdout:
            if line.rstrip("\n") == ENDED:
                return ""
            on_line(line.rstrip("\n"))
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        return died("market's process", code) + (f": {said[-1]}" if said else "")

    def end(self) -> None:
        """End the process; those that it started see it go, and go too."""
        if self._process.poll() is None:
            self._process.kill()

    def close(self) -> None:
        """Let the process go: its input ends."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()
        self._errors.close()
