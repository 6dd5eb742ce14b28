"""Backtests of value forecasts at past dates, beside naive forecasts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from scipy.stats import rankdata

from segkit.display import counted, number, percent
from segkit.errors import require_least
from segkit.features.calendar import check_days
from segkit.frames import takes_frames
from segkit.predict.futures import FAMILIES
from segkit.predict.histories import (
    EPOCH,
    MICRO,
    SHORTEST,
    check_as_of,
    customer_days,
    find_origins,
)
from segkit.predict.likelihood import Array
from segkit.predict.purchases import PurchaseModelName
from segkit.predict.value import TOP, Value, estimate_value
from segkit.result import Figure, Result

NAIVE = "last period again"
YEAR = "same days a year before"


@dataclass(frozen=True, slots=True, eq=False)
class ValueBacktest(Result):
    """Forecasts made at past dates, compared with actual spend and with naive forecasts.

    Attributes
    ----------
    table : polars.DataFrame
        One row per origin and forecast: origin (last day known), forecast, customers (known then),
        predicted, actual (spend within the horizon), bias (predicted over actual, minus 1),
        mean_absolute_error (per customer), top_share (share of actual spend that went to the 20%
        ranked highest), rank_correlation (Spearman), total_within (the actual total lies in the
        interval; null for naive forecasts), customers_within (share of customers whose number of
        orders lies in the interval).
    horizon_days : int
    level : float
        Nominal coverage of the intervals.
    model : str
    """

    table: pl.DataFrame
    horizon_days: int
    level: float
    model: str

    @property
    def text(self) -> str:
        """Compare the model's misses with those of the naive forecast."""
        means = self.table.group_by("forecast").agg(
            pl.col("bias").abs().mean().alias("miss"), pl.col("mean_absolute_error").mean()
        )
        rows = {row["forecast"]: row for row in means.iter_rows(named=True)}
        own, naive = rows[FAMILIES[self.model].title], rows[NAIVE]
        origins = self.table["origin"].n_unique()
        better = own["mean_absolute_error"] < naive["mean_absolute_error"]
        dates = f"{number(origins)} past date{'' if origins == 1 else 's'}"
        spend = f"total spend of {counted(self.horizon_days, 'day')}"
        empty = self.table.filter(pl.col("bias").is_null())["origin"].n_unique()
        if empty == origins:
            missed = f"{spend} was never above zero, so that no forecast's miss is a share of it"
        else:
            missed = (
                f"{FAMILIES[self.model].title} missed {spend} by {percent(own['miss'])} on "
                f"average, up or down, '{NAIVE}' by {percent(naive['miss'])}"
            )
            if empty:
                those = f"{number(empty)} date{'' if empty == 1 else 's'}"
                missed += f" (without {those} after which nothing was spent)"
        return (
            f"Over {dates}, {missed}. Per customer the model was "
            f"{'closer' if better else 'no closer'}: mean absolute error "
            f"{number(own['mean_absolute_error'])} against "
            f"{number(naive['mean_absolute_error'])}."
        )

    def plot(self) -> Figure:
        """Draw by how much each forecast missed the total, at each past date."""
        from segkit.plot import bars

        shown = self.table.drop_nulls("bias")
        return bars(
            shown.with_columns(pl.col("origin").cast(pl.String)),
            "origin",
            "bias",
            group="forecast",
            percent=True,
            title=f"Forecast over actual spend of {counted(self.horizon_days, 'day')}, minus 1",
            x_label="last day known",
            y_label="miss of the total",
        )


