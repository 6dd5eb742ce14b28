"""How does a mapped column become a clean one? Expressions by kind, with what was noticed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from segkit.display import counted
from segkit.ingest import parse
from segkit.ingest.clock import Clock
from segkit.ingest.mapping import Mapping
from segkit.ingest.months import date_words
from segkit.ingest.spelling import day_order, formats, numeric_format

NUMERIC_ID = r"^-?\d+(\.0+)?$"


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one raw table, read as the mapping says.

    Attributes
    ----------
    table : str
        The contract's table.
    raw : polars.DataFrame
        The raw rows.
    mapping : Mapping
        The mapping; its part for the table must exist.
    notes : list of str
        Collects what was changed or assumed without setting rows apart.
    first_line : int or None
        The line of the file on which row 0 stands, where that is known.
    """

    table: str
    raw: pl.DataFrame
    mapping: Mapping
    notes: list[str] = field(default_factory=list)
    first_line: int | None = None

    def option(self, name: str) -> Any:
        """Give an option's value for this table."""
        return self.mapping.option(self.table, name)

    @property
    def nulls(self) -> tuple[str, ...]:
        """Words that mean 'no value'."""
        return tuple(self.option("nulls"))

    def source(self, name: str) -> str | None:
        """Give the raw column behind a contract's column, if there is one."""
        return self.mapping.tables[self.table].columns.get(name)

    def constant(self, name: str) -> Any:
        """Give the constant that the mapping sets for a column, if any."""
        return self.mapping.tables[self.table].constants.get(name)

    def has(self, *names: str) -> bool:
        """Tell whether the mapping provides all these columns."""
        return all(self.source(n) is not None or self.constant(n) is not None for n in names)

    def shown(self, *names: str) -> tuple[str, ...]:
        """List the raw columns behind the contract's columns, for examples."""
        return tuple(theirs for n in names if (theirs := self.source(n)) is not None)

    def blank(self, name: str) -> pl.Expr:
        """Tell whether the raw cell holds no value."""
        theirs = self.source(name)
        if theirs is None:
            return pl.lit(self.constant(name) is None)
        dtype = self.raw.schema[theirs]
        if parse.is_text(dtype):
            return parse.text(pl.col(theirs), self.nulls).is_null()
        return pl.col(theirs).is_null() | (
            pl.col(theirs).is_nan() if dtype.is_float() else pl.lit(value=False)
        )

    def id(self, name: str) -> pl.Expr:
        """Read a column of ids as text; decimals such as 17850.0 become 17850, with a note."""
        theirs = self.source(name)
        constant = pl.lit(self.constant(name), dtype=pl.String)
        if theirs is None:
            return constant
        dtype = self.raw.schema[theirs]
        whole = False
        if dtype.is_float():
            self.notes.append(
                f"{self.table}: {theirs!r} holds ids as decimals (such as 123.0); "
                "they are read as whole numbers (123)"
            )
        elif dtype == pl.String:
            cells = self.raw.get_column(theirs)
            floats = int(cells.str.contains(parse.FLOAT_ID).sum())
            if floats:
                trimmed = self.raw.select(parse.text(pl.col(theirs), self.nulls)).to_series()
                whole = bool(trimmed.str.contains(NUMERIC_ID).all())
                if whole:
                    self.notes.append(
                        f"{self.table}: {counted(floats, 'id')} in {theirs!r} ending in '.0'; "
                        "such ids are read as whole numbers (123.0 is 123)"
                    )
        read = parse.identifier(pl.col(theirs), dtype, self.nulls, whole=whole)
        return read if self.constant(name) is None else pl.coalesce(read, constant)

    def text(self, name: str) -> pl.Expr:
        """Read a column as trimmed text, its words replaced as the mapping says."""
        theirs = self.source(name)
        constant = pl.lit(self.constant(name), dtype=pl.String)
        if theirs is None:
            return constant
        read = parse.identifier(pl.col(theirs), self.raw.schema[theirs], self.nulls)
        words = self.mapping.tables[self.table].values.get(name)
        if words:
            read = read.replace({str(key): str(value) for key, value in words.items()})
        return read if self.constant(name) is None else pl.coalesce(read, constant)

    def micro(self, name: str) -> pl.Expr:
        """Read a column of money or quantities exactly, as whole millionths (Int64)."""
        theirs = self.source(name)
        fixed = self.constant(name)
        constant = pl.lit(None if fixed is None else round(float(fixed) * parse.MICRO), pl.Int64)
        if theirs is None:
            return constant
        dtype = self.raw.schema[theirs]
        if parse.is_text(dtype):
            decimal, thousands = self.signs(theirs)
            if (decimal, thousands) == (".", "") and self._plain(theirs):
                exact = parse.plain_decimals(pl.col(theirs))
            else:
                exact = parse.decimals(pl.col(theirs), self.nulls, decimal, thousands)
            read = parse.micro(exact, pl.Decimal(38, 6))
        elif dtype.is_numeric():
            read = parse.micro(pl.col(theirs), dtype)
        else:
            read = pl.lit(None, dtype=pl.Int64)
        return read if fixed is None else pl.coalesce(read, constant)

    def _plain(self, theirs: str) -> bool:
        """Tell whether every cell is written as computers write numbers."""
        read = self.raw.select(
            (parse.plain_decimals(pl.col(theirs)).is_null() & pl.col(theirs).is_not_null()).any()
        )
        return not read.item()

    def number(self, name: str) -> pl.Expr:
        """Read a column of numbers (Float64)."""
        return parse.from_micro(self.micro(name))

    def signs(self, theirs: str) -> tuple[str, str]:
        """Give the decimal and the thousands sign of a text column, set or seen."""
        decimal, thousands = self.option("decimal"), self.option("thousands")
        if decimal is None:
            cells = self.raw.get_column(theirs).cast(pl.String).unique()
            seen, parted, _ = parse.seen_decimal(cells.drop_nulls())
            return seen, parted if thousands is None else thousands
        if thousands is None:
            thousands = "." if decimal == "," else ","
        return decimal, thousands

    def flag(self, name: str) -> pl.Expr:
        """Read a column of yes and no."""
        theirs = self.source(name)
        constant = pl.lit(self.constant(name), dtype=pl.Boolean)
        if theirs is None:
            return constant
        words = self.mapping.tables[self.table].values.get(name, {})
        read = parse.flag(pl.col(theirs), self.raw.schema[theirs], self.nulls, words)
        return read if self.constant(name) is None else pl.coalesce(read, constant)

    def clock(self, name: str) -> Clock:
        """Settle how a column's times are read: zone, formats, clock changes."""
        theirs = self.source(name)
        zone = self.option("timezone")
        found: tuple[str, ...] = ()
        words: dict[str, str] = {}
        if theirs is not None:
            dtype, cells = self.raw.schema[theirs], self.raw.get_column(theirs)
            words = date_words(cells) if parse.is_text(dtype) else {}
            given = self.option("date_format")
            if given:
                found = (given,) if isinstance(given, str) else tuple(given)
            elif parse.is_text(dtype):
                first = self.option("day_first")
                order = day_order(cells).guess if first is None else bool(first)
                found = tuple(formats(cells, day_first=order))
            elif dtype.is_numeric():
                guess = numeric_format(cells)
                found = (guess,) if guess else ()
            if zone is None and isinstance(dtype, pl.Datetime) and dtype.time_zone:
                zone = dtype.time_zone
        return Clock(
            zone or "UTC",
            found,
            self.nulls,
            self.option("ambiguous_time"),
            self.option("missing_time"),
            words=words,
        )

    def time(self, name: str) -> tuple[pl.Expr, pl.Expr, Clock]:
        """Read a column of times: UTC, how to get the business day, and the clock used."""
        theirs = self.source(name)
        clock = self.clock(name)
        if theirs is None:
            moment = pl.Series([str(self.constant(name))]).str.to_datetime(time_unit="us")
            utc = clock.to_utc(pl.lit(moment[0], dtype=pl.Datetime("us")))
        else:
            clock = replace(clock, skips=self._note_clock(theirs, clock))
            utc = clock.utc(pl.col(theirs), self.raw.schema[theirs])
        return utc, clock.day(utc), clock

    def _note_clock(self, theirs: str, clock: Clock) -> bool:
        """Count the times that clock changes make doubtful; tell whether any does not exist."""
        if clock.zone == "UTC":
            return False
        local = clock.naive(pl.col(theirs), self.raw.schema[theirs])
        twice, skipped = clock.doubtful(self.raw.select(local.alias("t")).to_series())
        if twice:
            self.notes.append(
                f"{self.table}: {counted(twice, 'time')} in {theirs!r}, when the clock "
                f"goes back in {clock.zone}, can be read as two moments; the {clock.ambiguous} is "
                "taken (ambiguous_time)"
            )
        if skipped:
            done = "an hour is added" if clock.missing == "shift" else "they are set apart"
            self.notes.append(
                f"{self.table}: {counted(skipped, 'time')} in {theirs!r} never shown in "
                f"{clock.zone} (the clock goes forward); {done} (missing_time)"
            )
        return skipped > 0

    def date(self, name: str) -> pl.Expr:
        """Read a column of calendar dates."""
        theirs = self.source(name)
        if theirs is None:
            fixed = self.constant(name)
            return pl.lit(str(fixed) if fixed is not None else None, pl.String).str.to_date()
        dtype = self.raw.schema[theirs]
        if dtype == pl.Date:
            return pl.col(theirs)
        clock = self.clock(name)
        local = Clock("UTC", clock.formats, clock.nulls, words=clock.words)
        if isinstance(dtype, pl.Datetime) and dtype.time_zone:
            return pl.col(theirs).dt.convert_time_zone(clock.zone).dt.date()
        return local.utc(pl.col(theirs), dtype).dt.date()
