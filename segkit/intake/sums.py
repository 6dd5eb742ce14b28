"""Rows, counts and money that questions show: of the rows that count, read as they will be read."""

from __future__ import annotations

from collections.abc import Callable, Collection
from collections.abc import Mapping as Map

import polars as pl

from segkit.display import counted, money
from segkit.intake.columns import Columns
from segkit.intake.mapping import STATUS_COLUMNS, Mapping, TableMapping
from segkit.intake.questions import doubted_decimals
from segkit.intake.rejects import left_out
from segkit.intake.whole_orders import earlier_states, is_cancelled, kinds_of, states_of


def line_money(columns: Columns) -> pl.Series | None:
    """Return the money of each line, negative where amount or quantity is; None without any."""
    cash = next((name for name in ("amount", "unit_price") if columns.source(name)), None)
    if cash is None:
        return None
    worth = columns.numbers(cash)
    if not columns.has("quantity"):
        return worth
    quantity = columns.numbers("quantity")
    size = (worth * quantity if cash == "unit_price" else worth).abs()
    returned = ((worth < 0) | (quantity < 0)).fill_null(value=False)
    return pl.select(pl.when(returned).then(-size).otherwise(size)).to_series()


def refunds_are_negative(columns: Columns) -> bool:
    """Return whether every refund stands beside an amount that is negative by it already."""
    worth = line_money(columns)
    if worth is None or columns.source("refund") is None:
        return False
    beside = worth.filter((columns.numbers("refund") != 0).fill_null(value=False))
    return bool(beside.len() and (beside < 0).fill_null(value=False).all())


def counted_rows(columns: Columns, but: Collection[str] = ()) -> pl.Series:
    """Mark the raw rows that count, as far as the mapping says: with customer and time, of a sale.

    Columns of the contract in ``but`` are not looked at, as the one that is asked about.
    """
    rows = pl.Series([True]).new_from_index(0, columns.raw.height)
    used = {name for name in columns.mapping.tables["orders"].columns if name not in but}
    if "customer_id" in used:
        rows &= _is_named(columns)
    if "order_time" in used:
        rows &= columns.cells(str(columns.source("order_time"))).is_not_null()
    if "row_kind" in used:
        rows &= ~kinds_of(columns).is_in(["total", *left_out(columns)])
    for name in STATUS_COLUMNS:
        if name in used:
            state = states_of(columns, name)
            counts, back = state == "sale", state == "refunded"
            if back.any():
                counts |= back & (_returned(columns) | ("row_kind" in but))
            rows &= counts.fill_null(value=True)
    if "cancelled_at" in used:
        rows &= ~is_cancelled(columns)
    if columns.option("state_time") and "order_id" in used:
        rows &= ~earlier_states(columns)
    return rows


def _is_named(columns: Columns) -> pl.Series:
    """Mark the rows of a customer, once for all questions about the same columns."""
    sources = (columns.source("customer_id"), columns.source("order_id"))
    nobody = tuple(columns.option("no_customer"))
    key = ("named", *sources, columns.nulls, nobody)
    if key not in columns.shared:
        named = columns.id("customer_id").is_not_null()
        columns.shared[key] = columns.raw.select(named).to_series()
    rows: pl.Series = columns.shared[key]
    return rows


def _returned(columns: Columns) -> pl.Series:
    """Mark what is given back: by its sign, its flag, its kind or its number."""
    worth, prefix = line_money(columns), columns.option("return_prefix")
    returned = pl.Series([False]).new_from_index(0, columns.raw.height)
    if worth is not None:
        returned |= worth < 0
    if columns.source("is_return"):
        returned |= columns.raw.select(columns.flag("is_return")).to_series()
    returned |= kinds_of(columns) == "return"
    if prefix and (order := columns.source("order_id")):
        returned |= columns.cells(order).cast(pl.String).str.starts_with(prefix)
    return returned.fill_null(value=False)


