"""Command line: run notebooks, check data, score customers, write lists, build the course."""

from __future__ import annotations

import inspect
import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from shlex import quote as shell_quote
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

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
    """Register a command: its docstring is the help, with the examples below the options."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        about, _, examples = inspect.getdoc(function).partition("\n\nExamples\n--------\n")  # type: ignore[union-attr]
        lines = "\n".join(f"  {line}" for line in examples.splitlines())
        texts = {"help": about, "epilog": f"\b\nExamples:\n{lines}"}
        (parent.callback(**texts) if callback else parent.command(name, **texts))(function)  # type: ignore[arg-type]
        return function

    return register


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


def _date_option(about: str, *names: str, metavar: str = "DATE") -> Any:
    return Option(*names, help=about, parser=str, callback=_read_dates, metavar=metavar)


Store = Annotated[Path | None, Option(help="Archive of versions that segments and scores go to")]
RunFolder = Annotated[Path, Argument(help="A run's folder (reports/simulated)")]
RunsFolder = Annotated[Path, Argument(help="The folder that holds the runs")]
CourseSeed = Annotated[int, Option(help="Seed of the simulated customers; each student's own")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"segkit {segkit.__version__}")
        raise typer.Exit


@_command(app, callback=True)
def _everywhere(
    debug: Annotated[bool, Option("--debug", help="Show the traceback of an error")] = False,
    version: Annotated[
        bool,
        Option("--version", help="Show segkit's version", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """From raw purchase history to customer segments, and on to campaign lift.

    Examples
    --------
    segkit new shop --data orders.csv
    segkit run
    segkit run --help
    """
    del debug, version  # the first is taken out by main, which is where errors arrive


@_command(app)
def run(
    notebooks: Annotated[
        list[str] | None, Argument(help="Notebooks (05, 05_segments); all if none")
    ] = None,
    source: Annotated[str, Option(help="Source: simulated, online-retail, file, …")] = "",
    data: Annotated[str, Option(help="Your data, or where the source's file lies")] = "",
    mapping: Annotated[str, Option(help="Mapping file (see segkit check)")] = "",
    out: Annotated[str, Option(help="Folder of the runs; reports by default")] = "",
    name: Annotated[str, Option(help="Name of this run; the source's by default")] = "",
    parameter: Annotated[
        list[str] | None, Option("-p", "--parameter", help="key=value; may be repeated")
    ] = None,
    timeout: Annotated[
        float | None, Option(help="Seconds that one notebook may take", min=1)
    ] = None,
    force: Annotated[bool, Option("--force", help="Run again what has not changed")] = False,
    by: Annotated[str, Option(help="Column of the orders; one run for each of its values")] = "",
    markets: Annotated[str, Option(help="With --by: only these markets, separated by commas")] = "",
    min_customers: Annotated[
        int | None,
        Option(help="With --by: markets with fewer customers are not run (default 50)", min=1),
    ] = None,
    jobs: Annotated[int, Option(help="Notebooks (with --by: markets) at once", min=1)] = 1,
    day: Annotated[
        str, Option("--date", help="Give the run a folder of this day: an ISO date, or today")
    ] = "",
) -> None:
    """Run notebooks, with all that they depend on, and write their reports.

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
    typer.echo(_near(end.index))
    raise typer.Exit(end.exit_code)


@_command(app)
def prune(
    folder: RunsFolder,
    keep: Annotated[int, Option(help="Runs kept of each series and market", min=1)],
    dry_run: Annotated[bool, Option("--dry-run", help="Only list what would be removed")] = False,
) -> None:
    """Remove old runs; the newest of each series and market stay, and the newest good one.

    Examples
    --------
    segkit prune reports --keep 3 --dry-run
    """
    from segkit.report.index import write_index
    from segkit.runner.earlier import prune as prune_runs

    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder}")
    gone = [one for one in prune_runs(folder, keep, rehearse=dry_run) if one.gone]
    for one in gone:
        typer.echo(f"{one.folder.name} {one.why} ({one.freed / 2**20:.1f} MiB)")
    typer.echo(f"{'would remove' if dry_run else 'removed'} {counted(len(gone), 'run')}")
    if gone and not dry_run:
        typer.echo(_near(write_index(folder)))


