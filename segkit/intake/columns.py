"""Columns of a raw table, read as the mapping says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import polars as pl

from segkit.display import counted, number
from segkit.errors import MappingError, unknown
from segkit.ids import read_ids, split_nobody
from segkit.intake.cells import (
    MICRO,
    as_text,
    flag,
    from_micro,
    is_header,
    is_text,
    micro,
    null_numbers,
    present_cells,
    read_column,
)
from segkit.intake.dates import (
    LIMITS,
    NUMERIC,
    Clock,
    DayOrder,
    date_words,
    day_order,
    formats,
    numeric_format,
)
from segkit.intake.evidence import ColumnProfile, profile_columns, sample, without_zero_dates
from segkit.intake.mapping import Mapping, TableMapping, as_date
from segkit.intake.numbers import (
    CODES,
    CURRENCY_UNITS,
    PLAIN,
    Dialect,
    currencies,
    foreign_units,
    other_decimal,
    read_numbers,
    seen_dialect,
    units_of,
)
from segkit.schema import fields

NUMBERS = ("money", "number")
Shared = dict[tuple[object, ...], Any]
Fact = TypeVar("Fact")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one raw table, read as the mapping says."""

    table: str
    raw: pl.DataFrame
    mapping: Mapping  # its part for the table must exist
    notes: list[str] = field(default_factory=list)  # what is changed without rejecting rows
    first_line: int | None = None  # of the file: where row 0 stands, if that is known
    shared: Shared = field(default_factory=dict, repr=False)  # of these rows, by any mapping
    _cells: dict[str, pl.Series] = field(default_factory=dict, repr=False)
    _ids: dict[str, pl.Series] = field(default_factory=dict, repr=False)
    _read: dict[tuple[str, str], pl.Series] = field(default_factory=dict, repr=False)
    _numbers: dict[tuple[str, str | None], pl.Series] = field(default_factory=dict, repr=False)
    _clocks: dict[str, Clock] = field(default_factory=dict, repr=False)
    _blank: dict[str, pl.Series] = field(default_factory=dict, repr=False)

    def release(self) -> None:
        """Free the memory of the cells read so far, except customer ids and profiles of samples."""
        customers = {name: ids for name, ids in self._ids.items() if name == "customer_id"}
        kept = ("header", "profiles")
        facts = {key: fact for key, fact in self.shared.items() if key[0] in kept}
        for read in (self._cells, self._ids, self._read, self._numbers, self._blank, self.shared):
            read.clear()
        self.shared.update(facts)
        self._ids.update(customers)

    def _once(self, key: tuple[object, ...], read: Callable[[], Fact]) -> Fact:
        """Return what the raw rows show, read once for all mappings."""
        if key not in self.shared:
            self.shared[key] = read()
        fact: Fact = self.shared[key]
        return fact

    def option(self, name: str) -> Any:
        """Return an option's value for this table."""
        return self.mapping.option(self.table, name)

    @property
    def nulls(self) -> tuple[str, ...]:
        """Words that mean 'no value'."""
        return tuple(self.option("nulls"))

    @property
    def _part(self) -> TableMapping:
        return self.mapping.tables[self.table]

    def source(self, name: str) -> str | None:
        """Return the raw column behind a contract's column, if there is one."""
        return self._part.columns.get(name)

    def constant(self, name: str) -> Any:
        """Return the constant that the mapping sets for a column, if any."""
        return self._part.constants.get(name)

    def has(self, *names: str) -> bool:
        """Return whether the mapping provides all these columns."""
        return all(self.source(n) is not None or self.constant(n) is not None for n in names)

    def shown(self, *names: str) -> tuple[str, ...]:
        """List the raw columns behind the contract's columns, for examples."""
        return tuple(raw_column for n in names if (raw_column := self.source(n)) is not None)

    def cells(self, raw_column: str) -> pl.Series:
        """Return a raw column with texts trimmed and missing values as null.

        A zero date is missing, too, except as the time of the row itself, where it is rejected,
        and where the mapping gives dates a meaning.
        """
        if raw_column not in self._cells:
            names = [name for name, column in self._part.columns.items() if column == raw_column]
            words = [str(word) for name in names for word in self._part.values.get(name, ())]
            as_is = {"order_time", "event_time"} & {*names} or re.search(r"\d", " ".join(words))
            key = ("as it is", raw_column, self.nulls) if as_is else (raw_column, self.nulls)
            if key not in self.shared:
                cells = present_cells(self.raw[raw_column], self.nulls)
                self.shared[key] = cells if as_is else without_zero_dates(cells)
            self._cells[raw_column] = self._filled(self.shared[key])
        return self._cells[raw_column]

    def _filled(self, cells: pl.Series) -> pl.Series:
        """Fill what stands on one line of each order only (a header) on its other lines."""
        if not cells.null_count() or cells.name not in self.header_columns():
            return cells
        amount = self.source("amount") if cells.name == self.source("refund") else None
        if amount and (self.numbers("amount").filter(cells.is_not_null()).fill_null(-1) < 0).any():
            return cells  # refunds on rows of their own are no header
        read = self.fill_orders(cells)
        if read is cells:
            return cells
        filled = cells.drop_nulls().len()
        note = (
            f"orders: {cells.name!r} stands on one line of each order ({number(filled)}); it holds "
            f"for the {counted(read.drop_nulls().len() - filled, 'other line')} of these orders too"
        )
        if note not in self.notes:
            self.notes.append(note)
        return read

    def fill_orders(self, cells: pl.Series) -> pl.Series:
        """Fill cells that stand on one line of each order only; others are taken as they are."""
        if not cells.null_count() or self.source("order_id") in (None, cells.name):
            return cells
        orders = self.orders
        stated = self.shared.get(("header", cells.name))  # of all rows, where these are a part
        if not (is_header(cells, orders) if stated is None else stated):
            return cells
        of_order = pl.col("cell").drop_nulls().first().over("order")
        filled = pl.when(pl.col("order").is_null()).then("cell").otherwise(of_order)
        both = pl.DataFrame({"cell": cells, "order": orders})
        return both.select(filled.alias(cells.name)).to_series()

    def header_columns(self) -> list[str]:
        """List the raw columns that may stand on an order's first line only."""
        order = self.source("order_id") if self.table == "orders" else None
        if not order:
            return []
        names = ["customer_id", "order_time", "currency", "channel", "status", "payment_status"]
        names += ["cancelled_at", "email", "device_id", "loyalty_id"]
        names += ["amount"] if self.option("amount_of") == "order" else []
        of_lines = self.option("refund_of") == "line" or self.option("refund_is") == "pieces"
        names += [] if of_lines else ["refund"]
        return [name for name in dict.fromkeys(self.shown(*names)) if name != order]

    def blank(self, name: str) -> pl.Expr:
        """Return whether the raw cell holds no value."""
        raw_column = self.source(name)
        if raw_column is None:
            return pl.lit(self.constant(name) is None)
        if name not in self._blank:
            empty = self.cells(raw_column).is_null()
            if is_text(self.raw.schema[raw_column]) and self._kind(name) in NUMBERS:
                micro = [round(value * MICRO) for value in null_numbers(self.nulls)]
                empty = empty | self._micros(name).is_in(micro).fill_null(value=False)
            self._blank[name] = empty
        return pl.lit(self._blank[name])

    def _kind(self, name: str) -> str:
        return fields(self.table)[name].kind

    def id(self, name: str) -> pl.Expr:
        """Read a column of ids as text; see `segkit.intake.cells.read_column`."""
        raw_column = self.source(name)
        if raw_column is None:
            return pl.lit(self.constant(name), dtype=pl.String)
        if name not in self._ids:
            cells, repeated = self.cells(raw_column), self.shared.get(("repeated", raw_column))
            told = self.told_nobody() if name == "customer_id" else {}
            self._ids[name] = read_column(
                cells, self.table, name, self.mapping, self.notes, repeated, told
            )
        read = pl.lit(self._ids[name])
        return self._worded(name, self._within(read) if name == "order_id" else read)

    def _worded(self, name: str, read: pl.Expr) -> pl.Expr:
        """Replace words as the mapping says, and missing cells by the constant that it sets."""
        words, constant = self._part.values.get(name), self.constant(name)
        if words:
            read = read.replace({str(key): str(value) for key, value in words.items()})
        return read if constant is None else pl.coalesce(read, pl.lit(constant, dtype=pl.String))

    def told_nobody(self) -> dict[str, dict[bool, pl.Series]]:
        """Mark the rows that ``no_customer`` calls nobody's, and somebody's, by each column."""
        marked = {}
        for header, values in split_nobody(self.option("no_customer"))[1].items():
            if header not in self.raw.columns and self.table != "orders":
                continue  # said for all tables
            ids = read_ids(self.fill_orders(self._named(header, "no_customer"))).str.to_lowercase()
            nobody = ids.replace_strict(values, default=None, return_dtype=pl.Boolean)
            marked[header] = {
                kind: (nobody == kind).fill_null(value=False) for kind in (True, False)
            }
        return marked

    def _named(self, header: str, option: str) -> pl.Series:
        """Return the cells of a column that an option names."""
        if header not in self.raw.columns:
            message = unknown("column", header, self.raw.columns)
            raise MappingError(f"[{self.table}] {option}: {message}")
        return self.cells(header)

    def _within(self, numbers: pl.Expr) -> pl.Expr:
        """Join order numbers with what they are unique within, as a kind of document or a day."""
        parts = [numbers]
        for header in self.option("order_within") or ():
            part = pl.lit(self._named(header, "order_within"))
            if header == self.source("order_time"):
                part = self.day("order_time").cast(pl.Date)
            parts.append(part.cast(pl.String).fill_null(""))
        return pl.concat_str(parts, separator=" / ") if len(parts) > 1 else numbers

    @property
    def orders(self) -> pl.Series:
        """The order of each row, null where none is named."""
        return self.raw.select(self.id("order_id").alias("order")).to_series()

    def day(self, name: str) -> pl.Expr:
        """Read the day of a column of times, as days since 1970-01-01."""
        clock, raw_column = self.clock(name), str(self.source(name))
        return clock.day(clock.utc(pl.lit(self.cells(raw_column)), self.raw.schema[raw_column]))

    def text(self, name: str) -> pl.Expr:
        """Read a column as trimmed text, its words replaced as the mapping says."""
        raw_column = self.source(name)
        if raw_column is None:
            return pl.lit(self.constant(name), dtype=pl.String)
        cells = pl.lit(self.cells(raw_column))
        return self._worded(name, as_text(cells, self.raw.schema[raw_column], self.nulls))

    def micro(self, name: str) -> pl.Expr:
        """Read a column of money or quantities exactly, as whole millionths (Int64)."""
        fixed = self.constant(name)
        constant = pl.lit(None if fixed is None else round(float(fixed) * MICRO), pl.Int64)
        if self.source(name) is None:
            return constant
        read = pl.when(~self.blank(name)).then(pl.lit(self._micros(name)))
        return read if fixed is None else pl.coalesce(read, constant)

    def _micros(self, name: str) -> pl.Series:
        """Read a column's cells as whole millionths; null if a cell is not a valid number."""
        raw_column = str(self.source(name))
        if (name, raw_column) not in self._read:
            cells, dtype = self.cells(raw_column), self.raw.schema[raw_column]
            if is_text(dtype):
                dialect, units = self.dialect(raw_column), self.units(name)
                # Cells that were filled for the whole order are this mapping's own.
                is_own = cells is not self.shared.get((raw_column, self.nulls))
                reading = partial(read_numbers, cells.cast(pl.String), dialect, units)
                key = (raw_column, self.nulls, dialect, units)
                cells = reading() if is_own else self._once(key, reading)
            is_number = cells.dtype.is_numeric()
            read = micro(pl.col("cell"), cells.dtype) if is_number else pl.lit(None, pl.Int64)
            micros = cells.to_frame("cell").with_columns(read.alias("micro"))["micro"]
            is_rate = name == "discount" and self.option("discount_unit") != "money"
            minor = self.option("minor_units")
            is_minor = minor if isinstance(minor, bool) else name in minor
            in_cents = is_minor and self._kind(name) == "money" and not is_rate
            self._read[name, raw_column] = micros // 100 if in_cents else micros
        return self._read[name, raw_column]

    def numbers(self, name: str) -> pl.Series:
        """Return a column's numbers row by row, null where its cells hold no value."""
        key = (name, self.source(name))
        if key not in self._numbers:
            self._numbers[key] = self.raw.select(self.number(name).alias("n")).to_series()
        return self._numbers[key]

    @property
    def money(self) -> tuple[str, ...]:
        """The contract's columns that hold money."""
        return tuple(name for name, item in fields(self.table).items() if item.kind == "money")

    def units(self, name: str) -> frozenset[str]:
        """List the units allowed next to a number: currencies, if the column is money."""
        if self._kind(name) != "money":
            return frozenset()
        home = self.option("currency")
        if self.table != "orders" and home:
            return frozenset(units_of(home))
        percent = name == "discount" and self.option("discount_unit") == "percent"
        return CURRENCY_UNITS | {"%"} if percent else CURRENCY_UNITS

    def strange(self, name: str) -> pl.Expr:
        """Return whether a cell has another unit, such as 3 PCS."""
        raw_column = self.source(name)
        if raw_column is None or self.is_plain(raw_column):
            return pl.lit(value=False)
        cells = self.cells(raw_column).cast(pl.String)
        return pl.lit(foreign_units(cells, self.units(name)))

    def stated_currency(self, *names: str, sure: bool = False) -> pl.Series | None:
        """Return the currency written in the amounts; None if there is none.

        With ``sure``, a sign that several currencies share does not count.
        """
        stated = [
            currencies(self.cells(column).cast(pl.String), self.option("currency"), sure=sure)
            for column in self.shown(*names)
            if not self.is_plain(column)
        ]
        if all(one.null_count() == one.len() for one in stated):
            return None
        return pl.select(pl.coalesce(stated).alias("currency")).to_series()

    def number(self, name: str) -> pl.Expr:
        """Read a column of numbers (Float64)."""
        return from_micro(self.micro(name))

    def is_plain(self, raw_column: str) -> bool:
        """Return whether a column holds numbers as computers write them, or no texts at all."""
        if not is_text(self.raw.schema[raw_column]):
            return True
        key = ("plain", raw_column, self.nulls)
        return self._once(key, lambda: bool(self.spellings(raw_column).str.contains(PLAIN).all()))

    def seen_dialect(self, raw_column: str) -> tuple[Dialect, bool]:
        """Return the number format that a text column shows, and whether it is certain."""
        key = ("dialect", raw_column, self.nulls)
        return self._once(key, lambda: seen_dialect(self.spellings(raw_column)))

    def dialect(self, raw_column: str) -> Dialect:
        """Return the number format of a text column, as set or as detected."""
        decimal, thousands = self.option("decimal"), self.option("thousands")
        seen, sure = self.seen_dialect(raw_column)
        if decimal is None:
            stated = None if sure else self.stated_decimal(raw_column)
            decimal = stated or self.grouped_decimal(raw_column) or seen.decimal
        if thousands is None:
            thousands = "." if decimal == "," else ","
        return Dialect(decimal, thousands, seen.lakh)

    def stated_decimal(self, raw_column: str) -> str | None:
        """Return the decimal sign that the other columns of money show; None if they show none."""
        signs = set()
        for other in self.shown(*self.money):
            if other == raw_column or not is_text(self.raw.schema[other]):
                continue
            seen, sure = self.seen_dialect(other)
            if sure and bool(self.spellings(other).str.contains(r"[.,]").any()):
                signs.add(seen.decimal)
        return signs.pop() if len(signs) == 1 else None

    def grouped_decimal(self, raw_column: str) -> str | None:
        """Return the decimal sign of an amount whose only sign parts thousands; None if unclear."""
        (seen, sure), columns = self.seen_dialect(raw_column), self._part.columns
        if sure or raw_column not in self.shown(*self.money):
            return None
        texts = self.spellings(raw_column)
        home = self.option("currency") or self.constant("currency")
        codes = {*currencies(texts, home).drop_nulls(), *([str(home)] if home else [])}
        if home is None and "currency" in columns:
            stated = self.cells(columns["currency"]).cast(pl.String).str.to_uppercase()
            codes |= {code for code in stated.unique() if code in CODES}
        return other_decimal(texts, seen.decimal, codes, columns.values())

    def flag(self, name: str) -> pl.Expr:
        """Read a column of yes and no."""
        raw_column = self.source(name)
        constant = pl.lit(self.constant(name), dtype=pl.Boolean)
        if raw_column is None:
            return constant
        cells, words = pl.lit(self.cells(raw_column)), self._part.values.get(name, {})
        read = flag(cells, self.raw.schema[raw_column], self.nulls, words)
        return read if self.constant(name) is None else pl.coalesce(read, constant)

    def clock(self, name: str) -> Clock:
        """Return how a column's times are read: zone, formats, clock changes."""
        if name in self._clocks:
            return self._clocks[name]
        raw_column, given = self.source(name), self.option("date_format")
        date_formats: tuple[str, ...] = ()
        words: dict[str, str] = {}
        if raw_column is not None:
            dtype = self.raw.schema[raw_column]
            words = date_words(self.spellings(raw_column)) if is_text(dtype) else words
            if given:
                date_formats = (given,) if isinstance(given, str) else tuple(given)
            elif is_text(dtype):
                order, cells = self.day_order(name), self.spellings(raw_column)
                date_formats = tuple(formats(cells, day_first=order.guess, short=order.short[0]))
            elif dtype.is_numeric():
                date_formats = tuple(filter(None, [numeric_format(self.cells(raw_column))]))
        zone, missing = self.option("timezone") or "UTC", self.option("missing_time")
        ambiguous = self.option("ambiguous_time")
        clock = Clock(zone, date_formats, self.nulls, ambiguous, missing, words=words)
        return self._clocks.setdefault(name, clock)

    @property
    def profiles(self) -> dict[str, ColumnProfile]:
        """What the values of each column show, by `segkit.intake.evidence.profile_columns`."""
        return self._once(("profiles", self.nulls), self._profiled)

    def _profiled(self) -> dict[str, ColumnProfile]:
        profiles = profile_columns(self.raw, self.nulls)
        for name, shown in profiles.items():
            if shown.rows == self.raw.height:  # the sample is all rows
                self.shared.setdefault((name, self.nulls), shown.cells)
        return profiles

    def profile(self, raw_column: str | None) -> ColumnProfile | None:
        """Return what one column's values show; None if it holds none."""
        return None if raw_column is None else self.profiles.get(raw_column)

    @property
    def sampled(self) -> Columns:
        """The columns of a sample of the rows, with what is read of them where that is all."""
        part = sample(self.raw)
        shared = self.shared if part is self.raw else {}
        return Columns(self.table, part, self.mapping, shared=shared)

    def spellings(self, raw_column: str) -> pl.Series:
        """Return the different texts of a raw column, in the order in which they first occur."""
        return self._once(
            ("", raw_column, self.nulls),
            lambda: self.cells(raw_column).cast(pl.String).unique(maintain_order=True).drop_nulls(),
        )

    @property
    def day_limits(self) -> tuple[date, date]:
        """The first and the last day on which an order or event can be."""
        tomorrow = datetime.now(tz=UTC).date() + timedelta(days=1)
        last = as_date(self.option("latest_date")) or tomorrow
        return as_date(self.option("earliest_date")) or LIMITS[0], last

    def day_order(self, name: str) -> DayOrder:
        """Return the order of day, month and year in a text column, as set or as detected."""
        raw_column = str(self.source(name))
        limits = self.day_limits if self._kind(name) == "time" else LIMITS
        key = ("order", raw_column, self.nulls, limits)
        seen = self._once(key, lambda: day_order(self.spellings(raw_column), limits))
        first = self.option("day_first")
        short = seen.short or ("dmy" if (seen.guess if first is None else first) else "mdy",)
        if first is None:
            return replace(seen, short=short)
        listed = [order for order in ("mdy", "ymd") if order in seen.short] or ["mdy"]
        short = ("dmy",) if first else tuple(listed)
        return replace(seen, day_first=int(first), month_first=int(not first), short=short)

    def time(self, name: str) -> tuple[pl.Expr, pl.Expr, Clock]:
        """Read a column of times: UTC, how to get the business day, and the clock used."""
        raw_column, clock = self.source(name), self.clock(name)
        if raw_column is None:
            moment = pl.Series([str(self.constant(name))]).str.to_datetime(time_unit="us")
            utc = clock.to_utc(pl.lit(moment[0], dtype=pl.Datetime("us")))
        else:
            cells, dtype = pl.lit(self.cells(raw_column)), self.raw.schema[raw_column]
            if clock.zone != "UTC":
                local = self.raw.select(t=clock.naive(cells, dtype)).to_series()
                changes, skips = clock.note_changes(local, f"in {raw_column!r}")
                self.notes.extend(f"{self.table}: {change}" for change in changes)
                clock = replace(clock, skips=skips)
            utc = clock.utc(cells, dtype)
            said = f"{self.table}: numbers in {raw_column!r} are read as"
            forms = [form for form in clock.formats if form in NUMERIC]
            self.notes.extend(f'{said} {NUMERIC[form]} (date_format = "{form}")' for form in forms)
        return utc, clock.day(utc), clock

    def date(self, name: str) -> pl.Expr:
        """Read a column of calendar dates."""
        raw_column = self.source(name)
        if raw_column is None:
            fixed = self.constant(name)
            return pl.lit(str(fixed) if fixed is not None else None, pl.String).str.to_date()
        dtype, cells = self.raw.schema[raw_column], pl.lit(self.cells(raw_column))
        if dtype == pl.Date:
            return cells
        clock = self.clock(name)
        # A date without an offset keeps its day; with an offset it is the day in the zone.
        local = clock.naive(cells, dtype).dt.date()
        day = pl.coalesce(local, clock.day(clock.utc(cells, dtype)).cast(pl.Date))
        if name != "birth_date" or not any("%y" in form for form in clock.formats):
            return day
        today = datetime.now(tz=UTC).date()  # a year of two digits is of the century before
        return pl.when(day > today).then(day.dt.offset_by("-100y")).otherwise(day)
