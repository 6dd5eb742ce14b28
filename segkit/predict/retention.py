"""Customers who may be leaving, and what it would be worth to keep them."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from segkit.display import counted, money, number, percent
from segkit.errors import require_columns, require_range
from segkit.frames import takes_frames
from segkit.ids import require_unique
from segkit.predict.value_segments import ValueSegments
from segkit.result import Figure, Result
from segkit.rules import parse_condition
from segkit.rules.conditions import columns, expression

LEAVING = "p_alive > 0.1 and p_alive < 0.8"


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
    """

    customers: pl.DataFrame
    table: pl.DataFrame
    rule: str
    horizon_days: int
    cost: float
    margin: float

    def to_frame(self) -> pl.DataFrame:
        """Return one row per value segment."""
        return self.table

    @property
    def text(self) -> str:
        """State how many may be leaving, what is at risk, and when a contact pays."""
        if self.customers.is_empty():
            return f"No customer meets the rule for leaving ({self.rule})."
        at_risk = float(self.customers["value_at_risk"].sum())
        mean = at_risk / self.customers.height
        share = percent(self.cost / (mean * self.margin)) if mean > 0 else "no share"
        return (
            f"{counted(self.customers.height, 'customer')} may be leaving ({self.rule}), with "
            f"{money(at_risk)} at risk in the next {counted(self.horizon_days, 'day')}: what they "
            "would bring if they had stayed, beyond what is expected of them. A contact at "
            f"{number(self.cost)} pays if it keeps {share} of them or more. Whether a contact "
            "keeps anybody is not known before a part of the list was left alone at random."
        )

    @property
    def answer(self) -> str:
        """State how many may be leaving, and what is at risk."""
        at_risk = money(float(self.customers["value_at_risk"].sum()))
        return (
            f"{counted(self.customers.height, 'customer')} by the rule {self.rule}, with {at_risk} "
            f"at risk in the next {counted(self.horizon_days, 'day')}."
        )

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
    return RetentionList(listed, table, rule, groups.horizon_days, cost, margin)