@_command(app)
def params(
    notebook: Annotated[str, Argument(help="One notebook, or 'mapping'; all if none")] = "",
) -> None:
    """List what can be set: the notebooks' parameters, and (mapping) the mapping file's options.

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
    data: Annotated[Path, Argument(help="A data file, or a folder of tables")],
    mapping: Annotated[Path | None, Option(help="A mapping to check the data by")] = None,
    save: Annotated[Path | None, Option(help="Where to write the proposed mapping")] = None,
    preset: Annotated[
        str | None, Option(help="Layout of the export, such as shopify; or none")
    ] = None,
) -> None:
    """Audit data: can they be used, what was found, and which mapping fits.

    Examples
    --------
    segkit check shop.csv
    segkit check shop.csv --save mapping.toml
    segkit check exports --preset shopify
    """
    from segkit.runner.workspace import audit_files

    audit = audit_files(data, mapping, preset)
    typer.echo(str(audit))
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
    model: Annotated[
        Path,
        Argument(
            help="A saved model (JSON), or a run's folder: its models of segments, value and churn"
        ),
    ],
    data: Annotated[Path, Argument(help="A customer table (CSV, Parquet), or raw orders")],
    mapping: Annotated[Path | None, Option(help="A mapping, for raw orders")] = None,
    as_of: Annotated[date | None, _date_option("Raw orders: the last day used (ISO date)")] = None,
    out: Annotated[Path, Option(help="File to write: .csv or .parquet")] = Path("assignments.csv"),
    value: Annotated[Path | None, Option(help="Raw orders: a saved model of value")] = None,
    churn: Annotated[Path | None, Option(help="Raw orders: a saved model of churn")] = None,
    store: Store = None,
    work: Annotated[
        Path | None,
        Option(help="Raw orders larger than memory: a folder to work in; segments alone"),
    ] = None,
) -> None:
    """Assign customers to the segments of a saved model; add value, churn and next purchase.

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
            scores = score_large_files(model, data, work, mapping=mapping, as_of=as_of)
        typer.echo(str(scores))
        typer.echo(_near(scores.assignments))
        return
    check_out(out)
    assignment = score_file(model, data, mapping=mapping, as_of=as_of, value=value, churn=churn)
    typer.echo(str(assignment))
    typer.echo(_near(write_assignments(assignment, out)))
    if store is not None:
        for kind, recorded in record_scores(assignment, store, as_of=as_of).items():
            typer.echo(f"{kind}: {recorded.text}")


@_command(app)
def segment(
    data: Annotated[Path, Argument(help="Raw orders (CSV, Parquet), or a folder of tables")],
    work: Annotated[Path, Option(help="Folder to work in; the same goes on when stopped")],
    mapping: Annotated[Path | None, Option(help="A mapping (see segkit check)")] = None,
    as_of: Annotated[date | None, _date_option("The last day used (ISO date)")] = None,
    k: Annotated[int | None, Option("-k", help="Number of segments; else chosen")] = None,
    method: Annotated[str, Option(help="ward or kmeans")] = "ward",
    calendar: Annotated[str, Option(help="Seasons and occasions (uk, us, de, …)")] = "",
    sample: Annotated[int, Option(help="Customers to find segments among")] = 50_000,
    partitions: Annotated[
        int | None, Option(help="Parts of the customers; a million lines each by default")
    ] = None,
    seed: Annotated[int, Option(help="Of the sample and the clusters")] = 0,
) -> None:
    """Segment the customers of files larger than memory, from raw lines to assignments.

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
    typer.echo(_near(segments.assignments))


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
    model: Annotated[Path, Argument(help="The saved model in force (JSON)")],
    data: Annotated[Path, Argument(help="Raw orders: a file, or a folder of tables")],
    mapping: Annotated[Path | None, Option(help="A mapping of the data")] = None,
    every: Annotated[str, Option(help="week, month or quarter: a refresh at each end")] = ("month"),
    since: Annotated[
        date | None,
        _date_option("Play from an earlier day: the segments as made on it (ISO date)", "--from"),
    ] = None,
    day: Annotated[
        list[date] | None, _date_option("Last day of a refresh (ISO date), instead of --every")
    ] = None,
    rules: Annotated[
        Path | None, Option(help="Rules of alerts (TOML); by default a band for all")
    ] = None,
    out: Annotated[Path, Option(help="The folder that receives the results")] = Path("refreshed"),
    store: Store = None,
) -> None:
    """Rescore, watch or fit the segments anew, month by month, and say why.

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
        typer.echo(_near(path))
    typer.echo(played.series.text)
    typer.echo(played.alerts.text)
    if any(one["until"] is None for one in played.series.alerts) or played.alerts.open:
        raise typer.Exit(ALERT)


