"""Which variables mark a segment, by a stated rule."""

from __future__ import annotations

import polars as pl

from segkit.profile.thresholds import MarkerRule


def mark(found: pl.DataFrame, rule: MarkerRule) -> pl.DataFrame:
    """Add marker, direction and strength by the rule; strength is the measure that it limits.

    The KPI is an outcome and marks nothing.
    """
    share, whole = pl.col("mean"), pl.col("mean_all")
    gap = share - whole
    beyond_chance = (pl.col("difference_low") > 0) | (pl.col("difference_high") < 0)
    yes = (gap.abs() >= rule.share_absolute) | (
        (gap.abs() >= rule.share_relative * whole) & (whole > 0)
    )
    amount = (pl.col("delta").abs() >= rule.delta) & (
        (pl.col("delta_low") > 0) | (pl.col("delta_high") < 0)
    )
    is_yes_no = pl.col("kind") == "yes/no"
    passed = pl.when(is_yes_no).then(yes & beyond_chance).otherwise(amount)
    enough = (pl.col("customers") >= rule.smallest_segment) & (pl.col("role") != "kpi")
    strength = pl.when(is_yes_no).then(gap).otherwise(pl.col("delta"))
    return found.with_columns(
        marker=(passed & enough).fill_null(value=False), strength=strength
    ).with_columns(
        direction=pl.when(pl.col("marker")).then(
            pl.when(pl.col("strength") > 0).then(pl.lit("above")).otherwise(pl.lit("below"))
        )
    )
