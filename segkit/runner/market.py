"""Process for markets' runs: the code of the batch that starts it, and of the process itself.

``python -m segkit.runner.market`` takes one market after the other from standard input. Its
progress goes to standard output, line by line; how a run ended stands in its ``run.json``. It ends
when the batch that started it ends, together with its notebooks' processes.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segkit.errors import SegkitError
from segkit.intake.privacy import mask_error
from segkit.runner.process import LineProcess, NotebookPool, serve
from segkit.runner.run import carry_out, plan
from segkit.runner.state import Label, State, write_bare
from segkit.runner.stopping import died

ENDED = "\x1e"  # a separate line: the job is done
PATIENCE = 15.0  # seconds to wait for the process of a batch that was killed to leave


def job_of(state: State) -> dict[str, Any]:
    """Return the job for the process of a market, JSON-ready."""
    report = state.report and state.report.__name__
    return {
        "request": state.request,
        "label": asdict(state.label),
        "run_folder": str(state.folder),
        "report": report,
    }


def main() -> None:
    """Carry out jobs as they arrive, and report the end of each."""
    pool = NotebookPool(Path.cwd())

    def carry_out_job(job: dict[str, Any]) -> None:
        _carry_out(job, pool)
        print(ENDED, flush=True)  # noqa: T201 - the agreed channel

    serve(carry_out_job)


def _carry_out(job: dict[str, Any], pool: NotebookPool) -> None:
    label = Label(**job["label"])
    report = importlib.import_module(job["report"]) if job["report"] else None
    try:
        state = plan(**job["request"], label=label, report=report)
        state.pool = pool
        carry_out(state, patience=PATIENCE, with_index=False)
    except SegkitError as error:
        why = mask_error(str(error), type(error).__name__)
        print(f"stopped: {why}", flush=True)  # noqa: T201 - the agreed channel
        write_bare(Path(job["run_folder"]), label, "stopped", why, job["request"]["parameters"])


class Child(LineProcess):
    """A process that carries out markets' runs, one after the other.

    Parameters
    ----------
    cwd : pathlib.Path
        Where relative paths start.
    """

    def __init__(self, cwd: Path) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close
        super().__init__("segkit.runner.market", cwd=cwd, errors=self._errors)

    def carry_out(self, job: Mapping[str, Any], on_line: Callable[[str], None]) -> str:
        """Run a market in this process (see `job_of`), and pass on its lines of progress.

        Returns
        -------
        str
            In words how the process ended; empty if it waits for the next job.
        """
        for line in self.answers(job):
            if line.rstrip("\n") == ENDED:
                return ""
            on_line(line.rstrip("\n"))
        code = self._process.wait()
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip().splitlines()
        return died("market's process", code) + (f": {words[-1]}" if words else "")

    def close(self) -> None:
        """End the process by closing its input."""
        super().close()
        self._errors.close()


if __name__ == "__main__":
    main()
