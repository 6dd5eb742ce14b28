"""Which days belong together? Periods, and within them the days of promotions."""

from __future__ import annotations

from datetime import date

import polars as pl

from segkit.errors import ParameterError, require_columns

EPOCH = date(1970, 1, 1)
_FAR_ABOVE = 1.5  # times the usual share of discounted lines
_LEAST_GAP = 0.10  # and so much above it


def day_strata(
    sales: pl.LazyFrame,
    first: int,
    last: int,
    period_days: int,
    promotions: pl.DataFrame | str | None,
) -> tuple[pl.DataFrame, int]:
    """Code the days from first to last by period and promotion.

    Returns
    -------
    (polars.DataFrame, int)
        day, period, period_start, promotion, stratum; and the number of promotion days.

    Examples
    --------
    >>> none = pl.LazyFrame(schema={"day": pl.Int32, "off": pl.Boolean})
    >>> off = pl.DataFrame({"starts": [date(1970, 1, 2)], "ends": [date(1970, 1, 2)]})
    >>> day_strata(none, 0, 3, 2, off)[0].get_column("stratum").to_list()
    [0, 1, 2, 2]
    """
    days = pl.DataFrame({"day": pl.int_range(first, last + 1, dtype=pl.Int32, eager=True)})
    period = (pl.col("day") - first) // period_days
    days = days.with_columns(
        period=period, period_start=(first + period * period_days).cast(pl.Int32)
    )
    on = _promoted(sales, promotions)
    days = days.with_columns(promotion=pl.col("day").is_in(on.implode()))
    stratum = pl.struct("period", "promotion").rank("dense").cast(pl.Int64) - 1
    return days.with_columns(stratum=stratum), int(days.get_column("promotion").sum())


def _promoted(sales: pl.LazyFrame, promotions: pl.DataFrame | str | None) -> pl.Series:
    if promotions is None:
        return pl.Series("day", [], pl.Int32)
    if isinstance(promotions, str):
        if promotions != "find":
            raise ParameterError(f'promotions must be a frame, "find" or None; got {promotions!r}')
        return find_promotions(sales)
    require_columns(promotions.columns, ["starts", "ends"], "promotions")
    spans = promotions.select(
        day=pl.int_ranges(
            pl.col("starts").cast(pl.Date).to_physical(),
            pl.col("ends").cast(pl.Date).to_physical() + 1,
            dtype=pl.Int32,
        )
    )
    return spans.explode("day").get_column("day").drop_nulls().unique()


def find_promotions(sales: pl.LazyFrame) -> pl.Series:
    """Return the days on which far more lines than usual carry a discount.

    "Far more": a share at least half as high again as that of the median day, and ten points
    above it, within three days' moving window (so that a thin day decides nothing).
    """
    shares = (
        sales.filter(pl.col("off").is_not_null())
        .group_by("day")
        .agg(off=pl.col("off").cast(pl.Float64).sum(), lines=pl.len())
        .collect(engine="streaming")
        .sort("day")
    )
    if not shares.height:
        return pl.Series("day", [], pl.Int32)
    near = pl.col("off", "lines").cast(pl.Float64).rolling_sum(3, min_samples=1, center=True)
    share = shares.with_columns(near).select("day", share=pl.col("off") / pl.col("lines"))
    usual = float(share.get_column("share").median() or 0.0)  # type: ignore[arg-type]
    bound = max(_FAR_ABOVE * usual, usual + _LEAST_GAP)
    return share.filter(pl.col("share") > bound).get_column("day").cast(pl.Int32)