@takes_frames
def backtest_value(
    orders: pl.DataFrame | pl.LazyFrame,
    *,
    as_of: date | None = None,
    horizon_days: int = 90,
    origins: int = 3,
    model: PurchaseModelName = "bg_nbd",
    season: bool = True,
    level: float = 0.9,
    draws: int = 200,
    seed: int = 1,
) -> ValueBacktest:
    """Forecast spend at past dates, and compare with actual spend.

    The horizons end at ``as_of``, one before the other, and do not overlap. A forecast uses only
    data up to its origin; customers who came later are not counted.

    Parameters
    ----------
    orders : polars or pandas frame
        Order lines, as `count_purchases` takes them.
    as_of : date, optional
        Last day of the last horizon; by default the last day in the data.
    horizon_days : int
        Length of each horizon.
    origins : int
        Past dates; those with under 90 days of history before them are left out.
    model, season, level, draws, seed
        See `estimate_value`.

    Returns
    -------
    ValueBacktest

    Raises
    ------
    DataError
        If no origin has enough history.
    """
    require_least(origins=(origins, 1))
    check_days((horizon_days,), "horizon_days")
    end = check_as_of(orders, as_of)
    days = customer_days(orders, end).with_columns(spend=pl.col("bought") - pl.col("returned"))
    least = max(SHORTEST, horizon_days // 2)
    rows: list[dict[str, object]] = []
    for origin in find_origins(days, end, horizon_days, origins, least):
        value = estimate_value(
            orders,
            as_of=origin,
            horizon_days=horizon_days,
            model=model,
            season=season,
            discount_rate=0.0,
            level=level,
            draws=draws,
            seed=seed,
        )
        rows += _judge(value, days, origin, horizon_days)
    return ValueBacktest(pl.DataFrame(rows), horizon_days, level, model)


def _judge(value: Value, days: pl.DataFrame, origin: date, horizon: int) -> list[dict[str, object]]:
    """Compare each forecast made at one origin with what came."""
    at = (origin - EPOCH).days
    customers = value.customers
    actual = _within(days, customers, at, at + horizon)
    forecasts = {
        FAMILIES[value.purchases.model].title: customers["expected_value"].to_numpy(),
        NAIVE: _within(days, customers, at - horizon, at)[1],
    }
    if int(days["order_day"].min()) <= at - 365 + 1:  # type: ignore[arg-type]
        forecasts[YEAR] = _within(days, customers, at - 365, at - 365 + horizon)[1]
    bought, spent = actual
    inside = (bought >= customers["orders_low"].to_numpy()) & (
        bought <= customers["orders_high"].to_numpy()
    )
    total = value.segments.row(-1, named=True)
    rows = []
    for place, (name, predicted) in enumerate(forecasts.items()):
        rows.append(
            {
                "origin": origin,
                "forecast": name,
                "customers": customers.height,
                "predicted": float(predicted.sum()),
                "actual": float(spent.sum()),
                "bias": float(predicted.sum() / spent.sum() - 1) if spent.sum() > 0 else None,
                "mean_absolute_error": float(np.abs(predicted - spent).mean()),
                "top_share": _top_share(predicted, spent),
                "rank_correlation": _rank_correlation(predicted, spent),
                "total_within": None
                if place
                else bool(total["value_low"] <= spent.sum() <= total["value_high"]),
                "customers_within": None if place else float(inside.mean()),
            }
        )
    return rows


def _within(
    days: pl.DataFrame, customers: pl.DataFrame, after: int, until: int
) -> tuple[Array, Array]:
    """Return each customer's purchase days and net spend after one day, up to another."""
    part = (
        days.filter((pl.col("order_day") > after) & (pl.col("order_day") <= until))
        .group_by("customer_id")
        .agg(pl.col("purchase").sum(), pl.col("spend").sum())
    )
    joined = customers.select("customer_id").join(
        part, on="customer_id", how="left", maintain_order="left"
    )
    bought, spent = (joined[name].fill_null(0).to_numpy() for name in ("purchase", "spend"))
    return bought.astype(float), spent / MICRO


def _top_share(predicted: Array, spent: Array) -> float | None:
    """Return the share of spend that went to the customers ranked highest, ties shared."""
    if spent.sum() <= 0:
        return None
    size = TOP * len(predicted)
    ranks = rankdata(-predicted, method="max")
    before = rankdata(-predicted, method="min") - 1
    shares = np.clip((size - before) / (ranks - before), 0, 1)
    return float((spent * shares).sum() / spent.sum())


def _rank_correlation(predicted: Array, spent: Array) -> float | None:
    if np.ptp(predicted) == 0 or np.ptp(spent) == 0:
        return None
    return float(np.corrcoef(rankdata(predicted), rankdata(spent))[0, 1])
