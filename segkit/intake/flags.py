"""Columns of yes and no that say of an order whether it counts: refunded, cancelled, paid."""

from __future__ import annotations

import re
from dataclasses import replace

import polars as pl

from segkit.intake.cells import NO, NO_MARKS, YES
from segkit.intake.columns import Columns
from segkit.intake.evidence import ColumnProfile
from segkit.intake.headers import concepts
from segkit.intake.mapping import STATUS_COLUMNS, Mapping, TableMapping
from segkit.intake.statuses import closed_words, row_meaning, status_meaning
from segkit.intake.sums import line_money

# Where a state can be mapped to, the first that is free; in the last, what is filled is cancelled.
SLOTS = (*STATUS_COLUMNS, "cancelled_at")
MARKS = ("x", "✓", "✔", "☑", "*")
MOST_WORDS = 40
_CODE = re.compile(r"[a-z]|[-+.,]*\d[-+\d.,]*")
MOSTLY = 0.8  # share of the rows that give back whose words say so
OF_ORDER = frozenset(["order", "payment", "buy", "line"])
# By concept: what yes and no say of the order.
KINDS = {
    "cancelled": ("cancelled", "sale"),
    "dispute": ("refunded", "sale"),
    "refund": ("refunded", "sale"),
    "accepted": ("sale", "unpaid"),
    "live": ("sale", "cancelled"),
    "test": ("cancelled", "sale"),
}

ALONE = ("accepted", "live", "test")  # only where the header names nothing else


def words_of(shown: ColumnProfile) -> list[str]:
    """List the different values of a column as its status words are read, in order."""
    return sorted(shown.cells.drop_nulls().unique().cast(pl.String).to_list())


def flag_meanings(shown: ColumnProfile, yes: str, no: str) -> dict[str, str]:
    """Give the meaning of each word of a column of yes and no; empty if it is none.

    Examples
    --------
    >>> from segkit.intake.evidence import profile_columns
    >>> frame = pl.DataFrame({"Erstattet": ["nein", "ja"], "Note": ["ja", "later"]})
    >>> shown = profile_columns(frame, ())
    >>> flag_meanings(shown["Erstattet"], "refunded", "sale")
    {'ja': 'refunded', 'nein': 'sale'}
    >>> flag_meanings(shown["Note"], "refunded", "sale")
    {}
    """
    if shown.distinct > 2 * len(SLOTS):
        return {}
    words = words_of(shown)
    low = {word: word.lower() for word in words}
    if not {*low.values()} <= {*YES, *NO, *MARKS, *NO_MARKS} or _are_codes({*low.values()}):
        return {}
    return {word: no if low[word] in (*NO, *NO_MARKS) else yes for word in words}


def settle_words(columns: Columns) -> Mapping:
    """Give the words of mapped states the meanings that their header and the other words tell.

    Yes and no mean what the header says (``Refunded?``, ``Paid?``); where it says only what does
    not count, an empty cell counts. Words of the mapping file stand.
    """
    part = columns.mapping.tables["orders"]
    values = dict(part.values)
    for name in STATUS_COLUMNS:
        header = columns.source(name)
        own = part.values.get(name, {})
        if header is None or "*" in own or not columns.raw.height:
            continue
        words = columns.cells(header).cast(pl.String).drop_nulls().unique().sort().to_list()
        if len(words) > MOST_WORDS:
            continue
        yes, no = yes_and_no(header) or (None, None)
        read = closed_words(words)
        if yes is not None and no is not None:
            read |= flag_words(words, yes, no)
        meanings = {own.get(word) or read.get(word) or status_meaning(word, own) for word in words}
        if "" not in own and meanings and "sale" not in meanings | {no}:
            read[""] = "sale"  # the filled cells name all that does not count
        elif "" not in own and yes not in (None, "sale"):
            read[""] = str(no)
        added = {word: meaning for word, meaning in read.items() if word not in own}
        if added:
            values[name] = {**added, **own}
    if values == part.values:
        return columns.mapping
    tables = {**columns.mapping.tables, "orders": replace(part, values=values)}
    return replace(columns.mapping, tables=tables)


def flag_words(words: list[str], yes: str, no: str) -> dict[str, str]:
    """Give the meaning of each word that is a yes or a no, beside others.

    Single letters and digits are a yes or a no only where no others stand beside them.

    Examples
    --------
    >>> flag_words(["y", "Yes", "n", "later"], "sale", "unpaid")
    {'y': 'sale', 'Yes': 'sale', 'n': 'unpaid'}
    >>> flag_words(["S", "X"], "sale", "unpaid"), flag_words(["F", "Shipped"], "sale", "unpaid")
    ({}, {})
    """
    low = {word: word.strip().lower() for word in words}
    if _are_codes({*low.values()}):
        low = {word: text for word, text in low.items() if not _CODE.fullmatch(text)}
    marks = dict.fromkeys((*YES, *MARKS), yes) | dict.fromkeys((*NO, *NO_MARKS), no)
    return {
        word: marks[text]
        for word, text in low.items()
        if text in marks and status_meaning(word) is None
    }


def _are_codes(words: set[str]) -> bool:
    """Return whether single letters and digits among words are codes, not one yes and one no.

    Beside other words, only both together are a yes and a no.
    """
    short = {word for word in words if _CODE.fullmatch(word)}
    yes, no = short & {*YES}, short & {*NO}
    if short - yes - no or len(yes) > 1 or len(no) > 1 or ("f" in no and not yes <= {"t"}):
        return True  # F beside S is no false
    return not (yes and no) and not words <= {*YES, *NO, *MARKS, *NO_MARKS}


