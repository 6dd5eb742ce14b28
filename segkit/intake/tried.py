"""Answers tried on the data before they are offered: decimal signs, formats and order of dates."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import polars as pl

from segkit.display import counted
from segkit.intake.cells import is_text
from segkit.intake.columns import Columns
from segkit.intake.dates import Clock
from segkit.intake.evidence import constant_within, is_dated
from segkit.intake.headers import (
    WORDS,
    concepts,
    is_address_part,
    is_personal_number,
    names_companion,
    plain,
)
from segkit.intake.numbers import Dialect, read_numbers
from segkit.intake.spellings import spell_cells

_DAYS = (
    *("%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%Y-%m-%d", "%d.%m.%Y"),
    *("%Y.%m.%d", "%Y%m%d", "%d%m%Y", "%d %b %Y", "%b %d, %Y", "%d-%b-%y", "%d/%m/%y"),
    *("%m/%d/%y", "%y%m%d", "%Y年%m月%d日", "%d|%m|%Y", "%Y|%m|%d", "%Y_%m_%d", "%d_%m_%Y"),
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p", "%H%M", "%H%M%S", "_%H%M%S")
_NUMERIC = ("%Y%m%d", "epoch_s", "epoch_ms", "epoch_us", "excel")
SAMPLE = 1_000


def try_decimals(columns: Columns, name: str, raw_column: str) -> dict[str, float]:
    """Return the share of a column's cells that can be read with each decimal sign, best first."""
    unique = columns.spellings(raw_column)
    units = columns.units(name)
    seen = columns.dialect(raw_column)
    shares = {}
    for sign, other in ((".", ","), (",", ".")):
        dialect = Dialect(sign, other, seen.lakh)
        read = read_numbers(unique, dialect, units)
        shares[sign] = 1 - read.null_count() / max(read.len(), 1)
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def better_decimal(columns: Columns, *names: str) -> str:
    """Return the mapping line that makes more amounts readable; empty if none does."""
    for name in names:
        raw_column = columns.source(name)
        if raw_column is None or not is_text(columns.raw.schema[raw_column]):
            continue
        shares = try_decimals(columns, name, raw_column)
        sign = next(iter(shares))
        if shares[sign] > shares[columns.dialect(raw_column).decimal] + 0.01:
            return f'[{columns.table}] decimal = "{sign}"'
    return ""


def better_dates(columns: Columns, name: str) -> str:
    """Return the mapping line that makes more dates of a column readable; empty if none does."""
    raw_column = columns.source(name)
    if raw_column is None or not is_text(columns.raw.schema[raw_column]):
        return ""
    unique = columns.spellings(raw_column).head(20 * SAMPLE)
    now = _read(columns.clock(name), unique)
    first = columns.day_order(name).guess
    turned = columns.mapping.with_option(columns.table, "day_first", not first)
    other = _read(replace(columns, mapping=turned).clock(name), unique)
    if other > now + 0.01:
        return f"[{columns.table}] day_first = {'false' if first else 'true'}"
    form, share = best_format(unique)
    if form and share > now + 0.01:
        return f'[{columns.table}] date_format = "{form}"'
    return ""


def _read(clock: Clock, texts: pl.Series) -> float:
    read = texts.to_frame("t").select(clock.utc(pl.col("t"), pl.String()).is_not_null().mean())
    return float(read.item() or 0.0)


def best_format(texts: pl.Series) -> tuple[str, float]:
    """Return the format that reads most of the texts as possible dates, and the share it reads.

    Examples
    --------
    >>> best_format(pl.Series(["31|01|2024", "28|02|2024"]))
    ('%d|%m|%Y', 1.0)
    """
    part = texts.drop_nulls().cast(pl.String).head(SAMPLE).to_frame("t")
    text = pl.col("t").str.strip_chars()
    shares = part.select(
        _plausible(text.str.to_datetime(form, strict=False, time_unit="us")).alias(form)
        for form in ("".join(both) for both in itertools.product(_DAYS, _CLOCKS))
    ).row(0, named=True)
    best = max(shares, key=lambda form: shares[form])
    return (best, shares[best]) if shares[best] else ("", 0.0)


