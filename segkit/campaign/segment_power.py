"""Power of a test in each segment, adjusted for several comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.campaign.metrics import Metric, measure_metric
from segkit.campaign.power import check_shares, compute_sample_size, find_smallest_effect
from segkit.display import number, percent
from segkit.errors import DataError, ParameterError, require_columns
from segkit.frames import takes_frames
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.plot import Figure


@dataclass(frozen=True, slots=True, eq=False)
class SegmentPower(Result):
    """Power of a test of given size in each segment and in all together.

    Attributes
    ----------
    table : polars.DataFrame
        segment ("all" first), segment_name, customers, base_rate (base_mean of an amount),
        smallest_effect, smallest_lift_rate (of the base; null where no effect could be found),
        needed (customers of the segment that would show ``relative_effect``), enough (Boolean).
    metric : str
        In words.
    is_share : bool
    relative_effect, power, alpha : float
    shares : dict of str to float
    """

    table: pl.DataFrame
    metric: str
    is_share: bool
    relative_effect: float
    power: float
    alpha: float
    shares: dict[str, float]

    def to_frame(self) -> pl.DataFrame:
        """Return one row per segment, all together first."""
        return self.table

    @property
    def text(self) -> str:
        """The finding in words."""
        whole = self.table.row(0, named=True)
        lift = percent(self.relative_effect, places=0)
        segments = self.table.filter(pl.col("segment") != "all")
        enough = segments.filter("enough")
        first = (
            f"A lift of {self.metric} by {lift} of its base is found with "
            f"{percent(self.power, places=0)} power if {number(whole['needed'])} customers are "
            f"assigned; there are {number(whole['customers'])}."
        )
        if whole["needed"] is None:
            first = (
                f"No number of customers shows a lift of {self.metric} by {lift} of its base"
                f"{self._why_never(whole)}."
            )
        if whole["smallest_lift_rate"] is not None:
            first += (
                f" The smallest lift likely to be found in all together is "
                f"{percent(whole['smallest_lift_rate'])} of the base of "
                f"{self._base(whole)}."
            )
        if not segments.height:
            return first
        lacking = segments.filter(~pl.col("enough")).get_column("segment_name").to_list()
        sentence = "Every segment is large enough to show such a lift by itself."
        if not enough.height:
            sentence = "No segment is large enough to show such a lift by itself."
        elif lacking:
            sentence = f"Too small to show such a lift by themselves: {', '.join(lacking)}."
        return (
            f"{first} {sentence} Over segments and arms the level of "
            f"{percent(self.alpha, places=0)} is shared (Bonferroni)."
        )

    def _why_never(self, row: Mapping[str, Any]) -> str:
        """Say why a rate cannot rise so far."""
        if row["base_rate" if self.is_share else "base_mean"] is None:
            return ", for there is no base"
        return f", for the base is {self._base(row)}"

    def _base(self, row: Mapping[str, Any]) -> str:
        if self.is_share:
            return percent(row["base_rate"])
        return number(row["base_mean"])

    def plot(self) -> Figure:
        """Draw the smallest detectable relative lift of each segment."""
        from segkit.plot import bars

        return bars(
            self.table.drop_nulls("smallest_lift_rate"), "segment_name", "smallest_lift_rate",
            percent=True, reference=self.relative_effect,
            title="The smallest lift that each segment is likely to show",
            x_label="Segment",
            y_label=f"Lift of {self.metric}, % of its base (line: hoped for)",
        )  # fmt: skip


@takes_frames
def compute_segment_power(
    past: pl.DataFrame,
    outcome: str,
    *,
    shares: Mapping[str, float],
    relative_effect: float,
    segment: str = "segment",
    name: str | None = None,
    label: str = "",
    covariates: tuple[str, ...] = (),
    power: float = 0.8,
    alpha: float = 0.05,
    customers: Mapping[str, int] | None = None,
) -> SegmentPower:
    """Compute the smallest detectable effect and the needed size in each segment.

    Parameters
    ----------
    past : DataFrame
        One row per customer of an earlier period as long as the test's: the outcome, the segment.
    outcome : str
        0/1 or a number.
    shares : mapping of str to float
        Arm to share, the control first.
    relative_effect : float
        The relative lift to be detected.
    segment, name : str
        Columns of the segment's id and, optionally, its name.
    label : str
        The outcome in words.
    covariates : tuple of str
        Columns known before, for CUPED.
    power, alpha : float
        Alpha is divided by the number of arms except the control and, for segments, by the number
        of segments.
    customers : mapping of str to int, optional
        Segment to the customers that can be assigned; by default those of ``past``.

    Raises
    ------
    DataError
        If no customer is there, or a 0/1 outcome is the same for all.

    Examples
    --------
    >>> past = pl.DataFrame({"segment": ["A", "B"] * 500, "bought": [1, 0, 0, 0] * 250})
    >>> found = compute_segment_power(past, "bought", shares={"control": 0.5, "mail": 0.5},
    ...                          relative_effect=0.3)
    >>> found.table["segment"].to_list()
    ['all', 'A', 'B']
    """
    require_columns(past.columns, [outcome, segment, *covariates], "the past outcomes")
    arms = check_shares(shares)
    groups = past.get_column(segment).cast(pl.String).drop_nulls().unique().sort().to_list()
    if not groups:
        raise DataError("no customer of the past has a segment")
    some = past.filter(pl.col(segment).is_not_null())
    names = {g: g for g in groups}
    if name is not None:
        pairs = some.select(pl.col(segment, name).cast(pl.String)).unique([segment])
        names |= {one: other or one for one, other in pairs.iter_rows()}
    sizes = {g: int((some.get_column(segment) == g).sum()) for g in groups}
    sizes = sizes if customers is None else {g: int(customers.get(g, 0)) for g in groups}
    per = len(arms) - 1
    whole = measure_metric(some, outcome, covariates=covariates, name=label)
    everyone = _row(whole, sum(sizes.values()), arms, relative_effect, power, alpha, per)
    rows = [("all", "All customers", *everyone)]
    for group in groups:
        part = some.filter(pl.col(segment) == group)
        metric = _measured(part, outcome, covariates)
        row = _row(metric, sizes[group], arms, relative_effect, power, alpha, per * len(groups))
        rows.append((group, names[group], *row))
    schema = {
        "segment": pl.String, "segment_name": pl.String, "customers": pl.Int64,
        "base_rate" if whole.is_share else "base_mean": pl.Float64,
        "smallest_effect": pl.Float64, "smallest_lift_rate": pl.Float64,
        "needed": pl.Int64, "enough": pl.Boolean,
    }  # fmt: skip
    return SegmentPower(
        pl.DataFrame(rows, schema=schema, orient="row"), whole.name, whole.is_share,
        relative_effect, power, alpha, arms,
    )  # fmt: skip


def _measured(part: pl.DataFrame, outcome: str, covariates: tuple[str, ...]) -> Metric | None:
    try:
        return measure_metric(part, outcome, covariates=covariates)
    except (DataError, ParameterError):
        return None  # nobody or everybody bought: the variance is zero, no plan is possible


def _row(
    metric: Metric | None, size: int, arms: dict[str, float], lift: float, power: float,
    alpha: float, family: int,
) -> tuple[int, float | None, float | None, float | None, int | None, bool]:  # fmt: skip
    if metric is None:
        return size, None, None, None, None, False
    needed: int | None
    try:
        options = {"power": power, "alpha": alpha, "shares": arms, "comparisons": family}
        needed = compute_sample_size(metric, relative_effect=lift, **options).total  # type: ignore[arg-type]
    except (DataError, ParameterError):
        needed = None
    n = {arm: share * size for arm, share in arms.items()}
    try:
        smallest = find_smallest_effect(metric, n, power=power, alpha=alpha, comparisons=family)
        seen: tuple[float | None, float | None] = (smallest.effect, smallest.relative_effect)
    except (DataError, ParameterError):
        seen = (None, None)
    return size, metric.base, *seen, needed, needed is not None and size >= needed
