"""What did customers do after a day? The outcome that a variable known on that day may foretell."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from segkit.errors import DataError, ParameterError, require_columns
from segkit.frames import takes_frames

EPOCH = date(1970, 1, 1)


@takes_frames
def later_spend(orders: pl.DataFrame, *, after: date, days: int = 90) -> pl.DataFrame:
    """What did each customer spend in the days after a date?

    Parameters
    ----------
    orders : polars.DataFrame
        Clean order lines: ``customer_id``, ``order_day``, ``amount`` (returns negative).
    after : datetime.date
        The last day that is *not* counted.
    days : int
        Length of the period in days.

    Returns
    -------
    polars.DataFrame
        ``customer_id``, ``later_spend`` (net of returns), ``later_buyer`` (1 with a sale line, else
        0), for customers with a line in the period, sorted; the others spent nothing.

    Raises
    ------
    ParameterError
        If ``days`` is not positive.
    DataError
        If the data end before the period does.

    Examples
    --------
    >>> lines = pl.DataFrame({"customer_id": ["a", "a", "b"], "order_day": [0, 5, 9],
    ...                       "amount": [1.0, 2.0, 3.0]})
    >>> later_spend(lines, after=date(1970, 1, 3), days=7).rows()
    [('a', 2.0, 1), ('b', 3.0, 1)]
    """
    require_columns(orders.columns, ["customer_id", "order_day", "amount"], "orders")
    if days < 1:
        raise ParameterError(f"days must be at least 1, got {days}")
    first = (after - EPOCH).days + 1
    last = first + days - 1
    known = orders["order_day"].max()
    if not isinstance(known, int) or known < last:
        until = EPOCH + timedelta(days=known) if isinstance(known, int) else "nowhere"
        raise DataError(
            f"the {days} days after {after} reach to {EPOCH + timedelta(days=last)}; "
            f"the orders reach to {until}"
        )
    return (
        orders.drop_nulls("customer_id")
        .filter(pl.col("order_day").is_between(first, last))
        .group_by("customer_id")
        .agg(
            later_spend=pl.col("amount").sum(),
            later_buyer=(pl.col("amount") > 0).any().cast(pl.Int64),
        )
        .sort("customer_id")
    )
