"""Migration between two periods: who moved, which boundaries moved, who came and who left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import counted, number, percent
from segkit.errors import DataError, require_columns, require_range
from segkit.frames import takes_frames
from segkit.result import Figure, Result

if TYPE_CHECKING:
    from segkit.cluster.scorers import SegmentScorer


ABSENT = "not a customer"
UNSCORED = "no segment"
#: Of the customers in either of two segments, the share in both from which they are the same one.
LEAST_OVERLAP = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Migration(Result):
    """Change of the segments' sizes between two periods, in parts that add up.

    Attributes
    ----------
    parts : polars.DataFrame
        One row per segment: segment (the later model's id, or the earlier one's where the segment
        is gone), segment_name, customers_then, left (no longer customers), arrived (new
        customers), moved_in, moved_out (customers whose behaviour changed, by the earlier model),
        boundaries_in, boundaries_out (customers whom the later model assigns otherwise, on the
        same data), customers_now. ``then - left + arrived + moved_in - moved_out + boundaries_in -
        boundaries_out = now``, exactly.
    flows : polars.DataFrame
        One row per pair of segments: from_segment, to_segment (names; "not a customer" for those
        who were not yet or are no longer there), customers, and per measure its sum then and now.
    measures : polars.DataFrame
        One row per segment and measure: segment_name, measure, and the mean per customer then and
        now.
    matches : polars.DataFrame
        One row per segment of the later model: segment, segment_name, earlier_segment (null: a new
        one), overlap (customers in both segments, as a share of those in either).
    refitted : bool
        The two models differ; else nobody moved because of boundaries.
    """

    parts: pl.DataFrame
    flows: pl.DataFrame
    measures: pl.DataFrame
    matches: pl.DataFrame
    refitted: bool

    @property
    def moved(self) -> int:
        """Customers of both periods who are in another segment now."""
        stay = pl.col("from_segment") == pl.col("to_segment")
        absent = (pl.col("from_segment") == ABSENT) | (pl.col("to_segment") == ABSENT)
        return int(self.flows.filter(~stay & ~absent)["customers"].sum())

    @property
    def text(self) -> str:
        """State how many moved and why, and the segment that changed most."""
        flows = self.flows
        then = int(flows.filter(pl.col("from_segment") != ABSENT)["customers"].sum())
        arrived = int(flows.filter(pl.col("from_segment") == ABSENT)["customers"].sum())
        left = int(flows.filter(pl.col("to_segment") == ABSENT)["customers"].sum())
        both = then - left
        share = f" ({percent(self.moved / both)})" if both else ""
        behaviour = int(self.parts["moved_in"].sum())
        text = (
            f"Of {counted(both, 'customer')} of both periods {number(self.moved)}{share} changed "
            f"segment; {number(arrived)} arrived{f', {number(left)} left' if left else ''}. "
            f"Behaviour moved {number(behaviour)}"
        )
        if self.refitted:
            text += f", the new boundaries {number(int(self.parts['boundaries_in'].sum()))}"
        change = (pl.col("customers_now") - pl.col("customers_then")).alias("change")
        most = self.parts.with_columns(change).sort(pl.col("change").abs(), descending=True)
        row = most.row(0, named=True)
        return (
            f"{text}. {row['segment_name']} changed most: {number(row['customers_then'])} to "
            f"{counted(row['customers_now'], 'customer')}."
        )

    def plot(self) -> Figure:
        """Draw the flows between the segments of the two periods."""
        from segkit.plot import flow_bands

        return flow_bands(
            self.flows,
            "from_segment",
            "to_segment",
            "customers",
            title="Who moved between the segments",
            aside=(ABSENT, UNSCORED),
        )


@takes_frames
def compare_periods(
    earlier: SegmentScorer,
    before: pl.DataFrame,
    after: pl.DataFrame,
    *,
    later: SegmentScorer | None = None,
    measures: Sequence[str] = (),
) -> Migration:
    """Compare the segments of two periods and say why their sizes changed.

    Four steps lead from then to now, each counted: customers who left are taken out; those who
    stayed are scored on their new data by the earlier model (behaviour); new customers are added,
    by the earlier model; everybody is scored by the later model (boundaries).

    Parameters
    ----------
    earlier : segment model
        In force in the first period.
    before, after : polars.DataFrame
        Customer tables of the two periods with the models' columns and ``customer_id``.
    later : segment model, optional
        Fitted anew; by default the earlier one is still in force.
    measures : sequence of str
        Columns of both tables (revenue, orders, a rate) to be shown then and now.

    Returns
    -------
    Migration

    Raises
    ------
    ColumnError
        If a table lacks a column.
    DataError
        If the two tables have no customer in common.

    Examples
    --------
    >>> import numpy as np
    >>> from segkit.cluster import cluster_customers
    >>> rng = np.random.default_rng(0)
    >>> ids = [str(i) for i in range(100)]
    >>> spend = np.repeat([10.0, 90.0], 50) + rng.normal(size=100)
    >>> before = pl.DataFrame({"customer_id": ids, "spend": spend, "visits": spend + 1})
    >>> model = cluster_customers(before, features=["spend", "visits"], k=2).model
    >>> after = before.with_columns(pl.col("spend", "visits").reverse()).tail(60)
    >>> print(compare_periods(model, before, after).parts["left"].sum())
    40
    """
    newer = earlier if later is None else later
    for frame, name in ((before, "the earlier customer table"), (after, "the later one")):
        require_columns(frame.columns, ["customer_id", *measures], name)
    if not before.join(after, on="customer_id", how="semi").height:
        raise DataError("the two periods have no customer in common; are their ids written alike?")
    matches = match_segments(earlier, newer, after)
    names = dict(zip(matches["segment"], matches["segment_name"], strict=True))
    labels = _labels(earlier, newer, before, after, names, measures)
    order = [*names.values(), *(n for n in earlier.names.values() if n not in names.values())]
    order += [UNSCORED] if UNSCORED in labels.select("then", "moved", "now").to_numpy() else []
    return Migration(
        parts=_parts(labels, order, {v: k for k, v in (earlier.names | names).items()}),
        flows=_flows(labels, order, measures),
        measures=_measured(labels, order, measures),
        matches=matches,
        refitted=later is not None and later is not earlier,
    )


@takes_frames
def match_segments(
    earlier: SegmentScorer,
    later: SegmentScorer,
    frame: pl.DataFrame,
    *,
    least: float = LEAST_OVERLAP,
) -> pl.DataFrame:
    """Find the segments of two models that are the same, on the same customers.

    Pairs are chosen so that the customers in both are as many as possible (Hungarian method); a
    pair counts if at least the share ``least`` of the customers in either is in both.

    Parameters
    ----------
    earlier, later : segment models
    frame : polars.DataFrame
        Customers with the columns of both.
    least : float
        Smallest overlap, 0 to 1.

    Returns
    -------
    polars.DataFrame
        One row per later segment: segment, segment_name (the earlier segment's name where they
        match, else its own), earlier_segment, overlap.
    """
    require_range("[0, 1]", least=least)
    from scipy.optimize import linear_sum_assignment

    old, new = earlier.score(frame)["segment"], later.score(frame)["segment"]
    counts = np.array(
        [[int(((old == a) & (new == b)).sum()) for b in later.ids] for a in earlier.ids]
    )
    either = counts.sum(1)[:, None] + counts.sum(0)[None, :] - counts
    overlap = counts / np.maximum(either, 1)
    pairs = zip(*linear_sum_assignment(counts, maximize=True), strict=True)
    same = {
        later.ids[j]: (earlier.ids[i], overlap[i, j]) for i, j in pairs if overlap[i, j] >= least
    }
    names_kept = {earlier.names[one] for one, _ in same.values()}
    rows = []
    for one, name in later.names.items():
        old_one, shared = same.get(one, (None, None))
        if old_one is not None:
            name = earlier.names[old_one]
        elif name in names_kept | set(earlier.names.values()):
            name = f"{name} (new)"
        rows.append((one, name, old_one, shared))
    texts = dict.fromkeys(("segment", "segment_name", "earlier_segment"), pl.String)
    return pl.DataFrame(rows, schema={**texts, "overlap": pl.Float64}, orient="row")


def _labels(
    earlier: SegmentScorer,
    later: SegmentScorer,
    before: pl.DataFrame,
    after: pl.DataFrame,
    names: Mapping[str, str],
    measures: Sequence[str],
) -> pl.DataFrame:
    """Return each customer's segment then, now by the earlier model, and now by the later one."""

    def named(model: SegmentScorer, frame: pl.DataFrame, called: Mapping[str, str]) -> pl.Series:
        scored = model.score(frame)["segment"].replace_strict(called, return_dtype=pl.String)
        return scored.fill_null(UNSCORED)

    then = before.select(
        "customer_id",
        named(earlier, before, earlier.names).alias("then"),
        *(pl.col(c).alias(f"{c}_then") for c in measures),
    )
    now = after.select(
        "customer_id",
        named(earlier, after, earlier.names).alias("moved"),
        named(later, after, names).alias("now"),
        *(pl.col(c).alias(f"{c}_now") for c in measures),
    )
    return then.join(now, on="customer_id", how="full", coalesce=True)


