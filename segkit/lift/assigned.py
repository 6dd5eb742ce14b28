"""Who was assigned to what, once, and was it kept apart?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from segkit.errors import ColumnError, DataError, ParameterError, require_columns, unknown
from segkit.lift.design import refuse_later_segments

Issue = tuple[str, int, int, str]


def settle_assignments(
    assignments: pl.DataFrame,
    *,
    campaign_id: str | None = None,
    arms: Sequence[str] | None = None,
    window: timedelta,
) -> tuple[pl.DataFrame, list[Issue]]:
    """Bring assignments to one row a customer, and count what was in the way.

    The first assignment counts, whatever came later (intention to treat): what a customer was
    given first was drawn at random, a change may not have been. Two arms at one time leave no
    first, and the customer is set apart.

    Parameters
    ----------
    assignments : DataFrame
        customer_id, arm, assigned_at; campaign_id where there are several campaigns.
    campaign_id : str, optional
        The campaign to measure; needed if there are several.
    arms : sequence of str, optional
        The planned labels; another label is an error.
    window : timedelta
        Within which another campaign's assignment of the same customer is counted.

    Returns
    -------
    tuple of (DataFrame, list of issues)

    Raises
    ------
    ColumnError, DataError
        If a column is missing, a customer, arm or time is null, or nobody is left.
    ParameterError
        If the campaign or an arm's label is unknown.

    Examples
    --------
    >>> from datetime import datetime
    >>> frame = pl.DataFrame({"customer_id": ["a", "a"], "arm": ["x", "y"],
    ...     "assigned_at": [datetime(2024, 3, 1), datetime(2024, 3, 2)]})
    >>> settle_assignments(frame, window=timedelta(28))[0]["arm"].to_list()
    ['x']
    """
    require_columns(assignments.columns, ["customer_id", "arm", "assigned_at"], "the assignments")
    if not isinstance(assignments.schema["assigned_at"], pl.Datetime):
        kind = assignments.schema["assigned_at"]
        raise ColumnError(f"assigned_at must be a date-time (UTC), is {kind}")
    for column in ("customer_id", "arm", "assigned_at"):
        missing = assignments[column].null_count()
        if missing:
            raise DataError(f"{missing:,} assignments have no {column}")
    frame = assignments.with_columns(
        pl.col("customer_id", "arm").cast(pl.String), assigned_at=_utc(assignments, "assigned_at")
    )
    mine, others = _one_campaign(frame, campaign_id)
    if arms is not None:
        for label in mine["arm"].unique().sort():
            if label not in arms:
                raise ParameterError(unknown("arm", label, arms))
    refuse_later_segments(mine)
    kept, issues = _first_only(mine)
    if kept.is_empty():
        raise DataError("no customer was assigned to exactly one arm")
    near = kept.select("customer_id", "assigned_at").join(
        others.select("customer_id", other="assigned_at"), on="customer_id"
    )
    near = near.filter((pl.col("other") - pl.col("assigned_at")).abs() < window)
    count = near["customer_id"].n_unique()
    issues.append(("also in another campaign within the window", count, near.height, "kept"))
    return kept, issues


def _utc(frame: pl.DataFrame, column: str) -> pl.Expr:
    kind = frame.schema[column]
    if isinstance(kind, pl.Datetime) and kind.time_zone is not None:
        return pl.col(column).dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    return pl.col(column).dt.cast_time_unit("us").dt.replace_time_zone("UTC")


def _one_campaign(
    frame: pl.DataFrame, campaign_id: str | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    if "campaign_id" not in frame.columns:
        return frame, frame.clear()
    found = frame["campaign_id"].unique().drop_nulls().sort().to_list()
    if campaign_id is None and len(found) > 1:
        raise ParameterError(
            f"the assignments are of {len(found)} campaigns ({', '.join(map(str, found[:5]))}); "
            "say which by campaign_id"
        )
    if campaign_id is None:
        return frame, frame.clear()
    if campaign_id not in found:
        raise ParameterError(unknown("campaign", campaign_id, map(str, found)))
    own = pl.col("campaign_id").eq_missing(campaign_id)
    return frame.filter(own), frame.filter(~own)


def _first_only(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Issue]]:
    """Keep each customer's first assignment; set apart those who have two at once."""
    ordered = frame.sort("customer_id", "assigned_at", "arm", maintain_order=True)
    first = pl.col("assigned_at").min().over("customer_id")
    facts = ordered.with_columns(
        arms=pl.col("arm").n_unique().over("customer_id"),
        at_once=pl.col("arm").filter(pl.col("assigned_at") == first).n_unique()
        .over("customer_id"),
        rows=pl.len().over("customer_id"),
    )  # fmt: skip
    changed = facts.filter((pl.col("arms") > 1) & (pl.col("at_once") == 1))
    doubly = facts.filter(pl.col("at_once") > 1)
    repeated = facts.filter((pl.col("arms") == 1) & (pl.col("rows") > 1))
    kept = facts.filter(pl.col("at_once") == 1).unique(
        "customer_id", keep="first", maintain_order=True
    )

    def issue(what: str, rows: pl.DataFrame, treatment: str) -> Issue:
        return what, rows["customer_id"].n_unique(), rows.height, treatment

    return kept.drop("arms", "at_once", "rows"), [
        issue("assigned to the same arm again", repeated, "first kept"),
        issue("arm changed later", changed, "kept in the first arm"),
        issue("in two arms at one time", doubly, "set apart"),
    ]
