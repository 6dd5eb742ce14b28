"""Command line: run notebooks, check data, score customers, write lists, build the course."""

from __future__ import annotations

import inspect
import io
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from shlex import quote as shell_quote
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    NoReturn,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import typer
from typer import Argument, Option

import segkit
from segkit.display import counted
from segkit.errors import DataError, MappingError, ParameterError, SegkitError, SourceError
from segkit.writing import WINDOWS

if TYPE_CHECKING:
    from segkit.runner.batch import BatchEnd
    from segkit.runner.parameters import Parameter
    from segkit.runner.state import RunEnd

FAILED, USAGE, GATE, ALERT = 1, 2, 3, 5
PATIENCE = 5.0  # seconds between two lines of progress

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _command(
    parent: typer.Typer, name: str | None = None, *, callback: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command: its docstring is the help of it and of its options."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        text, _, examples = str(inspect.getdoc(function)).partition("\n\nExamples\n--------\n")
        about, _, listed = text.partition("\n\nParameters\n----------\n")
        helps = dict(re.findall(r"^(\w+) : .*\n((?:    .*\n?)+)", listed, re.MULTILINE))
        hints = get_type_hints(function, include_extras=True)
        for key, parameter in inspect.signature(function).parameters.items():
            function.__annotations__[key] = _describe(parameter, hints[key], helps[key])
        lines = "\n".join(f"  {line}" for line in examples.splitlines())
        texts = {"help": about, "epilog": f"\b\nExamples:\n{lines}"}
        (parent.callback(**texts) if callback else parent.command(name, **texts))(function)  # type: ignore[arg-type]
        return function

    return register


def _describe(parameter: inspect.Parameter, hint: Any, about: str) -> Any:
    """Return a parameter's type with its help; switches have one name, and dates are read."""
    kind, *given = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    required = parameter.default is inspect.Parameter.empty
    info = given[0] if given else Argument() if required else Option()
    info.help = " ".join(about.split())
    if parameter.default is False and not info.param_decls:
        info.param_decls = (f"--{parameter.name.replace('_', '-')}",)
    if kind in (date | None, datetime | None, list[date] | None):
        info.parser, info.callback = str, _read_dates
        info.metavar = "TIME" if kind == datetime | None else "DATE"
    return Annotated[kind, info]


def _read_dates(param: typer.CallbackParam, value: Any) -> Any:
    """Read the ISO dates, or times, of an option."""
    read = datetime.fromisoformat if param.metavar == "TIME" else date.fromisoformat
    try:
        if not isinstance(value, str):
            return value and [read(text) for text in value]
        return date.fromisoformat(value) if len(value) == len("2026-01-31") else read(value)
    except ValueError:
        given = value if isinstance(value, str) else ", ".join(value)
        what = "date or time" if param.metavar == "TIME" else "date"
        raise ParameterError(f"{param.opts[0]} expects an ISO {what}, got {given}") from None


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"segkit {segkit.__version__}")
        raise typer.Exit


@_command(app, callback=True)
def _main_options(
    debug: bool = False,
    version: Annotated[bool, Option(callback=_print_version, is_eager=True)] = False,
) -> None:
    """From raw purchase history to customer segments, and on to campaign lift.

    Parameters
    ----------
    debug : bool
        Show the traceback of an error
    version : bool
        Show segkit's version

    Examples
    --------
    segkit new shop --data orders.csv
    segkit run
    segkit run --help
    """
    del debug, version  # the first is taken out by main, which is where errors arrive


@_command(app)
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
        end = run_by(by, notebooks or (), markets=_words(markets), **least, **request)
    elif markets:
        raise ParameterError("--markets chooses among the values of a column: give --by too")
    else:
        end = run_notebooks(notebooks or (), **request)
    for line in end.failures:
        typer.echo(line, err=True)
    typer.echo(_short_path(end.index))
    raise typer.Exit(end.exit_code)


