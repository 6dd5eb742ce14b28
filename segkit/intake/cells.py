"""Raw cells as values: texts, missing values, ids, exact millionths, yes and no."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.display import counted, number
from segkit.ids import WHOLE, is_no_customer, mangled_ids, read_ids, split_nobody
from segkit.intake.headers import WORDS
from segkit.intake.spellings import are_telephones, is_placeholder, spell_ids

if TYPE_CHECKING:
    from segkit.intake.mapping import Mapping

MICRO = 1_000_000
# Amounts beyond a million millions are misreadings (a card number, a bar code), and would not
# fit the exact sums.
MOST = 10**12 * MICRO

YES, NO = tuple(WORDS["answers"]["yes"]), tuple(WORDS["answers"]["no"])
NO_MARKS = ("-", "–", "—", "✗", "✘", "☐")
NUMBER = r"\s*[+-]?\d+(\.\d*)?\s*"


def is_text(dtype: pl.DataType) -> bool:
    """Return whether a column holds text, plain or encoded."""
    return dtype in (pl.String, pl.Categorical) or isinstance(dtype, pl.Enum)


def text(column: pl.Expr, nulls: Sequence[str]) -> pl.Expr:
    """Trim text and turn the words for 'no value' into nulls."""
    trimmed = column.cast(pl.String).str.strip_chars()
    return pl.when(trimmed.is_in(list({*nulls, ""}))).then(None).otherwise(trimmed)


def null_numbers(nulls: Sequence[object]) -> list[float]:
    """Return the words for 'no value' that are numbers: -999 is one in a column of numbers too.

    Examples
    --------
    >>> null_numbers(["", "NA", "nan", "-999", "9_9", 7])
    [-999.0, 7.0]
    """
    return [float(word) for word in map(str, nulls) if re.fullmatch(NUMBER, word)]


def present(column: pl.Expr, dtype: pl.DataType, nulls: Sequence[str]) -> pl.Expr:
    """Replace codes for missing values by null, in a column of any type.

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


def present_cells(cells: pl.Series, nulls: Sequence[str]) -> pl.Series:
    """Return a raw column as `present` does; texts that need no change are taken as they are.

    Examples
    --------
    >>> present_cells(pl.Series([" a", "NA", "b"]), ["NA"]).to_list()
    ['a', None, 'b']
    """
    if not is_text(cells.dtype):
        whole = present(pl.col(cells.name), cells.dtype, nulls)
        return cells.to_frame().select(whole.alias(cells.name)).to_series()
    trimmed = cells.cast(pl.String).str.strip_chars()
    empty = trimmed.is_in(list({*nulls, ""}))
    return trimmed.set(empty.fill_null(value=False), None) if empty.any() else trimmed


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
    """Read yes and no in the usual words of five languages, or in the mapping's words."""
    if dtype == pl.Boolean:
        return column
    if dtype.is_numeric():
        return pl.when(column.is_not_null()).then(column != 0)
    low = text(column, nulls).str.to_lowercase()
    yes = [*YES, *(str(word).lower() for word, meant in words.items() if meant is True)]
    no = [*NO, *(str(word).lower() for word, meant in words.items() if meant is False)]
    yes = [word for word in yes if words.get(word) is not False]
    return pl.when(low.is_in(yes)).then(True).when(low.is_in(no)).then(False)


PERSONS = ("customer_id", "email", "device_id", "loyalty_id")
# If these ids are damaged, many customers or orders become one.
DECISIVE = (*PERSONS, "order_id")
MOST_NAMED = 4


