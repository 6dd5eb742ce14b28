"""Requirements of a test: customers assigned at random, once, to segments from before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import counted, number
from segkit.errors import DataError, require_columns
from segkit.frames import takes_frames
from segkit.ids import require_unique

Floats = npt.NDArray[np.float64]
OFFER = (
    "lift needs customers assigned at random. describe_change(...) gives a before/after or "
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
        customer_id, segment; one row per customer.
    as_of : date
        The last day of data from which the segments were computed, its orders included.

    Returns
    -------
    DataFrame
        The assignments with segment and segment_as_of; "no segment" where a customer has none.

    Raises
    ------
    DataError
        If the segments use data from the day of an assignment or later, or a customer is in two
        segments.

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
    require_unique(segments, "the segments")
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
    """Raise an error if segments may rest on data from after the assignment.

    A date in segment_as_of is the last day of the data, whose orders up to midnight are in the
    segments: it must be before the day of the assignment. A date-time is the moment before which
    the data lie, and may be that of the assignment. Times without a zone are UTC.

    Raises
    ------
    DataError
        The error gives the number of customers and the two days.
    """
    lazy = frame.lazy()
    schema = lazy.collect_schema()
    if not {"segment_as_of", "assigned_at"} <= set(schema.names()):
        return
    end = as_utc(schema, "segment_as_of")
    if not isinstance(schema["segment_as_of"], pl.Datetime):
        end = end + timedelta(days=1)
    drawn = as_utc(schema, "assigned_at")
    late = end > drawn
    later = lazy.select(
        late.sum().alias("n"),
        pl.col("segment_as_of").filter(late).max().alias("seen"),
        drawn.filter(late).min().alias("drawn"),
    ).collect()
    n, last, first = later.row(0)
    if n:
        raise DataError(
            f"the segments of {counted(n, 'customer rests', 'customers rest')} on data up to "
            f"{last}, which is not before their assignment ({first:%Y-%m-%d}): the campaign may "
            "have moved them. Give the segments as they stood before it"
        )


def as_utc(schema: Mapping[str, pl.DataType], column: str) -> pl.Expr:
    """Return a column of times in UTC; a date is its first moment."""
    kind = schema[column]
    if isinstance(kind, pl.Datetime) and kind.time_zone is not None:
        return pl.col(column).dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    times = pl.col(column) if isinstance(kind, pl.Datetime) else pl.col(column).cast(pl.Date)
    return times.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def frame_of(outcomes: Any) -> Any:
    """Return the frame of `Outcomes`, or the frame given."""
    return getattr(outcomes, "frame", outcomes)


def read_test(outcomes: Any) -> Any:
    """Return the frame of a randomised test: a row per customer, segments from before it.

    Parameters
    ----------
    outcomes : Outcomes, DataFrame or LazyFrame

    Raises
    ------
    DataError
        If the arms were not assigned at random, a customer has two rows, or segments were computed
        after the assignment.
    """
    frame = frame_of(outcomes)
    if not getattr(outcomes, "randomised", True):
        raise DataError(f"this campaign's customers were chosen, not assigned at random: {OFFER}")
    refuse_twice(frame)
    refuse_later_segments(frame)
    return frame


def refuse_twice(frame: pl.DataFrame | pl.LazyFrame) -> None:
    """Raise ``DataError`` if a customer has two rows."""
    lazy = frame.lazy()
    if "customer_id" not in lazy.collect_schema().names():
        return
    rows, customers = lazy.select(pl.len(), pl.col("customer_id").n_unique()).collect().row(0)
    if rows > customers:
        raise DataError(
            f"{counted(rows - customers, 'row is', 'rows are')} of customers who come twice; lift "
            "needs one row per customer (derive_outcomes says what to do with customers assigned "
            "twice)"
        )


def finite_values(frame: pl.DataFrame, column: str) -> Floats:
    """Return a numeric column as floats; a missing or infinite value is an error.

    Raises
    ------
    DataError
        The error gives the number of such values.
    """
    values = frame.get_column(column).cast(pl.Float64, strict=False).to_numpy()
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise DataError(
            f"{number(bad)} of {counted(len(values), 'value')} of {column!r} are missing or "
            "infinite"
        )
    return np.asarray(values, dtype=np.float64)
