"""Sensitivity of scores and segments to bins, method, ties, date and sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from segkit.display import counted, percent
from segkit.errors import DataError, ParameterError
from segkit.frames import takes_frames
from segkit.plot import Figure, bars
from segkit.progress import steps
from segkit.result import Result
from segkit.rfm.cuts import TIES, Cuts, find_cuts
from segkit.rfm.scoring import RFM, Monetary, is_orders, last_day, score_rfm

_SCHEMA: dict[str, type[pl.DataType]] = {
    "variant": pl.String,
    "customers": pl.Int64,
    "score_changed": pl.Int64,
    "score_changed_share": pl.Float64,
    "segment_changed": pl.Int64,
    "segment_changed_share": pl.Float64,
    "low_share": pl.Float64,
    "high_share": pl.Float64,
}
DAY_SHIFT = 30


@dataclass(frozen=True, slots=True, eq=False)
class Sensitivity(Result):
    """Number of customers whose score or segment changes with the scoring options.

    Attributes
    ----------
    shifts : polars.DataFrame
        One row per variant: variant (what is changed), customers (scored in both), score_changed
        and segment_changed (customers who move) and their shares; score_changed is null where
        the number of bins differs. For "cut-points redrawn" these are medians over bootstrap
        samples of customers, and low_share to high_share holds 95% of the samples' shares of
        changed segments.
    flows : polars.DataFrame
        One row per variant and move: variant, from_segment, to_segment, customers (movers only;
        the redrawn cut-points have none).
    baseline : str
        The scoring that is compared with.
    samples : int
        Bootstrap samples.
    """

    shifts: pl.DataFrame
    flows: pl.DataFrame
    baseline: str
    samples: int

    @property
    def answer(self) -> str:
        """Whether other cut-points move a tenth of the customers or more to another segment."""
        worst = self.shifts.sort("segment_changed_share", descending=True).row(0, named=True)
        share = worst["segment_changed_share"]
        return (
            f"{'Yes' if share >= 0.1 else 'No'}: {percent(share)} of customers change segment "
            f"under the choice that moves most, {worst['variant']}."
        )

    @property
    def text(self) -> str:
        """State the finding in words."""
        worst = self.shifts.sort("segment_changed_share", descending=True).row(0, named=True)
        parts = [
            (
                f"{percent(worst['segment_changed_share'])} of customers change segment under the "
                f"choice that moves most, {worst['variant']} (against {self.baseline})."
            )
        ]
        redrawn = self.shifts.filter(pl.col("low_share").is_not_null())
        if redrawn.height:
            row = redrawn.row(0, named=True)
            parts.append(
                f"With cut-points redrawn from {counted(self.samples, 'sample')} of the customers "
                f"{percent(row['segment_changed_share'])} do (95% of samples: "
                f"{percent(row['low_share'])} to {percent(row['high_share'])})."
            )
        parts.append("Segments near a cut-point are a matter of definition, not of behaviour.")
        return " ".join(parts)

    def plot(self) -> Figure:
        """Draw the share of customers who change segment, by variant."""
        return bars(
            self.shifts,
            "variant",
            "segment_changed_share",
            percent=True,
            title="Customers who change segment when a choice changes",
            x_label="changed choice",
            y_label="share of customers",
        )


@takes_frames
def measure_sensitivity(
    source: pl.DataFrame | pl.LazyFrame,
    *,
    as_of: date | None = None,
    variants: Mapping[str, Mapping[str, Any]] | None = None,
    samples: int = 100,
    seed: int | np.random.Generator = 0,
    monetary: Monetary = "net",
    **options: Any,
) -> Sensitivity:
    """Count the customers whose score or segment changes with the cut-points.

    Parameters
    ----------
    source : polars.DataFrame or LazyFrame
        As for `score_rfm`.
    as_of : date, optional
        As for `score_rfm`.
    variants : mapping of str to mapping, optional
        Name of each variant to the options of `score_rfm` that it changes. By default three
        and four bins, natural breaks, the three other tie policies and, for order lines, a day
        30 days earlier (customers and purchases since then are then unknown).
    samples : int
        Bootstrap samples of customers from which the cut-points are redrawn; 0 for none.
    seed : int or numpy Generator
        For the samples.
    monetary : {"net", "gross"}
        As for `score_rfm`.
    **options
        Further options of `score_rfm` for the baseline (bins, method, ties).

    Returns
    -------
    Sensitivity

    Raises
    ------
    ParameterError
        If ``samples`` is negative, or an option is unknown.

    Examples
    --------
    >>> table = pl.DataFrame({"customer_id": [str(i) for i in range(40)],
    ...     "recency_days": range(40), "frequency": [1 + i % 7 for i in range(40)],
    ...     "monetary": [10.0 * i for i in range(40)]})
    >>> found = measure_sensitivity(table, variants={"same": {}}, samples=0)
    >>> found.shifts["segment_changed"].to_list()
    [0]
    """
    if samples < 0:
        raise ParameterError(f"samples must not be negative, got {samples}")
    orders = is_orders(source)
    day = as_of or (last_day(source) if orders else None)
    base = {"as_of": day, "monetary": monetary, **options}
    baseline = score_rfm(source, **base)
    chosen = _default(baseline, day if orders else None) if variants is None else variants
    rows, flows = [], []
    for name, changes in chosen.items():
        try:
            other = score_rfm(source, **{**base, **changes})
        except DataError:
            continue  # nobody had bought by the earlier day: nothing to compare
        rows.append(_compare(name, baseline, other))
        flows.append(_moves(name, baseline, other))
    if samples and baseline.cuts.method != "fixed":
        rows.append(_redrawn(baseline, samples, np.random.default_rng(seed)))
    if not rows:
        raise ParameterError("nothing to compare: no variant and no samples")
    empty = _moves("", baseline, baseline).clear()
    return Sensitivity(
        shifts=pl.DataFrame(rows, schema=_SCHEMA, orient="row"),
        flows=pl.concat([empty, *flows]),
        baseline=_name(baseline),
        samples=samples,
    )


def _default(baseline: RFM, day: date | None) -> Mapping[str, Mapping[str, Any]]:
    bins, ties = baseline.cuts.bins, baseline.cuts.ties
    variants: dict[str, dict[str, Any]] = {
        f"{n} bins": {"bins": n} for n in (3, 4) if bins != (n, n, n)
    }
    if baseline.cuts.method == "quantile":
        variants["natural breaks"] = {"method": "natural"}
    variants |= {f"ties '{t}'": {"ties": t} for t in TIES if t != ties}
    if day is not None:
        variants[f"{DAY_SHIFT} days earlier"] = {"as_of": day - timedelta(days=DAY_SHIFT)}
    return variants


def _name(rfm: RFM) -> str:
    bins = "/".join(str(n) for n in sorted(set(rfm.cuts.bins)))
    ties = f", ties '{rfm.cuts.ties}'" if rfm.cuts.method == "quantile" else ""
    return f"{bins} {rfm.cuts.method} bins{ties}"


def _join_segments(baseline: RFM, other: RFM) -> pl.DataFrame:
    columns = ["customer_id", "rfm", "segment"]
    left = baseline.frame.drop_nulls("segment").select(columns)
    return left.join(other.frame.drop_nulls("segment").select(columns), on="customer_id")


def _compare(name: str, baseline: RFM, other: RFM) -> tuple[object, ...]:
    both = _join_segments(baseline, other)
    n = both.height
    score = None
    if baseline.cuts.bins == other.cuts.bins:
        score = int((both["rfm"] != both["rfm_right"]).sum())
    segment = int((both["segment"] != both["segment_right"]).sum())
    shares = [None if value is None or not n else value / n for value in (score, segment)]
    return (name, n, score, shares[0], segment, shares[1], None, None)


def _moves(name: str, baseline: RFM, other: RFM) -> pl.DataFrame:
    return (
        _join_segments(baseline, other)
        .filter(pl.col("segment") != pl.col("segment_right"))
        .group_by(from_segment="segment", to_segment="segment_right")
        .agg(customers=pl.len().cast(pl.Int64))
        .sort("customers", "from_segment", "to_segment", descending=[True, False, False])
        .select(pl.lit(name).alias("variant"), pl.all())
    )


def _redrawn(baseline: RFM, samples: int, rng: np.random.Generator) -> tuple[object, ...]:
    """Estimate the cut-points from bootstrap samples of customers, and rescore all customers."""
    scored = baseline.frame.drop_nulls("segment").sort("customer_id")
    score, segment = [], []
    for _ in steps(range(samples), "resamples of the customers"):
        drawn = scored[rng.integers(0, scored.height, scored.height)]
        cuts = _refit_cuts(drawn, baseline.cuts)
        points = cuts.score(scored)
        same = pl.all_horizontal([points[c] == scored[c] for c in "rfm"])
        score.append(scored.height - int(points.select(same).to_series().sum()))
        named = baseline.rules.apply(points)["segment"]
        segment.append(int((named != scored["segment"]).sum()))
    n = scored.height
    low, high = np.quantile(np.array(segment) / n, [0.025, 0.975])
    medians = [int(np.median(values)) for values in (score, segment)]
    return (
        "cut-points redrawn", n, medians[0], medians[0] / n, medians[1], medians[1] / n,
        float(low), float(high),
    )  # fmt: skip


def _refit_cuts(drawn: pl.DataFrame, cuts: Cuts) -> Cuts:
    bins: Sequence[int] = cuts.bins
    ties: Any = cuts.ties if cuts.method == "quantile" else "down"
    method: Any = cuts.method
    return find_cuts(drawn, bins=bins, method=method, ties=ties, as_of=cuts.as_of)
