"""When was it? Dates and times of any spelling to UTC, and to the business calendar's day."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from segkit.ingest.months import in_english
from segkit.ingest.parse import is_text, text

DATE_LIKE = (
    r"^\d{1,4}[-/. ]\d{1,2}[-/. ]\d{1,4}|^\d{8}(\D|$)|^\d{1,2}[-/. ]{0,2}\p{L}{3,10}"
    r"|^\p{L}{2,10}[.,]* \d{1,2}\D"
)
NUMERIC = ("epoch_s", "epoch_ms", "excel")
# An offset after a time of day: Z, UTC, GMT, +01:00, -0500.
OFFSET = (
    r"\d:\d\d(?::\d\d)?(?:[.,]\d+)? ?(Z|UTC|GMT|[+-]\d\d:?(?:\d\d)?)$"
    r"|\dT?\d{4,6}(Z|[+-]\d\d:?\d\d)$"
)


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
    words : dict of str to str
        Names of months and weekdays in other languages, as `date_words` finds them.
    """

    zone: str = "UTC"
    formats: tuple[str, ...] = ()
    nulls: tuple[str, ...] = ("",)
    ambiguous: str = "earliest"
    missing: str = "shift"
    skips: bool = True
    words: dict[str, str] = field(default_factory=dict)

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
            cell = in_english(text(column, self.nulls), self.words)
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
        cell = in_english(text(column, self.nulls), self.words)
        if _absolute(form):
            offset = form[:-1] + "%z" if form.endswith("Z") else form
            ended = cell.str.replace(r"( ?)(?:Z|UTC|GMT)$", "${1}+00:00")
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


def stated_offsets(cells: pl.Series) -> tuple[list[str], int]:
    """List the zones or offsets that a column of times carries, and count the times with none.

    Examples
    --------
    >>> stated_offsets(pl.Series(["2024-01-01T10:00:00+01:00", "2024-01-01 10:00"]))
    (['+01:00'], 1)
    >>> stated_offsets(pl.Series(["2024-01-01 10:00"]))
    ([], 1)
    """
    full, dtype = cells.drop_nulls(), cells.dtype
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        return [dtype.time_zone], 0
    if not is_text(dtype):
        return [], full.len()
    found = (
        full.cast(pl.String)
        .to_frame("t")
        .select(pl.coalesce(pl.col("t").str.extract(OFFSET, 1), pl.col("t").str.extract(OFFSET, 2)))
    )
    offsets = found.to_series()
    return sorted(offsets.drop_nulls().unique().to_list()), offsets.null_count()


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
