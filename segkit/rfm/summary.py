"""What each segment is worth: sizes, shares, and medians with order-statistic intervals."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from segkit.rfm.cuts import COLUMNS

_SCHEMA: dict[str, type[pl.DataType]] = {
    "segment": pl.String,
    "customers": pl.Int64,
    "customer_share": pl.Float64,
    "revenue": pl.Float64,
    "revenue_share": pl.Float64,
    **{f"{c}{e}": pl.Float64 for c in COLUMNS.values() for e in ("", "_low", "_high")},
}


def summarise(scored: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Summarise scored customers by segment, in the order of ``names``, empty ones too.

    The interval of a median runs from the j-th smallest to the j-th largest value with j the
    largest such that a Binomial(n, 1/2) stays within with probability 0.95 or more; it is null
    for fewer than 6 customers (Conover 1999, Practical Nonparametric Statistics, section 3.2).

    Parameters
    ----------
    scored : polars.DataFrame
        Columns recency_days, frequency, monetary, segment.
    names : sequence of str
        All segments.

    Returns
    -------
    polars.DataFrame
        See `RFM.segments`.
    """
    revenue = float(scored["monetary"].sum())
    parts = scored.partition_by("segment", as_dict=True)
    rows = []
    for name in names:
        part = parts.get((name,), scored.clear())
        own = float(part["monetary"].sum())
        share = own / revenue if revenue else None
        medians = [value for c in COLUMNS.values() for value in median_interval(part[c])]
        rows.append((name, part.height, part.height / scored.height, own, share, *medians))
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def median_interval(values: pl.Series) -> list[float | None]:
    """Return the median and its order-statistic interval of at least 95%."""
    from scipy.stats import binom

    ordered = values.drop_nulls().cast(pl.Float64).sort()
    if ordered.is_empty():
        return [None, None, None]
    n = len(ordered)
    middle = float(ordered.median())  # type: ignore[arg-type]
    # The quantile k has P(X < k) < 0.025, so the k-th smallest and largest values hold 95%.
    place = int(binom.ppf(0.025, n, 0.5))
    if place < 1:
        return [middle, None, None]
    return [middle, float(ordered[place - 1]), float(ordered[n - place])]