@_command(app)
def triggers(
    rules: Annotated[Path, Argument(help="Values and rules (TOML)")],
    events: Annotated[
        str, Argument(help="A log (.jsonl), raw data, or a topic as kafka://host:port/topic")
    ],
    mapping: Annotated[Path | None, Option(help="A mapping, for raw data")] = None,
    out: Annotated[Path, Option(help="Folder of the state and the outputs")] = Path("triggers"),
    as_of: Annotated[
        date | None, _date_option("Move the clock to the end of this day (ISO date), UTC")
    ] = None,
    follow: Annotated[bool, Option("--follow", help="Go on waiting for events")] = False,
    parquet: Annotated[
        bool, Option("--parquet", help="Write the outputs as Parquet files too")
    ] = False,
    webhook: Annotated[str, Option(help="Web address that gets each output too")] = "",
    customers: Annotated[
        Path | None,
        Option(help="Clean customers with consents (.csv, .parquet); raw data have their own"),
    ] = None,
) -> None:
    """Run triggers over a log of events: segment changes and actions, each once.

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
    typer.echo(_near(out / "outputs.jsonl"))


@_command(app)
def serve(
    models: Annotated[
        list[str], Argument(help="Saved models or folders of runs; several as NAME=PATH")
    ],
    host: Annotated[str, Option(help="Address; others than this machine's need keys")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, Option(help="Port; 0 takes a free one", min=0, max=65_535)] = 8000,
    keys: Annotated[Path | None, Option(help="Keys file (see segkit serve-key)")] = None,
    kpi: Annotated[Path | None, Option(help="KPI page; by default that in a run's folder")] = None,
) -> None:
    """Serve segments, value, churn and offers of single customers over HTTP.

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
    name: Annotated[str, Argument(help="Who uses the key")],
    role: Annotated[list[str], Option(help="assign, read or reload; may be repeated")],
    keys: Annotated[Path, Option(help="Keys file; it holds hashes alone")] = Path("keys.toml"),
) -> None:
    """Make an API key, shown once, and add its hash to the keys file.

    Examples
    --------
    segkit serve-key website --role assign
    segkit serve-key prometheus --role read --keys keys.toml
    """
    from segkit.live.serve.keys import add_key

    key = add_key(keys, name, role)
    typer.echo(f"The key of {name}, kept nowhere else:")
    typer.echo(key)
    typer.echo(f"Its hash is in {_near(keys)}. To take it back, delete [{name}] there and reload.")


@_command(app)
def new(
    folder: Annotated[Path, Argument(help="The working folder to make")],
    data: Annotated[Path | None, Option(help="Your data file")] = None,
) -> None:
    """Lay out a working folder: mapping, parameters, notebooks, and what to do next.

    Examples
    --------
    segkit new shop --data orders.csv
    """
    from segkit.runner.workspace import lay_out

    for path in lay_out(folder, data):
        typer.echo(_near(path))
    typer.echo(f"Next: look over {_near(folder / 'README.md')}, then:")
    typer.echo(f"  cd {_quoted(folder)}\n  segkit run")