def _parts(labels: pl.DataFrame, order: Sequence[str], ids: Mapping[str, str]) -> pl.DataFrame:
    stayed = pl.col("then").is_not_null() & pl.col("moved").is_not_null()
    counts = {
        "customers_then": ("then", pl.col("then").is_not_null()),
        "left": ("then", pl.col("moved").is_null()),
        "arrived": ("moved", pl.col("then").is_null()),
        "moved_in": ("moved", stayed & (pl.col("then") != pl.col("moved"))),
        "moved_out": ("then", stayed & (pl.col("then") != pl.col("moved"))),
        "boundaries_in": ("now", pl.col("moved") != pl.col("now")),
        "boundaries_out": ("moved", pl.col("moved") != pl.col("now")),
        "customers_now": ("now", pl.col("now").is_not_null()),
    }
    parts = pl.DataFrame({"segment_name": order}, schema={"segment_name": pl.String})
    for name, (column, condition) in counts.items():
        some = labels.filter(condition).group_by(segment_name=column).agg(pl.len().alias(name))
        parts = parts.join(some, on="segment_name", how="left", maintain_order="left")
    segment = pl.col("segment_name").replace_strict(ids, default=None, return_dtype=pl.String)
    return parts.with_columns(pl.col(*counts).fill_null(0).cast(pl.Int64)).select(
        segment.alias("segment"), pl.all()
    )


