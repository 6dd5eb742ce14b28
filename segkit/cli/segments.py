"""Commands of segments: ``segment``, ``score`` and ``refresh``."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from segkit.cli.terminal import ALERT, short_path, watched
from segkit.errors import ParameterError


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

    with watched():
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
    typer.echo(short_path(segments.assignments))


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
        with watched():
            scores = score_large_files(
                model, data, work, mapping=mapping, as_of=as_of,
                partitions="auto" if partitions is None else partitions,
            )  # fmt: skip
        typer.echo(str(scores))
        typer.echo(short_path(scores.assignments))
        return
    if partitions is not None:
        raise ParameterError("--partitions goes with --work")
    check_out(out)
    assignment = score_file(model, data, mapping=mapping, as_of=as_of, value=value, churn=churn)
    typer.echo(str(assignment))
    typer.echo(short_path(write_assignments(assignment, out)))
    if store is not None:
        for kind, recorded in record_scores(assignment, store, as_of=as_of).items():
            typer.echo(f"{kind}: {recorded.text}")


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
        typer.echo(short_path(path))
    typer.echo(played.series.text)
    typer.echo(played.alerts.text)
    if any(one["until"] is None for one in played.series.alerts) or played.alerts.open:
        raise typer.Exit(ALERT)
