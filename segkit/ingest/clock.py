"""When was it? Dates and times of any spelling to UTC, and to the business calendar's day."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from segkit.ingest.parse import is_text, text

DATE_LIKE = r"^\d{1,4}[-/. ]\d{1,2}[-/. ]\d{1,4}|^\d{8}(\D|$)|^\d{1,2}[-/. ]?[A-Za-z]{3,9}"
NUMERIC = ("epoch_s", "epoch_ms", "excel")
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
    """
    shapes = (
        values.cast(pl.String)
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


@dataclass(frozen=True, slots=True)
class Clock:
    """How one column's times are read.

    Attributes
    ----------
    zone : str
        IANA zone of local times and of the business day.
    formats : tuple of str
        strptime formats, or one of epoch_s, epoch_ms, excel.
    nulls : tuple of str
        Words for 'no value'.
    ambiguous : str
        "earliest" or "latest", for times that the clock shows twice.
    missing : str
        "shift" (an hour later) or "reject", for times that the clock skips.
    skips : bool
        Whether there are such times (False saves a pass over the column).
    """

    zone: str = "UTC"
    formats: tuple[str, ...] = ()
    nulls: tuple[str, ...] = ("",)
    ambiguous: str = "earliest"
    missing: str = "shift"
    skips: bool = True

    def utc(self, column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        """Read a column as points in time (UTC), by the stated policy for clock changes."""
        if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
            return column.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
        if dtype.is_numeric() or is_text(dtype):
            listed = self.formats or (("%Y%m%d",) if dtype.is_numeric() else ())
            read = [self._read(column, dtype, form) for form in listed]
            return pl.coalesce(read) if read else pl.lit(None, dtype=pl.Datetime("us", "UTC"))
        return self.to_utc(self.naive(column, dtype))

    def naive(self, column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        """Read the local wall-clock times of a column; null where they carry an offset."""
        nothing = pl.lit(None, dtype=pl.Datetime("us"))
        if isinstance(dtype, pl.Datetime):
            return nothing if dtype.time_zone else column.dt.cast_time_unit("us")
        if dtype == pl.Date:
            return column.cast(pl.Datetime("us"))
        if is_text(dtype):
            cell = text(column, self.nulls)
            local = [_local(cell, form) for form in self.formats if not _absolute(form)]
            return pl.coalesce(local) if local else nothing
        return nothing

    def day(self, utc: pl.Expr) -> pl.Expr:
        """Give the business calendar's day of points in time, as days since 1970-01-01."""
        local = utc if self.zone == "UTC" else utc.dt.convert_time_zone(self.zone)
        return local.dt.date().cast(pl.Int32)

    def _read(self, column: pl.Expr, dtype: pl.DataType, form: str) -> pl.Expr:
        if form in NUMERIC:
            number = column if dtype.is_numeric() else text(column, self.nulls)
            naive = _numeric(number.cast(pl.Float64, strict=False), form)
            return self.to_utc(naive) if form == "excel" else naive.dt.replace_time_zone("UTC")
        if dtype.is_numeric():
            whole = column.cast(pl.Int64, strict=False) if dtype.is_float() else column
            return self.to_utc(_local(whole.cast(pl.String), form))
        cell = text(column, self.nulls)
        if _absolute(form):
            offset = form[:-1] + "%z" if form.endswith("Z") else form
            ended = cell.str.replace(r"( ?)(?:Z|UTC)$", "${1}+00:00")
            return ended.str.to_datetime(offset, time_unit="us", strict=False)
        return self.to_utc(_local(cell, form))

    def to_utc(self, naive: pl.Expr) -> pl.Expr:
        """Turn local wall-clock times into UTC."""
        if self.zone == "UTC":
            return naive.dt.replace_time_zone("UTC")
        local = self._localised(naive)
        if self.missing == "shift" and self.skips:
            local = pl.coalesce(local, self._localised(naive + pl.duration(hours=1)))
        return local.dt.convert_time_zone("UTC")

    def _localised(self, naive: pl.Expr, ambiguous: str | None = None) -> pl.Expr:
        choice: str = ambiguous or self.ambiguous
        return naive.dt.replace_time_zone(
            self.zone,
            ambiguous="latest" if choice == "latest" else "earliest",
            non_existent="null",
        )

    def doubtful(self, naive: pl.Series) -> tuple[int, int]:
        """Count the times that the clock shows twice, and those that it skips."""
        if self.zone == "UTC":
            return 0, 0
        # Clocks change in the small hours, everywhere.
        small = naive.drop_nulls().to_frame("t").filter(pl.col("t").dt.hour() < 4)
        local = self._localised(pl.col("t"), "earliest")
        twice = local != self._localised(pl.col("t"), "latest")
        row = (
            small.group_by("t")
            .len()
            .select(
                twice=pl.col("len").filter(twice).sum(),
                skipped=pl.col("len").filter(local.is_null()).sum(),
            )
            .row(0)
        )
        return int(row[0]), int(row[1])


def _absolute(form: str) -> bool:
    return "%z" in form or form.endswith("Z") or form in NUMERIC


def _local(cell: pl.Expr, form: str) -> pl.Expr:
    if "%H" in form or "%I" in form:
        return cell.str.to_datetime(form, time_unit="us", strict=False)
    return cell.str.to_date(form, strict=False).cast(pl.Datetime("us"))


def _numeric(number: pl.Expr, form: str) -> pl.Expr:
    if form == "excel":  # days since 1899-12-30; 25569 is 1970-01-01
        scaled = (number - 25569) * 86_400_000_000.0
    else:
        scaled = number * (1e6 if form == "epoch_s" else 1e3)
    return scaled.round(0).cast(pl.Int64, strict=False).cast(pl.Datetime("us"))


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
