"""Runs notebooks: parameters checked, one process each, folders whole or absent, all on record."""

from segkit.runner.notebook import NotebookRun
from segkit.runner.opening import open_notebook

__all__ = ["NotebookRun", "open_notebook"]
