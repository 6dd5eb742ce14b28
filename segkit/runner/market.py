"""The process of one market's run: ``python -m segkit.runner.market``, its job on standard input.

What it tells goes to standard output, line by line; how it ended stands in ``run.json``. When
the batch that started it goes, it goes, and its notebooks' processes with it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segkit.errors import SegkitError
from segkit.runner.catalog import Catalog
from segkit.runner.record import write_bare
from segkit.runner.run import carry_out, plan
from segkit.runner.state import Label, State

PATIENCE = 15.0  # seconds to wait for the process of a batch that was killed to leave


def job_of(this: State, notebooks: list[str], notebook_folder: Path) -> dict[str, Any]:
    """Return what the process of a market needs to know, JSON-ready."""
    return {
        "notebooks": notebooks,
        "notebook_folder": str(notebook_folder),
        "parameters": this.shared,
        "folder": str(this.place),
        "force": this.force,
        "timeout": this.timeout,
        "label": asdict(this.label),
    }


def main() -> int:
    """Read the job, carry it out, return its exit code."""
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    label = Label(**job["label"])
    place, used = Path(job["folder"]), job["parameters"]
    try:
        this = plan(
            job["notebooks"],
            catalog=Catalog.open(Path(job["notebook_folder"])),
            parameters=used,
            folder=place,
            force=job["force"],
            timeout=job["timeout"],
            label=label,
        )
        return carry_out(this, patience=PATIENCE, with_index=False).exit_code
    except SegkitError as error:
        print(f"stopped: {error}", flush=True)  # noqa: T201 - the agreed channel
        folder = place / str(used.get("out", "reports")) / label.folder
        write_bare(folder, label, "stopped", str(error), used)
        return 1


def _leave_with_parent() -> None:
    """Wait for the batch to close our input, as its end does; notebooks' processes follow."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
