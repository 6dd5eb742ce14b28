"""One figure in two arms: the difference, the relative lift, and how sure both are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segkit.lift.metrics import Kpi
from segkit.lift.sums import Sums
from segkit.stats.hypotheses import share_test, t_p_value
from segkit.stats.intervals import Estimate, relative_lift, share_difference
from segkit.stats.moments import Moments, PairOfMeans, cuped, plain_means, ratio_of_sums, stratified
from segkit.stats.relative import relative_difference

FEW = 10  # conversions (or buyers) in an arm below which intervals are not vouched for


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """A figure in an arm against the control.

    Attributes
    ----------
    customers_arm, customers_control : float
    value_arm, value_control : float
        The figure in either (adjusted where a method adjusts).
    difference : Estimate
        In the figure's own unit.
    relative : Estimate
        The difference as a share of the control's figure; an infinite limit is unbounded.
    error, p_value : float
        Of the difference.
    few : bool
        Whether an arm has fewer than `FEW` customers with (or, for a share, without) the outcome.
    method : str
        How the difference's limits were found.
    variances : (float, float)
        Squared errors of the figure in the arm and the control.
    cases : (float, float)
        Customers with an outcome other than zero in the arm and the control.
    """

    customers_arm: float
    customers_control: float
    value_arm: float
    value_control: float
    difference: Estimate
    relative: Estimate
    error: float
    p_value: float
    few: bool
    method: str
    variances: tuple[float, float]
    cases: tuple[float, float]


def compare_arms(
    metric: Kpi,
    sums: Sums,
    segment: int | None,
    arms: tuple[int, int],
    *,
    covariates: Sequence[str] = (),
    strata: bool = False,
    relative: str = "log",
    level: float = 0.95,
) -> Effect:
    """Compare a figure in two arms, of one segment or of all customers.

    A share without covariates gets Newcombe's interval and `share_test`; a mean Welch's; a
    ratio the delta method over customers; with covariates the mean (or share) is adjusted by
    CUPED. With ``strata``, the segments' effects are combined by their size.

    Parameters
    ----------
    metric : Kpi
    sums : Sums
    segment : int or None
        Which segment; None for all.
    arms : (int, int)
        Places of the arm and the control in ``sums.arms``.
    covariates : sequence of str
        Columns known before the assignment, in ``sums``.
    strata : bool
        Post-stratify by segment.
    relative : {"log", "fieller", "delta"}
    level : float

    Returns
    -------
    Effect
        NaN where an arm is empty.
    """
    few = _few(metric, sums, segment, arms)
    if metric.kind == "share" and not covariates and not strata:
        return _shares(metric, sums, segment, arms, few, relative, level)
    groups = [sums.moments(segment, arm, [*metric.columns, *covariates]) for arm in arms]
    if metric.kind == "ratio":
        pair, method = _ratios(groups), "delta method"
    else:
        pair, method = _pair(metric, sums, segment, arms, covariates, strata)
    some = [sums.buyers(segment, arm, metric.column) for arm in arms]
    return _of_pair(pair, groups, (some[0], some[1]), few, method, relative, level)


def _few(metric: Kpi, sums: Sums, segment: int | None, arms: tuple[int, int]) -> bool:
    for arm in arms:
        n = sums.moments(segment, arm, [metric.column]).n
        some = sums.buyers(segment, arm, metric.columns[-1])
        if some < FEW or (metric.kind == "share" and n - some < FEW):
            return True
    return False


def _shares(
    metric: Kpi, sums: Sums, segment: int | None, arms: tuple[int, int], few: bool,
    relative: str, level: float,
) -> Effect:  # fmt: skip
    rows = slice(None) if segment is None else slice(segment, segment + 1)
    place = sums.columns.index(metric.column)
    (n1, x1), (n2, x2) = (
        (float(sums.n[rows, arm].sum()), float(sums.totals[rows, arm, place].sum())) for arm in arms
    )
    if n1 == 0 or n2 == 0:
        return _nothing(n1, n2, level)
    p1, p2 = x1 / n1, x2 / n2
    e1, e2 = np.sqrt(p1 * (1 - p1) / n1), np.sqrt(p2 * (1 - p2) / n2)
    difference = share_difference(x1, n1, x2, n2, level=level)
    if relative == "log":
        lift = relative_lift(x1, n1, x2, n2, level=level)
        if x2 == 0:
            lift = Estimate(lift.value, lift.low, float("inf"), level, lift.method)
    else:
        lift = relative_difference(p1, e1, p2, e2, method=relative, level=level)
    p_value = float(share_test(x1, n1, x2, n2).p_value)
    error = float(np.hypot(e1, e2))
    return Effect(
        n1, n2, p1, p2, difference, lift, error, p_value, few, difference.method,
        (float(e1**2), float(e2**2)), (x1, x2),
    )  # fmt: skip


def _nothing(n1: float, n2: float, level: float) -> Effect:
    nan = float("nan")
    empty = Estimate(nan, nan, nan, level, "none")
    return Effect(n1, n2, nan, nan, empty, empty, nan, nan, True, "none", (nan, nan), (nan, nan))


def _ratios(groups: list[Moments]) -> PairOfMeans:
    (one, v1), (two, v2) = (ratio_of_sums(group) for group in groups)
    return PairOfMeans(one, v1, two, v2, 0.0, float("inf"), np.zeros(0))


def _pair(
    metric: Kpi, sums: Sums, segment: int | None, arms: tuple[int, int],
    covariates: Sequence[str], strata: bool,
) -> tuple[PairOfMeans, str]:  # fmt: skip
    columns = [metric.column, *covariates]
    compare = cuped if covariates else plain_means
    name = "CUPED" if covariates else "Welch"
    if not strata or segment is not None:
        one, two = (sums.moments(segment, arm, columns) for arm in arms)
        return compare(one, two), name
    pairs, weights = [], []
    for place in comparable(sums, arms):
        one, two = (sums.moments(place, arm, columns) for arm in arms)
        pairs.append(compare(one, two))
        weights.append(one.n + two.n)
    return stratified(pairs, weights), f"{name}, post-stratified"


def comparable(sums: Sums, arms: tuple[int, int]) -> list[int]:
    """Return the segments in which both arms have at least two customers."""
    return [i for i in range(len(sums.segments)) if all(sums.n[i, arm] >= 2 for arm in arms)]


def _of_pair(
    pair: PairOfMeans, groups: list[Moments], cases: tuple[float, float], few: bool, method: str,
    relative: str, level: float,
) -> Effect:  # fmt: skip
    from scipy.special import ndtri, stdtrit

    error = pair.error
    bounded = np.isfinite(pair.freedom)
    tail = (1 + level) / 2
    multiple = float(stdtrit(pair.freedom, tail) if bounded else ndtri(tail))
    d = pair.difference
    if np.isnan(pair.freedom):  # an arm with a single customer
        multiple = float("nan")
    difference = Estimate(d, d - multiple * error, d + multiple * error, level, method)
    p_value = float(t_p_value(d / error, pair.freedom)) if error > 0 else float("nan")
    lift = relative_difference(
        pair.mean_1, np.sqrt(pair.variance_1), pair.mean_2, np.sqrt(pair.variance_2),
        covariance=pair.covariance, method=relative, level=level,
    )  # fmt: skip
    return Effect(
        groups[0].n, groups[1].n, pair.mean_1, pair.mean_2, difference, lift, error, p_value, few,
        method, (float(pair.variance_1), float(pair.variance_2)), cases,
    )  # fmt: skip
