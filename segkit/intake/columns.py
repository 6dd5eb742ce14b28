"""Columns of a raw table, read as the mapping says."""

from __future__ import annotations

import functools
import operator
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from segkit.display import counted, number
from segkit.errors import MappingError, unknown
from segkit.ids import read_ids, split_nobody
from segkit.intake.cells import (
    MICRO,
    as_text,
    flag,
    from_micro,
    is_text,
    micro,
    null_numbers,
    present_cells,
    read_column,
)
from segkit.intake.dates import (
    LIMITS,
    Clock,
    DayOrder,
    date_words,
    day_order,
    formats,
    numeric_format,
)
from segkit.intake.evidence import ColumnProfile, profile_columns, without_zero_dates
from segkit.intake.headers import language_of
from segkit.intake.mapping import Mapping, as_date
from segkit.intake.numbers import (
    CODES,
    CURRENCY_UNITS,
    MILLS,
    PLAIN,
    WITHOUT_MILLS,
    Dialect,
    currencies,
    foreign_units,
    parts_thousands,
    read_numbers,
    seen_dialect,
    units_of,
)
from segkit.schema import fields

NUMBERS = ("money", "number")


def is_header(cells: pl.Series, orders: pl.Series) -> bool:
    """Return whether a column has a cell on one line of each order at most, and orders have more.

    Examples
    --------
    >>> orders = pl.Series(["1", "1", "2"])
    >>> is_header(pl.Series(["paid", None, "paid"]), orders)
    True
    >>> is_header(pl.Series([None, "x", "y"]), pl.Series(["1", "2", "2"]))
    False
    """
    stated = cells.is_not_null() & orders.is_not_null()
    once, lines = orders.filter(stated), orders.drop_nulls()
    return (
        once.len() > 0
        and once.len() < lines.len()
        and once.n_unique() == once.len()
        and bool(lines.filter(lines.is_in(once.implode())).is_duplicated().any())
    )


