"""Catalog of notebooks: what each reads and writes, their running order, and their context."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from segkit.errors import ParameterError, RunError, SourceError, unknown
from segkit.runner.accepts import OWN_DATA, check_name, plain_name
from segkit.runner.manifest import read_json
from segkit.runner.parameters import Parameter, parse_parameters

PACKAGE = Path(__file__).resolve().parents[1]
EVERYTHING = "*"
LEVELS = ("poor", "attention", "good")  # worst first
CONTEXT = "SEGKIT_CONTEXT"  # names the file in which the runner leaves the context for the kernel
# Sources without purchases by date, and their content; only notebooks that can use it run.
PARTIAL = {"hillstrom": "campaign", "fast-food": "survey"}
INJECTED = "injected-parameters"


@dataclass(frozen=True, slots=True)
class Notebook:
    """Notebook with its parameters and the data that it reads and writes.

    Attributes
    ----------
    stem : str
        The file's name without its ending; also the name of its folder in a run.
    path : pathlib.Path
        The file.
    title, question : str
        From the notebook's ``segkit`` metadata.
    reads, writes : tuple of str
        Names of data; reading ``"*"`` means the summaries of all the others.
    carries : tuple of str
        Content of sources without purchases with which the notebook can run ("campaign", "survey").
    reads_if : dict of str to str
        Names among ``reads`` that are read only where a parameter of the notebook is true, and
        that parameter.
    dropped : dict of str to str
        Names that it does not read in this run, with the reason.
    parameters : dict of str to Parameter
        What its parameters cell declares.
    digest : str
        SHA-256 of cells, tags and ``segkit`` metadata, whatever the outputs.
    """

    stem: str
    path: Path
    title: str
    question: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    parameters: dict[str, Parameter]
    digest: str
    carries: tuple[str, ...] = ()
    reads_if: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)

    def without(self, reasons: Mapping[str, str]) -> Notebook:
        """Return the notebook without some of its reads, with the reasons."""
        reads = tuple(name for name in self.reads if name not in reasons)
        dropped = {name: reasons[name] for name in self.reads if name in reasons}
        return replace(self, reads=reads, dropped=self.dropped | dropped)


def load_notebook(path: Path) -> Notebook:
    """Read and check the declarations of a notebook.

    Raises
    ------
    SourceError
        If the file is absent or not a notebook.
    ParameterError
        If it has not exactly one cell tagged ``parameters``, its lines cannot be parsed, or what
        it reads is said to depend on something else than one of its parameters of type bool.
    """
    if not path.is_file():
        raise SourceError(f"there is no notebook {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cells = content["cells"]
        tagged = [cell for cell in cells if "parameters" in _tags(cell)]
        meta = dict(content.get("metadata", {}).get("segkit", {}))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{path.name} is not a Jupyter notebook") from error
    if len(tagged) != 1:
        raise ParameterError(
            f"{path.stem}: expected one cell tagged 'parameters', found {len(tagged)}"
        )
    parameters = parse_parameters(source_of(tagged[0]), path.stem)
    reads, reads_if = tuple(meta.get("reads", ())), dict(meta.get("reads_if", {}))
    switches = [name for name, parameter in parameters.items() if parameter.kind == "bool"]
    for name, switch in reads_if.items():
        if name not in reads:
            raise ParameterError(f"{path.stem}: reads_if names {unknown('read', name, reads)}")
        if switch not in switches:
            wrong = unknown("parameter of type bool", switch, switches)
            raise ParameterError(f"{path.stem}: reads_if names {wrong}")
    return Notebook(
        stem=path.stem,
        path=path,
        title=str(meta.get("title", path.stem)),
        question=str(meta.get("question", "")),
        reads=reads,
        writes=tuple(meta.get("writes", ())),
        parameters=parameters,
        digest=_digest(cells, meta),
        carries=tuple(kind for kind in sorted(set(PARTIAL.values())) if meta.get(kind)),
        reads_if=reads_if,
    )


def _tags(cell: Mapping[str, Any]) -> list[str]:
    return list(cell.get("metadata", {}).get("tags", []))


def source_of(cell: Mapping[str, Any]) -> str:
    """Return a cell's text, stored whole or line by line."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def _digest(cells: list[dict[str, Any]], meta: Mapping[str, Any]) -> str:
    contents = [
        [cell.get("cell_type"), source_of(cell), _tags(cell)]
        for cell in cells
        if INJECTED not in _tags(cell)
    ]
    return hashlib.sha256(json.dumps([contents, meta], sort_keys=True).encode()).hexdigest()


