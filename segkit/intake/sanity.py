"""Checks of the whole: whether the clean order lines look like a shop's orders.

A mapping can be wrong although every cell can be read: an order number taken for the customer, a
list of customers taken for orders, a column that is mostly rejected. Such doubts are questions
about what was proposed; a customer that the mapping file names itself is doubted in a warning.
"""

from __future__ import annotations

from collections.abc import Mapping as Map

import polars as pl

from segkit.display import counted, money, number, percent
from segkit.ids import is_of_column, split_nobody
from segkit.intake.answers import quote_text
from segkit.intake.cells import is_text
from segkit.intake.columns import Columns, Shared
from segkit.intake.consents import is_consent
from segkit.intake.counts import count_lines
from segkit.intake.doubted_customers import doubt_customers, write_customer_line
from segkit.intake.evidence import ENOUGH
from segkit.intake.headers import concepts, pattern, plain, regex, without_prefix
from segkit.intake.lookups import EVENT_WORDS
from segkit.intake.mapping import STATUS_COLUMNS, Mapping, lacks
from segkit.intake.privacy import show_state
from segkit.intake.questions import FEW_NAMED, GIVE_AS, Finding
from segkit.intake.rejects import discount_comes_off
from segkit.intake.store import Intake
from segkit.intake.sums import line_money
from segkit.intake.tried import (
    better_dates,
    better_decimal,
    other_customers,
    other_dates,
)
from segkit.intake.whole_orders import is_cancelled, states_of
from segkit.schema import EVENT_TYPES

FEW_PER_CENT, FEW_DATES, FULL_DATES = 0.05, 0.005, 0.98
LITTLE_MONEY = 0.005  # of the sales: what is left out without a question
MOST = 0.95  # of the rows rejected: hardly an order is left
# What nobody can repair by another mapping: the reasons of a row as such.
_UNREAD = {
    "order_time": ("missing_date", "bad_date", "impossible_date"),
    "amount": ("missing_amount", "unknown_unit", "bad_amount", "amount_out_of_range"),
}
# The column behind a reason that is not a choice of the mapping file's.
BEHIND = {
    "missing_customer_id": "customer_id",
    **dict.fromkeys(("cancelled", "refunded", "unpaid"), "status"),
    **dict.fromkeys(_UNREAD["order_time"], "order_time"),
    **dict.fromkeys((*_UNREAD["amount"], "zero_amount", "conflicting_totals"), "amount"),
    **dict.fromkeys(("zero_price", "negative_price"), "unit_price"),
    **dict.fromkeys(("currency_conflict", "unknown_currency", "no_fx_rate"), "currency"),
    "bad_discount": "discount",
}
_SUMMED_UP, _ABOUT_PERSONS = pattern("summed_up"), pattern("about_persons")


def doubt_orders(
    raw: pl.DataFrame,
    given: Mapping,
    used: Mapping,
    taken: Intake,
    counts: pl.DataFrame | None = None,
    shared: Shared | None = None,
) -> list[Finding]:
    """List the doubts about proposed columns of orders that the clean lines raise.

    ``given`` and ``used`` are the mapping as given and as completed; ``counts`` are the clean lines
    as `segkit.intake.counts.count_lines` counts them, and ``shared`` the cells and profiles of the
    raw rows, where these are there already.
    """
    with without_prefix(raw.columns):
        columns = Columns("orders", raw, used, shared=shared or {})
        return _doubts(columns, given, taken, counts)


def _doubts(
    columns: Columns, given: Mapping, taken: Intake, counts: pl.DataFrame | None
) -> list[Finding]:
    findings = _doubt_rejects(columns, given, taken)
    lines = taken.orders
    if findings or lines is None or not lines.height:
        return findings
    findings += [
        item
        for item in doubt_rejected(columns, taken)
        if columns.raw.height >= ENOUGH and not _is_given(given, item.column)
    ]
    findings += _doubt_prices(columns, taken)
    return findings + doubt_customers(
        columns,
        taken,
        count_lines(lines) if counts is None else counts,
        named=_is_given(given, "customer_id"),
        no_customer=columns.mapping.is_set("orders", "no_customer") and _tells_nobody(columns),
        is_file=not given.leaves("orders"),
    )


