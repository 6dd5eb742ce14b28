"""How far would groups' effects lie apart by chance, if the effect were the same in all?

Cochran's Q weights each group's effect by its estimated variance. Where an arm of a group holds few
cases that estimate comes from the same few: a count that is low by chance gives a large effect and
a small variance, so that Q finds differences where there are none. Under equal effects the other
arm and the other groups tell the variance too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
LENT = 100.0  # cases at which an arm's own variance counts as much as the one that the others imply


def share_errors(
    cases_1: npt.ArrayLike, n_1: npt.ArrayLike, cases_2: npt.ArrayLike, n_2: npt.ArrayLike
) -> Array:
    """Estimate the errors of differences of shares under one common difference.

    The common difference starts as Mantel and Haenszel's; each group's two shares are then their
    maximum likelihood estimates under it, and give the variances and, by these, the common
    difference anew, until it stands. With these errors `heterogeneity`'s Q is the score statistic.

    Parameters
    ----------
    cases_1, n_1, cases_2, n_2 : array of shape (groups,)
        Successes and customers in either arm.

    Returns
    -------
    array of shape (groups,)
        NaN for a group with an empty arm, or with no or only successes in both arms.

    Notes
    -----
    Source: Gart & Nam (1990), "Approximate interval estimation of the difference in binomial
    parameters: correction for skewness and extension to multiple tables", Biometrics 46;
    Farrington & Manning (1990), Statistics in Medicine 9, for the restricted estimates.

    Examples
    --------
    >>> share_errors([30, 30], [100, 100], [20, 20], [100, 100]).round(4)
    array([0.0608, 0.0608])
    """
    x1, n1, x2, n2 = (np.asarray(v, dtype=np.float64) for v in (cases_1, n_1, cases_2, n_2))
    told = (n1 > 0) & (n2 > 0) & (x1 + x2 > 0) & (x1 + x2 < n1 + n2)
    errors = np.full(n1.shape, np.nan)
    if not told.any():
        return errors
    x1, n1, x2, n2 = x1[told], n1[told], x2[told], n2[told]
    d, w = x1 / n1 - x2 / n2, n1 * n2 / (n1 + n2)
    for _ in range(20):
        common = float((w * d).sum() / w.sum())
        one = restricted_share(x1, n1, x2, n2, common)
        two = np.clip(one - common, 0.0, 1.0)
        variance = one * (1 - one) / n1 + two * (1 - two) / n2
        w = 1 / np.maximum(variance, 1e-15)
        if abs((w * d).sum() / w.sum() - common) < 1e-10:
            break
    errors[told] = np.sqrt(variance)
    return errors


def restricted_share(x1: Array, n1: Array, x2: Array, n2: Array, difference: float) -> Array:
    """Estimate the first share by maximum likelihood, given its difference from the second.

    The root of the likelihood's cubic (Farrington & Manning 1990, appendix).

    Examples
    --------
    >>> one = np.array([10.0]), np.array([100.0])
    >>> restricted_share(*one, np.array([30.0]), np.array([100.0]), 0.0)
    array([0.2])
    """
    p1, p2, ratio = x1 / n1, x2 / n2, n2 / n1
    a = 1 + ratio
    b = -(1 + ratio + p1 + ratio * p2 + difference * (ratio + 2))
    c = difference**2 + difference * (2 * p1 + ratio + 1) + p1 + ratio * p2
    d = -p1 * difference * (1 + difference)
    v = b**3 / (27 * a**3) - b * c / (6 * a**2) + d / (2 * a)
    u = np.where(v < 0, -1.0, 1.0) * np.sqrt(np.maximum(b**2 / (9 * a**2) - c / (3 * a), 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        turn = np.where(u == 0, 0.0, np.clip(v / u**3, -1.0, 1.0))
    root = 2 * u * np.cos((np.pi + np.arccos(turn)) / 3) - b / (3 * a)
    return np.asarray(np.clip(root, max(0.0, difference), min(1.0, 1 + difference)))


def mean_errors(
    variance_1: npt.ArrayLike, n_1: npt.ArrayLike, cases_1: npt.ArrayLike,
    variance_2: npt.ArrayLike, n_2: npt.ArrayLike, cases_2: npt.ArrayLike,
) -> Array:  # fmt: skip
    """Estimate the errors of differences of means, few cases leaning on the other arm.

    The arms' spreads are taken to bear one ratio in all groups: that of the smaller arm to the
    larger, averaged over groups by the smaller arm's customers. It says what spread either arm of
    a group would have by the group's other customers; an arm's own spread is averaged with that as
    if `LENT` further cases had shown it. With many cases the errors are Welch's.

    Parameters
    ----------
    variance_1, variance_2 : array of shape (groups,)
        Squared standard errors of the means.
    n_1, n_2 : array
        Customers.
    cases_1, cases_2 : array
        Customers with an outcome other than zero.

    Returns
    -------
    array of shape (groups,)
        NaN for a group with fewer than two customers in an arm, or without any variation.

    Notes
    -----
    The number lent is a choice: tests/studies/study_heterogeneity.py shows the test's size.

    Examples
    --------
    >>> mean_errors([0.1, 0.1], [90, 90], [9, 9], [0.9, 0.9], [10, 10], [1, 1]).round(3)
    array([1., 1.])
    """
    given = (variance_1, n_1, cases_1, variance_2, n_2, cases_2)
    v1, n1, m1, v2, n2, m2 = (np.asarray(v, dtype=np.float64) for v in given)
    if np.nansum(n1) < np.nansum(n2):
        v1, n1, m1, v2, n2, m2 = v2, n2, m2, v1, n1, m1
    s1, s2 = v1 * n1, v2 * n2
    told = np.isfinite(s1) & np.isfinite(s2) & (s1 + s2 > 0)
    errors = np.full(n1.shape, np.nan)
    if not told.any():
        return errors
    s1, n1, m1, s2, n2, m2 = (v[told] for v in (s1, n1, m1, s2, n2, m2))
    varies = s1 > 0
    ratio = 0.0
    if varies.any():
        ratio = float((n2 * s2)[varies] @ (1 / s1[varies]) / n2[varies].sum())
    if ratio <= 0:  # an arm shows no variation in any group: nothing to compare spreads with
        errors[told] = np.sqrt(s1 / n1 + s2 / n2)
        return errors
    implied = (n1 * s1 + n2 * s2 / ratio) / (n1 + n2)
    own_1 = (m1 * s1 + LENT * implied) / (m1 + LENT)
    own_2 = (m2 * s2 + LENT * ratio * implied) / (m2 + LENT)
    errors[told] = np.sqrt(own_1 / n1 + own_2 / n2)
    return errors
