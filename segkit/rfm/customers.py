"""From clean order lines to recency, frequency and monetary value, one row a customer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import polars as pl

from segkit.errors import ColumnError, DataError, ParameterError, require_columns, unknown

Monetary = Literal["net", "gross"]
TABLE = ("customer_id", "recency_days", "frequency", "monetary")
ORDERS = ("customer_id", "order_id", "order_day", "amount")
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Customers:
    """Customers ready to be scored.

    Attributes
    ----------
    table : polars.DataFrame
        customer_id, recency_days, frequency, monetary; one row a customer, sorted.
    as_of : date or None
        The day they stand at; None for a customer table that came without one.
    monetary : str
        "net" or "gross" of returns, or "as given" in the table.
    """

    table: pl.DataFrame
    as_of: date | None
    monetary: str


def last_day(orders: pl.DataFrame | pl.LazyFrame) -> date:
    """Return the last order day.

    Raises
    ------
    DataError
        If there is no order line.
    """
    last = orders.lazy().select(pl.col("order_day").max()).collect().item()
    if last is None:
        raise DataError("orders hold no line to score")
    return _EPOCH + timedelta(days=int(last))


def rfm_table(
    orders: pl.DataFrame | pl.LazyFrame, *, as_of: date, monetary: Monetary = "net"
) -> pl.DataFrame:
    """Add up clean order lines to one row a customer, in one lazy pass.

    An order is a distinct order id with at least one line that is not a return; two orders on
    one day are two. Returns neither are orders nor renew recency; they lower ``"net"``
    monetary value and leave ``"gross"`` alone. Lines after ``as_of`` are not used. Money is
    rounded to a millionth, so that the order of the lines cannot move a value across a cut.

    Parameters
    ----------
    orders : polars.DataFrame or LazyFrame
        Clean order lines; a line is a return by ``is_return`` or, without it, a negative amount.
    as_of : date
        Last day used, inclusive.
    monetary : {"net", "gross"}
        Whether returns are taken off.

    Returns
    -------
    polars.DataFrame
        customer_id, recency_days (null for who only returned), frequency, monetary, sorted by
        customer.

    Raises
    ------
    ColumnError
        If a column is missing.
    DataError
        If no line is left on or before ``as_of``.

    Examples
    --------
    >>> lines = pl.DataFrame({"customer_id": ["a", "a", "a"], "order_id": ["1", "1", "2"],
    ...     "order_day": [10, 10, 14], "amount": [5.0, 7.0, -5.0]})
    >>> rfm_table(lines, as_of=date(1970, 1, 15)).row(0)
    ('a', 4, 1, 7.0)
    """
    lazy = orders.lazy()
    names = lazy.collect_schema().names()
    require_columns(names, ORDERS, "orders")
    if monetary not in ("net", "gross"):
        raise ParameterError(unknown("monetary value", str(monetary), ("net", "gross")))
    returned = pl.col("is_return") if "is_return" in names else pl.col("amount") < 0
    bought = ~pl.col("_returned")
    amount = pl.col("amount") if monetary == "net" else pl.col("amount").filter(bought)
    day = (as_of - _EPOCH).days
    table = (
        lazy.drop_nulls("customer_id")
        .filter(pl.col("order_day") <= day)
        .with_columns(_returned=returned)
        .group_by("customer_id", "order_id")
        .agg(day=pl.col("order_day").filter(bought).max(), amount=amount.sum())
        .group_by("customer_id")
        .agg(
            recency_days=(day - pl.col("day").max()).cast(pl.Int32),
            frequency=pl.col("day").is_not_null().sum().cast(pl.Int32),
            monetary=pl.col("amount").sum().round(6),
        )
        .sort("customer_id")
        .collect()
    )
    if table.is_empty():
        raise DataError(f"no order line lies on or before {as_of.isoformat()}")
    return table


def is_orders(source: pl.DataFrame | pl.LazyFrame) -> bool:
    """Tell order lines from a customer table.

    Raises
    ------
    ColumnError
        If the frame is neither.
    """
    names = source.lazy().collect_schema().names()
    if set(TABLE) <= set(names):
        return False
    if set(ORDERS) <= set(names):
        return True
    raise ColumnError(
        f"expected a customer table with {', '.join(TABLE)} or order lines with "
        f"{', '.join(ORDERS)}; got {', '.join(names) or 'no columns'}"
    )


def read_customers(
    source: pl.DataFrame | pl.LazyFrame, *, as_of: date | None, monetary: Monetary
) -> Customers:
    """Take order lines or a customer table.

    Raises
    ------
    ColumnError
        If the frame is neither.
    DataError
        If a customer comes twice, a value is not finite, or nobody is in it.
    """
    if is_orders(source):
        day = as_of or last_day(source)
        table = rfm_table(source, as_of=day, monetary=monetary)
        _check_table(table)
        return Customers(table, day, monetary)
    table = source.lazy().select(TABLE).sort("customer_id").collect()
    _check_table(table)
    return Customers(table, as_of, "as given")


def _check_table(table: pl.DataFrame) -> None:
    if table.is_empty():
        raise DataError("the customer table has no rows")
    twice = table.height - table["customer_id"].n_unique()
    if twice:
        raise DataError(f"{twice:,} customers come more than once; one row a customer is expected")
    for name in TABLE[1:]:
        kind = table.schema[name]
        if not kind.is_numeric():
            raise ColumnError(f"column {name} must be numeric, got {kind}")
        bad = int((~table[name].cast(pl.Float64).is_finite()).sum())
        if bad:
            raise DataError(f"column {name} holds {bad:,} values that are not finite numbers")
