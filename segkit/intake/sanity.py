"""Checks of the whole: whether the clean order lines look like a shop's orders.

A mapping can be wrong although every cell can be read: an order number taken for the customer, a
list of customers taken for orders, a column that is mostly rejected. Such doubts are questions
about what was proposed; what the mapping file names itself is not doubted.
"""

from __future__ import annotations

from collections.abc import Mapping as Map

import polars as pl

from segkit.display import counted, money, number, percent
from segkit.intake.cells import is_text
from segkit.intake.columns import Columns
from segkit.intake.evidence import ENOUGH
from segkit.intake.headers import plain
from segkit.intake.lookups import EVENT_WORDS
from segkit.intake.mapping import Mapping
from segkit.intake.questions import Finding
from segkit.intake.store import Intake
from segkit.intake.tried import better_dates, better_decimal, other_customers, other_dates
from segkit.schema import EVENT_TYPES

FEW_PER_CENT = 0.05
GUEST_SHARE = 0.2
GUEST_TIMES, GUEST_LINES = 4, 50  # or so many times the next customer, and so many lines
# What nobody can repair by another mapping: the reasons of a row as such.
_UNREAD = {
    "order_time": ("missing_date", "bad_date", "impossible_date"),
    "amount": ("missing_amount", "unknown_unit", "bad_amount", "amount_out_of_range"),
}
# Headers of lists of customers that sum up their orders.
_SUMMED_UP = (
    r"total_?spen[dt]|amount_spent|orders?_count|(?:number|no|count|num)_(?:of_)?(?:orders|purchases)|"
    r"total_orders|^orders$|^purchases$|last_order|last_purchase|last_visit|first_order|"
    r"first_purchase|lifetime|^clv$|^ltv$|recency|frequency|average_order|avg_order|aov|"
    r"letzte_bestellung|derniere_commande|ultimo_pedido|ultima_compra|ultimo_ordine"
)
_ABOUT_PERSONS = (
    r"birth|gender|first_name|last_name|vorname|nachname|prenom|phone|opt_in|consent|newsletter|"
    r"subscri|signup|signed_up|registered|accepts_|tags|segment|member_since"
)


def doubt_orders(raw: pl.DataFrame, given: Mapping, used: Mapping, taken: Intake) -> list[Finding]:
    """List the doubts about proposed columns of orders that the clean lines raise.

    Parameters
    ----------
    raw : polars.DataFrame
        The raw order lines.
    given, used : Mapping
        The mapping as given, and as completed.
    taken : Intake
        The result of cleaning by it.

    Returns
    -------
    list of Finding
        Each says which mapping line settles it; one of severity "block" must be answered.
    """
    columns = Columns("orders", raw, used)
    findings = _doubt_rejects(columns, given, taken)
    lines = taken.orders
    if findings or lines is None or not lines.height:
        return findings
    if not _is_given(given, "customer_id"):
        findings += _doubt_single_orders(columns, lines)
        findings += _doubt_missing(columns, taken)
    is_given = _is_given(given, "customer_id") or used.is_set("orders", "no_customer")
    findings += _doubt_guests(columns, lines, is_given=is_given)
    return findings


def _is_given(given: Mapping, name: str) -> bool:
    """Return whether the mapping file itself names a column for the contract's."""
    part = given.tables.get("orders")
    return part is not None and name in {**part.columns, **part.constants}


def _doubt_rejects(columns: Columns, given: Mapping, taken: Intake) -> list[Finding]:
    """Ask about columns of which more than a few per cent cannot be read."""
    reasons = taken.ledger.reasons()
    rows = columns.raw.height
    findings = []
    for name, unread in _UNREAD.items():
        lost = sum(reasons.get(reason, 0) for reason in unread)
        kept = taken.orders is not None and taken.orders.height > 0
        if not lost or (kept and (lost <= FEW_PER_CENT * rows or rows < ENOUGH)):
            continue
        raw_columns = [
            raw_column
            for item in ((name,) if columns.has(name) else ("quantity", "unit_price"))
            if (raw_column := columns.source(item))
        ]
        answer = (
            better_dates(columns, name) or other_dates(columns, name)
            if name == "order_time"
            else better_decimal(columns, "amount", "quantity", "unit_price")
        )
        if kept and not answer and _is_given(given, name):
            continue
        source = raw_columns[0] if raw_columns else "..."
        answer = answer or f'[orders.columns] {name} = "{source}", if these rows are to be left out'
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


def _doubt_single_orders(columns: Columns, lines: pl.DataFrame) -> list[Finding]:
    """Ask whether customers who all bought once are customers at all."""
    by_customer = lines.lazy().filter(~pl.col("is_return")).group_by("customer_id").agg(
        orders=pl.col("order_id").n_unique()
    ).collect()  # fmt: skip
    orders = int(by_customer["orders"].sum())
    if by_customer.height < ENOUGH or by_customer.height < 0.98 * orders:
        return []
    raw_column = columns.source("customer_id")
    text = (
        f"Nobody bought twice: {counted(orders, 'order')} of "
        f"{counted(by_customer.height, 'customer')} in {raw_column!r}. Is that the customer, or "
        "the order?"
    )
    answer = f'[orders.columns] customer_id = "{raw_column}", if nobody did buy twice'
    others = other_customers(columns, orders)
    if plain(raw_column or "") == "customer_id" and not others:
        return []
    if others:
        name, people = others[0]
        answer = (
            f'[orders.columns] customer_id = "{name}" ({counted(people, "customer")}); or {answer}'
        )
    return [Finding("block", "orders", "customer_id", text, lines.height, answer=answer)]


