"""What do refits say of every solution and every segment? The tables behind the stability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import polars as pl

from segkit.cluster.agreement import across, aligned, by_size, overlaps
from segkit.cluster.matrix import Floats, Ints
from segkit.cluster.refits import Agreement, HalfScores

DISSOLVED, RECOVERED, HIGHLY = 0.5, 0.75, 0.85
# Customers that a segment needs to be judged: of fewer, one customer more or less moves the Jaccard
# coefficient by a tenth or more, as wide as the bands; a segment of one is found whenever its
# customer is drawn, and would always be "highly stable".
LEAST_SEGMENT = 10
TOO_FEW = "too few to judge"


def band(jaccard: float) -> str:
    """Name the band of a segment's mean Jaccard coefficient.

    Hennig (2007), and the documentation of his R function fpc::clusterboot: at most .5 the
    segment is dissolved; below .6 it should not be trusted; from .6 to .75 it shows a pattern, but
    who belongs to it is doubtful; above .75 it is valid and stable; from .85 highly stable.

    Examples
    --------
    >>> [band(value) for value in (0.5, 0.55, 0.6, 0.76, 0.9)]
    ['dissolved', 'doubtful', 'pattern', 'stable', 'highly stable']
    """
    if np.isnan(jaccard):
        return "unknown"
    if jaccard <= DISSOLVED:
        return "dissolved"
    if jaccard < 0.6:
        return "doubtful"
    if jaccard <= RECOVERED:
        return "pattern"
    return "stable" if jaccard < HIGHLY else "highly stable"


def numbered(cuts: Mapping[int, Ints]) -> dict[int, Ints]:
    """Give segments numbers that they keep from one k to the next.

    The smallest k is numbered by size; each further solution is matched with the one before.
    """
    named: dict[int, Ints] = {}
    before: Ints | None = None
    for k in sorted(cuts):
        before = by_size(cuts[k]) if before is None else aligned(before, cuts[k])
        named[k] = before
    return named


def flows(cuts: Mapping[int, Ints]) -> pl.DataFrame:
    """Count the customers who go from each segment of one solution to each of the next.

    Parameters
    ----------
    cuts : mapping of int to ndarray of shape (n,)
        Partitions for rising k.

    Returns
    -------
    polars.DataFrame
        ``k_from``, ``segment_from``, ``k_to``, ``segment_to`` (numbered from 1), ``customers``,
        ``share`` of the segment they come to.

    Examples
    --------
    >>> flows({2: np.array([0, 0, 1]), 3: np.array([0, 2, 1])})["customers"].to_list()
    [1, 1, 1]
    """
    ks = sorted(cuts)
    rows = []
    for low, high in pairwise(ks):
        table = overlaps(cuts[low], cuts[high], low, high)
        totals = table.sum(axis=0)
        for i, j in np.argwhere(table):
            count = int(table[i, j])
            rows.append((low, int(i) + 1, high, int(j) + 1, count, count / int(totals[j])))
    names = ["k_from", "segment_from", "k_to", "segment_to", "customers"]
    schema = {**dict.fromkeys(names, pl.Int64), "share": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def segment_table(cuts: Mapping[int, Ints], again: Agreement) -> pl.DataFrame:
    """Describe each segment of each solution: one row a k and segment.

    A segment of fewer than `LEAST_SEGMENT` customers has no figures of stability, and the band
    "too few to judge".
    """
    ks = sorted(cuts)
    parts = []
    for before, k in zip([None, *ks], ks, strict=False):
        sizes = np.bincount(cuts[k], minlength=k)
        found = again.jaccard[k]
        means = np.nanmean(found, axis=0)
        slsa = [None] * k if before is None else across(overlaps(cuts[before], cuts[k], before, k))
        parts.append(
            pl.DataFrame(
                {
                    "k": np.full(k, k),
                    "segment": np.arange(1, k + 1),
                    "size": sizes,
                    "share": sizes / sizes.sum(),
                    "jaccard": means,
                    "jaccard_low": np.nanquantile(found, 0.1, axis=0),
                    "jaccard_high": np.nanquantile(found, 0.9, axis=0),
                    "band": [band(value) for value in means],
                    "dissolved_share": np.nanmean(found <= DISSOLVED, axis=0),
                    "recovered_share": np.nanmean(found > RECOVERED, axis=0),
                    "kept_share": np.nanmean(again.kept[k], axis=0),
                    "slsa": pl.Series(slsa, dtype=pl.Float64),
                }
            )
        )
    judged = pl.col("size") >= LEAST_SEGMENT
    figures = [name for name in parts[0].columns if name.startswith("jaccard")]
    figures += ["dissolved_share", "recovered_share", "kept_share"]
    return pl.concat(parts).with_columns(
        *(pl.when(judged).then(pl.col(name)) for name in figures),
        pl.when(judged).then("band").otherwise(pl.lit(TOO_FEW)).alias("band"),
    )


def refit_table(again: Agreement) -> pl.DataFrame:
    """List each segment's Jaccard coefficient in each refit."""
    return pl.concat(
        pl.DataFrame(
            {
                "k": np.full(found.size, k),
                "segment": np.tile(np.arange(1, k + 1), len(found)),
                "refit": np.repeat(np.arange(len(found)), k),
                "jaccard": found.ravel(),
            }
        )
        for k, found in again.jaccard.items()
    )


def curve_table(
    ks: Sequence[int], again: Agreement, halves: Sequence[HalfScores], segments: pl.DataFrame
) -> pl.DataFrame:
    """Describe each solution as a whole: one row a k.

    ``jaccard_least`` is null where a segment is too small to be judged.
    """
    whole = pl.col("jaccard").null_count() == 0
    least = segments.group_by("k", maintain_order=True).agg(
        pl.when(whole).then(pl.col("jaccard").min()).alias("jaccard")
    )["jaccard"]
    rand = {k: np.array([half.rand[k] for half in halves]) for k in ks}
    strength = {k: np.array([half.strength[k] for half in halves]) for k in ks}
    return pl.DataFrame(
        {
            "k": list(ks),
            "rand": [again.rand[k].mean() for k in ks],
            "rand_se": [standard_error(again.rand[k]) for k in ks],
            "rand_low": [np.quantile(again.rand[k], 0.1) for k in ks],
            "rand_high": [np.quantile(again.rand[k], 0.9) for k in ks],
            "replication": [rand[k].mean() for k in ks],
            "replication_se": [standard_error(rand[k]) for k in ks],
            "prediction_strength": [strength[k].mean() for k in ks],
            "prediction_strength_se": [standard_error(strength[k]) for k in ks],
            "jaccard_least": least,
        }
    )


def standard_error(values: Floats) -> float:
    """Return the standard error of a mean; 0 for a single value."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
