"""Do customers buy again, and how soon: the repeat rate over time, censoring allowed for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.cohorts.lines import lines_until
from segkit.display import number, percent
from segkit.errors import ParameterError
from segkit.frames import takes_frames
from segkit.result import Result
from segkit.stats.intervals import z_value

if TYPE_CHECKING:
    from segkit.plot import Figure

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class RepeatRate(Result):
    """How many customers buy again, and after how long.

    Attributes
    ----------
    curve : polars.DataFrame
        Time to the second purchase: days (since the first), at_risk, events, repeat_rate
        (share who have bought again by then, Kaplan-Meier), _low, _high.
    by_order : polars.DataFrame
        order_number (k), customers (who made a k-th purchase), went_on (who made the next
        one so far), repeat_rate (within ``horizon`` days, Kaplan-Meier), _low, _high, and
        median_days to the next purchase (null where fewer than half go on while watched).
        The rate is null where nobody is still watched at the horizon.
    horizon : int
        Days within which the next purchase counts in ``by_order``.
    as_of : date
        Last day used, inclusive.
    level : float
        Nominal coverage of the intervals.
    same_day : int
        Orders merged with another of the same customer and day.
    """

    curve: pl.DataFrame
    by_order: pl.DataFrame
    horizon: int
    as_of: date
    level: float
    same_day: int

    def to_frame(self) -> pl.DataFrame:
        """Return the rates by order number, one row each."""
        return self.by_order

    @property
    def text(self) -> str:
        """State the finding in words."""
        row = self.by_order.row(0, named=True)
        raw = row["went_on"] / row["customers"]
        rate = (
            "cannot be told yet, for nobody was watched that long"
            if row["repeat_rate"] is None
            else f"is {percent(row['repeat_rate'])} ({percent(self.level, places=0)} interval "
            f"{percent(row['repeat_rate_low'])} to {percent(row['repeat_rate_high'])})"
        )
        return (
            f"The share of customers who buy again within {number(self.horizon)} days of their "
            f"first purchase {rate}, allowing for customers who came too lately to tell "
            f"(Kaplan-Meier); {percent(raw)} of {number(row['customers'])} have so far. "
            "Orders on one day count as one purchase. Recent and old customers are taken to "
            "behave alike."
        )

    def plot(self) -> Figure:
        """Draw the share of customers who have bought again, by days since the first purchase."""
        from segkit.plot import lines

        return lines(
            self.curve,
            "days",
            "repeat_rate",
            band=("repeat_rate_low", "repeat_rate_high"),
            markers=False,
            percent=True,
            title="Customers who have bought a second time",
            x_label="days since the first purchase",
            y_label="share of customers",
        )


@takes_frames
def repeat_rate(
    orders: pl.DataFrame | pl.LazyFrame,
    *,
    horizon: int = 365,
    as_of: date | None = None,
    max_order: int = 10,
    level: float = 0.95,
) -> RepeatRate:
    """Estimate how many customers buy again, and after how long, with recent ones censored.

    A customer who bought last 20 days before ``as_of`` has been watched for 20 days only;
    the Kaplan-Meier estimate uses those days and no more. The interval is on the log-log
    scale with Greenwood's variance (Kalbfleisch and Prentice 2002, The Statistical Analysis
    of Failure Time Data, equation 1.12). A purchase is a day with at least one line that is
    not a return: a second order on the same day is no return to the shop.

    Parameters
    ----------
    orders : polars.DataFrame or LazyFrame
        Clean order lines (customer_id, order_day, amount, optionally order_id and is_return).
    horizon : int
        Days within which the next purchase counts, by order number.
    as_of : date, optional
        Last day used, inclusive; by default the last order day.
    max_order : int
        Highest order number shown.
    level : float
        Coverage of the intervals.

    Returns
    -------
    RepeatRate

    Raises
    ------
    ParameterError
        If horizon or max_order is below 1, or the level not between 0 and 1.
    DataError
        If there is no purchase on or before ``as_of``.
    ColumnError
        If a column is missing.

    Examples
    --------
    >>> orders = pl.DataFrame({"customer_id": ["a", "b", "a"], "order_day": [0, 9, 40],
    ...     "amount": [5.0, 4.0, 6.0]})
    >>> repeat_rate(orders, horizon=31).curve.select("days", "at_risk", "events").rows()
    [(31, 2, 0), (40, 1, 1)]
    """
    for name, value in (("horizon", horizon), ("max_order", max_order)):
        if value < 1:
            raise ParameterError(f"{name} must be at least 1, got {value}")
    z_value(level)
    lines, day = lines_until(orders, as_of)
    bought = lines.filter("bought")
    last = (day - _EPOCH).days
    keys = ["customer_id", "order_id"] if "order_id" in bought.columns else ["customer_id"]
    days = bought.select("customer_id", "order_day").unique().sort("customer_id", "order_day")
    placed = bought.select(*keys, "order_day").unique().height
    steps = days.with_columns(
        order_number=pl.int_range(1, pl.len() + 1).over("customer_id"),
        following=pl.col("order_day").shift(-1).over("customer_id"),
    ).with_columns(
        went_on=pl.col("following").is_not_null(),
        days=pl.col("following").fill_null(last) - pl.col("order_day"),
    )
    numbers = range(1, min(max_order, int(steps["order_number"].max())) + 1)  # type: ignore[arg-type]
    curves = {k: _kaplan_meier(steps.filter(pl.col("order_number") == k), level) for k in numbers}
    rows = [
        _at_horizon(k, steps.filter(pl.col("order_number") == k), curve, horizon)
        for k, curve in curves.items()
    ]
    return RepeatRate(
        curve=curves[1],
        by_order=pl.DataFrame(rows, schema=_BY_ORDER, orient="row"),
        horizon=horizon,
        as_of=day,
        level=level,
        same_day=placed - days.height,
    )


_BY_ORDER: dict[str, type[pl.DataType]] = {
    "order_number": pl.Int64,
    "customers": pl.Int64,
    "went_on": pl.Int64,
    "repeat_rate": pl.Float64,
    "repeat_rate_low": pl.Float64,
    "repeat_rate_high": pl.Float64,
    "median_days": pl.Int64,
}


def _kaplan_meier(steps: pl.DataFrame, level: float) -> pl.DataFrame:
    """Estimate the share who have gone on by each day, with a log-log interval."""
    times = (
        steps.group_by("days")
        .agg(events=pl.col("went_on").sum().cast(pl.Int64), leaving=pl.len().cast(pl.Int64))
        .sort("days")
        .with_columns(at_risk=pl.col("leaving").cum_sum(reverse=True))
    )
    d, n = (times[name].to_numpy().astype(float) for name in ("events", "at_risk"))
    survival = np.cumprod(1.0 - d / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(d / (n * (n - d)))
        spread = z_value(level) * np.sqrt(greenwood) / np.abs(np.log(survival))
        low, high = 1.0 - survival ** np.exp(-spread), 1.0 - survival ** np.exp(spread)
    inside = (survival > 0) & (survival < 1)
    return times.select(
        pl.col("days").cast(pl.Int64),
        "at_risk",
        "events",
        repeat_rate=pl.Series(1.0 - survival),
        repeat_rate_low=pl.Series(np.where(inside, low, np.nan)).fill_nan(None),
        repeat_rate_high=pl.Series(np.where(inside, high, np.nan)).fill_nan(None),
    )


def _at_horizon(
    number_: int, steps: pl.DataFrame, curve: pl.DataFrame, horizon: int
) -> tuple[object, ...]:
    """Read a curve at the horizon, where somebody is still watched or all have gone on."""
    until = curve.filter(pl.col("days") <= horizon)
    watched = bool((steps["days"] >= horizon).any()) or curve["repeat_rate"][-1] == 1.0
    rates: list[float | None] = [None, None, None]
    if watched:
        columns = ["repeat_rate", "repeat_rate_low", "repeat_rate_high"]
        rates = list(until.select(columns).row(-1)) if until.height else [0.0, None, None]
    half = curve.filter(pl.col("repeat_rate") >= 0.5)
    median = int(half["days"][0]) if half.height else None
    return (number_, steps.height, int(steps["went_on"].sum()), *rates, median)
