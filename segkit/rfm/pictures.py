"""The pictures of an RFM scoring."""

from __future__ import annotations

import polars as pl

from segkit.plot import Figure, bars, heatmap
from segkit.rfm.cuts import Cuts


def plot_segments(segments: pl.DataFrame) -> Figure:
    """Draw each segment's share of customers beside its share of revenue."""
    long = segments.unpivot(
        ["customer_share", "revenue_share"],
        index="segment",
        variable_name="share",
        value_name="value",
    )
    names = pl.DataFrame({"segment": segments["segment"], "_order": range(segments.height)})
    drawn = (
        long.with_columns(
            pl.col("share").replace_strict(
                {"customer_share": "of customers", "revenue_share": "of revenue"}
            )
        )
        .join(names, on="segment")
        .sort("_order", "share")
        .drop("_order")
    )
    return bars(
        drawn,
        "segment",
        "value",
        group="share",
        percent=True,
        title="Each segment's share of customers and of revenue",
        x_label="segment",
        y_label="share of all scored customers",
    )


def plot_scores(frame: pl.DataFrame, cuts: Cuts, currency: str | None = None) -> Figure:
    """Draw the mean monetary value by recency and frequency score."""
    scored = frame.drop_nulls("segment")
    means = scored.group_by("r", "f").agg(pl.col("monetary").mean())
    grid = pl.DataFrame({"f": pl.Series(range(cuts.bins[1], 0, -1), dtype=pl.Int32)}).join(
        pl.DataFrame({"r": pl.Series(range(1, cuts.bins[0] + 1), dtype=pl.Int32)}), how="cross"
    )
    drawn = grid.join(means, on=["r", "f"], how="left", maintain_order="left")
    return heatmap(
        drawn.with_columns(pl.col("r", "f").cast(pl.String)),
        "r",
        "f",
        "monetary",
        title="Mean monetary value by recency and frequency score",
        x_label="recency score (right: bought lately)",
        y_label="frequency score (up: bought often)",
        value_label=f"mean monetary value ({currency or 'currency of the data'})",
    )
