"""The pictures of a profile, from its tables."""

from __future__ import annotations

import polars as pl

from segkit.display import label, number, percent
from segkit.errors import DataError, unknown
from segkit.plot import Figure, bars, clouds, panel_bars, stacked
from segkit.plot.bar_charts import bars_that_fit
from segkit.profile.segment_profile import Separation

HIDDEN = "hidden"


def draw_profile(variables: pl.DataFrame, most: int) -> Figure:
    """Draw the segment profile plot: each variable against all customers, marks in colour.

    Parameters
    ----------
    most : int
        Variables drawn at most: those that set some segment apart most; fewer where the panels
        of many segments would not fit a screen.

    Raises
    ------
    DataError
        If no variable varies between segments.
    """
    differing = variables.drop_nulls("difference")
    if differing.height == 0:
        raise DataError("nothing to draw: no variable varies between segments")
    ranked = _telling(differing, bars_that_fit(differing["segment"].n_unique(), most))
    shown = differing.filter(pl.col("variable").is_in(ranked))
    return panel_bars(
        shown, "segment_name", "variable", "difference", highlight="marker",
        interval=("difference_low", "difference_high"),
        percent=False, title="What marks each segment",
        y_label="Difference from all customers (standard deviations)",
        highlight_label="Full colour: marks the segment by the stated rule",
    )  # fmt: skip


def _telling(differing: pl.DataFrame, most: int) -> list[str]:
    """Return the variables to draw: each segment's strongest in turn, marks first."""
    turns = (
        differing.with_columns(reach=pl.col("difference").abs())
        .sort("marker", "reach", descending=True, maintain_order=True)
        .with_columns(turn=pl.int_range(pl.len()).over("segment"))
        .sort("marker", "turn", "reach", descending=[True, False, True], maintain_order=True)
    )
    return turns.get_column("variable").unique(maintain_order=True).head(most).to_list()


def draw_sizes(segments: pl.DataFrame) -> Figure:
    """Draw each segment's share of customers beside its share of revenue."""
    names = {"customer_share": "customers", "revenue_share": "revenue"}
    tables = [
        segments.select(
            "segment_name",
            pl.lit(name).alias("share_of"),
            pl.col(column).alias("share"),
            pl.col(f"{column}_low").alias("low"),
            pl.col(f"{column}_high").alias("high"),
        )
        for column, name in names.items()
        if segments.get_column(column).null_count() < segments.height
    ]
    return bars(
        pl.concat(tables), "segment_name", "share", group="share_of", interval=("low", "high"),
        title="How large each segment is, and what it brings", y_label="Share of all",
    )  # fmt: skip


def draw_composition(composition: pl.DataFrame, variable: str) -> Figure:
    """Draw how each segment is made up on one description.

    Raises
    ------
    DataError
        If there is no such description, or every cell is hidden.
    """
    rows = composition.filter(pl.col("variable") == variable)
    if rows.height == 0:
        there = composition.get_column("variable").unique(maintain_order=True).to_list()
        raise DataError(unknown("description", variable, there))
    shown = _with_rest(rows.filter(pl.col("customers").count().over("segment") > 0))
    hidden = int(rows.get_column("hidden").sum())
    title = f"Segments by {label(variable)}"
    if hidden:
        title += f" ({number(hidden)} small cells hidden, drawn as one)"
    return stacked(
        shown, "segment_name", "level", "customers", title=title,
        y_label="Share of customers with a known value",
    )  # fmt: skip


def _with_rest(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep what may be shown; what a segment has beyond it stands in one part of its own."""
    levels = rows.get_column("level").unique(maintain_order=True).to_list()
    names = rows.get_column("segment_name").unique(maintain_order=True).to_list()
    keep = ["segment_name", "level", "customers"]
    rest = rows.group_by("segment_name").agg(
        level=pl.lit(HIDDEN), customers=pl.col("known").first() - pl.col("customers").sum()
    )
    shown = pl.concat([rows.drop_nulls("customers").select(keep), rest.select(keep)])
    ordered = shown.filter(pl.col("customers") > 0).with_columns(
        pl.col("segment_name").cast(pl.Enum(names)),
        pl.col("level").cast(pl.Enum([*levels, HIDDEN])),
    )
    return ordered.sort("segment_name", "level")


def draw_separation(separation: Separation | None) -> Figure:
    """Draw the segments on two principal components, each with its centre and half of it.

    Raises
    ------
    DataError
        If fewer than two variables vary.
    """
    if separation is None:
        raise DataError("a separation plot needs two variables that vary and three customers")
    labels = [
        f"{nth} component ({percent(share)} of the variance): {name}"
        for nth, share, name in zip(
            ("First", "Second"), separation.shares, separation.names, strict=True
        )
    ]
    return clouds(
        separation.points, separation.centres, "first", "second", "segment_name",
        title="How far apart the segments lie", x_label=labels[0], y_label=labels[1],
    )  # fmt: skip
