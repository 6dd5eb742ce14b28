"""Short names that the trade uses for segments, given by rules on absolute and relative marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import label, number, percent
from segkit.errors import require_columns
from segkit.frames import takes_frames
from segkit.stats import intervals

Floats = npt.NDArray[np.float64]
Statistic = Literal["mean", "median", "share", "total"]
LEAST_CUSTOMERS = 30  # of whom a feature is known: of fewer nothing is proved
SHARES = ("_share", "_rate")


class Mark(NamedTuple):
    """Condition on a segment: an absolute bound of a statistic, and one relative to all customers.

    Attributes
    ----------
    feature : str
        Column of the customer table.
    statistic : {"mean", "median", "share", "total"}
        "share": of customers whose value is at most ``within``; "total": the segment's part of the
        sum over all customers.
    bound : {"at least", "at most"}
    absolute : float
        Bound of the statistic itself.
    relative : float
        Bound of the statistic over that of all customers (for "total": over the segment's share of
        customers).
    within : float or None
    """

    feature: str
    statistic: Statistic
    bound: Literal["at least", "at most"]
    absolute: float
    relative: float
    within: float | None = None

    @property
    def text(self) -> str:
        """The mark in words."""
        what = f"{self.statistic} of {label(self.feature)}"
        is_share = self.statistic in ("share", "total") or self.feature.endswith(SHARES)
        if self.within is not None:
            what = f"share of customers with {label(self.feature)} of {number(self.within)} or less"
        elif self.statistic == "total":
            what = f"share of all {label(self.feature)}"
        value = percent(self.absolute, places=0) if is_share else number(self.absolute)
        beside = "its share of customers" if self.statistic == "total" else "that of all customers"
        times = "" if self.relative == 1 else f"{self.relative:g} times "
        return f"{what} {self.bound} {value}, and {self.bound} {times}{beside}"


class AliasRule(NamedTuple):
    """Alias of a segment, and the conditions (marks) that the segment must all meet."""

    alias: str
    marks: tuple[Mark, ...]


# In this order: who is new or gone is that before anything else. An alias goes to the one segment
# that has the marks most strongly; the others may bear a later one.
RULES: tuple[AliasRule, ...] = (
    AliasRule("New customers", (Mark("tenure_days", "median", "at most", 120, 0.5),)),
    AliasRule(
        "Lapsing customers",
        (
            Mark("recency_days", "share", "at most", 0.25, 0.5, within=90),
            Mark("recency_days", "share", "at most", 0.05, 0.5, within=30),
        ),
    ),
    AliasRule("One-time buyers", (Mark("frequency", "share", "at least", 0.8, 1.5, within=1),)),
    AliasRule("Gift buyers", (Mark("gift_share", "mean", "at least", 0.4, 1.5),)),
    AliasRule("Budget shoppers", (Mark("discount_share", "mean", "at least", 0.15, 1.4),)),
    AliasRule(
        "Browsers",
        (
            Mark("visits_per_year", "mean", "at least", 24, 1.5),
            Mark("abandonment_rate", "mean", "at least", 0.5, 1.3),
        ),
    ),
    AliasRule("Frequent returners", (Mark("return_share", "mean", "at least", 0.3, 1.5),)),
    AliasRule(
        "Loyalists",
        (
            Mark("orders_per_year", "mean", "at least", 4, 1.4),
            Mark("recency_days", "share", "at least", 0.6, 0.9, within=90),
        ),
    ),
    AliasRule("Big spenders", (Mark("monetary", "total", "at least", 0.25, 1.5),)),
)


@takes_frames
def choose_aliases(
    table: pl.DataFrame,
    assignments: pl.DataFrame,
    *,
    rules: Sequence[AliasRule] = RULES,
    level: float = 0.95,
) -> dict[str, str]:
    """Give segments short names that retailers use ("Loyalists"), where the data prove them.

    A segment gets the alias of a rule whose conditions it meets. A condition is met only if the
    less favourable limit of the statistic's confidence interval satisfies both bounds. Each alias
    is given once, to the segment that exceeds the rule's first condition most.

    Parameters
    ----------
    table : polars.DataFrame
        The customer table: customer_id and features; a rule on a feature that it lacks is left out.
    assignments : polars.DataFrame
        customer_id, segment.
    rules : sequence of AliasRule
        In order: a segment gets the alias of the first rule that it meets.
    level : float

    Returns
    -------
    dict of str to str
        Segment to alias; segments that meet no rule are absent.

    Examples
    --------
    >>> table = pl.DataFrame({"customer_id": [str(i) for i in range(200)],
    ...                       "gift_share": [0.9, 0.8, 0.0, 0.1] * 50})
    >>> chosen = table.select("customer_id", segment=pl.Series(["S1", "S1", "S2", "S2"] * 50))
    >>> choose_aliases(table, chosen)
    {'S1': 'Gift buyers'}
    """
    require_columns(table.columns, ["customer_id"], "the customer table")
    require_columns(assignments.columns, ["customer_id", "segment"], "assignments")
    members = table.join(
        assignments.select("customer_id", "segment"), on="customer_id", maintain_order="left"
    )
    aliases: dict[str, str] = {}
    names = members["segment"].unique().sort().to_list()
    codes = members["segment"].to_numpy()
    for rule in rules:
        if any(mark.feature not in members.columns for mark in rule.marks):
            continue
        strengths = {}
        for name in names:
            if name in aliases:
                continue
            proofs = [_strength(members[m.feature], codes == name, m, level) for m in rule.marks]
            if all(one is not None for one in proofs):
                strengths[name] = proofs[0]
        if strengths:
            aliases[max(strengths, key=lambda name: strengths[name] or 0.0)] = rule.alias
    return {name: aliases[name] for name in names if name in aliases}


def _strength(
    column: pl.Series, inside: npt.NDArray[np.bool_], mark: Mark, level: float
) -> float | None:
    """Return by how much a segment has a mark, as a factor; None if it is not proved."""
    values = column.cast(pl.Float64).to_numpy()
    finite = np.isfinite(values)
    own, every = values[finite & inside], values[finite]
    if own.size < LEAST_CUSTOMERS:
        return None
    (low, high), whole = _interval(own, mark, level), _value(every, mark)
    if mark.bound == "at most":
        proved = high <= mark.absolute and high <= mark.relative * whole
        return whole / max(high, 1e-12) if proved else None
    # A part of a sum is no sample's estimate: it is what it is.
    amount = own.sum() / every.sum() if mark.statistic == "total" and every.sum() > 0 else low
    proved = amount >= mark.absolute and low >= mark.relative * whole
    return low / max(whole, 1e-12) if proved else None


def _value(values: Floats, mark: Mark) -> float:
    if mark.within is not None:
        return float((values <= mark.within).mean())
    return float(np.median(values) if mark.statistic == "median" else values.mean())


def _interval(own: Floats, mark: Mark, level: float) -> tuple[float, float]:
    """Return the limits of a segment's statistic."""
    if mark.within is not None:
        share = intervals.wilson(int((own <= mark.within).sum()), own.size, level=level)
        return float(share.low), float(share.high)
    if mark.statistic == "median":
        middle = intervals.median(own, level=level)
        return float(middle.low), float(middle.high)
    reach = intervals.z_value(level) * float(own.std(ddof=1)) / np.sqrt(own.size)
    return float(own.mean() - reach), float(own.mean() + reach)
