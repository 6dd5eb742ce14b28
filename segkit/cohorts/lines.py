"""Order lines that count, and the last day."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from segkit.errors import DataError, require_columns

_EPOCH = date(1970, 1, 1)


def lines_until(
    orders: pl.DataFrame | pl.LazyFrame, as_of: date | None
) -> tuple[pl.DataFrame, date]:
    """Select the lines up to a day, each marked as bought or returned."""
    lazy = orders.lazy()
    names = lazy.collect_schema().names()
    require_columns(names, ["customer_id", "order_day", "amount"], "orders")
    returned = pl.col("is_return") if "is_return" in names else pl.col("amount") < 0
    kept = [name for name in ("customer_id", "order_id", "order_day", "amount") if name in names]
    lines = lazy.drop_nulls("customer_id").select(*kept, bought=~returned).collect()
    if as_of is not None:
        lines = lines.filter(pl.col("order_day") <= (as_of - _EPOCH).days)
    if not lines["bought"].any():
        when = "" if as_of is None else f" on or before {as_of.isoformat()}"
        raise DataError(f"orders hold no purchase{when}")
    last = as_of or _EPOCH + timedelta(days=int(lines["order_day"].max()))  # type: ignore[arg-type]
    return lines, last