def read_column(
    cells: pl.Series,
    table: str,
    name: str,
    mapping: Mapping,
    notes: list[str],
    repeated: bool | None,
    told: dict[str, dict[bool, pl.Series]],
) -> pl.Series:
    """Read a raw column of ids; note how many are changed or count as missing.

    ``cells`` have null for missing values. ``repeated`` tells whether an id occurs twice among all
    rows, where these are a part. ``told`` marks rows that another column says are nobody's (True),
    or a customer's whatever the id's word (False).
    """
    read = read_ids(cells)
    what = f"{table}: {{}} in {cells.name!r}"
    if cells.dtype.is_float():
        notes.append(
            f"{table}: {cells.name!r} holds ids as decimals (such as 123.0); "
            "they are read as whole numbers (123)"
        )
    elif cells.dtype == pl.String:
        decimals = int(cells.str.contains(WHOLE).sum())
        if decimals:
            notes.append(
                what.format(counted(decimals, "id")) + " ending in '.0'; such ids are read as "
                "whole numbers (123.0 is 123)"
            )
        if name == "customer_id" and (cells != read).any():
            _note_emails(cells, read, what, notes)
    if name in DECISIVE:
        mangled = mangled_ids(cells)
        if mangled.any():
            read = read.set(mangled, None)
            notes.append(
                what.format(counted(int(mangled.sum()), "id"))
                + " mangled by a spreadsheet (1.23457E+12); such ids count as missing"
            )
    if name in PERSONS:
        marked = [rows[False] for rows in told.values()]
        somebody = reduce(or_, marked) if marked else None
        read = _without_nobody(read, table, name, mapping, notes, repeated, somebody)
    if name == "customer_id":
        changes: list[str] = []
        read = spell_ids(read, mapping, changes)
        notes += [f"{table}: {change}" for change in changes]
    return _without_told(read, table, told, notes)


def _without_told(
    read: pl.Series, table: str, told: dict[str, dict[bool, pl.Series]], notes: list[str]
) -> pl.Series:
    """Leave out the customer of rows that another column's value says are nobody's."""
    for header, rows in told.items():
        nobody = rows[True] & read.is_not_null()
        if nobody.any():
            count = counted(int(nobody.sum()), "row is", "rows are")
            notes.append(
                f"{table}: {count} nobody's by {header!r} and count as without a customer "
                "(no_customer)"
            )
            read = read.set(nobody, None)
    return read


def _note_emails(cells: pl.Series, read: pl.Series, what: str, notes: list[str]) -> None:
    """Note that e-mail addresses are compared in lower case, if that joins or changes any."""
    emails = cells.filter(read.str.contains("@", literal=True)).unique()
    changed = int((emails != read_ids(emails)).sum())
    if changed:
        people = counted(read_ids(emails).n_unique(), "address", "addresses")
        notes.append(
            what.format(counted(emails.len(), "spelling") + " of e-mail addresses as ids")
            + f" are compared without case, as platforms compare them: {people}"
        )


def _without_nobody(
    read: pl.Series,
    table: str,
    name: str,
    mapping: Mapping,
    notes: list[str],
    repeated: bool | None,
    somebody: pl.Series | None,
) -> pl.Series:
    """Treat ids that mean "no customer" as missing, with their counts.

    If each id has one row (a survey, a list of customers), 0 is an ordinary id, not a shared
    account for guests.
    """
    words, told = split_nobody(mapping.option(table, "no_customer"))
    empty = is_no_customer(read, words)
    if name == "customer_id" and words and are_telephones(mapping):
        empty |= is_placeholder(read)
    if table not in ("orders", "events") and empty.any():
        if repeated is None:
            repeated = bool(read.drop_nulls().is_duplicated().any())
        if not repeated:
            empty &= ~read.str.contains(r"^-?\d+(\.0)?$").fill_null(value=False)
    for word, is_nobody in told.get(read.name, {}).items():
        empty = empty.set((read.str.to_lowercase() == word).fill_null(value=False), is_nobody)
    empty &= pl.Series([True]) if somebody is None else ~somebody
    if not empty.any():
        return read
    counts = read.filter(empty).value_counts(sort=True, name="rows")
    shown = [
        f"{word!r} {number(rows)}"
        for word, rows in counts.sort("rows", read.name, descending=[True, False]).iter_rows()
    ]
    more = f" and {number(len(shown) - MOST_NAMED)} more" if len(shown) > MOST_NAMED else ""
    kind = "customer ids" if name == "customer_id" else name.replace("_id", " ids")
    notes.append(
        f"{table}: {kind} of {counted(int(empty.sum()), 'row')} in {read.name!r} stand for nobody "
        f"({', '.join(shown[:MOST_NAMED])}{more}) and count as missing (no_customer = [] keeps "
        "them)"
    )
    return read.set(empty, None)
