"""May a lift be measured at all? Refusals, each with what can be done instead."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import polars as pl

from segkit.errors import DataError, ParameterError, require_columns, unknown
from segkit.frames import takes_frames
from segkit.lift.sums import Sums

OFFER = (
    "lift needs an assignment drawn at random. describe_change(...) gives a before/after or "
    "difference-in-differences description instead, labelled as such"
)


@takes_frames
def attach_segments(
    assignments: pl.DataFrame, segments: pl.DataFrame, *, as_of: date
) -> pl.DataFrame:
    """Give assigned customers the segments that they were in before the campaign.

    Parameters
    ----------
    assignments : DataFrame
        customer_id, assigned_at.
    segments : DataFrame
        customer_id, segment; one row a customer.
    as_of : date
        The last day of data from which the segments were computed.

    Returns
    -------
    DataFrame
        The assignments with segment and segment_as_of; "no segment" where a customer has none.

    Raises
    ------
    DataError
        If the segments rest on data of days after an assignment, or a customer stands in two.

    Examples
    --------
    >>> from datetime import datetime, UTC
    >>> drawn = datetime(2024, 3, 2, tzinfo=UTC)
    >>> who = pl.DataFrame({"customer_id": ["a"], "assigned_at": [drawn]})
    >>> groups = pl.DataFrame({"customer_id": ["a"], "segment": ["S1"]})
    >>> attach_segments(who, groups, as_of=date(2024, 3, 1))["segment"].to_list()
    ['S1']
    """
    require_columns(assignments.columns, ["customer_id", "assigned_at"], "the assignments")
    require_columns(segments.columns, ["customer_id", "segment"], "the segments")
    if segments["customer_id"].n_unique() < segments.height:
        raise DataError("a customer stands in two segments; give one row a customer")
    own = segments.select("customer_id", pl.col("segment").cast(pl.String))
    joined = assignments.drop("segment", "segment_as_of", strict=False).join(
        own, on="customer_id", how="left", maintain_order="left"
    )
    if assignments.height and joined["segment"].null_count() == joined.height:
        raise DataError("no assigned customer has a segment; are the ids of one kind?")
    joined = joined.with_columns(
        pl.col("segment").fill_null("no segment"), segment_as_of=pl.lit(as_of)
    )
    refuse_later_segments(joined)
    return joined


def refuse_later_segments(frame: pl.DataFrame | pl.LazyFrame) -> None:
    """Raise where segments rest on data that came with or after the assignment.

    Raises
    ------
    DataError
        Naming how many customers, and the two days.
    """
    lazy = frame.lazy()
    if not {"segment_as_of", "assigned_at"} <= set(lazy.collect_schema().names()):
        return
    late = pl.col("segment_as_of").cast(pl.Date) > pl.col("assigned_at").dt.date()
    found = lazy.select(
        late.sum().alias("n"),
        pl.col("segment_as_of").filter(late).max().alias("seen"),
        pl.col("assigned_at").filter(late).min().alias("drawn"),
    ).collect()
    if found["n"].item():
        raise DataError(
            f"the segments of {found['n'].item():,} customers rest on data up to "
            f"{found['seen'].item()}, after their assignment ({found['drawn'].item():%Y-%m-%d}): "
            "the campaign may have moved them. Give the segments as they stood before it"
        )


def refuse_unrandomised(randomised: bool) -> None:
    """Raise where it is known that nobody drew lots.

    Raises
    ------
    DataError
    """
    if not randomised:
        raise DataError(f"this campaign's customers were chosen, not drawn: {OFFER}")


def check_arms(sums: Sums, control: str, arms: Any, segmented: bool) -> list[int]:
    """Return the places of the arms to be compared with the control.

    Raises
    ------
    ParameterError
        If the control, or an arm asked for, is not among the labels.
    DataError
        If there is only one arm, or each segment has an arm of its own.
    """
    for name in [control, *(arms or ())]:
        if name not in sums.arms:
            raise ParameterError(unknown("arm", str(name), sums.arms))
    if len(sums.arms) < 2:
        raise DataError(
            f"there is one arm only ({sums.arms[0]!r}), so nothing to compare with: {OFFER}"
        )
    alone = ((sums.n > 0).sum(axis=1) == 1).all()
    if segmented and len(sums.segments) > 1 and alone:
        raise DataError(
            f"each segment has one arm only, so that segment and arm cannot be told apart: {OFFER}"
        )
    chosen = list(arms) if arms else [name for name in sums.arms if name != control]
    if control in chosen:
        raise ParameterError(f"the control {control!r} cannot be compared with itself")
    return [sums.arms.index(name) for name in chosen]


def refuse_twice(frame: pl.DataFrame | pl.LazyFrame) -> None:
    """Raise where a customer has two rows.

    Raises
    ------
    DataError
    """
    lazy = frame.lazy()
    if "customer_id" not in lazy.collect_schema().names():
        return
    counted = lazy.select(pl.len().alias("rows"), n=pl.col("customer_id").n_unique()).collect()
    twice = counted["rows"].item() - counted["n"].item()
    if twice:
        raise DataError(
            f"{twice:,} rows are of customers who come twice; lift needs one row a customer "
            "(derive_outcomes says what to do with customers assigned twice)"
        )


def shares_differ(sums: Sums, arms: tuple[int, int]) -> bool:
    """Tell whether two arms' split differs between segments (chi-square, p < 0.001)."""
    from segkit.stats.hypotheses import count_table

    return bool(np.nan_to_num(count_table(sums.n[:, list(arms)]).p_value, nan=1.0) < 0.001)
