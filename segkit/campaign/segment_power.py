"""Power of a test in each segment, adjusted for several comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from segkit.campaign.assignment import name_segments
from segkit.campaign.metrics import Metric, measure_metric
from segkit.campaign.power import check_shares, compute_sample_size, find_smallest_effect
from segkit.display import counted, number, percent
from segkit.errors import DataError, ParameterError, require_columns
from segkit.frames import takes_frames
from segkit.result import Figure, Result


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

    @property
    def text(self) -> str:
        """The finding in words."""
        whole, segments = self.table.row(0, named=True), self.table[1:]
        lift, power = percent(self.relative_effect, places=0), percent(self.power, places=0)
        value = whole["base_rate" if self.is_share else "base_mean"]
        base = percent(value) if self.is_share else number(value)
        text = (
            f"A lift of {self.metric} by {lift} of its base is found with {power} power if "
            f"{counted(whole['needed'], 'customer is', 'customers are')} assigned; there are "
            f"{number(whole['customers'])}."
        )
        if whole["needed"] is None:
            why = "there is no base" if value is None else f"the base is {base}"
            text = (
                f"No number of customers shows a lift of {self.metric} by {lift} of its base, for "
                f"{why}."
            )
        if whole["smallest_lift_rate"] is not None:
            smallest = percent(whole["smallest_lift_rate"])
            text += (
                f" The smallest lift likely to be found in all together is {smallest} of the base "
                f"of {base}."
            )
        if not segments.height:
            return text
        small = segments.filter(~pl.col("enough")).get_column("segment_name").to_list()
        which = "No" if small else "Every"
        alone = f"{which} segment is large enough to show such a lift by itself."
        if 0 < len(small) < segments.height:
            alone = f"Too small to show such a lift by themselves: {', '.join(small)}."
        return (
            f"{text} {alone} Over segments and arms the level of "
            f"{percent(self.alpha, places=0)} is shared (Bonferroni)."
        )

    def plot(self) -> Figure:
        """Draw the smallest detectable relative lift of each segment."""
        from segkit.plot import bars

        return bars(
            self.table.drop_nulls("smallest_lift_rate"),
            "segment_name",
            "smallest_lift_rate",
            percent=True,
            reference=self.relative_effect,
            title="The smallest lift that each segment is likely to show",
            x_label="Segment",
            y_label=f"Lift of {self.metric}, % of its base (line: hoped for)",
        )


@takes_frames
def compute_segment_power(
    past: pl.DataFrame,
    outcome: str,
    *,
    shares: Mapping[str, float],
    relative_effect: float,
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
    name : str, optional
        Column of the segment's name.
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
    require_columns(past.columns, [outcome, "segment", *covariates], "the past outcomes")
    arms = check_shares(shares)
    segmented = past.drop_nulls("segment").with_columns(pl.col("segment").cast(pl.String))
    if not segmented.height:
        raise DataError("no customer of the past has a segment")
    parts = {
        str(key[0]): part
        for key, part in sorted(segmented.partition_by("segment", as_dict=True).items())
    }
    sizes = {group: part.height for group, part in parts.items()}
    if customers is not None:
        sizes = {group: int(customers.get(group, 0)) for group in parts}
    plan = partial(_row, arms=arms, lift=relative_effect, power=power, alpha=alpha)
    comparisons = len(arms) - 1
    whole = measure_metric(segmented, outcome, covariates=covariates, name=label)
    rows = [("all", "All customers", *plan(whole, sum(sizes.values()), comparisons))]
    names = name_segments(segmented, "segment", name)
    for group, part in parts.items():
        try:
            metric = measure_metric(part, outcome, covariates=covariates)
        except (DataError, ParameterError):
            metric = None  # nobody or everybody bought: the variance is zero, no plan is possible
        rows.append((group, names[group], *plan(metric, sizes[group], comparisons * len(parts))))
    schema = {
        "segment": pl.String,
        "segment_name": pl.String,
        "customers": pl.Int64,
        "base_rate" if whole.is_share else "base_mean": pl.Float64,
        "smallest_effect": pl.Float64,
        "smallest_lift_rate": pl.Float64,
        "needed": pl.Int64,
        "enough": pl.Boolean,
    }
    table = pl.DataFrame(rows, schema=schema, orient="row")
    return SegmentPower(table, whole.name, whole.is_share, relative_effect, power, alpha, arms)


def _row(
    metric: Metric | None,
    size: int,
    comparisons: int,
    *,
    arms: dict[str, float],
    lift: float,
    power: float,
    alpha: float,
) -> tuple[int, float | None, float | None, float | None, int | None, bool]:
    if metric is None:
        return size, None, None, None, None, False
    needed: int | None = None
    smallest: tuple[float | None, float | None] = (None, None)
    test: Any = {"power": power, "alpha": alpha, "comparisons": comparisons}
    # A size or an effect that no test reaches stays null.
    with suppress(DataError, ParameterError):
        needed = compute_sample_size(metric, relative_effect=lift, shares=arms, **test).total
    with suppress(DataError, ParameterError):
        sizes = {arm: share * size for arm, share in arms.items()}
        plan = find_smallest_effect(metric, sizes, **test)
        smallest = plan.effect, plan.relative_effect
    return size, metric.base, *smallest, needed, needed is not None and size >= needed