def _tells_nobody(columns: Columns) -> bool:
    """Return whether ``no_customer`` speaks of the customer's own column, or of bare ids."""
    listed = columns.option("no_customer")
    told = split_nobody(listed)[1]
    return columns.source("customer_id") in told or not (listed and all(map(is_of_column, listed)))


def _is_given(given: Mapping, name: str) -> bool:
    """Return whether the mapping file itself names a column for the contract's."""
    part = given.tables.get("orders")
    return part is not None and name in {**part.columns, **part.constants}


def _doubt_rejects(columns: Columns, given: Mapping, taken: Intake) -> list[Finding]:
    """Ask about columns of which more than a few per cent cannot be read."""
    reasons, rows = taken.ledger.reasons(), columns.raw.height
    kept = taken.orders is not None and taken.orders.height > 0
    findings = []
    for name, unread in _UNREAD.items():
        lost = sum(reasons.get(reason, 0) for reason in unread)
        few = FEW_PER_CENT * rows
        full = ""  # a date that stands on the rows without one, too
        if name == "order_time" and 0 < lost <= few and not _is_given(given, name):
            full = other_dates(columns, name, FULL_DATES)
            sales = 0 if taken.orders is None else taken.orders.height
            few = FEW_DATES * (lost + sales) if full else few
        if not lost or (kept and (lost <= few or rows < ENOUGH)):
            continue
        raw_columns = columns.shown(*((name,) if columns.has(name) else ("quantity", "unit_price")))
        is_given = _is_given(given, name)
        if name == "order_time":
            answer = better_dates(columns, name) or full
            answer = answer or ("" if is_given else other_dates(columns, name))
        else:
            answer = better_decimal(columns, "amount", "quantity", "unit_price")
        if kept and not answer and (is_given or (name == "amount" and _are_of_kinds(columns))):
            continue
        source = raw_columns[0] if raw_columns and kept else "..."
        left_out = ", if these rows are to be left out" if kept else ""
        stays = f'[orders.columns] {name} = "{source}"{left_out}'
        answer = f"{answer}; or {stays}" if full else answer or stays
        counts = ", ".join(
            f"{reason.replace('_', ' ')} {number(reasons[reason])}"
            for reason in unread
            if reason in reasons
        )
        text = (
            f"{percent(lost / rows)} of the rows have no {name.replace('_', ' ')} that can be read "
            f"from {' and '.join(map(repr, raw_columns))} ({counts})."
        )
        findings.append(Finding("block", "orders", name, text, lost, answer=answer))
    return findings


def _doubt_prices(columns: Columns, taken: Intake) -> list[Finding]:
    """Ask whether lines of a negative price are returns, where nothing else says so."""
    rejected = (r for step in taken.ledger.steps if step.table == "orders" for r in step.rejected)
    item = next((r for r in rejected if r.reason == "negative_price"), None)
    if item is None or columns.raw.height < ENOUGH or columns.mapping.is_set("orders", "negative"):
        return []
    lost, sold = float(item.money or 0), float(taken.tables["orders"]["amount"].sum())
    if abs(lost) <= LITTLE_MONEY * sold:
        return []
    text = (
        f"{columns.source('unit_price')!r} is negative on {counted(item.rows, 'row')} "
        f"({money(lost)}): given back, or left out with all that is negative?"
    )
    answer = f'{item.change}; or [orders] negative = "reject"'
    example = item.examples[0] if item.examples else ""
    return [Finding("block", "orders", "unit_price", text, item.rows, example, answer)]


def _are_of_kinds(columns: Columns) -> bool:
    """Return whether the rows without an amount are all rows of some kinds, such as payments."""
    kind, amount = columns.source("row_kind"), columns.source("amount")
    if kind is None or amount is None:
        return False
    kinds, without = columns.cells(kind).cast(pl.String), columns.cells(amount).is_null()
    return not kinds.filter(without).is_in(kinds.filter(~without).implode()).any()