def kind_of(header: str) -> str | None:
    """Return the reason not to count that a header names: a member of ``KINDS``."""
    meant, unknown = concepts(header)
    kind = next((kind for kind in KINDS if kind in meant), None)
    return None if kind in ALONE and (unknown or meant - OF_ORDER != {kind}) else kind


def names_sales(columns: Columns, header: str) -> bool:
    """Return whether a column of refunds holds the ids of other rows: of the sales given back."""
    if not {"refund", "id"} <= concepts(header)[0]:
        return False
    named = columns.cells(header).cast(pl.String)
    for other in columns.raw.columns:
        if other != header and "id" in concepts(other)[0]:
            ids = columns.cells(other).cast(pl.String)
            met = named.drop_nulls().is_in(ids.drop_nulls().implode())
            if met.sum() > 0.5 * met.len() and not (named == ids).any():
                return True
    return False


def find_links(columns: Columns) -> str | None:
    """Return the column in which rows of positive money name the sale that they give back.

    They name the number of another row, whatever the header is, and their words, which no other
    row has, say that they give back.
    """
    order, worth = columns.source("order_id"), line_money(columns)
    if order is None or worth is None:
        return None
    ids = columns.cells(order).cast(pl.String)
    settled = {*columns.option("not_states"), *columns.mapping.tables["orders"].columns.values()}
    for name, shown in columns.profiles.items():
        if name in settled or not 0 < shown.filled <= 0.5:
            continue
        named = columns.cells(name).cast(pl.String)
        rows = named.is_not_null()
        met = named.is_in(ids.drop_nulls().implode()).fill_null(value=False)
        is_link = 0 < rows.sum() < 2 * met.sum() and not (named == ids).any()
        if is_link and (worth.filter(rows) > 0).any() and _are_told(columns, rows):
            return name
    return None


def _are_told(columns: Columns, rows: pl.Series) -> bool:
    """Return whether the words of a column say that these rows give back, and no others."""
    for shown in columns.profiles.values():
        if not shown.words or shown.cells.len() != rows.len():
            continue
        cells = shown.cells.cast(pl.String)
        words = cells.filter(rows).drop_nulls().unique()
        back = [
            w for w in words if row_meaning(w) in ("return", "refunded") or w.lower() == "credit"
        ]
        said = cells.is_in(back).fill_null(value=False)
        if said.filter(rows).mean() > MOSTLY and not (said & ~rows).any():  # type: ignore[operator]
            return True
    return False


def yes_and_no(header: str) -> tuple[str, str] | None:
    """Return what yes and no mean of the order, by a header such as Refunded, Paid or Deleted."""
    meant, kind = concepts(header)[0], kind_of(header)
    if {"dispute", "accepted"} <= meant or "possible" in meant:
        return None
    if kind is not None:
        return KINDS[kind]
    state = status_meaning(header)
    if state not in (None, "sale"):
        return str(state), "sale"
    named = meant & {"payment", "status"} and meant <= {"payment", "status", "order", "buy"}
    return ("sale", "unpaid") if named or state == "sale" else None


def place_flags(
    mapping: TableMapping, profiles: dict[str, ColumnProfile], fixed: set[str]
) -> tuple[dict[str, str], dict[str, dict[str, object]]]:
    """Find columns of yes and no that say whether an order is refunded or cancelled, as states.

    Return columns for free states, and the meanings of their words; ``fixed`` are the roles that
    the mapping file gives itself.
    """
    columns: dict[str, str] = {}
    values: dict[str, dict[str, object]] = {}
    used = set(mapping.columns.values())
    for header, shown in profiles.items():
        meant, unknown = concepts(header)
        kind = next((k for k in ("refund", "cancelled") if meant - OF_ORDER == {k}), None)
        if header in used or kind is None or unknown:
            continue
        if kind == "refund" and not _adds_refunds(shown, mapping, profiles, fixed):
            continue
        meanings = flag_meanings(shown, "refunded" if kind == "refund" else "cancelled", "sale")
        if not meanings or (kind == "cancelled" and "cancelled_at" in fixed):
            continue
        free = [s for s in STATUS_COLUMNS if s not in {*mapping.columns, *columns, *fixed}]
        if free:
            columns[free[0]] = header
            values[free[0]] = dict(meanings)
            if kind == "refund" and "refund" in mapping.columns:
                break  # "Refunded?" and "Fully refunded?" say the same
    return columns, values


def _adds_refunds(
    shown: ColumnProfile, mapping: TableMapping, profiles: dict[str, ColumnProfile], fixed: set[str]
) -> bool:
    """Return whether a flag of refunds marks orders that no amount of refunds is stated for."""
    if "is_return" in {*mapping.columns, *fixed}:
        return False
    stated = profiles.get(mapping.columns.get("refund", ""))
    if stated is None:
        return "refund" not in {*mapping.columns, *fixed}
    return stated.numbers is not None and marks_others(shown, stated.numbers)


def marks_others(shown: ColumnProfile, refunds: pl.Series) -> bool:
    """Return whether a flag is set on rows without an amount of refunds."""
    words = flag_meanings(shown, "yes", "no")
    marked = shown.cells.cast(pl.String).is_in([w for w, said in words.items() if said == "yes"])
    return bool((marked & (refunds.fill_null(0) == 0)).fill_null(value=False).any())


def is_state_flag(frame: pl.DataFrame, part: TableMapping, shown: ColumnProfile) -> bool:
    """Return whether a flag of returns stands on lines of positive money: the sale was refunded."""
    meanings = flag_meanings(shown, "yes", "no")
    if not meanings:
        return False
    columns = Columns("orders", frame, Mapping({"orders": part}))
    worth = line_money(columns)
    yes = [word for word, meaning in meanings.items() if meaning == "yes"]
    marked = columns.cells(shown.name).cast(pl.String).is_in(yes)
    return worth is not None and bool((marked & (worth > 0)).any())
