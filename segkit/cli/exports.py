"""Commands of exports: ``audience``, ``star`` and ``sql``."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer import Option

from segkit.cli.terminal import short_path, split_words


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
        columns=split_words(columns),
        platform=platform_for or platform,
        region=region or None,
        min_cell=min_cell,
        policy=policy,
        purpose=purpose,
        at=at,
        erased=erased,
    )
    for path in lists.write(out, formats=cast("list[Any]", split_words(formats)), since=since):
        typer.echo(short_path(path))
    typer.echo(lists.text)


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
    typer.echo(short_path(made.write(out)))
    typer.echo(made.text)


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
            typer.echo(short_path(path))
    if out is not None:
        typer.echo(short_path(write_whole(out, rules.to_sql(table) + "\n", overwrite=False)))
    if dbt is None and out is None:
        typer.echo(rules.to_sql(table))
