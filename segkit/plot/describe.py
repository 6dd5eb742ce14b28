"""Alternative texts, and the rows of a frame that a picture draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segkit.display import cell, counted, is_share, number, number_cells, percent
from segkit.errors import DataError, require_columns
from segkit.plot.figure import as_percent, words, write

MOST_NAMED = 6
Interval = tuple[str, str]  # columns with the lower and the upper limit
Floats = NDArray[np.float64]


def drawn(frame: pl.DataFrame, columns: Sequence[str | None], need: Sequence[str]) -> pl.DataFrame:
    """Return the columns to be drawn, without the rows that cannot be.

    Parameters
    ----------
    frame : polars.DataFrame
        Anything with at least one row.
    columns : sequence of str or None
        Columns kept, in order; ``None`` is passed over.
    need : sequence of str
        Columns in which a null or NaN leaves the row out.

    Raises
    ------
    ColumnError
        If a column is not there.
    DataError
        If no row is left.
    """
    keep = list(dict.fromkeys(column for column in columns if column is not None))
    require_columns(frame.columns, keep, "the frame to draw")
    some = frame.select(keep)
    floats = [name for name in keep if some.schema[name].is_float()]
    rows = some.with_columns(pl.col(floats).fill_nan(None)).drop_nulls(list(need))
    if rows.height == 0:
        missing = f", none with a value in {', '.join(need)}" if need else ""
        raise DataError(f"nothing to draw: {counted(frame.height, 'row')}{missing}")
    return rows


def names_of(frame: pl.DataFrame, column: str | None) -> list[Any]:
    """Return a column's values: an Enum's in its order, others as they first appear.

    Without a column, one ``None``.
    """
    if column is None:
        return [None]
    names = frame.get_column(column).unique(maintain_order=True)
    return (names.sort() if isinstance(names.dtype, pl.Enum) else names).to_list()


def floats(frame: pl.DataFrame, column: str) -> Floats:
    """Return a numeric column as floats; null becomes NaN."""
    return frame.get_column(column).cast(pl.Float64).fill_null(float("nan")).to_numpy()


def reach(frame: pl.DataFrame, value: str, interval: Interval) -> Floats:
    """Return how far an interval reaches below and above its values; 0 where it is not known."""
    middle = floats(frame, value)
    low, high = (floats(frame, limit) for limit in interval)
    return np.nan_to_num(np.clip(np.vstack([middle - low, high - middle]), 0.0, None))


def one_each(frame: pl.DataFrame, keys: list[str]) -> None:
    """Raise ``DataError`` if two rows have the same keys: they would overlap."""
    twice = frame.height - frame.select(keys).unique().height
    if twice:
        raise DataError(
            f"expected one row for each {' and '.join(keys)}, got {twice} more; aggregate first"
        )


def describe(
    kind: str,
    frame: pl.DataFrame,
    value: str,
    *,
    by: Sequence[str | None] = (),
    title: str = "",
    percent: bool | None = None,
    label: str = "",
    left_out: int = 0,
) -> str:
    """Write the alternative text of a picture: the values drawn and their extremes.

    Parameters
    ----------
    kind : str
        The kind of picture ("Bar chart").
    frame : polars.DataFrame
        The drawn rows.
    value : str
        The numeric column drawn.
    by : sequence of str or None
        The columns that name a row.
    title : str
        Stated first, if there is one.
    percent : bool, optional
        Write values in percent; by default as the column's name says.
    label : str
        The value's name in words, with its unit.
    left_out : int
        Rows without a value, which are mentioned.

    Returns
    -------
    str
        Up to six rows are described one by one; of more, the lowest and the highest.

    Examples
    --------
    >>> frame = pl.DataFrame({"segment": ["A", "B"], "orders": [3, 5]})
    >>> describe("Bar chart", frame, "orders", by=["segment"])
    'Bar chart of orders by segment: A 3; B 5.'
    """
    keys = [column for column in by if column is not None]
    in_percent = as_percent(percent, value)
    rows = frame.drop_nulls(value)

    def describe_one(row: dict[str, object]) -> str:
        name = ", ".join(cell(row[key], key) for key in keys)
        amount = write(float(str(row[value])), in_percent)
        return f"{name} {amount}".strip()

    what = f"{kind} of {label or words(value)}"
    what += f" by {' and '.join(words(key) for key in keys)}" if keys else ""
    if rows.height <= MOST_NAMED:
        shown = "; ".join(describe_one(row) for row in rows.iter_rows(named=True))
    else:
        ordered = rows.sort(value, maintain_order=True)
        low, high = ordered.row(0, named=True), ordered.row(-1, named=True)
        lowest, highest = describe_one(low), describe_one(high)
        shown = f"{counted(rows.height, 'value')}, lowest {lowest}, highest {highest}"
    return finish(f"{what}: {shown}.", title=title, left_out=left_out)


def describe_rows(
    kind: str,
    rows: tuple[pl.DataFrame, pl.DataFrame],
    value: str,
    by: Sequence[str | None],
    title: str,
    percent: bool | None,
    label: str,
) -> str:
    """Write the alternative text of a picture of a frame's rows: those given, and those drawn."""
    given, shown = rows
    left_out = given.height - shown.height
    return describe(
        kind, shown, value, by=by, title=title, percent=percent, label=label, left_out=left_out
    )