@_command(app)
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
        typer.echo(_short_path(write_index(folder)))


@_command(app)
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


@_command(app)
def check(
    data: Path,
    mapping: Path | None = None,
    save: Path | None = None,
    preset: str | None = None,
    answer: list[str] | None = None,
) -> None:
    """Audit data: can they be used, what was found, and which mapping fits.

    Parameters
    ----------
    data : Path
        A data file, or a folder of tables
    mapping : Path | None
        A mapping to check the data by
    save : Path | None
        Where to write the proposed mapping
    preset : str | None
        Layout of the export, such as shopify; or none
    answer : list[str] | None
        Answer to a question, as the question offers it; may be repeated

    Examples
    --------
    segkit check shop.csv
    segkit check shop.csv --answer "orders.columns.amount=Net total" --save mapping.toml
    segkit check exports --preset shopify
    """
    from segkit.runner.workspace import audit_files

    audit = audit_files(data, mapping, preset, answer or ())
    typer.echo(str(audit))
    if audit.blocked:
        own = f" --mapping {_quoted(mapping)}" if mapping else ""
        typer.echo(
            "\nGive the right answer of each question, or write it into a mapping file:\n"
            f'  segkit check {_quoted(data)}{own} --answer "..." --save mapping.toml'
        )
    if save is not None:
        if save.exists():
            raise ParameterError(f"{save} exists; it is not overwritten")
        audit.save_mapping(save)
        typer.echo(
            f"Mapping written to {save}; look it over, then: "
            f"segkit run --data {_quoted(data)} --mapping {_quoted(save)}"
        )
    if audit.blocked:
        raise typer.Exit(GATE)


@_command(app)
def score(
    model: Path,
    data: Path,
    mapping: Path | None = None,
    as_of: date | None = None,
    out: Path = Path("assignments.csv"),
    value: Path | None = None,
    churn: Path | None = None,
    store: Path | None = None,
    work: Path | None = None,
    partitions: int | None = None,
) -> None:
    """Assign customers to the segments of a saved model; add value, churn and next purchase.

    Parameters
    ----------
    model : Path
        A saved model (JSON), or a run's folder: its models of segments, value and churn
    data : Path
        A customer table (CSV, Parquet), or raw orders
    mapping : Path | None
        A mapping, for raw orders
    as_of : date | None
        Raw orders: the last day used (ISO date)
    out : Path
        File to write: .csv or .parquet
    value : Path | None
        Raw orders: a saved model of value
    churn : Path | None
        Raw orders: a saved model of churn
    store : Path | None
        Archive in which segments and scores are recorded too
    work : Path | None
        Raw orders larger than memory: a work folder; assigns segments only
    partitions : int | None
        With --work: parts of the customers, as segkit segment was given

    Examples
    --------
    segkit score model.json customers.parquet --out segments.csv
    segkit score model.json orders.csv --mapping mapping.toml --as-of 2024-12-31
    segkit score reports/my-shop orders.csv --out scores.csv
    """
    from segkit.scoring import check_out, record_scores, score_file, write_assignments

    if work is not None:
        from segkit.large import score_large_files

        if value is not None or churn is not None or store is not None:
            raise ParameterError(
                "--work assigns segments alone: leave out --value, --churn, --store"
            )
        with _watched():
            scores = score_large_files(
                model, data, work, mapping=mapping, as_of=as_of,
                partitions="auto" if partitions is None else partitions,
            )  # fmt: skip
        typer.echo(str(scores))
        typer.echo(_short_path(scores.assignments))
        return
    if partitions is not None:
        raise ParameterError("--partitions goes with --work")
    check_out(out)
    assignment = score_file(model, data, mapping=mapping, as_of=as_of, value=value, churn=churn)
    typer.echo(str(assignment))
    typer.echo(_short_path(write_assignments(assignment, out)))
    if store is not None:
        for kind, recorded in record_scores(assignment, store, as_of=as_of).items():
            typer.echo(f"{kind}: {recorded.text}")


