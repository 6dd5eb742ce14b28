"""Running of notebooks: parameters checked, one process each, folders whole or absent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segkit.runner.notebook import NotebookRun
    from segkit.runner.opening import open_notebook

__all__ = ["NotebookRun", "open_notebook"]


def __getattr__(name: str) -> Any:
    """Import what notebooks use when it is asked for: the runner itself needs no polars."""
    if name == "NotebookRun":
        from segkit.runner.notebook import NotebookRun

        return NotebookRun
    if name == "open_notebook":
        from segkit.runner.opening import open_notebook

        return open_notebook
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
