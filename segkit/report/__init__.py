"""Reports of runs: a page for each notebook, links between them, and the index of all runs.

This module is passed to a run, which writes its reports with it (see `segkit.runner.run.plan`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segkit.report.index import link_reports, write_index

__all__ = ["link_reports", "renderer_imported", "write_index", "write_report"]


def write_report(folder: Path, stem: str, manifest: Mapping[str, Any], *, run_name: str) -> Path:
    """Write the report of a notebook; see `segkit.report.render.write_report`."""
    from segkit.report import render

    return render.write_report(folder, stem, manifest, run_name=run_name)


@contextmanager
def renderer_imported() -> Iterator[None]:
    """Import the report renderer in the background; the import is complete at the exit.

    The import takes seconds. It must be complete before filters of warnings are changed.
    """
    thread = threading.Thread(target=_import_renderer, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _import_renderer() -> None:
    from segkit.runner.process import import_nbformat

    import_nbformat()
    from segkit.report import render  # noqa: F401