def best_numeric(columns: Columns, cells: pl.Series) -> str:
    """Return the way to read numbers as dates that gives possible days; empty if none does."""
    shares = {}
    for form in _NUMERIC:
        clock = Clock("UTC", (form,), columns.nulls, "earliest", "shift")
        read = clock.utc(pl.col("c"), cells.dtype).dt.replace_time_zone(None)
        shares[form] = cells.head(SAMPLE).to_frame("c").select(_plausible(read)).item()
    best = max(shares, key=lambda form: shares[form])
    return best if shares[best] >= 0.5 else ""


def _plausible(times: pl.Expr) -> pl.Expr:
    """Compute the share of times between 1990 and tomorrow."""
    tomorrow = datetime.now(tz=UTC).date() + timedelta(days=1)
    inside = times.dt.date().is_between(date(1990, 1, 1), tomorrow).fill_null(value=False)
    return inside.mean().fill_null(0.0)


def other_dates(columns: Columns, name: str, least: float = 0.0) -> str:
    """Return the mapping line that takes another column, whose values are dates; empty if none.

    A value must stand on the share ``least`` of the rows.
    """
    used = set(columns.mapping.tables[columns.table].columns.values())
    dated = [
        raw_column
        for raw_column in columns.raw.columns
        if raw_column not in used
        and columns.cells(raw_column).count() >= least * columns.raw.height
        and is_dated(columns.raw[raw_column])
    ]
    first = min(dated, key=lambda header: bool(LATER & concepts(header)[0]), default="")
    if not first or (least and LATER & concepts(first)[0]):
        return ""
    return f'[{columns.table}.columns] {name} = "{first}"'


def other_customers(
    columns: Columns, orders: int, least: float = 0.5, *, named: bool = True
) -> list[tuple[str, int]]:
    """List the columns that could be customers and whose values repeat, the likeliest first.

    Addresses, ids, cards and telephones come before names, those on nearly all rows first, and
    recipients, participants and guests last. A value must stand on the share ``least`` of the rows.
    Without ``named``, columns come last whose headers say nothing known, and whose values repeat
    as customers do.
    """
    raw = columns.raw
    ranked = []
    for name, kind in raw.schema.items():
        rank = _person_rank(name)
        if rank is None and not named and _repeat_as_customers(columns, name):
            rank = len(_PERSONS)
        if rank is None or not (is_text(kind) or kind.is_integer()):
            continue
        shown = columns.profile(name)
        if name == columns.source("customer_id") or (shown and shown.counts_persons):
            continue
        cells = columns.cells(name)
        values = cells.drop_nulls()
        key = ("people", name, columns.nulls)
        if key not in columns.shared:
            columns.shared[key] = spell_cells(values.unique()).drop_nulls().n_unique()
        people = columns.shared[key]
        if (
            values.len() >= least * cells.len()
            and 1 < people < 0.9 * orders <= 0.9 * MOST_EACH * people
            and not is_dated(cells)
        ):
            of_other = _is_other_on_refunds(columns, cells), names_companion(name)
            is_name = rank >= _PERSONS.index("company")
            part = not is_name and values.len() < MOSTLY * cells.len()
            ranked.append((*of_other, is_name, part, rank, name, people))
    return [(name, people) for *_, name, people in sorted(ranked)]


def say_people(name: str, cells: pl.Series) -> str:
    """Say how many people a column names on the rows that are asked about, and on how many."""
    people = spell_cells(cells.unique()).drop_nulls().n_unique()
    rows = counted(cells.count(), "row")
    return f"{name!r} names {counted(people, 'person', 'people')} ({rows})"


def tells_persons(name: str) -> bool:
    """Return whether a header is that of a person's or firm's number, address or name."""
    return _person_rank(name) is not None


def names_person(name: str) -> bool:
    """Return whether a header is that of a person's name, and of no number or address."""
    meant, _ = concepts(name)
    return _person_rank(name) is not None and (
        "name" in meant and not meant & {"id", "email", "phone", "company", "order"}
    )


