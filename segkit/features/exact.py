"""Sums of money and seconds in whole millionths: the same to the last bit in whatever order.

Engines add up in parallel, and sums of floats hang on the order. A last bit that differs is enough
to turn a tie in a tree, so amounts are rounded to millionths (as the ledger adds them) and summed
as whole numbers.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw
import polars as pl

from segkit.display import number
from segkit.errors import DataError

MICRO = 1_000_000
LARGEST = 9.2e12  # a sum whose millionths still fit into 64 bits
HALF = 1 << 20
SQUARES = ("high", "mixed", "low")


def micro(column: Any) -> Any:
    """Write a narwhals column in whole millionths."""
    return (column * MICRO).round(0).cast(nw.Int64)


def check_size(size: float, column: str, what: str) -> None:
    """Refuse a sum that whole millionths cannot hold: it would come out wrong, not large.

    Raises
    ------
    DataError
        If the absolute values of the column add up to too much.
    """
    if size >= LARGEST:
        raise DataError(
            f"the column {column} of {what} adds up to {number(size)}; sums are kept to a "
            f"millionth up to {number(LARGEST)}: give it in thousands, or set apart what is no "
            "amount"
        )


def squares(name: str) -> dict[str, Any]:
    """Give the parts of a whole column's squares, by name: their sums are whole numbers too.

    A square would not fit, so the number is split in two: x = high * 2**20 + low. Sums of the
    parts are exact floats below 2**53, which amounts below about a million do not reach.
    """
    whole = nw.col(name)
    high = whole // HALF
    low = (whole - high * HALF).cast(nw.Float64)
    high = high.cast(nw.Float64)
    parts = (high * high, high * low, low * low)
    return {f"{name}_{part}": value for part, value in zip(SQUARES, parts, strict=True)}


def spread(n: pl.Expr, total: pl.Expr, parts: tuple[pl.Expr, pl.Expr, pl.Expr]) -> pl.Expr:
    """Standard deviation (n - 1) from the count, the sum and the sums of `squares`' parts.

    It is taken about the whole part of the mean, in whole numbers, so that nothing cancels.

    Parameters
    ----------
    n, total : polars.Expr
        Of whole millionths.
    parts : tuple of polars.Expr

    Returns
    -------
    polars.Expr
        In units; null below two.

    Examples
    --------
    >>> frame = nw.from_native(pl.DataFrame({"x": [1_000_000, 3_000_000]}))
    >>> sums = frame.with_columns(**squares("x")).to_native().sum()
    >>> parts = tuple(pl.col(f"x_{part}") for part in SQUARES)
    >>> round(sums.select(spread(pl.lit(2), pl.col("x"), parts)).item() ** 2, 9)
    2.0
    """
    count, whole = (x.cast(pl.Int128) for x in (n, total))
    high, mixed, low = (x.cast(pl.Int128) for x in parts)
    wide = pl.lit(HALF, dtype=pl.Int128)
    squared = (high * wide + 2 * mixed) * wide + low
    some = pl.when(n > 1).then(count)
    middle = whole // some
    rest = (whole - middle * some).cast(pl.Float64)
    about = (squared - 2 * middle * whole + some * middle * middle).cast(pl.Float64)
    variance = (about - rest * rest / n) / (n - 1)
    return pl.max_horizontal(variance, 0.0 * variance).sqrt() / MICRO