def describe_mark(
    row: Mapping[str, Any],
    names: Sequence[object],
    value: str,
    interval: Interval | None = None,
    in_percent: bool = False,
) -> str:
    """Write what one mark of a picture stands for: its names, its value and the limits.

    Examples
    --------
    >>> row = {"segment": "A", "lift": 2.0, "low": 1.5, "high": 3.0}
    >>> describe_mark(row, ["A"], "lift", ("low", "high"))
    'A: 2 (1.50 to 3)'
    """
    amount = write(None if row[value] is None else float(row[value]), in_percent)
    low, high = (row[limit] for limit in interval) if interval else (None, None)
    if low is not None and high is not None:
        amount += f" ({write(float(low), in_percent)} to {write(float(high), in_percent)})"
    name = ", ".join(words(str(one)) for one in names if one is not None)
    return f"{name}: {amount}"


def write_values(values: Sequence[float | None], y: str, in_percent: bool) -> list[str]:
    """Write all values of a picture in as many decimals.

    Examples
    --------
    >>> write_values([0.0331, -0.00253], "difference", False)
    ['0.033', '-0.003']
    """
    if in_percent:
        return [percent(value) for value in values]
    return number_cells(values, "" if is_share(y) else y)


def finish(sentence: str, *, title: str = "", left_out: int = 0) -> str:
    """Return an alt text after its title, followed by the count of rows not drawn."""
    start = title.strip()
    if start and start[-1] not in ".?!":
        start += "."
    rows = "row without a value is" if left_out == 1 else "rows without a value are"
    rest = f" {number(left_out)} {rows} not drawn." if left_out else ""
    return f"{start} {sentence}{rest}".strip()


def describe_lines(
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    group: str | None,
    title: str = "",
    percent: bool | None = None,
    label: str = "",
    left_out: int = 0,
) -> str:
    """Write the alternative text of lines: first and last value of each, and the extremes.

    Examples
    --------
    >>> frame = pl.DataFrame({"month": [1, 2], "orders": [3, 5]})
    >>> describe_lines(frame, "month", "orders", group=None)
    'Line chart of orders over month, from 1 to 2: from 3 to 5, lowest 3, highest 5.'
    """
    in_percent = as_percent(percent, y)
    start, end = frame.get_column(x)[0], frame.get_column(x)[-1]
    parts = frame.partition_by(group, maintain_order=True) if group else [frame]

    def describe_one(part: pl.DataFrame) -> str:
        values = part.get_column(y)
        first, last = (write(float(values[i]), in_percent) for i in (0, -1))
        name = f"{cell(part.get_column(group)[0], group)} " if group else ""
        return f"{name}from {first} to {last}"

    named = "; ".join(describe_one(part) for part in parts[:MOST_NAMED])
    more = len(parts) - MOST_NAMED
    named += f"; and {number(more)} more" if more > 0 else ""
    values = frame.get_column(y).cast(pl.Float64)
    low, high = (write(v, in_percent) for v in (values.min(), values.max()))  # type: ignore[arg-type]
    sentence = (
        f"Line chart of {label or words(y)} over {words(x)}, from {cell(start, x)} to "
        f"{cell(end, x)}: {named}, lowest {low}, highest {high}."
    )
    return finish(sentence, title=title, left_out=left_out)