def _person_rank(name: str) -> int | None:
    """Return how likely a header names persons, 0 first; None if it names something else."""
    meant, _ = concepts(name)
    if is_personal_number(name):
        return _PERSONS.index("customer")
    if meant & _NO_PERSON - ({"place"} if "phone" in meant else set()) or is_address_part(name):
        return None
    if {"customer", "name"} <= meant and "id" not in meant:  # two customers can have one name
        return _PERSONS.index("name")
    if plain(name) in WORDS["headers"]["persons"].split():
        return _PERSONS.index("name")
    rank = next((i for i, c in enumerate(_PERSONS) if c in meant), None)
    if rank == len(_PERSONS) - 1 and not _NAMES & set(plain(name).split("_")):
        return None  # a description
    return rank


def _repeat_as_customers(columns: Columns, name: str) -> bool:
    """Return whether a column of an unknown name holds many values that each come a few times."""
    meant, unknown = concepts(name)
    shown = columns.profile(name)
    used = columns.mapping.tables["orders"].columns.values()
    of_person = _OF_PERSON | ({"id"} if unknown else {"place"} if "name" in meant else set())
    if shown is None or meant - of_person or not (meant or unknown) or name in used:
        return False
    if shown.dated or shown.is_money or shown.distinct < SOME:
        return False
    if shown.numbers is not None and shown.numbers.min() < FOUR_FIGURES:  # type: ignore[operator]
        return False  # counts of something
    values = shown.cells.drop_nulls()
    counts = values.value_counts()["count"]
    order = columns.profile(columns.source("order_id"))
    share = None if order is None else constant_within(order.cells, shown.cells)
    if share is not None and share < MOSTLY:
        return False
    return bool(counts.mean() > 1 and counts.median() <= OFTEN)  # type: ignore[operator]


def _is_other_on_refunds(columns: Columns, cells: pl.Series) -> bool:
    """Return whether rows of negative money mostly name others than those who bought."""
    if columns.source("amount") is None:
        return False
    back = (columns.numbers("amount") < 0).fill_null(value=False)
    buyers = cells.filter(~back).drop_nulls().value_counts()
    usual = buyers.filter(pl.col("count") < 0.5 * pl.col("count").sum())[cells.name]
    named = cells.filter(back).drop_nulls()
    return bool(named.len() and named.is_in(usual.implode()).mean() < 0.5)  # type: ignore[operator]


def likely_amount(columns: Columns) -> str:
    """Return the unused column of numbers that could be the amount; empty if none could."""
    used = set(columns.mapping.tables[columns.table].columns.values())
    both = [columns.profiles.get(str(columns.source(n))) for n in ("quantity", "unit_price")]
    units, prices = (None if shown is None else shown.numbers for shown in both)
    sums = {}
    for name, shown in columns.profiles.items():
        if name in used or _NO_AMOUNT & concepts(name)[0]:
            continue
        if shown.numbers is not None and not shown.dated:
            worth = float(shown.numbers.sum())
            is_code = shown.share_whole == 1 and float(shown.numbers.min()) >= LIKE_CODES  # type: ignore[arg-type]
            fits = (
                units is not None
                and prices is not None
                and (
                    ((units * prices - shown.numbers).abs() < 0.011).mean() >= MOSTLY  # type: ignore[operator]
                )
            )
            is_part = bool((shown.numbers == 0).mean() > 0.5)  # type: ignore[operator]
            sums[name] = (fits, not is_part, not is_code, shown.is_money, shown.filled > 0.5, worth)
    return max(sums, key=lambda name: sums[name]) if sums else ""


MOST_EACH = 50  # orders of one customer on average; a column of fewer values is of groups
# What happens to an order afterwards: no time of an order.
LATER = frozenset(["refund", "cancelled", "shipping", "deadline", "updated", "dispute", "age"])
SOME, OFTEN, MOSTLY = 10, 20, 0.95  # people, rows of each, and orders of one customer
FOUR_FIGURES = 1_000  # numbers of accounts have at least so many
LIKE_CODES = 1e7  # whole numbers from here on are rather codes than amounts
_NO_PERSON, _NO_AMOUNT = ({*WORDS["headers"][name].split()} for name in ("no_person", "no_amount"))
# What a header may name beside nothing known: the name of who ordered.
_OF_PERSON = frozenset(["name", "order", "buy", "user"])
_PERSONS = ("email", "customer", "loyalty", "phone", "company", "name")
_NAMES = {*WORDS["headers"]["name_words"].split()}
