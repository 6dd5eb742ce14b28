"""Segments of customers by expected value, with the probability of being in the top group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from segkit.display import counted, percent
from segkit.errors import ParameterError
from segkit.predict.value import TOP, Value
from segkit.result import Figure, Result

GROUPS = 10  # of customers by rank of expected value, in the picture


@dataclass(frozen=True, slots=True, eq=False)
class ValueSegments(Result):
    """Customers by expected value: what each group holds, and how sure its membership is.

    Attributes
    ----------
    table : polars.DataFrame
        One row per value segment, highest first: value_segment, customers, customer_share,
        least_value (lowest expected value in it), expected_value, share_of_value,
        value_per_customer, active_share (expected), p_top (mean probability of being among the 20%
        of highest value), value_at_risk.
    customers : polars.DataFrame
        One row per customer: those of `Value.customers`, value_segment, and value_at_risk: what
        the customer would be worth if certainly still active, less the expected value.
    horizon_days : int
    """

    table: pl.DataFrame
    customers: pl.DataFrame
    horizon_days: int

    @property
    def text(self) -> str:
        """State what the top group holds, and how sure it is."""
        top, low = self.table.row(0, named=True), self.table.row(-1, named=True)
        return (
            f"The {percent(top['customer_share'], places=0)} of customers with the highest "
            f"expected value hold {percent(top['share_of_value'])} of the value expected in the "
            f"next {counted(self.horizon_days, 'day')}, the last "
            f"{percent(low['customer_share'], places=0)} hold {percent(low['share_of_value'])}. Of "
            f"the first, {percent(top['p_top'], places=0)} are expected to end among the "
            f"{percent(TOP, places=0)} who bring most: no ranking of customers is certain."
        )

    def plot(self) -> Figure:
        """Draw the probability of being in the top group by rank of expected value."""
        from segkit.plot import bars

        tenth = pl.Series(
            "tenth", np.arange(self.customers.height) * GROUPS // self.customers.height + 1
        )
        ranked = self.customers.sort("expected_value", descending=True).with_columns(tenth)
        shown = ranked.group_by("tenth", maintain_order=True).agg(pl.col("p_top").mean())
        return bars(
            shown.with_columns(pl.col("tenth").cast(pl.String)),
            "tenth",
            "p_top",
            percent=True,
            reference=TOP,
            title=f"How sure the ranking by value is: chance to be in the top {TOP:.0%}",
            x_label="tenth of customers by expected value, 1 the highest",
            y_label="probability of being in the top group",
        )


def group_by_value(value: Value, shares: Sequence[float] = (0.2, 0.3)) -> ValueSegments:
    """Group customers by expected value.

    Parameters
    ----------
    value : Value
        From `estimate_value`.
    shares : sequence of float
        Shares of customers in each group but the last, from the highest value down.

    Returns
    -------
    ValueSegments

    Raises
    ------
    ParameterError
        If a share is not above 0, or they leave nobody for the last group.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> bought = rng.random((300, 400)) < rng.gamma(2.0, 0.01, 300)[:, None]
    >>> customer, day = np.nonzero(bought)
    >>> orders = pl.DataFrame(
    ...     {
    ...         "customer_id": customer.astype(str),
    ...         "order_day": day,
    ...         "amount": rng.gamma(4.0, 10.0, len(day)),
    ...     }
    ... )
    >>> from segkit.predict import estimate_value
    >>> groups = group_by_value(estimate_value(orders, horizon_days=90))
    >>> groups.table["value_segment"].to_list()
    ['Top 20%', 'Next 30%', 'Last 50%']
    """
    if not shares or min(shares) <= 0 or sum(shares) >= 1:
        raise ParameterError(f"shares must be above 0 and leave a last group, got {list(shares)}")
    edges = np.cumsum(shares)
    place = (np.arange(value.customers.height) + 0.5) / value.customers.height
    names = [f"Top {shares[0]:.0%}", *(f"Next {share:.0%}" for share in shares[1:])]
    names.append(f"Last {1 - edges[-1]:.0%}")
    group = pl.Series([names[one] for one in np.searchsorted(edges, place)])
    at_risk = pl.col("expected_value") * (1 / pl.col("p_alive").clip(1e-9) - 1)
    customers = value.customers.sort(
        "expected_value", "customer_id", descending=[True, False]
    ).with_columns(value_segment=group, value_at_risk=at_risk)
    table = (
        customers.group_by("value_segment", maintain_order=True)
        .agg(
            customers=pl.len().cast(pl.Int64),
            least_value=pl.col("expected_value").min(),
            expected_value=pl.col("expected_value").sum(),
            active_share=pl.col("p_alive").mean(),
            p_top=pl.col("p_top").mean(),
            value_at_risk=pl.col("value_at_risk").sum(),
        )
        .with_columns(
            customer_share=pl.col("customers") / customers.height,
            share_of_value=pl.col("expected_value") / pl.col("expected_value").sum(),
            value_per_customer=pl.col("expected_value") / pl.col("customers"),
        )
        .select(
            "value_segment",
            "customers",
            "customer_share",
            "least_value",
            "expected_value",
            "share_of_value",
            "value_per_customer",
            "active_share",
            "p_top",
            "value_at_risk",
        )
    )
    order = value.customers.select("customer_id")
    members = order.join(customers, on="customer_id", maintain_order="left")
    return ValueSegments(table, members, value.horizon_days)
