"""How is a raw cell read? Expressions for ids, numbers, exact money, flags and times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

MICRO = 1_000_000
# Amounts beyond a million millions are misreadings (a card number, a bar code), and would not
# fit the exact sums.
MOST = 10**12 * MICRO

YES = ("1", "1.0", "true", "t", "yes", "y", "oui", "ja", "j", "si", "sí", "on", "x", "granted")
NO = ("0", "0.0", "false", "f", "no", "n", "non", "nein", "nee", "off", "refused", "denied")
FLOAT_ID = r"^-?\d+\.0+$"
_BLANKS = r"[\s\u{00a0}\u{202f}'’]"
_SYMBOLS = r"[€$£¥₹]|^[A-Z]{3}|[A-Z]{3}$"


def is_text(dtype: pl.DataType) -> bool:
    """Tell whether a column holds text, plain or encoded."""
    return dtype in (pl.String, pl.Categorical) or isinstance(dtype, pl.Enum)


def text(column: pl.Expr, nulls: Sequence[str]) -> pl.Expr:
    """Trim text and turn the words for 'no value' into nulls."""
    trimmed = column.cast(pl.String).str.strip_chars()
    return pl.when(trimmed.is_in(list({*nulls, ""}))).then(None).otherwise(trimmed)


def identifier(
    column: pl.Expr, dtype: pl.DataType, nulls: Sequence[str], *, whole: bool = False
) -> pl.Expr:
    """Read an id as text; ``whole`` turns '17850.0' into '17850'.

    Examples
    --------
    >>> frame = pl.DataFrame({"id": [17850.0, None, float("nan")]})
    >>> frame.select(identifier(pl.col("id"), pl.Float64(), ())).to_series().to_list()
    ['17850', None, None]
    """
    if dtype.is_float():
        finite = pl.when(column.is_finite()).then(column)
        short = finite.cast(pl.Int64, strict=False).cast(pl.String)
        return pl.when(finite == finite.floor()).then(short).otherwise(finite.cast(pl.String))
    if not is_text(dtype):
        return column.cast(pl.String)
    read = text(column, nulls)
    return read.str.replace(r"\.0+$", "") if whole else read


def decimals(column: pl.Expr, nulls: Sequence[str], decimal: str, thousands: str) -> pl.Expr:
    """Read numbers written as text exactly, as ``Decimal(38, 6)``; null where unreadable.

    Currency signs, blanks and apostrophes between thousands, a trailing or a typographic minus
    and accountants' brackets are understood.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": ["1.234,50 €", "(7,25)", "12,5-", "inf", "x"]})
    >>> read = frame.select(decimals(pl.col("a"), (), ",", ".")).to_series()
    >>> [None if item is None else float(item) for item in read]
    [1234.5, -7.25, -12.5, None, None]
    """
    e = text(column, nulls).str.replace_all(_BLANKS, "").str.replace_all(_SYMBOLS, "")
    e = e.str.replace("−", "-", literal=True)
    e = e.str.replace(r"^\((.+)\)$", "-$1").str.replace(r"^(.+)-$", "-$1")
    if thousands:
        e = e.str.replace_all(thousands, "", literal=True)
    if decimal != ".":
        e = e.str.replace(decimal, ".", literal=True)
    return e.cast(pl.Decimal(38, 6), strict=False)


def plain_decimals(column: pl.Expr) -> pl.Expr:
    """Read numbers written as computers write them; null where that fails."""
    return column.cast(pl.String).str.strip_chars().cast(pl.Decimal(38, 6), strict=False)


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


def seen_decimal(values: pl.Series) -> tuple[str, str, bool]:
    """Which sign is the decimal point? Look at texts for it, and for what parts thousands.

    Parameters
    ----------
    values : polars.Series
        Text.

    Returns
    -------
    tuple of (str, str, bool)
        Decimal sign, thousands sign, and whether the texts leave no doubt.

    Examples
    --------
    >>> seen_decimal(pl.Series(["1.234,50", "12,00"]))
    (',', '.', True)
    >>> seen_decimal(pl.Series(["1,234", "5,678"]))
    (',', '', False)
    """
    found = values.to_frame("v").select(
        both_comma=pl.col("v").str.contains(r"\.\d{3},\d+\D*$").any(),
        both_point=pl.col("v").str.contains(r",\d{3}\.\d+\D*$").any(),
        comma=pl.col("v").str.contains(r"\d,\d").any(),
        point=pl.col("v").str.contains(r"\d?\.\d").any(),
        comma_sure=pl.col("v").str.contains(r"^[^,]*,(\d{1,2}|\d{4,})\D*$|^\D*0,\d").any(),
        point_sure=pl.col("v").str.contains(r"^[^.]*\.(\d{1,2}|\d{4,})\D*$|^\D*0\.\d").any(),
        commas=pl.col("v").str.contains(r",\d{3},\d{3}").any(),
        points=pl.col("v").str.contains(r"\.\d{3}\.\d{3}").any(),
    )
    seen = {name: bool(value) for name, value in found.row(0, named=True).items()}
    if not seen["comma"] and not seen["point"]:
        return ".", "", True
    for decimal, other, name, rival in ((",", ".", "comma", "point"), (".", ",", "point", "comma")):
        if not seen[rival]:
            if seen[f"{name}s"]:
                return other, decimal, True
            return decimal, "", seen[f"{name}_sure"]
        sure = seen[f"both_{name}"] or seen[f"{name}_sure"]
        against = seen[f"both_{rival}"] or seen[f"{rival}_sure"]
        if sure and not against:
            return decimal, other, True
    return ".", ",", False
