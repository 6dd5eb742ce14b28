"""Effect sizes: how large a difference or an association is, in units that compare."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segkit.stats.intervals import Numbers, floats, z_value

Array = npt.NDArray[np.float64]


def cramers_v(table: npt.ArrayLike, *, corrected: bool = True) -> float:
    """Measure the association of two categorical variables, from 0 to 1.

    ``V = sqrt(phi2 / min(r - 1, c - 1))`` with ``phi2 = chi2 / n``; corrected for bias,
    ``phi2 - (r - 1)(c - 1) / (n - 1)`` (not below 0) over ``min(r~ - 1, c~ - 1)`` with
    ``r~ = r - (r - 1)^2 / (n - 1)``. Empty rows and columns are left out; NaN where fewer than
    two of either are left. Source: Cramér (1946), Mathematical Methods of Statistics, 21.9;
    Bergsma (2013), "A bias-correction for Cramér's V and Tschuprow's T", J. Korean Stat. Soc. 42.

    Examples
    --------
    >>> round(cramers_v([[30, 10], [10, 30]], corrected=False), 3)
    0.5
    """
    counts = np.asarray(table, dtype=np.float64)
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    n = counts.sum()
    r, c = counts.shape
    if min(r, c) < 2 or n < 2:
        return float("nan")
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / n
    phi2 = float(((counts - expected) ** 2 / expected).sum() / n)
    if not corrected:
        return float(np.sqrt(phi2 / min(r - 1, c - 1)))
    phi2 = max(0.0, phi2 - (r - 1) * (c - 1) / (n - 1))
    rows, columns = r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)
    least = min(rows - 1, columns - 1)
    return float(np.sqrt(phi2 / least)) if least > 0 else float("nan")


def standardised_difference(
    mean_1: Numbers, sd_1: Numbers, mean_2: Numbers, sd_2: Numbers
) -> npt.NDArray[np.float64]:
    """Measure how unbalanced two groups are, free of their sizes.

    ``(m1 - m2) / sqrt((s1^2 + s2^2) / 2)``; for shares use ``s^2 = p (1 - p)``. NaN where neither
    group varies. Source: Austin (2009), "Balance diagnostics for comparing the distribution of
    baseline covariates", Statistics in Medicine 28, section 3.1.

    Examples
    --------
    >>> float(standardised_difference(5.0, 2.0, 4.0, 2.0))
    0.5
    """
    m1, s1, m2, s2 = floats(mean_1, sd_1, mean_2, sd_2)
    spread = np.sqrt((s1**2 + s2**2) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 0, (m1 - m2) / spread, np.nan)[()]


def delta_limits(
    delta: Numbers, variance: Numbers, *, level: float = 0.95
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return Feng & Cliff's limits of Cliff's delta, which never leave [-1, 1].

    With ``z`` the normal quantile and ``v`` the variance:
    ``(d - d^3 -+ z sqrt(v) sqrt((1 - d^2)^2 + z^2 v)) / (1 - d^2 + z^2 v)``. Where every value of
    one group exceeds all of the other, v is 0 and the limits are the delta itself: too sure for
    small groups. Source: Feng & Cliff (2004), "Monte Carlo evaluation of ordinal d with improved
    confidence interval", Journal of Modern Applied Statistical Methods 3.

    Examples
    --------
    >>> [round(float(limit), 3) for limit in delta_limits(0.5, 0.01)]
    [0.283, 0.668]
    """
    d, v = floats(delta, variance)
    z = z_value(level)
    with np.errstate(invalid="ignore", divide="ignore"):
        below = 1 - d**2 + z * z * v
        reach = z * np.sqrt(v) * np.sqrt((1 - d**2) ** 2 + z * z * v)
        low = np.where(below > 0, (d - d**3 - reach) / below, np.where(np.isnan(v), np.nan, d))
        high = np.where(below > 0, (d - d**3 + reach) / below, np.where(np.isnan(v), np.nan, d))
    return low, high