def _flows(labels: pl.DataFrame, order: Sequence[str], measures: Sequence[str]) -> pl.DataFrame:
    ranks = {name: place for place, name in enumerate([*order, ABSENT])}
    ends = labels.with_columns(
        from_segment=pl.col("then").fill_null(ABSENT), to_segment=pl.col("now").fill_null(ABSENT)
    )
    sums = [pl.col(f"{c}_{when}").sum() for c in measures for when in ("then", "now")]
    flows = ends.group_by("from_segment", "to_segment").agg(
        pl.len().cast(pl.Int64).alias("customers"), *sums
    )
    place = [pl.col(c).replace_strict(ranks) for c in ("from_segment", "to_segment")]
    return flows.sort(place)


def _measured(labels: pl.DataFrame, order: Sequence[str], measures: Sequence[str]) -> pl.DataFrame:
    rows = []
    for name in order:
        members = [labels.filter(pl.col(when) == name) for when in ("then", "now")]
        for measure in measures:
            ends = zip(members, ("then", "now"), strict=True)
            rows.append((name, measure, *(part[f"{measure}_{when}"].mean() for part, when in ends)))
    texts = dict.fromkeys(("segment_name", "measure"), pl.String)
    means = dict.fromkeys(("mean_then", "mean_now"), pl.Float64)
    return pl.DataFrame(rows, schema={**texts, **means}, orient="row")