@_command(app)
def segment(
    data: Path,
    work: Annotated[Path, Option()],
    mapping: Path | None = None,
    as_of: date | None = None,
    k: Annotated[int | None, Option("-k")] = None,
    method: str = "ward",
    calendar: str = "",
    sample: int = 50000,
    partitions: int | None = None,
    seed: int = 0,
) -> None:
    """Segment the customers of files larger than memory, from raw lines to assignments.

    Parameters
    ----------
    data : Path
        Raw orders (CSV, Parquet), or a folder of tables
    work : Path
        Work folder; give the same one to continue after an interruption
    mapping : Path | None
        A mapping (see segkit check)
    as_of : date | None
        The last day used (ISO date)
    k : int | None
        Number of segments; else chosen
    method : str
        ward or kmeans
    calendar : str
        Seasons and occasions (uk, us, de, …)
    sample : int
        Customers in the sample to which segments are fitted
    partitions : int | None
        Parts of the customers; a million lines each by default
    seed : int
        Of the sample and the clusters

    Examples
    --------
    segkit segment orders.parquet --work work
    segkit segment shop --mapping mapping.toml --work work --as-of 2024-12-31 -k 5
    """
    from segkit.large import segment_files

    with _watched():
        segments = segment_files(
            data,
            work,
            mapping=mapping,
            as_of=as_of,
            k=k,
            method=method,  # type: ignore[arg-type]
            calendar=calendar,
            sample=sample,
            partitions="auto" if partitions is None else partitions,
            seed=seed,
        )
    typer.echo(str(segments))
    typer.echo(_short_path(segments.assignments))


