"""Spelling of dates: the order of day, month and year, and the formats of texts and numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from segkit.ingest.months import date_words, in_english

_PARTS = r"^(\d{1,2})([-/.])(\d{1,2})[-/.](\d{4}|\d{2})(?:\D|$)"
# Day, month and year by their place among a date's three numbers.
ORDERS = {"dmy": ("1", "3", "4"), "mdy": ("3", "1", "4"), "ymd": ("4", "3", "1")}
SHORT = {"dmy": ("%d", "%m", "%y"), "mdy": ("%m", "%d", "%y"), "ymd": ("%y", "%m", "%d")}
LIMITS = (date(1900, 1, 1), date(2100, 1, 1))


@dataclass(frozen=True, slots=True)
class DayOrder:
    """What a text column shows about the order of day, month and year.

    Attributes
    ----------
    day_first, month_first : int
        Cells with a year of four figures that can only be read one way (a first, or second,
        number above 12).
    either : int
        Such cells that can be read both ways to different days.
    dots : bool
        Whether all cells part their numbers by dots, as day-first countries do.
    short : tuple of str
        The orders that cells with a year of two figures can have ("dmy", "mdy", "ymd"), the
        likeliest first; empty where there are none. More than one is a question.
    example : str
        A cell with a year of two figures.
    """

    day_first: int
    month_first: int
    either: int
    dots: bool
    short: tuple[str, ...] = ()
    example: str = ""

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


def day_order(values: pl.Series, limits: tuple[date, date] = LIMITS) -> DayOrder:
    """Look at what a text column of dates shows about the order of day, month and year.

    Parameters
    ----------
    values : polars.Series
        Text.
    limits : tuple of datetime.date
        The first and the last day that a date with a year of two figures can mean.

    Examples
    --------
    >>> day_order(pl.Series(["03/04/2024", "25/04/2024"])).guess
    True
    >>> day_order(pl.Series(["03/04/2024"])).unsure
    True
    >>> day_order(pl.Series(["24-01-05", "24-02-07"])).short
    ('dmy', 'ymd')
    """
    parts = (
        values.cast(pl.String)
        .unique(maintain_order=True)
        .str.strip_chars()
        .to_frame("v")
        .with_columns(pl.col("v").str.extract_groups(_PARTS).alias("g"))
        .unnest("g")
        .drop_nulls("1")
    )
    long = pl.col("4").str.len_chars() == 4
    first, second = pl.col("1").cast(pl.Int32) > 12, pl.col("3").cast(pl.Int32) > 12
    row = parts.select(
        day=(long & first & ~second).sum(),
        month=(long & second & ~first).sum(),
        either=(long & ~first & ~second & (pl.col("1") != pl.col("3"))).sum(),
        dots=(pl.col("2") == ".").all(),
    ).row(0, named=True)
    dots = bool(row["dots"]) and parts.height > 0
    found = DayOrder(row["day"], row["month"], row["either"], dots)
    brief = parts.filter(~long)
    if not brief.height:
        return found
    return replace(found, short=_short_orders(brief, found, limits), example=brief["v"][0])


def _short_orders(
    parts: pl.DataFrame, seen: DayOrder, limits: tuple[date, date]
) -> tuple[str, ...]:
    """List the orders that dates with years of two figures can be in, the likeliest first."""
    read = parts.select(
        pl.concat_str(pl.col(*places[::-1]).str.zfill(2), separator="-")
        .str.to_date("%y-%m-%d", strict=False)
        .alias(order)
        for order, places in ORDERS.items()
    )
    fits = read.select(pl.all().is_between(*limits).fill_null(value=False))
    counts = {order: int(fits[order].sum()) for order in ORDERS}
    most = max(counts.values())
    best = [order for order, count in counts.items() if count == most]
    told = "dmy" if seen.dots or seen.day_first > seen.month_first else ""
    told = told or ("mdy" if seen.month_first > seen.day_first else "")
    # The same separators with years of four figures, or dots, settle what the cells leave open.
    if told in best:
        best = [told]
    if len(best) > 1 and all(read[best[0]].equals(read[order]) for order in best[1:]):
        best = best[:1]
    alone = [
        order
        for order in ORDERS
        if order not in best and bool((fits[order] & ~fits[best[0]]).any()) and not told
    ]
    return (*best, *alone)


def formats(values: pl.Series, *, day_first: bool, short: str = "") -> list[str]:
    """Give the strptime formats that the texts are written in, short years first.

    Numbers among the texts are read by `numeric_format`.

    Parameters
    ----------
    values : polars.Series
        Text.
    day_first : bool
        Whether 03/04/2024 is the third of April.
    short : str
        The order of dates with a year of two figures: "dmy", "mdy" or "ymd"; by default as
        ``day_first`` says.

    Examples
    --------
    >>> formats(pl.Series(["24-01-05"]), day_first=True, short="ymd")
    ['%y-%m-%d']
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
    order = short or ("dmy" if day_first else "mdy")
    found = dict.fromkeys(_format(shape, day_first=day_first, short=order) for shape in shapes)
    # %b reads Apr, %B reads April; a shape does not tell them apart.
    named = [f.replace("%b", "%B") for f in found if f and "%b" in f]
    found |= dict.fromkeys(named)
    texts = values.cast(pl.String).str.strip_chars()
    numbers = texts.filter(texts.str.contains(r"^\d+(\.\d+)?$").fill_null(value=False))
    guess = numeric_format(numbers.cast(pl.Float64, strict=False)) if numbers.len() else None
    if guess and guess != "%Y%m%d":
        found[guess] = None
    return sorted((f for f in found if f), key=lambda f: "%y" not in f)


def _format(shape: str, *, day_first: bool, short: str) -> str | None:
    """Turn a shape ('99/9/9999 9:99') into a strptime format, if it is a date's."""
    match = re.match(
        r"^(?:A,? )?(9999)([-/.])9{1,2}\2(9{1,2})(.*)$|^(?:A,? )?9{1,2}([-/.])9{1,2}\5(9{2,4})(.*)$"
        r"|^99999999(?=\D|$)((?!T9{4,6}).*)$|^9{1,2}([- .]+)A([- .]+)(9{4}|99)(.*)$"
        r"|^A 9{1,2}(,?) 9999(.*)$",
        shape,
    )
    compact = re.match(r"^9{8}T?(9{4}|9{6})(Z|[+-]99:?99)?$", shape)
    if compact:
        time = "%H%M%S" if len(compact[1]) == 6 else "%H%M"
        zone = {None: "", "Z": "Z"}.get(compact[2], "%z")
        return "%Y%m%d" + ("T" if "T" in shape else "") + time + zone
    if not match:
        return None
    g = match.groups()
    if g[0]:
        day, rest = f"%Y{g[1]}%m{g[1]}%d", g[3]
    elif g[4]:
        pair = ("%d", "%m") if day_first else ("%m", "%d")
        day, rest = g[4].join((*pair, "%Y") if len(g[5]) == 4 else SHORT[short]), g[6]
    elif g[7] is not None:
        day, rest = "%Y%m%d", g[7]
    elif g[8]:
        day, rest = f"%d{g[8]}%b{g[9]}{'%Y' if len(g[10]) == 4 else '%y'}", g[11]
    else:
        day, rest = f"%b %d{g[12]} %Y", g[13]
    clock = _clock(rest or "")
    return None if clock is None else day + clock


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
