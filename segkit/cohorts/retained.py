"""Do customers come back: retention and revenue by acquisition cohort."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from segkit.cohorts.lines import lines_until
from segkit.display import number, percent
from segkit.errors import DataError, ParameterError, unknown
from segkit.frames import takes_frames
from segkit.result import Result
from segkit.stats.intervals import wilson, z_value

if TYPE_CHECKING:
    from segkit.plot import Figure


Period = Literal["month", "quarter"]
MONTHS = {"month": 1, "quarter": 3}
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Retention(Result):
    """How many of each cohort buy again in later periods.

    Attributes
    ----------
    cells : polars.DataFrame
        One row a cohort and age: cohort (first day of the period of first purchase), age
        (periods since; 0 is the period of acquisition), customers (in the cohort), active
        (who bought in that period), retention_rate with _low and _high (Wilson), revenue (net
        of returns, in that period), revenue_per_customer (cumulated to that period, per
        customer of the cohort). All but cohort, age and customers are null where the period
        was not over by ``as_of``: not yet known is not zero.
    by_age : polars.DataFrame
        age, cohorts (known at that age), customers, active, retention_rate, _low, _high: all
        cohorts whose cell is known, pooled.
    period : str
        "month" or "quarter".
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

    def to_frame(self) -> pl.DataFrame:
        """Return the cells, one row a cohort and age."""
        return self.cells

    @property
    def text(self) -> str:
        """State the finding in words."""
        cohorts = self.cells["cohort"].n_unique()
        start = (
            f"{number(cohorts)} cohorts by {self.period} of first purchase, to "
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
            f"their first ({percent(self.level, places=0)} interval "
            f"{percent(row['retention_rate_low'])} to {percent(row['retention_rate_high'])}). "
            f"{caveat}"
        )

    def plot(self) -> Figure:
        """Draw the retention rates as a heat map of cohort by age, without the first period."""
        from segkit.plot import heatmap

        drawn = self.cells.filter(
            (pl.col("age") > 0) & pl.col("retention_rate").is_not_null()
        ).with_columns(pl.col("cohort").dt.strftime("%Y-%m"), pl.col("age").cast(pl.String))
        if drawn.is_empty():
            raise DataError(f"no cohort has been seen for a whole {self.period} after its own")
        return heatmap(
            drawn,
            "age",
            "cohort",
            "retention_rate",
            percent=True,
            title="Customers who buy again, by cohort and age",
            x_label=f"{self.period}s since the first purchase",
            y_label="cohort (first purchase)",
            value_label="share of the cohort",
        )


@takes_frames
def retention(
    orders: pl.DataFrame | pl.LazyFrame,
    *,
    period: Period = "month",
    as_of: date | None = None,
    level: float = 0.95,
) -> Retention:
    """Follow each cohort of new customers through the periods after its first purchase.

    A customer belongs to the calendar month or quarter of the first purchase and is retained
    in a later one with at least one purchase in it. Returns are no purchases, but lower the
    revenue of the period in which they come.

    Parameters
    ----------
    orders : polars.DataFrame or LazyFrame
        Clean order lines (customer_id, order_day, amount, optionally is_return).
    period : {"month", "quarter"}
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
    >>> found = retention(orders, as_of=date(1970, 2, 28))
    >>> found.cells.select("age", "customers", "active", "retention_rate").rows()
    [(0, 2, 2, 1.0), (1, 2, 1, 0.5)]
    """
    if period not in MONTHS:
        raise ParameterError(unknown("period", str(period), MONTHS))
    z_value(level)
    lines, day = lines_until(orders, as_of)
    months = MONTHS[period]
    lines = lines.with_columns(_period=_period_of("order_day", months))
    first = lines.filter("bought").group_by("customer_id").agg(_cohort=pl.col("_period").min())
    # Returns before the first purchase seen belong to no cohort's age and are left out.
    aged = lines.join(first, on="customer_id").with_columns(
        age=pl.col("_period") - pl.col("_cohort")
    )
    sizes = first.group_by("_cohort").agg(customers=pl.len().cast(pl.Int64))
    seen = (
        aged.filter(pl.col("age") >= 0)
        .group_by("_cohort", "age")
        .agg(
            active=pl.col("customer_id").filter(pl.col("bought")).n_unique().cast(pl.Int64),
            revenue=pl.col("amount").sum(),
        )
    )
    cells = _grid(sizes, day, months).join(seen, on=["_cohort", "age"], how="left")
    return Retention(
        cells=_rates(_known(cells, day, months), level),
        by_age=_pooled(_known(cells, day, months), level),
        period=period,
        as_of=day,
        level=level,
    )


def _period_of(column: str, months: int) -> pl.Expr:
    day = pl.col(column).cast(pl.Int32).cast(pl.Date)
    return (day.dt.year() * 12 + day.dt.month().cast(pl.Int32) - 1) // months


def _start(index: int, months: int) -> date:
    return date(index * months // 12, index * months % 12 + 1, 1)


def _grid(sizes: pl.DataFrame, day: date, months: int) -> pl.DataFrame:
    """List every age that each cohort has begun by the last day."""
    now = (day.year * 12 + day.month - 1) // months
    return (
        sizes.with_columns(age=pl.int_ranges(0, now - pl.col("_cohort") + 1, dtype=pl.Int32))
        .explode("age")
        .sort("_cohort", "age")
    )


def _known(cells: pl.DataFrame, day: date, months: int) -> pl.DataFrame:
    """Fill cells without a purchase with zero, and blank those whose period is not over."""
    now = (day.year * 12 + day.month - 1) // months
    over = _start(now + 1, months) - timedelta(days=1) <= day
    # In the period of acquisition all are active by definition, whether or not it is over.
    known = (pl.col("_cohort") + pl.col("age") < now) | (pl.col("age") == 0)
    known = pl.lit(value=True) if over else known
    return cells.with_columns(
        pl.when(known).then(pl.col("active", "revenue").fill_null(0)),
        cohort=pl.date(pl.col("_cohort") * months // 12, pl.col("_cohort") * months % 12 + 1, 1),
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
