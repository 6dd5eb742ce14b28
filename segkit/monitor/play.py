"""Refreshes, key figures and alerts of a shop's own data, in one call."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from segkit.cluster import SegmentModel, load_model
from segkit.errors import DataError, ParameterError, SourceError, require_choice
from segkit.monitor.alerts import AlertRule, Alerts, find_alerts, read_rules
from segkit.monitor.kpis import KpiSeries, measure_kpis
from segkit.monitor.series import EPOCH, RefreshSeries, fit_earlier, month_ends, refresh_series
from segkit.scoring import clean_as_fitted
from segkit.writing import write_frame, write_whole

EVERY = ("week", "month", "quarter")
FALSE_ALARMS = 1.0  # a year, declared for each key figure of all customers where no rules are given


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """Refreshes with the key figures of their time.

    Attributes
    ----------
    series : RefreshSeries
    kpis : KpiSeries
        By week and segment, since the fit.
    alerts : Alerts
        On the key figures.
    rules : list of AlertRule
    marks : list of datetime.date
        Days on which campaigns went out.
    currency : str or None
    customers : polars.DataFrame or None
        The clean customers, for an archive of versions.
    """

    series: RefreshSeries
    kpis: KpiSeries
    alerts: Alerts
    rules: list[AlertRule]
    marks: list[date]
    currency: str | None
    customers: pl.DataFrame | None

    def write(self, folder: Path) -> list[Path]:
        """Write ``kpis.csv``, and all alerts (of drift and of key figures) as ``alerts.json``."""
        every = [*self.series.alerts, *self.alerts.alerts]
        return [
            write_frame(self.kpis.series, folder / "kpis.csv", private=True),
            write_whole(folder / "alerts.json", json.dumps(every, indent=1), private=True),
        ]


def play_refreshes(
    model: Path,
    data: Path,
    *,
    mapping: Path | None = None,
    every: str = "month",
    since: date | None = None,
    days: Sequence[date] = (),
    rules: Path | None = None,
    seed: int = 0,
) -> Played:
    """Refresh a saved model on raw data, and look at the key figures of that time.

    Parameters
    ----------
    model : pathlib.Path
        A saved model of segments.
    data : pathlib.Path
        Raw orders, or a folder of tables.
    mapping : pathlib.Path, optional
    every : {"week", "month", "quarter"}
        A refresh at the end of each that has ended since the model's date.
    since : datetime.date, optional
        Go back to this day: the segments are made as they would have been then.
    days : sequence of datetime.date
        Days to refresh on, instead of ``every``.
    rules : pathlib.Path, optional
        Rules of alerts; by default each key figure has a band with one false alarm per year.
    seed : int

    Returns
    -------
    Played

    Raises
    ------
    ParameterError, SourceError, DataError, ModelError
        If the model has no centres or date, there are no orders, a day is not among the data, or a
        month is missing.
    """
    require_choice("every", every, EVERY)
    given = None if rules is None else read_rules(rules)
    in_force = load_model(model)
    if not isinstance(in_force, SegmentModel):
        raise ParameterError(f"{model.name} has no centres; a refresh needs a model of segments")
    taken = clean_as_fitted(model, data, mapping)
    orders, events = taken.orders, taken.events
    if orders is None:
        raise SourceError(f"a refresh needs orders; {data.name} has {', '.join(taken.tables)}")
    last = EPOCH + timedelta(days=int(orders["order_day"].max()))  # type: ignore[arg-type]
    if since is not None:
        if since >= last:
            raise DataError(
                f"the orders end on {last.isoformat()}; --from must lie before, got "
                f"{since.isoformat()}"
            )
        in_force = fit_earlier(in_force, orders, events, as_of=since, seed=seed)
    chosen = list(days) or _ends(in_force.as_of, last, every)
    series = refresh_series(in_force, orders, events, days=chosen, seed=seed)
    first = series.assignments["as_of"][0] + timedelta(days=1)
    kpis = measure_kpis(
        orders, events, series.assignments, survey=taken.survey, every="1w", since=first, until=last
    )
    usual = [AlertRule(kpi, false_alarms_per_year=FALSE_ALARMS) for kpi in kpis.measured]
    watched = given or usual
    campaigns = taken.campaigns
    dated = campaigns is not None and "starts" in campaigns.columns
    marks = sorted(set(campaigns["starts"].drop_nulls())) if dated else []  # type: ignore[index]
    alerts = find_alerts(kpis, watched, currency=taken.ledger.currency)
    return Played(series, kpis, alerts, watched, marks, taken.ledger.currency, taken.customers)


def _ends(after: date | None, last: date, every: str) -> list[date]:
    """Return the ends of the weeks, months or quarters that have ended; none without a date."""
    if after is None or every == "month":
        return []
    if every == "week":
        weeks = (last - after).days // 7
        return [after + timedelta(weeks=week) for week in range(1, weeks + 1)]
    return [day for day in month_ends(after, last) if day.month % 3 == 0]


__all__ = ["Played", "play_refreshes"]
