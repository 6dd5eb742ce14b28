"""How are dates spelt here? The order of day and month, and the formats of texts and numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from segkit.ingest.months import date_words, in_english

_TWO_PARTS = r"^(\d{1,2})([-/.])(\d{1,2})[-/.](?:\d{4}|\d{2})(?:\D|$)"


@dataclass(frozen=True, slots=True)
class DayOrder:
    """What a text column shows about the order of day and month.

    Attributes
    ----------
    day_first, month_first : int
        Cells that can only be read one way (a first, or second, number above 12).
    either : int
        Cells that can be read both ways to different days.
    dots : bool
        Whether all such cells part their numbers by dots, as day-first countries do.
    """

    day_first: int
    month_first: int
    either: int
    dots: bool

    @property
    def mixed(self) -> bool:
        """Both orders occur in one column."""
        return self.day_first > 0 and self.month_first > 0

    @property
    def unsure(self) -> bool:
        """No cell tells which order it is."""
        return not self.day_first and not self.month_first and self.either > 0 and not self.dots

    @property
    def guess(self) -> bool:
        """The likelier order: True for day first."""
        return self.day_first >= self.month_first


def day_order(values: pl.Series) -> DayOrder:
    """Look at what a text column of dates shows about the order of day and month.

    Examples
    --------
    >>> day_order(pl.Series(["03/04/2024", "25/04/2024"])).guess
    True
    >>> day_order(pl.Series(["03/04/2024"])).unsure
    True
    """
    groups = pl.col("v").str.strip_chars().str.extract_groups(_TWO_PARTS).alias("g")
    parts = (
        values.cast(pl.String)
        .unique()
        .to_frame("v")
        .select(groups)
        .unnest("g")
        .drop_nulls("1")
        .with_columns(pl.col("1", "3").cast(pl.Int32))
    )
    first, second = pl.col("1") > 12, pl.col("3") > 12
    row = parts.select(
        day=(first & ~second).sum(),
        month=(second & ~first).sum(),
        either=(~first & ~second & (pl.col("1") != pl.col("3"))).sum(),
        dots=(pl.col("2") == ".").all(),
    ).row(0, named=True)
    dots = bool(row["dots"]) and parts.height > 0
    return DayOrder(row["day"], row["month"], row["either"], dots)


def formats(values: pl.Series, *, day_first: bool) -> list[str]:
    """Give the strptime formats that the texts are written in, short years first.

    Examples
    --------
    >>> formats(pl.Series(["31.12.2024 5:07", "2024-12-31"]), day_first=True)
    ['%d.%m.%Y %H:%M', '%Y-%m-%d']
    >>> formats(pl.Series(["5 août 2024"]), day_first=True)
    ['%d %b %Y', '%d %B %Y']
    """
    words = date_words(values)
    shapes = (
        values.cast(pl.String)
        .to_frame("v")
        .select(in_english(pl.col("v"), words))
        .to_series()
        .str.strip_chars()
        .str.replace_all(r"[0-9]", "9")
        .str.replace_all(r"[A-Za-z]{3,}", "A")
        .drop_nulls()
        .value_counts(sort=True)
        .to_series(0)
        .head(200)
    )
    found = dict.fromkeys(_format(shape, day_first=day_first) for shape in shapes)
    # %b reads Apr, %B reads April; a shape does not tell them apart.
    named = [f.replace("%b", "%B") for f in found if f and "%b" in f]
    found |= dict.fromkeys(named)
    return sorted((f for f in found if f), key=lambda f: "%y" not in f)


def _format(shape: str, *, day_first: bool) -> str | None:
    """Turn a shape ('99/9/9999 9:99') into a strptime format, if it is a date's."""
    match = re.match(
        r"^(?:A,? )?(9999)([-/.])9{1,2}\2(9{1,2})(.*)$|^(?:A,? )?9{1,2}([-/.])9{1,2}\5(9{2,4})(.*)$"
        r"|^99999999(?=\D|$)(.*)$|^9{1,2}([- .]+)A([- .]+)(9{4}|99)(.*)$"
        r"|^A 9{1,2}(,?) 9999(.*)$",
        shape,
    )
    if not match:
        return None
    g = match.groups()
    if g[0]:
        date, rest = f"%Y{g[1]}%m{g[1]}%d", g[3]
    elif g[4]:
        year = "%Y" if len(g[5]) == 4 else "%y"
        pair = ("%d", "%m") if day_first else ("%m", "%d")
        date, rest = g[4].join((*pair, year)), g[6]
    elif g[7] is not None:
        date, rest = "%Y%m%d", g[7]
    elif g[8]:
        date, rest = f"%d{g[8]}%b{g[9]}{'%Y' if len(g[10]) == 4 else '%y'}", g[11]
    else:
        date, rest = f"%b %d{g[12]} %Y", g[13]
    clock = _clock(rest or "")
    return None if clock is None else date + clock


def _clock(rest: str) -> str | None:
    """Turn what follows the date in a shape into the rest of a strptime format."""
    if not rest:
        return ""
    match = re.match(
        r"^(T|,? +)9{1,2}:99(:99)?([.,]9+)?( ?[AaPp][Mm])?( ?A| ?Z| ?[+-]99:?(?:99)?)?$", rest
    )
    if not match:
        return None
    gap, seconds, fraction, half, zone = match.groups()
    # A twelve-hour clock is only one where the letters are AM or PM.
    hour = "%I" if half else "%H"
    made = f"{gap}{hour}:%M" + (":%S" if seconds else "")
    made += "%.f" if fraction else ""
    made += (" %p" if half and half.startswith(" ") else "%p") if half else ""
    if zone:
        made += (" " if zone.startswith(" ") else "") + ("Z" if zone.strip() == "Z" else "%z")
    return made


def numeric_format(values: pl.Series) -> str | None:
    """Guess what numbers mean as dates: 20240131, Unix seconds or milliseconds, Excel days.

    Examples
    --------
    >>> numeric_format(pl.Series([19970101, 19980630]))
    '%Y%m%d'
    """
    finite = values.drop_nulls().cast(pl.Float64)
    finite = finite.filter(finite.is_finite())
    if not finite.len():
        return None
    low, high = (float(x) for x in (finite.quantile(0.01) or 0, finite.quantile(0.99) or 0))
    ranges: Sequence[tuple[float, float, str]] = (
        (19000101, 21001231, "%Y%m%d"),
        (3e8, 4e9, "epoch_s"),
        (3e11, 4e12, "epoch_ms"),
        (15000, 75000, "excel"),
    )
    return next((name for least, most, name in ranges if least <= low and high <= most), None)