def home(start: Path | None = None) -> Path:
    """Return the working folder that a folder belongs to: where notebooks' paths start from.

    It is the nearest folder at or above ``start`` that holds ``parameters.toml`` or a folder
    ``notebooks`` with notebooks in it; without one, ``start`` itself.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "parameters.toml").is_file() or any((folder / "notebooks").glob("*.ipynb")):
            return folder
    return here


def notebook_folder(start: Path | None = None) -> Path:
    """Return the folder of notebooks: the working folder's, else the one that comes with segkit.

    Raises
    ------
    SourceError
        If there are none in any of the places.
    """
    own = home(start) / "notebooks"
    return own if any(own.glob("*.ipynb")) else shipped_notebooks()


def shipped_notebooks() -> Path:
    """Return the folder of the notebooks that come with segkit.

    Raises
    ------
    SourceError
        If this installation has none.
    """
    for place in (PACKAGE.parent / "notebooks", PACKAGE / "_notebooks"):
        if any(place.glob("*.ipynb")):
            return place
    raise SourceError("this installation of segkit has no notebooks")


@dataclass(frozen=True, slots=True)
class Catalog:
    """The notebooks of a folder in the order in which they run.

    Attributes
    ----------
    notebooks : dict of str to Notebook
        By stem; each after all that it depends on.
    """

    notebooks: dict[str, Notebook]

    @classmethod
    def open(cls, folder: Path) -> Catalog:
        """Read every notebook of a folder and order them by what they read and write."""
        return cls.of(load_notebook(path) for path in sorted(folder.glob("*.ipynb")))

    @classmethod
    def of(cls, notebooks: Iterable[Notebook]) -> Catalog:
        """Order notebooks by what they read and write.

        Raises
        ------
        ParameterError
            If two write one name, a name is read that none writes, or they form a circle.
        """
        by_stem = {notebook.stem: notebook for notebook in notebooks}
        writers: dict[str, str] = {}
        for notebook in by_stem.values():
            for name in notebook.writes:
                if name in writers:
                    raise ParameterError(f"{writers[name]} and {notebook.stem} both write {name!r}")
                writers[name] = notebook.stem
        needs = {stem: _needs(notebook, by_stem, writers) for stem, notebook in by_stem.items()}
        order: dict[str, Notebook] = {}
        while len(order) < len(by_stem):
            ready = [s for s in sorted(by_stem) if s not in order and needs[s] <= order.keys()]
            if not ready:
                circle = ", ".join(sorted(by_stem.keys() - order.keys()))
                raise ParameterError(f"these notebooks wait for one another: {circle}")
            order[ready[0]] = by_stem[ready[0]]
        return cls(order)

    def for_source(self, source: str) -> Catalog:
        """Return the notebooks that can run on a source, with or without purchases."""
        kind = PARTIAL.get(source)
        if kind is None:
            return self
        suitable = [notebook for notebook in self.notebooks.values() if kind in notebook.carries]
        written = {name for notebook in suitable for name in notebook.writes}
        why = "This source holds no purchases by date."
        return Catalog.of(
            notebook.without({name: why for name in notebook.reads if name not in written})
            for notebook in suitable
        )

    def check(self, stem: str, source: object) -> str:
        """Return the stem of a notebook that can run on a source.

        Raises
        ------
        ParameterError
            If the source does not hold what the notebook needs.
        """
        if stem not in self.notebooks:
            raise ParameterError(
                f"{stem} needs purchases by date, which the source {source} does not hold; on it "
                f"run {', '.join(self.notebooks)}"
            )
        return stem

    def for_settings(self, settings: Mapping[str, Mapping[str, Any]]) -> Catalog:
        """Return the notebooks without the reads that their parameters switch off.

        Parameters
        ----------
        settings : mapping
            Parameters of each notebook with their values; for others the defaults are used.
        """
        notebooks = []
        for stem, notebook in self.notebooks.items():
            defaults = {name: each.default for name, each in notebook.parameters.items()}
            values = {**defaults, **settings.get(stem, {})}
            off = {name: by for name, by in notebook.reads_if.items() if not values[by]}
            reasons = {name: f"The parameter {by} is false." for name, by in off.items()}
            notebooks.append(notebook.without(reasons))
        return Catalog.of(notebooks)

    def writer(self, name: str) -> Notebook:
        """Return the notebook that writes a name."""
        writers = {written: n for n in self.notebooks.values() for written in n.writes}
        if name not in writers:
            raise ParameterError(unknown("data name", name, sorted(writers)))
        return writers[name]

    def upstream(self, stem: str) -> list[str]:
        """Return the stems that a notebook directly depends on, in running order."""
        notebook = self.notebooks[stem]
        if EVERYTHING in notebook.reads:
            return [other for other in self.notebooks if other != stem]
        needed = {self.writer(name).stem for name in notebook.reads}
        return [other for other in self.notebooks if other in needed]

    def closure(self, stems: Iterable[str]) -> list[str]:
        """Return stems with all their dependencies, in running order."""
        wanted = set(stems)
        waiting = list(wanted)
        while waiting:
            new = set(self.upstream(waiting.pop())) - wanted
            wanted |= new
            waiting.extend(new)
        return [stem for stem in self.notebooks if stem in wanted]

    def find(self, word: str) -> str:
        """Return the stem meant by a stem, its leading number, or a path to the notebook.

        Raises
        ------
        ParameterError
            If the word fits no notebook or several.
        """
        stem = Path(word).name.removesuffix(".ipynb")
        if stem in self.notebooks:
            return stem
        close = [other for other in self.notebooks if other.split("_")[0] == stem]
        if len(close) == 1:
            return close[0]
        raise ParameterError(unknown("notebook", word, self.notebooks))


def _needs(notebook: Notebook, by_stem: Mapping[str, Any], writers: Mapping[str, str]) -> set[str]:
    if EVERYTHING in notebook.reads:
        return set(by_stem) - {notebook.stem}
    for name in notebook.reads:
        if name not in writers:
            raise ParameterError(f"{notebook.stem} reads {unknown('data name', name, writers)}")
    return {writers[name] for name in notebook.reads}


@dataclass(slots=True)
class Context:
    """Information for `open_notebook` in a notebook, passed to the kernel as JSON.

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
    unwanted : list of str
        Names that a parameter of the notebook switches off.
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
    unwanted: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    summaries: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the context as JSON-ready data."""
        return asdict(self)

    @classmethod
    def given(cls) -> Context | None:
        """Return the context that the runner wrote for this kernel, if there is one."""
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
    """Build a notebook's context from the outputs of the notebooks that it depends on.

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
        unwanted=[name for name, by in notebook.reads_if.items() if not settings.get(by, True)],
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
    """Return the worst data quality among summaries, or None if there is none."""
    verdicts = [summary["quality"] for summary in summaries if summary.get("quality")]
    return min(verdicts, key=lambda one: LEVELS.index(one["level"]), default=None)


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
