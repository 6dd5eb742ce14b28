"""Cohorts of customers: retention, revenue and time to the next purchase."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from segkit.display import counted, number, percent
from segkit.errors import DataError, ParameterError, require_columns, unknown
from segkit.frames import is_returned, takes_frames
from segkit.result import Result
from segkit.stats.intervals import wilson, z_value

if TYPE_CHECKING:
    from segkit.plot import Figure

__all__ = ["RepeatRate", "Retention", "estimate_repeat_rate", "measure_retention"]

_EPOCH = date(1970, 1, 1)
Period = Literal["week", "month", "quarter"]
MONTHS = {"month": 1, "quarter": 3}
PERIODS = ("week", *MONTHS)
MONDAY = 3  # days from the Monday of the epoch's week to the epoch
DRAWN = 26  # most recent cohorts, and ages, in a picture of weeks: more cannot be read
_BY_ORDER: dict[str, type[pl.DataType]] = {
    "order_number": pl.Int64,
    "customers": pl.Int64,
    "went_on": pl.Int64,
    "repeat_rate": pl.Float64,
    "repeat_rate_low": pl.Float64,
    "repeat_rate_high": pl.Float64,
    "median_days": pl.Int64,
}


def lines_until(
    orders: pl.DataFrame | pl.LazyFrame, as_of: date | None
) -> tuple[pl.DataFrame, date]:
    """Select the lines up to a day, each marked as bought or returned."""
    lazy = orders.lazy()
    names = lazy.collect_schema().names()
    require_columns(names, ["customer_id", "order_day", "amount"], "orders")
    returned = is_returned(names)
    columns = [name for name in ("customer_id", "order_id", "order_day", "amount") if name in names]
    lines = lazy.drop_nulls("customer_id").select(*columns, bought=~returned).collect()
    if as_of is not None:
        lines = lines.filter(pl.col("order_day") <= (as_of - _EPOCH).days)
    if not lines["bought"].any():
        when = "" if as_of is None else f" on or before {as_of.isoformat()}"
        raise DataError(f"orders hold no purchase{when}")
    last = as_of or _EPOCH + timedelta(days=int(lines["order_day"].max()))  # type: ignore[arg-type]
    return lines, last


@dataclass(frozen=True, slots=True, eq=False)
class Retention(Result):
    """Retention of each cohort in later periods.

    Attributes
    ----------
    cells : polars.DataFrame
        One row per cohort and age: cohort (first day of the period of first purchase), age
        (periods since; 0 is the period of acquisition), customers (in the cohort), active
        (who bought in that period), retention_rate with _low and _high (Wilson), revenue (net
        of returns, in that period), revenue_per_customer (cumulated to that period, per
        customer of the cohort). All but cohort, age and customers are null where the period
        was not over by ``as_of``, as they are not yet known.
    by_age : polars.DataFrame
        age, cohorts (known at that age), customers, active, retention_rate, _low, _high: all
        cohorts whose cell is known, pooled.
    period : str
        "week", "month" or "quarter".
    as_of : date
        Last day used, inclusive.
    level : float
        Nominal coverage of the intervals.
    """

    cells: pl.DataFrame
    by_age: pl.DataFrame
    period: str
    as_of: date
    level: float

    @property
    def text(self) -> str:
        """State the finding in words."""
        cohorts = self.cells["cohort"].n_unique()
        start = (
            f"{counted(cohorts, 'cohort')} by {self.period} of first purchase, to "
            f"{self.as_of.isoformat()}."
        )
        later = self.by_age.filter(pl.col("age") == 1)
        caveat = (
            "The first cohorts may hold older customers, whose first purchase lies before the "
            "data begin; periods that are not over are left blank."
        )
        if later.is_empty():
            return (
                f"{start} No cohort has been seen for a whole {self.period} after its own. {caveat}"
            )
        row = later.row(0, named=True)
        return (
            f"{start} {percent(row['retention_rate'])} of customers buy in the {self.period} after "
            f"their first ({percent(self.level, places=0)} CI "
            f"{percent(row['retention_rate_low'])} to {percent(row['retention_rate_high'])}). "
            f"{caveat}"
        )

    def plot(self) -> Figure:
        """Draw the retention rates as a heat map of cohort by age, without the first period.

        Of weekly cohorts the latest half year is drawn; the period that is not over is hatched.
        """
        from segkit.plot import heatmap

        later = self.cells.filter(pl.col("age") > 0)
        cohorts = self.cells["cohort"].unique().sort()
        title = "Customers who buy again, by cohort and age"
        if self.period == "week" and cohorts.len() > DRAWN:
            title += f" (last {number(DRAWN)} of {number(cohorts.len())} cohorts)"
            recent = pl.col("cohort") >= cohorts[-DRAWN]
            later = later.filter(recent & (pl.col("age") <= DRAWN))
        if later["retention_rate"].count() == 0:
            raise DataError(f"no cohort was observed for a whole {self.period} after its first")
        form = "%G-W%V" if self.period == "week" else "%Y-%m"
        return heatmap(
            later.with_columns(pl.col("cohort").dt.strftime(form), pl.col("age").cast(pl.String)),
            "age",
            "cohort",
            "retention_rate",
            percent=True,
            hatched=f"hatched: {self.period} not over",
            title=title,
            x_label=f"{self.period}s since the first purchase",
            y_label="cohort (first purchase)",
            value_label="share of the cohort",
        )


@takes_frames
def measure_retention(
    orders: pl.DataFrame | pl.LazyFrame,
    *,
    period: Period = "month",
    as_of: date | None = None,
    level: float = 0.95,
) -> Retention:
    """Follow each cohort of new customers through the periods after its first purchase.

    A customer belongs to the calendar week (ISO 8601, from Monday), month or quarter of the first
    purchase and is retained in a later one with at least one purchase in it. Returns are no
    purchases, but lower the revenue of the period in which they come.

    Parameters
    ----------
    orders : polars.DataFrame or LazyFrame
        Clean order lines (customer_id, order_day, amount, optionally is_return).
    period : {"week", "month", "quarter"}
        Length of cohorts and ages.
    as_of : date, optional
        Last day used, inclusive; by default the last order day.
    level : float
        Coverage of Wilson's intervals.

    Returns
    -------
    Retention

    Raises
    ------
    ParameterError
        If the period is unknown or the level not between 0 and 1.
    DataError
        If there is no purchase on or before ``as_of``.
    ColumnError
        If a column is missing.

    Examples
    --------
    >>> orders = pl.DataFrame({"customer_id": ["a", "b", "a"], "order_day": [0, 9, 40],
    ...     "amount": [5.0, 4.0, 6.0]})
    >>> found = measure_retention(orders, as_of=date(1970, 2, 28))
    >>> found.cells.select("age", "customers", "active", "retention_rate").rows()
    [(0, 2, 2, 1.0), (1, 2, 1, 0.5)]
    """
    if period not in PERIODS:
        raise ParameterError(unknown("period", str(period), PERIODS))
    z_value(level)
    lines, day = lines_until(orders, as_of)
    lines = lines.with_columns(_period=_period_of(pl.col("order_day"), period))
    first = lines.filter("bought").group_by("customer_id").agg(_cohort=pl.col("_period").min())
    # Returns before the first purchase seen belong to no cohort's age and are left out.
    aged = lines.join(first, on="customer_id").with_columns(
        age=pl.col("_period") - pl.col("_cohort")
    )
    sizes = first.group_by("_cohort").agg(customers=pl.len().cast(pl.Int64))
    activity = (
        aged.filter(pl.col("age") >= 0)
        .group_by("_cohort", "age")
        .agg(
            active=pl.col("customer_id").filter(pl.col("bought")).n_unique().cast(pl.Int64),
            revenue=pl.col("amount").sum(),
        )
    )
    now, following = _period_at(day, period), _period_at(day + timedelta(days=1), period)
    cells = _grid(sizes, now).join(activity, on=["_cohort", "age"], how="left")
    cells = _fill_cells(cells, now, period, over=following > now)
    return Retention(
        cells=_rates(cells, level),
        by_age=_pooled(cells, level),
        period=period,
        as_of=day,
        level=level,
    )


def _period_of(day_number: pl.Expr, period: Period) -> pl.Expr:
    """Number the period of a day: weeks from that of the epoch, months and quarters from year 0."""
    if period == "week":
        return (day_number.cast(pl.Int32) + MONDAY).floordiv(7)
    day = day_number.cast(pl.Int32).cast(pl.Date)
    return (day.dt.year() * 12 + day.dt.month().cast(pl.Int32) - 1) // MONTHS[period]


def _period_at(day: date, period: Period) -> int:
    """Return the number of the period of one day."""
    return int(pl.select(_period_of(pl.lit((day - _EPOCH).days), period)).item())


def _start(index: pl.Expr, period: Period) -> pl.Expr:
    """Return the first day of a numbered period."""
    if period == "week":
        return (index * 7 - MONDAY).cast(pl.Int32).cast(pl.Date)
    months = index * MONTHS[period]
    return pl.date(months // 12, months % 12 + 1, 1)


def _grid(sizes: pl.DataFrame, now: int) -> pl.DataFrame:
    """List every age that each cohort has begun by the last day."""
    return (
        sizes.with_columns(age=pl.int_ranges(0, now - pl.col("_cohort") + 1, dtype=pl.Int32))
        .explode("age")
        .sort("_cohort", "age")
    )


def _fill_cells(cells: pl.DataFrame, now: int, period: Period, *, over: bool) -> pl.DataFrame:
    """Fill cells without a purchase with zero, and blank those whose period is not over."""
    # In the period of acquisition all are active by definition, whether or not it is over.
    is_over = (pl.col("_cohort") + pl.col("age") < now) | (pl.col("age") == 0)
    is_over = pl.lit(value=True) if over else is_over
    return cells.with_columns(
        pl.when(is_over).then(pl.col("active", "revenue").fill_null(0)),
        cohort=_start(pl.col("_cohort"), period),
    )


def _rates(cells: pl.DataFrame, level: float) -> pl.DataFrame:
    share = wilson(
        cells["active"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
        cells["customers"].to_numpy(),
        level=level,
    )
    blank = pl.col("active").is_null()
    return cells.select(
        "cohort",
        "age",
        "customers",
        "active",
        retention_rate=pl.col("active") / pl.col("customers"),
        retention_rate_low=pl.when(~blank).then(pl.Series(np.atleast_1d(share.low))),
        retention_rate_high=pl.when(~blank).then(pl.Series(np.atleast_1d(share.high))),
        revenue="revenue",
        revenue_per_customer=pl.when(~blank).then(
            pl.col("revenue").cum_sum().over("cohort", order_by="age") / pl.col("customers")
        ),
    )


def _pooled(cells: pl.DataFrame, level: float) -> pl.DataFrame:
    pooled = (
        cells.filter(pl.col("active").is_not_null())
        .group_by("age")
        .agg(
            cohorts=pl.len().cast(pl.Int64),
            customers=pl.col("customers").sum(),
            active=pl.col("active").sum(),
        )
        .sort("age")
    )
    share = wilson(pooled["active"].to_numpy(), pooled["customers"].to_numpy(), level=level)
    return pooled.with_columns(
        retention_rate=pl.col("active") / pl.col("customers"),
        retention_rate_low=pl.Series(np.atleast_1d(share.low)),
        retention_rate_high=pl.Series(np.atleast_1d(share.high)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class RepeatRate(Result):
    """Repeat purchase rate, and time to the next purchase.

    Attributes
    ----------
    curve : polars.DataFrame
        Time to the second purchase: days (since the first), at_risk, events, repeat_rate
        (share who have bought again by then, Kaplan-Meier), _low, _high.
    by_order : polars.DataFrame
        order_number (k), customers (who made a k-th purchase), went_on (who made the next one so
        far), repeat_rate (within ``horizon`` days, Kaplan-Meier), _low, _high, and median_days to
        the next purchase (null if fewer than half buy again while observed). The rate is null if
        nobody is still under observation at the horizon.
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
            else f"is {percent(row['repeat_rate'])} ({percent(self.level, places=0)} CI "
            f"{percent(row['repeat_rate_low'])} to {percent(row['repeat_rate_high'])})"
        )
        return (
            f"The share of customers who buy again within {counted(self.horizon, 'day')} of their "
            f"first purchase {rate}, allowing for customers who came too lately to tell "
            f"(Kaplan-Meier); {percent(raw)} of {number(row['customers'])} have so far. Orders on "
            "one day count as one purchase. Recent and old customers are taken to behave alike."
        )

    @property
    def answer(self) -> str:
        """Whether more than half of the customers come back, with the share."""
        row = self.by_order.row(0, named=True)
        rate, low, high = (row[f"repeat_rate{end}"] for end in ("", "_low", "_high"))
        if rate is None:
            return "Not known yet: nobody was watched that long."
        sure = f" ({percent(self.level, places=0)} CI {percent(low)} to {percent(high)})"
        if low is None:  # all came back, or nobody: there is no interval
            low, high, sure = rate, rate, ""
        head = "Yes" if low > 0.5 else "No, most do not" if high < 0.5 else "About half do"
        return (
            f"{head}: {percent(rate)}{sure} buy again within {counted(self.horizon, 'day')} of "
            "their first purchase."
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
def estimate_repeat_rate(
    orders: pl.DataFrame | pl.LazyFrame,
    *,
    horizon: int = 365,
    as_of: date | None = None,
    max_order: int = 10,
    level: float = 0.95,
) -> RepeatRate:
    """Estimate how many customers buy again, and after how long, with recent ones censored.

    A customer whose last purchase was 20 days before ``as_of`` is censored after 20 days; the
    Kaplan-Meier estimate uses these 20 days only. The interval is on the log-log
    scale with Greenwood's variance (Kalbfleisch and Prentice 2002, The Statistical Analysis
    of Failure Time Data, equation 1.12). A purchase is a day with at least one line that is
    not a return; a second order on the same day is not a repeat purchase.

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
    >>> estimate_repeat_rate(orders, horizon=31).curve.select("days", "at_risk", "events").rows()
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
    """Read a curve at the horizon, if customers are still at risk there or all have bought."""
    until = curve.filter(pl.col("days") <= horizon)
    watched = bool((steps["days"] >= horizon).any()) or curve["repeat_rate"][-1] == 1.0
    rates: list[float | None] = [None, None, None]
    if watched:
        columns = ["repeat_rate", "repeat_rate_low", "repeat_rate_high"]
        rates = list(until.select(columns).row(-1)) if until.height else [0.0, None, None]
    half = curve.filter(pl.col("repeat_rate") >= 0.5)
    median = int(half["days"][0]) if half.height else None
    return (number_, steps.height, int(steps["went_on"].sum()), *rates, median)