@contextmanager
def _watched() -> Iterator[None]:
    """Show the progress of long steps on the error stream, a line each few seconds."""
    from segkit.progress import watched_by

    shown = {"at": time.monotonic()}

    def watch(what: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - shown["at"] > PATIENCE:
            shown["at"] = now
            typer.echo(f"{what}: {done:,}{'' if total is None else f' of {total:,}'}", err=True)

    with watched_by(watch):
        yield


@_command(app)
def refresh(
    model: Path,
    data: Path,
    mapping: Path | None = None,
    every: str = "month",
    since: Annotated[date | None, Option("--from")] = None,
    day: list[date] | None = None,
    rules: Path | None = None,
    out: Path = Path("refreshed"),
    store: Path | None = None,
) -> None:
    """Rescore, watch or fit the segments anew, month by month, and say why.

    Parameters
    ----------
    model : Path
        The saved model in force (JSON)
    data : Path
        Raw orders: a file, or a folder of tables
    mapping : Path | None
        A mapping of the data
    every : str
        week, month or quarter: one refresh at the end of each
    since : date | None
        Start from the segments as of this earlier day (ISO date)
    day : list[date] | None
        Last day of a refresh (ISO date), instead of --every
    rules : Path | None
        Alert rules (TOML); by default a band for every key figure
    out : Path
        The folder that receives the results
    store : Path | None
        Archive in which segments and scores are recorded too

    Examples
    --------
    segkit refresh model.json orders.csv --out refreshed
    segkit refresh model.json orders.csv --mapping mapping.toml --day 2026-11-30
    segkit refresh model.json data/sample --every month --from 2024-02-29
    """
    from segkit.monitor.play import play_refreshes
    from segkit.report.kpi_page import write_kpi_page

    if out.exists() and any(out.iterdir()):
        raise ParameterError(f"{out} is not empty; name another folder")
    played = play_refreshes(
        model, data, mapping=mapping, every=every, since=since,
        days=day or (), rules=rules,
    )  # fmt: skip
    people = played.customers if store is not None else None
    written = [*played.series.write(out, store=store, customers=people), *played.write(out)]
    page = write_kpi_page(
        out, played.kpis, played.alerts, rules=played.rules, marks=played.marks, source=data.name,
        currency=played.currency, refreshes=played.series, page="index.html",
    )  # fmt: skip
    for path in dict.fromkeys([*written, page]):
        typer.echo(_short_path(path))
    typer.echo(played.series.text)
    typer.echo(played.alerts.text)
    if any(one["until"] is None for one in played.series.alerts) or played.alerts.open:
        raise typer.Exit(ALERT)


@_command(app)
def triggers(
    rules: Path,
    events: str,
    mapping: Path | None = None,
    out: Path = Path("triggers"),
    as_of: date | None = None,
    follow: bool = False,
    parquet: bool = False,
    webhook: str = "",
    customers: Path | None = None,
) -> None:
    """Run triggers over a log of events: segment changes and actions, each once.

    Parameters
    ----------
    rules : Path
        Values and rules (TOML)
    events : str
        A log (.jsonl), raw data, or a topic as kafka://host:port/topic
    mapping : Path | None
        A mapping, for raw data
    out : Path
        Folder of the state and the outputs
    as_of : date | None
        Move the clock to the end of this day (ISO date), UTC
    follow : bool
        Go on waiting for events
    parquet : bool
        Write the outputs as Parquet files too
    webhook : str
        Web address that gets each output too
    customers : Path | None
        Clean customers with consents (.csv, .parquet); raw data have their own

    Examples
    --------
    segkit triggers rules.toml events.jsonl
    segkit triggers rules.toml exports --mapping mapping.toml --as-of 2025-03-31
    segkit triggers rules.toml kafka://localhost:9092/events --follow
    """
    from segkit import live
    from segkit.live.triggers.sources import open_events

    loaded = live.TriggerRules.load(rules)
    sinks: list[Any] = [live.JsonLinesSink(out / "outputs.jsonl")]
    if parquet:
        sinks.append(live.ParquetSink(out / "outputs"))
    if webhook:
        sinks.append(live.WebhookSink(webhook))
    source, people = open_events(events, out=out, mapping=mapping)
    result = live.run_triggers(
        loaded,
        source,
        out=out,
        sinks=sinks,
        as_of=as_of,
        follow=follow,
        customers=customers or people,
    )
    typer.echo(result.text)
    typer.echo(_short_path(out / "outputs.jsonl"))


@_command(app)
def serve(
    models: list[str],
    host: str = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535)] = 8000,
    keys: Path | None = None,
    kpi: Path | None = None,
) -> None:
    """Serve segments, value, churn and offers of single customers over HTTP.

    Parameters
    ----------
    models : list[str]
        Saved models or folders of runs; several as NAME=PATH
    host : str
        Address; others than this machine's need keys
    port : int
        Port; 0 takes a free one
    keys : Path | None
        Keys file (see segkit serve-key)
    kpi : Path | None
        KPI page; by default that in a run's folder

    Examples
    --------
    segkit serve reports/my-shop
    segkit serve model.json --keys keys.toml --host 0.0.0.0 --port 8080
    segkit serve fr=reports/france de=reports/germany --keys keys.toml
    """
    try:
        from segkit.live.serve.app import run_server
    except ImportError as error:
        raise ParameterError(f"{error.name} is needed: pip install segkit[serve]") from None

    run_server(models, host=host, port=port, keys=keys, kpi_page=kpi, say=typer.echo)


@_command(app)
def serve_key(
    name: str, role: Annotated[list[str], Option()], keys: Path = Path("keys.toml")
) -> None:
    """Make an API key, shown once, and add its hash to the keys file.

    Parameters
    ----------
    name : str
        Who uses the key
    role : list[str]
        assign, read or reload; may be repeated
    keys : Path
        Keys file; it holds hashes alone

    Examples
    --------
    segkit serve-key website --role assign
    segkit serve-key prometheus --role read --keys keys.toml
    """
    from segkit.live.serve.keys import add_key

    key = add_key(keys, name, role)
    typer.echo(f"The key of {name}, kept nowhere else:")
    typer.echo(key)
    typer.echo(
        f"Its hash is in {_short_path(keys)}. To take it back, delete [{name}] there and reload."
    )


