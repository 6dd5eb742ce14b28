"""Counts of customers on the way from accounts to the customer table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.display import counted, number
from segkit.errors import DataError
from segkit.ingest.settle import WHO
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.ingest.process import Intake


@dataclass(frozen=True, slots=True, eq=False)
class CustomerCounts(Result):
    """How many customers there are, counted in each way that a report counts them.

    Attributes
    ----------
    accounts : int or None
        Customer ids before linking; None where nothing was linked.
    customers : int or None
        Customers after linking.
    ordering : int
        Customers with an order line in the raw tables.
    kept : int
        Customers with an order line that is kept.
    buyers : int
        Customers with a sale line that is kept: the customer table's rows.
    """

    accounts: int | None
    customers: int | None
    ordering: int
    kept: int
    buyers: int

    def to_frame(self) -> pl.DataFrame:
        """Return the counts, one row each."""
        rows = {
            "accounts": self.accounts,
            "customers after linking": self.customers,
            "customers with an order line": self.ordering,
            "customers with an order line that is kept": self.kept,
            "customers who bought": self.buyers,
        }
        return pl.DataFrame({"what": list(rows), "count": list(rows.values())})

    @property
    def text(self) -> str:
        """The counts in one sentence."""
        first = ""
        if self.accounts is not None:
            first = (
                f"{counted(self.accounts, 'account')} belong to {number(self.customers)} "
                "customers after linking: "
            )
        return (
            f"{first}{number(self.ordering)} of them have an order line, {number(self.kept)} one "
            f"that is kept, and {number(self.buyers)} of these bought, which makes the rows of the "
            "customer table."
        )


def count_customers(taken: Intake, linked: Any = None) -> CustomerCounts:
    """Count the customers at each step from accounts to the customer table.

    Parameters
    ----------
    taken : Intake
        Clean tables, with what was rejected.
    linked : Identities, optional
        What `segkit.link_source` gave to that intake.

    Returns
    -------
    CustomerCounts

    Raises
    ------
    DataError
        If there are no orders.

    Examples
    --------
    >>> from segkit.ingest import intake
    >>> lines = pl.DataFrame({"customer_id": ["a", "b", "b"], "amount": [10.0, -5.0, 0.0],
    ...                       "order_time": ["2024-05-01"] * 3})
    >>> counts = count_customers(intake(lines))
    >>> counts.ordering, counts.kept, counts.buyers
    (2, 2, 1)
    """
    orders = taken.orders
    if orders is None:
        raise DataError("customers are counted by their orders; the source has none")
    named = pl.concat([orders["customer_id"], taken.rejects["orders"][WHO].alias("customer_id")])
    people = None if linked is None else int((linked.customers["customer_ids"] > 0).sum())
    return CustomerCounts(
        None if linked is None else linked.customer_ids,
        people,
        named.drop_nulls().n_unique(),
        orders["customer_id"].n_unique(),
        orders.filter(~pl.col("is_return"))["customer_id"].n_unique(),
    )