def counted_money(columns: Columns, rows: pl.Series) -> pl.Series | None:
    """Return the money of the rows that count, null on others; None without any that is sure.

    An order's total is shared over its lines, so that it counts once; what is given back is
    negative. Where a sign may be decimal or part thousands, no money is sure.
    """
    worth = line_money(columns)
    cash = [name for name in ("amount", "unit_price") if columns.source(name)][:1]
    if worth is None or doubted_decimals(columns, cash):
        return None
    size = pl.when("back").then(-pl.col("worth").abs()).otherwise("worth")
    frame = pl.DataFrame({"worth": worth, "back": _returned(columns), "rows": rows})
    shared, order = size, columns.source("order_id")
    if order and columns.source("amount") and columns.option("amount_of") == "order":
        frame = frame.with_columns(columns.orders, worth=pl.when("rows").then("worth"))
        first = size.drop_nulls().first().over("order") / pl.col("rows").sum().over("order")
        shared = pl.when(pl.col("order").is_null()).then(size).otherwise(first)
    return frame.select(pl.when("rows").then(shared).alias("money")).to_series()


def sum_of(
    columns: Columns,
    header: str,
    name: str = "amount",
    *,
    of_orders: bool = False,
    rows: pl.Series | None = None,
) -> float | None:
    """Sum a raw column over the rows that count, read as the column ``name`` of the contract.

    With ``of_orders``, an amount is an order's total on each of its lines, which counts once. None
    where it is not sure how the numbers are read.
    """
    own = TableMapping({name: header}, options={"amount_of": "order" if of_orders else "line"})
    mapping = Mapping({"orders": own}).over(columns.mapping)
    columns = Columns("orders", columns.raw, mapping, shared=columns.shared)
    rows = counted_rows(columns) if rows is None else rows
    if name != "amount":
        if of_orders:
            orders = columns.cells(str(columns.source("order_id")))
            first = pl.struct(orders, rows.alias("counts")).is_first_distinct()
            rows = rows & pl.select(first).to_series()
        if doubted_decimals(columns, [name]):
            return None
        return float(columns.numbers(name).filter(rows).sum())
    worth = counted_money(columns, rows)
    return None if worth is None else float(worth.sum())


def say_sum(total: float | None, *, of_orders: bool = False) -> str:
    """Say a sum in brackets behind its column's name; nothing where it is not sure.

    Examples
    --------
    >>> say_sum(8879512.0), say_sum(40861.2, of_orders=True), say_sum(None)
    (' (sum 8,879,512)', ' (sum 40,861, counted once per order)', '')
    """
    once = ", counted once per order" if of_orders else ""
    return "" if total is None else f" (sum {money(total)}{once})"


def count_words(columns: Columns, words: pl.Series, but: Collection[str] = ()) -> pl.DataFrame:
    """Count the rows and the money of each word on rows that count, the most frequent first.

    The columns are ``word``, ``rows``, ``money`` (null without any) and ``positive`` (whether some
    is above 0); for ``but`` see `counted_rows`.
    """
    rows = counted_rows(columns, but)
    worth = counted_money(columns, rows)
    return (
        pl.DataFrame({"word": words, "rows": rows})
        .with_columns(money=pl.lit(worth, dtype=pl.Float64))
        .filter("rows")
        .group_by("word")
        .agg(rows=pl.len(), money=pl.col("money").sum(), positive=(pl.col("money") > 0).any())
        .with_columns(money=None if worth is None else pl.col("money"))
        .sort("rows", "word", descending=[True, False])
    )


def reversals(table: pl.DataFrame, meanings: Map[str | None, str]) -> list[str | None]:
    """List the words of `count_words` that mean cancelled and have negative money alone.

    Such a row takes a sale back; left out as cancelled, it would leave that sale.
    """
    negative = table.filter((pl.col("money") < 0) & ~pl.col("positive"))["word"]
    return [word for word in negative if meanings.get(word) == "cancelled"]


def say_rows(rows: int, worth: float | None) -> str:
    """Say how many rows a word has, and their money where it is known.

    Examples
    --------
    >>> say_rows(2, 1250.0), say_rows(1, None)
    ('2 rows, 1,250', '1 row')
    """
    return counted(rows, "row") + ("" if worth is None else f", {money(worth)}")


def list_words(table: pl.DataFrame, say: Callable[[str], str]) -> str:
    """List the words that `count_words` counts, with their rows and money; null is "empty"."""
    rows = table.select("word", "rows", "money").iter_rows()
    return ", ".join(
        f"{'empty' if word is None else say(word)} ({say_rows(*both)})" for word, *both in rows
    )
