"""Commands of live use: ``triggers``, ``serve`` and ``serve-key``."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from segkit.cli.terminal import short_path
from segkit.errors import ParameterError


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
    typer.echo(short_path(out / "outputs.jsonl"))


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
        f"Its hash is in {short_path(keys)}. To take it back, delete [{name}] there and reload."
    )
