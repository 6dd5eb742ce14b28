"""Micro-segments: groups by conditions that may overlap, with their sizes and worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from segkit.display import number, percent
from segkit.errors import ColumnError, DataError, require_columns
from segkit.frames import takes_frames
from segkit.result import Result
from segkit.rules import RuleSet

if TYPE_CHECKING:
    from segkit.plot import Figure


@dataclass(frozen=True, slots=True, eq=False)
class MicroSegments(Result):
    """Who meets which condition.

    Attributes
    ----------
    segments : polars.DataFrame
        One row a segment: segment, condition, customers, customer_share with _low and _high
        (Wilson, 95%), revenue, revenue_share (null without a value column), alone (customers
        in no other segment).
    overlap : polars.DataFrame
        One row a pair, both ways and with itself: segment, other, customers (in both),
        share_of_segment (of the first one's customers; null for an empty one).
    members : polars.DataFrame
        customer_id (where the frame has it) and one Boolean column a segment.
    rules : RuleSet
        The conditions.
    customers : int
        Rows of the frame.
    unmatched : int
        Customers in no segment.
    """

    segments: pl.DataFrame
    overlap: pl.DataFrame
    members: pl.DataFrame
    rules: RuleSet
    customers: int
    unmatched: int

    def to_frame(self) -> pl.DataFrame:
        """Return the segments, one row each."""
        return self.segments

    def of(self, name: str) -> pl.DataFrame:
        """Return the members of one segment (their customer_id).

        Raises
        ------
        RuleError
            If no segment has this name.
        """
        self.rules.where(name)
        kept = [column for column in ("customer_id",) if column in self.members.columns]
        return self.members.filter(pl.col(name)).select(kept)

    @property
    def text(self) -> str:
        """State the finding in words."""
        sizes = "; ".join(
            f"{row['segment']}: {number(row['customers'])} customers "
            f"({percent(row['customer_share'])})"
            for row in self.segments.head(6).iter_rows(named=True)
        )
        most = self.overlap.filter(pl.col("segment") < pl.col("other")).sort(
            "customers", descending=True
        )
        shared = ""
        if most.height and most["customers"][0]:
            row = most.row(0, named=True)
            shared = (
                f" Most shared: {row['segment']} and {row['other']}, "
                f"{number(row['customers'])} customers in both."
            )
        return (
            f"{sizes}.{shared} {number(self.unmatched)} of {number(self.customers)} customers "
            "are in none. Segments may overlap, so sizes and revenue do not add up."
        )

    def plot(self) -> Figure:
        """Draw which segments share customers."""
        from segkit.plot import heatmap

        return heatmap(
            self.overlap,
            "other",
            "segment",
            "share_of_segment",
            percent=True,
            title="Customers that micro-segments share",
            x_label="are also in",
            y_label="of the customers in",
            value_label="share of the row's customers",
        )


@takes_frames
def micro_segments(
    frame: pl.DataFrame,
    rules: RuleSet | Mapping[str, str],
    *,
    value: str | None = "monetary",
) -> MicroSegments:
    """Size up groups of customers that conditions over any features pick out.

    Parameters
    ----------
    frame : polars.DataFrame
        One row a customer, with the columns that the conditions read.
    rules : RuleSet or mapping of str to str
        Conditions by name; they may overlap. A null meets no comparison.
    value : str or None
        Column of revenue; left out where it is None or the frame has no "monetary".

    Returns
    -------
    MicroSegments

    Raises
    ------
    DataError
        If the frame has no rows.
    ColumnError
        If a column is missing or of another type.
    RuleError
        If the conditions are not given by name, or one cannot be read.

    Examples
    --------
    >>> frame = pl.DataFrame({"recency_days": [3, 9, 90], "product_views_7d": [5, 1, 4]})
    >>> hot = {"Hot": "recency_days <= 30 and product_views_7d > 3", "Recent": "recency_days <= 30"}
    >>> micro_segments(frame, hot).segments["customers"].to_list()
    [1, 2]
    """
    from segkit.stats.intervals import wilson

    if frame.is_empty():
        raise DataError("the customer table has no rows")
    rules = RuleSet.take(rules)
    if value == "monetary" and value not in frame.columns:
        value = None
    if value is not None:
        require_columns(frame.columns, [value], "the customer table")
        if not frame.schema[value].is_numeric():
            raise ColumnError(f"expected numbers in {value}, got {frame.schema[value]}")
    held = rules.matches(frame)
    counts = held.select(pl.sum_horizontal(pl.all().cast(pl.Int32))).to_series()
    sizes = [int(held[name].sum()) for name in rules.names]
    share = wilson(sizes, [frame.height] * len(sizes))
    revenue = [
        None if value is None else float(frame[value].filter(held[n]).sum()) for n in rules.names
    ]
    total = None if value is None else float(frame[value].sum())
    segments = pl.DataFrame(
        {
            "segment": list(rules.names),
            "condition": [rule.text.partition(": ")[2] for rule in rules.rules],
            "customers": sizes,
            "customer_share": [size / frame.height for size in sizes],
            "customer_share_low": share.low,
            "customer_share_high": share.high,
            "revenue": pl.Series(revenue, dtype=pl.Float64),
            "revenue_share": pl.Series(
                [own / total if own is not None and total else None for own in revenue],
                dtype=pl.Float64,
            ),
            "alone": [int((held[name] & (counts == 1)).sum()) for name in rules.names],
        }
    )
    ids = frame.select([column for column in ("customer_id",) if column in frame.columns])
    return MicroSegments(
        segments=segments,
        overlap=_overlap(held),
        members=pl.concat([ids, held], how="horizontal"),
        rules=rules,
        customers=frame.height,
        unmatched=int((counts == 0).sum()),
    )


def _overlap(held: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for name in held.columns:
        size = int(held[name].sum())
        for other in held.columns:
            both = int((held[name] & held[other]).sum())
            rows.append((name, other, both, both / size if size else None))
    schema: dict[str, type[pl.DataType]] = {
        "segment": pl.String,
        "other": pl.String,
        "customers": pl.Int64,
        "share_of_segment": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")