@_command(app)
def new(folder: Path, data: Path | None = None) -> None:
    """Lay out a working folder: mapping, parameters, notebooks, and what to do next.

    Parameters
    ----------
    folder : Path
        The working folder to make
    data : Path | None
        Your data file

    Examples
    --------
    segkit new shop --data orders.csv
    """
    from segkit.runner.workspace import lay_out

    for path in lay_out(folder, data):
        typer.echo(_short_path(path))
    typer.echo(f"Next: look over {_short_path(folder / 'README.md')}, then:")
    typer.echo(f"  cd {_quoted(folder)}\n  segkit run")


@_command(app)
def start(
    data: Annotated[Path | None, Argument()] = None,
    demo: bool = False,
    out: Path | None = None,
    mapping: Path | None = None,
    answer: list[str] | None = None,
    yes: bool = False,
    assume_consent: bool = False,
    browser: bool = True,
) -> None:
    """Write one page, one workbook and mail lists about a shop's customers, in a minute.

    Parameters
    ----------
    data : Path | None
        Orders, or a folder of tables
    demo : bool
        Show a simulated retailer
    out : Path | None
        The folder to write
    mapping : Path | None
        The mapping of an earlier look
    answer : list[str] | None
        Answer to a question, as the question offers it; may be repeated
    yes : bool
        Ask nothing; stop at an open question
    assume_consent : bool
        List customers without recorded consent too
    browser : bool
        Open the page in the browser

    Examples
    --------
    segkit start orders.csv
    segkit start --demo
    segkit start orders.csv --answer "orders.day_first=true" --assume-consent
    """
    from segkit.start import start as start_shop

    if (data is None) != demo:
        raise ParameterError("give a file of orders (segkit start orders.csv), or --demo")
    attended = sys.stdin.isatty() and sys.stdout.isatty()
    made = start_shop(
        data,
        out=out,
        mapping=mapping,
        answers=answer or (),
        ask=_ask if attended and not yes else None,
        assume_consent=assume_consent,
    )
    typer.echo(made.understood)
    typer.echo(made.outlook.text)
    for path in made.files:
        typer.echo(_short_path(path))
    for notice in made.notices:
        typer.echo(notice)
    if browser and attended:
        typer.launch(str(made.page.resolve()))


def _ask(question: str, offered: Sequence[str]) -> str:
    """Ask one question at the terminal."""
    typer.echo(f"\n{question}")
    for place, answer in enumerate(offered, start=1):
        typer.echo(f"  {place}. {answer}")
    hint = "a number, a value or an answer of your own; Enter takes the first"
    return str(typer.prompt(f"Your answer ({hint})", default="", show_default=False))


@_command(app)
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
    typer.echo(_short_path(write_index(folder)))


@_command(app)
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
        typer.echo(_short_path(path))


