"""What changed when nobody drew lots: a description, which is no lift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.display import percent
from segkit.errors import DataError, ParameterError, unknown
from segkit.lift.outcomes import Outcomes
from segkit.lift.words import gap
from segkit.result import Result
from segkit.stats.intervals import z_value

if TYPE_CHECKING:
    from segkit.plot import Figure

PAIRS = {"conversion": ("converted", "share"), "revenue": ("revenue", "mean"),
         "orders": ("orders", "mean")}  # fmt: skip
LABEL = "A description, not a lift"


@dataclass(frozen=True, slots=True, eq=False)
class Change(Result):
    """Before and after a campaign whose customers were chosen, not drawn.

    Attributes
    ----------
    table : DataFrame
        One row a group, and "difference in differences" where others were not contacted: group,
        customers, before, after, change, low, high.
    metric, kind : str
    level : float
    days : float
        Length of either period.
    """

    table: pl.DataFrame
    metric: str
    kind: str
    level: float
    days: float

    def to_frame(self) -> pl.DataFrame:
        """Return the changes."""
        return self.table

    @property
    def text(self) -> str:
        """What changed, and why that proves nothing."""
        row = self.table.row(-1, named=True)
        both = self.table.height > 1
        what = (
            f"the contacted customers' {self.metric} changed by {gap(row['change'], self.kind)} "
            "more than the others'"
            if both
            else f"the contacted customers' {self.metric} changed by "
            f"{gap(row['change'], self.kind)} from before to after"
        )
        why = (
            "It would be the campaign's doing only if both groups had gone the same way without "
            "it, which nothing here can show"
            if both
            else "Season, sales and customers' usual ups and downs change it too (whoever was "
            "chosen for a high or low figure falls back towards the mean)"
        )
        return (
            f"{LABEL}: {what} ({percent(self.level, places=0)} interval "
            f"{gap(row['low'], self.kind)} to {gap(row['high'], self.kind)}). {why}. To know, "
            "assign the next campaign at random."
        )

    def plot(self) -> Figure:
        """Draw the changes with their intervals."""
        from segkit.plot import intervals

        return intervals(
            self.table, "group", "change", interval=("low", "high"), percent=self.kind == "share",
            title=f"{LABEL}: change in {self.metric} from before to after", x_label="",
            y_label="change per customer",
        )  # fmt: skip


def describe_change(
    outcomes: Outcomes,
    *,
    contacted: str,
    others: str | None = None,
    metric: str = "revenue",
    level: float = 0.95,
) -> Change:
    """What changed around a campaign whose customers were chosen, not drawn?

    Derive the outcomes with ``pre_days`` equal to ``window_days``, so that both periods are as
    long. Each customer's change is one number; with ``others`` the difference of the two groups'
    mean changes (difference in differences) is added.

    Parameters
    ----------
    outcomes : Outcomes
        With the metric's column and its pre_ twin (see `derive_outcomes`).
    contacted : str
        Arm of the contacted customers.
    others : str, optional
        Arm of customers who were not contacted.
    metric : {"conversion", "revenue", "orders"}
    level : float

    Returns
    -------
    Change

    Raises
    ------
    ParameterError
        If the metric or a group is unknown.
    DataError
        If there is nothing from before, or a group has fewer than two customers.

    Notes
    -----
    Source: Angrist & Pischke (2009), Mostly Harmless Econometrics, section 5.2.

    Examples
    --------
    >>> from segkit.lift.outcomes import given_outcomes
    >>> who = pl.DataFrame({"customer_id": list("abcd"), "arm": ["x", "x", "y", "y"],
    ...     "pre_revenue": [1.0, 2.0, 1.0, 2.0]})
    >>> did = pl.DataFrame({"customer_id": list("abcd"), "revenue": [4.0, 4.0, 1.0, 3.0]})
    >>> both = given_outcomes(who, did, randomised=False)
    >>> found = describe_change(both, contacted="x", others="y")
    >>> found.table["change"].to_list()
    [2.5, 0.5, 2.0]
    """
    if metric not in PAIRS:
        raise ParameterError(unknown("metric", metric, PAIRS))
    column, kind = PAIRS[metric]
    frame = outcomes.frame
    if not {column, f"pre_{column}"} <= set(frame.columns):
        raise DataError(f"a change needs {column} and pre_{column}; got {', '.join(frame.columns)}")
    rows: list[dict[str, Any]] = []
    for name in [contacted] if others is None else [contacted, others]:
        part = frame.filter(pl.col("arm") == name)
        if part.is_empty():
            raise ParameterError(unknown("arm", name, frame["arm"].unique().sort()))
        rows.append(_group(part, name, column, level))
    if others is not None:
        one, two = rows
        change = one["change"] - two["change"]
        reach = float(np.hypot(one["high"] - one["change"], two["high"] - two["change"]))
        rows.append(
            {"group": "difference in differences", "customers": one["customers"] + two["customers"],
             "before": one["before"] - two["before"], "after": one["after"] - two["after"],
             "change": change, "low": change - reach, "high": change + reach}
        )  # fmt: skip
    return Change(pl.DataFrame(rows), metric, kind, level, outcomes.window_days or float("nan"))


def _group(part: pl.DataFrame, name: str, column: str, level: float) -> dict[str, Any]:
    if part.height < 2:
        raise DataError(f"{name} has {part.height} customer; a change needs two")
    before = part[f"pre_{column}"].cast(pl.Float64).to_numpy()
    after = part[column].cast(pl.Float64).to_numpy()
    own = after - before
    reach = z_value(level) * own.std(ddof=1) / np.sqrt(own.size)
    mean = float(own.mean())
    return {
        "group": name, "customers": part.height, "before": float(before.mean()),
        "after": float(after.mean()), "change": mean, "low": mean - reach, "high": mean + reach,
    }  # fmt: skip
