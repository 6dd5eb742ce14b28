"""What did each assigned customer do in the window after the assignment?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from segkit.display import number
from segkit.errors import DataError, require_columns
from segkit.frames import takes_frames
from segkit.lift.design import refuse_later_segments, refuse_twice
from segkit.result import Result


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes(Result):
    """One row an assigned customer: arm, segment, what happened in the window, what was before.

    Attributes
    ----------
    frame : DataFrame
        customer_id, campaign_id, arm, offer, segment, assigned_at, and the outcomes: converted,
        orders, revenue, conversion_day (1 is the first; null without an order), visited, visits,
        emails_sent, emails_opened, emails_clicked, clicked, unsubscribed, complained, inactive;
        and from before the assignment pre_converted, pre_orders, pre_revenue, pre_visits, and for
        `describe_change` the same of orders under ``before_``, ``last_year_`` and
        ``before_last_year_``.
    issues : DataFrame
        issue, customers, rows, treatment: what was found wrong and what was done about it.
    window_days : float or None
        Length of the window from each customer's assignment; None for outcomes as given.
    data_until : datetime or None
        End of the data; windows that reach beyond are censored.
    randomised : bool
        Whether arms were drawn at random, as far as was told.
    data_from : datetime or None
        Start of the orders.
    """

    frame: pl.DataFrame
    issues: pl.DataFrame
    window_days: float | None
    data_until: datetime | None
    randomised: bool
    data_from: datetime | None = None

    def to_frame(self) -> pl.DataFrame:
        """Return customers and the sums of what they did, by arm."""
        sums = [name for name in ("converted", "orders", "revenue") if name in self.frame.columns]
        return (
            self.frame.group_by("arm")
            .agg(pl.len().alias("customers"), pl.col(sums).sum())
            .sort("arm")
        )

    @property
    def text(self) -> str:
        """How many customers are measured, over which window, and what was set apart."""
        window = "" if self.window_days is None else f" over {number(self.window_days)} days"
        found = self.issues.filter(pl.col("customers") > 0)
        told = "; ".join(
            f"{row['issue']}: {number(row['customers'])} ({row['treatment']})"
            for row in found.iter_rows(named=True)
        )
        arms = self.frame["arm"].n_unique()
        return (
            f"{number(self.frame.height)} customers in {number(arms)} arms are measured{window} "
            f"from their assignment. {f'Found: {told}.' if told else 'Nothing was amiss.'}"
        )


@takes_frames
def given_outcomes(
    assignments: pl.DataFrame,
    outcomes: pl.DataFrame,
    *,
    names: dict[str, str] | None = None,
    randomised: bool = True,
) -> Outcomes:
    """Take outcomes that a source gives per customer, instead of deriving them from events.

    Parameters
    ----------
    assignments : DataFrame
        customer_id, arm, and optionally segment, segment_as_of, assigned_at, covariates.
    outcomes : DataFrame
        customer_id and outcome columns.
    names : dict of str to str, optional
        The source's outcome name to segkit's ({"spend": "revenue"}).
    randomised : bool
        Whether arms were drawn at random.

    Returns
    -------
    Outcomes
        Of the assigned customers; whoever has no outcome is set apart and counted.

    Raises
    ------
    DataError
        If a customer comes twice on either side, or nobody is on both.

    Examples
    --------
    >>> who = pl.DataFrame({"customer_id": ["a", "b"], "arm": ["mail", "none"]})
    >>> did = pl.DataFrame({"customer_id": ["a", "b"], "spend": [5.0, 0.0]})
    >>> given_outcomes(who, did, names={"spend": "revenue"}).frame["revenue"].to_list()
    [5.0, 0.0]
    """
    require_columns(assignments.columns, ["customer_id", "arm"], "the assignments")
    require_columns(outcomes.columns, ["customer_id"], "the outcomes")
    for frame in (assignments, outcomes):
        refuse_twice(frame)
    refuse_later_segments(assignments)
    joined = assignments.join(outcomes.rename(names or {}), on="customer_id", how="inner")
    without = assignments.height - joined.height
    beyond = outcomes.height - joined.height
    if joined.is_empty():
        raise DataError("no assigned customer has an outcome; are the ids of one kind?")
    rows = [
        ("assigned, but without an outcome", without, without, "set apart"),
        ("outcome of a customer who was not assigned", beyond, beyond, "set apart"),
    ]
    return Outcomes(joined.sort("customer_id"), issue_table(rows), None, None, randomised)


def issue_table(rows: list[tuple[str, int, int, str]]) -> pl.DataFrame:
    """Frame what was found: issue, customers, rows, treatment."""
    schema: dict[str, Any] = {
        "issue": pl.String, "customers": pl.Int64, "rows": pl.Int64, "treatment": pl.String,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")
