"""Purchase histories of customers, in days as they are and in days weighed by the season."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from segkit.display import counted
from segkit.errors import DataError, ParameterError, require_columns
from segkit.frames import is_returned, takes_frames
from segkit.predict.likelihood import Array

EPOCH = date(1970, 1, 1)
MICRO = 1_000_000
SHORTEST = 90  # days of history below which nothing is forecast
HISTORY = ("customer_id", "repeat_purchases", "last_purchase_day", "age_days")


@takes_frames
def count_purchases(
    orders: pl.DataFrame | pl.LazyFrame, *, as_of: date | None = None
) -> pl.DataFrame:
    """Summarise each customer's purchases for models of repeat buying.

    All purchases of one day are one purchase, the convention of these models. Returns reduce mean
    spend: it is the mean of the repeat purchases, multiplied by the share of the customer's total
    spend that was not returned.

    Parameters
    ----------
    orders : polars or pandas frame
        Order lines of the contract: customer_id, order_day (days since 1970-01-01), amount,
        and is_return where returns are marked (lines without a mark are returns if below zero).
    as_of : date, optional
        Last day of the observation, inclusive; by default the last day in the data.

    Returns
    -------
    polars.DataFrame
        One row per customer with a purchase: customer_id; repeat_purchases (days with a purchase
        after the first); last_purchase_day (days from the first purchase to the last, 0 without a
        repeat purchase); age_days (days from the first purchase to ``as_of``); mean_spend (per
        repeat purchase, net of returns; null without a repeat purchase); first_spend (of the first
        purchase day).

    Raises
    ------
    DataError
        If no purchase is left.

    Examples
    --------
    >>> orders = pl.DataFrame({
    ...     "customer_id": ["a", "a", "a", "b"],
    ...     "order_day": [0, 10, 30, 20],
    ...     "amount": [5.0, 20.0, 40.0, 7.0],
    ... })
    >>> count_purchases(orders, as_of=date(1970, 2, 10)).select(pl.exclude("first_spend"))
    shape: (2, 5)
    ┌─────────────┬──────────────────┬───────────────────┬──────────┬────────────┐
    │ customer_id ┆ repeat_purchases ┆ last_purchase_day ┆ age_days ┆ mean_spend │
    │ ---         ┆ ---              ┆ ---               ┆ ---      ┆ ---        │
    │ str         ┆ i64              ┆ i64               ┆ i64      ┆ f64        │
    ╞═════════════╪══════════════════╪═══════════════════╪══════════╪════════════╡
    │ a           ┆ 2                ┆ 30                ┆ 40       ┆ 30.0       │
    │ b           ┆ 0                ┆ 0                 ┆ 20       ┆ null       │
    └─────────────┴──────────────────┴───────────────────┴──────────┴────────────┘
    """
    days = customer_days(orders, as_of)
    purchases = days.filter("purchase")
    if purchases.is_empty():
        when = "" if as_of is None else f" on or before {as_of.isoformat()}"
        raise DataError(f"orders hold no purchase{when}")
    end = (as_of - EPOCH).days if as_of else int(days["order_day"].max())  # type: ignore[arg-type]
    first = pl.col("order_day").min()
    later = pl.col("order_day") > first
    returns = days.group_by("customer_id").agg(returned=pl.col("returned").sum())
    return (
        purchases.group_by("customer_id")
        .agg(
            repeat_purchases=pl.len().cast(pl.Int64) - 1,
            last_purchase_day=pl.col("order_day").max() - first,
            age_days=end - first,
            later_spend=pl.col("bought").filter(later).sum(),
            first_spend=pl.col("bought").filter(~later).sum() / MICRO,
            spent=pl.col("bought").sum(),
        )
        .join(returns, on="customer_id", how="left")
        .with_columns(
            mean_spend=pl.when(pl.col("repeat_purchases") > 0).then(
                pl.col("later_spend")
                / (MICRO * pl.col("repeat_purchases"))
                * pl.when(pl.col("spent") > 0)
                .then((1 - pl.col("returned") / pl.col("spent")).clip(0))
                .otherwise(0.0)
            )
        )
        .select(*HISTORY, "mean_spend", "first_spend")
        .sort("customer_id")
    )


def customer_days(orders: pl.DataFrame | pl.LazyFrame, as_of: date | None) -> pl.DataFrame:
    """Sum up each customer's days: customer_id, order_day, bought, returned, purchase.

    Money is summed in whole millionths, so that the order of the lines cannot matter.
    """
    lazy = orders.lazy()
    names = lazy.collect_schema().names()
    require_columns(names, ["customer_id", "order_day", "amount"], "orders")
    returned = is_returned(names)
    money = (pl.col("amount").cast(pl.Float64) * MICRO).round().cast(pl.Int64)
    lazy = lazy.drop_nulls("customer_id")
    if as_of is not None:
        lazy = lazy.filter(pl.col("order_day") <= (as_of - EPOCH).days)
    amount = pl.col("amount").cast(pl.Float64)
    unknown = amount.is_null() | amount.is_nan()
    infinite, missing = lazy.select(a=amount.is_infinite().sum(), b=unknown.sum()).collect().row(0)
    if infinite or missing:
        raise DataError(
            f"orders hold {infinite} infinite and {counted(missing, 'missing amount')}; "
            "segkit.clean_data rejects such lines with a reason"
        )
    return (
        lazy.select(
            "customer_id",
            pl.col("order_day").cast(pl.Int64),
            bought=pl.when(~returned).then(money),
            returned=pl.when(returned).then(money.abs()),
        )
        .group_by("customer_id", "order_day")
        .agg(
            pl.col("bought").sum(), pl.col("returned").sum(), purchase=pl.col("bought").count() > 0
        )
        .sort("customer_id", "order_day")
        .collect()
    )


def check_as_of(orders: pl.DataFrame | pl.LazyFrame, as_of: date | None) -> date:
    """Return the last day of the observation: the one asked for, else the last with a line."""
    if as_of is not None:
        if not isinstance(as_of, date) or isinstance(as_of, datetime):
            raise ParameterError(f"as_of is a datetime.date; got {as_of!r}")
        return as_of
    lazy = orders.lazy()
    require_columns(lazy.collect_schema().names(), ["order_day"], "orders")
    last = lazy.select(pl.col("order_day").max()).collect().item()
    if last is None:
        raise DataError("orders hold no dated line")
    return EPOCH + timedelta(days=int(last))


def find_origins(
    days: pl.DataFrame, end: date, horizon_days: int, count: int, least: int = SHORTEST
) -> list[date]:
    """Return past dates one horizon apart, the last one a horizon before the end.

    Parameters
    ----------
    days : polars.DataFrame
        Customers' days up to the end, as `customer_days` gives them.
    end : date
    horizon_days : int
    count : int
        Dates at most; those with fewer than ``least`` days of purchases before them are left out.
    least : int

    Raises
    ------
    DataError
        If there is no purchase, or no date is left.
    """
    bought = days.filter("purchase")["order_day"]
    if bought.is_empty():
        raise DataError(f"orders hold no purchase on or before {end.isoformat()}")
    first = EPOCH + timedelta(days=int(bought.min()))  # type: ignore[arg-type]
    dates = [end - timedelta(days=horizon_days * back) for back in range(count, 0, -1)]
    dates = [one for one in dates if (one - first).days >= least]
    if not dates:
        raise DataError(
            f"no past date has {least} days of purchases before it and {horizon_days} days after "
            f"it: purchases span {first.isoformat()} to {end.isoformat()}"
        )
    return dates


def check_history(history: pl.DataFrame) -> pl.DataFrame:
    """Return the history, or raise an error where its times or counts cannot be.

    Raises
    ------
    ColumnError
        If a column is missing.
    ParameterError
        If a count is negative, not whole or missing, or the times are out of order.
    """
    require_columns(history.columns, HISTORY[1:], "the purchase history")
    x, last, age = (pl.col(name) for name in HISTORY[1:])
    wrong = {
        "repeat_purchases, last_purchase_day and age_days must be given": pl.any_horizontal(
            *(one.is_null() | one.cast(pl.Float64).is_nan() for one in (x, last, age))
        ),
        "repeat_purchases must be whole numbers of 0 or more": (x < 0) | (x != x.floor()),
        "last_purchase_day must lie between 0 and age_days": (last < 0) | (last > age),
        "last_purchase_day must be 0 exactly where there is no repeat purchase": (
            (last > 0) != (x > 0)
        ),
    }
    counts = history.select(
        rows.fill_null(True).sum().alias(message) for message, rows in wrong.items()
    )
    for message, count in counts.row(0, named=True).items():
        if count:
            raise ParameterError(
                f"{message}; {count} of "
                f"{counted(history.height, 'customer differs', 'customers differ')}"
            )
    return history


MONTHS_NEEDED = 24


@dataclass(frozen=True, slots=True, eq=False)
class Season:
    """Purchase intensity by month of the year, 1 on average.

    Attributes
    ----------
    months : ndarray of shape (12,)
        January to December.
    seen : int
        Whole months of data behind it; below 24 the months are all 1.
    empty_month : bool
        Whether a month has no purchase at all; the months are all 1 then.
    """

    months: Array
    seen: int
    empty_month: bool = False

    @property
    def is_estimated(self) -> bool:
        """Whether two whole years were seen, each month with a purchase."""
        return self.seen >= MONTHS_NEEDED and not self.empty_month

    def count_days(self, start: date, days: int) -> Array:
        """Return the seasonal days passed from ``start`` after 0, 1, ..., ``days`` days."""
        calendar = np.datetime64(start, "D") + np.arange(1, days + 1)
        month = calendar.astype("datetime64[M]").astype(int) % 12
        return np.concatenate([[0.0], np.cumsum(self.months[month])])


def estimate_season(days: pl.Series, first: date, last: date) -> Season:
    """Estimate the season from purchase days by ratios to a moving average of twelve months.

    Parameters
    ----------
    days : polars.Series
        Day (since 1970-01-01) of each purchase.
    first, last : date
        First and last day observed; only whole months between them count.
    """
    start = first if first.day == 1 else (first.replace(day=1) + timedelta(days=32)).replace(day=1)
    end = (last + timedelta(days=1)).replace(day=1)  # the month after the last whole one
    length = (end.year - start.year) * 12 + end.month - start.month
    flat = Season(np.ones(12), max(length, 0))
    if length < MONTHS_NEEDED:
        return flat
    month = (np.datetime64(EPOCH, "D") + days.to_numpy()).astype("datetime64[M]")
    place = (month - np.datetime64(start, "M")).astype(int)
    counts = np.bincount(place[(place >= 0) & (place < length)], minlength=length).astype(float)
    if (counts == 0).any():
        return Season(np.ones(12), length, empty_month=True)
    weights = np.array([0.5, *[1.0] * 11, 0.5]) / 12
    trend = np.convolve(counts, weights, "valid")
    ratios = counts[6 : length - 6] / trend
    of_year = (np.arange(6, length - 6) + start.month - 1) % 12
    months = np.array([ratios[of_year == one].mean() for one in range(12)])
    return Season(months / months.mean(), length)


def in_season(
    history: pl.DataFrame, season: Season, end: date, horizon_days: int, parts: int
) -> tuple[pl.DataFrame, Array]:
    """Return the history in seasonal days, and those passed at equal parts of the horizon."""
    steps = np.linspace(0, horizon_days, parts + 1)[1:].round().astype(int)
    if np.ptp(season.months) == 0:
        return history, steps.astype(float)
    span = int(history["age_days"].max())  # type: ignore[arg-type]
    clock = season.count_days(end - timedelta(days=span), span + horizon_days)
    first = span - history["age_days"].to_numpy()
    last = first + history["last_purchase_day"].to_numpy()
    timed = history.with_columns(
        last_purchase_day=pl.Series(clock[last] - clock[first]),
        age_days=pl.Series(clock[span] - clock[first]),
    )
    return timed, clock[span + steps] - clock[span]
