"""Grouped reports: a customer's name on a line of its own above its rows, a total below them."""

from __future__ import annotations

import polars as pl

from segkit.display import counted
from segkit.intake.headers import concepts
from segkit.intake.mapping import TOTALS

FEWEST = 2  # groups that make a report
MOST_IN_TOTALS = 3  # cells of a row of totals beside its name: units, amount, balance


def spread_groups(frame: pl.DataFrame, title: str) -> tuple[pl.DataFrame, list[str]]:
    """Write the name of each group into its rows, and leave out lines of names and of totals.

    A table is a grouped report if its first column is empty on the rows, and filled on lines that
    hold nothing else, or a total named after the group.

    Parameters
    ----------
    frame : polars.DataFrame
        Rows of texts.
    title : str
        What stands above the header; if it names customers, the column without a name is theirs.

    Returns
    -------
    tuple of (polars.DataFrame, list of str)
        The rows, and what was changed, in sentences; the frame as it is where it is no such report.

    Examples
    --------
    >>> frame = pl.DataFrame({
    ...     "column 1": ["Ann", None, "Total for Ann", "Bea", None, "Total for Bea"],
    ...     "Date": [None, "2024-05-01", None] * 2, "Amount": [None, "7", "7", None, "5", "5"]})
    >>> spread_groups(frame, "Sales by Customer")[0].rows()
    [('Ann', '2024-05-01', '7'), ('Bea', '2024-05-01', '5')]
    """
    if frame.width < 3 or frame.height < 2 * FEWEST:
        return frame, []
    first, *others = frame.columns
    bare = pl.col(first).str.strip_chars()
    if frame.select((bare == "").fill_null(value=True).sum()).item() < FEWEST:
        return frame, []
    few = frame.select(
        name=pl.when(bare != "").then(bare),
        filled=pl.sum_horizontal(
            (pl.col(name).str.strip_chars() != "").fill_null(value=False) for name in others
        ),
    )
    is_name = pl.col("name").is_not_null() & (pl.col("filled") == 0)
    low, group = pl.col("name").str.to_lowercase(), pl.col("group").str.to_lowercase()
    words = "|".join(word.replace(".", r"\.") for word in TOTALS)
    marked = few.with_columns(group=pl.when(is_name).then("name").forward_fill()).with_columns(
        is_name=is_name,
        is_row=pl.col("name").is_null() & (pl.col("filled") > 1),
        is_total=pl.col("name").is_not_null()
        & pl.col("filled").is_between(1, MOST_IN_TOTALS)
        & (low.str.contains(group, literal=True) | low.str.contains(rf"^(?:{words})\b")),
    )
    names = marked.filter("is_name", pl.col("name").shift(-1).is_null().fill_null(value=True))
    told = marked.filter(
        pl.any_horizontal("is_name", "is_row", "is_total") | (pl.col("filled") == 0)
    )
    rows = int(marked["is_row"].sum())
    plain = marked.filter(pl.col("is_row") & pl.col("group").is_null()).height
    if names.height < FEWEST or rows < names.height or told.height < marked.height or plain:
        return frame, []
    column = first
    if first.startswith("column ") and "customer" in concepts(title)[0]:
        column = "Customer"
    spread = frame.with_columns(marked["group"].alias(first)).filter(marked["is_row"])
    totals = int(marked["is_total"].sum())
    note = (
        f"a grouped report: {counted(names.height, 'name')} on lines of their own are written into "
        f"the {counted(rows, 'row')} below them, as {column!r}; "
        f"{counted(totals, 'row')} of totals left out"
    )
    return spread.rename({first: column}) if column not in others else spread, [note]


MOST_EMPTY, LEAST_EMPTY = 0.95, 0.05  # of the rows that go on with the order above


def fill_orders(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Write what stands on an order's first line alone, its number too, on the lines below it.

    Numbers, such as the order's total, stay where they are: they would count again.

    Examples
    --------
    >>> frame = pl.DataFrame({
    ...     "Order Reference": ["S1", None, "S2"], "Customer": ["Ann", None, "Bea"],
    ...     "Order Date": ["2024-05-01", None, "2024-05-02"], "Total": ["12", None, "5"],
    ...     "Product": ["cup", "pen", "cup"]})
    >>> fill_orders(frame)[0]["Customer", "Total"].rows()
    [('Ann', '12'), ('Ann', None), ('Bea', '5')]
    """
    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    orders = [name for name in texts if {"order", "id"} <= concepts(name)[0]]
    if not orders or frame.height < 2:
        return frame, []
    for order in orders:
        said_once = (pl.col(order).str.strip_chars() != "").fill_null(value=False)
        first = frame.select(said_once).to_series()
        empty = 1 - float(first.mean() or 0)  # type: ignore[arg-type]
        if not first[0] or not LEAST_EMPTY < empty < MOST_EMPTY:
            continue
        held = frame.select((pl.col(texts).str.strip_chars() != "").fill_null(value=False))
        alike = [name for name in texts if held[name].equals(first)]
        said = {concept for name in alike for concept in concepts(name)[0]}
        going_on = held.select(pl.any_horizontal(pl.all().exclude(alike))).filter(~first)
        if not {"customer", "date"} <= said or not going_on.to_series().all():
            continue
        numbers = [
            name
            for name in alike
            if name != order and not frame[name].str.contains(r"\p{L}|\d[-/:.]\d+[-/:.]\d").any()
        ]
        filled = [name for name in alike if name not in numbers]
        note = (
            f"{counted(int((~first).sum()), 'row')} without {order!r} go on with the order above "
            f"them ({', '.join(map(repr, filled))})"
        )
        bare = pl.col(filled).str.strip_chars()
        return frame.with_columns(pl.when(bare != "").then(bare).forward_fill()), [note]
    return frame, []