def doubt_rejected(columns: Columns, taken: Intake) -> list[Finding]:
    """Ask what is wrong where all rows or nearly all are rejected, the biggest reason first."""
    rows = columns.raw.height
    steps = [step for step in taken.ledger.steps if step.table == "orders"]
    rejected = sorted((r for step in steps for r in step.rejected), key=lambda item: -item.rows)
    lost = sum(item.rows for item in rejected)
    kept = taken.orders is not None and taken.orders.height > 0
    sales = taken.orders.filter(~pl.col("is_return")).height if taken.orders is not None else 0
    if not rejected or lost <= MOST * (lost + sales):
        return []
    first = rejected[0]
    name = BEHIND.get(first.reason)
    if name is None and kept:
        return []  # left out because the mapping or the caller says so
    if name == "status" and not columns.has("status"):
        name = next((n for n in ("payment_status", "cancelled_at") if columns.has(n)), name)
    counts = ", ".join(f"{item.reason.replace('_', ' ')} {number(item.rows)}" for item in rejected)
    what = "Nearly every row is" if kept else "No order line is left: every row is"
    text = f"{what} rejected, {number(lost)} of {counted(rows, 'row')} ({counts})."
    answer = first.change
    if name == "customer_id":
        others = [*columns.shown("loyalty_id")]
        others += [raw for raw, _ in other_customers(columns, rows) if raw not in others]
        answer = write_customer_line(others) or "a source that says who ordered"
    elif name in ("cancelled_at", "status", "payment_status"):
        name, said, answer = _offer_states(columns) or (name, "", "a source whose orders count")
        text += said
    elif '"word"' in first.change and (kind := columns.source("row_kind")):
        words = columns.cells(kind).cast(pl.String)
        word = show_state(words.drop_nulls().mode().sort().first(), words)
        answer = f'[orders.values.row_kind] {quote_text(word)} = "line"'
    elif first.reason == "zero_amount" and discount_comes_off(columns):
        header = columns.source("discount")
        text += f" {header!r} comes off; without it, they have money."
        answer = f"[orders] discount_taken = true, if {header!r} is off already or is no discount"
    return [Finding("block", "orders", name or "", text, lost, answer=answer)]


def refuse_other_tables(columns: Columns, given: Mapping) -> list[Finding]:
    """Refuse a list of customers or an export of events that is given as orders."""
    raw, part = columns.raw, columns.mapping.tables["orders"].columns
    if raw.height < 2 or (_is_given(given, "customer_id") and _is_given(given, "amount")):
        return []
    events = _event_column(columns, part)
    amount = part.get("amount")
    without = amount is None or 2 * columns.cells(amount).count() < raw.height
    if events and not {"order_id", "row_kind"} & {*part} and without:
        text = f"This is an export of events ({events}), not of orders: most rows have no amount."
        return [Finding("block", "orders", "", text, raw.height, answer=GIVE_AS.format("events"))]
    names = pl.Series(raw.columns, dtype=pl.String)
    headers = pl.Series([plain(name) for name in raw.columns], dtype=pl.String)
    summed = names.filter(headers.str.contains(_SUMMED_UP)).to_list()
    persons = names.filter(headers.str.contains(_ABOUT_PERSONS)).to_list()
    who = part.get("customer_id")
    if who is None or not (summed or len(persons) > 1) or {"product_id", "order_id"} & {*part}:
        return []
    ids = raw[who].drop_nulls()
    if ids.len() < 2 or ids.n_unique() < 0.98 * ids.len() or (not summed and "amount" in part):
        return []
    text = (
        f"This is a list of customers, not of orders: each of {counted(raw.height, 'row')} is "
        f"another customer, and {', '.join(map(repr, (*summed, *persons)[:3]))} "
        "describe customers."
    )
    return [Finding("block", "orders", "", text, raw.height, answer=GIVE_AS.format("customers"))]


