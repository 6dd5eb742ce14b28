"""A shop's last year beside the year before: customers, orders, revenue, average order value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from segkit.cohorts import lines_until
from segkit.display import counted, money, percent
from segkit.errors import ParameterError
from segkit.frames import takes_frames
from segkit.result import Result
from segkit.stats.intervals import z_value

SLACK = 7  # days without an order at the start, as at Christmas, that leave it a whole year
_EPOCH = date(1970, 1, 1)
# Figure -> what each customer adds above and below the line.
FIGURES = {
    "customers": ("bought", ""),
    "orders": ("orders", ""),
    "revenue": ("revenue", ""),
    "average order value": ("revenue", "orders"),
}
_COLUMNS: dict[str, type[pl.DataType]] = {
    "figure": pl.String,
    "value": pl.Float64,
    "before": pl.Float64,
    **dict.fromkeys(("change_rate", "change_rate_low", "change_rate_high"), pl.Float64),
}


@dataclass(frozen=True, slots=True, eq=False)
class YearChange(Result):
    """Key figures of the last days known, beside those of as many days before.

    Attributes
    ----------
    table : polars.DataFrame
        One row per figure (customers who bought, orders, revenue net of returns, average order
        value): value, before, change_rate and its limits; null where the orders do not reach back
        far enough, or nothing was bought before.
    days : int
    as_of : datetime.date
    level : float
    currency : str or None
    """

    table: pl.DataFrame
    days: int
    as_of: date
    level: float
    currency: str | None = None

    def row(self, figure: str) -> dict[str, Any]:
        """Return the row of a figure."""
        return self.table.row(by_predicate=pl.col("figure") == figure, named=True)

    @property
    def text(self) -> str:
        """Revenue and its change, with the interval."""
        row = self.row("revenue")
        first = (
            f"Revenue of the last {counted(self.days, 'day')}: {money(row['value'], self.currency)}"
        )
        if row["change_rate"] is None:
            return f"{first}; the orders do not reach back far enough to say how it changed."
        way = "up" if row["change_rate"] >= 0 else "down"
        low, high = (percent(row[f"change_rate_{end}"]) for end in ("low", "high"))
        return (
            f"{first}, {way} {percent(abs(row['change_rate']))} on the {counted(self.days, 'day')} "
            f"before ({percent(self.level, places=0)} CI {low} to {high}). The interval is of "
            "chance in who buys and how much; "
            f"{counted(self.row('customers')['value'], 'customer')} bought."
        )


@takes_frames
def compare_years(
    orders: pl.DataFrame | pl.LazyFrame,
    *,
    as_of: date | None = None,
    days: int = 365,
    level: float = 0.95,
    currency: str | None = None,
) -> YearChange:
    """Compare the key figures of the last ``days`` with those of as many days before.

    Customers are taken as drawn at random, each with what they bought in both years, so that a
    customer who always buys adds nothing to the error of the change. With totals X now and Y
    before, the standard error of ln(X / Y) is the root of the sum over customers of
    (x / X - y / Y)^2 (delta method for compound Poisson totals).

    Parameters
    ----------
    orders : polars DataFrame or LazyFrame
        Order lines: customer_id, order_day, amount; order_id, where there is one.
    as_of : datetime.date, optional
        Last day; by default the last order's.
    days : int
        Length of each of the two periods, 1 or more.
    level : float
        Confidence level.
    currency : str, optional
        Of the amounts, for the text.

    Raises
    ------
    ParameterError
        If ``days`` is below 1.
    DataError
        If there is no purchase.

    Examples
    --------
    >>> rows = [(c, 365 * y + i, 20.0) for y in (0, 1) for i, c in enumerate("abcd")]
    >>> orders = pl.DataFrame(rows, schema=["customer_id", "order_day", "amount"], orient="row")
    >>> change = compare_years(orders, as_of=date(1971, 12, 31))
    >>> change.row("revenue")["value"], change.row("revenue")["change_rate"]
    (80.0, 0.0)
    """
    if days < 1:
        raise ParameterError(f"days must be 1 or more, got {days}")
    lines, last = lines_until(orders, as_of)
    end = (last - _EPOCH).days
    first = int(lines["order_day"].min())  # type: ignore[arg-type]
    order = pl.col("order_id" if "order_id" in lines.columns else "order_day")
    each = {}
    for name, start in (("now", end - days), ("before", end - 2 * days)):
        inside = pl.col("order_day").is_between(start, start + days, closed="right")
        each[name] = (
            lines.filter(inside)
            .group_by("customer_id")
            .agg(
                revenue=pl.col("amount").cast(pl.Float64).sum(),
                orders=order.filter("bought").n_unique().cast(pl.Float64),
            )
            .with_columns(bought=(pl.col("orders") > 0).cast(pl.Float64))
        )
    both = each["now"].join(each["before"], on="customer_id", how="full", suffix="_before")
    both = both.fill_null(0.0).sort("revenue", "revenue_before", "orders", "orders_before")
    reaches = first <= end - 2 * days + 1 + SLACK
    rows = [
        {"figure": figure, **_compare(both, above, below, reaches, z_value(level))}
        for figure, (above, below) in FIGURES.items()
    ]
    table = pl.DataFrame(rows, schema=_COLUMNS, orient="row")
    return YearChange(table, days, last, level, currency)


def _compare(
    both: pl.DataFrame, above: str, below: str, reaches: bool, z: float
) -> dict[str, float | None]:
    """Return a figure now and before, and its change with limits, by each customer's influence."""
    values, influence = [], np.zeros(both.height)
    for ending, sign in (("", 1.0), ("_before", -1.0)):
        total = 1.0
        for column, way in ((above, 1.0), (below, -1.0)):
            if not column:
                continue
            part = both[f"{column}{ending}"].to_numpy()
            whole = float(part.sum())
            total = total * whole if way > 0 else (total / whole if whole > 0 else np.nan)
            influence = influence + sign * way * (part / whole if whole > 0 else np.nan)
        values.append(total if np.isfinite(total) else None)
    now, before = values
    row: dict[str, float | None] = dict.fromkeys(list(_COLUMNS)[1:])
    row["value"] = now
    if not reaches or now is None or before is None or now <= 0 or before <= 0:
        return row
    error = z * float(np.sqrt((influence**2).sum()))
    ratio = now / before
    row |= {"before": before, "change_rate": ratio - 1}
    row["change_rate_low"] = ratio * float(np.exp(-error)) - 1
    row["change_rate_high"] = ratio * float(np.exp(error)) - 1
    return row
