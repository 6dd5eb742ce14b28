"""Segments of customers by expected value, and those of them who may be leaving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from segkit.display import counted, in_words, money, percent
from segkit.errors import ParameterError, require_columns, require_range
from segkit.frames import takes_frames
from segkit.ids import require_unique
from segkit.predict.value import TOP, Value
from segkit.result import Figure, Result
from segkit.rules import parse_condition
from segkit.rules.conditions import columns, expression

GROUPS = 10  # of customers by rank of expected value, in the picture


@dataclass(frozen=True, slots=True, eq=False)
class ValueSegments(Result):
    """Customers grouped by expected value, with the certainty of their membership.

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


LEAVING = "p_alive > 0.1 and p_alive < 0.8"
LEAVING_WORDS = "10% to 80% likely to be active"


@dataclass(frozen=True, slots=True, eq=False)
class RetentionList(Result):
    """Customers who may be leaving, most value at risk first.

    Attributes
    ----------
    customers : polars.DataFrame
        One row per customer on the list: those of `ValueSegments.customers`, and churn_probability
        where one was given.
    table : polars.DataFrame
        One row per value segment: value_segment, customers (on the list), share_of_segment,
        p_alive (mean), expected_value, value_at_risk, value_at_risk_per_customer, break_even: the
        share of the contacted that would have to be kept for the contacts to pay.
    rule : str
        Condition that put them on the list.
    horizon_days : int
    cost, margin : float
        Of a contact in money; share of revenue that is profit.
    currency : str or None
        Of the money, where the source names one.
    """

    customers: pl.DataFrame
    table: pl.DataFrame
    rule: str
    horizon_days: int
    cost: float
    margin: float
    currency: str | None = None

    def to_frame(self) -> pl.DataFrame:
        """Return one row per value segment."""
        return self.table

    @property
    def text(self) -> str:
        """State how many may be leaving, what is at risk, and when a contact pays."""
        if self.customers.is_empty():
            return f"No customer meets the rule for leaving ({self._rule})."
        at_risk = float(self.customers["value_at_risk"].sum())
        mean = at_risk / self.customers.height
        share = percent(self.cost / (mean * self.margin)) if mean > 0 else "no share"
        return (
            f"{counted(self.customers.height, 'customer')} may be leaving ({self._rule}), with "
            f"{money(at_risk, self.currency)} at risk in the next "
            f"{counted(self.horizon_days, 'day')}: what they would bring if they had stayed, "
            "beyond what is expected of them. A contact at "
            f"{money(self.cost, self.currency)} pays if it keeps {share} of them or more. Whether "
            "a contact keeps anybody is not known before a part of the list was left alone at "
            "random."
        )

    @property
    def answer(self) -> str:
        """State how many may be leaving, and what is at risk."""
        at_risk = money(float(self.customers["value_at_risk"].sum()), self.currency)
        return (
            f"{counted(self.customers.height, 'customer')} ({self._rule}), with {at_risk} "
            f"at risk in the next {counted(self.horizon_days, 'day')}."
        )

    @property
    def _rule(self) -> str:
        return LEAVING_WORDS if self.rule == LEAVING else in_words(self.rule)

    def plot(self) -> Figure:
        """Draw the value at risk of each value segment."""
        from segkit.plot import bars

        return bars(
            self.table,
            "value_segment",
            "value_at_risk",
            title=f"Value at risk in the next {counted(self.horizon_days, 'day')}",
            y_label="value at risk of customers who may be leaving",
        )


@takes_frames
def list_retention(
    groups: ValueSegments,
    rule: str = LEAVING,
    *,
    churn: pl.DataFrame | None = None,
    cost: float = 0.05,
    margin: float = 0.45,
    currency: str | None = None,
) -> RetentionList:
    """List the customers who may be leaving and are not yet lost.

    Parameters
    ----------
    groups : ValueSegments
        From `group_by_value`.
    rule : str
        Condition on the columns of ``groups.customers`` and, where given, churn_probability.
    churn : polars or pandas frame, optional
        customer_id and churn_probability, as `score_propensity` gives them.
    cost : float
        Money per contact.
    margin : float
        Share of revenue that is profit.
    currency : str, optional
        Of the values, for texts.

    Returns
    -------
    RetentionList

    Raises
    ------
    ColumnError
        If the rule names a column that is not there.
    DataError
        If churn names a customer twice.
    ParameterError
        If cost is negative, or margin not above 0 and up to 1.

    Examples
    --------
    See `group_by_value`; ``list_retention(groups).table`` has one row per value segment.
    """
    require_range("[0, inf)", cost=cost)
    require_range("(0, 1]", margin=margin)
    customers = groups.customers
    if churn is not None:
        require_columns(churn.columns, ["customer_id", "churn_probability"], "churn")
        require_unique(churn, "churn")
        scores = churn.select("customer_id", "churn_probability")
        customers = customers.join(scores, on="customer_id", how="left", maintain_order="left")
    condition = parse_condition(rule)
    require_columns(customers.columns, columns(condition), "the customers' values")
    listed = customers.filter(expression(condition)).sort(
        "value_at_risk", "customer_id", descending=[True, False]
    )
    sizes = groups.table.select("value_segment", size="customers")
    sums = listed.group_by("value_segment").agg(
        customers=pl.len().cast(pl.Int64),
        p_alive=pl.col("p_alive").mean(),
        expected_value=pl.col("expected_value").sum(),
        value_at_risk=pl.col("value_at_risk").sum(),
    )
    each = pl.col("value_at_risk") / pl.col("customers")
    table = (
        sizes.join(sums, on="value_segment", how="left", maintain_order="left")
        .with_columns(pl.col("customers", "expected_value", "value_at_risk").fill_null(0))
        .select(
            "value_segment",
            "customers",
            pl.col("customers").truediv(pl.col("size")).alias("share_of_segment"),
            "p_alive",
            "expected_value",
            "value_at_risk",
            value_at_risk_per_customer=pl.when(pl.col("customers") > 0).then(each),
            break_even=pl.when(pl.col("value_at_risk") > 0).then(cost / (each * margin)),
        )
    )
    return RetentionList(listed, table, rule, groups.horizon_days, cost, margin, currency)