def refuse_without_customers(columns: Columns) -> list[Finding]:
    """Refuse order lines of which no column could say who ordered, if nothing else is lacking."""
    rows = columns.raw.height
    if rows < ENOUGH or lacks("orders", columns.mapping.tables["orders"]) != ["customer_id"]:
        return []
    if other_customers(columns, rows, FEW_NAMED) or other_customers(columns, rows, named=False):
        return []
    text = (
        "This file names no customer: none of its columns holds an id, an e-mail address or a name "
        f"of who ordered ({', '.join(map(repr, columns.raw.columns[:12]))}"
        f"{', ...' if columns.raw.width > 12 else ''}). Without customers there are no segments."
    )
    answer = "an export that names customers; or one of these columns as customer_id, if it does"
    return [Finding("block", "orders", "", text, rows, answer=answer)]


def _event_column(columns: Columns, used: Map[str, str]) -> str:
    """Return the name of a column whose words are kinds of events, with some; empty if none is."""
    raw = columns.raw
    for name, kind in raw.schema.items():
        is_used = name in (used.get("customer_id"), used.get("product_id"))
        if not is_text(kind) or is_used or is_consent(columns, name):
            continue
        words = raw[name].head(5_000).drop_nulls().cast(pl.String).unique().sort()
        if not 1 < words.len() <= 40:
            continue
        known = {*EVENT_TYPES, *EVENT_WORDS}
        said = [
            word for word in words if plain(word) in known or regex("event").search(plain(word))
        ]
        is_named = "event" in plain(name).split("_")
        if len(said) >= max(2, 0.4 * words.len()) or (is_named and said):
            return f"{name!r}: {', '.join(said[:4])}"
    return ""


def _offer_states(columns: Columns) -> tuple[str, str, str] | None:
    """Offer to read the file without the column that rejects most rows, and others of states.

    Return the column's role, what is said of it with the rows that would count, and the answer.
    """
    marked = _mark_rejected(columns)
    if not marked:
        return None
    role = max(marked, key=lambda name: marked[name].sum())
    header, own = str(columns.source(role)), marked.pop(role)
    others = pl.Series([False]).new_from_index(0, own.len())
    for rows in marked.values():
        others |= rows
    used = columns.mapping.tables["orders"].columns.values()
    offers = [
        f'[orders.columns] {role} = "{other}"'
        for other in columns.raw.columns
        if role in STATUS_COLUMNS and other not in used and "status" in concepts(other)[0]
    ]
    words = columns.cells(header).cast(pl.String).filter(own & ~others).drop_nulls()
    if role in STATUS_COLUMNS and words.len():
        word = show_state(words.mode().sort()[0], columns.cells(header).cast(pl.String))
        offers.append(f'[orders.values.{role}] {quote_text(word)} = "sale"')
    if role == "refund":
        offers.append(f"[orders.constants] refund = 0, if {header!r} holds no sums given back")
    else:
        offers.append(f'[orders] not_states = ["{header}"], if it is no state')
    said = (
        f" {header!r} rejects {number(int(own.sum()))} of them; without it, "
        f"{counted(int((~others).sum()), 'row')} would count."
    )
    return role, said, "; or ".join(offers)


def _mark_rejected(columns: Columns) -> dict[str, pl.Series]:
    """Mark the rows that each column of states, cancellations or refunds rejects, by its role."""
    marked = {
        name: (states_of(columns, name) != "sale").fill_null(value=False)
        for name in filter(columns.source, STATUS_COLUMNS)
    }
    if columns.source("cancelled_at"):
        marked["cancelled_at"] = is_cancelled(columns)
    worth = line_money(columns)
    if columns.source("refund") and worth is not None:
        whole = (worth > 0) & (columns.numbers("refund").abs() >= worth)
        marked["refund"] = whole.fill_null(value=False)
    return {name: rows for name, rows in marked.items() if rows.any()}
