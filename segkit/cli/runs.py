"""Commands of runs: ``run``, ``params``, ``index``, ``pdf``, ``prune`` and ``version``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from segkit.cli.terminal import short_path, split_words
from segkit.display import counted
from segkit.errors import ParameterError, SourceError

if TYPE_CHECKING:
    from segkit.runner.batch import BatchEnd
    from segkit.runner.parameters import Parameter
    from segkit.runner.state import RunEnd


def run(
    notebooks: Annotated[list[str] | None, Argument()] = None,
    source: str = "",
    data: str = "",
    mapping: str = "",
    out: str = "",
    name: str = "",
    parameter: Annotated[list[str] | None, Option("-p", "--parameter")] = None,
    timeout: Annotated[float | None, Option(min=1)] = None,
    force: bool = False,
    by: str = "",
    markets: str = "",
    min_customers: Annotated[int | None, Option(min=1)] = None,
    jobs: Annotated[int, Option(min=1)] = 1,
    day: Annotated[str, Option("--date")] = "",
) -> None:
    """Run notebooks, with all that they depend on, and write their reports.

    Parameters
    ----------
    notebooks : list[str] | None
        Notebooks (05, 05_segments); all if none
    source : str
        Source: simulated, online-retail, file, …
    data : str
        Your data, or where the source's file lies
    mapping : str
        Mapping file (see segkit check)
    out : str
        Folder of the runs; reports by default
    name : str
        Name of this run; the source's by default
    parameter : list[str] | None
        key=value; may be repeated
    timeout : float | None
        Seconds that one notebook may take
    force : bool
        Run again what has not changed
    by : str
        Column of the orders; one run for each of its values
    markets : str
        With --by: only these markets, separated by commas
    min_customers : int | None
        With --by: markets with fewer customers are not run (default 50)
    jobs : int
        Notebooks (with --by: markets) at once
    day : str
        Write into a folder named by this day: an ISO date, or today

    Examples
    --------
    segkit run
    segkit run 05 -p k=4 -p method=kmeans
    segkit run --data shop.csv --mapping mapping.toml --out reports --name shop
    segkit run --data shop.csv --by country --markets France,Spain --jobs 2
    """
    from segkit import report
    from segkit.runner.catalog import home
    from segkit.runner.parameters import split_pairs
    from segkit.runner.run import run as run_notebooks
    from segkit.runner.workspace import paths_from, read_parameters

    flags = {"source": source, "data": data, "mapping": mapping, "out": out, "name": name}
    texts = {key: value for key, value in flags.items() if value}
    pairs = split_pairs(parameter or [])
    for key in pairs.keys() & texts.keys():
        raise ParameterError(f"parameter {key!r} is given by --{key} and by -p")
    place = home()  # a working folder's own paths start there, also for who stands below it
    given = paths_from({**texts, **pairs}, Path.cwd(), place)
    parameters = {} if source or data else read_parameters(place)
    request: dict[str, Any] = {"parameters": parameters, "texts": given, "force": force}
    request |= {"timeout": timeout, "jobs": jobs, "day": day, "folder": place, "report": report}
    end: RunEnd | BatchEnd
    if by:
        from segkit.runner.batch import run_by

        least: dict[str, Any] = {} if min_customers is None else {"min_customers": min_customers}
        end = run_by(by, notebooks or (), markets=split_words(markets), **least, **request)
    elif markets:
        raise ParameterError("--markets chooses among the values of a column: give --by too")
    else:
        end = run_notebooks(notebooks or (), **request)
    for line in end.failures:
        typer.echo(line, err=True)
    typer.echo(short_path(end.index))
    raise typer.Exit(end.exit_code)


def params(notebook: Annotated[str, Argument()] = "") -> None:
    """List what can be set: the notebooks' parameters, and (mapping) the mapping file's options.

    Parameters
    ----------
    notebook : str
        One notebook, or 'mapping'; all if none

    Examples
    --------
    segkit params
    segkit params 05
    segkit params mapping
    """
    if notebook == "mapping":
        for line in _mapping_options():
            typer.echo(line)
        return
    from segkit.runner.catalog import Catalog, notebook_folder

    catalog = Catalog.open(notebook_folder())
    stems = [catalog.find(notebook)] if notebook else list(catalog.notebooks)
    shared = set.intersection(*(set(n.parameters) for n in catalog.notebooks.values()))
    first = catalog.notebooks[stems[0]].parameters.values()
    groups = {} if notebook else {"All notebooks": [one for one in first if one.name in shared]}
    for stem in stems:
        every = catalog.notebooks[stem].parameters.values()
        own = [one for one in every if notebook or one.name not in shared]
        groups[f"{stem}: {catalog.notebooks[stem].question}"] = own
    for title, parameters in groups.items():
        typer.echo(title)
        for one in parameters:
            typer.echo(_line_of(one))
    if not notebook:
        typer.echo("The mapping file's options (zone, returns, duplicates, ...):")
        typer.echo("  segkit params mapping")


def _line_of(one: Parameter) -> str:
    """Write a parameter's line: type, default, meaning, and what is accepted."""
    accepted = f"; accepts {one.accepts.words}" if one.accepts else ""
    return f"  {one.name}: {one.kind} = {one.default!r}  {one.help}{accepted}"


def _mapping_options() -> list[str]:
    """List the options of the mapping file: name, default, allowed values, meaning."""
    from segkit.intake.mapping import OPTIONS, ORDERS_ONLY

    lines = ["Options of the mapping file: at its top for every table, or under one, as [orders]"]
    for name, option in OPTIONS.items():
        default = "as seen or none" if option.default is None else repr(option.default)
        line = f"  {name} = {default}  {option.about}"
        line += f"; one of {', '.join(option.values)}" if option.values else ""
        lines.append(line + (" ([orders] only)" if name in ORDERS_ONLY else ""))
    return lines


def index(folder: Path) -> None:
    """Write index.html over all the runs found in a folder.

    Parameters
    ----------
    folder : Path
        The folder that holds the runs

    Examples
    --------
    segkit index reports
    """
    from segkit.report.index import write_index

    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder}")
    typer.echo(short_path(write_index(folder)))


def pdf(folder: Path) -> None:
    """Print the summary of each run as PDF, where Chromium is installed.

    Parameters
    ----------
    folder : Path
        A run's folder, or the folder that holds runs

    Examples
    --------
    segkit pdf reports/simulated
    """
    from segkit.report.pdf import write_pdfs

    for path in write_pdfs(folder):
        typer.echo(short_path(path))


def prune(folder: Path, keep: Annotated[int, Option(min=1)], dry_run: bool = False) -> None:
    """Remove old runs; the newest of each series and market stay, and the newest good one.

    Parameters
    ----------
    folder : Path
        The folder that holds the runs
    keep : int
        Runs kept of each series and market
    dry_run : bool
        Only list what would be removed

    Examples
    --------
    segkit prune reports --keep 3 --dry-run
    """
    from segkit.report.index import write_index
    from segkit.runner.earlier import prune as prune_runs

    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder}")
    removed = [one for one in prune_runs(folder, keep, rehearse=dry_run) if one.removed]
    for one in removed:
        typer.echo(f"{one.folder.name} {one.why} ({one.freed / 2**20:.1f} MiB)")
    typer.echo(f"{'would remove' if dry_run else 'removed'} {counted(len(removed), 'run')}")
    if removed and not dry_run:
        typer.echo(short_path(write_index(folder)))


def version() -> None:
    """Show the versions on which results depend.

    Examples
    --------
    segkit version
    """
    from segkit.runner.manifest import versions

    for library, number in versions().items():
        typer.echo(f"{library} {number}")