def _doubt_missing(columns: Columns, taken: Intake) -> list[Finding]:
    """Ask whether a column without a value on most rows is the customer."""
    lost = taken.ledger.reasons().get("missing_customer_id", 0)
    rows = columns.raw.height
    if rows < ENOUGH or lost <= 0.5 * rows:
        return []
    raw_column = columns.source("customer_id")
    if plain(raw_column or "") == "customer_id":
        return []
    text = (
        f"{percent(lost / rows)} of the rows have no customer in {raw_column!r}; they are left out."
    )
    answer = f'[orders.columns] customer_id = "{raw_column}", if these are guests'
    return [Finding("block", "orders", "customer_id", text, lost, answer=answer)]


def _doubt_guests(columns: Columns, lines: pl.DataFrame, *, is_given: bool) -> list[Finding]:
    """Ask whether an id with a large part of the lines stands for guests."""
    top = lines["customer_id"].value_counts(sort=True)
    if top.height == 1:
        alone = "All lines are of one customer: nothing to segment."
        return [Finding("warn", "orders", "customer_id", alone)]
    rows, next_rows = int(top["count"][0]), int(top["count"][1])
    stands_out = rows >= max(GUEST_TIMES * next_rows, GUEST_LINES)
    if top.height <= 5 or not (rows >= GUEST_SHARE * lines.height or stands_out):
        return []
    worth = lines.filter(pl.col("customer_id") == top["customer_id"][0])["amount"].sum()
    text = (
        f"One customer id has {percent(rows / lines.height)} of the lines ({money(worth)}): a "
        "guest account?"
    )
    answer = (
        "[orders] nulls = [..., that id] rejects it as missing; or [orders.columns] customer_id = "
        f'"{columns.source("customer_id")}", if it is one customer'
    )
    large = rows >= max(GUEST_SHARE * lines.height, GUEST_TIMES * next_rows)
    asked = large and top.height >= ENOUGH and lines.height >= GUEST_LINES and not is_given
    severity = "block" if asked else "warn"
    return [Finding(severity, "orders", "customer_id", text, rows, answer=answer)]


def refuse_other_tables(raw: pl.DataFrame, given: Mapping, used: Mapping) -> list[Finding]:
    """Refuse a list of customers or an export of events that is given as orders.

    Returns
    -------
    list of Finding
        One of severity "block" if the rows are no order lines; else none.
    """
    if raw.height < 2 or (_is_given(given, "customer_id") and _is_given(given, "amount")):
        return []
    part = used.tables["orders"]
    events = _event_column(raw, part.columns)
    amount = part.columns.get("amount")
    without = amount is None or 2 * Columns("orders", raw, used).cells(amount).count() < raw.height
    if events and "order_id" not in part.columns and without:
        text = f"This is an export of events ({events}), not of orders: most rows have no amount."
        return [Finding("block", "orders", "", text, raw.height, answer=_AS.format("events"))]
    headers = [plain(name) for name in raw.columns]
    summed = [n for n, h in zip(raw.columns, headers, strict=True) if _search(h, _SUMMED_UP)]
    persons = [n for n, h in zip(raw.columns, headers, strict=True) if _search(h, _ABOUT_PERSONS)]
    who = part.columns.get("customer_id")
    if who is None or not (summed or len(persons) > 1) or "product_id" in part.columns:
        return []
    ids = raw[who].drop_nulls()
    if ids.len() < 2 or ids.n_unique() < 0.98 * ids.len() or "order_id" in part.columns:
        return []
    if not summed and "amount" in part.columns:
        return []
    text = (
        f"This is a list of customers, not of orders: each of {counted(raw.height, 'row')} is "
        f"another customer, and {', '.join(map(repr, (*summed, *persons)[:3]))} "
        "describe customers."
    )
    return [Finding("block", "orders", "", text, raw.height, answer=_AS.format("customers"))]


_AS = 'give it as "{0}", beside a table of order lines: {{"orders": ..., "{0}": ...}}'


def _search(header: str, pattern: str) -> bool:
    return bool(pl.Series([header]).str.contains(pattern)[0])


def _event_column(raw: pl.DataFrame, used: Map[str, str]) -> str:
    """Return the name of a column whose words are kinds of events, with some; empty if none is."""
    for name, kind in raw.schema.items():
        if not is_text(kind) or name in (used.get("customer_id"), used.get("product_id")):
            continue
        words = raw[name].head(5_000).drop_nulls().cast(pl.String).unique().sort()
        if not 1 < words.len() <= 40:
            continue
        spelt = [plain(word) for word in words.to_list()]
        said = [word for word, bare in zip(words, spelt, strict=True) if _is_event(bare)]
        if len(said) >= max(2, 0.4 * words.len()) or (
            {"event"} <= set(plain(name).split("_")) and said
        ):
            return f"{name!r}: {', '.join(said[:4])}"
    return ""


def _is_event(word: str) -> bool:
    """Return whether a word is a kind of event: opened_email, page_view."""
    return word in EVENT_TYPES or word in EVENT_WORDS or _search(word, _EVENT)


_EVENT = (
    r"(?:open|click|sent|receiv|deliver|bounc|unsubscrib|subscrib).*(?:mail|sms|campaign)|"
    r"mail.*(?:open|click|sent|bounce)|page_?view|view(?:ed)?_|_view(?:ed)?$|session|"
    r"add(?:ed)?_to_(?:cart|wishlist|bag)|checkout_start|started_checkout|begin_checkout|scroll|"
    r"first_visit|active_on_site|sign_?up|log_?in|search(?:ed)?$"
)