Shared = dict[tuple[object, ...], Any]


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
        Collects what was changed or assumed without rejecting rows.
    first_line : int or None
        The line of the file on which row 0 stands, where that is known.
    shared : dict
        Trimmed cells, numbers and what they show, of the same raw rows: for several mappings.
    """

    table: str
    raw: pl.DataFrame
    mapping: Mapping
    notes: list[str] = field(default_factory=list)
    first_line: int | None = None
    shared: Shared = field(default_factory=dict, repr=False)
    _cells: dict[str, pl.Series] = field(default_factory=dict, repr=False)
    _ids: dict[str, pl.Series] = field(default_factory=dict, repr=False)
    _read: dict[tuple[str, str], pl.Series] = field(default_factory=dict, repr=False)
    _clocks: dict[str, Clock] = field(default_factory=dict, repr=False)
    _blank: dict[str, pl.Series] = field(default_factory=dict, repr=False)

    def release(self) -> None:
        """Free the memory of the cells read so far, except customer ids and profiles of samples."""
        customers = {name: ids for name, ids in self._ids.items() if name == "customer_id"}
        kept = ("header", "profiles", "profile")
        facts = {key: fact for key, fact in self.shared.items() if key[0] in kept}
        for read in (self._cells, self._ids, self._read, self._blank, self.shared):
            read.clear()
        self.shared.update(facts)
        self._ids.update(customers)

    def option(self, name: str) -> Any:
        """Return an option's value for this table."""
        return self.mapping.option(self.table, name)

    @property
    def nulls(self) -> tuple[str, ...]:
        """Words that mean 'no value'."""
        return tuple(self.option("nulls"))

    def source(self, name: str) -> str | None:
        """Return the raw column behind a contract's column, if there is one."""
        return self.mapping.tables[self.table].columns.get(name)

    def constant(self, name: str) -> Any:
        """Return the constant that the mapping sets for a column, if any."""
        return self.mapping.tables[self.table].constants.get(name)

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
            part = self.mapping.tables[self.table]
            names = [name for name, column in part.columns.items() if column == raw_column]
            words = [str(word) for name in names for word in part.values.get(name, ())]
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
        return read.alias(cells.name)

    def fill_orders(self, cells: pl.Series) -> pl.Series:
        """Fill cells that stand on one line of each order only; others are taken as they are."""
        if not cells.null_count() or self.source("order_id") in (None, cells.name):
            return cells
        orders = self.orders
        stated = self.shared.get(("header", cells.name))  # of all rows, where these are a part
        if not (is_header(cells, orders) if stated is None else stated):
            return cells
        return pl.DataFrame({"cell": cells, "order": orders}).select(
            pl.when(pl.col("order").is_null())
            .then("cell")
            .otherwise(pl.col("cell").drop_nulls().first().over("order"))
            .alias(cells.name)
        ).to_series()  # fmt: skip

    @property
    def headers(self) -> tuple[str, ...]:
        """The columns that may stand on an order's first line only."""
        names = ["customer_id", "order_time", "currency", "channel", "status", "payment_status"]
        names += ["cancelled_at", "email", "device_id", "loyalty_id"]
        names += ["amount"] if self.option("amount_of") == "order" else []
        of_lines = self.option("refund_of") == "line" or self.option("refund_is") == "pieces"
        names += [] if of_lines else ["refund"]
        return tuple(names)

    def header_columns(self) -> list[str]:
        """List the raw columns that may stand on an order's first line only."""
        order = self.source("order_id") if self.table == "orders" else None
        named = [self.source(name) for name in self.headers] if order else []
        return [name for name in dict.fromkeys(named) if name and name != order]

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
        constant = pl.lit(self.constant(name), dtype=pl.String)
        if raw_column is None:
            return constant
        if name not in self._ids:
            cells = self.cells(raw_column)
            told = self.told_nobody() if name == "customer_id" else {}
            somebody = [rows[False] for rows in told.values()]
            self._ids[name] = read_column(
                cells,
                self.table,
                name,
                self.mapping,
                self.notes,
                self.shared.get(("repeated", raw_column)),
                functools.reduce(operator.or_, somebody) if somebody else None,
            )
            for header, rows in told.items():
                self._ids[name] = self._without_nobody(self._ids[name], header, rows[True])
        read = pl.lit(self._ids[name])
        if name == "order_id":
            read = self._within(read)
        words = self.mapping.tables[self.table].values.get(name)
        if words:
            read = read.replace({str(key): str(value) for key, value in words.items()})
        return read if self.constant(name) is None else pl.coalesce(read, constant)

    def told_nobody(self) -> dict[str, dict[bool, pl.Series]]:
        """Mark the rows that ``no_customer`` calls nobody's, and somebody's, by each column."""
        _, told = split_nobody(self.option("no_customer"))
        marked: dict[str, dict[bool, pl.Series]] = {}
        for header, values in told.items():
            if header not in self.raw.columns and self.table != "orders":
                continue  # said for all tables
            if header not in self.raw.columns:
                message = unknown("column", header, self.raw.columns)
                raise MappingError(f"[{self.table}] no_customer: {message}")
            ids = read_ids(self.fill_orders(self.cells(header))).str.to_lowercase()
            marked[header] = {
                kind: ids.is_in([one for one, is_nobody in values.items() if is_nobody == kind])
                .fill_null(value=False)
                for kind in (True, False)
            }  # fmt: skip
        return marked

    def _without_nobody(self, ids: pl.Series, header: str, rows: pl.Series) -> pl.Series:
        """Leave out the customer of rows that another column's value says are nobody's."""
        nobody = rows & ids.is_not_null()
        if not nobody.any():
            return ids
        self.notes.append(
            f"{self.table}: {counted(int(nobody.sum()), 'row')} are nobody's by {header!r} and "
            "count as without a customer (no_customer)"
        )
        return ids.set(nobody, None)

    def _within(self, numbers: pl.Expr) -> pl.Expr:
        """Join order numbers with what they are unique within, as a kind of document or a day."""
        parts = [numbers]
        for header in self.option("order_within") or ():
            if header not in self.raw.columns:
                message = unknown("column", header, self.raw.columns)
                raise MappingError(f"[orders] order_within: {message}")
            if header == self.source("order_time"):
                parts.append(self.day("order_time").cast(pl.Date).cast(pl.String).fill_null(""))
            else:
                parts.append(pl.lit(self.cells(header).cast(pl.String).fill_null("")))
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
        constant = pl.lit(self.constant(name), dtype=pl.String)
        if raw_column is None:
            return constant
        cells = pl.lit(self.cells(raw_column))
        read = as_text(cells, self.raw.schema[raw_column], self.nulls)
        words = self.mapping.tables[self.table].values.get(name)
        if words:
            read = read.replace({str(key): str(value) for key, value in words.items()})
        return read if self.constant(name) is None else pl.coalesce(read, constant)

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
                store = {} if is_own else self.shared
                key = (raw_column, self.nulls, dialect, units)
                if key not in store:
                    store[key] = read_numbers(cells.cast(pl.String), dialect, units)
                cells = store[key]
            read = pl.lit(None, dtype=pl.Int64)
            if cells.dtype.is_numeric():
                read = micro(pl.col("cell"), cells.dtype)
            micros = cells.to_frame("cell").with_columns(read.alias("micro"))["micro"]
            is_rate = name == "discount" and self.option("discount_unit") != "money"
            minor = self.option("minor_units")
            is_minor = minor if isinstance(minor, bool) else name in minor
            if is_minor and self._kind(name) == "money" and not is_rate:
                micros = micros // 100
            self._read[name, raw_column] = micros
        return self._read[name, raw_column]

    def numbers(self, name: str) -> pl.Series:
        """Return a column's numbers row by row, null where its cells hold no value."""
        return self.raw.select(self.number(name).alias("n")).to_series()

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
        home = self.option("currency")
        currency: pl.Series | None = None
        for name in names:
            raw_column = self.source(name)
            if raw_column is None or self.is_plain(raw_column):
                continue
            stated = currencies(self.cells(raw_column).cast(pl.String), home, sure=sure)
            currency = (
                stated if currency is None else currency.zip_with(currency.is_not_null(), stated)
            )
        return (
            None
            if currency is None or not currency.drop_nulls().len()
            else currency.alias("currency")
        )

    def number(self, name: str) -> pl.Expr:
        """Read a column of numbers (Float64)."""
        return from_micro(self.micro(name))

    def is_plain(self, raw_column: str) -> bool:
        """Return whether a column holds numbers as computers write them, or no texts at all."""
        key = ("plain", raw_column, self.nulls)
        if key not in self.shared:
            cells = self.cells(raw_column)
            is_bare = is_text(cells.dtype) and self.spellings(raw_column).str.contains(PLAIN).all()
            self.shared[key] = not is_text(cells.dtype) or is_bare
        return bool(self.shared[key])

    def seen_dialect(self, raw_column: str) -> tuple[Dialect, bool]:
        """Return the number format that a text column shows, and whether it is certain."""
        key = ("dialect", raw_column, self.nulls)
        if key not in self.shared:
            self.shared[key] = seen_dialect(self.spellings(raw_column))
        seen: tuple[Dialect, bool] = self.shared[key]
        return seen

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
        for name in self.money:
            other = self.source(name)
            if other in (None, raw_column) or not is_text(self.raw.schema[other]):
                continue
            seen, sure = self.seen_dialect(str(other))
            if sure and bool(self.spellings(str(other)).str.contains(r"[.,]").any()):
                signs.add(seen.decimal)
        return signs.pop() if len(signs) == 1 else None

    def grouped_decimal(self, raw_column: str) -> str | None:
        """Return the decimal sign of an amount whose only sign parts thousands; None if unclear.

        Three figures stand behind each sign, and the currency, or else the language, has no three
        decimals.
        """
        seen, sure = self.seen_dialect(raw_column)
        columns = self.mapping.tables[self.table].columns
        if sure or raw_column not in [columns.get(name) for name in self.money]:
            return None
        home = self.option("currency") or self.constant("currency")
        codes = set(currencies(self.spellings(raw_column), home).drop_nulls())
        if home is None and "currency" in columns:
            stated = self.cells(columns["currency"]).cast(pl.String).str.to_uppercase()
            codes |= {code for code in stated.unique() if code in CODES}
        codes |= {str(home)} if home else set()
        has_mills = bool(codes & MILLS) if codes else None
        if has_mills is None:
            has_mills = language_of(columns.values()) not in WITHOUT_MILLS
        if has_mills or not parts_thousands(self.spellings(raw_column), seen.decimal):
            return None
        return "," if seen.decimal == "." else "."

    def flag(self, name: str) -> pl.Expr:
        """Read a column of yes and no."""
        raw_column = self.source(name)
        constant = pl.lit(self.constant(name), dtype=pl.Boolean)
        if raw_column is None:
            return constant
        words = self.mapping.tables[self.table].values.get(name, {})
        cells = pl.lit(self.cells(raw_column))
        read = flag(cells, self.raw.schema[raw_column], self.nulls, words)
        return read if self.constant(name) is None else pl.coalesce(read, constant)

    def clock(self, name: str) -> Clock:
        """Return how a column's times are read: zone, formats, clock changes."""
        if name not in self._clocks:
            self._clocks[name] = self._clock(name)
        return self._clocks[name]

    def _clock(self, name: str) -> Clock:
        raw_column = self.source(name)
        date_formats: tuple[str, ...] = ()
        words: dict[str, str] = {}
        if raw_column is not None:
            dtype, cells = self.raw.schema[raw_column], self.cells(raw_column)
            if is_text(dtype):
                cells = self.spellings(raw_column)
                words = date_words(cells)
            given = self.option("date_format")
            if given:
                date_formats = (given,) if isinstance(given, str) else tuple(given)
            elif is_text(dtype):
                order = self.day_order(name)
                date_formats = tuple(formats(cells, day_first=order.guess, short=order.short[0]))
            elif dtype.is_numeric():
                guess = numeric_format(cells)
                date_formats = (guess,) if guess else ()
        return Clock(
            self.option("timezone") or "UTC",
            date_formats,
            self.nulls,
            self.option("ambiguous_time"),
            self.option("missing_time"),
            words=words,
        )

    @property
    def profiles(self) -> dict[str, ColumnProfile]:
        """What the values of each column show, by `segkit.intake.evidence.profile_columns`."""
        key = ("profiles", self.nulls)
        if key not in self.shared:
            self.shared[key] = profile_columns(self.raw, self.nulls)
        profiles: dict[str, ColumnProfile] = self.shared[key]
        return profiles

    def profile(self, raw_column: str | None) -> ColumnProfile | None:
        """Return what one column's values show, without those of all others; None if none does."""
        if raw_column is None:
            return None
        if ("profiles", self.nulls) in self.shared:
            return self.profiles.get(raw_column)
        key = ("profile", raw_column, self.nulls)
        if key not in self.shared:
            self.shared[key] = profile_columns(self.raw.select(raw_column), self.nulls)
        profiles: dict[str, ColumnProfile] = self.shared[key]
        return profiles.get(raw_column)

    def spellings(self, raw_column: str) -> pl.Series:
        """Return the different texts of a raw column, in the order in which they first occur."""
        key = ("", raw_column, self.nulls)
        if key not in self.shared:
            texts = self.cells(raw_column).cast(pl.String)
            self.shared[key] = texts.unique(maintain_order=True).drop_nulls()
        spellings: pl.Series = self.shared[key]
        return spellings

    def day_order(self, name: str) -> DayOrder:
        """Return the order of day, month and year in a text column, as set or as detected."""
        raw_column, limits = str(self.source(name)), LIMITS
        if self._kind(name) == "time":
            first = as_date(self.option("earliest_date")) or LIMITS[0]
            tomorrow = datetime.now(tz=UTC).date() + timedelta(days=1)
            limits = first, as_date(self.option("latest_date")) or tomorrow
        key = ("order", raw_column, self.nulls, limits)
        if key not in self.shared:
            self.shared[key] = day_order(self.spellings(raw_column), limits)
        seen: DayOrder = self.shared[key]
        first = self.option("day_first")
        short = seen.short or ("dmy" if (seen.guess if first is None else first) else "mdy",)
        if first is None:
            return replace(seen, short=short)
        if first:
            return replace(seen, day_first=1, month_first=0, short=("dmy",))
        listed = [order for order in ("mdy", "ymd") if order in seen.short] or ["mdy"]
        return replace(seen, day_first=0, month_first=1, short=tuple(listed))

    def time(self, name: str) -> tuple[pl.Expr, pl.Expr, Clock]:
        """Read a column of times: UTC, how to get the business day, and the clock used."""
        raw_column = self.source(name)
        clock = self.clock(name)
        if raw_column is None:
            moment = pl.Series([str(self.constant(name))]).str.to_datetime(time_unit="us")
            utc = clock.to_utc(pl.lit(moment[0], dtype=pl.Datetime("us")))
        else:
            clock = replace(clock, skips=self._note_clock(raw_column, clock))
            utc = clock.utc(pl.lit(self.cells(raw_column)), self.raw.schema[raw_column])
            self._note_numbers(raw_column, clock)
        return utc, clock.day(utc), clock

    def _note_numbers(self, raw_column: str, clock: Clock) -> None:
        """Note how numbers are read as dates."""
        readings = {
            "excel": "days of Excel (45292 is 2024-01-01)",
            "epoch_s": "seconds since 1970 in UTC",
            "epoch_ms": "milliseconds since 1970 in UTC",
            "epoch_us": "microseconds since 1970 in UTC",
        }
        for form in clock.formats:
            if form in readings:
                self.notes.append(
                    f"{self.table}: numbers in {raw_column!r} are read as {readings[form]} "
                    f'(date_format = "{form}")'
                )

    def _note_clock(self, raw_column: str, clock: Clock) -> bool:
        """Count the times that are ambiguous at clock changes; return if any do not exist."""
        if clock.zone == "UTC":
            return False
        local = clock.naive(pl.lit(self.cells(raw_column)), self.raw.schema[raw_column])
        twice, skipped = clock.doubtful(self.raw.select(local.alias("t")).to_series())
        if twice:
            self.notes.append(
                f"{self.table}: {counted(twice, 'time')} in {raw_column!r}, when the clock "
                f"goes back in {clock.zone}, can be read as two moments; the {clock.ambiguous} is "
                "taken (ambiguous_time)"
            )
        if skipped:
            treatment = "an hour is added" if clock.missing == "shift" else "they are rejected"
            self.notes.append(
                f"{self.table}: {counted(skipped, 'time')} in {raw_column!r} never shown in "
                f"{clock.zone} (the clock goes forward); {treatment} (missing_time)"
            )
        return skipped > 0

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
        local_day = clock.day(clock.utc(cells, dtype)).cast(pl.Date)
        return self._past(name, clock, pl.coalesce(local, local_day))

    def _past(self, name: str, clock: Clock, day: pl.Expr) -> pl.Expr:
        """Move birth dates in the future, from years with two digits, back by a century."""
        if name != "birth_date" or not any("%y" in form for form in clock.formats):
            return day
        today = datetime.now(tz=UTC).date()
        return pl.when(day > today).then(day.dt.offset_by("-100y")).otherwise(day)
