"""Addresses and consent that order lines state, as a table of customers."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from segkit.errors import SegkitError
from segkit.intake.lookups import propose_by_header
from segkit.intake.mapping import Mapping, TableMapping
from segkit.intake.store import Intake

CONSENTS = ("marketing_consent", "email_consent", "sms_consent", "phone_consent", "post_consent")


def add_contacts(taken: Intake) -> Intake:
    """Add a table of customers where there is none and the order lines state addresses or consent.

    A customer's address and consent are those of its latest order that states them. Lines that the
    intake rejected count for nothing.

    Parameters
    ----------
    taken : Intake
        As `segkit.clean_data` returns it, with its raw tables.

    Returns
    -------
    Intake
        The same where it has customers, or its orders state nothing about them.

    Examples
    --------
    >>> from segkit.intake import clean_data
    >>> lines = pl.DataFrame({"customer_id": ["a", "a"], "amount": [9.5, 3.5],
    ...     "order_date": ["2024-05-01", "2024-06-01"], "E-Mail": ["ann@x.org"] * 2,
    ...     "Newsletter": ["ja", "nein"]})
    >>> add_contacts(clean_data(lines)).customers.select("email", "marketing_consent").rows()
    [('ann@x.org', False)]
    """
    from segkit.intake.clean import clean_data

    raw = (taken.raw or {}).get("orders")
    if taken.customers is not None or taken.orders is None or raw is None:
        return taken
    frame = raw.lazy().collect()
    columns = propose_by_header("customers", frame, Mapping())[0].columns
    named = {ours: columns[ours] for ours in ("email", *CONSENTS) if ours in columns}
    mapped = taken.mapping.tables["orders"].columns.get("email")
    if mapped is not None:
        named["email"] = mapped
    if not named:
        return taken
    stated = frame.select(pl.col(theirs).alias(ours) for ours, theirs in named.items())
    latest = (
        taken.orders.select("customer_id", "order_time", "source_row")
        .join(stated.with_row_index("source_row").cast({"source_row": pl.Int64}), on="source_row")
        .sort("order_time", "source_row")
        .group_by("customer_id", maintain_order=True)
        .agg(pl.col(list(named)).drop_nulls().last())
    )
    mapping = Mapping({"customers": TableMapping({name: name for name in latest.columns})})
    try:
        customers = clean_data({"customers": latest}, mapping).customers
    except SegkitError:  # words that are neither yes nor no, or an address column of another kind
        return taken
    if customers is None:
        return taken
    note = (
        f"customers: {', '.join(map(repr, named.values()))} of the order lines, the latest stated"
    )
    return replace(
        taken, tables={**taken.tables, "customers": customers}, notes=(*taken.notes, note)
    )
