"""Raw cells as values: texts, words for no value, ids, exact millionths, yes and no."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from segkit.ids import read_ids

MICRO = 1_000_000
# Amounts beyond a million millions are misreadings (a card number, a bar code), and would not
# fit the exact sums.
MOST = 10**12 * MICRO

YES = ("1", "1.0", "true", "t", "yes", "y", "oui", "ja", "j", "si", "sí", "on", "x", "granted")
NO = ("0", "0.0", "false", "f", "no", "n", "non", "nein", "nee", "off", "refused", "denied")
NUMBER = r"\s*[+-]?\d+(\.\d*)?\s*"


def is_text(dtype: pl.DataType) -> bool:
    """Tell whether a column holds text, plain or encoded."""
    return dtype in (pl.String, pl.Categorical) or isinstance(dtype, pl.Enum)


def text(column: pl.Expr, nulls: Sequence[str]) -> pl.Expr:
    """Trim text and turn the words for 'no value' into nulls."""
    trimmed = column.cast(pl.String).str.strip_chars()
    return pl.when(trimmed.is_in(list({*nulls, ""}))).then(None).otherwise(trimmed)


def null_numbers(nulls: Sequence[object]) -> list[float]:
    """Give the words for 'no value' that are numbers: -999 is one in a column of numbers too.

    Examples
    --------
    >>> null_numbers(["", "NA", "nan", "-999", "9_9", 7])
    [-999.0, 7.0]
    """
    return [float(word) for word in map(str, nulls) if re.fullmatch(NUMBER, word)]


def present(column: pl.Expr, dtype: pl.DataType, nulls: Sequence[str]) -> pl.Expr:
    """Turn what stands for 'no value' into null, in a column of any type.

    Texts are trimmed; numbers and dates are compared with the words as such.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": [5, -999]})
    >>> frame.select(present(pl.col("a"), pl.Int64(), ["NA", "-999"])).to_series().to_list()
    [5, None]
    """
    if is_text(dtype):
        return text(column, nulls)
    if dtype.is_numeric():
        empty = column.cast(pl.Float64, strict=False).is_in(null_numbers(nulls))
        if dtype.is_float():
            empty = empty | column.is_nan()
        return pl.when(~empty).then(column)
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        shown = column.dt.strftime("%Y-%m-%dT%H:%M:%S")
        words = [str(word).strip().replace(" ", "T") for word in nulls]
        whole = [f"{word}T00:00:00" if len(word) == 10 else word for word in words]
        dated = [word for word in whole if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", word)]
        return pl.when(~shown.is_in(dated)).then(column) if dated else column
    return column


def as_text(column: pl.Expr, dtype: pl.DataType, nulls: Sequence[str]) -> pl.Expr:
    """Read a column of any type as text; whole numbers lose their decimals.

    Examples
    --------
    >>> frame = pl.DataFrame({"size": [42.0, None, float("nan")]})
    >>> frame.select(as_text(pl.col("size"), pl.Float64(), ())).to_series().to_list()
    ['42', None, None]
    """
    if is_text(dtype):
        return text(column, nulls)
    return column.map_batches(read_ids, return_dtype=pl.String, is_elementwise=True)


def micro(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Turn a numeric column into whole millionths (Int64); null where infinite or too large.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": [2.55, float("inf"), float("nan"), 1e300]})
    >>> frame.select(micro(pl.col("a"), pl.Float64())).to_series().to_list()
    [2550000, None, None, None]
    """
    if dtype.is_float():
        read = (column * MICRO).round(0).cast(pl.Int64, strict=False)
    elif dtype.is_decimal():
        exact = column.cast(pl.Decimal(38, 6), strict=False).to_physical()
        read = exact.cast(pl.Int64, strict=False)
    else:
        whole = column.cast(pl.Int64, strict=False)
        read = pl.when(whole.abs() <= MOST // MICRO).then(whole * MICRO)
    return pl.when(read.abs() <= MOST).then(read)


def from_micro(column: pl.Expr) -> pl.Expr:
    """Turn millionths into the nearest floating-point number.

    Polars divides by a constant by multiplying with its inverse, which makes 0.19999999999999998
    of 0.2; dividing by a column is exact.

    Examples
    --------
    >>> pl.DataFrame({"m": [200_000]}).select(from_micro(pl.col("m"))).item()
    0.2
    """
    return column.cast(pl.Float64) / (pl.int_range(pl.len()) * 0.0 + float(MICRO))


def product(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """Multiply two columns of millionths exactly; half a millionth is rounded away from zero."""
    whole = left.cast(pl.Int128) * right.cast(pl.Int128)
    half = pl.when(whole < 0).then(-MICRO // 2).otherwise(MICRO // 2).cast(pl.Int128)
    shifted = whole + half
    down = shifted // MICRO
    exact = shifted % MICRO == 0
    towards_zero = pl.when((shifted < 0) & ~exact).then(down + 1).otherwise(down)
    fits = towards_zero.cast(pl.Int64, strict=False)
    return pl.when(fits.abs() <= MOST).then(fits)


def flag(
    column: pl.Expr, dtype: pl.DataType, nulls: Sequence[str], words: dict[str, Any]
) -> pl.Expr:
    """Read yes and no in the usual words of five languages, or in the mapping's own."""
    if dtype == pl.Boolean:
        return column
    if dtype.is_numeric():
        return pl.when(column.is_not_null()).then(column != 0)
    low = text(column, nulls).str.to_lowercase()
    yes = [*YES, *(str(word).lower() for word, meant in words.items() if meant is True)]
    no = [*NO, *(str(word).lower() for word, meant in words.items() if meant is False)]
    own = {str(word).lower() for word in words}
    yes = [word for word in yes if word not in own or words.get(word) is not False]
    return pl.when(low.is_in(yes)).then(True).when(low.is_in(no)).then(False)
