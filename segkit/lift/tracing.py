"""A segment's number followed back to its customers, clean order lines and raw rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, get_args

import polars as pl

from segkit.display import counted, number, percent
from segkit.errors import DataError, require_choice, require_columns
from segkit.frames import is_sold
from segkit.lift.effects import choose_metrics
from segkit.lift.outcomes import Outcomes
from segkit.lift.verdicts import ALL
from segkit.lift.wording import amount
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.intake import Intake

TracedMetric = Literal["conversion", "revenue", "orders"]
CLOSE = 1e-6  # of a customer's amount, in the currency


@dataclass(frozen=True, slots=True, eq=False)
class SegmentTrace(Result):
    """What a figure of one segment and arm is made of.

    Attributes
    ----------
    customers : polars.DataFrame
        One row per customer: customer_id, assigned_at, the outcome.
    lines : polars.DataFrame
        The clean order lines in the customers' windows: customer_id, order_id, order_time, amount,
        source_row (of the raw table).
    raw : polars.DataFrame or None
        The raw rows of these lines, with source_row; None where the intake does not hold them.
    metric, label, kind, segment, arm : str
    value : float
        The figure: the outcome's sum over the number of customers.
    rebuilt : float
        The same, added up from the order lines.
    """

    customers: pl.DataFrame
    lines: pl.DataFrame
    raw: pl.DataFrame | None
    metric: str
    label: str
    kind: str
    segment: str
    arm: str
    value: float
    rebuilt: float

    def to_frame(self) -> pl.DataFrame:
        """Return the order lines."""
        return self.lines

    @property
    def text(self) -> str:
        """The figure, and what it was added up from."""
        raw = "" if self.raw is None else f", from {counted(self.raw.height, 'raw row')}"
        buyers = self.lines["customer_id"].n_unique()
        words = amount(self.value, self.kind)
        return (
            f"{self.label.capitalize()} of {self.segment} in arm {self.arm} is {words}: "
            f"{counted(self.customers.height, 'customer')}, of whom {number(buyers)} "
            f"({percent(buyers / max(1, self.customers.height))}) have "
            f"{counted(self.lines.height, 'order line')} in their windows{raw}. Added up from the "
            f"lines it is {amount(self.rebuilt, self.kind)}."
        )


def trace_segment(
    taken: Intake,
    outcomes: Outcomes,
    *,
    segment: str,
    arm: str,
    metric: TracedMetric = "conversion",
) -> SegmentTrace:
    """Follow a figure of one segment and arm back to order lines and raw rows.

    Parameters
    ----------
    taken : Intake
        The clean tables from which the outcomes were derived.
    outcomes : Outcomes
        As `segkit.derive_outcomes` gave them.
    segment : str
        A segment, or "all customers".
    arm : str
    metric : {"conversion", "revenue", "orders"}
        A figure that rests on orders.

    Returns
    -------
    SegmentTrace

    Raises
    ------
    ParameterError
        If the segment, arm or figure is unknown, or does not rest on orders.
    DataError
        If the outcomes have no window, the intake no orders, or the lines do not add up to a
        customer's outcome: the tables are then not those of the outcomes.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> import segkit
    >>> lines = {"customer_id": ["a", "b"], "order_id": ["1", "2"], "amount": [20.0, 5.0],
    ...     "order_time": ["2024-03-04 10:00:00", "2024-04-20 10:00:00"]}
    >>> taken = segkit.clean_data({"orders": pl.DataFrame(lines)})
    >>> drawn = datetime(2024, 3, 1, tzinfo=UTC)
    >>> who = pl.DataFrame({"customer_id": ["a", "b"], "arm": "mail", "segment": "S1",
    ...     "assigned_at": [drawn, drawn]})
    >>> done = segkit.derive_outcomes(who, taken.orders)
    >>> found = trace_segment(taken, done, segment="S1", arm="mail", metric="revenue")
    >>> found.value, found.lines["source_row"].to_list(), found.raw.height
    (10.0, [0], 1)
    """
    possible = get_args(TracedMetric)
    require_choice("figure that rests on orders", metric, possible)
    frame = outcomes.frame
    (kpi,) = choose_metrics(frame.columns, [metric])
    require_columns(frame.columns, ["customer_id", "arm", "assigned_at"], "the outcomes")
    if outcomes.window_days is None:
        raise DataError(
            "only outcomes from derive_outcomes can be traced; these have no window of order lines"
        )
    if taken.orders is None:
        raise DataError("the intake holds no orders")
    segments = frame["segment"].unique().to_list() if "segment" in frame.columns else []
    for kind, name, choices in (
        ("segment", segment, [ALL, *segments]),
        ("arm", arm, frame["arm"].unique().to_list()),
    ):
        require_choice(kind, name, sorted(map(str, choices)))
    inside = pl.lit(value=True) if segment == ALL else pl.col("segment") == segment
    own = frame.filter(inside & (pl.col("arm") == arm))
    window = timedelta(days=outcomes.window_days)
    orders = taken.orders.with_columns(pl.col("customer_id").cast(pl.String))
    joined = orders.join(own.select("customer_id", "assigned_at"), on="customer_id")
    since = pl.col("order_time") - pl.col("assigned_at")
    lines = joined.filter((since >= timedelta(0)) & (since < window))
    names = ("customer_id", "order_id", "order_time", "amount", "is_return", "source_row")
    lines = lines.select(name for name in names if name in lines.columns)
    rebuilt = _rebuild(lines, kpi.column)
    both = own.select("customer_id", given=pl.col(kpi.column).cast(pl.Float64)).join(
        rebuilt, on="customer_id", how="left"
    )
    gap = (pl.col("given") - pl.col("made").fill_null(0.0)).abs()
    wrong = both.filter(gap > CLOSE)
    if wrong.height:
        raise DataError(
            f"the order lines do not add up to {kpi.column} of "
            f"{counted(wrong.height, 'customer')}: these are not the tables from which the "
            "outcomes were derived"
        )
    raw = None
    if "source_row" in lines.columns and taken.raw is not None and "orders" in taken.raw:
        numbered = taken.raw["orders"].lazy().with_row_index("source_row")
        numbered = numbered.with_columns(pl.col("source_row").cast(pl.Int64))
        places = lines["source_row"].unique().implode()
        raw = numbered.filter(pl.col("source_row").is_in(places)).collect()
    n = max(1, own.height)
    return SegmentTrace(
        own.select("customer_id", "assigned_at", kpi.column),
        lines.sort("customer_id", "order_time"),
        raw,
        metric,
        kpi.label,
        kpi.kind,
        segment,
        arm,
        float(own[kpi.column].cast(pl.Float64).sum()) / n,
        float(both["made"].sum()) / n,
    )


def _rebuild(lines: pl.DataFrame, column: str) -> pl.DataFrame:
    """Add up each customer's outcome from its order lines."""
    sold = lines.filter(is_sold(lines.columns))
    orders = sold.group_by("customer_id").agg(made=pl.col("order_id").n_unique().cast(pl.Float64))
    if column == "orders":
        return orders
    if column == "converted":
        return orders.with_columns(made=(pl.col("made") > 0).cast(pl.Float64))
    return lines.group_by("customer_id").agg(made=pl.col("amount").sum())