@_command(app)
def audience(
    run_folder: Path,
    out: Path,
    kind: str = "crm",
    platform_for: Annotated[str, Option("--for")] = "",
    channel: str = "",
    formats: str = "csv",
    columns: str = "",
    platform: str = "meta",
    region: str = "",
    min_cell: Annotated[int, Option(min=1)] = 20,
    policy: Path | None = None,
    purpose: str = "marketing",
    at: datetime | None = None,
    since: Path | None = None,
    erased: Path | None = None,
) -> None:
    """Write the audience lists of a run's campaign, with what was left out and why.

    Parameters
    ----------
    run_folder : Path
        A run's folder (reports/simulated)
    out : Path
        The folder that receives the lists
    kind : str
        crm (ids), or upload (hashed identifiers)
    platform_for : str
        klaviyo, mailchimp, hubspot, google or meta: its columns
    channel : str
        email, sms, phone, post, ads: whose consent counts
    formats : str
        csv, xlsx, parquet; several separated by commas
    columns : str
        Further columns on a crm list, separated by commas
    platform : str
        Spelling before hashing: meta, google
    region : str
        Country of phone numbers without a country code, such as GB
    min_cell : int
        Groups with fewer customers are left out
    policy : Path | None
        Contact policy (TOML)
    purpose : str
        Purpose of the contact, as the policy names it
    at : datetime | None
        When the lists are sent (ISO); by default when arms were assigned
    since : Path | None
        Folder of the previous lists: also write who joined and who left
    erased : Path | None
        File with ids of customers who had their data erased, one per line

    Examples
    --------
    segkit audience reports/simulated lists
    segkit audience reports/simulated lists --for klaviyo --policy contacts.toml
    segkit audience reports/simulated may --for meta --since april --erased erased.csv
    """
    from segkit.campaign.prelude import build_run_audience

    lists = build_run_audience(
        run_folder,
        kind="upload" if platform_for else kind,
        channel=channel or None,
        columns=_words(columns),
        platform=platform_for or platform,
        region=region or None,
        min_cell=min_cell,
        policy=policy,
        purpose=purpose,
        at=at,
        erased=erased,
    )
    for path in lists.write(out, formats=cast("list[Any]", _words(formats)), since=since):
        typer.echo(_short_path(path))
    typer.echo(lists.text)


@_command(app)
def star(run_folder: Path, out: Path, store: Path | None = None) -> None:
    """Write tables with keys for Power BI, Tableau or Metabase: a DuckDB file, or Parquet.

    Parameters
    ----------
    run_folder : Path
        A run's folder (reports/simulated)
    out : Path
        A file to write (.duckdb), or a folder for Parquet
    store : Path | None
        Versions of the segments (refreshed)

    Examples
    --------
    segkit star reports/my-shop shop.duckdb
    segkit star reports/my-shop star --store refreshed
    """
    from segkit.star import read_run_star

    made = read_run_star(run_folder, store=store)
    typer.echo(_short_path(made.write(out)))
    typer.echo(made.text)


@_command(app)
def sql(
    model: Path,
    start_from: Annotated[str, Option("--from")] = "customers",
    as_of: date | None = None,
    table: str = "",
    out: Path | None = None,
    dbt: Path | None = None,
    schema: str = "main",
) -> None:
    """Write segment rules as SQL, or as a dbt project with tests.

    Parameters
    ----------
    model : Path
        A run's folder, saved RFM cuts (JSON), or rules (TOML, JSON)
    start_from : str
        customers (one row each), or orders (lines)
    as_of : date | None
        Orders: the last day that counts (ISO date)
    table : str
        Name of the table in the database
    out : Path | None
        File to write the query to
    dbt : Path | None
        Folder to write a dbt project to
    schema : str
        dbt: the schema of the table

    Examples
    --------
    segkit sql reports/my-shop
    segkit sql reports/my-shop --from orders --as-of 2025-06-30 --out segments.sql
    segkit sql rules.toml --table crm_customers --dbt segments_dbt
    """
    from segkit.errors import require_choice
    from segkit.rfm import SegmentSql
    from segkit.writing import write_whole

    require_choice("table to start from", start_from, ("customers", "orders"))
    rules = SegmentSql.load(model, table=cast("Any", start_from), as_of=as_of)
    if dbt is not None:
        for path in rules.write_dbt(dbt, table=table, schema=schema):
            typer.echo(_short_path(path))
    if out is not None:
        typer.echo(_short_path(write_whole(out, rules.to_sql(table) + "\n", overwrite=False)))
    if dbt is None and out is None:
        typer.echo(rules.to_sql(table))


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


course = typer.Typer(help="Teach from the notebooks: lessons, exercises with checks, slides.")
app.add_typer(course, name="course")


