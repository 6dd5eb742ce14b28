"""What a running notebook stands in: which run, what it reads, where it writes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from segkit.errors import ParameterError, RunError, unknown
from segkit.runner.accepts import OWN_DATA, check_name, plain_name
from segkit.runner.catalog import EVERYTHING, Catalog, Notebook
from segkit.runner.manifest import read_json

CONTEXT = "SEGKIT_CONTEXT"  # names the file in which the runner leaves the context for the kernel
LEVELS = ("poor", "attention", "good")  # worst first


@dataclass(slots=True)
class Context:
    """What the helper in a notebook needs to know; JSON on its way into the kernel.

    Attributes
    ----------
    stem, title, question : str
        The notebook.
    run_folder : str
        The run's folder.
    folder : str
        Where this notebook writes; empty if it is to make a folder aside by itself.
    home : str
        Where relative paths start.
    reads : dict of str to str
        Name to the file that holds it.
    absent : dict of str to str
        Name to the reason for which the notebook that writes it left it out.
    writes : list of str
        Names promised.
    summaries : list of str
        Summary files of the notebooks directly upstream.
    settings : dict
        All parameters with their values.
    """

    stem: str
    title: str
    question: str
    run_folder: str
    folder: str
    home: str
    reads: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    summaries: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the context as JSON-ready data."""
        return asdict(self)

    @classmethod
    def given(cls) -> Context | None:
        """Return the context that a runner left for this kernel, if one did."""
        path = os.environ.get(CONTEXT, "")
        if not path:
            return None
        try:
            return cls(**json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


def build_context(
    catalog: Catalog, notebook: Notebook, run_folder: Path, folder: str, home: Path, settings: Any
) -> Context:
    """Build a notebook's context from what the notebooks upstream of it left in the run's folder.

    Raises
    ------
    RunError
        If a file that it reads is neither there nor said to be left out.
    """
    context = Context(
        stem=notebook.stem,
        title=notebook.title,
        question=notebook.question,
        run_folder=str(run_folder),
        folder=folder,
        home=str(home),
        writes=list(notebook.writes),
        settings=dict(settings),
    )
    for stem in catalog.upstream(notebook.stem):
        context.summaries.append(str(run_folder / stem / "summary.json"))
    context.absent |= notebook.dropped
    names = catalog_names(catalog, notebook)
    for name in names:
        writer = catalog.writer(name).stem
        path = find_data(run_folder / writer, name)
        skips = read_json(run_folder / writer / "summary.json").get("skips", [])
        reasons = {skip["what"]: skip["why"] for skip in skips}
        if path is not None:
            context.reads[name] = str(path)
        elif name in reasons:
            context.absent[name] = reasons[name]
        else:
            raise RunError(f"{notebook.stem} reads {name!r}, which {writer} did not leave")
    return context


def catalog_names(catalog: Catalog, notebook: Notebook) -> list[str]:
    """Return the data names that a notebook may read; with ``"*"``, all that the others write."""
    if EVERYTHING not in notebook.reads:
        return list(notebook.reads)
    others = (n for n in catalog.notebooks.values() if n.stem != notebook.stem)
    return [name for other in others for name in other.writes]


def find_data(folder: Path, name: str) -> Path | None:
    """Return the file or folder that holds a name in a notebook's folder."""
    for candidate in (f"{name}.parquet", f"{name}.json", name):
        path = folder / "data" / candidate
        if path.exists():
            return path
    return None


def run_name(settings: Mapping[str, Any]) -> str:
    """Return a run's name: the one given, else the source's, else the data file's.

    Raises
    ------
    ParameterError
        If the name cannot be a folder's.

    Examples
    --------
    >>> run_name({"source": "simulated", "name": ""}), run_name({"name": "march"})
    ('simulated', 'march')
    """
    source = str(settings.get("source", ""))
    if source in ("", OWN_DATA) and settings.get("data"):
        source = plain_name(Path(str(settings["data"])).name.split(".")[0])
    name = str(settings.get("name", "")) or source or "run"
    return check_name(name)


def worst_quality(summaries: Iterable[Mapping[str, Any]]) -> dict[str, str] | None:
    """Return the worst verdict on the data among summaries, or None if none gives one."""
    said = [summary["quality"] for summary in summaries if summary.get("quality")]
    return min(said, key=lambda one: LEVELS.index(one["level"]), default=None)


def check_level(level: str) -> str:
    """Return a known level of quality.

    Raises
    ------
    ParameterError
        If it is none of good, attention, poor.
    """
    if level not in LEVELS:
        raise ParameterError(unknown("level of quality", level, reversed(LEVELS)))
    return level
