"""Score intervals of two shares, odds ratios, and their combination over strata."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segkit.errors import DataError
from segkit.stats.group_effects import restricted_share
from segkit.stats.intervals import Estimate, estimate, floats, z_value

Array = npt.NDArray[np.float64]
_CLOSE = 1e-12  # of a limit
_NEAR = 1e-9  # share of the way from the estimate to the end where the search begins


def score_difference(
    x1: float, n1: float, x2: float, n2: float, *, level: float = 0.95
) -> Estimate:
    """Estimate the difference of two independent shares with Miettinen and Nurminen's interval.

    The limits are the differences that the score test, with the shares' maximum likelihood
    estimates at that difference, does not reject:
    ``(p1 - p2 - d)^2 = z^2 (p1~ q1~ / n1 + p2~ q2~ / n2) N / (N - 1)``, ``N = n1 + n2``. Zero lies
    outside exactly where one lies outside `score_ratio`'s. Source: Miettinen & Nurminen (1985),
    "Comparative analysis of two rates", Statistics in Medicine 4, eq. 8.

    Examples
    --------
    >>> found = score_difference(56, 70, 48, 80)  # Newcombe (1998b), table II (a), method 6
    >>> round(found.low, 4), round(found.high, 4)
    (0.0528, 0.3382)
    """
    _check_counts(x1, n1, x2, n2)
    p1, p2, total = x1 / n1, x2 / n2, n1 + n2
    limit, scale = z_value(level) ** 2, total / (total - 1)
    a, m, b, n = (np.array([float(v)]) for v in (x1, n1, x2, n2))

    def excess(d: float) -> float:
        r1 = float(restricted_share(a, m, b, n, d)[0])
        r2 = min(max(r1 - d, 0.0), 1.0)
        variance = scale * (r1 * (1 - r1) / n1 + r2 * (1 - r2) / n2)
        return (p1 - p2 - d) ** 2 - limit * variance

    low, high = _outside(excess, p1 - p2, -1.0, 1.0)
    return estimate(p1 - p2, low, high, level, "score (Miettinen-Nurminen)")


def score_ratio(x1: float, n1: float, x2: float, n2: float, *, level: float = 0.95) -> Estimate:
    """Estimate the relative lift ``p1 / p2 - 1`` with the score interval of the ratio.

    The limits are the ratios r that the score test does not reject:
    ``(p1 - r p2)^2 = z^2 (p1~ q1~ / n1 + r^2 p2~ q2~ / n2) N / (N - 1)`` with the maximum
    likelihood estimates under ``p1 = r p2``. Without ``N / (N - 1)`` it is Koopman's. The upper
    limit is infinite where nobody converted in the second arm. Source: Miettinen & Nurminen (1985),
    eq. 10; Koopman (1984), "Confidence intervals for the ratio of two binomial proportions",
    Biometrics 40.

    Examples
    --------
    >>> found = score_ratio(36, 40, 16, 80)  # Koopman (1984): 2.94 to 7.15 without N / (N - 1)
    >>> round(found.low + 1, 2), round(found.high + 1, 2)
    (2.93, 7.17)
    """
    _check_counts(x1, n1, x2, n2)
    p1, p2, total = x1 / n1, x2 / n2, n1 + n2
    limit, scale = z_value(level) ** 2, total / (total - 1)
    value = p1 / p2 - 1 if p2 > 0 else (math.inf if p1 > 0 else math.nan)

    def excess(angle: float) -> float:
        r = math.tan(angle)  # from 0 to infinity on a finite stretch
        a, b = total * r, n1 * r + x1 + n2 + x2 * r
        root = math.sqrt(max(b * b - 4 * a * (x1 + x2), 0.0))
        r2 = 2 * (x1 + x2) / (b + root)
        r2 = min(r2, 1.0, 1 / r if r > 0 else 1.0)
        r1 = min(r * r2, 1.0)
        variance = scale * (r1 * (1 - r1) / n1 + r * r * r2 * (1 - r2) / n2)
        return ((p1 - r * p2) ** 2 - limit * variance) / (1 + r * r)

    if x1 == 0 and x2 == 0:
        return estimate(math.nan, -1.0, math.inf, level, "score ratio")
    centre = math.atan2(p1, p2)
    low, high = _outside(excess, centre, 0.0, math.pi / 2)
    low = -1.0 if x1 == 0 else math.tan(low) - 1
    high = math.inf if x2 == 0 else math.tan(high) - 1
    return estimate(value, low, high, level, "score ratio")


def agresti_caffo(x1: float, n1: float, x2: float, n2: float, *, level: float = 0.95) -> Estimate:
    """Estimate the difference of two shares with a success and a failure added to each arm.

    The value is the observed difference; the limits are Wald's after the addition, held to -1 and
    1. Source: Agresti & Caffo (2000), "Simple and effective confidence intervals for proportions
    and differences of proportions result from adding two successes and two failures", The American
    Statistician 54.

    Examples
    --------
    >>> found = agresti_caffo(56, 70, 48, 80)
    >>> round(found.low, 4), round(found.high, 4)
    (0.0525, 0.3358)
    """
    p1, v1, p2, v2 = _with_one_more(x1, n1, x2, n2)
    reach = z_value(level) * math.sqrt(v1 + v2)
    low, high = max(p1 - p2 - reach, -1.0), min(p1 - p2 + reach, 1.0)
    return estimate(x1 / n1 - x2 / n2, low, high, level, "Agresti-Caffo")


def agresti_caffo_ratio(
    x1: float, n1: float, x2: float, n2: float, *, level: float = 0.95
) -> Estimate:
    """Estimate the relative lift ``p1 / p2 - 1`` with a success and a failure added to each arm.

    The value is the observed lift; the limits are the ratios r at which the interval of
    ``p1 - r p2`` by `agresti_caffo`'s rule just touches zero:
    ``(p1 - r p2)^2 = z^2 (v1 + r^2 v2)``. So they exclude no effect exactly where its interval
    does. There is no upper limit where the second arm has too few cases for one. Source: Fieller
    (1954), "Some problems in interval estimation", JRSS B 16, with Agresti & Caffo's shares.

    Examples
    --------
    >>> found = agresti_caffo_ratio(56, 70, 48, 80)
    >>> round(found.low, 4), round(found.high, 4)
    (0.0773, 0.6587)
    """
    p1, v1, p2, v2 = _with_one_more(x1, n1, x2, n2)
    square = z_value(level) ** 2
    a, b, c = p2**2 - square * v2, p1 * p2, p1**2 - square * v1
    root = math.sqrt(max(b * b - a * c, 0.0))
    low, high = max(c / (b + root), 0.0) - 1, (b + root) / a - 1 if a > 0 else math.inf
    value = x1 / n1 / (x2 / n2) - 1 if x2 > 0 else (math.inf if x1 > 0 else math.nan)
    return estimate(value, low, high, level, "Agresti-Caffo ratio")


def _with_one_more(x1: float, n1: float, x2: float, n2: float) -> tuple[float, float, float, float]:
    """Return both shares and their variances after one success and one failure are added."""
    _check_counts(x1, n1, x2, n2)
    p1, p2 = (x1 + 1) / (n1 + 2), (x2 + 1) / (n2 + 2)
    return p1, p1 * (1 - p1) / (n1 + 2), p2, p2 * (1 - p2) / (n2 + 2)


def odds_ratio(x1: float, n1: float, x2: float, n2: float, *, level: float = 0.95) -> Estimate:
    """Estimate the odds ratio of two shares on the log scale.

    ``exp(log(ad / bc) +- z sqrt(1/a + 1/b + 1/c + 1/d))``; where a cell is zero, 1/2 is added to
    all four for the limits alone. Source: Woolf (1955), Annals of Human Genetics 19; Gart (1966),
    Biometrika 53, for the addition.

    Examples
    --------
    >>> found = odds_ratio(30, 100, 20, 100)
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (1.714, 0.895, 3.285)
    """
    _check_counts(x1, n1, x2, n2)
    cells = np.array([x1, n1 - x1, x2, n2 - x2], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(cells[0] * cells[3] / (cells[1] * cells[2]))
    a, b, c, d = cells + (0.5 if (cells == 0).any() else 0.0)
    middle, error = math.log(a * d / (b * c)), math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    reach = z_value(level) * error
    low, high = math.exp(middle - reach), math.exp(middle + reach)
    return estimate(value, low, high, level, "log odds ratio (Woolf)")


@dataclass(frozen=True, slots=True, eq=False)
class CommonOdds:
    """The odds ratio that several 2 x 2 tables share.

    Attributes
    ----------
    pooled : Estimate
        Mantel and Haenszel's, with Robins, Breslow and Greenland's limits.
    statistic, p_value : float
        Cochran, Mantel and Haenszel's test of an odds ratio of one in every table.
    q, freedom, q_p_value : float
        Breslow and Day's test, with Tarone's correction, of one odds ratio for all tables.
    tables : int
        Tables in which both arms hold customers, some converted and some did not.
    """

    pooled: Estimate
    statistic: float
    p_value: float
    q: float
    freedom: int
    q_p_value: float
    tables: int


def combine_odds(
    x1: npt.ArrayLike,
    n1: npt.ArrayLike,
    x2: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    level: float = 0.95,
) -> CommonOdds:
    """Combine the odds ratios of strata, and test whether they are one, and whether they are equal.

    Tables that tell nothing of an odds ratio (an empty arm, nobody or everybody converted) are left
    out. Source: Mantel & Haenszel (1959), J. National Cancer Institute 22; Robins, Breslow &
    Greenland (1986), Biometrics 42, for the variance; Breslow & Day (1980), Statistical Methods in
    Cancer Research I, section 4.4, and Tarone (1985), Biometrika 72, for equal odds ratios.

    Parameters
    ----------
    x1, n1, x2, n2 : array of shape (strata,)
        Cases and customers of the arm and of the control.

    Examples
    --------
    >>> found = combine_odds([30, 12], [100, 40], [20, 8], [100, 40])
    >>> round(found.pooled.value, 3), found.tables, round(found.q_p_value, 2)
    (1.714, 2, 1.0)
    """
    from scipy.special import chdtrc

    a, m, c, n = floats(x1, n1, x2, n2)
    for row in zip(a, m, c, n, strict=True):
        if min(row[1], row[3]) > 0:
            _check_counts(*row)
    informative = (m > 0) & (n > 0) & (a + c > 0) & (a + c < m + n)
    a, m, c, n = a[informative], m[informative], c[informative], n[informative]
    nan, tables = math.nan, int(informative.sum())
    if not tables:
        none = estimate(nan, nan, nan, level, "Mantel-Haenszel")
        return CommonOdds(none, nan, nan, nan, 0, nan, 0)
    b, d, total = m - a, n - c, m + n
    cross, back = a * d / total, b * c / total
    r, s = float(cross.sum()), float(back.sum())
    value = r / s if s > 0 else math.inf
    cases = a + c
    variance = m * n * cases * (total - cases) / (total**2 * (total - 1))
    statistic = float((a - m * cases / total).sum() ** 2 / variance.sum())
    if r > 0 and s > 0:
        p, q = (a + d) / total, (b + c) / total
        log_variance = (
            (p * cross).sum() / (2 * r * r)
            + (p * back + q * cross).sum() / (2 * r * s)
            + (q * back).sum() / (2 * s * s)
        )
        reach = z_value(level) * math.sqrt(log_variance)
        low, high = value * math.exp(-reach), value * math.exp(reach)
    else:
        low, high = nan, nan
    equal = _breslow_day(a, m, cases, total, value) if 0 < value < math.inf else nan
    return CommonOdds(
        estimate(value, low, high, level, "Mantel-Haenszel"),
        statistic,
        float(chdtrc(1, statistic)),
        equal,
        tables - 1,
        float(chdtrc(tables - 1, equal)) if tables > 1 and equal == equal else nan,
        tables,
    )


def _breslow_day(a: Array, m: Array, cases: Array, total: Array, ratio: float) -> float:
    """Return Breslow and Day's statistic for one odds ratio, with Tarone's correction."""
    n = total - m
    if abs(ratio - 1) < _CLOSE:
        expected = m * cases / total
    else:  # (n - cases + e) e = ratio (m - e) (cases - e)
        lead, linear = 1 - ratio, n - cases + ratio * (m + cases)
        root = np.sqrt(linear**2 + 4 * lead * ratio * m * cases)
        expected = 2 * ratio * m * cases / (linear + root)
    variance = 1 / (
        1 / expected + 1 / (m - expected) + 1 / (cases - expected) + 1 / (n - cases + expected)
    )
    square = float(((a - expected) ** 2 / variance).sum())
    return square - float((a - expected).sum() ** 2 / variance.sum())


def _outside(
    excess: Callable[[float], float], centre: float, least: float, most: float
) -> tuple[float, float]:
    """Return where a function that is negative at the centre crosses zero, on either side."""
    from scipy.optimize import brentq

    def cross(end: float) -> float:
        near = centre + _NEAR * (end - centre)  # at the centre itself nothing may vary
        if excess(end) <= 0:
            return end
        return centre if excess(near) >= 0 else float(brentq(excess, near, end, xtol=_CLOSE))

    return cross(least), cross(most)


def _check_counts(x1: float, n1: float, x2: float, n2: float) -> None:
    for x, n in ((x1, n1), (x2, n2)):
        if not (0 <= x <= n and n > 0 and math.isfinite(n)):
            raise DataError(f"expected cases among customers, at least one, got {x:g} of {n:g}")