@_command(app)
def start(
    data: Annotated[Path | None, Argument(help="Orders, or a folder of tables")] = None,
    demo: Annotated[bool, Option("--demo", help="Show a simulated retailer")] = False,
    out: Annotated[Path | None, Option(help="The folder to write")] = None,
    mapping: Annotated[Path | None, Option(help="The mapping of an earlier look")] = None,
    answer: Annotated[
        list[str] | None, Option(help="Answer to a question, as it says; may be repeated")
    ] = None,
    yes: Annotated[bool, Option("--yes", help="Ask nothing; stop at an open question")] = False,
    assume_consent: Annotated[
        bool, Option("--assume-consent", help="List customers without recorded consent too")
    ] = False,
    browser: Annotated[bool, Option(help="Open the page in the browser")] = True,
) -> None:
    """Write one page, one workbook and mail lists about a shop's customers, in a minute.

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
        typer.echo(_near(path))
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
def index(folder: RunsFolder) -> None:
    """Write index.html over all the runs found in a folder.

    Examples
    --------
    segkit index reports
    """
    from segkit.report.index import write_index

    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder}")
    typer.echo(_near(write_index(folder)))


@_command(app)
def pdf(
    folder: Annotated[Path, Argument(help="A run's folder, or the folder that holds runs")],
) -> None:
    """Print the summary of each run as PDF, where Chromium is installed.

    Examples
    --------
    segkit pdf reports/simulated
    """
    from segkit.report.pdf import write_pdfs

    for path in write_pdfs(folder):
        typer.echo(_near(path))


@_command(app)
def audience(
    run_folder: RunFolder,
    out: Annotated[Path, Argument(help="The folder that receives the lists")],
    kind: Annotated[str, Option(help="crm (ids), or upload (hashed identifiers)")] = "crm",
    platform_for: Annotated[
        str, Option("--for", help="klaviyo, mailchimp, hubspot, google or meta: its columns")
    ] = "",
    channel: Annotated[str, Option(help="email, sms, phone, post, ads: whose consent counts")] = "",
    formats: Annotated[str, Option(help="csv, xlsx, parquet; several separated by commas")] = "csv",
    columns: Annotated[str, Option(help="Further columns on a crm list, separated by commas")] = "",
    platform: Annotated[str, Option(help="Spelling before hashing: meta, google")] = "meta",
    region: Annotated[str, Option(help="Country of phone numbers without one: GB")] = "",
    min_cell: Annotated[int, Option(help="Smaller groups are left out", min=1)] = 20,
    policy: Annotated[Path | None, Option(help="Contact policy (TOML)")] = None,
    purpose: Annotated[str, Option(help="Purpose of the contact, as the policy names it")] = (
        "marketing"
    ),
    at: Annotated[
        datetime | None,
        _date_option(
            "When the lists are sent (ISO); by default when arms were assigned", metavar="TIME"
        ),
    ] = None,
    since: Annotated[
        Path | None, Option(help="Folder of the last lists: who joins and leaves since")
    ] = None,
    erased: Annotated[
        Path | None, Option(help="Ids of customers who had their data erased, one a line")
    ] = None,
) -> None:
    """Write the audience lists of a run's campaign, with what was left out and why.

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
        typer.echo(_near(path))
    typer.echo(lists.text)


@_command(app)
def star(
    run_folder: RunFolder,
    out: Annotated[Path, Argument(help="A file to write (.duckdb), or a folder for Parquet")],
    store: Annotated[Path | None, Option(help="Versions of the segments (refreshed)")] = None,
) -> None:
    """Write tables with keys for Power BI, Tableau or Metabase: a DuckDB file, or Parquet.

    Examples
    --------
    segkit star reports/my-shop shop.duckdb
    segkit star reports/my-shop star --store refreshed
    """
    from segkit.star import read_run_star

    made = read_run_star(run_folder, store=store)
    typer.echo(_near(made.write(out)))
    typer.echo(made.text)


@_command(app)
def sql(
    model: Annotated[
        Path, Argument(help="A run's folder, saved RFM cuts (JSON), or rules (TOML, JSON)")
    ],
    start_from: Annotated[
        str, Option("--from", help="customers (one row each), or orders (lines)")
    ] = "customers",
    as_of: Annotated[
        date | None, _date_option("Orders: the last day that counts (ISO date)")
    ] = None,
    table: Annotated[str, Option(help="Name of the table in the database")] = "",
    out: Annotated[Path | None, Option(help="File to write the query to")] = None,
    dbt: Annotated[Path | None, Option(help="Folder to write a dbt project to")] = None,
    schema: Annotated[str, Option(help="dbt: the schema of the table")] = "main",
) -> None:
    """Write segment rules as SQL, or as a dbt project with tests.

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
            typer.echo(_near(path))
    if out is not None:
        typer.echo(_near(write_whole(out, rules.to_sql(table) + "\n", overwrite=False)))
    if dbt is None and out is None:
        typer.echo(rules.to_sql(table))


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


course = typer.Typer(help="Teach from the notebooks: lessons, exercises with checks, slides.")
app.add_typer(course, name="course")


@_command(course, "build")
def course_build(
    out: Annotated[Path, Argument(help="The folder that receives the course")] = Path("course"),
    variant: Annotated[
        str, Option(help="lesson, exercise, slides, solution, notes, nbgrader; separated by commas")
    ] = "",
    seed: CourseSeed = 11,
    check: Annotated[bool, Option("--check", help="Write nothing; only try every check")] = False,
) -> None:
    """Build the course, or (--check) only try its checks on right and wrong answers.

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
    typer.echo(_near(out / "index.html"))


@_command(course, "check")
def course_check(seed: CourseSeed = 11) -> None:
    """Try every check on its solution, on the untouched exercise, and on common mistakes.

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


def _near(path: Path) -> str:
    full = path.resolve()
    here = Path.cwd()
    return str(full.relative_to(here)) if full.is_relative_to(here) else str(full)


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
