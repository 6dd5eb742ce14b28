"""How much more, in percent: a ratio of two means less one, by three methods."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segkit.errors import ParameterError, unknown
from segkit.stats.intervals import Estimate, Numbers, estimate, z_value

METHODS = ("log", "fieller", "delta")
NAMES = {"log": "log ratio", "fieller": "Fieller", "delta": "delta"}
Array = npt.NDArray[np.float64]


def relative_difference(
    mean_1: Numbers,
    error_1: Numbers,
    mean_2: Numbers,
    error_2: Numbers,
    *,
    covariance: Numbers = 0.0,
    method: str = "log",
    level: float = 0.95,
) -> Estimate:
    """Estimate ``m1 / m2 - 1`` from two means and their standard errors.

    Parameters
    ----------
    mean_1, error_1, mean_2, error_2 : float or array
        The means and their standard errors; the second mean is the base.
    covariance : float or array
        Of the two means (adjusted means share some noise; plain ones none).
    method : {"log", "fieller", "delta"}
        "log": ``exp(log(m1/m2) +- z sqrt(s1^2/m1^2 + s2^2/m2^2 - 2 c/(m1 m2))) - 1``, for positive
        means. "fieller": the set of ratios r with ``(m1 - r m2)^2 <= z^2 Var(m1 - r m2)``.
        "delta": symmetric about the ratio; with some ten conversions in the base it covers less
        than its level (tests/studies/results/lift_coverage.csv), where "log" does not.
    level : float
        Nominal coverage.

    Returns
    -------
    Estimate
        An infinite limit says that the data leave the lift unbounded on that side (Fieller, where
        the base is not clearly above zero; a lift below -1 is taken as impossible then). NaN where
        the method has no answer: a base that is not positive; for "log" a first mean of zero.

    Raises
    ------
    ParameterError
        If the method is unknown.

    Notes
    -----
    Source: Fieller (1954), "Some problems in interval estimation", JRSS B 16; Franz (2007),
    "Ratios: a short guide to confidence limits and proper use", for the shape of unbounded sets;
    Casella & Berger (2002), Statistical Inference, example 5.5.27 (delta).

    Examples
    --------
    >>> found = relative_difference(3.0, 0.3, 2.0, 0.2, method="fieller")
    >>> round(found.low, 3), round(found.high, 3)
    (0.132, 0.988)
    >>> relative_difference(3.0, 0.3, 1.0, 0.7, method="fieller").high
    inf
    """
    if method not in METHODS:
        raise ParameterError(unknown("method of the relative lift", method, METHODS))
    m1, s1, m2, s2, c = (
        np.asarray(v, dtype=np.float64) for v in (mean_1, error_1, mean_2, error_2, covariance)
    )
    z = z_value(level)
    with np.errstate(all="ignore"):
        value = np.where(m2 > 0, m1 / m2, np.where((m2 == 0) & (m1 > 0), np.inf, np.nan)) - 1
        low, high = {"log": _log, "fieller": _fieller, "delta": _delta}[method](
            m1, s1, m2, s2, c, z
        )
    return estimate(value, low, high, level, NAMES[method])


def _log(m1: Array, s1: Array, m2: Array, s2: Array, c: Array, z: float) -> tuple[Array, Array]:
    usable = (m1 > 0) & (m2 > 0)
    variance = (s1 / m1) ** 2 + (s2 / m2) ** 2 - 2 * c / (m1 * m2)
    reach = np.where(usable, z * np.sqrt(np.maximum(variance, 0.0)), np.nan)
    middle = np.log(np.where(usable, m1 / m2, np.nan))
    return np.exp(middle - reach) - 1, np.exp(middle + reach) - 1


def _delta(m1: Array, s1: Array, m2: Array, s2: Array, c: Array, z: float) -> tuple[Array, Array]:
    ratio = np.where(m2 > 0, m1 / m2, np.nan)
    variance = s1**2 + ratio**2 * s2**2 - 2 * ratio * c
    reach = z * np.sqrt(np.maximum(variance, 0.0)) / m2
    return ratio - reach - 1, ratio + reach - 1


def _fieller(m1: Array, s1: Array, m2: Array, s2: Array, c: Array, z: float) -> tuple[Array, Array]:
    """Solve ``a r^2 - 2 b r + d <= 0``; where a <= 0 the set reaches to infinity."""
    a = m2**2 - (z * s2) ** 2
    b = m1 * m2 - z * z * c
    d = m1**2 - (z * s1) ** 2
    inside = b**2 - a * d
    root = np.sqrt(np.maximum(inside, 0.0))
    one, two = (b - root) / a, (b + root) / a
    least, most = np.minimum(one, two), np.maximum(one, two)
    # a < 0: ratios up to `least` and from `most` on; without roots, every ratio.
    ray = (a < 0) & (inside > 0) & (least < 0) & (most > 0)
    low = np.where(a > 0, least, np.where(ray, most, 0.0))
    high = np.where(a > 0, most, np.inf)
    known = (m2 > 0) & np.isfinite(s1) & np.isfinite(s2)
    return np.where(known, low - 1, np.nan), np.where(known, high - 1, np.nan)
