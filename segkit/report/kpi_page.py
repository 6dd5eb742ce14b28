"""Page of key figures over time: what they are now, their bands and targets, what is outside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.display import counted, number, percent
from segkit.monitor.alerts import Alerts, write_limits
from segkit.monitor.kpis import ALL, KPIS, WORDS, KpiSeries, write_value
from segkit.plot import lines, watched_line
from segkit.plot.figure import draw_narrow
from segkit.plot.vector import add_theme
from segkit.report.page import hide_addresses, part, style
from segkit.writing import write_whole

if TYPE_CHECKING:
    from segkit.monitor import AlertRule, RefreshSeries

PERIOD = {"1d": "day", "1w": "week", "1mo": "month"}
STEM = "11_refresh"  # the notebook on refreshes
WRITTEN = ("kpi_series", "kpi_alerts", "kpi_about")  # what it leaves
PAGE, TILES = "kpis.html", "kpis.json"
MOST_SEGMENTS = 8


def write_kpi_page(
    folder: Path,
    series: KpiSeries,
    alerts: Alerts,
    *,
    rules: Sequence[AlertRule] = (),
    marks: Sequence[date] = (),
    source: str = "",
    currency: str | None = None,
    about: str = "",
    refreshes: RefreshSeries | None = None,
    page: str = PAGE,
) -> Path:
    """Write the page, and the tiles that the index of the runs shows of it.

    Parameters
    ----------
    folder : pathlib.Path
        Receives ``kpis.html`` and ``kpis.json``.
    series : KpiSeries
    alerts : Alerts
        What `find_alerts` says of it.
    rules : sequence of AlertRule
        For the targets.
    marks : sequence of datetime.date
        Days on which campaigns went out.
    source : str
        Name of the data.
    currency : str, optional
    about : str
        What readers of these figures must know of the period; "" says nothing.
    refreshes : RefreshSeries, optional
        Shown above the key figures: the decision, who moved, each refresh.
    page : str
        Name of the page's file.

    Returns
    -------
    pathlib.Path
        The page.
    """
    names = [kpi for kpi in WORDS if kpi in set(series.series["kpi"])]
    tiles = [_tile(kpi, series, alerts, currency) | {"period": about} for kpi in names]
    tiles += [
        {"name": WORDS[kpi][0], "value": "not known", "change": "", "state": "", "tone": "",
         "link": "", "period": about}
        for kpi in ("churn_rate", "csat") if kpi not in names
    ]  # fmt: skip
    write_whole(folder / TILES, json.dumps({"page": page, "tiles": tiles}, indent=1), private=True)
    periods = series.series["period"].unique().sort().to_list()
    end = pl.Series([periods[-1]]).dt.offset_by(series.every)[0]
    marked = [day for day in marks if periods[0] <= day < end]
    moved = refreshes.migration if refreshes else None
    with draw_narrow():  # small multiples: as many beside one another as the screen holds
        sections = [_section(kpi, series, alerts, rules, marked) for kpi in names]
    text = part(
        "kpis.html.j2",
        css=style("style.css", "overview.css", "start.css", "kpis.css"),
        title="Segments and key figures" if refreshes else "Key figures over time",
        source=source,
        about=about,
        first=periods[0].isoformat(),
        last=periods[-1].isoformat(),
        period=PERIOD[series.every],
        lead=f"Do the segments still hold? {refreshes.text}" if refreshes else alerts.text,
        decision=refreshes.decision if refreshes else "",
        flow=add_theme(moved.plot().svg()) if moved else "",
        rows=_refreshes(refreshes),
        tiles=tiles,
        alerts=[_alert(one, currency) for one in alerts.alerts if one["open"]],
        calm=alerts.text if not alerts.open else "",
        marks=counted(len(marked), "campaign") if marked else "",
        sections=sections,
        unknown=_unknown(series, names),
    )
    return write_whole(folder / page, hide_addresses(text), private=True)


def write_run_kpis(run: Path) -> list[dict[str, str]]:
    """Write the page of a run from what its notebook on refreshes left; return its tiles.

    The page is written anew where the notebook has run since.
    """
    data = run / STEM / "data"
    if not all((data / f"{name}.json").is_file() for name in WRITTEN):
        return []
    page = run / PAGE
    made = [(data / f"{name}.json").stat().st_mtime for name in WRITTEN]
    if not page.is_file() or page.stat().st_mtime < max(made):
        kpis, alerts, about = (
            json.loads((data / f"{name}.json").read_text(encoding="utf-8")) for name in WRITTEN
        )
        write_kpi_page(
            run,
            KpiSeries.from_dict(kpis),
            Alerts.from_dict(alerts),
            marks=[date.fromisoformat(day) for day in about["campaigns"]],
            source=run.name,
            currency=about["currency"],
            about=about.get("period", ""),
        )
    tiles: list[dict[str, str]] = json.loads((run / TILES).read_text(encoding="utf-8"))["tiles"]
    return tiles


def _tile(kpi: str, series: KpiSeries, alerts: Alerts, currency: str | None) -> dict[str, str]:
    """Return a key figure now, what was to be expected, and the state of its alerts.

    Where the past is too short for a band, the change on the period before stands in its place.
    """
    whole = series.series.filter((pl.col("kpi") == kpi) & (pl.col("segment_name") == ALL))
    with_value = whole.sort("period").drop_nulls("value")  # no messages, no rate: the last one told
    values, days = with_value["value"].to_list(), with_value["period"].to_list()
    now, before = (values[-1] if values else None), values[-2] if len(values) > 1 else None
    change = ""
    band = _band(alerts, kpi, days)
    if band:
        low, high = (write_value(kpi, round(side, 3), currency) for side in band)
        change = f"expected {low} to {high}"
    elif now is not None and before:
        grown = now / before - 1
        change = f"{'+' if grown > 0 else ''}{percent(grown)} on the {PERIOD[series.every]} before"
    if days and days[-1] != whole["period"].max():
        change = f"{change}{', ' if change else ''}last known {days[-1].isoformat()}"
    open_alerts = [one for one in alerts.open if one["kpi"] == kpi]
    own = [one for one in open_alerts if one["segment"] == ALL]
    if own:
        state, tone = f"{own[0]['direction']} since {own[0]['since']}", "attention"
    elif open_alerts:
        first, more = open_alerts[0], len(open_alerts) - 1
        state = f"{first['segment']} {first['direction']} since {first['since']}"
        state += f" and {counted(more, 'other segment')}" if more else ""
        tone, change = "attention", f"{change}{', ' if change else ''}all customers"
    else:
        state, tone = ("within its band" if band else "no band yet"), ""
    return {"name": WORDS[kpi][0], "value": write_value(kpi, now, currency), "change": change,
            "state": state, "tone": tone, "link": f"#{kpi}"}  # fmt: skip


def _band(alerts: Alerts, kpi: str, days: Sequence[date]) -> tuple[float, float] | None:
    """Return the band of all customers on the last of the days, None where there is none."""
    if alerts.bands is None or not days:
        return None
    rows = alerts.bands.filter(
        pl.col("kpi") == kpi, pl.col("segment_name") == ALL, pl.col("period") == days[-1]
    )
    return None if rows.is_empty() else (rows["low"].item(), rows["high"].item())


def _section(
    kpi: str,
    series: KpiSeries,
    alerts: Alerts,
    rules: Sequence[AlertRule],
    marks: Sequence[date],
) -> dict[str, str]:
    """Return the pictures of one key figure: all customers with their band, and each segment."""
    label, about = WORDS[kpi]
    own = series.series.filter(pl.col("kpi") == kpi)
    whole = own.filter(pl.col("segment_name") == ALL).select("period", "value")
    if alerts.bands is None:
        whole = whole.with_columns(pl.lit(None, pl.Float64).alias(c) for c in ("low", "high"))
    else:
        chosen = (pl.col("kpi") == kpi) & (pl.col("segment_name") == ALL)
        limits = alerts.bands.filter(chosen).select("period", "low", "high")
        whole = whole.join(limits, on="period", how="left")
    targets = [
        limit
        for rule in rules
        if rule.kpi == kpi and rule.segment in (ALL, "*")
        for limit in (rule.least, rule.most)
        if limit is not None
    ]
    out = [(one["since"], one["last"]) for one in alerts.alerts
           if one["kpi"] == kpi and one["segment"] == ALL]  # fmt: skip
    outside = pl.any_horizontal(
        pl.lit(value=False),
        *(
            pl.col("period").cast(pl.String).is_between(pl.lit(since), pl.lit(last))
            for since, last in out
        ),
    )
    share = KPIS[kpi][1] is not None and kpi != "order_value"
    pictures = {"all": "", "segments": ""}
    if whole["value"].count():
        figure = watched_line(
            whole.with_columns(outside=outside), "period", "value", band=("low", "high"),
            outside="outside", targets=targets, marks=list(marks), percent=share, y_label=label,
        )  # fmt: skip
        pictures["all"] = add_theme(figure.svg())
    groups = own.filter(pl.col("segment_name") != ALL)
    largest = groups.group_by("segment_name").agg(pl.col("cases").sum()).sort("cases")
    shown = largest.tail(MOST_SEGMENTS)["segment_name"]
    groups = groups.filter(pl.col("segment_name").is_in(shown.implode())).drop_nulls("value")
    if groups["value"].count():
        by_segment = lines(
            groups, "period", "value", group="segment_name", percent=share, markers=False,
            x_label=PERIOD[series.every], y_label=f"{label} by segment",
        )  # fmt: skip
        pictures["segments"] = add_theme(by_segment.svg())
    return {"id": kpi, "name": label, "about": about, **pictures}


def _alert(one: Mapping[str, Any], currency: str | None) -> dict[str, str]:
    kpi = str(one["kpi"])
    return {
        "name": WORDS[kpi][0],
        "segment": "all customers" if one["segment"] == ALL else str(one["segment"]),
        "value": write_value(kpi, one["value"], currency),
        "limits": f"{one['kind']}: {write_limits(one, currency)}",
        "since": str(one["since"]),
        "acknowledged": "yes" if one["acknowledged"] else "no",
    }


def _refreshes(refreshes: RefreshSeries | None) -> list[dict[str, str]]:
    if refreshes is None:
        return []
    return [
        {
            "day": row["as_of"].isoformat(),
            "action": row["action"],
            "reason": row["reason"],
            "customers": number(row["customers"]),
            "moved": percent(row["moved_share"]),
        }
        for row in refreshes.rows.iter_rows(named=True)
    ]


def _unknown(series: KpiSeries, names: Sequence[str]) -> str:
    """Say what cannot be shown, and why."""
    parts = []
    if "csat" not in names:
        parts.append("Satisfaction over time is not known: there are no answers with their day.")
    if "churn_rate" not in names:
        why = (
            "it is measured by week or month"
            if series.every == "1d"
            else "orders do not reach back far enough"
        )
        parts.append(f"Churn is not known: {why}.")
    if "visits" not in names:
        parts.append("Visits, conversion and bounces are not known: there are no sessions.")
    if "open_rate" not in names:
        parts.append("Rates of messages are not known: none are recorded.")
    return " ".join(parts)
