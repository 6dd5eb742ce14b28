"""Columns of ids in raw tables: read as text, with what is changed or missing counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from segkit.display import counted, number
from segkit.ids import (
    WHOLE,
    fold_ids,
    is_no_customer,
    mangled_ids,
    read_ids,
)

if TYPE_CHECKING:
    from segkit.ingest.mapping import Mapping

PERSONS = ("customer_id", "email", "device_id", "loyalty_id")
# A mangled id of these makes one customer, or one order, of many.
DECISIVE = (*PERSONS, "order_id")
MOST_NAMED = 4


def read_column(
    cells: pl.Series, table: str, name: str, mapping: Mapping, notes: list[str]
) -> pl.Series:
    """Read a raw column of ids; what is changed or taken for missing is noted with its count.

    Parameters
    ----------
    cells : polars.Series
        The raw column, what means 'no value' being null.
    table, name : str
        The contract's table and column.
    mapping : Mapping
    notes : list of str
        Collects the notes.

    Returns
    -------
    polars.Series of String
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
        if name == "customer_id":
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
        read = _without_nobody(read, name, what, mapping, notes)
    if name == "customer_id" and mapping.option(table, "similar_ids") == "join":
        read = _folded(read, what, notes)
    return read


def _note_emails(cells: pl.Series, read: pl.Series, what: str, notes: list[str]) -> None:
    """Say that addresses are compared without case, where that joins or changes any."""
    emails = cells.filter(read.str.contains("@", literal=True)).unique()
    changed = int((emails != read_ids(emails)).sum())
    if changed:
        people = read_ids(emails).n_unique()
        notes.append(
            what.format(counted(emails.len(), "spelling") + " of e-mail addresses as ids")
            + f" are compared without case, as platforms compare them: {number(people)} addresses"
        )


def _without_nobody(
    read: pl.Series, name: str, what: str, mapping: Mapping, notes: list[str]
) -> pl.Series:
    """Take ids that stand for no customer for missing, with their counts.

    Where each id has one row (a survey, a list of customers), 0 is a number like the others, not
    the account that holds all guests.
    """
    words = mapping.option(what.partition(":")[0], "no_customer")
    empty = is_no_customer(read, words)
    single = what.partition(":")[0] not in ("orders", "events")
    if single and empty.any() and not read.drop_nulls().is_duplicated().any():
        empty &= ~read.str.contains(r"^-?\d+(\.0)?$").fill_null(value=False)
    if not empty.any():
        return read
    held = read.filter(empty).value_counts(sort=True, name="rows")
    listed = [f"{word!r} {number(rows)}" for word, rows in held.sort("rows", read.name,
              descending=[True, False]).iter_rows()]  # fmt: skip
    more = f" and {number(len(listed) - MOST_NAMED)} more" if len(listed) > MOST_NAMED else ""
    kind = "customer ids" if name == "customer_id" else name.replace("_id", " ids")
    notes.append(
        what.format(f"{kind} of {counted(int(empty.sum()), 'row')}")
        + f" stand for nobody ({', '.join(listed[:MOST_NAMED])}{more}) and count as missing "
        "(no_customer = [] keeps them)"
    )
    return read.set(empty, None)


def _folded(read: pl.Series, what: str, notes: list[str]) -> pl.Series:
    """Give ids one spelling, and say how many that joins."""
    spellings = read.drop_nulls().unique().alias("id").to_frame()
    table = spellings.with_columns(one=fold_ids(pl.col("id")))
    joined = table.height - table["one"].n_unique()
    if joined:
        notes.append(
            what.format(counted(table.height, "id")) + f" are {number(table['one'].n_unique())} "
            'customers without case, width, accents and look-alikes (similar_ids = "join")'
        )
    return (
        read.alias("id").to_frame().join(table, on="id", how="left", maintain_order="left")["one"]
    ).alias(read.name)
