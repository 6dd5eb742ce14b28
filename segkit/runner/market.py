"""The process of markets' runs: ``python -m segkit.runner.market``, jobs on standard input.

It takes one market after the other. What it tells goes to standard output, line by line; how a
run ended stands in its ``run.json``. When the batch that started it goes, it goes, and its
notebooks' processes with it.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segkit.errors import SegkitError
from segkit.ingest.privacy import mask_error
from segkit.runner.catalog import Catalog
from segkit.runner.pool import Pool
from segkit.runner.record import write_bare
from segkit.runner.run import carry_out, plan
from segkit.runner.state import Label, State

ENDED = "\x1e"  # a line of its own: the job is done
PATIENCE = 15.0  # seconds to wait for the process of a batch that was killed to leave


def job_of(this: State, notebooks: list[str], notebook_folder: Path) -> dict[str, Any]:
    """Return what the process of a market needs to know, JSON-ready."""
    return {
        "notebooks": notebooks,
        "notebook_folder": str(notebook_folder),
        **this.asked,
        "run_folder": str(this.folder),
        "folder": str(this.place),
        "force": this.force,
        "timeout": this.timeout,
        "label": asdict(this.label),
    }


def main() -> None:
    """Carry out jobs as they come; tell how each ended."""
    jobs: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
    pool: Pool | None = None
    while True:
        job = json.loads(jobs.get())
        pool = pool or Pool(Path(job["folder"]))
        _carry_out(job, pool)
        print(ENDED, flush=True)  # noqa: T201 - the agreed channel


def _carry_out(job: dict[str, Any], pool: Pool) -> None:
    label = Label(**job["label"])
    place = Path(job["folder"])
    try:
        this = plan(
            job["notebooks"],
            catalog=Catalog.open(Path(job["notebook_folder"])),
            parameters=job["parameters"],
            texts=job["texts"],
            folder=place,
            force=job["force"],
            timeout=job["timeout"],
            label=label,
        )
        this.pool = pool
        carry_out(this, patience=PATIENCE, with_index=False)
    except SegkitError as error:
        why = mask_error(str(error), type(error).__name__)
        print(f"stopped: {why}", flush=True)  # noqa: T201 - the agreed channel
        write_bare(Path(job["run_folder"]), label, "stopped", why, job["parameters"])


def _listen(jobs: queue.Queue[str]) -> None:
    """Take jobs until the batch closes our input, as its end does; those we started see us go."""
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
