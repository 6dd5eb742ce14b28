"""A run under way: what is to be run, with what, where to, and how far it has come."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segkit.runner.catalog import Catalog
from segkit.runner.journal import Journal, now
from segkit.runner.pool import Pool
from segkit.runner.progress import Progress


@dataclass(frozen=True, slots=True)
class Label:
    """Which run this is among others: of which series, market and day.

    Attributes
    ----------
    series : str
        The name that runs of the same kind share.
    date : str
        The run's day (ISO).
    dated : bool
        Whether the day is part of the folder's name, so that each day has its own folder.
    by, market, slug : str or None
        The column that divides the data, the market, and what stands for it in folder names.
    batch : str or None
        The folder of the batch that the run belongs to.
    rows, customers : int or None
        Of the market's part of the orders.
    """

    series: str
    date: str
    dated: bool = False
    by: str | None = None
    market: str | None = None
    slug: str | None = None
    batch: str | None = None
    rows: int | None = None
    customers: int | None = None

    @property
    def folder(self) -> str:
        """The name of the run's folder.

        Examples
        --------
        >>> Label("shop", "2026-11-22", dated=True, market="Côte d'Azur", slug="cote-d-azur").folder
        'shop--cote-d-azur--2026-11-22'
        """
        return "--".join(
            part for part in (self.series, self.slug, self.date if self.dated else None) if part
        )


@dataclass(frozen=True, slots=True)
class NotebookEnd:
    """How one notebook of a run ended.

    Attributes
    ----------
    stem : str
        The notebook.
    status : str
        done, reused, failed, gate (the data cannot carry it), killed or not run.
    message : str
        Why, where it is not done.
    """

    stem: str
    status: str
    message: str = ""

    @property
    def good(self) -> bool:
        """Whether its outputs can be built upon."""
        return self.status in ("done", "reused")


@dataclass(slots=True)
class State:
    """A run under way.

    Attributes
    ----------
    catalog : Catalog
        The notebooks to choose from.
    order : list of str
        Those to run.
    given : dict
        Notebook to the parameters that it was given.
    place, folder : pathlib.Path
        Where relative paths start; the run's folder.
    force : bool
        Run again what has not changed.
    timeout : float or None
        Seconds that one notebook may take.
    progress : Progress
        Where to tell how it goes.
    label : Label
        Which run this is.
    shared : dict
        The run's parameters.
    asked : dict
        What was given of them, typed ("parameters") and as text ("texts").
    started : str
        When it began (UTC).
    earlier : Path or None
        The folder of the run before, whose results serve again where nothing has changed.
    journal : Journal or None
        Where to keep it for a scheduler.
    ends : dict of str to NotebookEnd
        How notebooks have ended so far.
    pool : Pool or None
        The processes that execute its notebooks.
    stopping : bool
        Whether what still runs is to be thrown away.
    """

    catalog: Catalog
    order: list[str]
    given: dict[str, dict[str, Any]]
    place: Path
    folder: Path
    force: bool
    timeout: float | None
    progress: Progress
    label: Label
    shared: dict[str, Any]
    asked: dict[str, dict[str, Any]]
    started: str = field(default_factory=now)
    clock: float = field(default_factory=time.monotonic)
    earlier: Path | None = None
    journal: Journal | None = None
    ends: dict[str, NotebookEnd] = field(default_factory=dict)
    pool: Pool | None = None
    stopping: bool = False

    def settings(self, stem: str) -> dict[str, Any]:
        """Return all of a notebook's parameters with their values."""
        declared = self.catalog.notebooks[stem].parameters
        return {name: p.default for name, p in declared.items()} | self.given[stem]
