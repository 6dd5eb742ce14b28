"""Odds ratios by segment, combined over segments, and whether they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from segkit.display import number
from segkit.errors import DataError, ParameterError, unknown
from segkit.frames import takes_frames
from segkit.lift.aggregates import Aggregates, sum_test
from segkit.lift.effects import Kpi
from segkit.lift.outcomes import Outcomes
from segkit.lift.sums import check_arms
from segkit.lift.verdicts import ALL
from segkit.lift.wording import p_words
from segkit.result import Figure, Result
from segkit.stats.intervals import Estimate, ci_words
from segkit.stats.shares import combine_odds, odds_ratio


@dataclass(frozen=True, slots=True, eq=False)
class OddsRatios(Result):
    """Odds ratios of an arm over the control, by segment and over all of them.

    Attributes
    ----------
    table : polars.DataFrame
        One row per segment, "all customers" first: segment, customers_arm, cases_arm,
        customers_control, cases_control, odds_ratio, low, high. Over all customers it is Mantel and
        Haenszel's, which compares within segments.
    p_value : float
        Cochran, Mantel and Haenszel's test of an odds ratio of one in every segment.
    q, freedom, p_equal : float
        Breslow and Day's test, with Tarone's correction, of one odds ratio in all segments.
    arm, control, label : str
        The arms, and the share in words.
    level : float
    """

    table: pl.DataFrame
    p_value: float
    q: float
    freedom: int
    p_equal: float
    arm: str
    control: str
    label: str
    level: float

    @property
    def text(self) -> str:
        """The finding in words."""
        row = self.table.row(0, named=True)
        value, low, high = (row[name] for name in ("odds_ratio", "low", "high"))
        if value is None or not np.isfinite(value):
            return (
                f"No odds ratio of {self.label} between {self.arm} and {self.control} is "
                "determined: in no segment did some convert and others not in both arms."
            )
        interval = ci_words(low, high, self.level)
        finding = (
            f"The odds of {self.label} under {self.arm} are {number(value)} times those under "
            f"{self.control} ({interval}; Cochran-Mantel-Haenszel {p_words(self.p_value)})."
        )
        if np.isnan(self.p_equal):
            return f"{finding} Whether segments differ in it cannot be tested."
        differ = "differ" if self.p_equal < 1 - self.level else "are not shown to differ"
        return (
            f"{finding} The segments' odds ratios {differ} (Breslow-Day {p_words(self.p_equal)})."
        )

    def plot(self) -> Figure:
        """Draw the odds ratios with their intervals."""
        from segkit.plot import intervals

        return intervals(
            self.table.filter(pl.col("odds_ratio").is_finite()),
            "segment",
            "odds_ratio",
            reference=1.0,
            percent=False,
            title=f"Odds of {self.label}: {self.arm} over {self.control}",
            x_label="Segment",
            y_label="Odds ratio",
        )


@takes_frames
def estimate_odds_ratios(
    outcomes: Outcomes | Aggregates | pl.DataFrame | pl.LazyFrame,
    *,
    control: str,
    arm: str | None = None,
    metric: str | Kpi = "conversion",
    level: float = 0.95,
) -> OddsRatios:
    """Estimate the odds ratio of a share by segment, and one for all segments together.

    An effect on the odds can be equal in segments with very different conversion, where differences
    and lifts cannot be. The test of equal odds ratios tests this.

    Parameters
    ----------
    outcomes : Outcomes, Aggregates, DataFrame or LazyFrame
        As for `segkit.measure_lift`.
    control : str
    arm : str, optional
        The arm compared; may be left out where there are two arms.
    metric : str or Kpi
        A share.
    level : float

    Returns
    -------
    OddsRatios

    Raises
    ------
    DataError
        As for `segkit.measure_lift`, or if the metric is no share.
    ParameterError
        If an arm or metric is unknown, or ``arm`` is left out and there are several.

    Examples
    --------
    >>> rows = pl.DataFrame({"arm": ["mail", "holdout"], "segment": "S", "customers": 100,
    ...     "converted": [30, 20]})
    >>> from segkit.lift import read_aggregates
    >>> found = estimate_odds_ratios(read_aggregates(rows), control="holdout")
    >>> round(found.table["odds_ratio"][0], 3)
    1.714
    """
    (chosen,), sums, segmented = sum_test(outcomes, [metric], segment="segment")
    if chosen.kind != "share":
        raise DataError(
            f"an odds ratio needs a share of customers; {chosen.label} is a {chosen.kind}"
        )
    others = [name for name in sums.arms if name != control]
    if arm is None and control in sums.arms and len(others) > 1:
        raise ParameterError(f"give arm, one of {', '.join(others)}")
    if arm is not None and arm not in sums.arms:
        raise ParameterError(unknown("arm", arm, sums.arms))
    (one,) = check_arms(sums, control, None if arm is None else [arm], segmented)
    two = sums.arms.index(control)
    n1, n2 = sums.n[:, one], sums.n[:, two]
    x1, x2 = sums.totals[:, one, 0], sums.totals[:, two, 0]
    common = combine_odds(x1, n1, x2, n2, level=level)
    counts = np.column_stack([x1, n1, x2, n2])
    rows = [_row(ALL, counts.sum(axis=0).tolist(), common.pooled)]
    for name, figures in zip(sums.segments if segmented else (), counts.tolist(), strict=False):
        both = min(figures[1], figures[3]) > 0
        rows.append(_row(name, figures, odds_ratio(*figures, level=level) if both else None))
    return OddsRatios(
        pl.DataFrame(rows, infer_schema_length=None),
        common.p_value,
        common.q,
        common.freedom,
        common.q_p_value,
        sums.arms[one],
        control,
        chosen.label,
        level,
    )


def _row(
    segment: str, counts: Sequence[float], ratio: Estimate | None
) -> dict[str, str | int | float | None]:
    x1, n1, x2, n2 = map(int, counts)
    ends = (None, None, None) if ratio is None else (ratio.value, ratio.low, ratio.high)
    return {
        "segment": segment,
        "customers_arm": n1,
        "cases_arm": x1,
        "customers_control": n2,
        "cases_control": x2,
        **dict(zip(("odds_ratio", "low", "high"), ends, strict=True)),
    }