@_command(course, "build")
def course_build(
    out: Annotated[Path, Argument()] = Path("course"),
    variant: str = "",
    seed: int = 11,
    check: bool = False,
) -> None:
    """Build the course, or (--check) only try its checks on right and wrong answers.

    Parameters
    ----------
    out : Path
        The folder that receives the course
    variant : str
        lesson, exercise, slides, solution, notes, nbgrader; separated by commas
    seed : int
        Seed of the simulated customers; each student's own
    check : bool
        Write nothing; only try every check

    Examples
    --------
    segkit course build course
    segkit course build course --variant exercise,solution --seed 7
    """
    if check:
        course_check(seed)
        return
    from segkit.course import VARIANTS, build_course

    built = build_course(out, variants=_words(variant) or VARIANTS, seed=seed, tell=typer.echo)
    typer.echo(built.matrix.text)
    typer.echo(_short_path(out / "index.html"))


@_command(course, "check")
def course_check(seed: int = 11) -> None:
    """Try every check on its solution, on the untouched exercise, and on common mistakes.

    Parameters
    ----------
    seed : int
        Seed of the simulated customers; each student's own

    Examples
    --------
    segkit course check
    """
    from segkit.course import check_course

    matrix = check_course(seed=seed, tell=typer.echo)
    typer.echo(matrix.text)
    if not matrix.good:
        raise typer.Exit(FAILED)


@_command(app)
def version() -> None:
    """Show the versions on which results depend.

    Examples
    --------
    segkit version
    """
    from segkit.runner.manifest import versions

    for library, number in versions().items():
        typer.echo(f"{library} {number}")


def _short_path(path: Path) -> str:
    full = path.resolve()
    working = Path.cwd()
    return str(full.relative_to(working)) if full.is_relative_to(working) else str(full)


def _quoted(path: Path) -> str:
    """Write a path for a command line: PowerShell and cmd know double quotes, other shells both."""
    if not WINDOWS:
        return shell_quote(str(path))
    return f'"{path}"' if " " in str(path) else str(path)


def print_anything() -> None:
    """Let output hold signs that the terminal's encoding lacks, such as cp1252 an arrow.

    They are written as question marks.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def main() -> NoReturn:
    """Run the command line; errors of segkit's own are one line and an exit code."""
    from segkit.runner.stopping import stopped_by_signals

    print_anything()

    words = sys.argv[1:]
    with stopped_by_signals():
        sys.exit(invoke([w for w in words if w != "--debug"], debug="--debug" in words))


def invoke(words: list[str], *, debug: bool = False) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    words : list of str
        The command line without the program's name.
    debug : bool
        Let errors through, with their traceback.
    """
    from segkit.runner.stopping import STOPS, stop_code, stop_words

    try:
        app(args=words, prog_name="segkit")
    except SystemExit as end:  # typer makes 130 of Ctrl-C
        if end.code == stop_code(KeyboardInterrupt()):
            typer.echo("segkit: stopped by hand", err=True)
        return int(end.code or 0)
    except STOPS as error:
        typer.echo(f"segkit: {stop_words(error)}", err=True)
        return stop_code(error)
    except Exception as error:
        if debug:
            raise
        message, code = explain(error)
        typer.echo(f"segkit: {message}", err=True)
        return code
    return 0


def explain(error: Exception) -> tuple[str, int]:
    """Say in words what went wrong, and with which exit code the command ends.

    Examples
    --------
    >>> explain(FileNotFoundError(2, "No such file or directory", "a.csv"))
    ('No such file or directory: a.csv', 1)
    """
    if isinstance(error, ParameterError):
        return str(error), USAGE
    if isinstance(error, DataError | SourceError | MappingError):
        return str(error), GATE
    if isinstance(error, SegkitError):
        return str(error), FAILED
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{where}", FAILED
    first = (str(error).strip().splitlines() or ["no message"])[0]
    kind = type(error).__name__
    return f"an error that was not foreseen: {kind}: {first} (--debug shows where)", FAILED
