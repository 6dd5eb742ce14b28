"""Means from sums: ratios, and outcomes adjusted for pre-period covariates (CUPED)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segkit.display import counted
from segkit.errors import DataError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """One group's mean vector and covariance matrix.

    Attributes
    ----------
    n : float
        Rows.
    mean : array of shape (columns,)
    covariance : array of shape (columns, columns)
        With the divisor n - 1; NaN with fewer than two rows.
    """

    n: float
    mean: Array
    covariance: Array

    @classmethod
    def of_sums(
        cls, n: float, sums: npt.ArrayLike, products: npt.ArrayLike, shift: npt.ArrayLike = 0.0
    ) -> Moments:
        """Build them from sums and sums of products of deviations from a shift.

        Values far from zero beside their spread need a shift near their mean: without one the
        difference of two large numbers would leave no digits of the variance.
        """
        total = np.asarray(sums, dtype=np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            away = total / n if n > 0 else np.full(total.shape, np.nan)
            spread = np.asarray(products, dtype=np.float64) - n * np.outer(away, away)
            covariance = spread / (n - 1) if n > 1 else np.full(spread.shape, np.nan)
        diagonal = np.diag_indices(total.size)
        covariance[diagonal] = np.where(covariance[diagonal] < 0, 0.0, covariance[diagonal])
        return cls(float(n), away + np.asarray(shift, dtype=np.float64), covariance)


@dataclass(frozen=True, slots=True, eq=False)
class PairOfMeans:
    """Two groups' means of one quantity, with what is needed to compare them.

    Attributes
    ----------
    mean_1, mean_2 : float
    variance_1, variance_2 : float
        Of the two means (squared standard errors).
    covariance : float
        Of the two means.
    own_1, own_2 : float
        What each group adds to the variance of their difference.
    weights : array
        What each covariate was multiplied by; empty without any.
    kept : float
        Share of the outcome's standard deviation (pooled within the groups) that the covariates
        leave unexplained; 1 without any.
    """

    mean_1: float
    variance_1: float
    mean_2: float
    variance_2: float
    covariance: float
    own_1: float
    own_2: float
    weights: Any
    kept: float = 1.0

    @property
    def difference(self) -> float:
        """First mean less the second."""
        return self.mean_1 - self.mean_2

    @property
    def error(self) -> float:
        """Standard error of the difference."""
        return float(np.sqrt(self.own_1 + self.own_2))


def ratio_of_sums(moments: Moments, above: int = 0, below: int = 1) -> tuple[float, float]:
    """Estimate a ratio of two sums over customers (clicks per mail, orders per visit).

    ``R = sum y / sum x`` with the delta method's variance
    ``(s_yy - 2 R s_xy + R^2 s_xx) / (n xbar^2)``: customers, not visits, are the independent
    units. Source: Deng, Knoblich & Lu (2018), "Applying the delta method in metric analytics",
    KDD; Cochran (1977), Sampling Techniques, eq. 6.10.

    Returns
    -------
    tuple of (float, float)
        The ratio and its variance; NaN where nothing was counted below.

    Examples
    --------
    >>> both = Moments(100.0, np.array([2.0, 4.0]), np.array([[4.0, 1.0], [1.0, 9.0]]))
    >>> ratio_of_sums(both)
    (0.5, 0.0032812...)
    """
    y, x = moments.mean[above], moments.mean[below]
    if not x > 0:
        return float("nan"), float("nan")
    ratio = y / x
    s = moments.covariance
    spread = s[above, above] - 2 * ratio * s[above, below] + ratio**2 * s[below, below]
    return float(ratio), float(max(spread, 0.0) / moments.n / x**2)


def plain_means(one: Moments, two: Moments) -> PairOfMeans:
    """Compare the first column's means as they are.

    Examples
    --------
    >>> a = Moments(10.0, np.array([2.0]), np.array([[4.0]]))
    >>> plain_means(a, a).error
    0.894...
    """
    v1, v2 = one.covariance[0, 0] / one.n, two.covariance[0, 0] / two.n
    return PairOfMeans(one.mean[0], v1, two.mean[0], v2, 0.0, v1, v2, np.zeros(0))


def cuped(one: Moments, two: Moments) -> PairOfMeans:
    """Compare means after removing what pre-period covariates explain (CUPED).

    The first column is the outcome y, the others covariates x known before assignment. With
    ``theta = S_xx^-1 S_xy`` pooled within the two groups, each mean becomes
    ``ybar_g - theta'(xbar_g - xbar)``, xbar over both. The variances are each group's own, of
    ``y - theta' x``; the covariance of the two means, which the common xbar brings about, is kept
    for ratios. A covariate that does not vary is left out by the pseudo-inverse. Where a group has
    fewer than two members, theta cannot be estimated; the result is that of `plain_means`, without
    an interval.

    Parameters
    ----------
    one, two : Moments
        Of (y, x1, ..., xp), in the same order.

    Returns
    -------
    PairOfMeans

    Raises
    ------
    DataError
        If there is no covariate, or the groups' columns differ.

    Notes
    -----
    Source: Deng, Xu, Kohavi & Walker (2013), "Improving the sensitivity of online controlled
    experiments by utilizing pre-experiment data", WSDM; Lin (2013), Annals of Applied Statistics
    7, on why the groups' own variances are used.

    Examples
    --------
    >>> s = np.array([[4.0, 3.0], [3.0, 4.0]])
    >>> a, b = Moments(100.0, np.array([5.0, 1.0]), s), Moments(100.0, np.array([4.0, 1.2]), s)
    >>> round(cuped(a, b).difference, 2), round(cuped(a, b).error / plain_means(a, b).error, 3)
    (1.15, 0.661)
    """
    if one.mean.size < 2 or one.mean.size != two.mean.size:
        raise DataError(
            f"CUPED needs an outcome and the same covariates in both groups, got {one.mean.size} "
            f"and {counted(two.mean.size, 'column')}"
        )
    if min(one.n, two.n) < 2:
        return plain_means(one, two)
    freedom_1, freedom_2 = one.n - 1, two.n - 1
    pooled = (freedom_1 * one.covariance + freedom_2 * two.covariance) / (freedom_1 + freedom_2)
    inside, with_y = pooled[1:, 1:], pooled[1:, 0]
    scale = np.sqrt(np.where(np.diag(inside) > 0, np.diag(inside), 1.0))
    theta = np.linalg.pinv(inside / np.outer(scale, scale), rcond=1e-9) @ (with_y / scale) / scale
    rest = pooled[0, 0] - theta @ with_y
    rest_sd = float(np.sqrt(np.clip(rest / pooled[0, 0], 0.0, 1.0))) if pooled[0, 0] > 0 else 1.0
    total = one.n + two.n
    common = (one.n * one.mean[1:] + two.n * two.mean[1:]) / total
    shared = float(theta @ inside @ theta) / total
    parts = []
    for group in (one, two):
        s_yy, s_xy, s_xx = group.covariance[0, 0], group.covariance[1:, 0], group.covariance[1:, 1:]
        rest = float(s_yy - 2 * theta @ s_xy + theta @ s_xx @ theta)
        tied = float(theta @ (s_xy - s_xx @ theta)) / total
        mean = float(group.mean[0] - theta @ (group.mean[1:] - common))
        parts.append((mean, max(rest, 0.0) / group.n, tied))
    (m1, own_1, tied_1), (m2, own_2, tied_2) = parts
    return PairOfMeans(
        m1,
        own_1 + 2 * tied_1 + shared,
        m2,
        own_2 + 2 * tied_2 + shared,
        tied_1 + tied_2 + shared,
        own_1,
        own_2,
        theta,
        rest_sd,
    )


def stratified(pairs: list[PairOfMeans], weights: npt.ArrayLike) -> PairOfMeans:
    """Combine strata into one comparison, each with its share of all customers.

    ``sum w_h m_h`` with variance ``sum w_h^2 v_h``: the effect for the customers at hand. Source:
    Miratrix, Sekhon & Yu (2013), "Adjusting treatment effect estimates by post-stratification in
    randomized experiments", JRSS B 75.

    Parameters
    ----------
    pairs : list of PairOfMeans
        One per stratum.
    weights : array
        Customers of each stratum, over both groups.

    Raises
    ------
    DataError
        If there is no stratum.

    Examples
    --------
    >>> a = Moments(10.0, np.array([2.0]), np.array([[4.0]]))
    >>> stratified([plain_means(a, a)] * 2, [20, 20]).mean_1
    2.0
    """
    w = np.asarray(weights, dtype=np.float64)
    if not pairs or w.sum() <= 0:
        raise DataError("post-stratification needs at least one stratum with both groups")
    w = w / w.sum()

    def total(name: str, weight: Array) -> float:
        return float(weight @ np.array([getattr(pair, name) for pair in pairs]))

    means = {name: total(name, w) for name in ("mean_1", "mean_2")}
    names = ("variance_1", "variance_2", "covariance", "own_1", "own_2")
    return PairOfMeans(**means, **{name: total(name, w**2) for name in names}, weights=np.zeros(0))
